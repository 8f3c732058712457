"""Gibbs sampling: right within sampling error, possible worlds, warm starts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.energy import holds
from knowreason.inference.gibbs.gibbs import gibbs, prepare_gibbs
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph


def empty(n: int, log_odds: float = 0.0) -> FactorGraph:
    return FactorGraph(
        log_odds=torch.full((n,), log_odds),
        theta=torch.tensor([1.0], dtype=torch.float64),
        evidence=torch.full((n,), -1, dtype=torch.int8),
    )


@pytest.mark.parametrize("seed", range(12))
def test_marginals_within_sampling_error(seed):
    graph = random_graph(
        seed, atoms=8, hard=seed % 2, blocks=seed % 3, counts=seed % 4, evidence=0.1 * (seed % 2)
    )
    truth, found = enumerate_worlds(graph), gibbs(graph, updates=20_000_000, seed=seed)
    told = ~graph.auxiliary
    assert (found.probabilities - truth.marginals)[told].abs().max() < 0.03
    assert (found.expectations - truth.expectations).abs().max() < 0.12
    if (found.quality < 2).all():
        assert (found.probabilities - truth.marginals)[told].abs().max() < 0.01


@settings(max_examples=40)
@given(factor_graphs(9))
def test_worlds_are_possible(graph):
    worlds = prepare_gibbs(graph).sample(chains=3, sweeps=3)
    assert worlds.dtype == torch.int8
    assert holds(graph, worlds).all()
    again = prepare_gibbs(graph).sample(worlds=worlds, sweeps=2, seed=1)
    assert holds(graph, again).all()


def test_same_seed_same_worlds_whatever_the_threads():
    graph = random_graph(5, atoms=12, hard=1, blocks=1, counts=2)
    first, second = (prepare_gibbs(graph).sample(sweeps=5, seed=3, threads=t) for t in (1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, prepare_gibbs(graph).sample(sweeps=5, seed=4))


def test_warm_chains_follow_theta():
    rows = torch.stack([torch.arange(40), torch.arange(40) + 40], 1).to(torch.int32)
    graph = replace(empty(80), factors=(GroundFactors.of(rows, (torch.tensor([0, 0, 0, 1.0])), 0),))
    sampler = prepare_gibbs(graph)
    worlds = sampler.sample(chains=50, sweeps=20)
    strong = sampler.sample(torch.tensor([5.0], dtype=torch.float64), worlds, sweeps=20, seed=1)
    both = (worlds[:, :40] & worlds[:, 40:]).float().mean()
    assert both == pytest.approx(np.e / (3 + np.e), abs=0.03)
    both = (strong[:, :40] & strong[:, 40:]).float().mean()
    assert both == pytest.approx(np.exp(5) / (3 + np.exp(5)), abs=0.02)


def test_evidence_given_with_worlds_wins():
    graph = random_graph(2, atoms=10, blocks=2)
    worlds = prepare_gibbs(graph).sample(chains=4, sweeps=1)
    world = enumerate_worlds(graph).world
    clamped = graph.with_evidence(torch.where(torch.arange(10) < 4, world[:10], -1).to(torch.int8))
    after = prepare_gibbs(clamped).sample(worlds=worlds, sweeps=2)
    assert (after[:, :4] == world[:4]).all()
    assert holds(clamped, after).all()


def test_atoms_that_hard_rules_tie_move_together():
    n = 6
    rows = torch.stack([torch.arange(n - 1), torch.arange(1, n)], 1).to(torch.int32)
    same = GroundFactors.of(rows, (torch.tensor([1.0, 0.0, 0.0, 1.0])), None)
    graph = replace(empty(n, 0.1), factors=(same,))
    found = gibbs(graph, updates=10_000_000)
    assert found.converged
    assert (found.probabilities - torch.sigmoid(torch.tensor(0.1 * n))).abs().max() < 0.05


def test_counts_follow_their_inputs():
    count = GroundFactors.counts(
        offsets=torch.tensor([0, 6]),
        atoms=torch.arange(6, dtype=torch.int32),
        signs=torch.ones(6, dtype=torch.bool),
        lower=torch.tensor([4], dtype=torch.int32),
        upper=torch.tensor([6], dtype=torch.int32),
        target=torch.tensor([6], dtype=torch.int32),
    )
    reward = GroundFactors.clauses(
        torch.tensor([0, 1]), torch.tensor([6], dtype=torch.int32), torch.tensor([True]), 0
    )
    graph = replace(
        empty(7, -1.0),
        factors=(
            count,
            reward,
        ),
    )
    graph = replace(graph, theta=torch.tensor([6.0], dtype=torch.float64))
    truth, found = enumerate_worlds(graph), gibbs(graph, updates=20_000_000)
    assert (found.probabilities - truth.marginals)[:6].abs().max() < 0.03


def test_a_start_is_found_where_hard_rules_are_tight():
    # pigeons: 5 values, 5 blocks, all different
    k = 5
    blocks = Blocks(
        torch.arange(0, k * k + 1, k),
        torch.arange(k * k, dtype=torch.int32),
        torch.zeros(k, dtype=torch.bool),
    )
    rows = [(i * k + v, j * k + v) for v in range(k) for i in range(k) for j in range(i)]
    apart = GroundFactors.of(torch.tensor(rows, dtype=torch.int32), (False, False), None)
    graph = replace(empty(k * k), blocks=blocks, factors=(apart,))
    assert holds(graph, prepare_gibbs(graph).sample(chains=3, sweeps=1)).all()


def test_free_atoms_and_nothing_at_all():
    assert gibbs(empty(0)).converged
    found = gibbs(empty(3, 2.0), updates=1_000_000)
    assert torch.allclose(found.log_odds, torch.full((3,), 2.0, dtype=torch.float64))


def test_atoms_tied_by_tables_of_several_kinds_move_together():
    """Even atoms are alike, odd ones their opposite, one table a row."""
    n = 6
    rows = torch.stack([torch.arange(n - 1), torch.arange(1, n)], 1).to(torch.int32)
    apart = GroundFactors(
        "table",
        rows,
        None,
        table=torch.tensor([[1.0, 0, 0, 1], [0, 1.0, 1, 0]], dtype=torch.float64),
        table_id=torch.ones(n - 1, dtype=torch.int32),
    )
    last = torch.tensor([[0, 2]], dtype=torch.int32)
    factors = (apart, replace(apart, atoms=last, table_id=torch.zeros(1, dtype=torch.int32)))
    log_odds = torch.tensor([0.5, -0.1] * 3, dtype=torch.float32)
    graph = replace(empty(n), log_odds=log_odds, factors=factors)
    truth, found = enumerate_worlds(graph), gibbs(graph)
    assert found.converged
    assert (found.probabilities - truth.marginals).abs().max() < 0.05
