"""Folding evidence changes nothing but the size of the graph."""

import pytest
import torch
from hypothesis import given, settings

from knowreason.errors import InferenceError
from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.condition import clamp, condition
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph


def open_graph(atoms: int, **parts) -> FactorGraph:
    return FactorGraph(
        log_odds=torch.linspace(-1, 1, atoms),
        theta=torch.tensor([1.5, -0.5], dtype=torch.float64),
        evidence=torch.full((atoms,), -1, dtype=torch.int8),
        **parts,
    )


def int32(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)


def assert_same(left: FactorGraph, right: FactorGraph) -> None:
    a, b = enumerate_worlds(left), enumerate_worlds(right)
    assert a.log_z == pytest.approx(b.log_z, abs=1e-6)
    torch.testing.assert_close(a.log_odds, b.log_odds, atol=1e-6, rtol=1e-9)
    torch.testing.assert_close(a.expectations, b.expectations, atol=1e-6, rtol=0)


@settings(max_examples=80)
@given(factor_graphs(7))
def test_conditioning_keeps_the_distribution(graph):
    folded = condition(graph)
    assert_same(graph, folded)
    decided = folded.evidence != -1
    for part in (*folded.factors, folded.blocks):
        assert not decided[part.atoms.long()].any()
    for part in folded.factors:
        assert not decided[torch.from_numpy(part.targets()[part.targets() >= 0])].any()


@settings(max_examples=25)
@given(factor_graphs(7))
def test_conditioning_twice_is_conditioning_once(graph):
    once = condition(graph)
    twice = condition(once)
    assert torch.equal(once.evidence, twice.evidence)
    assert_same(once, twice)


@settings(max_examples=25)
@given(factor_graphs(7, tree=True))
def test_conditioning_trees(graph):
    if int((graph.evidence == -1).sum()) <= 14:
        assert_same(graph, condition(graph))


def test_hard_implications_propagate_to_the_end():
    steps = torch.stack([torch.arange(9), torch.arange(1, 10)], 1).to(torch.int32)
    graph = open_graph(10, factors=(GroundFactors.of(steps, (False, True), None),))
    labels = torch.full((10,), -1, dtype=torch.int8)
    labels[3] = 1
    folded = condition(clamp(graph, labels))
    assert folded.evidence.tolist() == [-1] * 3 + [1] * 7
    assert sum(group.rows for group in folded.couplings) == 2


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize(("lower", "upper"), [(0, 1), (2, 3), (1, 2), (1, 1), (3, 3), (4, 5)])
def test_counts_with_a_known_target(lower, upper, target):
    counts = GroundFactors.counts(
        torch.tensor([0, 3]),
        int32(0, 1, 2),
        torch.tensor([True, False, True]),
        int32(lower),
        int32(upper),
        int32(3),
    )
    graph = open_graph(4, factors=(counts,))
    graph = graph.with_evidence(torch.tensor([-1, -1, -1, target], dtype=torch.int8))
    if lower > 3 and target:
        with pytest.raises(InferenceError, match="KR703"):
            condition(graph)
    else:
        assert_same(graph, condition(graph))


def test_violated_rows_are_counted_and_named():
    clause = GroundFactors.of(torch.tensor([[0, 1], [1, 2]]).int(), (True, True), None, rule=4)
    graph = open_graph(3, factors=(clause,)).with_evidence(torch.zeros(3, dtype=torch.int8))
    with pytest.raises(InferenceError, match="2 hard groundings: 2 of rule 4") as caught:
        condition(graph)
    assert caught.value.rules == (4,)
    assert caught.value.code == "KR703"


def test_nothing_to_fold_keeps_the_groups():
    graph = random_graph(5, 6, hard=0, tables=0, clause_lists=0)
    assert condition(graph).factors == graph.factors


def test_a_soft_clause_of_one_atom_becomes_a_unit():
    both = torch.tensor([[0], [1]], dtype=torch.int32)
    soft = open_graph(2, factors=(GroundFactors.of(both, (False,), 0),))
    folded = condition(soft)
    assert all(part.is_unit for part in folded.factors)
    assert sum(part.rows for part in folded.factors) == 2
    assert_same(soft, folded)
