"""What the rows of an aggregate add, and how they are summed up."""

from __future__ import annotations

from sqlglot import exp

from knowreason.grounding.relational.query_protocols import SettingsQuery
from knowreason.grounding.relational.term_sql import cast, grouped, literal
from knowreason.logic import Formula, Term


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


def summary(kind: str, value: exp.Expr | None) -> exp.Expr:
    """The SQL aggregate of a kind, ``NULL`` over nothing (but for ``count``)."""
    if kind == "count" or value is None:
        return exp.Count(this=exp.Star())
    if kind == "rate":
        return exp.Sum(this=cast(value, "double"))
    return {"sum": exp.Sum, "avg": exp.Avg, "min": exp.Min, "max": exp.Max}[kind](this=value)


def known_rows(value: exp.Expr | None) -> exp.Expr:
    """How many rows have a value."""
    return exp.Count(this=exp.Star() if value is None else value)
