"""Values, arithmetic and comparisons as SQL trees.

Numbers are ``BIGINT`` and ``DOUBLE``, times and durations ``BIGINT`` microseconds,
things of a domain ``INTEGER`` ids. What has no value (a logarithm of zero, a division
by zero, anything over a missing attribute) is ``NULL``, so that SQL's three-valued
logic is the language's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from knowreason.data.wall_clocks import DAY, FIRST, LAST, STRETCH
from knowreason.errors import GroundingError
from knowreason.logic import INTEGER_SORTS, Value
from knowreason.logic.regular_expressions import portable_pattern

COMPARISONS: dict[str, type[exp.Binary]] = {
    "=": exp.EQ,
    "!=": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}
CALENDAR = ("hour", "weekday", "month", "add_months", "subtract_months")
Offset = Callable[[exp.Expr], exp.Expr]
EXP_LIMIT = 709.0  # exp of more is not finite


def literal(value: Value, sort: str) -> exp.Expr:
    """A constant of a value sort (not of a domain)."""
    if sort == "bool":
        return exp.Boolean(this=bool(value))
    if sort == "string":
        return exp.Literal.string(str(value))
    if sort == "float":
        return cast(exp.Literal.number(repr(float(value))), "double")
    return cast(exp.Literal.number(int(value)), "bigint")


def identifier(value: int) -> exp.Expr:
    """The id of a thing."""
    return exp.Literal.number(int(value))


def column(table: str, name: str) -> exp.Column:
    """A quoted column of an aliased table."""
    return exp.column(name, table=table, quoted=True)


def cast(expression: exp.Expr, kind: str) -> exp.Expr:
    """``CAST(expression AS kind)``."""
    return exp.Cast(this=expression, to=exp.DataType.build(kind))


def grouped(expression: exp.Expr) -> exp.Expr:
    """The expression in parentheses, where it needs them to stand in another."""
    loose = isinstance(expression, exp.Binary | exp.Unary | exp.Case | exp.Is)
    return exp.paren(expression) if loose and not isinstance(expression, exp.Paren) else expression


def all_of(conditions: Sequence[exp.Expr]) -> exp.Expr:
    """``AND`` of one or more conditions, in parentheses where needed."""
    return combined(exp.And, conditions)


def combined(operator: type[exp.Binary], parts: Sequence[exp.Expr]) -> exp.Expr:
    """One or more expressions under a binary operator."""
    folded = parts[0]
    for part in parts[1:]:
        folded = operator(this=grouped(folded), expression=grouped(part))
    return grouped(folded)


def known(expression: exp.Expr) -> exp.Expr:
    """``expression IS NOT NULL``."""
    return exp.Is(this=grouped(expression.copy()), expression=exp.Null()).not_()


def named(outputs: Mapping[str, exp.Expr]) -> exp.Select:
    """``SELECT expression AS name, ..``, quoted."""
    return exp.select(*(exp.alias_(e.copy(), n, quoted=True) for n, e in outputs.items()))


def union(queries: Sequence[exp.Query]) -> exp.Query:
    """The distinct rows of at least one query."""
    return functools.reduce(
        lambda above, below: exp.union(above, below, distinct=True, copy=False), queries
    )


def aliased(source: exp.Expr, alias: str) -> exp.Expr:
    """A table or a query in parentheses under an alias, for a FROM clause."""
    source = exp.Subquery(this=source) if isinstance(source, exp.Select | exp.Union) else source
    return exp.alias_(source, alias, table=True, quoted=True)


def defined_where(expression: exp.Expr, condition: exp.Expr) -> exp.Expr:
    """The expression where the condition holds, ``NULL`` elsewhere."""
    return exp.Case(ifs=[exp.If(this=condition, true=expression)])


def comparison(operator: str, left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """``left operator right``, unknown where either is missing."""
    return COMPARISONS[operator](this=grouped(left), expression=grouped(right))


def operation(
    operator: str, operands: Sequence[exp.Expr], sort: str, offset: Offset | None = None
) -> exp.Expr:
    """Arithmetic and built-in functions of the language.

    Args:
        operator: its name.
        operands: its arguments, without a time zone.
        sort: of the result.
        offset: what clocks of the zone show beyond UTC at a time; ``None`` for UTC.

    Raises:
        GroundingError: KR601 for an operator that is none of the language's.
    """
    terms = [grouped(operand) for operand in operands]
    if operator not in _OPERATIONS:
        raise GroundingError(f"no operation is called `{operator}`", code="KR601")
    if operator in CALENDAR:
        return _OPERATIONS[operator](*terms, offset)
    result: exp.Expr = _OPERATIONS[operator](*terms)
    return integral(result) if sort in INTEGER_SORTS and operator in ("*", "/", "floor") else result


def integral(expression: exp.Expr) -> exp.Expr:
    """The nearest ``BIGINT`` (ties to even); outside of its range DuckDB refuses."""
    return cast(expression, "bigint")


def _real(term: exp.Expr) -> exp.Expr:
    return cast(term, "double")


def _divide(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    quotient = exp.Div(this=_real(left), expression=_real(right), typed=True, safe=True)
    return defined_where(quotient, exp.NEQ(this=right.copy(), expression=exp.Literal.number(0)))


def _log(term: exp.Expr) -> exp.Expr:
    positive = exp.GT(this=term.copy(), expression=exp.Literal.number(0))
    return defined_where(exp.Ln(this=_real(term)), positive)


def _log1p(term: exp.Expr) -> exp.Expr:
    return _log(grouped(exp.Add(this=_real(term), expression=exp.Literal.number(1))))


def _exp(term: exp.Expr) -> exp.Expr:
    small = exp.LTE(this=term.copy(), expression=exp.Literal.number(EXP_LIMIT))
    return defined_where(exp.Exp(this=_real(term)), small)


def _sqrt(term: exp.Expr) -> exp.Expr:
    not_negative = exp.GTE(this=term.copy(), expression=exp.Literal.number(0))
    return defined_where(exp.Sqrt(this=_real(term)), not_negative)


def _least(*terms: exp.Expr) -> exp.Expr:
    return _extreme(exp.LT, terms)


def _greatest(*terms: exp.Expr) -> exp.Expr:
    return _extreme(exp.GT, terms)


def _extreme(better: type[exp.Binary], terms: Sequence[exp.Expr]) -> exp.Expr:
    best = terms[0]
    for term in terms[1:]:  # LEAST and GREATEST pass over NULL; a comparison does not
        keep = exp.If(this=better(this=best.copy(), expression=term.copy()), true=best)
        change = exp.If(
            this=exp.Not(this=grouped(better(this=best.copy(), expression=term.copy()))),
            true=term,
        )
        best = grouped(exp.Case(ifs=[keep, change]))
    return best


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A function of DuckDB; other engines have their own words (:mod:`.spark_dialect`)."""
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def offset_key(moment: exp.Expr) -> exp.Expr:
    """The row of :func:`knowreason.data.wall_clocks.offset_rows` for a time."""
    stretch: exp.Expr = _units(moment, STRETCH)
    for better, end in ((exp.GT, FIRST), (exp.LT, LAST - 1)):
        stretch = _extreme(better, [stretch, exp.Literal.number(f"{end}.0")])
    return integral(stretch)


def _wall_clock(moment: exp.Expr, offset: Offset | None) -> exp.Expr:
    """What clocks show, as microseconds."""
    return moment if offset is None else exp.paren(exp.Add(this=moment, expression=offset(moment)))


def _units(clock: exp.Expr, unit: int) -> exp.Expr:
    """How many whole units have passed since 1970."""
    size = exp.Literal.number(repr(float(unit)))
    return exp.Floor(this=exp.Div(this=_real(clock), expression=size, typed=True, safe=True))


def _hour(moment: exp.Expr, offset: Offset | None) -> exp.Expr:
    clock = _wall_clock(moment, offset)
    days = exp.Mul(this=exp.Literal.number("24.0"), expression=_units(clock, DAY))
    return integral(exp.Sub(this=_units(clock, DAY // 24), expression=days))


def _weekday(moment: exp.Expr, offset: Offset | None) -> exp.Expr:
    days = _units(_wall_clock(moment, offset), DAY)
    shifted = exp.Add(this=days, expression=exp.Literal.number("3.0"))  # 1970 began on a Thursday
    weeks = _units(exp.paren(shifted), 7)
    past = exp.Sub(
        this=shifted.copy(), expression=exp.Mul(this=exp.Literal.number("7.0"), expression=weeks)
    )
    return integral(exp.Add(this=past, expression=exp.Literal.number("1.0")))


def _date(clock: exp.Expr) -> exp.Expr:
    return _call("make_date", cast(_units(clock, DAY), "int"))


def _month(moment: exp.Expr, offset: Offset | None) -> exp.Expr:
    return integral(_call("month", _date(_wall_clock(moment, offset))))


def _months_later(moment: exp.Expr, months: exp.Expr, offset: Offset | None) -> exp.Expr:
    """:func:`knowreason.data.wall_clocks.months_later`, step by step."""
    clock = _wall_clock(moment, offset)
    midnight = exp.Mul(this=integral(_units(clock, DAY)), expression=exp.Literal.number(DAY))
    there = _call("date_add", _date(clock), _call("to_months", cast(months, "int")))
    moved = exp.paren(exp.Sub(this=_call("epoch_us", there), expression=midnight))
    about = exp.paren(exp.Add(this=moment.copy(), expression=moved))
    if offset is None:
        return about
    wall = exp.paren(exp.Add(this=clock.copy(), expression=moved.copy()))
    one = exp.paren(exp.Sub(this=wall, expression=offset(about)))
    other = exp.paren(exp.Sub(this=wall.copy(), expression=offset(one)))
    return _extreme(exp.GT, [one.copy(), other])


def _matches(text: exp.Expr, pattern: exp.Expr) -> exp.Expr:
    portable = exp.Literal.string(portable_pattern(pattern.name))
    return exp.RegexpLike(this=text, expression=portable)


_OPERATIONS: dict[str, Callable[..., exp.Expr]] = {
    "hour": _hour,
    "weekday": _weekday,
    "month": _month,
    "add_months": _months_later,
    "subtract_months": lambda t, n, offset: _months_later(t, exp.Neg(this=n), offset),
    "starts_with": lambda *t: exp.StartsWith(this=t[0], expression=t[1]),
    "matches": _matches,
    "missing": lambda t: exp.Is(this=t, expression=exp.Null()),
    "+": lambda *t: exp.Add(this=t[0], expression=t[1]),
    "-": lambda *t: exp.Sub(this=t[0], expression=t[1]),
    "*": lambda *t: exp.Mul(this=t[0], expression=t[1]),
    "/": _divide,
    "neg": lambda t: exp.Neg(this=t),
    "abs": lambda t: exp.Abs(this=t),
    "floor": lambda t: exp.Floor(this=_real(t)),
    "log": _log,
    "log1p": _log1p,
    "exp": _exp,
    "sqrt": _sqrt,
    "min": _least,
    "max": _greatest,
}
