"""Numbers of things and of rows as arrays, for aggregates over history.

What a term says of each thing of a domain (its clock, its amount, its key) is read once, by the id
of the thing, whatever definitions speak of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlglot import exp

from knowreason.grounding.history.event_frames import Known, Places, Values, ordered_bits
from knowreason.grounding.relational.query_protocols import Tables
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


class ThingColumns:
    """Columns by the ids of things, read once each.

    Args:
        relations: where they are read from.
    """

    def __init__(self, relations: Tables) -> None:
        self._relations = relations
        self._kept: dict[str, Column] = {}
        self._sizes: dict[str, int] = {}
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
