"""Aggregates as grouped subqueries, joined to the settings they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from knowreason.ground.terms_sql import cast, column, defined_where, grouped, integral, literal
from knowreason.logic import Aggregate, Formula, Term, Variable
from knowreason.logic.terms import AttributeTerm
from knowreason.logic.variables import free_variables

if TYPE_CHECKING:
    from knowreason.ground.query import Conjunction

ONE, ZERO = exp.Literal.number(1), exp.Literal.number(0)


def aggregate(outer: Conjunction, term: Aggregate) -> exp.Expr:
    """An aggregate as an expression over the variables that ``outer`` has bound.

    Settings of the body are counted once. Rows whose value is missing do not take
    part, except in ``count``, which has no value.
    """
    keys = free_variables(term)
    inner = outer.sibling()
    inner.satisfy(term.body, (*keys, *term.variables))
    grouped = _grouped(inner, term, keys)
    alias = outer.left_join(
        exp.Subquery(this=grouped),
        {f"k{i}": outer.term(variable) for i, variable in enumerate(keys)},
    )
    return total(outer, term, column(alias, "value"), column(alias, "rows"))


def total(outer: Conjunction, term: Aggregate, value: exp.Expr, rows: exp.Expr) -> exp.Expr:
    """The aggregate from its ``value`` and ``rows``, both missing where nothing matched."""
    if term.kind == "rate":
        return _rate(outer, term, value, rows)
    if term.kind in ("count", "sum"):
        zero = literal(0, "float" if term.sort == "float" else "int")
        return exp.Coalesce(this=value, expressions=[zero])
    return value


def amount(conjunction: Conjunction, value: Term | Formula) -> exp.Expr:
    """What one row adds: a term's value, 0 or 1 for a formula, ``NULL`` where missing."""
    if isinstance(value, Formula):
        holds = conjunction.condition(value)
        fails = exp.Not(this=grouped(holds.copy()))
        return exp.Case(
            ifs=[
                exp.If(this=holds, true=literal(1, "int")),
                exp.If(this=fails, true=literal(0, "int")),
            ]
        )
    expression = conjunction.term(value)
    is_bool = isinstance(value, AttributeTerm) and value.sort == "bool"
    return cast(expression, "bigint") if is_bool else expression


def summary(kind: str, sort: str, value: exp.Expr | None) -> exp.Expr:
    """The SQL aggregate of a kind, without its value over nothing."""
    if kind == "count" or value is None:
        return exp.Count(this=exp.Star())
    if kind == "rate":
        return exp.Sum(this=cast(value, "double"))
    result = {"sum": exp.Sum, "avg": exp.Avg, "min": exp.Min, "max": exp.Max}[kind](this=value)
    if sort == "float" or kind in ("min", "max"):
        return result
    return integral(result)


def known_rows(value: exp.Expr | None) -> exp.Expr:
    """How many rows have a value."""
    return exp.Count(this=exp.Star() if value is None else value)


def _grouped(inner: Conjunction, term: Aggregate, keys: Sequence[Variable]) -> exp.Select:
    value = None if term.value is None else amount(inner, term.value)
    names = [f"k{i}" for i in range(len(keys))]
    columns = {name: inner.term(key) for name, key in zip(names, keys, strict=True)}
    if term.last is not None and term.by is not None:
        rows = _last_rows(inner, term, columns, value)
        alias = inner.fresh_alias()
        source = exp.alias_(exp.Subquery(this=rows), alias, table=True, quoted=True)
        value = None if value is None else column(alias, "value")
        columns = {name: column(alias, name) for name in names}
        query = exp.select().from_(source)
        query = query.where(
            exp.LTE(this=column(alias, "place"), expression=inner.term(term.last)), copy=False
        )
    else:
        query = inner.select({})
    results = {
        **columns,
        "value": summary(term.kind, term.sort, value),
        "rows": known_rows(None if value is None else value.copy()),
    }
    query = query.select(*(exp.alias_(e, n, quoted=True) for n, e in results.items()), copy=False)
    return query.group_by(*(c.copy() for c in columns.values()), copy=False) if keys else query


def _last_rows(
    inner: Conjunction,
    term: Aggregate,
    columns: dict[str, exp.Expr],
    value: exp.Expr | None,
) -> exp.Select:
    """Rows with their ``place`` from the end of their group; ties by the greater ids."""
    by = inner.term(term.by)  # type: ignore[arg-type]
    order = [by, *(inner.term(variable) for variable in term.variables)]
    place = exp.Window(
        this=exp.RowNumber(),
        partition_by=[c.copy() for c in columns.values()],
        order=exp.Order(expressions=[exp.Ordered(this=o.copy(), desc=True) for o in order]),
    )
    outputs = {**columns, "value": value if value is not None else ONE.copy(), "place": place}
    known = exp.Is(this=by.copy(), expression=exp.Null()).not_()
    return inner.select(outputs).where(known, copy=False)


def _rate(outer: Conjunction, term: Aggregate, value: exp.Expr, rows: exp.Expr) -> exp.Expr:
    prior = grouped(outer.term(term.prior)) if term.prior is not None else literal(0.0, "float")
    strength = (
        grouped(outer.term(term.strength)) if term.strength is not None else literal(0.0, "float")
    )
    held = exp.Coalesce(this=value, expressions=[literal(0.0, "float")])
    seen = exp.Coalesce(this=rows, expressions=[literal(0, "int")])
    pseudo = exp.Mul(this=prior, expression=strength.copy())
    numerator = grouped(exp.Add(this=held, expression=pseudo))
    denominator = grouped(exp.Add(this=seen, expression=strength))
    share = exp.Div(this=numerator, expression=denominator, typed=True, safe=True)
    return defined_where(share, exp.NEQ(this=denominator.copy(), expression=ZERO.copy()))
