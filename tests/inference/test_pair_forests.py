"""Trees of soft pairs against enumeration, the solver of all trees, and loops left alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.components.connected import components
from knowreason.factors.components.shapes import FlatRows
from knowreason.factors.condition import condition
from knowreason.inference.exact import pair_forests
from knowreason.inference.exact.exact import Prepared, prepare
from knowreason.inference.exact.pair_forests import PairForest
from knowreason.inference.posterior import Posterior
from knowreason.testing.oracle import enumerate_worlds
from tests.inference.test_trees import by_trees
from tests.strategies import factor_graphs


@pytest.fixture(autouse=True)
def however_few(monkeypatch):
    monkeypatch.setattr(pair_forests, "FEW", 0)


def by_pairs(graph: FactorGraph) -> tuple[Posterior, np.ndarray] | None:
    """The posterior of the components that are trees of soft pairs, and their atoms."""
    folded = condition(graph)
    labels, count = components(folded)
    sizes = np.bincount(labels[labels >= 0], minlength=count)
    solver = PairForest.prepare(folded, labels, sizes)
    if solver is None:
        return None
    everything = torch.ones(folded.atom_count, dtype=torch.bool)
    label = torch.from_numpy(labels)
    rows = FlatRows.of(folded)
    return Prepared(folded, label, count, everything, (solver,), rows)(), solver.order


def random_tree(atoms: int, seed: int, twice: float = 0.5) -> FactorGraph:
    """A tree over shuffled atoms whose edges have one row or several, of two rules and a table."""
    rng = np.random.default_rng(seed)
    up = np.array([int(rng.integers(max(0, i - 20), i)) for i in range(1, atoms)])
    edges = rng.permutation(atoms)[np.stack([np.arange(1, atoms), up], 1)]
    again = edges[rng.random(len(edges)) < twice]
    turned = again[:, ::-1].copy()
    table = torch.tensor([0.3, -1.0, 2.0, 0.1])
    value = torch.from_numpy(rng.normal(0, 1, len(again)))
    ints = [torch.from_numpy(rows).int() for rows in (edges, turned, again)]
    return FactorGraph(
        log_odds=torch.from_numpy(rng.normal(0, 1, atoms)).float(),
        theta=torch.tensor([1.3, -0.7, 2.0], dtype=torch.float64),
        evidence=torch.full((atoms,), -1, dtype=torch.int8),
        factors=(
            GroundFactors.of(ints[0], (False, True), 0),
            GroundFactors.of(ints[1], (True, True), 1, value),
            GroundFactors.of(ints[2], table, 2),
            GroundFactors.units(torch.arange(atoms).int(), 1),
        ),
    )


@settings(max_examples=60)
@given(factor_graphs(9, tree=True))
def test_pairs_are_enumeration(graph):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_forests, "LEAST", 1)
        patch.setattr(pair_forests, "FEW", 0)
        found = by_pairs(graph)
    if found is None or int((condition(graph).evidence == -1).sum()) > 12:
        return
    posterior, atoms = found
    truth = enumerate_worlds(graph)
    torch.testing.assert_close(posterior.log_odds[atoms], truth.log_odds[atoms], atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_a_tree_is_what_the_solver_of_all_trees_says(seed):
    graph = random_tree(3000, seed)
    found, trees = by_pairs(graph), by_trees(graph)
    assert found is not None
    assert trees is not None
    posterior, atoms = found
    assert len(atoms) == 3000
    assert posterior.log_z == pytest.approx(trees.log_z, rel=1e-12)
    torch.testing.assert_close(posterior.log_odds, trees.log_odds, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(posterior.expectations, trees.expectations, atol=1e-7, rtol=1e-9)


def test_strong_weights_and_a_large_star_stay_finite():
    leaves = torch.arange(1, 200_001).int()
    pairs = torch.stack([torch.zeros_like(leaves), leaves], 1)
    unit = GroundFactors.units(torch.arange(200_001).int(), 1)
    star = GroundFactors.of(pairs, (False, True), 0)
    log_odds, evidence = torch.zeros(200_001), torch.full((200_001,), -1, dtype=torch.int8)
    graph = FactorGraph(log_odds, torch.tensor([300.0, -2.0]).double(), evidence, (star, unit))
    posterior, _ = by_pairs(graph)
    assert torch.isfinite(posterior.log_odds).all()
    assert posterior.log_odds[0] == -700  # clipped
    assert posterior.log_odds[7] == pytest.approx(-2.0, abs=1e-9)


def test_loops_blocks_and_hard_rows_are_left_to_others():
    ring = np.stack([np.arange(20), (np.arange(20) + 1) % 20], 1)
    chain = ring[:-1] + 20
    hard = ring[:-1] + 40
    graph = FactorGraph(
        log_odds=torch.zeros(60),
        theta=torch.tensor([0.5]).double(),
        evidence=torch.full((60,), -1, dtype=torch.int8),
        factors=(
            GroundFactors.of(
                torch.from_numpy(np.concatenate([ring, chain])).int(), (False, True), 0
            ),
            GroundFactors.of(torch.from_numpy(hard).int(), (True, True), None),
        ),
    )
    _, atoms = by_pairs(graph)
    assert sorted(atoms.tolist()) == list(range(20, 40))
    assert prepare(graph).tractable.all()
