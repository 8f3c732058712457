"""Building ``count``, ``sum``, ``avg``, ``min``, ``max`` and ``rate``."""

from __future__ import annotations

from typing import cast

from knowreason import logic as lg
from knowreason.lang.check.symbols import a_sort, is_capital
from knowreason.lang.check.units import MEASURES, NUMBERS, ORDERED
from knowreason.lang.check.variable_scopes import ExpressionBuilder, knows_sort, variable
from knowreason.lang.syntax import nodes as sx

FORMULAS = (sx.NotNode, sx.Connective, sx.Quantified, sx.Chain, sx.MemberNode)


def count_list(builder: ExpressionBuilder, node: sx.CountListNode) -> lg.CountList | None:
    """``count { F1, F2 }``."""
    first = node.formulas[0]
    if (
        isinstance(first, sx.Connective)
        and first.operator == "|"
        and isinstance(first.left, sx.Name)
    ):
        builder.names.report(
            "KR101", "expected `:` behind the variables", first.span, help="write `count { x : F }`"
        )
        return None
    formulas = [builder.formula(formula) for formula in node.formulas]
    if any(formula is None for formula in formulas):
        return None
    return lg.CountList(tuple(cast("list[lg.Formula]", formulas)), span=node.span)


def aggregate(builder: ExpressionBuilder, node: sx.AggregateNode) -> lg.Aggregate | None:
    """Any aggregate with bound variables."""
    report = builder.names.report
    if not builder.crisp and (node.kind != "count" or node.last is not None):
        report(
            "KR409",
            f"`{node.kind}` stands only in a definition"
            if node.kind != "count"
            else "`last` stands only in a definition",
            node.span,
            help="give it a name with `define` and use the name",
        )
        return None
    strangers = [item for item in node.bound if not isinstance(item, sx.Name)]
    for item in strangers:
        report(
            "KR101",
            "expected variables before `:`",
            item.span,
            help="`count { x, y : F }` counts settings, `count { F1, F2 }` a list",
        )
    last = _number(builder, node.last, ("int",), "last")
    prior = _number(builder, node.prior, NUMBERS, "prior")
    strength = _number(builder, node.strength, NUMBERS, "of")
    frame = builder.scope.binders[id(node)]
    builder.frames.append(frame)
    builder.aggregates += 1
    body = builder.formula(node.body)
    value = _value(builder, node)
    by = _number(builder, node.by, ORDERED, "by")
    builder.aggregates -= 1
    builder.frames.pop()
    wanted = ((node.last, last), (node.prior, prior), (node.strength, strength), (node.by, by))
    faulty = any(written is not None and built is None for written, built in wanted)
    sort = _sort(node, value)
    sorted_all = all(knows_sort(bound) for bound in frame.values())
    if strangers or faulty or body is None or sort is None or not sorted_all:
        return None
    variables = tuple(variable(bound) for bound in frame.values())
    return lg.Aggregate(
        node.kind,
        value,
        variables,
        body,
        sort,
        last,
        by,
        prior,
        strength,
        span=node.span,
    )


def _value(builder: ExpressionBuilder, node: sx.AggregateNode) -> lg.Term | lg.Formula | None:
    """What is aggregated: a formula counts 0 or 1, and ``rate`` takes nothing else."""
    written = node.value
    if written is None:
        return None
    if node.kind == "rate" or _is_formula(builder, written):
        formula = builder.formula(written)
        if formula is not None and node.kind in ("min", "max"):
            builder.names.report(
                "KR209", f"`{node.kind}` takes a number, not a formula", written.span
            )
            return None
        return formula
    term = builder.term(written)
    allowed = ORDERED if node.kind in ("min", "max") else MEASURES
    if term is not None and term.sort not in allowed:
        builder.names.report(
            "KR209", f"`{node.kind}` takes a number, not {a_sort(term.sort)}", written.span
        )
        return None
    return term


def _is_formula(builder: ExpressionBuilder, node: sx.Expression) -> bool:
    if isinstance(node, sx.Call):
        symbol = builder.names.symbols.get(node.name)
        return is_capital(node.name) or (symbol is not None and symbol.result == "bool")
    return isinstance(node, FORMULAS) or (isinstance(node, sx.LiteralNode) and node.kind == "bool")


def _sort(node: sx.AggregateNode, value: lg.Term | lg.Formula | None) -> str | None:
    if node.kind == "count":
        return "int"
    if value is None:
        return None
    if node.kind == "rate":
        return "float"
    sort = getattr(value, "sort", "int")
    if node.kind == "avg":
        return "duration" if sort == "duration" else "float"
    return cast(str, sort)


def _number(
    builder: ExpressionBuilder, node: sx.Expression | None, allowed: tuple[str, ...], word: str
) -> lg.Term | None:
    if node is None:
        return None
    term = builder.term(node)
    if term is not None and term.sort not in allowed:
        builder.names.report(
            "KR209",
            f"after `{word}` {a_sort(allowed[-1])} is expected, not {a_sort(term.sort)}",
            node.span,
        )
        return None
    return term
