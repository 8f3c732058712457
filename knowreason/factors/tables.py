"""Short rows of some components as tables over their variables.

Rows over the same variables are merged into one table, so that several rules about the
same pair of unknowns do not make a loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, array
from knowreason.factors.components import first_atoms
from knowreason.factors.graph import Clause, ClauseList, FactorGraph, Table
from knowreason.factors.stacks import FlatRows
from knowreason.factors.variables import Variables
from knowreason.row_keys import distinct_rows

SHORT = 4  # clauses up to this length become tables


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
        return np.einsum("cs,cs->c", probability[self.table], self.patterns[self.pattern])


@dataclass(frozen=True)
class _Rows:
    """Rows of equal arity that become tables."""

    atoms: NDArray[np.int64]
    potential: Clause | Table
    row: NDArray[np.int64]
    is_hard: bool


@dataclass(frozen=True)
class _Contribution:
    scope: NDArray[np.int64]
    pattern: NDArray[np.int64]
    row: NDArray[np.int64]
    is_hard: bool


def merged_tables(
    graph: FactorGraph, flat: FlatRows, variables: Variables, chosen: NDArray[np.bool_]
) -> Iterator[TableGroup]:
    """The short rows of whole components (atoms ``bool[n]``) as tables, by shape."""
    patterns: list[NDArray[np.float64]] = []
    parts: list[_Contribution] = []
    for rows in _short_rows(graph, flat, chosen):
        parts.extend(_contributions(rows, variables, patterns))
    return _merge(parts, variables, patterns)


def state_digits(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """``int64[s, size]``: the state of each variable in every flattened (C order) state."""
    return np.indices(shape).reshape(len(shape), -1)


def row_tensor(
    potential: Clause | Table, places: Array, digits: Array, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """``float64[size]``: a potential over the flattened states of its scope.

    Args:
        potential: of ``k`` literals.
        places: ``int64[k]`` which variable of the scope each literal's atom belongs to.
        digits: ``int64[k]`` the state in which the atom is true.
        shape: states of each variable of the scope.
    """
    truth = state_digits(shape)[places] == np.asarray(digits)[:, None]
    if isinstance(potential, Clause):
        return (truth == np.array(potential.signs)[:, None]).any(0).astype(np.float64)
    index = (truth.astype(np.int64) << np.arange(len(truth))[:, None]).sum(0)
    return array(potential.values).astype(np.float64)[index]


def _short_rows(graph: FactorGraph, flat: FlatRows, chosen: Array) -> Iterator[_Rows]:
    for start, group in zip(flat.starts, graph.groups, strict=False):
        atoms = array(group.atoms)
        if isinstance(group.potential, Table) or atoms.shape[1] <= SHORT:
            rows = np.flatnonzero(chosen[atoms[:, 0]])
            if len(rows):
                kept = atoms[rows].astype(np.int64)
                yield _Rows(kept, group.potential, start + rows, group.is_hard)
    for start, part in zip(flat.starts[len(graph.groups) :], graph.clause_lists, strict=False):
        yield from _short_lists(part, int(start), chosen)


def _short_lists(part: ClauseList, start: int, chosen: Array) -> Iterator[_Rows]:
    offsets, signs = array(part.offsets), array(part.signs)
    lengths = np.diff(offsets)
    short = chosen[first_atoms(part)] & (lengths <= SHORT)
    for k in np.unique(lengths[short]):
        rows = np.flatnonzero(short & (lengths == k))
        places = offsets[rows][:, None] + np.arange(k)
        codes = (signs[places] << np.arange(k)).sum(1)
        for code in np.unique(codes):
            same = codes == code
            clause = Clause(tuple(bool(code >> j & 1) for j in range(k)))
            atoms = array(part.atoms)[places[same]].astype(np.int64)
            yield _Rows(atoms, clause, start + rows[same], part.is_hard)


def _contributions(
    rows: _Rows, variables: Variables, patterns: list[NDArray[np.float64]]
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
        key = np.concatenate([places[same], digit[same], sizes], axis=1)
        first, inverse = distinct_rows(key.T)
        number = np.arange(len(first)) + len(patterns)
        for i in first:
            shape = tuple(int(d) for d in sizes[i])
            chosen = same[i]
            patterns.append(row_tensor(rows.potential, places[chosen], digit[chosen], shape))
        yield _Contribution(scope, number[inverse], rows.row[same], rows.is_hard)


def _merge(
    parts: list[_Contribution], variables: Variables, patterns: list[NDArray[np.float64]]
) -> Iterator[TableGroup]:
    for width in sorted({part.scope.shape[1] for part in parts}):
        same = [part for part in parts if part.scope.shape[1] == width]
        scope = np.concatenate([part.scope for part in same])
        pattern = np.concatenate([part.pattern for part in same])
        row = np.concatenate([part.row for part in same])
        hard = np.concatenate([np.full(len(part.row), part.is_hard) for part in same])
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
