"""Aggregates as grouped subqueries, joined to the settings they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from knowreason.grounding.relational.query_protocols import SettingsQuery
from knowreason.grounding.relational.term_sql import (
    aliased,
    cast,
    column,
    defined_where,
    grouped,
    integral,
    known,
    literal,
)
from knowreason.logic import INTEGER_SORTS, Aggregate, Formula, Term, Variable
from knowreason.logic.traversal import free_variables


def aggregate(outer: SettingsQuery, term: Aggregate) -> exp.Expr:
    """An aggregate as an expression over the variables that ``outer`` has bound.

    Settings of the body are counted once. Rows whose value is missing do not take
    part, except in ``count``, which has no value.
    """
    keys = free_variables(term)
    on = {f"a{i}": outer.term(variable) for i, variable in enumerate(keys)}
    history = outer.relations.histories.table(outer, term, keys)
    if history is not None:
        table, covers = history
        alias = outer.left_join(table, on, covers=covers)
    else:
        alias = outer.left_join(exp.Subquery(this=_grouped(outer, term, keys)), on)
    return total(outer, term, column(alias, "value"), column(alias, "rows"))


def total(outer: SettingsQuery, term: Aggregate, value: exp.Expr, rows: exp.Expr) -> exp.Expr:
    """The aggregate from its ``value`` and ``rows``, both missing where nothing matched."""
    if term.kind == "rate":
        return _rate(outer, term, value, rows)
    if term.sort in INTEGER_SORTS and term.kind in ("sum", "avg"):
        value = integral(value)
    if term.kind in ("count", "sum"):
        zero = literal(0, "float" if term.sort == "float" else "int")
        return exp.Coalesce(this=value, expressions=[zero])
    return value


def _grouped(outer: SettingsQuery, term: Aggregate, keys: Sequence[Variable]) -> exp.Select:
    """Rows ``a0 .., value, rows`` by joining every setting and grouping by the keys."""
    inner = outer.sibling()
    inner.satisfy(term.body, (*keys, *term.variables))
    columns = {f"a{i}": inner.term(key) for i, key in enumerate(keys)}
    value = None if term.value is None else amount(inner, term.value)
    if term.last is None or term.by is None:
        return _summed(inner.select({}), term, columns, value)
    rows = _ranked(inner, term, columns, value)
    alias = inner.fresh_alias()
    latest = exp.LTE(this=column(alias, "place"), expression=column(alias, "last"))
    query = exp.select().from_(aliased(rows, alias)).where(latest)
    columns = {name: column(alias, name) for name in columns}
    return _summed(query, term, columns, None if value is None else column(alias, "value"))


def _summed(
    query: exp.Select, term: Aggregate, columns: dict[str, exp.Expr], value: exp.Expr | None
) -> exp.Select:
    results = {
        **columns,
        "value": _summary(term.kind, value),
        "rows": _known_rows(None if value is None else value.copy()),
    }
    query = query.select(*(exp.alias_(e, n, quoted=True) for n, e in results.items()), copy=False)
    return query.group_by(*(c.copy() for c in columns.values()), copy=False) if columns else query


def _ranked(
    inner: SettingsQuery, term: Aggregate, columns: dict[str, exp.Expr], value: exp.Expr | None
) -> exp.Select:
    """Rows with their ``place`` from the end of their group; ties by the greater ids."""
    assert term.by is not None
    assert term.last is not None
    by = inner.term(term.by)
    order = [by, *(inner.term(variable) for variable in term.variables)]
    rank = exp.Window(
        this=exp.RowNumber(),
        partition_by=[c.copy() for c in columns.values()],
        order=exp.Order(expressions=[exp.Ordered(this=o.copy(), desc=True) for o in order]),
    )
    outputs = {
        **columns,
        "value": exp.Null() if value is None else value,
        "place": rank,
        "last": inner.term(term.last),
    }
    return inner.select(outputs).where(known(by), copy=False)


def _rate(outer: SettingsQuery, term: Aggregate, value: exp.Expr, rows: exp.Expr) -> exp.Expr:
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
    return defined_where(share, exp.NEQ(this=denominator.copy(), expression=exp.Literal.number(0)))


def amount(conjunction: SettingsQuery, value: Term | Formula) -> exp.Expr:
    """What one row adds: a term's value, 0 or 1 for a formula, ``NULL`` where missing."""
    if isinstance(value, Formula):
        holds = conjunction.condition(value)
    else:
        holds = conjunction.term(value)
        if value.sort != "bool":
            return holds
    fails = exp.Not(this=grouped(holds.copy()))
    return exp.Case(
        ifs=[
            exp.If(this=holds, true=literal(1, "int")),
            exp.If(this=fails, true=literal(0, "int")),
        ]
    )


def _summary(kind: str, value: exp.Expr | None) -> exp.Expr:
    """The SQL aggregate of a kind, ``NULL`` over nothing (but for ``count``)."""
    if kind == "count" or value is None:
        return exp.Count(this=exp.Star())
    if kind == "rate":
        return exp.Sum(this=cast(value, "double"))
    return {"sum": exp.Sum, "avg": exp.Avg, "min": exp.Min, "max": exp.Max}[kind](this=value)


def _known_rows(value: exp.Expr | None) -> exp.Expr:
    """How many rows have a value."""
    return exp.Count(this=exp.Star() if value is None else value)
