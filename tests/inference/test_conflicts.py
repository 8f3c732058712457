"""Hard rules that cannot hold together: which are named, by every engine that finds them."""

import numpy as np
import pytest
import torch

from knowreason.errors import InferenceError
from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.condition import condition
from knowreason.inference import infer
from knowreason.inference.exact.conflicts import conflict
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


def test_rows_without_a_label_are_the_functional_predicates():
    blocks = exactly_one([0, 1], [2, 3])
    rows = [
        clause([0, 2], [False, False], 4),
        clause([0, 3], [False, False], 4),
        clause([1, 2], [False, False], -1),
        clause([1, 3], [False, False], -1),
    ]
    error = caught(infer, graph_of(4, *rows, blocks=blocks), "exact")
    assert error.rules == (-1, 4)
    assert "no world satisfies rule 4 and the functional predicates together" in str(error)


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
    assert (error.code, error.rules) == ("KR703", (-1,))
    assert "1 of the functional predicates" in str(error)


def test_possible_and_impossible():
    assert is_possible(graph_of(2, *square()[:3]))
    assert not is_possible(graph_of(2, *square()))
    assert not is_possible(graph_of(1, clause([0], [True], 0), clause([0], [False], 1)))
