"""Exact samples have the exact distribution."""

import numpy as np
import pytest
import torch

from knowreason.errors import InferenceError
from knowreason.factors.energy import features, holds
from knowreason.inference import infer
from knowreason.inference.exact import exact_samples as sampling
from knowreason.inference.exact.exact_samples import samples
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import random_graph

COUNT = 20_000


@pytest.mark.parametrize("template", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_worlds_come_with_their_probability(seed, template, monkeypatch):
    monkeypatch.setattr(
        sampling, "worth_a_template", lambda shapes, size: np.full(len(size), template)
    )
    graph = random_graph(seed, 6, factors=8, hard=1, blocks=1, counts=2, evidence=0.1)
    worlds, truth = samples(graph, COUNT, seed=1), enumerate_worlds(graph)
    assert holds(graph, worlds).all()
    codes = 1 << torch.arange(graph.atom_count)
    expected = dict(
        zip(
            (truth.worlds.long() @ codes).tolist(),
            truth.log_probability.exp().tolist(),
            strict=True,
        )
    )
    found, number = np.unique((worlds.long() @ codes).numpy(), return_counts=True)
    for code, seen in zip(found.tolist(), number.tolist(), strict=True):
        share = expected[code]
        assert abs(seen / COUNT - share) < 5 * np.sqrt(share / COUNT) + 2e-4


def test_features_of_large_components():
    graph = random_graph(3, 40, factors=42, blocks=3, counts=2)
    worlds, posterior = samples(graph, 1_500, seed=2), infer(graph, "exact")
    assert holds(graph, worlds).all()
    error = features(graph, worlds).mean(0) - posterior.expectations
    spread = features(graph, worlds).std(0) / 1_500**0.5
    assert (error.abs() < 5 * spread + 1e-9).all()


def test_same_seed_same_worlds():
    graph = random_graph(4, 9)
    assert torch.equal(samples(graph, 50, seed=3), samples(graph, 50, seed=3))
    assert not torch.equal(samples(graph, 50, seed=3), samples(graph, 50, seed=4))


def test_too_tangled():
    with pytest.raises(InferenceError, match="KR704"):
        samples(random_graph(5, 30, factors=120), 2, width=4)
