"""How many rows a conjunction has, without making its join.

The inner tables and their equalities are spanned by a tree. Rows of a tree of joins are counted
exactly in one pass over its id columns: each table sends its parent the number of rows below each
key (Yannakakis 1981). What the tree leaves out (other equalities, comparisons, windows, ``exists``)
filters: rows of the tree are drawn at random, each as likely as any other, and the filters are run
on those (Chaudhuri, Motwani & Narasayya 1999; Zhao et al. 2018). Id columns are read through the
engine, in an order that does not depend on it, so that every engine and run draws the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlglot import exp

from knowreason.grounding.relational.conjunctive_query import Conjunction
from knowreason.grounding.relational.database import Relations
from knowreason.grounding.relational.from_clause import JoinedTable, from_clause
from knowreason.grounding.relational.term_sql import aliased, column
from knowreason.row_keys import distinct_rows

FEW_ROWS = 200_000  # of the tree: filters are run on all of them
DRAWN = (20_000, 200_000, 2_000_000)  # rows drawn, the next where too few of them hold
ENOUGH = 100  # rows that hold, for a standard error of a tenth
SOME = 15  # for a quarter
COUNTABLE = 10**9  # rows of the tree, up to which the engine may count what sampling cannot see
SAMPLE = "sample"

Weights = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class RowCount:
    """Number of rows of a query.

    Attributes:
        rows: how many, or about.
        exact: whether they were counted.
        how: where the figure comes from, in words.
        joined: rows of the tree of joins, which are filtered.
    """

    rows: int
    exact: bool
    how: str
    joined: int = 0


@dataclass
class _Source:
    """An inner table of the query, and its place in the tree.

    Attributes:
        alias: its name in the query.
        columns: those that conditions read.
        count: its rows, after what filters it alone.
        parent: its parent in the tree, if any.
        key, parent_key: ``int64`` number of the key of each row, and of each of the parent's.
        below: ``float64[count]`` rows of the tree below each row.
        total: by key, or of all where it has no parent, the sum of ``below``.
    """

    alias: str
    columns: pa.Table
    count: int
    parent: _Source | None = None
    key: Places = field(default_factory=lambda: np.zeros(0, np.int64))
    parent_key: Places = field(default_factory=lambda: np.zeros(0, np.int64))
    below: Weights = field(default_factory=lambda: np.zeros(0))
    total: Weights = field(default_factory=lambda: np.zeros(0))

    def values(self, name: str) -> NDArray[Any]:
        """A column as an array."""
        return np.asarray(self.columns.column(name).to_numpy())


@dataclass(frozen=True)
class _Equality:
    left: exp.Column
    right: exp.Column
    condition: exp.Expr

    def side(self, alias: str) -> str:
        """Name of the column that belongs to an alias."""
        return (self.left if self.left.table == alias else self.right).name


def count_rows(relations: Relations, conjunction: Conjunction, few: int = FEW_ROWS) -> RowCount:
    """Rows of a conjunction: exact, or drawn rows that hold, scaled.

    Args:
        relations: where its tables are.
        conjunction: guards and what its outputs need, joined.
        few: rows of the tree of joins, up to which the filters are run on all of them.
    """
    sources, conditions = conjunction.parts()
    inner = [source for source in sources if not source.left]
    left = [source for source in sources if source.left]
    aliases = {source.alias for source in inner}
    parts = [p for s in inner for c in s.on for p in _conjuncts(c)]
    parts += [p for c in conditions for p in _conjuncts(c)]
    own = {s.alias: [p for p in parts if _only_about(p, s.alias)] for s in inner}
    tied = [e for p in parts if (e := _equality(p, aliases)) is not None]
    filters = [p for p in parts if not any(p is q for ps in own.values() for q in ps)]
    needed = _tables_of([*filters, *(c for s in left for c in s.on)])
    read = {
        s.alias: _read(relations, s, {name for a, name in needed if a == s.alias}, own[s.alias])
        for s in inner
    }
    order, used = _spanned(list(read.values()), tied)
    _count(order)
    tree_rows = round(float(np.prod([s.total.sum() for s in order if s.parent is None])))
    filters = [p for p in filters if not any(p is e.condition for e in used)]
    told = " x ".join(f"{s.count:,}" for s in order)
    if not filters or not tree_rows:
        how = "rows counted" if len(order) == 1 else f"join of {told} rows counted by key"
        return RowCount(tree_rows, True, how, tree_rows)
    exact = conjunction.select({"one": exp.Literal.number(1)})
    if tree_rows <= few:
        how = f"{tree_rows:,} joined rows filtered"
        return RowCount(relations.rows(exact), True, how, tree_rows)
    rest = _reached(left, filters)
    held = drawn = 0
    for drawn in DRAWN:
        held = _held(relations, order, rest, filters, drawn)
        if held >= ENOUGH:
            break
    if held < SOME and tree_rows <= COUNTABLE:
        how = "counted: few joined rows hold"
        return RowCount(relations.rows(exact), True, how, tree_rows)
    how = f"{held:,} of {drawn:,} rows drawn from {tree_rows:,} joined hold"
    if held < SOME:  # rule of three
        return RowCount(round((held + 3) * tree_rows / drawn), False, f"at most: {how}", tree_rows)
    return RowCount(round(held * tree_rows / drawn), False, how, tree_rows)


def _conjuncts(condition: exp.Expr) -> Iterable[exp.Expr]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.this)
        yield from _conjuncts(condition.expression)
    else:
        yield condition


def _only_about(condition: exp.Expr, alias: str) -> bool:
    """Whether a condition reads one table, and no subquery."""
    aliases = {place.table for place in condition.find_all(exp.Column)}
    return aliases == {alias} and condition.find(exp.Select) is None


def _equality(condition: exp.Expr, aliases: set[str]) -> _Equality | None:
    if not isinstance(condition, exp.EQ):
        return None
    left, right = condition.this.unnest(), condition.expression.unnest()
    if not (isinstance(left, exp.Column) and isinstance(right, exp.Column)):
        return None
    if left.table == right.table or not {left.table, right.table} <= aliases:
        return None
    return _Equality(left, right, condition)


def _tables_of(conditions: Iterable[exp.Expr]) -> set[tuple[str, str]]:
    return {(c.table, c.name) for part in conditions for c in part.find_all(exp.Column)}


def _reached(left: Sequence[JoinedTable], filters: Sequence[exp.Expr]) -> list[JoinedTable]:
    """Left joins that the filters read, directly or through another."""
    wanted = {alias for alias, _ in _tables_of(filters)}
    kept: list[JoinedTable] = []
    for source in reversed(left):
        if source.alias in wanted:
            kept.insert(0, source)
            wanted |= {alias for alias, _ in _tables_of(source.on)}
    return kept


def _read(
    relations: Relations, source: JoinedTable, names: set[str], own: Sequence[exp.Expr]
) -> _Source:
    table = aliased(source.table.copy(), source.alias)
    if not names:
        one = exp.select(exp.Literal.number(1)).from_(table).where(*(c.copy() for c in own))
        return _Source(source.alias, pa.table({}), relations.rows(one))
    places = [column(source.alias, name) for name in sorted(names)]
    query = exp.select(*places).from_(table).where(*(c.copy() for c in own))
    if not isinstance(source.table, exp.Table) or not relations.engine.ordered:
        query = query.order_by(*(place.copy() for place in places))
    columns = relations.arrow(query).read_all()
    return _Source(source.alias, columns, columns.num_rows)


def _spanned(
    sources: list[_Source], tied: Sequence[_Equality]
) -> tuple[list[_Source], list[_Equality]]:
    """Sources in order of a tree (parents first), and the equalities it is made of.

    The next is the one that multiplies the rows least.
    """
    order: list[_Source] = []
    used: list[_Equality] = []
    waiting = list(sources)
    while waiting:
        edges = [(p, c, es) for c in waiting for p in order if (es := _between(p, c, tied))]
        if not edges:
            order.append(waiting.pop(0))
            continue
        if len(edges) > 1:
            edges.sort(key=lambda edge: _fan_out(edge[1], edge[2]))
        parent, child, equalities = edges[0]
        _tie(parent, child, equalities)
        waiting.remove(child)
        order.append(child)
        used += equalities
    return order, used


def _between(parent: _Source, child: _Source, tied: Sequence[_Equality]) -> list[_Equality]:
    pair = {parent.alias, child.alias}
    return [e for e in tied if {e.left.table, e.right.table} == pair]


def _fan_out(child: _Source, equalities: Sequence[_Equality]) -> float:
    """Rows of the child a key."""
    names = dict.fromkeys(e.side(child.alias) for e in equalities)
    columns = [_numbers(child.values(name)) for name in names]
    return child.count / max(len(distinct_rows(columns, rows=child.count)[0]), 1)


def _tie(parent: _Source, child: _Source, equalities: Sequence[_Equality]) -> None:
    """Number the keys of both; rows without one get a number that the other side lacks."""
    columns = []
    for e in equalities:
        above, below = parent.values(e.side(parent.alias)), child.values(e.side(child.alias))
        columns.append(_numbers(np.concatenate([above, below])))
    _, owner = distinct_rows(columns, rows=parent.count + child.count)
    child.parent = parent
    child.parent_key, child.key = owner[: parent.count], owner[parent.count :]


def _numbers(values: NDArray[Any]) -> NDArray[np.integer[Any]]:
    if np.issubdtype(values.dtype, np.integer):
        return values
    if values.dtype == bool:
        return values.astype(np.int8)
    return np.asarray(np.unique(values, return_inverse=True)[1])


def _count(order: Sequence[_Source]) -> None:
    """Fill in the rows below each row and key, children first."""
    for source in order:
        source.below = np.ones(source.count)
    for source in reversed(order):
        parent = source.parent
        if parent is None:
            source.total = np.array([source.below.sum()])
            continue
        keys = int(max(source.key.max(initial=-1), source.parent_key.max(initial=-1))) + 1
        sums = np.bincount(source.key, source.below, minlength=keys)
        source.total = sums.astype(np.float64, copy=False)  # no rows: bincount counts in integers
        parent.below *= source.total[source.parent_key]


def _held(
    relations: Relations,
    order: Sequence[_Source],
    left: Sequence[JoinedTable],
    filters: Sequence[exp.Expr],
    drawn: int,
) -> int:
    """How many of so many rows of the tree the filters keep."""
    rows = _drawn(order, drawn)
    inner = {source.alias for source in order}
    columns = {
        f"{source.alias}_{name}": source.columns.column(name).take(pa.array(rows[source.alias]))
        for source in order
        for name in source.columns.column_names
    }
    table = relations.register(SAMPLE, pa.table(columns or {"one": np.ones(drawn, np.int8)}))

    def moved(part: exp.Expr) -> exp.Expr:
        part = part.copy()
        for place in list(part.find_all(exp.Column)):
            if place.table in inner:
                to = column(SAMPLE, f"{place.table}_{place.name}")
                place.set("this", to.this)
                place.set("table", to.args["table"])
        return part

    joined = [JoinedTable(table, SAMPLE)]
    joined += [JoinedTable(s.table, s.alias, tuple(map(moved, s.on)), left=True) for s in left]
    one = {"one": exp.Literal.number(1)}
    held = relations.rows(from_clause(one, joined, [moved(part) for part in filters]))
    relations.drop(table)
    return held


def _drawn(order: Sequence[_Source], count: int) -> dict[str, Places]:
    """Rows of each source in so many rows of the tree, each of these as likely as any other."""
    draw = np.random.default_rng(0)
    rows: dict[str, Places] = {}
    for source in order:
        parent = source.parent
        if parent is None:
            ends = np.cumsum(source.below)
            # roots are dealt, one a stretch: what only depends on a row is as good as counted
            at = (draw.permutation(count) if rows else np.arange(count)) + draw.random(count)
            places = np.searchsorted(ends, at * (ends[-1] / count), side="right")
            rows[source.alias] = np.minimum(places, len(ends) - 1)
            continue
        wanted = source.parent_key[rows[parent.alias]]
        reached = np.zeros(len(source.total), bool)
        reached[wanted] = True
        kept = np.flatnonzero(reached[source.key])
        kept = kept[np.argsort(source.key[kept], kind="stable")]
        ends = np.cumsum(source.below[kept])
        keys = source.key[kept]
        last = np.searchsorted(keys, wanted, side="right") - 1
        first = np.searchsorted(keys, wanted, side="left")
        start = np.where(first > 0, ends[first - 1], 0.0)
        at = start + draw.random(count) * (ends[last] - start)
        places = np.clip(np.searchsorted(ends, at, side="right"), first, last)
        rows[source.alias] = kept[places]
    return rows
