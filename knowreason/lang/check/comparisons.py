"""Building comparisons, chains of them, sets, and choices between values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from knowreason import logic as lg
from knowreason.diagnostics import Span
from knowreason.lang.check.aggregate_terms import FORMULAS
from knowreason.lang.check.symbols import a_sort, is_capital, is_thing
from knowreason.lang.check.units import common_sort, comparable
from knowreason.lang.check.variable_scopes import ExpressionBuilder
from knowreason.lang.syntax import nodes as sx
from knowreason.logic.formulas import ComparisonOperator


def comparisons(builder: ExpressionBuilder, node: sx.Chain) -> lg.Formula | None:
    """A comparison, or the conjunction that a chain of them says."""
    if _is_arrow(builder, node):
        return None
    if len(node.operators) > 1 and "!=" in node.operators:
        builder.names.report(
            "KR108",
            "`!=` cannot be chained",
            node.span,
            help="write the comparisons one by one, joined with `&`",
        )
        return None
    terms = _operands(builder, node)
    if terms is None:
        return None
    parts = [
        comparison
        for i, operator in enumerate(node.operators)
        if (comparison := _comparison(builder, node, i, operator, terms)) is not None
    ]
    if len(parts) < len(node.operators):
        return None
    return parts[0] if len(parts) == 1 else lg.And(tuple(parts), span=node.span)


def membership(builder: ExpressionBuilder, node: sx.MemberNode) -> lg.Comparison | None:
    """``value in { "a", "b" }``."""
    value = builder.term(node.value)
    members = [_member(builder, node, member, value) for member in node.members]
    if value is None or any(member is None for member in members):
        return None
    listed = tuple(cast("list[lg.Constant | lg.ParameterTerm]", members))
    return lg.Comparison("in", value, lg.ConstantSet(listed, value.sort), span=node.span)


def _member(
    builder: ExpressionBuilder,
    node: sx.MemberNode,
    member: sx.LiteralNode | sx.Name,
    value: lg.Term | None,
) -> lg.Term | None:
    """One of the constants, of the sort that the value has."""
    names = builder.names
    if isinstance(member, sx.Name) and member.text not in names.literals:
        names.report(
            "KR105",
            f"`{member.text}` is no constant, and a set lists constants",
            member.span,
            help=f'write `"{member.text}"` for the text, `... = {member.text}` for a variable',
        )
        return None
    term = None if value is None else builder.term(member, value.sort)
    message = None if term is None or value is None else comparable("=", value, term)
    if message is None or term is None or value is None:
        return term
    names.report(
        "KR213" if is_thing(value.sort) else "KR209",
        message[0],
        member.span,
        a_sort(term.sort),
        related=[(node.value.span, a_sort(value.sort))],
        help=message[1],
    )
    return None


def _is_arrow(builder: ExpressionBuilder, node: sx.Chain) -> bool:
    """Whether this is ``head <- body`` of another language; reports it."""
    left, right = node.operands[:2]
    arrow = (
        isinstance(left, sx.Call)
        and is_capital(left.name)
        and isinstance(right, sx.Negative)
        and node.operators[0] == "<"
    )
    if arrow:
        start = right.span.start
        builder.names.report(
            "KR103",
            "`<-` is not part of the language",
            Span(node.span.source, start - 1, start + 1),
            help="write the conclusion last: `body => head`",
        )
    return arrow


def _operands(builder: ExpressionBuilder, node: sx.Chain) -> list[lg.Term] | None:
    """Terms of a chain; literals take the sort of the first operand that has one."""
    built: list[lg.Term | None] = [None] * len(node.operands)
    counted: list[Span] = []
    expected: str | None = None
    order = sorted(range(len(built)), key=lambda i: is_pliant(builder, node.operands[i]))
    faulty = False
    for i in order:
        before = len(builder.opens)
        operand = node.operands[i]
        direct = operand.__class__ in (sx.AggregateNode, sx.CountListNode)
        term = built[i] = builder.term(operand, expected, direct=direct)
        if len(builder.opens) > before:
            counted.append(operand.span)
        faulty = faulty or term is None
        if expected is None and term is not None:
            expected = term.sort
    if faulty or not _countable(builder, node, cast("list[lg.Term]", built), counted):
        return None
    return cast("list[lg.Term]", built)


def _countable(
    builder: ExpressionBuilder, node: sx.Chain, terms: Sequence[lg.Term], counted: Sequence[Span]
) -> bool:
    """Whether at most one side counts unknowns, against whole numbers; reports it if not."""
    if len(counted) > 1:
        builder.names.report(
            "KR410",
            "both sides of this comparison count unknowns",
            counted[1],
            related=[(counted[0], "the other side")],
            help="compare each with an expression over observed things",
        )
        return False
    for term, operand in zip(terms, node.operands, strict=True):
        if counted and term.sort != "int":
            builder.names.report(
                "KR410",
                "unknowns are counted against a whole number",
                operand.span,
                a_sort(term.sort),
                related=[(counted[0], "counted here")],
                help="`floor(...)` makes one",
            )
            return False
    return True


def is_pliant(builder: ExpressionBuilder, node: sx.Expression) -> bool:
    """Whether the sort of an operand depends on what it is compared with."""
    if node.__class__ is sx.LiteralNode:
        return node.kind in ("string", "number")
    if node.__class__ is sx.Name:
        return builder.names.literals.get(node.text) in ("string", "int")
    return False


def _comparison(
    builder: ExpressionBuilder,
    node: sx.Chain,
    index: int,
    operator: ComparisonOperator,
    terms: Sequence[lg.Term],
) -> lg.Comparison | None:
    left, right = terms[index], terms[index + 1]
    message = comparable(operator, left, right)
    if message is None:
        first, second = node.operands[index].span, node.operands[index + 1].span
        span = Span(first.source, first.start, second.end)
        return lg.Comparison(operator, left, right, span=span)
    text, help_line = message
    code = "KR213" if is_thing(left.sort) or is_thing(right.sort) else "KR209"
    builder.names.report(
        code,
        text,
        node.operands[index + 1].span,
        a_sort(right.sort),
        related=[(node.operands[index].span, a_sort(left.sort))],
        help=help_line,
    )
    return None


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
