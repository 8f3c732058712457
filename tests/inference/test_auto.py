"""Every component goes to the engine that suits it, and the reports say so."""

from dataclasses import replace

import pytest
import torch

from knowreason.errors import InferenceError, UnknownNameError
from knowreason.factors import FactorGraph, GroundFactors
from knowreason.inference import infer
from knowreason.inference.auto import divide
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import random_graph


def joined(*graphs: FactorGraph) -> FactorGraph:
    """Graphs beside each other, with one ``theta``."""
    groups, start = [], 0
    for graph in graphs:
        groups += [replace(part, atoms=part.atoms + start) for part in graph.couplings]
        start += graph.atom_count
    return FactorGraph(
        log_odds=torch.cat([graph.log_odds for graph in graphs]),
        theta=graphs[0].theta,
        evidence=torch.cat([graph.evidence for graph in graphs]),
        factors=tuple(groups),
    )


def of_pairs(atoms: int, pairs) -> FactorGraph:
    generator = torch.Generator().manual_seed(atoms)
    agree = torch.tensor([1.0, 0.0, 0.0, 1.0])
    return FactorGraph(
        log_odds=torch.randn(atoms, generator=generator),
        theta=torch.tensor([0.4], dtype=torch.float64),
        evidence=torch.full((atoms,), -1, dtype=torch.int8),
        factors=(GroundFactors.of(torch.tensor(pairs, dtype=torch.int32), agree, 0),),
    )


def star(leaves: int) -> FactorGraph:
    return of_pairs(leaves + 1, [(0, j) for j in range(1, leaves + 1)])


def ring(atoms: int) -> FactorGraph:
    return of_pairs(atoms, [(j, (j + 1) % atoms) for j in range(atoms)])


def clique(atoms: int) -> FactorGraph:
    return of_pairs(atoms, [(i, j) for i in range(atoms) for j in range(i)])


def test_each_component_its_engine():
    graph = joined(ring(3), star(30), ring(40), clique(36))
    posterior = infer(graph)
    assert [(r.engine, r.components, r.atoms) for r in posterior.reports[:3]] == [
        ("exact: tree", 1, 31),
        ("exact: template", 1, 3),
        ("exact: junction tree", 1, 40),
    ]
    assert posterior.reports[3].atoms == 36
    assert not posterior.reports[3].engine.startswith("exact")
    assert posterior.log_z_kind == "estimate"
    parts = [infer(part).log_odds for part in (ring(3), star(30), ring(40))]
    torch.testing.assert_close(posterior.log_odds[:74], torch.cat(parts), atol=1e-9, rtol=0)


def test_what_is_too_wide_is_approximated():
    truth = infer(clique(12), "exact").probabilities
    posterior = infer(clique(12), width=4, states=8)
    assert not posterior.reports[0].engine.startswith("exact")
    assert (posterior.probabilities - truth).abs().max() < 0.2


@pytest.mark.parametrize(
    ("options", "engine"), [({}, "junction tree"), ({"width": 13}, "template")]
)
def test_dense_components_are_one_clique_or_a_table_of_states(options, engine):
    posterior = infer(clique(14), "exact", **options)
    assert [report.engine for report in posterior.reports] == [f"exact: {engine}"]
    assert posterior.log_z == pytest.approx(enumerate_worlds(clique(14)).log_z, abs=1e-6)


def test_all_exact_is_called_exact():
    posterior = infer(joined(ring(3), ring(40)))
    assert posterior.log_z_kind == "exact"
    assert posterior.converged


def test_exact_refuses_what_auto_approximates():
    with pytest.raises(InferenceError, match="KR704"):
        infer(clique(36), "exact")


def test_divided_once_called_often():
    graph = random_graph(2, 12, factors=20, blocks=1, counts=1)
    divided = divide(graph, width=2, states=4)
    moved = graph.theta + 0.3
    again = divide(graph.with_theta(moved), width=2, states=4)()
    torch.testing.assert_close(divided(moved).log_odds, again.log_odds)
    torch.testing.assert_close(divided(moved).expectations, again.expectations)


def test_unknown_engines_are_named():
    with pytest.raises(UnknownNameError, match="exact"):
        infer(ring(3), "exakt")


def contradiction() -> FactorGraph:
    """Four two-literal clauses, each needed; a fifth rule has nothing to do with it."""
    pairs = torch.tensor([[0, 1]], dtype=torch.int32)
    signs = [(True, True), (True, False), (False, True), (False, False)]
    groups = [GroundFactors.of(pairs, (s), None, rule=10 + i) for i, s in enumerate(signs)]
    beside = GroundFactors.of(torch.tensor([[1, 2]], dtype=torch.int32), (True, True), None, rule=3)
    return FactorGraph(
        log_odds=torch.zeros(3),
        theta=torch.zeros(1, dtype=torch.float64),
        evidence=torch.full((3,), -1, dtype=torch.int8),
        factors=(
            *groups,
            beside,
        ),
    )


def test_a_smallest_conflicting_set_is_named():
    with pytest.raises(InferenceError) as caught:
        infer(contradiction())
    assert caught.value.code == "KR702"
    assert caught.value.rules == (10, 11, 12, 13)
    assert "rule 10, rule 11, rule 12 and rule 13" in str(caught.value)
    with pytest.raises(InferenceError, match="KR702"):
        enumerate_worlds(contradiction())


@pytest.mark.parametrize("length", [6, 30])
def test_conflicts_in_trees_and_junction_trees_are_named(length):
    """A ring of implications that must also differ somewhere."""
    around = [(j, (j + 1) % length) for j in range(length)]
    implies = GroundFactors.of(torch.tensor(around).int(), (False, True), None, rule=1)
    differ = GroundFactors.of(
        torch.tensor([[0, length // 2]]).int(), (torch.tensor([0.0, 1, 1, 0])), None, rule=2
    )
    graph = FactorGraph(
        torch.zeros(length),
        torch.zeros(1, dtype=torch.float64),
        torch.full((length,), -1, dtype=torch.int8),
        (implies, differ),
    )
    with pytest.raises(InferenceError) as caught:
        infer(graph)
    assert caught.value.rules == (1, 2)
