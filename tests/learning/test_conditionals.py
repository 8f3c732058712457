"""Pseudo-likelihood of worlds against the definition, by enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.learning.estimators.pseudo_likelihood import pseudo_likelihood
from knowreason.learning.sites import wire
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import random_graph


def brute_force(graph, wiring, world):
    """Sum over sites of the log-probability of their state given the rest."""
    everything = enumerate_worlds(graph)
    worlds, log_p = everything.worlds.numpy(), everything.log_probability.numpy()
    auxiliary = np.zeros(graph.atom_count, bool)
    if graph.auxiliary is not None:
        auxiliary = graph.auxiliary.numpy()
    total = 0.0
    for site in range(len(wiring.site_start)):
        members = wiring.states[wiring.site == site]
        rest = ~auxiliary
        rest[members] = False
        agree = (worlds[:, rest] == world[rest]).all(1)
        here = (worlds[:, ~auxiliary] == world[~auxiliary]).all(1)
        total += log_p[here].item() - np.logaddexp.reduce(log_p[agree])
    return total


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    hard=st.integers(0, 2),
    blocks=st.integers(0, 2),
    counts=st.integers(0, 3),
)
def test_equals_its_definition(seed, hard, blocks, counts):
    graph = random_graph(seed, atoms=7, hard=hard, blocks=blocks, counts=counts)
    wiring = wire(graph)
    everything = enumerate_worlds(graph)
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(everything.worlds), size=3)
    worlds = everything.worlds.numpy()[picks]
    assert (wiring.fill_auxiliary(worlds) == worlds).all()
    value, gradient = pseudo_likelihood(wiring, worlds)(graph.theta.numpy())
    expected = np.mean([brute_force(graph, wiring, world) for world in worlds])
    assert value == pytest.approx(expected, abs=1e-6)
    for index in range(graph.parameter_count):
        ends = []
        for step in (1e-5, -1e-5):
            theta = graph.theta.numpy().copy()
            theta[index] += step
            ends.append(pseudo_likelihood(wiring, worlds)(theta)[0])
        assert gradient[index] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-6)
