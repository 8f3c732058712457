"""Aggregates over what came before: both sides are read once, sorted, and cut into frames.

What is asked and what is counted of a :class:`.HistoryAggregate` are two queries; their rows become
arrays, and :mod:`knowreason.grounding.history.event_frames` does the rest. Definitions over the
same key and clock share the arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from knowreason.data.id_tables import repeats
from knowreason.diagnostics import Diagnostic
from knowreason.errors import GroundingError
from knowreason.grounding.history.event_frames import (
    Admitted,
    EventOrder,
    Frames,
    Known,
    Places,
    Values,
    might_overflow,
    ordered_bits,
    sorting,
)
from knowreason.grounding.plan.history_aggregates import HistoryAggregate, is_place, split
from knowreason.grounding.relational.aggregate_sql import amount
from knowreason.grounding.relational.query_protocols import SettingsQuery, Tables
from knowreason.grounding.relational.term_sql import known
from knowreason.grounding.relational.time_bands import linear_form
from knowreason.logic import Aggregate, And, Formula, Program, Term, Truth, Variable
from knowreason.logic.traversal import free_variables
from knowreason.row_keys import RowKeys, locate, row_keys

PAIRS = 10**10  # more than these are refused
PAIRS_A_SECOND = 1e7  # that DuckDB joins and filters (benchmarks/history.py)
KEPT_ROWS = 20_000_000  # of sides that are kept for the next definition: about a gigabyte


class Histories:
    """Tables of aggregates over history, and the sorted sides they are computed from."""

    def __init__(self, relations: Tables) -> None:
        self._relations = relations
        self._kept: dict[tuple[str, str], _Sides] = {}
        self._made: list[exp.Table] = []

    def table(
        self, outer: SettingsQuery, term: Aggregate, keys: Sequence[Variable]
    ) -> tuple[exp.Table, bool] | None:
        """Rows ``a0 .., value`` of an aggregate (and ``rows`` of a rate), if it is a history.

        Settings of ``keys`` that nothing precedes may be absent.

        Returns:
            The table, and whether it has one row for each thing of the domain of a single key,
            in the order of their ids.

        Raises:
            GroundingError: KR607 where only a join of too many pairs tells.
            OverflowError: a whole number beyond 64 bits.
        """
        history = split(term, keys)
        if history is None:
            return None
        read = _Reader(outer, term, keys, history)
        sides = self._sides(read)
        if not history.is_frame or not sides.unique:
            cuts = [cut for cut in read.cuts() if cut.operator != "last"]
            _refuse_many(term, int(sides.frames(cuts).counts().sum()))
            return None
        made = self._relations.register("history", sides.answer(read))
        self._made.append(made)
        return made, sides.covers

    @contextmanager
    def dropped_after(self) -> Iterator[None]:
        """A context whose tables are forgotten at its end."""
        before = len(self._made)
        try:
            yield
        finally:
            while len(self._made) > before:
                self._relations.drop(self._made.pop())

    def _sides(self, read: _Reader) -> _Sides:
        asked, counted = read.asked(), read.counted()
        key = self._relations.sql(asked), self._relations.sql(counted)
        if key not in self._kept:
            tables = [self._relations.arrow(tree).read_all() for tree in (asked, counted)]
            self._kept[key] = _Sides.of(*tables, is_whole=not read.history.asked)
            while len(self._kept) > 1 and sum(s.size for s in self._kept.values()) > KEPT_ROWS:
                self._kept.pop(next(iter(self._kept)))
        return self._kept[key]


class _Cut(NamedTuple):
    """``number operator limit + offset``, by columns of the counted and of the asked."""

    number: str
    operator: str
    limit: str | None
    offset: int


@dataclass(frozen=True)
class _Reader:
    """The queries of the two sides of an aggregate.

    Attributes:
        outer: a query of the relations that are read.
        term: the aggregate.
        keys: its free variables.
        history: its parts.
    """

    outer: SettingsQuery
    term: Aggregate
    keys: Sequence[Variable]
    history: HistoryAggregate

    def cuts(self) -> list[_Cut]:
        """The bounds of the counted, and ``last`` as the column and number of what is kept."""
        history = self.history
        terms: list[tuple[bool, str, Term]] = [
            (bound.number == history.clock, bound.operator, bound.limit) for bound in history.bounds
        ]
        if self.term.last is not None and history.is_frame:
            terms.append((True, "last", self.term.last))
        names = {base: name for name, base in self._limits().items()}
        cuts = []
        for of_clock, operator, limit in terms:
            base, offset = _moved(limit, self.outer.relations.program)
            number = "clock" if of_clock else "number"
            cuts.append(_Cut(number, operator, names[base] if base else None, offset))
        return cuts

    def asked(self) -> exp.Select:
        """``a0 .., g0 .., x0 .., l0 ..``: the keys, their groups, what must differ, limits."""
        query, history = self.outer.alone(), self.history
        query.satisfy(_all(history.asked), (*self.keys, *history.links))
        groups = (*(own for _, own in history.pairs), *history.links)
        outputs = {f"a{i}": query.columns[variable.name] for i, variable in enumerate(self.keys)}
        outputs |= {f"g{i}": query.term(own) for i, own in enumerate(groups)}
        outputs |= {f"x{i}": query.term(own) for i, (_, own) in enumerate(history.excluded)}
        outputs |= {name: query.term(base) for name, base in self._limits().items()}
        return query.select(outputs, distinct=bool(history.asked))

    def counted(self) -> exp.Select:
        """``b0 .., g0 .., x0 .., clock, number``: distinct counted settings."""
        history = self.history
        query, outputs = self._settings()
        groups = (*(own for own, _ in history.pairs), *history.links)
        needed = {f"g{i}": query.term(own) for i, own in enumerate(groups)}
        needed |= {f"x{i}": query.term(own) for i, (own, _) in enumerate(history.excluded)}
        needed |= {} if history.clock is None else {"clock": query.term(history.clock)}
        needed |= {"number": query.term(history.others[0].number)} if history.others else {}
        shown = {*self.term.variables, *groups}
        projected = any(v not in shown for part in history.counted for v in free_variables(part))
        select = query.select(outputs | needed, distinct=projected)
        return select.where(*(known(column) for column in needed.values()), copy=False)

    def value(self) -> exp.Select:
        """``b0 .., g.., value``: counted settings, with the places that the value speaks of."""
        query, outputs = self._settings()
        assert self.history.value is not None
        names = free_variables(self.history.value)
        for i, (own, _) in enumerate(self.history.pairs):
            if is_place(own) and own in names:
                outputs[f"g{i}"] = query.term(own)
        outputs["value"] = amount(query, self.history.value)
        return query.select(outputs)

    def _settings(self) -> tuple[SettingsQuery, dict[str, exp.Expr]]:
        query = self.outer.alone()
        query.satisfy(_all(self.history.counted), self.term.variables)
        return query, {f"b{i}": query.columns[v.name] for i, v in enumerate(self.term.variables)}

    def _limits(self) -> dict[str, Term]:
        """By column, the asked side's terms that bounds and ``last`` need."""
        terms = [bound.limit for bound in self.history.bounds]
        if self.term.last is not None and self.history.is_frame:
            terms.append(self.term.last)
        bases = (_moved(term, self.outer.relations.program)[0] for term in terms)
        return {f"l{i}": base for i, base in enumerate(dict.fromkeys(b for b in bases if b))}


@dataclass
class _Sides:
    """What is asked and what is counted, as arrays.

    Attributes:
        keys: ``a0 ..`` of the asked rows.
        asked, counted: their other columns; groups of both sides are numbers that compare.
        there: which asked rows have a group and all limits.
        covers: whether each thing of the domain of a single key is asked about, in order.
        unique: whether no setting of the keys has two groups.
    """

    keys: pa.Table
    asked: Mapping[str, Values]
    counted: Mapping[str, Values]
    there: Known
    covers: bool
    unique: bool
    _orders: dict[bool, tuple[EventOrder, Places]] = field(default_factory=dict)
    _frames: dict[tuple[object, ...], Frames] = field(default_factory=dict)
    _values: dict[str, tuple[Values, Known]] = field(default_factory=dict)

    @classmethod
    def of(cls, asked: pa.Table, counted: pa.Table, *, is_whole: bool) -> _Sides:
        """From the tables of :class:`_Reader`.

        Args:
            asked, counted: as they are read.
            is_whole: whether all settings of the keys are asked about, each once.
        """
        if not is_whole:
            asked = asked.drop_null()
        names = [name for name in asked.column_names if name.startswith("a")]
        ids = [asked[name].to_numpy() for name in names]
        order = sorting(ids[0]) if is_whole and len(ids) == 1 else None
        asked = asked if order is None else asked.take(order)
        there = None
        one: dict[str, Values] = {}
        other = {n: _numbers(counted[n]) for n in counted.column_names if n[0] not in "gx"}
        for name in asked.column_names[len(names) :]:
            if asked[name].null_count:
                known = np.asarray(asked[name].is_valid())
                there = known if there is None else there & known
            if name[0] == "l":
                one[name] = _numbers(asked[name])
            else:
                other[name], one[name] = _alike(counted[name], asked[name])
        unique = is_whole or not repeats(row_keys(ids, rows=asked.num_rows))
        return cls(asked.select(names), one, other, there, is_whole and len(ids) == 1, unique)

    @property
    def size(self) -> int:
        """Rows of both sides."""
        return int(self.keys.num_rows) + len(self._order(False)[0].rows)

    def answer(self, read: _Reader) -> pa.Table:
        """``a0 .., value`` (and ``rows``): the aggregate for each asked row."""
        kind = read.term.kind
        total, rows = self._totals(read, excluded=False)
        if read.history.excluded:
            same, of_same = self._totals(read, excluded=True)
            total, rows = total - same, rows - of_same
        if kind == "avg":
            total = total / np.maximum(rows, 1)
        columns = {name: self.keys[name] for name in self.keys.column_names}
        columns["value"] = pa.array(total, mask=None if kind == "count" else rows == 0)
        return pa.table(columns | ({"rows": pa.array(rows)} if kind == "rate" else {}))

    def frames(self, cuts: Sequence[_Cut], *, excluded: bool = False) -> Frames:
        """The events that each asked row is about, in the order by its groups.

        Args:
            cuts: bounds of clocks and numbers, and ``last``.
            excluded: only those that equal the asked where they must differ.
        """
        key = (excluded, *cuts)
        if key in self._frames:
            return self._frames[key]
        order, group = self._order(excluded)
        clock, bounds = self._bounds("clock", cuts)
        if clock is not None:
            order = replace(order, clock=clock[order.rows])
        frames = order.frames(group, bounds)
        number, bounds = self._bounds("number", cuts)
        if number is not None:
            frames = replace(frames, admitted=Admitted.of(number[order.rows], bounds))
        for cut in cuts:
            if cut.operator == "last":
                frames = frames.latest(self._limit(cut))
        self._frames[key] = frames
        return frames

    def _totals(self, read: _Reader, *, excluded: bool) -> tuple[Values, Places]:
        """What is added up for each asked row, and over how many."""
        kind, frames = read.term.kind, self.frames(read.cuts(), excluded=excluded)
        rows_of = self._order(excluded)[0].rows
        if kind == "count":
            if read.history.one_row({variable.name for variable in read.term.variables}):
                rows = frames.counts()
            else:
                rows = frames.distinct(self.counted["b0"][rows_of])
            return rows, rows
        values, known = self._values_of(read)
        values, known = values[rows_of], None if known is None else known[rows_of]
        if kind in ("min", "max"):
            return frames.extremes(values, kind == "max", known), frames.counts(known)
        if kind == "rate" or (kind == "avg" and might_overflow(values)):
            values = values.astype(np.float64)
        return frames.sums(values, known), frames.counts(known)

    def _values_of(self, read: _Reader) -> tuple[Values, Known]:
        """What each counted row adds, and whether that is known."""
        tree, relations = read.value(), read.outer.relations
        key = relations.sql(tree)
        if key not in self._values:
            table = relations.arrow(tree).read_all()
            value = table["value"]
            values, known = _numbers(value), np.asarray(value.is_valid())
            values = values if values.dtype.kind == "f" else values.astype(np.int64)
            names = table.column_names[:-1]
            found = [_numbers(table[name]) for name in names]
            wanted = [self.counted[name] for name in names]
            if not all(map(np.array_equal, found, wanted)):
                place = locate(np.column_stack(found), np.column_stack(wanted))
                values, known = values[place], known[place]
            self._values[key] = values, None if known.all() else known
        return self._values[key]

    def _order(self, excluded: bool) -> tuple[EventOrder, Places]:
        """Counted rows sorted by group, those that must differ too; and groups of the asked."""
        if excluded not in self._orders:
            names = [n for n in self.asked if n[0] == "g" or (excluded and n[0] == "x")]
            columns = [self.counted[name] for name in names]
            count = len(self.counted["b0"]) if "b0" in self.counted else 0
            group, of_asked, groups = _groups(
                columns, [self.asked[name] for name in names], count, self.keys.num_rows
            )
            if self.there is not None:
                of_asked = np.where(self.there, of_asked, -1)
            ties = [self.counted[n] for n in self.counted if n[0] == "b"]
            clock = self.counted.get("clock")
            bits = None if clock is None else _bits([clock])[0]
            self._orders[excluded] = EventOrder.of(group, groups, bits, ties), of_asked
        return self._orders[excluded]

    def _bounds(
        self, number: str, cuts: Sequence[_Cut]
    ) -> tuple[Places | None, list[tuple[str, Places]]]:
        """A counted number and its bounds as whole numbers that compare; ``None`` without any."""
        own = [cut for cut in cuts if cut.number == number and cut.operator != "last"]
        if not own:
            return None, []
        counted, *limits = _bits([self.counted[number], *map(self._limit, own)])
        return counted, [(cut.operator, limit) for cut, limit in zip(own, limits, strict=True)]

    def _limit(self, cut: _Cut) -> Values:
        if cut.limit is None:
            return np.full(self.keys.num_rows, cut.offset)
        limits = self.asked[cut.limit]
        limits = limits.astype(np.int64) if limits.dtype.kind == "i" else limits
        for extreme in (limits.min(), limits.max()) if cut.offset and len(limits) else ():
            if abs(int(extreme) + cut.offset) >= 1 << 63:
                raise OverflowError(f"({extreme} + {cut.offset})")
        return limits + cut.offset if cut.offset else limits


def _refuse_many(term: Aggregate, pairs: int) -> None:
    """Raise KR607 where the pairs that a join would try are too many."""
    if pairs > PAIRS:
        hours = pairs / PAIRS_A_SECOND / 3600
        message = (
            f"`{term.kind}` joins {pairs:,} pairs of what is asked and what is counted, about "
            f"{hours:.1f} hours of a core"
        )
        help = (
            "compare a clock and at most one other number of what is counted, each alone on its "
            "side; or narrow both by what they have in common"
        )
        raise GroundingError(diagnostics=(Diagnostic("KR607", message, span=term.span, help=help),))


def _moved(term: Term, program: Program) -> tuple[Term | None, int]:
    """A limit as a term, if it has one, and a whole number that is added to it."""
    form = linear_form(term, program)
    if form is not None and not form[0]:
        return None, form[1]
    if form is not None and list(form[0].values()) == [1]:
        return next(iter(form[0])), form[1]
    return term, 0


def _numbers(column: pa.ChunkedArray) -> Values:
    """Whole numbers as they are held, or float64; 0 where there are none."""
    if pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.float64() if pa.types.is_floating(column.type) else pa.int8())
    return np.asarray(pc.fill_null(column, 0) if column.null_count else column)


def _bits(columns: Sequence[Values]) -> list[Places]:
    """Columns as whole numbers that compare as they do with each other."""
    if any(column.dtype.kind == "f" for column in columns):
        return [ordered_bits(column.astype(np.float64)) for column in columns]
    return [column.astype(np.int64, copy=False) for column in columns]


def _alike(one: pa.ChunkedArray, two: pa.ChunkedArray) -> list[Places]:
    """Two columns of any kind as whole numbers that are equal where they are."""
    if pa.types.is_string(one.type):
        texts = pc.unique(one)
        codes = [pc.fill_null(pc.index_in(column, value_set=texts), -1) for column in (one, two)]
        return [_numbers(code) for code in codes]
    return _bits([_numbers(one), _numbers(two)])


def _groups(
    counted: Sequence[Places], asked: Sequence[Places], rows: int, asking: int
) -> tuple[Places, Places, int]:
    """The group of each counted and asked row (-1: none), and how many there are."""
    keys, key = RowKeys.of(counted, rows=rows)
    of_asked = keys(asked, asking)
    inside = keys.inside(asked, asking)
    if len(counted) == 1 and keys.digits[0].values is None and keys.digits[0].size <= 2 * rows:
        return key, np.where(inside, of_asked, -1), keys.digits[0].size
    encoded = pa.array(key).dictionary_encode()
    found = pc.fill_null(pc.index_in(pa.array(of_asked), value_set=encoded.dictionary), -1)
    group = encoded.indices.to_numpy().astype(np.int64)
    return group, np.where(inside, found, -1), max(len(encoded.dictionary), 1)


def _all(parts: Sequence[Formula]) -> Formula:
    return And(tuple(parts)) if parts else Truth(True)
