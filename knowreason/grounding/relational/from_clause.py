"""The tables of a FROM clause, in an order that every engine accepts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from knowreason.grounding.relational.term_sql import aliased, all_of, named


@dataclass(frozen=True)
class JoinedTable:
    """One table of a FROM clause.

    Attributes:
        table: a table, or a query in parentheses.
        alias: its name in the query.
        on: equalities it is joined by.
        left: whether it only adds columns, and never changes the rows.
    """

    table: exp.Expr
    alias: str
    on: tuple[exp.Expr, ...] = ()
    left: bool = False


def one_row(alias: str) -> JoinedTable:
    """A table of one row, for a query over nothing."""
    row = exp.select(exp.alias_(exp.Literal.number(1), "one", quoted=True))
    return JoinedTable(exp.Subquery(this=row), alias)


def required(sources: Sequence[JoinedTable], conditions: Iterable[exp.Expr]) -> list[JoinedTable]:
    """Sources as inner joins where a condition cannot be true without them.

    Args:
        sources: of the query.
        conditions: each unknown as soon as one of its columns is missing.
    """
    by_alias = {source.alias: source for source in sources}
    needed: set[str] = set()
    waiting = [column.table for c in conditions for column in c.find_all(exp.Column)]
    while waiting:
        alias = waiting.pop()
        if alias in by_alias and alias not in needed:
            needed.add(alias)
            on = by_alias[alias].on
            waiting += [column.table for c in on for column in c.find_all(exp.Column)]
    return [replace(source, left=False) if source.alias in needed else source for source in sources]


def ordered(sources: Sequence[JoinedTable]) -> list[JoinedTable]:
    """Inner joins first, as far as they need no left join."""
    late: set[str] = set()
    first: list[JoinedTable] = []
    last: list[JoinedTable] = []
    for source in sources:
        needed = {column.table for on in source.on for column in on.find_all(exp.Column)}
        if source.left or needed & late:
            late.add(source.alias)
            last.append(source)
        else:
            first.append(source)
    return first + last


def from_clause(
    outputs: Mapping[str, exp.Expr], sources: Sequence[JoinedTable], conditions: Sequence[exp.Expr]
) -> exp.Select:
    """``SELECT outputs FROM sources WHERE conditions``; the sources are :func:`ordered`."""
    first, *others = sources
    query = named(outputs).from_(aliased(first.table.copy(), first.alias), copy=False)
    for source in others:
        kind = "LEFT" if source.left else "INNER" if source.on else "CROSS"
        on = all_of([c.copy() for c in source.on] or [exp.true()]) if kind != "CROSS" else None
        table = aliased(source.table.copy(), source.alias)
        query = query.join(table, on=on, join_type=kind, copy=False)
    conditions = [c.copy() for c in (*first.on, *conditions)]
    return query.where(*conditions, copy=False) if conditions else query
