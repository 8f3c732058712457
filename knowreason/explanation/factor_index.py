"""Which ground factors hold which atoms, looked up from both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from knowreason.factors import FactorGraph
from knowreason.factors.arrays import array, offsets_of, owners

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Incidence:
    """Atoms of every factor and factors of every atom; factors are numbered part by part.

    The parts are the ground factors of a graph (``FactorGraph.factors``), and its blocks.
    Units hold no two atoms and have no factors here; their rows are numbered by themselves.

    Attributes:
        atoms_of: ``[factors, n]`` CSR.
        factors_of: ``[n, factors]`` CSR.
        starts: ``int64[parts + 1]``: first factor of each part.
        units_of: ``[n, unit rows]`` CSR.
        unit_starts: ``int64[parts + 1]``: first unit row of each part.
    """

    atoms_of: sparse.csr_array
    factors_of: sparse.csr_array
    starts: Index
    units_of: sparse.csr_array
    unit_starts: Index

    @staticmethod
    def of(graph: FactorGraph) -> Incidence:
        """Of a conditioned graph."""
        factors: list[Index] = []
        atoms: list[Index] = []
        starts = [0]
        for part in graph.factors:
            rows = 0 if part.is_unit else part.rows
            if rows:
                target = part.targets()
                defining = np.flatnonzero(target >= 0)
                factors += [starts[-1] + part.owners(), starts[-1] + defining]
                atoms += [part.entry_atoms.astype(np.int64), target[defining]]
            starts.append(starts[-1] + rows)
        blocks = graph.blocks
        factors.append(starts[-1] + owners(array(blocks.offsets)))
        atoms.append(array(blocks.atoms).astype(np.int64))
        starts.append(starts[-1] + blocks.count)
        row = np.concatenate([*factors, np.zeros(0, np.int64)]).astype(np.int64)
        column = np.concatenate([*atoms, np.zeros(0, np.int64)]).astype(np.int64)
        shape = (starts[-1], graph.atom_count)
        atoms_of = sparse.csr_array((np.ones(len(row), np.int8), (row, column)), shape=shape)
        units = [part.entry_atoms for part in graph.factors if part.is_unit]
        ends = np.cumsum([part.rows if part.is_unit else 0 for part in graph.factors])
        own = np.concatenate([*units, np.zeros(0, np.int32)]).astype(np.int64)
        places = np.arange(len(own))
        units_of = sparse.csr_array(
            (np.ones(len(own), np.int8), (own, places)), shape=(graph.atom_count, len(own))
        )
        return Incidence(
            atoms_of,
            atoms_of.T.tocsr(),
            np.array(starts, dtype=np.int64),
            units_of,
            np.concatenate([[0], ends]).astype(np.int64),
        )

    def touching(self, atoms: Index) -> Index:
        """Factors that hold any of the atoms, ascending."""
        return _columns(self.factors_of, atoms)

    def held_by(self, factors: Index) -> Index:
        """Atoms that any of the factors holds, ascending."""
        return _columns(self.atoms_of, factors)

    def within(self, atoms: NDArray[np.bool_]) -> list[Index]:
        """Rows of each part all of whose atoms are among ``bool[n]``."""
        factors = self.touching(np.flatnonzero(atoms))
        sizes = np.diff(self.atoms_of.indptr)[factors]
        start = offsets_of(sizes)
        entries = np.repeat(self.atoms_of.indptr[factors] - start[:-1], sizes)
        inside = atoms[self.atoms_of.indices[np.arange(start[-1]) + entries]]
        whole = np.bincount(owners(start), ~inside, minlength=len(factors)) == 0
        chosen = factors[whole]
        edges = np.searchsorted(chosen, self.starts)
        return [
            chosen[low:high] - first
            for low, high, first in zip(edges, edges[1:], self.starts, strict=False)
        ]

    def unit_rows(self, atoms: Index) -> list[Index]:
        """Rows of each part, ascending, that are units of the atoms."""
        chosen = _columns(self.units_of, atoms)
        edges = np.searchsorted(chosen, self.unit_starts)
        return [
            chosen[low:high] - first
            for low, high, first in zip(edges, edges[1:], self.unit_starts, strict=False)
        ]


def _columns(matrix: sparse.csr_array, rows: Index) -> Index:
    sizes = np.diff(matrix.indptr)[rows]
    start = offsets_of(sizes)
    entries = np.arange(start[-1]) + np.repeat(matrix.indptr[rows] - start[:-1], sizes)
    return np.unique(matrix.indices[entries]).astype(np.int64)
