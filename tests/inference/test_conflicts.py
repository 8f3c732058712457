"""Hard rules that cannot hold together: which are named, by every engine that finds them."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from knowreason.errors import InferenceError
from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.condition import condition
from knowreason.factors.energy import holds
from knowreason.inference import infer
from knowreason.inference.exact.conflicts import conflict, find_conflict, quick_explain
from knowreason.inference.exact.exact import is_possible, prepare


def clause(atoms, signs, rule, parameter=None) -> GroundFactors:
    return GroundFactors.of(torch.tensor([atoms]).int(), tuple(signs), parameter, rule=rule)


def graph_of(atoms: int, *factors: GroundFactors, blocks: Blocks | None = None) -> FactorGraph:
    return FactorGraph(
        torch.zeros(atoms),
        torch.zeros(1, dtype=torch.float64),
        torch.full((atoms,), -1, dtype=torch.int8),
        factors,
        blocks or Blocks.none(),
    )


def exactly_one(*blocks: list[int]) -> Blocks:
    return Blocks(
        torch.tensor(np.cumsum([0, *map(len, blocks)])),
        torch.tensor([atom for block in blocks for atom in block]).int(),
        torch.zeros(len(blocks), dtype=torch.bool),
    )


def square(first: int = 0) -> list[GroundFactors]:
    """Two rules, ``a <=> b`` and ``a <=> !b``, each of two clauses."""
    a, b = first, first + 1
    return [
        clause([a, b], [True, False], 0),
        clause([a, b], [False, True], 0),
        clause([a, b], [True, True], 1),
        clause([a, b], [False, False], 1),
    ]


def caught(call, *args, **options) -> InferenceError:
    with pytest.raises(InferenceError) as error:
        call(*args, **options)
    return error.value


def test_rules_are_named_once_from_rule_zero_on():
    error = caught(infer, graph_of(2, *square()), "exact")
    assert error.code == "KR702"
    assert error.rules == (0, 1)
    assert "rule 0 and rule 1 together with the evidence, in a component of 2 atoms" in str(error)


def test_one_rule_can_contradict_itself():
    rows = square()
    alone = [clause(part.atoms[0].tolist(), part.row_signs.tolist(), 5) for part in rows]
    error = caught(infer, graph_of(2, *alone), "exact")
    assert error.rules == (5,)
    assert "no world satisfies rule 5 together" in str(error)


def test_soft_rules_and_other_components_have_no_part_in_it():
    beside = [
        clause([1, 2], [False, True], 7, parameter=0),
        clause([2, 3], [True, True], 8),
        clause([4, 5], [True, True], 9),
    ]
    error = caught(infer, graph_of(6, *square(), *beside), "exact")
    assert error.rules == (0, 1)
    assert "in a component of 4 atoms" in str(error)


def test_rows_without_a_label_are_called_that():
    blocks = exactly_one([0, 1], [2, 3])
    rows = [
        clause([0, 2], [False, False], 4),
        clause([0, 3], [False, False], 4),
        clause([1, 2], [False, False], -1),
        clause([1, 3], [False, False], -1),
    ]
    error = caught(infer, graph_of(4, *rows, blocks=blocks), "exact")
    assert error.rules == (-1, 4)
    assert "no world satisfies rule 4 and rows without a rule together" in str(error)


def test_blocks_alone_cannot_conflict_but_with_one_rule_they_can():
    blocks = exactly_one([0, 1], [2, 3])
    bars = [clause([a, b], [False, False], 2) for a in (0, 1) for b in (2, 3)]
    error = caught(infer, graph_of(4, *bars, blocks=blocks), "exact")
    assert error.rules == (2,)
    assert "in a component of 4 atoms" in str(error)


def test_the_filter_asks_about_each_rule():
    """A stand-in for the solver: impossible wherever rules 2 and 6 are both there."""
    rows = [clause([0, 1], [True, True], rule) for rule in (6, 2, 4, 2)]
    asked = []

    def possible(graph: FactorGraph) -> bool:
        rules = {part.rule for part in graph.factors}
        asked.append(rules)
        assert not graph.log_odds.any()
        return not {2, 6} <= rules

    error = conflict(graph_of(3, *rows), np.array([True, True, False]), possible)
    assert error.rules == (2, 6)
    assert asked == [{4, 6}, {2, 6}, {2}]
    assert "in a component of 2 atoms" in str(error)


@pytest.mark.parametrize("states", [1 << 16, 1])
def test_whoever_solves_it_says_the_same(states):
    graph = graph_of(2, *square())
    assert caught(infer, graph, "exact", states=states).rules == (0, 1)
    assert caught(infer, graph, "auto", states=states).rules == (0, 1)


def test_what_evidence_contradicts_is_counted_by_rule():
    evidence = torch.tensor([1, 0, 0, -1], dtype=torch.int8)
    rows = [
        clause([0, 1], [False, True], 3),
        clause([0, 2], [False, True], 1),
        clause([1, 2], [True, True], 3),
    ]
    graph = graph_of(4, *rows).with_evidence(evidence)
    for call in (condition, prepare, lambda graph: infer(graph, "bp")):
        error = caught(call, graph)
        assert error.code == "KR703"
        assert error.rules == (1, 3)
        text = "the evidence contradicts 3 hard groundings: 1 of rule 1, 2 of rule 3"
        assert text in str(error)
    single = graph_of(4, rows[0]).with_evidence(evidence)
    assert "contradicts 1 hard grounding: 1 of rule 3" in str(caught(condition, single))


@pytest.mark.parametrize("states", [[1, 1, -1], [0, 0, 0]])
def test_blocks_that_evidence_breaks(states):
    graph = graph_of(3, blocks=exactly_one([0, 1, 2]))
    error = caught(condition, graph.with_evidence(torch.tensor(states, dtype=torch.int8)))
    assert (error.code, error.rules) == ("KR703", ())
    assert "contradicts 1 functional block (exactly or at most one true)" in str(error)
    row = clause([0, 1], [True, True] if not any(states) else [False, False], -1)
    error = caught(condition, graph_of(3, row).with_evidence(torch.tensor(states).char()))
    assert "contradicts 1 hard grounding: 1 of rows without a rule" in str(error)


def test_possible_and_impossible():
    assert is_possible(graph_of(2, *square()[:3]))
    assert not is_possible(graph_of(2, *square()))
    assert not is_possible(graph_of(1, clause([0], [True], 0), clause([0], [False], 1)))


@given(st.integers(1, 12), st.sets(st.frozensets(st.integers(0, 11), min_size=1, max_size=4)))
def test_quick_explain_finds_items_of_which_none_can_go(count, clashes):
    asked = set()

    def clash(some: list[int]) -> bool:
        asked.add(tuple(sorted(some)))
        return any(one <= set(some) for one in clashes)

    items = list(range(count))
    if not clash(items):
        return
    found = quick_explain(items, clash)
    assert clash(found)
    assert not any(clash([i for i in found if i != item]) for item in found)


def possible(graph: FactorGraph) -> bool:
    """By listing every world."""
    worlds = torch.tensor(list(product([0, 1], repeat=graph.atom_count))).char()
    return bool(holds(graph, worlds).any())


@st.composite
def hard_graphs(draw):
    atoms = 5
    rows = draw(
        st.lists(
            st.tuples(st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True), bools),
            max_size=9,
        )
    )
    factors = [clause(sorted(a), signs[: len(a)], i % 4) for i, (a, signs) in enumerate(rows)]
    factors.append(clause([0, 1], [True, True], 9, parameter=0))
    offsets, inside = torch.tensor([0, 3]), torch.tensor([0, 1, 2]).int()
    lower, upper = draw(st.sampled_from([(0, 0), (1, 1), (2, 3)]))
    bounds = torch.tensor([lower]).int(), torch.tensor([upper]).int()
    factors.append(GroundFactors.counts(offsets, inside, torch.ones(3).bool(), *bounds, rule=5))
    blocks = exactly_one([2, 3]) if draw(st.booleans()) else None
    evidence = draw(st.lists(st.sampled_from([-1, -1, 0, 1]), min_size=atoms, max_size=atoms))
    graph = graph_of(atoms, *factors, blocks=blocks)
    return graph.with_evidence(torch.tensor(evidence).char())


bools = st.lists(st.booleans(), min_size=3, max_size=3)


@given(hard_graphs())
def test_a_conflict_is_one_and_all_of_it_is_needed(graph):
    found = find_conflict(graph, is_possible)
    if possible(graph):
        assert found is None
        return
    assert found is not None
    assert found.minimal
    parts = [*found.rows, *((-1, block) for block in found.blocks)]
    assert not possible(only(graph, parts, found.given))
    for left_out in parts:
        assert possible(only(graph, [part for part in parts if part != left_out], found.given))
    for known in found.given:
        assert possible(only(graph, parts, [atom for atom in found.given if atom != known]))


def only(graph: FactorGraph, parts, given) -> FactorGraph:
    rows = [(place, row) for place, row in parts if place >= 0]
    evidence = torch.full_like(graph.evidence, -1)
    evidence[list(given)] = graph.evidence[list(given)]
    return FactorGraph(
        graph.log_odds,
        graph.theta,
        evidence,
        tuple(graph.factors[place].take(np.array([row])) for place, row in rows),
        graph.blocks.take(np.array([row for place, row in parts if place < 0], np.int64)),
    )


def test_few_questions_find_three_rows_among_many():
    """A chain of implications from what is given, between thousands of other rows."""
    n = 3_000
    chain = torch.stack([torch.arange(n - 1), torch.arange(1, n)], 1).int()
    rows = GroundFactors.of(chain, (True, True), None, rule=1)  # neighbours: one of them holds
    bans = clause([7], [False], 2), clause([8], [False], 2)
    asked = []

    def counted(graph: FactorGraph) -> bool:
        asked.append(graph)
        return is_possible(graph)

    found = find_conflict(graph_of(n, rows, *bans), counted)
    assert found is not None
    assert found.rows == ((0, 7), (1, 0), (2, 0))
    assert len(asked) < 80
