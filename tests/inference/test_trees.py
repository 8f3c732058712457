"""Sum-product on trees against enumeration; stars far beyond it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.components.connected import components
from knowreason.factors.components.scopes import scopes
from knowreason.factors.components.shapes import FlatRows
from knowreason.factors.condition import condition
from knowreason.inference.exact import exact, pair_forests
from knowreason.inference.exact.circuits import templates
from knowreason.inference.exact.exact import Prepared, prepare
from knowreason.inference.exact.tree_order import has_cycles, tree_components
from knowreason.inference.exact.trees import TreeSolver
from knowreason.inference.posterior import Posterior
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph


def by_trees(graph: FactorGraph) -> Posterior | None:
    """The tree solver's posterior where every component is a tree."""
    folded = condition(graph)
    labels, count = components(folded)
    ties = scopes(folded, labels, labels >= 0)
    if not tree_components(ties, count).all():
        return None
    solver = TreeSolver.prepare(ties)
    everything = torch.ones(folded.atom_count, dtype=torch.bool)
    rows = FlatRows.of(folded)
    return Prepared(folded, torch.from_numpy(labels), count, everything, (solver,), rows)()


def assert_enumerated(graph: FactorGraph) -> None:
    truth, posterior = enumerate_worlds(graph), by_trees(graph)
    assert posterior is not None
    assert posterior.log_z == pytest.approx(truth.log_z, abs=1e-6)
    torch.testing.assert_close(posterior.log_odds, truth.log_odds, atol=1e-6, rtol=1e-9)
    torch.testing.assert_close(posterior.expectations, truth.expectations, atol=1e-6, rtol=0)


@settings(max_examples=60)
@given(factor_graphs(9, tree=True))
def test_trees_are_enumeration(graph):
    if int((condition(graph).evidence == -1).sum()) <= 12:
        assert_enumerated(graph)


def graph_of(atoms: int, seed: int = 0, **parts) -> FactorGraph:
    rng = np.random.default_rng(seed)
    return FactorGraph(
        log_odds=torch.tensor(rng.normal(0, 1, atoms), dtype=torch.float32),
        theta=torch.tensor([1.3, -0.7, 2.0], dtype=torch.float64),
        evidence=torch.full((atoms,), -1, dtype=torch.int8),
        **parts,
    )


def int32(values) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.int32)


def chain(atoms: int, potential, parameter=0) -> GroundFactors:
    steps = np.stack([np.arange(atoms - 1), np.arange(1, atoms)], axis=1)
    return GroundFactors.of(int32(steps), potential, parameter)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("length", [5, 9])
def test_long_clauses(length, hard):
    long = GroundFactors.of(
        int32([range(length)]), ((True, False) * (length // 2) + (True,)), None if hard else 1
    )
    pendants = [[j, length + j] for j in range(3)]
    graph = graph_of(
        length + 3, factors=(long, GroundFactors.of(int32(pendants), (False, True), 0))
    )
    assert_enumerated(graph)


@pytest.mark.parametrize("at_most_one", [False, True])
def test_blocks_are_one_variable_under_several_rows(at_most_one):
    # rows between atom 0 and every member of a block would be loops over single atoms
    blocks = Blocks(torch.tensor([0, 4]), int32([1, 2, 3, 4]), torch.tensor([at_most_one]))
    pairs = [[0, j] for j in (1, 2, 3, 4)] + [[1, 2], [4, 5]]
    graph = graph_of(6, factors=(GroundFactors.of(int32(pairs), (False, True), 0),), blocks=blocks)
    assert_enumerated(graph)


@pytest.mark.parametrize(("lower", "upper"), [(0, 2), (3, 5), (7, 7), (6, 8), (0, 0), (1, 7)])
@pytest.mark.parametrize("target", [-1, 8])
def test_counts_in_trees(lower, upper, target):
    counts = GroundFactors.counts(
        torch.tensor([0, 8]),
        int32(range(8)),
        torch.tensor([True, True, False, True] * 2),
        int32([lower]),
        int32([upper]),
        int32([target]),
    )
    pairs = int32([[8, 9], [0, 10], [10, 11]])
    graph = graph_of(12, factors=(counts, GroundFactors.of(pairs, (False, True), 2)))
    assert_enumerated(graph)


def test_rows_over_the_same_atoms_are_merged():
    groups = (
        chain(8, (False, True)),
        chain(8, (True, False), 1),
        chain(8, (torch.tensor([1.0, 0, 0, 1])), 2),
    )
    assert_enumerated(graph_of(8, factors=groups))


def test_hub_with_many_leaves_is_its_closed_form():
    leaves = 20_000
    pairs = np.stack([np.zeros(leaves), np.arange(1, leaves + 1)], axis=1)
    graph = graph_of(leaves + 1, factors=(GroundFactors.of(int32(pairs), (False, True), 0),))
    posterior = by_trees(graph)
    u, w = graph.log_odds.double().numpy(), 1.3
    if_true = np.logaddexp(0, u[1:] + w)  # hub true: the leaf's truth earns w
    if_false = w + np.logaddexp(0, u[1:])
    hub = u[0] + (if_true - if_false).sum()
    assert float(posterior.log_odds[0]) == pytest.approx(max(hub, -700), rel=1e-12)
    total = np.logaddexp(u[0] + if_true.sum(), if_false.sum())
    assert posterior.log_z == pytest.approx(total, rel=1e-12)


def test_long_chain_is_its_transfer_matrix():
    graph = graph_of(2_000, factors=(chain(2_000, (torch.tensor([1.0, 0, 0, 1]))),))
    posterior = by_trees(graph)
    u = graph.log_odds.double().numpy()
    state = np.array([0.0, u[0]])
    for x in u[1:]:
        same, other = state + 1.3, state[::-1]
        state = np.logaddexp(same, other) + np.array([0.0, x])
    assert posterior.log_z == pytest.approx(np.logaddexp(*state), rel=1e-12)
    assert float(posterior.log_odds[-1]) == pytest.approx(state[1] - state[0], abs=1e-9)


def test_loops_are_no_trees():
    ring = GroundFactors.of(int32([[0, 1], [1, 2], [2, 0]]), (True, True), 0)
    folded = condition(graph_of(4, factors=(ring,)))
    labels, count = components(folded)
    assert tree_components(scopes(folded, labels, labels >= 0), count).tolist() == [False, True]


@settings(max_examples=60)
@given(factor_graphs(9, counts=False, clause_lists=False), st.booleans())
def test_a_tree_is_never_said_to_have_cycles(graph, every):
    folded = condition(graph)
    labels, count = components(folded)
    chosen = np.arange(count) % 2 == 0 if not every else np.ones(count, bool)
    cycles = has_cycles(folded, labels, chosen)
    trees = tree_components(scopes(folded, labels, labels >= 0), count)
    in_blocks = np.zeros(count, bool)
    in_blocks[labels[folded.blocks.atoms.numpy()]] = True
    assert np.array_equal(cycles, chosen & ~trees & ~in_blocks)


def test_large_loops_are_left_without_making_their_tables(monkeypatch):
    monkeypatch.setattr(exact, "MOST_ATOMS", 50)
    monkeypatch.setattr(pair_forests, "FEW", 50)
    ends = np.stack([np.arange(60), np.roll(np.arange(60), 1)], 1)
    ring = GroundFactors.of(int32(ends), (True, False), 0)
    tree = chain(60, (True, False)).renumbered(np.arange(60, 120))
    monkeypatch.setattr(exact, "scopes", lambda *_: pytest.fail("tables were made"))
    prepared = prepare(graph_of(120, factors=(ring, tree)), device="cpu")
    assert prepared.tractable.tolist() == [False] * 60 + [True] * 60


def test_hard_rows_that_bar_states():
    implies = chain(6, (False, True), None)
    table = GroundFactors.of(int32([[5, 6]]), (torch.tensor([0.0, 1, 1, 0])), None)
    assert_enumerated(graph_of(7, factors=(implies, table)))
    assert math.isfinite(by_trees(graph_of(7, factors=(implies, table))).log_z)


@pytest.mark.parametrize("seed", range(5))
def test_strong_weights_keep_precision(seed):
    graph = random_graph(seed, 10, tree=True, blocks=1, counts=1, scale=40.0)
    if graph.atom_count <= 14:
        assert_enumerated(graph)


def test_no_circuit_is_sought_for_deep_trees(monkeypatch):
    length = 60  # of a chain of hubs, with five pendants each
    hubs = np.repeat(np.arange(length), 5)
    pendants = int32(np.stack([hubs, np.arange(length, 6 * length)], axis=1))
    parts = chain(length, (False, True)), GroundFactors.of(pendants, (False, True), 1)
    graph = graph_of(6 * length, factors=parts)

    def no_order(*_: object) -> None:
        raise AssertionError("a circuit was sought")

    monkeypatch.setattr(templates, "eliminated", no_order)
    found, wanted = prepare(graph)(), by_trees(graph)
    assert [report.engine for report in found.reports] == ["exact: tree"]
    torch.testing.assert_close(found.log_odds, wanted.log_odds, atol=0, rtol=0)
