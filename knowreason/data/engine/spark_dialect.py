"""Plans in Spark's words: what its SQL means otherwise than DuckDB's, rewritten."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp


def in_sparks_words(tree: exp.Expr) -> exp.Expr:
    """A copy of a plan that means on Spark what it means on DuckDB.

    Sums of whole numbers are exact beyond 64 bits until they are cast, means are of exact sums,
    casts of fractions to ``BIGINT`` round (ties to even), and ``FLOOR`` keeps fractions' type, so
    that what does not fit is refused and not cut off.
    """
    holder = exp.Subquery(this=tree.copy())
    kinds = exp.Sum, exp.Avg, exp.Floor, exp.Cast, exp.Exists, exp.Anonymous
    for node in reversed(list(holder.find_all(*kinds))):
        match node:
            case exp.Sum():
                node.set("this", _exact(node.this))
            case exp.Avg():
                total = exp.cast(exp.Sum(this=_exact(node.this)), "double")
                rows = exp.Nullif(this=exp.Count(this=node.this.copy()), expression=_number(0))
                node.replace(exp.paren(exp.Div(this=total, expression=rows)))
            case exp.Exists():  # is no operand of `=` by itself
                node.replace(exp.paren(node))
            case exp.Anonymous() if node.name in _CALENDAR:
                node.replace(_CALENDAR[node.name](*node.expressions))
            case exp.Floor():
                node.replace(_floor(node.this))
            case exp.Cast() if node.is_type("bigint") and not _is_literal(node.this):
                node.set("this", exp.Anonymous(this="BROUND", expressions=[node.this, _number(0)]))
    rewritten: exp.Expr = holder.this
    return rewritten


def multiplied(tree: exp.Query) -> list[exp.Expr]:
    """Tables of which a plan lists all combinations; none where others or equalities join them."""
    joins = tree.args.get("joins") or []
    where = tree.args.get("where") or exp.Where()
    tied = any(len({c.table for c in e.find_all(exp.Column)}) > 1 for e in where.find_all(exp.EQ))
    if tied or any(tree.args.get(part) for part in ("distinct", "group", "limit")):
        return []
    first = tree.find(exp.From)
    if first is None or any(join.kind != "CROSS" and not join.side for join in joins):
        return []
    return [first.this.copy(), *(join.this.copy() for join in joins if join.kind == "CROSS")]


def _exact(value: exp.Expr) -> exp.Expr:
    """A whole number as a decimal, a fraction as it is."""
    one = exp.cast(_number(1), "decimal(1, 0)")
    return exp.Mul(this=exp.paren(value.copy()), expression=one)


def _floor(value: exp.Expr) -> exp.Expr:
    """The floor as a fraction: Spark's ``FLOOR`` is a ``BIGINT``, cut off where it does not fit."""
    small = exp.LT(this=exp.Abs(this=value.copy()), expression=exp.cast(_number(2**53), "double"))
    floored = exp.cast(exp.Floor(this=value.copy()), "double")
    return exp.paren(exp.Case(ifs=[exp.If(this=small, true=floored)], default=value.copy()))


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _midnight(date: exp.Expr) -> exp.Expr:
    days = exp.cast(_call("unix_date", date), "bigint")
    return exp.paren(exp.Mul(this=days, expression=_number(86_400_000_000)))


# functions of the calendar; nodes inside others come first
_CALENDAR: dict[str, Callable[..., exp.Expr]] = {
    "epoch_us": _midnight,
    "make_date": lambda days: _call("date_from_unix_date", days),
    "to_months": lambda months: months.copy(),
    "date_add": lambda date, months: _call("add_months", date, months),
}


def _is_literal(value: exp.Expr) -> bool:
    return not value.find(exp.Column) and bool(value.find(exp.Literal, exp.Null))


def _number(value: int) -> exp.Expr:
    return exp.Literal.number(value)
