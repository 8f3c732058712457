"""Building ``if condition then one else other``."""

from __future__ import annotations

from knowreason import logic as lg
from knowreason.lang.check.aggregate_terms import FORMULAS
from knowreason.lang.check.comparisons import is_pliant
from knowreason.lang.check.symbols import a_sort, is_capital
from knowreason.lang.check.units import common_sort
from knowreason.lang.check.variable_scopes import ExpressionBuilder
from knowreason.lang.syntax import nodes as sx


def conditional(
    builder: ExpressionBuilder, node: sx.Choosing, expected: str | None
) -> lg.Conditional | None:
    """The term, or ``None`` where it is faulty; its condition is made of what is observed."""
    before = len(builder.opens)
    condition = builder.formula(node.condition)
    if len(builder.opens) > before:
        builder.names.report(
            "KR408",
            "this is unknown, and the condition of an `if` is made of what is observed",
            builder.opens[before],
            help="a rule says it with two formulas: `(C => A) & (!C => B)`",
        )
        return None
    for branch in (node.one, node.other):
        if isinstance(branch, FORMULAS) or (
            isinstance(branch, sx.Call) and is_capital(branch.name)
        ):
            builder.names.report(
                "KR212",
                "`if` chooses between values, and this is a formula",
                branch.span,
                "true or false, not a value",
                help="between formulas write `(C => A) & (!C => B)`",
            )
            return None
    branches: dict[bool, lg.Term | None] = {}
    for second in sorted((False, True), key=lambda s: is_pliant(builder, _branch(node, s))):
        branches[second] = term = builder.term(_branch(node, second), expected)
        expected = expected or (None if term is None else term.sort)
    one, other = branches[False], branches[True]
    if condition is None or one is None or other is None:
        return None
    sort = common_sort(one.sort, other.sort)
    if sort is None:
        builder.names.report(
            "KR209",
            f"one branch is {a_sort(one.sort)}, the other {a_sort(other.sort)}",
            node.other.span,
            a_sort(other.sort),
            related=[(node.one.span, a_sort(one.sort))],
            help="both branches of an `if` are values of one sort",
        )
        return None
    return lg.Conditional(condition, one, other, sort, span=node.span)


def _branch(node: sx.Choosing, second: bool) -> sx.Expression:
    return node.other if second else node.one
