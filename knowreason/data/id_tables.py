"""Tables of ids: packed keys, distinct rows, conflicting values. Arrays only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ids = NDArray[np.int32]
Rows = NDArray[np.int64]

KEY_LIMIT = 2**62
VALUE = "value"
ARGUMENT = re.compile(r"a\d+$")


class Conflicts(NamedTuple):
    """Rows that say something else than an earlier row of the same key.

    Attributes:
        rows: ``int64``, the later rows.
        earlier: ``int64``, for each the first row of its key.
    """

    rows: Rows
    earlier: Rows


def argument_names(arity: int) -> list[str]:
    """Column names of the arguments of an encoded table: ``a0``, ``a1``, ..."""
    return [f"a{position}" for position in range(arity)]


def id_table(columns: Sequence[Ids], value: pa.Array | None = None) -> pa.Table:
    """An encoded table: ``a0 .. a{k-1}`` int32 and, if given, ``value``."""
    arrays: list[pa.Array] = [pa.array(column, pa.int32()) for column in columns]
    names = argument_names(len(columns))
    if value is not None:
        arrays.append(value)
        names.append(VALUE)
    return pa.table(arrays, names=names)


def id_columns(table: pa.Table) -> list[Ids]:
    """The argument columns of an encoded table, ``int32[rows]`` each."""
    names = [name for name in table.column_names if ARGUMENT.match(name)]
    return [table.column(name).to_numpy() for name in names]


def pack(columns: Sequence[Ids], sizes: Sequence[int], rows: int) -> Rows:
    """One int64 a row that is equal exactly where the rows are.

    Args:
        columns: ids, one array a column, all of one length, none negative.
        sizes: upper bound (exclusive) of the ids of each column.
        rows: how many rows there are; without columns all are equal.
    """
    if not columns:
        return np.zeros(rows, dtype=np.int64)
    key, space = columns[0].astype(np.int64), max(sizes[0], 1)
    for column, size in zip(columns[1:], sizes[1:], strict=True):
        if space * max(size, 1) > KEY_LIMIT:
            key, space = group_numbers(key).astype(np.int64), max(len(key), 1)
        key = key * max(size, 1) + column
        space *= max(size, 1)
    return key


def group_numbers(key: NDArray[np.integer]) -> Ids:
    """Group of each row, numbered by first appearance, ``int32[rows]``."""
    return pa.array(key).dictionary_encode().indices.to_numpy()


def first_rows(groups: Ids) -> Rows:
    """First row of each group, groups numbered by first appearance."""
    if not len(groups):
        return np.empty(0, dtype=np.int64)
    highest = np.maximum.accumulate(groups)
    return np.flatnonzero(np.diff(highest, prepend=-1) > 0)


def distinct_rows(columns: Sequence[Ids], sizes: Sequence[int], rows: int) -> Rows | None:
    """First row of each distinct row, in order; ``None`` when no row repeats."""
    if any(not repeats(column) for column in columns):
        return None
    key = pack(columns, sizes, rows)
    ordered = np.sort(key)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return None
    again = np.asarray(pc.is_in(pa.array(key), value_set=pa.array(twice).unique()))
    suspects = np.flatnonzero(again)
    keep = ~again
    keep[suspects[first_rows(group_numbers(key[suspects]))]] = True
    return np.flatnonzero(keep)


def conflicts(key: NDArray[np.int64], values: NDArray[np.generic]) -> Conflicts:
    """Rows whose value differs from the first row with the same key."""
    none = np.empty(0, dtype=np.int64)
    if not repeats(key):
        return Conflicts(none, none)
    groups = group_numbers(key)
    first = first_rows(groups)[groups]
    rows = np.flatnonzero(values != values[first])
    return Conflicts(rows, first[rows])


def repeats(key: NDArray[np.integer]) -> bool:
    """Whether a value occurs twice."""
    if len(key) < 2:
        return False
    ordered = np.sort(key)
    return bool((ordered[1:] == ordered[:-1]).any())
