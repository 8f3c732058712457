"""Built-in functions that are called as attributes are, and steps by months of the calendar."""

from __future__ import annotations

from typing import cast

from knowreason import logic as lg
from knowreason.diagnostics import Span
from knowreason.errors import ProgramError
from knowreason.lang.check.symbols import a_sort, is_thing
from knowreason.lang.check.variable_scopes import ExpressionBuilder
from knowreason.lang.syntax import nodes as sx
from knowreason.lang.syntax.node_builders import place_in_string
from knowreason.logic.regular_expressions import PatternFault, portable_pattern
from knowreason.logic.time_zones import UTC_ZONE, check_zone

_CALENDAR = ("hour", "weekday", "month")
_USES = {
    "starts_with": '`starts_with(s, "x")`',
    "matches": '`matches(s, "[a-z]+")`',
    "missing": "`missing(f(x))`",
}


def built_in(builder: ExpressionBuilder, node: sx.Call) -> lg.Operation | None:
    """``hour(t)``, ``starts_with(s, "x")``, ``missing(f(x))``, ..; ``None`` where it is faulty."""
    name, report = node.name, builder.names.report
    arguments = [part for part in node.arguments if not isinstance(part, sx.Named)]
    if len(arguments) < len(node.arguments):
        report("KR204", f"`{name}` takes no named arguments", node.span)
        return None
    most = 1 if name == "missing" else 2
    if not (1 if name in _CALENDAR else most) <= len(arguments) <= most:
        how = _USES.get(name, f"`{name}(at(e))`")
        message = f"`{name}` takes {most} argument{'s' * (most > 1)}, not {len(arguments)}"
        report("KR203", message, node.span, help=f"write {how}")
        return None
    if name in _CALENDAR:
        return _calendar(builder, node, *arguments)
    if name == "missing":
        return _missing(builder, node, arguments[0])
    return _text_test(builder, node, *arguments)


def months_of(node: sx.Binary) -> sx.LiteralNode | None:
    """The months that a sum or difference adds or subtracts, if it does."""
    sides = (node.right, node.left) if node.operator == "+" else (node.right,)
    for side in sides if node.operator in ("+", "-") else ():
        if isinstance(side, sx.LiteralNode) and side.kind == "months":
            return side
    return None


def month_step(builder: ExpressionBuilder, node: sx.Binary) -> lg.Operation | None:
    """``t - 6mo``, the same day of another month; ``None`` where it is faulty."""
    months = months_of(node)
    assert months is not None
    other = node.left if months is node.right else node.right
    moment = builder.term(other, "time")
    if moment is None:
        return None
    if moment.sort != "time":
        builder.names.report(
            "KR209",
            f"months are added to a time, not to {a_sort(moment.sort)}",
            other.span,
            a_sort(moment.sort),
            related=[(months.span, "months of the calendar")],
            help="a duration of always the same length has days: `30d`",
        )
        return None
    operator = "add_months" if node.operator == "+" else "subtract_months"
    count = lg.Constant(months.value, "int", span=months.span)
    operands = (moment, count, *_zone(builder.names.zone))
    return lg.Operation(operator, operands, "time", span=node.span)


def _zone(zone: str) -> tuple[lg.Constant, ...]:
    return () if zone == UTC_ZONE else (lg.Constant(zone, "string"),)


def _calendar(
    builder: ExpressionBuilder,
    node: sx.Call,
    when: sx.Expression,
    where: sx.Expression | None = None,
) -> lg.Operation | None:
    name, report = node.name, builder.names.report
    moment = builder.term(when, "time")
    if moment is None:
        return None
    if moment.sort != "time":
        help = "declare the attribute as `time`" if moment.sort == "int" else None
        message = f"`{name}` takes a time, not {a_sort(moment.sort)}"
        report("KR209", message, when.span, a_sort(moment.sort), help=help)
        return None
    zone = _zone(builder.names.zone)
    if where is not None:
        if not isinstance(where, sx.LiteralNode) or where.kind != "string":
            help = f'write `{name}(at(e), "Europe/Vienna")`, or `[time] zone` in the project file'
            report("KR209", "a time zone is a quoted name", where.span, help=help)
            return None
        try:
            zone = (lg.Constant(check_zone(cast(str, where.value)), "string", span=where.span),)
        except ProgramError as fault:
            (found,) = fault.diagnostics
            report("KR107", found.message, where.span, help=found.help)
            return None
    return lg.Operation(name, (moment, *zone), "int", span=node.span)


def _missing(builder: ExpressionBuilder, node: sx.Call, what: sx.Expression) -> lg.Operation | None:
    term = builder.term(what)
    if term is None:
        return None
    if not isinstance(term, lg.AttributeTerm | lg.Operation | lg.Aggregate):
        builder.names.report(
            "KR209",
            "this always has a value",
            what.span,
            help="`missing(f(x))` asks whether an attribute or a definition has one",
        )
        return None
    return lg.Operation("missing", (term,), "bool", span=node.span)


def _text_test(
    builder: ExpressionBuilder, node: sx.Call, text: sx.Expression, other: sx.Expression
) -> lg.Operation | None:
    names, name = builder.names, node.name
    one, two = builder.term(text), builder.term(other)
    if one is None or two is None:
        return None
    for term, part in ((one, text), (two, other)):
        if term.sort != "string":
            help = None
            if is_thing(term.sort):
                help = f"bind its text: `attribute name({term.sort}): string`, then `name(..)`"
            message = f"`{name}` takes text, not {a_sort(term.sort)}"
            names.report("KR209", message, part.span, a_sort(term.sort), help=help)
            return None
    if name == "matches" and not _is_pattern(builder, other):
        return None
    return lg.Operation(name, (one, two), "bool", span=node.span)


def _is_pattern(builder: ExpressionBuilder, node: sx.Expression) -> bool:
    """Whether a quoted text is a regular expression of the dialect; reports what is wrong."""
    if not isinstance(node, sx.LiteralNode):
        message = "a regular expression is a quoted text, so that it can be checked"
        builder.names.report("KR209", message, node.span)
        return False
    try:
        portable_pattern(cast(str, node.value))
    except PatternFault as fault:
        span = node.span
        written = span.source.text[span.start : span.end]
        start = span.start + place_in_string(written, fault.place)
        place = Span(span.source, start, min(start + 1, span.end))
        builder.names.report("KR107", str(fault), place, "in this pattern", help=fault.help)
        return False
    return True
