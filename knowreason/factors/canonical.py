"""One canonical form of a conditioned graph: rows over the same atoms are one table.

However a distribution was written (two implications or one equivalence, a rule or two
halves of it, rules in any order), engines that pass messages see the same factors. A row
whose atoms all lie inside a larger table is folded into it, in equal shares where several
hold it, so that nothing depends on how atoms are numbered. A row that shares its atoms with
no other stays itself, and so do long rows and definitions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, entries_of, offsets_of
from knowreason.factors.factor_graph import FactorGraph
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.potentials import potential_of
from knowreason.factors.potentials.merged_tables import MergedTables
from knowreason.row_keys import distinct_rows

WIDEST = 6  # atoms of a table that rows are merged into


@dataclass(frozen=True)
class CanonicalFactors:
    """Rows that stay themselves, and tables that others were merged into."""

    lone: tuple[GroundFactors, ...]
    merged: tuple[MergedTables, ...]


def canonical(graph: FactorGraph) -> CanonicalFactors:
    """Canonical form of the couplings of a conditioned graph; ``theta`` is not read."""
    parts = graph.couplings
    short = list(_short_rows(parts))
    scopes = _ScopeSets.of(short, graph.atom_count)
    lone = []
    for number, part in enumerate(parts):
        stays = np.ones(part.rows, dtype=np.bool_)
        for rows in short:
            if rows.part == number:
                stays[rows.rows[scopes.merges(rows)]] = False
        if stays.all():
            lone.append(part)
        elif stays.any():
            lone.append(part.take(np.flatnonzero(stays)))
    merged = (scopes.table(k, parts, short) for k in scopes.sizes)
    return CanonicalFactors(tuple(lone), tuple(table for table in merged if len(table.atoms)))


@dataclass(frozen=True)
class _ShortRows:
    """Rows of one part and one length; ``ordered`` are their atoms, increasing."""

    part: int
    rows: NDArray[np.int64]
    atoms: NDArray[np.int32]
    ordered: NDArray[np.int32]
    tables: NDArray[np.float64]
    table_of: NDArray[np.int64]
    apart: bool  # whether each row has a table of its own

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        return int(self.atoms.shape[1])


def _short_rows(parts: tuple[GroundFactors, ...]) -> Iterator[_ShortRows]:
    for number, part in enumerate(parts):
        if part.target is not None:
            continue
        apart = part.table is not None and part.table.shape[0] > 1
        for found in potential_of(part).patterns(part, WIDEST):
            if found.atoms.shape[1] > 1:
                ordered = np.sort(found.atoms, axis=1)
                yield _ShortRows(
                    number, found.rows, found.atoms, ordered, found.tables, found.table_of, apart
                )


@dataclass(frozen=True)
class _ScopeSets:
    """Distinct sets of atoms by size, and which of them lie inside others.

    Attributes:
        sizes: numbers of atoms that occur.
        atoms: ``int32[n, k]`` sets of each size, in lexicographic order.
        of_row: set of each row of each :class:`_ShortRows`, by its identity.
        links: for each (inner size, outer size): ``int64[l]`` inner and outer sets; outer
            sets lie in no other.
        holders: ``int64[n]`` number of such outer sets around each set.
        merging: ``bool[n]``: sets whose rows are merged, into it or into sets around it.
    """

    sizes: list[int]
    atoms: dict[int, NDArray[np.int32]]
    of_row: dict[int, NDArray[np.int64]]
    links: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]]
    holders: dict[int, NDArray[np.int64]]
    merging: dict[int, NDArray[np.bool_]]

    @staticmethod
    def of(short: list[_ShortRows], atom_count: int) -> _ScopeSets:
        sizes = sorted({rows.size for rows in short})
        atoms, of_row, merging = {}, {}, {}
        for k in sizes:
            mine = [rows for rows in short if rows.size == k]
            every = np.concatenate([rows.ordered for rows in mine]).astype(np.int64)
            first, inverse = distinct_rows(every.T)
            atoms[k] = every[first].astype(np.int32)
            merging[k] = np.bincount(inverse, minlength=len(first)) > 1
            ends = np.cumsum([rows.count for rows in mine])[:-1]
            for rows, sets in zip(mine, np.split(inverse, ends), strict=True):
                of_row[id(rows)] = sets
                if rows.apart:
                    merging[k][sets] = True
        inside = {pair: _inside(atoms[pair[0]], atoms[pair[1]]) for pair in combinations(sizes, 2)}
        held = {k: np.zeros(len(atoms[k]), dtype=bool) for k in sizes}
        for (inner_size, _), (inner, _) in inside.items():
            held[inner_size][inner] = True
        links, holders = {}, {k: np.zeros(len(atoms[k]), dtype=np.int64) for k in sizes}
        for (small, large), (inner, outer) in inside.items():
            top = ~held[large][outer]
            inner, outer = inner[top], outer[top]
            links[small, large] = inner, outer
            holders[small] += np.bincount(inner, minlength=len(atoms[small]))
            merging[small][inner] = True
            merging[large][outer] = True
        return _ScopeSets(sizes, atoms, of_row, links, holders, merging)

    def merges(self, rows: _ShortRows) -> NDArray[np.bool_]:
        """``bool[r]``: rows that are merged."""
        return self.merging[rows.size][self.of_row[id(rows)]]

    def table(
        self, k: int, parts: tuple[GroundFactors, ...], short: list[_ShortRows]
    ) -> MergedTables:
        """The tables over ``k`` atoms."""
        top = np.flatnonzero(self.merging[k] & (self.holders[k] == 0))
        number = np.full(len(self.atoms[k]), -1, dtype=np.int64)
        number[top] = np.arange(len(top))
        forbidden = np.zeros((len(top), 1 << k), dtype=bool)
        row, state, parameter, coefficient = [], [], [], []
        for rows in short:
            at, into = self._joined(rows, k)
            at, into = at[number[into] >= 0], number[into[number[into] >= 0]]
            if not len(at):
                continue
            values = _spread(rows, at, self.atoms[k][top[into]])
            part, source = parts[rows.part], rows.rows[at]
            if part.is_hard:
                np.logical_or.at(forbidden, into, values <= 0)
                continue
            share = part.values()[source] / np.maximum(self._share(rows, k)[at], 1)
            gain = values * share[:, None]
            entry, where = np.nonzero(gain)
            row.append(into[entry])
            state.append(where)
            parameter.append(part.parameters()[source][entry])
            coefficient.append(gain[entry, where])
        none = np.zeros(0, np.int64)
        owner = np.concatenate([none, *row])
        order = np.argsort(owner, kind="stable")
        return MergedTables(
            self.atoms[k][top],
            offsets_of(np.bincount(owner, minlength=len(top))),
            np.concatenate([none, *state])[order],
            np.concatenate([none, *parameter])[order],
            np.concatenate([none.astype(np.float64), *coefficient])[order],
            forbidden,
        )

    def _share(self, rows: _ShortRows, k: int) -> NDArray[np.int64]:
        """``int64[r]``: number of sets of any size that each row is spread over."""
        return self.holders[rows.size][self.of_row[id(rows)]]

    def _joined(self, rows: _ShortRows, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows (positions) and the sets of ``k`` atoms they are merged into."""
        sets = self.of_row[id(rows)]
        if rows.size == k:
            return np.arange(len(sets)), sets
        if (rows.size, k) not in self.links:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        inner, outer = self.links[rows.size, k]
        order = np.argsort(inner, kind="stable")
        starts = np.searchsorted(inner[order], np.arange(len(self.atoms[rows.size]) + 1))
        places, offsets = entries_of(starts, sets)
        return np.repeat(np.arange(len(sets)), np.diff(offsets)), outer[order][places]


def _inside(
    small: NDArray[np.int32], large: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of a small set and a large one that holds it."""
    choices = list(combinations(range(large.shape[1]), small.shape[1]))
    queries = np.concatenate([large[:, list(choice)] for choice in choices])
    _, code = distinct_rows(np.concatenate([small, queries]).T)
    known = np.full(int(code.max(initial=-1)) + 1, -1, dtype=np.int64)
    known[code[: len(small)]] = np.arange(len(small))
    found = known[code[len(small) :]]
    hit = np.flatnonzero(found >= 0)
    return found[hit], hit % len(large)


def _spread(rows: _ShortRows, at: Array, around: NDArray[np.int32]) -> NDArray[np.float64]:
    """``float64[z, 2**k]``: tables of chosen rows over the atoms ``around`` them."""
    states = np.arange(1 << around.shape[1])
    place = (around[:, None, :] == rows.atoms[at][:, :, None]).argmax(2)
    index = np.zeros((len(at), len(states)), dtype=np.int64)
    for j in range(rows.size):
        index |= (states >> place[:, j, None] & 1) << j
    return np.asarray(rows.tables[rows.table_of[at, None], index])
