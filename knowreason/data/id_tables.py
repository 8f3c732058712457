"""Tables of ids: rows without repeats, conflicting values. Arrays only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.row_keys import DENSE, row_keys

Ids = NDArray[np.int32]
Rows = NDArray[np.int64]

VALUE = "value"
TRUTH = "truth"  # the column of an observed predicate without arguments
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


def id_matrix(table: pa.Table) -> NDArray[np.int32]:
    """The argument columns of an encoded table, ``int32[rows, arity]``."""
    return as_matrix(id_columns(table), table.num_rows)


def as_matrix(columns: Sequence[Ids], rows: int) -> NDArray[np.int32]:
    """Columns side by side, ``int32[rows, arity]``; there may be none."""
    matrix = np.empty((rows, len(columns)), np.int32)
    for place, column in enumerate(columns):
        matrix[:, place] = column
    return matrix


def group_numbers(key: NDArray[np.integer]) -> Ids:
    """Group of each row, numbered by first appearance, ``int32[rows]``."""
    numbers: Ids = pa.array(key).dictionary_encode().indices.to_numpy()
    return numbers


def first_rows(groups: Ids) -> Rows:
    """First row of each group, groups numbered by first appearance."""
    if not len(groups):
        return np.empty(0, dtype=np.int64)
    highest = np.maximum.accumulate(groups)
    return np.flatnonzero(np.diff(highest, prepend=-1) > 0)


def without_repeats(columns: Sequence[Ids], sizes: Sequence[int], rows: int) -> Rows | None:
    """Rows that no earlier row equals, in order; ``None`` when no row repeats."""
    if any(not repeats(column) for column in columns):
        return None
    key = row_keys(columns, sizes, rows)
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
    if len(key) < 2 or (key[1:] > key[:-1]).all():
        return False
    low, span = key.min(), int(key.max()) - int(key.min()) + 1
    if span <= DENSE * len(key):
        seen = np.zeros(span, bool)
        seen[key - low] = True
        return int(np.count_nonzero(seen)) < len(key)
    ordered = np.sort(key)
    return bool((ordered[1:] == ordered[:-1]).any())
