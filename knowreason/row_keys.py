"""Rows of integers as one integer each: keys, distinct rows, lookups. Arrays only.

A key is the row read as the digits of a number, so keys are ordered as the rows are. Where
the next digit would not fit into 62 bits, what is known so far is replaced by its rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Columns = Sequence[Integers] | Integers  # arrays of one length, or a matrix transposed
Keys = NDArray[np.int64]

KEY_LIMIT = 2**62
DENSE = 4  # possible keys a row, up to which distinct ones are counted instead of sorted
FEW = 20_000  # keys up to which numpy is as quick as a compiled pass
UNKNOWN = -1  # key and place of a row that is not among the known ones


@dataclass(frozen=True)
class _Digit:
    """One column: its least value and range; sorted keys and values where those are ranked."""

    low: int
    size: int
    prefixes: Keys | None
    values: Integers | None

    def after(self, key: Keys, column: Integers) -> Keys:
        """The key with the column as its next digit; ``key`` is overwritten."""
        lost = None
        if self.prefixes is not None:
            key = places_of(self.prefixes, key)
        if self.values is not None:
            column = places_of(self.values, column)
            lost = column < 0
        key *= self.size
        key += column
        if self.low:
            key -= self.low
        if lost is not None:
            key[lost] = UNKNOWN
        return key


@dataclass(frozen=True)
class RowKeys:
    """Keys of rows, the same for the same row each time; ordered as the rows are."""

    digits: tuple[_Digit, ...]

    @classmethod
    def of(
        cls, columns: Columns, sizes: Sequence[int] | None = None, rows: int = 0
    ) -> tuple[RowKeys, Keys]:
        """How to make keys, and the keys of these rows: ``int64[rows]``, none negative.

        Args:
            columns: one array a column, all of one length.
            sizes: exclusive upper bound of each column, whose values are then not negative;
                by default the columns' own ranges.
            rows: how many rows there are where there is no column; all are equal.
        """
        key = np.zeros(len(columns[0]) if len(columns) else rows, np.int64)
        digits: list[_Digit] = []
        space = 1
        ranges = _ranges(columns) if sizes is None else [(0, max(int(size), 1)) for size in sizes]
        for (low, size), column in zip(ranges, columns, strict=True):
            prefixes, values = None, None
            if space * size > KEY_LIMIT:
                prefixes = np.unique(key)
                space = max(len(prefixes), 1)
            if space * size > KEY_LIMIT:
                values = np.unique(column)
                low, size = 0, max(len(values), 1)
            digits.append(_Digit(low, size, prefixes, values))
            if size > 1 or prefixes is not None:  # a constant column tells nothing apart
                key = digits[-1].after(key, column)
            space *= size
        return cls(tuple(digits)), key

    def __call__(self, columns: Columns, rows: int = 0) -> Keys:
        """Keys of other rows, whose values lie in the ranges of the known ones.

        A row whose leading columns had to be ranked and are not among the known is negative.
        """
        key = np.zeros(len(columns[0]) if len(columns) else rows, np.int64)
        for digit, column in zip(self.digits, columns, strict=True):
            key = digit.after(key, column)
        return key

    def first_of(self, key: Keys) -> Keys | None:
        """First row of each possible key, -1 for none; ``None`` where too many are possible.

        Args:
            key: what :meth:`of` returned.
        """
        space = prod(digit.size for digit in self.digits)
        if space > DENSE * len(key) or any(digit.prefixes is not None for digit in self.digits):
            return None
        first_of = np.full(space, UNKNOWN, np.int64)
        first_of[key[::-1]] = np.arange(len(key) - 1, -1, -1)
        return first_of

    @property
    def are_digits(self) -> bool:
        """Whether a key alone tells its row."""
        return all(digit.prefixes is None and digit.values is None for digit in self.digits)

    def rows(self, key: Keys, like: Columns) -> list[Integers]:
        """Columns of the rows that keys stand for, in the types of other columns.

        Args:
            key: ``int64[m]``; :attr:`are_digits` holds.
            like: columns whose types are taken.
        """
        found: list[Integers] = []
        for digit, column in zip(reversed(self.digits), reversed(list(like)), strict=True):
            if digit.size > 1:
                above = key // digit.size
                found.append((key - above * digit.size + digit.low).astype(column.dtype))
                key = above
            else:
                found.append(np.full(len(key), digit.low, column.dtype))
        return found[::-1]

    def inside(self, columns: Columns, rows: int = 0) -> NDArray[np.bool_]:
        """``bool[rows]``: whether all values of a row lie in the ranges of the known ones."""
        inside = np.ones(len(columns[0]) if len(columns) else rows, bool)
        for digit, column in zip(self.digits, columns, strict=True):
            if digit.values is None:
                inside &= (column >= digit.low) & (column < digit.low + digit.size)
        return inside


def row_keys(columns: Columns, sizes: Sequence[int] | None = None, rows: int = 0) -> Keys:
    """``int64[rows]``: one integer a row, equal and ordered as the rows are.

    Args:
        columns: one array a column, all of one length (``table.T`` for a matrix).
        sizes: exclusive upper bound of each column, whose values are then not negative;
            by default the columns' own ranges.
        rows: how many rows there are where there is no column; all are equal.
    """
    return RowKeys.of(columns, sizes, rows)[1]


def distinct_rows(
    columns: Columns, sizes: Sequence[int] | None = None, rows: int = 0
) -> tuple[Keys, Keys]:
    """First row of each distinct row, in their order, and which of them each row is.

    Args:
        columns, sizes, rows: as for :func:`row_keys`.

    Returns:
        ``int64[d]`` and ``int64[rows]``.
    """
    keys, key = RowKeys.of(columns, sizes, rows)
    first_of = keys.first_of(key)
    if first_of is not None:
        present = first_of >= 0
        return first_of[present], (np.cumsum(present) - 1)[key]
    order = sorting_order(key)
    ordered = key if order is None else key[order]
    new = np.ones(len(key), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    rank = np.cumsum(new) - 1
    if order is None:
        return np.flatnonzero(new), rank
    owner = np.empty_like(rank)
    owner[order] = rank
    return order[new].astype(np.int64), owner


def ordered_rows(
    columns: Columns, sizes: Sequence[int] | None = None, rows: int = 0, *, distinct: bool = False
) -> Sequence[Integers] | None:
    """Columns of the rows in increasing order, ``None`` where they are in order already.

    Nothing but the rows is wanted, so keys are sorted and read back: no order is made and no row
    is moved.

    Args:
        columns, sizes, rows: as for :func:`row_keys`.
        distinct: each row once.

    Example:
        >>> ordered_rows([np.array([2, 0, 2]), np.array([1, 5, 1])], distinct=True)
        [array([0, 2]), array([5, 1])]
    """
    keys, key = RowKeys.of(columns, sizes, rows)
    steps = key[1:] > key[:-1] if distinct else key[1:] >= key[:-1]
    if steps.all():
        return None
    if not keys.are_digits:
        order = np.argsort(key, kind="stable")
        if distinct:
            order = order[np.append(True, key[order][1:] != key[order][:-1])]
        return [column[order] for column in columns]
    key.sort()
    if distinct:
        key = key[np.append(True, key[1:] != key[:-1])]
    return keys.rows(key, columns)


def by_appearance(first: Keys, owner: Keys) -> tuple[Keys, Keys]:
    """What :func:`distinct_rows` returns, numbered by first appearance instead."""
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return first[order], rank[owner]


def locate(known: Integers, wanted: Integers) -> Keys:
    """Place in ``known`` of each wanted row, -1 where it is not there.

    Args:
        known: ``[n, k]``; of equal rows the first is found.
        wanted: ``[m, k]``.

    Returns:
        ``int64[m]``.
    """
    if not len(known) or not len(wanted):
        return np.full(len(wanted), UNKNOWN, np.int64)
    keys, of_known = RowKeys.of(known.T, rows=len(known))
    asked = keys(wanted.T, len(wanted))
    asked[~keys.inside(wanted.T, len(wanted))] = UNKNOWN
    first_of = keys.first_of(of_known)
    if first_of is not None:
        return np.where(asked < 0, UNKNOWN, first_of[asked])
    order = sorting_order(of_known)
    place = KeyPlaces.of(of_known if order is None else of_known[order]).find(asked)
    return place if order is None else np.where(place < 0, UNKNOWN, order[place])


def scattered(numbers: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
    """Each number as 64 bits that look random: their sum (modulo 2^64) stands for a multiset.

    Two multisets have one sum with a chance of 2^-64. Source: Steele, Lea & Flood 2014
    (SplitMix64); Clarke et al. 2003 (multiset hashes).
    """
    bits = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _ranges(columns: Columns) -> list[tuple[int, int]]:
    """Least value and number of values of each column; those of a matrix all at once."""
    if not len(columns) or not len(columns[0]):
        return [(0, 1)] * len(columns)
    if isinstance(columns, np.ndarray):
        low, high = columns.min(1).tolist(), columns.max(1).tolist()
    else:
        low, high = [int(c.min()) for c in columns], [int(c.max()) for c in columns]
    return [(least, most - least + 1) for least, most in zip(low, high, strict=True)]


def places_of(ordered: Integers, wanted: Integers) -> Keys:
    """First place of each wanted value among ordered ones, -1 where it is not there."""
    if not len(ordered):
        return np.full(len(wanted), UNKNOWN, np.int64)
    place = np.searchsorted(ordered, wanted)
    place[place == len(ordered)] = 0
    place[ordered[place] != wanted] = UNKNOWN
    return place


@dataclass(frozen=True)
class KeyPlaces:
    """Places of keys among sorted ones: by their leading bits, then by halving.

    Attributes:
        known: ``int64[n]``, increasing.
        starts: ``int64[b + 1]``, the first place of every run of equal leading bits.
        shift: bits that are not leading.

    Example:
        >>> KeyPlaces.of(np.array([3, 5, 9])).find(np.array([9, 4, 3]))
        array([ 2, -1,  0])
    """

    known: Keys
    starts: Keys
    shift: int

    @staticmethod
    def of(known: Keys) -> KeyPlaces:
        """Lookups in keys (``int64[n]``, increasing)."""
        if len(known) < FEW:
            return KeyPlaces(known, np.zeros(0, np.int64), 0)
        span = int(known[-1]) - int(known[0])
        shift = max(span.bit_length() - (2 * len(known)).bit_length(), 0)
        starts = np.empty((span >> shift) + 2, np.int64)
        from knowreason.key_kernels import fill_starts

        fill_starts(known, shift, starts)
        return KeyPlaces(known, starts, shift)

    def find(self, wanted: Keys) -> Keys:
        """``int64[m]``: place of each key, ``-1`` where it is not there."""
        if not len(self.starts):
            return places_of(self.known, wanted)
        place = np.empty(len(wanted), np.int64)
        from knowreason.key_kernels import find_places

        find_places(self.known, self.starts, self.shift, wanted, place)
        return place


def sorting_order(keys: Keys) -> NDArray[np.integer[Any]] | None:
    """``int[n]``: the stable order that sorts keys (``int64[n]``); ``None`` where they are sorted.

    Example:
        >>> sorting_order(np.array([2, 1, 2])), sorting_order(np.array([1, 2, 2]))
        (array([1, 0, 2]), None)
    """
    if not (keys[1:] < keys[:-1]).any():
        return None
    low = int(keys.min())
    bits = (int(keys.max()) - low).bit_length()
    if len(keys) < FEW or len(keys) >= 1 << 31 or bits > 62:
        return np.argsort(keys, kind="stable")
    from knowreason.key_kernels import radix_order

    return radix_order(keys, low, bits)
