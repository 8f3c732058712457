"""Mean field: below log Z, a fixed point, exact where atoms are independent."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings

from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.inference.mean_field.mean_field import mean_field
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph


@settings(max_examples=25)
@given(factor_graphs(8))
def test_below_log_z(graph):
    found = mean_field(graph, sweeps=30)
    if found.log_z is None:
        assert "no bound" in found.reports[0].notes[0]
    else:
        assert found.log_z_kind == "lower bound"
        assert found.log_z <= enumerate_worlds(graph).log_z + 1e-6


@settings(max_examples=30)
@given(factor_graphs(8, hard=False, counts=False, blocks=False))
def test_below_log_z_without_hard_rows(graph):
    found = mean_field(graph)
    assert found.log_z <= enumerate_worlds(graph).log_z + 1e-6


def test_exact_without_couplings():
    graph = random_graph(3, atoms=8, factors=0, tables=0, clause_lists=0, blocks=2)
    truth, found = enumerate_worlds(graph), mean_field(graph)
    assert torch.allclose(found.log_odds, truth.log_odds, atol=1e-5)
    assert found.log_z == pytest.approx(truth.log_z, abs=1e-6)
    assert torch.allclose(found.expectations, truth.expectations, atol=1e-6)
    assert found.converged


@pytest.mark.parametrize("seed", range(8))
def test_near_where_couplings_are_weak(seed):
    graph = random_graph(seed, atoms=9, factors=9, scale=0.4, blocks=1, counts=0)
    truth, found = enumerate_worlds(graph), mean_field(graph)
    assert (found.probabilities - truth.marginals).abs().mean() < 0.04
    assert found.converged


def test_counts_are_summed_exactly():
    count = GroundFactors.counts(
        offsets=torch.tensor([0, 5]),
        atoms=torch.arange(5, dtype=torch.int32),
        signs=torch.ones(5, dtype=torch.bool),
        lower=torch.tensor([2], dtype=torch.int32),
        upper=torch.tensor([3], dtype=torch.int32),
        target=torch.tensor([5], dtype=torch.int32),
    )
    graph = FactorGraph(
        log_odds=torch.tensor([0.5, -1.0, 0.3, 1.2, -0.4, 0.0]),
        theta=torch.zeros(0, dtype=torch.float64),
        evidence=torch.full((6,), -1, dtype=torch.int8),
        factors=(count,),
    )
    truth, found = enumerate_worlds(graph), mean_field(graph)
    assert torch.allclose(found.log_odds, truth.log_odds, atol=1e-5)
    assert found.log_z == pytest.approx(truth.log_z, abs=1e-6)


def test_hard_rows_hold_nearly_always():
    rows = torch.tensor([[0, 1], [1, 2]], dtype=torch.int32)
    graph = FactorGraph(
        log_odds=torch.tensor([3.0, -1.0, -1.0]),
        theta=torch.zeros(0, dtype=torch.float64),
        evidence=torch.full((3,), -1, dtype=torch.int8),
        factors=(GroundFactors.of(rows, (False, True), None),),
    )
    found = mean_field(graph)
    p = found.probabilities
    assert p[0] * (1 - p[1]) < 1e-3
    assert p[1] * (1 - p[2]) < 1e-3
    assert found.log_z <= enumerate_worlds(graph).log_z


def test_two_states_of_a_block_in_one_factor_give_no_bound():
    blocks = Blocks(
        torch.tensor([0, 3]), torch.arange(3, dtype=torch.int32), torch.zeros(1, dtype=torch.bool)
    )
    rows = torch.tensor([[0, 1]], dtype=torch.int32)
    graph = FactorGraph(
        log_odds=torch.zeros(3),
        theta=torch.ones(1, dtype=torch.float64),
        evidence=torch.full((3,), -1, dtype=torch.int8),
        factors=(GroundFactors.of(rows, (True, True), 0),),
        blocks=blocks,
    )
    found = mean_field(graph)
    assert found.log_z is None
    assert found.log_z_kind == ""
    apart = replace(graph, blocks=Blocks.none())
    assert mean_field(apart).log_z is not None


def test_no_sweep_lowers_the_bound():
    """All pairs of six repel each other strongly: all moving at once would overshoot."""
    pairs = torch.tensor([(i, j) for j in range(6) for i in range(j)], dtype=torch.int32)
    graph = FactorGraph(
        log_odds=torch.linspace(2.0, 3.0, 6),
        theta=torch.tensor([4.0], dtype=torch.float64),
        evidence=torch.full((6,), -1, dtype=torch.int8),
        factors=(GroundFactors.of(pairs, (False, False), 0),),
    )
    bounds = [mean_field(graph, sweeps=sweeps, damping=0.0).log_z for sweeps in range(1, 12)]
    assert all(later > earlier - 1e-8 for earlier, later in pairwise(bounds))
    assert bounds[-1] > bounds[0]


def test_a_hard_table_that_excludes_nothing_asks_for_nothing():
    rows = torch.tensor([[0], [0]]).int()
    graph = FactorGraph(
        torch.tensor([0.3]),
        torch.zeros(0).double(),
        torch.tensor([-1]).char(),
        (GroundFactors.of(rows, torch.tensor([1.0, 1.0]), None),),
    )
    found = mean_field(graph)
    assert found.log_z == pytest.approx(enumerate_worlds(graph).log_z, abs=1e-6)
