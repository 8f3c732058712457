"""Junction trees against enumeration, and sizes beyond it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.components.connected import components
from knowreason.factors.components.shapes import Shapes
from knowreason.factors.condition import condition
from knowreason.inference.exact.elimination import eliminate
from knowreason.inference.exact.exact import Prepared, prepare
from knowreason.inference.exact.exact_budget import ExactBudget
from knowreason.inference.exact.junction import JunctionSolver
from knowreason.inference.exact.order_search import eliminated
from knowreason.inference.posterior import Posterior
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph


def by_junction(graph: FactorGraph) -> Posterior:
    """Every component solved by its junction tree."""
    folded = condition(graph)
    labels, count = components(folded)
    shapes = Shapes(folded, labels, count)
    budget = ExactBudget.of()
    parts = [eliminated(stack, budget) for stack in shapes.stacks(np.arange(count))]
    solvers = [JunctionSolver.prepare(parts)] if parts else []
    everything = torch.ones(folded.atom_count, dtype=torch.bool)
    return Prepared(folded, torch.from_numpy(labels), count, everything, solvers, shapes.rows)()


def assert_enumerated(graph: FactorGraph) -> None:
    truth, posterior = enumerate_worlds(graph), by_junction(graph)
    assert posterior.log_z == pytest.approx(truth.log_z, abs=1e-6)
    torch.testing.assert_close(posterior.log_odds, truth.log_odds, atol=1e-6, rtol=1e-9)
    torch.testing.assert_close(posterior.expectations, truth.expectations, atol=1e-6, rtol=0)


@settings(max_examples=60)
@given(factor_graphs(9))
def test_junction_trees_are_enumeration(graph):
    assert_enumerated(graph)


@pytest.mark.parametrize("seed", range(5))
def test_wider_graphs(seed):
    assert_enumerated(random_graph(seed, 13, factors=18, hard=2, blocks=2, counts=2))


@pytest.mark.parametrize("hard", [False, True])
def test_long_clauses_become_chains(hard):
    long = GroundFactors.of(
        torch.arange(11).int()[None], ((True, False) * 5 + (True,)), None if hard else 0
    )
    graph = random_graph(4, 11, factors=6)
    graph = FactorGraph(graph.log_odds, graph.theta, graph.evidence, (*graph.factors, long))
    assert_enumerated(graph)


@pytest.mark.parametrize(("lower", "upper"), [(0, 2), (4, 6), (9, 10), (11, 11)])
@pytest.mark.parametrize("target", [-1, 11])
def test_counts_become_chains(lower, upper, target):
    one = torch.ones(1, dtype=torch.int32)
    counts = GroundFactors.counts(
        torch.tensor([0, 11]),
        torch.arange(11).int(),
        torch.arange(11) % 3 > 0,
        lower * one,
        upper * one,
        target * one,
    )
    graph = random_graph(5, 12, factors=6)
    parts = (graph.log_odds, graph.theta, graph.evidence, (*graph.couplings, counts))
    assert_enumerated(FactorGraph(*parts))


def grid(height: int, width: int, seed: int = 0) -> FactorGraph:
    cells = np.arange(height * width).reshape(height, width)
    across = np.stack([cells[:, :-1].ravel(), cells[:, 1:].ravel()], axis=1)
    down = np.stack([cells[:-1].ravel(), cells[1:].ravel()], axis=1)
    same = torch.tensor([1.0, 0.0, 0.0, 1.0])
    rng = np.random.default_rng(seed)
    return FactorGraph(
        log_odds=torch.tensor(rng.normal(size=cells.size), dtype=torch.float32),
        theta=torch.tensor([0.8], dtype=torch.float64),
        evidence=torch.full((cells.size,), -1, dtype=torch.int8),
        factors=(
            *tuple(
                GroundFactors.of(torch.as_tensor(pairs, dtype=torch.int32), same, 0)
                for pairs in (across, down)
            ),
        ),
    )


def test_small_grid_is_enumeration():
    assert_enumerated(grid(3, 4))


def test_long_grid_is_its_transfer_matrix():
    height, width = 5, 40
    graph = grid(height, width)
    posterior = prepare(graph)()
    assert [report.engine for report in posterior.reports] == ["exact: junction tree"]
    u = graph.log_odds.double().numpy().reshape(height, width)
    states = (np.arange(1 << height)[:, None] >> np.arange(height)) & 1
    within = 0.8 * (states[:, 1:] == states[:, :-1]).sum(1)
    between = 0.8 * (states[:, None] == states[None]).sum(2)
    column = states @ u[:, 0] + within
    for x in range(1, width):
        column = np.logaddexp.reduce(column[:, None] + between, axis=0) + states @ u[:, x] + within
    assert posterior.log_z == pytest.approx(np.logaddexp.reduce(column), rel=1e-12)
    last = states[:, 0] == 1
    odds = np.logaddexp.reduce(column[last]) - np.logaddexp.reduce(column[~last])
    assert float(posterior.log_odds[width - 1]) == pytest.approx(odds, abs=1e-9)


def test_too_wide_is_refused():
    scopes = [(i, j) for i in range(12) for j in range(i)]
    assert eliminate([2] * 12, scopes, 1 << 11) is None
    assert [len(clique) for clique in eliminate([2] * 12, scopes, 1 << 12).cliques] == [12]


def test_cliques_cover_factors_and_run():
    rng = np.random.default_rng(0)
    scopes = [tuple(int(v) for v in rng.permutation(30)[:2]) for _ in range(45)]
    scopes += [(i, i + 1) for i in range(29)]
    tree = eliminate([2] * 30, scopes, 1 << 20)
    for scope in scopes:
        assert set(scope) <= set(tree.cliques[tree.home(scope)])
    for v in range(30):  # running intersection: the cliques that hold v hang together
        holding = [i for i, clique in enumerate(tree.cliques) if v in clique]
        tops = [i for i in holding if tree.parents[i] not in holding]
        assert tops == [tree.homes[v]]
