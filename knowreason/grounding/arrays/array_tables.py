"""Rows of a relation as arrays, found by the ids at some of their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.grounding.relational.history_columns import Column
from knowreason.row_keys import distinct_rows

Ids = NDArray[Any]  # int64
PAIRS = 4_000_000  # of rows that are joined; more are a relational engine's


class BeyondArrays(Exception):
    """What is asked is a relational engine's: too many rows, recursion, or an error to explain."""


@dataclass
class ArrayTable:
    """Rows of ids.

    Attributes:
        columns: ids, an array a place.
        rows: how many.
        sorted: by places, the sorted keys and their rows; made when first asked for.
    """

    columns: list[Ids]
    rows: int
    sorted: dict[tuple[int, ...], tuple[Ids, Ids]] = field(default_factory=dict)

    def matches(self, wanted: dict[int, Ids], rows: int) -> tuple[Ids, Ids]:
        """Pairs of an asking row and a row of the table that has its ids.

        Args:
            wanted: by place, the id that each asking row wants there.
            rows: how many rows ask.
        """
        places = tuple(sorted(wanted))
        first = places[:2]
        if not first:
            if rows * self.rows > PAIRS:
                raise BeyondArrays
            left = np.repeat(np.arange(rows), self.rows)
            return left, np.tile(np.arange(self.rows), rows)
        if first not in self.sorted:
            key = _key([self.columns[place] for place in first])
            order = np.argsort(key, kind="stable")
            self.sorted[first] = key[order], order
        keys, order = self.sorted[first]
        key = _key([wanted[place] for place in first])
        low, high = keys.searchsorted(key), keys.searchsorted(key, "right")
        counts = high - low
        total = int(counts.sum())
        if total > PAIRS:
            raise BeyondArrays
        left = np.arange(rows).repeat(counts)
        start = (low - counts.cumsum() + counts).repeat(counts)
        right = order[start + np.arange(total)]
        for place in places[2:]:
            kept = self.columns[place][right] == wanted[place][left]
            left, right = left[kept], right[kept]
        return left, right

    def projected(self, places: Sequence[int]) -> ArrayTable:
        """Its distinct rows at some places."""
        columns = [self.columns[place] for place in places]
        first, _ = distinct(columns, self.rows)
        return ArrayTable([column[first] for column in columns], len(first))


def _key(columns: Sequence[Ids]) -> Ids:
    if len(columns) == 1:
        return columns[0]
    return (columns[0] << 32) | (columns[1] & 0xFFFFFFFF)


def distinct(columns: Sequence[Ids], rows: int) -> tuple[Ids, Ids]:
    """First row of each distinct row, and which of them each row is."""
    if rows <= 1 or not columns:
        return np.arange(min(rows, 1)), np.zeros(rows, np.int64)
    return distinct_rows(columns, rows=rows)


def numbers_of(column: pa.ChunkedArray, things: Ids, size: int) -> Column:
    """Values by id of a thing, from a table's column; missing and NaN are not known."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        own = np.array([text or "" for text in column.to_pylist()], object)
    elif pa.types.is_boolean(column.type):
        own = np.array([bool(one) for one in column.to_pylist()], bool)
    else:
        filled = pc.fill_null(column, 0) if column.null_count else column
        kind = np.float64 if pa.types.is_floating(column.type) else np.int64
        own = np.asarray(filled).astype(kind, copy=False)
    there = np.asarray(column.is_valid()) if column.null_count else np.ones(len(own), bool)
    if own.dtype.kind == "f":
        there &= ~np.isnan(own)
        own = np.where(there, own, 0.0)
    values = np.full(size, "", object) if own.dtype == object else np.zeros(size, own.dtype)
    known = np.zeros(size, bool)
    values[things], known[things] = own, there
    return Column(values, None if known.all() else known)
