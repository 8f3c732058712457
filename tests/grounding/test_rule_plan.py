"""What guards a rule's groundings and what is left to fold."""

from textwrap import dedent

import pytest

from knowreason.errors import GroundingError
from knowreason.grounding.plan.formula_tree import (
    All,
    Any_,
    Crisp,
    OpenCount,
    OpenLiteral,
    Same,
    skeleton,
)
from knowreason.grounding.plan.rule_plan import clause_parts, plan_rule
from knowreason.lang import loads
from knowreason.logic import Aggregate, Atom, Comparison, Constant, Operation, Variable
from knowreason.logic.canonical_text import formula_text

DECLARED = """
domain A
observed E(A, A)
observed R(A)
observed Near(A, A)
attribute n(A): int
query S(A)
query T(A)
query W(A, A) within Near
"""


def planned(rule):
    return plan_rule(loads(dedent(DECLARED) + rule + "\n"), 0)


@pytest.mark.parametrize(
    ("formula", "guards", "literals"),
    [
        ("S(x) & E(x, y) => S(y)", ["E(x, y)"], ["!S(x)", "S(y)"]),
        ("E(x, y) & n(x) > 2 => S(y) | !R(y)", ["E(x, y)", "n(x) > 2", "R(y)"], ["S(y)"]),
        ("W(x, y) & S(x) => S(y)", ["Near(x, y)"], ["!W(x, y)", "!S(x)", "S(y)"]),
        ("W(x, y)", ["Near(x, y)"], ["W(x, y)"]),
        ("!W(x, y)", ["Near(x, y)"], ["!W(x, y)"]),
        ("S(x) | W(x, y)", [], ["S(x)", "W(x, y)"]),
        ("S(x) & R(x)", ["R(x)"], ["S(x)"]),
        ("R(x) => (E(x, y) & S(y))", ["R(x)", "E(x, y)"], ["S(y)"]),
        ("!(R(x) & S(x))", ["R(x)"], ["!S(x)"]),
    ],
)
def test_guards(formula, guards, literals):
    plan = planned(f"rule r : {formula}")
    assert [formula_text(guard) for guard in plan.guards] == guards
    parts = clause_parts(plan.residual)
    texts = [("" if p.positive else "!") + formula_text(p.atom) for p in parts]
    assert texts == literals
    assert not plan.decided


def test_hard_rules_keep_what_could_be_violated():
    plan = planned("rule r [hard] : E(x, y) => R(x) & S(y)")
    assert [formula_text(guard) for guard in plan.guards] == ["E(x, y)"]
    assert isinstance(plan.residual, All)
    assert isinstance(plan.residual.parts[0], Crisp)


def test_quantifiers_become_counts():
    plan = planned("rule r : (forall y. (E(x, y) => S(y))) => T(x)")
    tally, consequence = clause_parts(plan.residual)
    assert isinstance(consequence, OpenLiteral)
    assert isinstance(tally, OpenCount)
    assert (tally.lower, tally.upper, tally.positive) == (None, 0, False)
    assert tally.is_exists  # some counterexample
    assert isinstance(tally.entries[0], All)


def test_two_bounds_are_one_interval():
    plan = planned("rule r : T(x) <=> 1 <= count { y : S(y) } <= n(x)")
    assert isinstance(plan.residual, Same)
    tally = plan.residual.right.parts[0]
    assert tally.lower == 1
    assert formula_text(tally.upper) == "n(x)"


def test_wildcards_over_unknowns_are_existential():
    plan = planned("rule r : W(x, _) => S(x)")
    tally, _ = clause_parts(plan.residual)
    assert not tally.positive
    assert tally.lower == 1


def test_observed_rules_are_decided():
    plan = planned("rule r [1] : E(x, y) => R(x)")
    assert plan.decided
    assert plan.residual == Any_(())


def test_counts_stand_by_themselves():
    program = loads(dedent(DECLARED))
    x = Variable("x", "A")
    counted = Aggregate("count", None, (x,), Atom("S", (x,)), "int")
    one = Constant(1, "int")
    wrong = Comparison("<=", Operation("+", (counted, one), "int"), one)
    with pytest.raises(GroundingError, match="by itself on one side"):
        skeleton(wrong, program)
