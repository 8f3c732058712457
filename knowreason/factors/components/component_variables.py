"""Variables of some components: free atoms, and blocks as one variable of several states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import array, entries_of, offsets_of, owners
from knowreason.factors.factor_graph import FactorGraph


@dataclass(frozen=True)
class Variables:
    """Free or defined atoms (states false, true) and blocks (a state an atom, then none).

    Attributes:
        sizes: ``int64[v]`` number of states.
        offsets: ``int64[v + 1]`` into flat states.
        of_atom: ``int64[n]`` variable of each atom, ``-1`` where not chosen.
        digit: ``int64[n]`` the state of its variable in which an atom is true.
        atom: ``int64[offsets[-1]]`` the atom true in each flat state, ``-1`` for none.
        component: ``int64[v]`` label.
    """

    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    of_atom: NDArray[np.int64]
    digit: NDArray[np.int64]
    atom: NDArray[np.int64]
    component: NDArray[np.int64]

    @staticmethod
    def of(graph: FactorGraph, labels: NDArray[np.int32], chosen: NDArray[np.bool_]) -> Variables:
        """Variables of the atoms in ``chosen`` (``bool[n]``, whole components)."""
        blocks = graph.blocks
        heads = blocks.first_atoms()
        rows = np.flatnonzero(chosen[heads])
        entries, starts = entries_of(array(blocks.offsets), rows)
        members, slots = array(blocks.atoms)[entries].astype(np.int64), owners(starts)
        alone = chosen.copy()
        alone[members] = False
        free = np.flatnonzero(alone)
        block_sizes = np.diff(starts) + array(blocks.at_most_one)[rows]
        sizes = np.concatenate([np.full(len(free), 2), block_sizes]).astype(np.int64)
        offsets = offsets_of(sizes)

        of_atom = np.full(graph.atom_count, -1, dtype=np.int64)
        digit = np.ones(graph.atom_count, dtype=np.int64)
        of_atom[free] = np.arange(len(free))
        of_atom[members] = len(free) + slots
        digit[members] = np.arange(len(members)) - starts[slots]
        present = np.concatenate([free, members])
        atom = np.full(offsets[-1], -1, dtype=np.int64)
        atom[offsets[of_atom[present]] + digit[present]] = present
        first = np.concatenate([free, heads[rows]]).astype(np.int64)
        return Variables(sizes, offsets, of_atom, digit, atom, labels[first].astype(np.int64))

    @property
    def count(self) -> int:
        """Number of variables."""
        return len(self.sizes)
