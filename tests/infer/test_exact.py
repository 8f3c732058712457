"""The exact engine against enumeration."""

import pytest
import torch
from hypothesis import given, settings

from knowreason.factors import FactorGraph
from knowreason.factors.oracle import enumerate_worlds
from knowreason.infer import infer
from tests.strategies import factor_graphs, random_graph


def assert_exact(graph: FactorGraph, **options) -> None:
    truth, posterior = enumerate_worlds(graph), infer(graph, "exact", **options)
    assert posterior.log_z == pytest.approx(truth.log_z, abs=1e-6)
    torch.testing.assert_close(posterior.log_odds, truth.log_odds, atol=1e-6, rtol=1e-9)
    torch.testing.assert_close(posterior.expectations, truth.expectations, atol=1e-6, rtol=0)


@settings(max_examples=200, deadline=None)
@given(factor_graphs(9))
def test_exact_is_enumeration(graph):
    assert_exact(graph)


@pytest.mark.parametrize("seed", range(10))
def test_many_seeds(seed):
    assert_exact(random_graph(seed, 11, factors=14, hard=1, blocks=2, counts=3))
