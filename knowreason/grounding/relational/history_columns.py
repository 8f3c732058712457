"""Numbers of things and of rows as arrays, for aggregates over history.

What a term says of each thing of a domain (its clock, its amount, its key) is read once, by the id
of the thing, whatever definitions speak of it; events are sorted once by group and clock, and what
was gathered in that order is kept beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlglot import exp

from knowreason.grounding.history.event_frames import (
    EventOrder,
    Frames,
    Known,
    Places,
    Values,
    ordered_bits,
)
from knowreason.grounding.relational.query_protocols import Tables
from knowreason.logic import Formula, Term, Variable
from knowreason.row_keys import RowKeys


class Column(NamedTuple):
    """Numbers by row, 0 where they are not known."""

    values: Values
    known: Known = None

    def of(self, rows: NDArray[np.integer] | None) -> Column:
        """The numbers of some rows, or of all."""
        if rows is None:
            return self
        return Column(self.values[rows], None if self.known is None else self.known[rows])


@dataclass(frozen=True)
class HistoryRows:
    """Settings of one side of an aggregate.

    Attributes:
        text: tells them from all others: rows that are read twice need not come in one order.
        variables: those whose things are ``v0 ..`` of the table.
        terms: others that were read along, ``t0 ..``.
        table: the rows; ``None`` for all things of the domain of one variable, in order.
    """

    text: str
    variables: Sequence[Variable]
    terms: Sequence[Term | Formula]
    table: pa.Table | None

    def ids(self, variable: Variable) -> NDArray[np.integer] | None:
        """The thing of each row; ``None`` for all of them in order."""
        if self.table is None:
            return None
        return np.asarray(self.table[f"v{self.variables.index(variable)}"])


@dataclass
class SortedEvents:
    """Events by group and clock, and who asks about them.

    Attributes:
        order: of the events that have both.
        rows: the counted row at each place.
        turn: asked rows that have a group, in an order that keeps close what looks at close
            events: in which frames are cut and folded.
        group: of each of these.
        frames: that were cut, by their bounds.
        gathered: columns by place, or by turn.
    """

    order: EventOrder
    rows: Places
    turn: Places
    group: Places
    frames: dict[tuple[object, ...], Frames] = field(default_factory=dict)
    gathered: dict[tuple[bool, str], Column] = field(default_factory=dict)

    def column(self, counted: bool, text: str, read: Callable[[], Column]) -> Column:
        """A column by place (of the counted) or by turn (of the asked), gathered once."""
        if (counted, text) not in self.gathered:
            self.gathered[counted, text] = read().of(self.rows if counted else self.turn)
        return self.gathered[counted, text]

    def nbytes(self) -> int:
        """Bytes of everything that is kept."""
        arrays = [self.rows, self.order.starts, self.turn, self.group]
        arrays += [end for frames in self.frames.values() for end in (frames.first, frames.last)]
        arrays += [column.values for column in self.gathered.values()]
        return sum(array.nbytes for array in arrays)


class ReadHistories:
    """What was read and sorted already, while there is room.

    Args:
        relations: what rows are read from.
        room: bytes that may be kept for the next definition; the last is kept anyway.
    """

    def __init__(self, relations: Tables, room: int) -> None:
        self.columns = ThingColumns(relations)
        self.room = room
        self.trees: dict[Term | Formula, tuple[exp.Select, str]] = {}  # of terms over one thing
        self._relations = relations
        self._sorted: dict[tuple[str, ...], SortedEvents] = {}
        self._read: dict[str, HistoryRows] = {}  # by the text of their query
        self._reads = count()

    def rows(
        self, tree: exp.Select, variables: Sequence[Variable], terms: Sequence[Term | Formula]
    ) -> HistoryRows:
        """Rows of a query, read once while there is room."""
        text = self._relations.sql(tree)
        if text not in self._read:
            table = self._relations.arrow(tree).read_all()
            name = f"read {next(self._reads)}"
            self._read[text] = HistoryRows(name, variables, terms, table)
            held = [0 if one.table is None else one.table.nbytes for one in self._read.values()]
            while len(self._read) > 1 and sum(held) > self.room:
                self._read.pop(next(iter(self._read)))
                held.pop(0)
        return replace(self._read[text], variables=variables, terms=terms)

    def sorted(self, key: tuple[str, ...], make: Callable[[], SortedEvents]) -> SortedEvents:
        """Sorted events, the last used last; those used longest ago make room."""
        made = self._sorted.pop(key, None)
        if made is None:
            made = make()
        self._sorted[key] = made
        held = [one.nbytes() for one in self._sorted.values()]
        while len(self._sorted) > 1 and sum(held) > self.room:
            self._sorted.pop(next(iter(self._sorted)))
            held.pop(0)
        if held[-1] > self.room:
            made.frames.clear()
            made.gathered.clear()
        return made


class ThingColumns:
    """Columns by the ids of things, read once each.

    Args:
        relations: where they are read from.
    """

    def __init__(self, relations: Tables) -> None:
        self._relations = relations
        self._kept: dict[str, Column] = {}
        self._sizes: dict[str, int] = {}
        self._ids: dict[str, pa.Array] = {}
        self._texts = pa.array([], pa.string())

    def numbers(self, column: pa.ChunkedArray) -> Column:
        """A column of any kind as int64 or float64; texts are numbered."""
        known = np.asarray(column.is_valid()) if column.null_count else None
        if pa.types.is_string(column.type):
            self._texts = pc.unique(pa.concat_arrays([self._texts, pc.unique(column)]))
            column = pc.index_in(column, value_set=self._texts)
        floats = pa.types.is_floating(column.type)
        column = pc.cast(column, pa.float64() if floats else pa.int64())
        return Column(np.asarray(pc.fill_null(column, 0) if column.null_count else column), known)

    def size(self, sort: str) -> int:
        """How many things a domain has."""
        if sort not in self._sizes:
            everything = exp.select(exp.Star()).from_(self._relations.domain(sort))
            self._sizes[sort] = self._relations.rows(everything)
        return self._sizes[sort]

    def ids(self, sort: str) -> pa.Array:
        """Ids of all things of a domain, ``int32``."""
        if sort not in self._ids:
            self._ids[sort] = pa.array(np.arange(self.size(sort), dtype=np.int32))
        return self._ids[sort]

    def of_things(self, tree: exp.Select, text: str, sort: str) -> Column:
        """A number by id of the things of a domain, from ``a0`` and ``value``; read once.

        Args:
            tree: the query.
            text: of it, which tells it from others.
            sort: the domain.
        """
        if text not in self._kept:
            table = self._relations.arrow(tree).read_all().drop_null()
            things, own = table["a0"].to_numpy(), self.numbers(table["value"]).values
            values, known = np.zeros(self.size(sort), own.dtype), np.zeros(self.size(sort), bool)
            values[things], known[things] = own, True
            self._kept[text] = Column(values, None if known.all() else known)
        return self._kept[text]


def known_rows(columns: Sequence[Column]) -> Places | None:
    """The rows of which all is known; ``None`` for all."""
    known = [own.known for own in columns if own.known is not None]
    return np.flatnonzero(np.logical_and.reduce(known)) if known else None


def comparable_bits(columns: Sequence[Values]) -> list[Places]:
    """Columns as whole numbers that compare as they do with each other."""
    if any(column.dtype.kind == "f" for column in columns):
        return [ordered_bits(column.astype(np.float64)) for column in columns]
    return [column.astype(np.int64, copy=False) for column in columns]


def group_numbers_of(
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
