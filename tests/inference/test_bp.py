"""Belief propagation: exact on trees, near on loops, the same in numba and in torch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.condition import condition
from knowreason.factors.energy import log_score
from knowreason.factors.potentials.interval_odds import sweep_clauses, sweep_three_literals
from knowreason.factors.potentials.odds_domain import LIMIT
from knowreason.factors.potentials.table_odds import sweep_tables, sweep_triples
from knowreason.inference.messages.bp import bp
from knowreason.inference.messages.message_graph import layout
from knowreason.inference.messages.rounds_of_bp import bp_rounds
from knowreason.inference.messages.sweeps import SweepSchedule, sweep_in_torch, sweep_on_cpu
from knowreason.inference.messages.trw import trw
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph

EXACT = {"tolerance": 1e-10, "sweeps": 2000}


def clip(log_odds: torch.Tensor) -> torch.Tensor:
    return log_odds.clamp(-40, 40)


def implication_chain(n: int, weight: float | None, log_odds: list[float]) -> FactorGraph:
    atoms = torch.stack([torch.arange(n - 1), torch.arange(1, n)], 1).to(torch.int32)
    group = GroundFactors.of(atoms, (False, True), None if weight is None else 0)
    return FactorGraph(
        log_odds=torch.tensor(log_odds, dtype=torch.float32),
        theta=torch.tensor([weight or 0.0], dtype=torch.float64),
        evidence=torch.full((n,), -1, dtype=torch.int8),
        factors=(group,),
    )


@settings(max_examples=60)
@given(factor_graphs(8, tree=True))
def test_exact_on_trees(graph):
    truth = enumerate_worlds(graph)
    found = bp(graph, **EXACT)
    assert torch.allclose(clip(found.log_odds), clip(truth.log_odds), atol=1e-6)
    assert found.log_z == pytest.approx(truth.log_z, abs=1e-6)
    assert torch.allclose(found.expectations, truth.expectations, atol=1e-6)
    assert found.converged


@settings(max_examples=60)
@given(factor_graphs(8, tree=True))
def test_max_product_decodes_the_best_world_of_a_tree(graph):
    truth = enumerate_worlds(graph)
    found = bp(graph, product="max", **EXACT)
    best = truth.log_probability.max() + truth.log_z
    assert log_score(graph, found.world[None])[0] == pytest.approx(float(best), abs=1e-6)


@settings(max_examples=60)
@given(factor_graphs(7), st.booleans(), st.sampled_from([0.0, 0.3, 0.5]))
def test_torch_sweeps_are_the_kernels_sweeps(graph, maximum, damping):
    graph = condition(graph)
    plan = layout(graph)
    weights = plan.weights(graph.theta)
    schedule = SweepSchedule(7, damping, 0.0, maximum)
    numba = sweep_on_cpu(plan, graph.unary_log_odds(), weights, schedule)
    in_torch = sweep_in_torch(plan, graph.unary_log_odds(), weights, schedule)
    assert np.allclose(numba.messages, in_torch.messages, atol=1e-6)
    assert np.allclose(numba.change, in_torch.change, atol=1e-6)


@pytest.mark.parametrize("maximum", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_kernels_of_three_atoms_are_the_general_ones(maximum, shared):
    rng = np.random.default_rng(3)
    rows, atoms = 200, 60
    flat = np.stack([rng.permutation(atoms)[:3] for _ in range(rows)]).ravel().astype(np.int32)
    odds = np.exp(rng.normal(0, 60, atoms).clip(-600, 600))
    start = np.exp(rng.normal(0, 20, 3 * rows).clip(-LIMIT, LIMIT))

    def swept(kernel, *constants):
        messages, state = start.copy(), np.stack([odds, np.ones(atoms)], 1)
        spill = np.zeros(atoms)
        kernel(0, rows, *constants, messages, state, spill, 0.5, maximum)
        return np.concatenate([np.log(messages), np.log(state[:, 1]) + spill])

    signs = rng.random(3 * rows) < 0.5
    epsilon = np.exp(-rng.exponential(3, 1 if shared else rows))
    offsets = 3 * np.arange(rows + 1)
    general = swept(sweep_clauses, offsets, flat, signs, epsilon)
    assert np.allclose(swept(sweep_three_literals, flat, signs, epsilon), general, atol=1e-8)
    tables = np.exp(-rng.exponential(3, (1 if shared else rows, 8)))
    tables[rng.random(tables.shape) < 0.2] = 0.0
    tables[:, rng.integers(8)] = 1.0
    tables[:, [0, 7]] = np.maximum(tables[:, [0, 7]], 0.1)
    general = swept(sweep_tables, 3, flat, tables)
    assert np.allclose(swept(sweep_triples, flat, tables), general, atol=1e-8)


@pytest.mark.parametrize("seed", range(20))
def test_near_on_loops(seed):
    graph = random_graph(seed, atoms=10, factors=12, scale=0.7, clause_lists=1)
    truth = enumerate_worlds(graph)
    found = bp(graph)
    assert found.converged
    assert (found.probabilities - truth.marginals).abs().mean() < 0.03


@pytest.mark.parametrize("seed", range(10))
def test_two_threads_agree_with_one(seed):
    graph = random_graph(seed, atoms=12, hard=1, blocks=1, counts=1)
    one, two = bp(graph, fallback=False), bp(graph, threads=2, fallback=False)
    assert torch.allclose(clip(one.log_odds), clip(two.log_odds), atol=1e-7)


@pytest.mark.parametrize("seed", range(10))
def test_renumbering_atoms_changes_nothing(seed):
    graph = random_graph(seed, atoms=8, hard=1, blocks=1, counts=2)
    n = graph.atom_count
    number = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    old = torch.empty(n, dtype=torch.long)
    old[number] = torch.arange(n)

    shuffled = replace(
        graph,
        log_odds=graph.log_odds[old],
        evidence=graph.evidence[old],
        auxiliary=graph.auxiliary[old],
        factors=tuple(part.renumbered(number.int().numpy()) for part in reversed(graph.factors)),
        blocks=graph.blocks.renumbered(number.int().numpy()),
    )
    before, after = bp(graph, fallback=False), bp(shuffled, fallback=False)
    assert torch.allclose(clip(before.log_odds), clip(after.log_odds[number]), atol=1e-6)


def test_raising_an_atoms_log_odds_raises_its_probability():
    graph = random_graph(3, atoms=10, scale=0.5)
    raised = graph.log_odds.clone()
    raised[4] += 1.0
    before, after = bp(graph), bp(replace(graph, log_odds=raised))
    assert after.log_odds[4] > before.log_odds[4]


def test_hard_chain_carries_certainty():
    graph = implication_chain(30, None, [3.0, *[-1.0] * 29])
    truth = enumerate_worlds(implication_chain(12, None, [3.0, *[-1.0] * 11]))
    short = bp(implication_chain(12, None, [3.0, *[-1.0] * 11]), **EXACT)
    assert torch.allclose(short.log_odds, truth.log_odds, atol=1e-6)
    assert (bp(graph, **EXACT).log_odds.diff() > -1e-9).all()


def test_a_hub_with_many_messages_does_not_overflow():
    n = 20_001
    atoms = torch.stack([torch.arange(1, n), torch.zeros(n - 1, dtype=torch.long)], 1)
    group = GroundFactors.of(atoms.to(torch.int32), (False, True), 0)
    graph = FactorGraph(
        log_odds=torch.full((n,), 4.0),
        theta=torch.tensor([3.0], dtype=torch.float64),
        evidence=torch.full((n,), -1, dtype=torch.int8),
        factors=(group,),
    )
    found = bp(graph)
    assert found.converged
    assert found.log_odds[0] >= 600
    assert torch.isfinite(found.log_odds).all()


def test_what_does_not_converge_is_said_and_reweighted():
    pairs = torch.combinations(torch.arange(10)).to(torch.int32)
    differ = GroundFactors.of(pairs, (torch.tensor([0.0, 1.0, 1.0, 0.0])), 0)
    graph = FactorGraph(
        log_odds=torch.linspace(0.1, 1, 10),
        theta=torch.tensor([2.0], dtype=torch.float64),
        evidence=torch.full((10,), -1, dtype=torch.int8),
        factors=(differ,),
    )
    found = bp(graph, sweeps=60, damping=0.0)
    assert [report.engine for report in found.reports] == ["bp", "bp: tree-reweighted"]
    assert "did not converge" in found.reports[1].notes[0]
    assert found.log_z >= enumerate_worlds(graph).log_z - 1e-3
    alone = bp(graph, sweeps=60, damping=0.0, fallback=False)
    assert not alone.converged


def test_components_that_move_long_are_swept_on_alone():
    chain = implication_chain(60, 2.0, [1.0] * 60)
    found = bp(chain, tolerance=1e-12)
    assert found.reports[0].sweeps > 40
    assert found.converged


@settings(max_examples=30)
@given(factor_graphs(7))
def test_rounds_are_sweeps(graph):
    found = bp(graph, sweeps=5, damping=0.3, tolerance=0.0, fallback=False)
    assert torch.allclose(clip(bp_rounds(graph, 5, 0.3)), clip(found.log_odds), atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_rounds_are_differentiable_in_theta(seed):
    graph = random_graph(seed, atoms=6, blocks=1, counts=2, evidence=0.2)
    theta = graph.theta.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: bp_rounds(graph.with_theta(t), 3), (theta,))


@pytest.mark.parametrize("seed", range(10))
def test_tree_reweighted_bounds_log_z(seed):
    graph = random_graph(seed, atoms=10, factors=14, scale=1.0)
    found = trw(graph, sweeps=1000)
    assert found.converged
    assert found.log_z >= enumerate_worlds(graph).log_z - 0.02


def test_expectations_are_the_gradient_of_log_z():
    graph = random_graph(2, atoms=9, factors=12, scale=0.7, counts=2, blocks=1)
    step = 1e-4
    for p in range(graph.parameter_count):
        shift = torch.zeros_like(graph.theta)
        shift[p] = step
        up, down = (bp(graph.with_theta(graph.theta + s), **EXACT).log_z for s in (shift, -shift))
        slope = float(bp(graph, **EXACT).expectations[p])
        assert (up - down) / (2 * step) == pytest.approx(slope, abs=1e-5)
