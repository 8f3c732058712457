"""Short rows of some components as tables over their variables.

Rows over the same variables are merged into one table, so that several rules about the
same pair of unknowns do not make a loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, offsets_of
from knowreason.factors.components.component_variables import Variables
from knowreason.factors.components.shapes import FlatRows
from knowreason.factors.factor_graph import FactorGraph
from knowreason.factors.potentials import potential_of
from knowreason.row_keys import distinct_rows


@dataclass(frozen=True)
class TableGroup:
    """Merged tables of one shape.

    Attributes:
        shape: states of each variable of the scope.
        scope: ``int64[m, s]`` variables, increasing.
        table: ``int64[c]`` which table each contribution (a row) adds to; increasing.
        row: ``int64[c]`` flat row, ``-1`` for a count.
        pattern: ``int64[c]`` index into ``patterns``.
        patterns: ``float64[q, size]`` potential of a row over the flattened states.
        forbidden: ``bool[m, size]`` states a hard row excludes.
    """

    shape: tuple[int, ...]
    scope: NDArray[np.int64]
    table: NDArray[np.int64]
    row: NDArray[np.int64]
    pattern: NDArray[np.int64]
    patterns: NDArray[np.float64]
    forbidden: NDArray[np.bool_]

    def energies(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """``float64[m, size]`` log-potentials at row weights ``float64[m_rows]``."""
        energy = np.zeros(self.forbidden.shape)
        if len(self.table):
            starts = np.flatnonzero(np.diff(self.table, prepend=-1))
            parts = weights[self.row, None] * self.patterns[self.pattern]
            energy[self.table[starts]] = np.add.reduceat(parts, starts, axis=0)
        energy[self.forbidden] = -np.inf
        return energy

    def expect(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """``float64[c]`` expected potential of each contribution under ``float64[m, size]``."""
        expected: NDArray[np.float64] = np.einsum(
            "cs,cs->c", probability[self.table], self.patterns[self.pattern]
        )
        return expected


@dataclass(frozen=True)
class _ShortRows:
    """Rows of equal arity that become tables."""

    atoms: NDArray[np.int64]
    tables: NDArray[np.float64]
    table_of: NDArray[np.int64]
    row: NDArray[np.int64]
    is_hard: NDArray[np.bool_]

    @staticmethod
    def joined(parts: list[_ShortRows]) -> _ShortRows:
        """All rows, one part after another."""
        first = offsets_of(np.array([len(part.tables) for part in parts])).tolist()
        return _ShortRows(
            np.concatenate([part.atoms for part in parts]),
            np.concatenate([part.tables for part in parts]),
            np.concatenate([part.table_of + at for part, at in zip(parts, first, strict=False)]),
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.is_hard for part in parts]),
        )


@dataclass(frozen=True)
class _Contribution:
    scope: NDArray[np.int64]
    pattern: NDArray[np.int64]
    row: NDArray[np.int64]
    is_hard: NDArray[np.bool_]


def merged_tables(
    graph: FactorGraph, flat: FlatRows, variables: Variables, chosen: NDArray[np.bool_]
) -> Iterator[TableGroup]:
    """The short rows of whole components (atoms ``bool[n]``) as tables, by shape."""
    patterns: list[NDArray[np.float64]] = []
    parts: list[_Contribution] = []
    by_arity: dict[int, list[_ShortRows]] = {}
    for rows in _short_rows(graph, flat, chosen):
        by_arity.setdefault(rows.atoms.shape[1], []).append(rows)
    for alike in by_arity.values():  # few calls, however many factors a graph has
        parts.extend(_contributions(_ShortRows.joined(alike), variables, patterns))
    return _merge(parts, variables, patterns)


def state_digits(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """``int64[s, size]``: the state of each variable in every flattened (C order) state."""
    return np.indices(shape).reshape(len(shape), -1)


def table_over(
    table: NDArray[np.float64], places: Array, digits: Array, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """``float64[size]``: a table over atoms as one over the flattened states of its scope.

    Args:
        table: ``float64[2**k]``.
        places: ``int64[k]`` which variable of the scope each atom belongs to.
        digits: ``int64[k]`` the state in which the atom is true.
        shape: states of each variable of the scope.
    """
    truth = state_digits(shape)[places] == np.asarray(digits)[:, None]
    index = (truth.astype(np.int64) << np.arange(len(truth))[:, None]).sum(0)
    return np.asarray(table[index])


def _short_rows(graph: FactorGraph, flat: FlatRows, chosen: Array) -> Iterator[_ShortRows]:
    for start, part in zip(flat.starts, graph.couplings, strict=False):
        if part.target is not None:
            continue
        potential, mine = potential_of(part), chosen[part.first_atoms()]
        for found in potential.patterns(part, potential.listed_up_to, mine):
            atoms = found.atoms.astype(np.int64)
            hard = np.full(len(atoms), part.is_hard)
            yield _ShortRows(atoms, found.tables, found.table_of, start + found.rows, hard)


def _contributions(
    rows: _ShortRows, variables: Variables, patterns: list[NDArray[np.float64]]
) -> Iterator[_Contribution]:
    """Scopes of rows and their potentials as patterns (appended to ``patterns``)."""
    owner, digit = variables.of_atom[rows.atoms], variables.digit[rows.atoms]
    order = np.argsort(owner, axis=1, kind="stable")
    ordered = np.take_along_axis(owner, order, 1)
    fresh = np.diff(ordered, axis=1, prepend=-1) != 0
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.cumsum(fresh, axis=1) - 1, 1)
    widths = fresh.sum(1)
    for width in np.unique(widths):
        same = np.flatnonzero(widths == width)
        scope = ordered[same][fresh[same]].reshape(-1, width)
        sizes = variables.sizes[scope]
        table = rows.table_of[same, None]
        key = np.concatenate([places[same], digit[same], sizes, table], axis=1)
        first, inverse = distinct_rows(key.T)
        number = np.arange(len(first)) + len(patterns)
        for i in first:
            shape = tuple(int(d) for d in sizes[i])
            chosen = same[i]
            table_of = rows.tables[rows.table_of[chosen]]
            patterns.append(table_over(table_of, places[chosen], digit[chosen], shape))
        yield _Contribution(scope, number[inverse], rows.row[same], rows.is_hard[same])


def _merge(
    parts: list[_Contribution], variables: Variables, patterns: list[NDArray[np.float64]]
) -> Iterator[TableGroup]:
    for width in sorted({part.scope.shape[1] for part in parts}):
        same = [part for part in parts if part.scope.shape[1] == width]
        scope = np.concatenate([part.scope for part in same])
        pattern = np.concatenate([part.pattern for part in same])
        row = np.concatenate([part.row for part in same])
        hard = np.concatenate([part.is_hard for part in same])
        shapes, shape_of = distinct_rows(variables.sizes[scope].T)
        for number, representative in enumerate(shapes):
            chosen = np.flatnonzero(shape_of == number)
            shape = tuple(int(d) for d in variables.sizes[scope[representative]])
            yield _table_group(
                shape, scope[chosen], pattern[chosen], row[chosen], hard[chosen], patterns
            )


def _table_group(
    shape: tuple[int, ...],
    scope: Array,
    pattern: Array,
    row: Array,
    hard: Array,
    patterns: list[NDArray[np.float64]],
) -> TableGroup:
    first, table = distinct_rows(scope.T, rows=len(scope))
    used, local = np.unique(pattern, return_inverse=True)
    stacked = np.stack([patterns[i] for i in used])
    forbidden = np.zeros((len(first), stacked.shape[1]), dtype=bool)
    for q in np.unique(local[hard]):
        tables = np.unique(table[hard & (local == q)])
        forbidden[tables] |= stacked[q] <= 0
    order = np.argsort(table, kind="stable")
    order = order[~hard[order]]
    return TableGroup(
        shape, scope[first], table[order], row[order], local[order], stacked, forbidden
    )
