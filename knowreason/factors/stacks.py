"""Components of the same shape, stacked so that all of them are solved at once."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import (
    Array,
    array,
    offsets_of,
    owners,
    parameters_of,
    sum_by,
    values_of,
)
from knowreason.factors.components import first_atoms
from knowreason.factors.graph import Clause, ClauseList, FactorGraph, FactorGroup, Table

Hash: TypeAlias = NDArray[np.uint64]


@dataclass(frozen=True)
class FlatRows:
    """Every row of all factors, groups before clause lists.

    Attributes:
        parameter: ``int64[m]``, ``-1`` for a hard row.
        value: ``float64[m]``.
        starts: ``int64[g + 1]``, where each group's rows start.
        rule: ``int64[g]`` label of each group.
    """

    parameter: NDArray[np.int64]
    value: NDArray[np.float64]
    starts: NDArray[np.int64]
    rule: NDArray[np.int64]

    @staticmethod
    def of(graph: FactorGraph) -> FlatRows:
        """The rows of a graph."""
        parts = graph.factors
        parameters = [
            np.full(p.rows, -1) if p.parameter is None else parameters_of(p.parameter, p.rows)
            for p in parts
        ]
        values = [values_of(p.value, p.rows) for p in parts]
        return FlatRows(
            np.concatenate([np.zeros(0, np.int64), *parameters]),
            np.concatenate([np.zeros(0), *values]),
            offsets_of(np.array([p.rows for p in parts], dtype=np.int64)),
            np.array([p.rule for p in parts], dtype=np.int64),
        )

    def weights(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """``float64[m]``: ``theta * value`` of each row, 0 for hard rows."""
        padded = np.append(theta, 0.0)
        return padded[self.parameter] * self.value

    def totals(self, truth: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """``float64[count]``: sum of value times ``truth`` (``float64[m]``) per parameter."""
        soft = self.parameter >= 0
        if not soft.all():
            return sum_by(self.parameter[soft], (self.value * truth)[soft], count)
        return sum_by(self.parameter, self.value * truth, count)


@dataclass(frozen=True)
class LocalRow:
    """A factor over local atoms; ``potential`` of a clause list is a :class:`Clause`."""

    atoms: tuple[int, ...]
    potential: Clause | Table
    is_hard: bool


@dataclass(frozen=True)
class LocalCount:
    """A count definition over local atoms; ``target`` is ``-1`` for a demand."""

    atoms: tuple[int, ...]
    signs: tuple[bool, ...]
    lower: int
    upper: int
    target: int


@dataclass(frozen=True)
class Wiring:
    """The shape that all components of a stack share; atoms are numbered within it.

    Attributes:
        atoms: number of atoms.
        rows, counts: factors and count definitions.
        blocks: members of each block and whether at most one is true.
    """

    atoms: int
    rows: tuple[LocalRow, ...]
    counts: tuple[LocalCount, ...]
    blocks: tuple[tuple[tuple[int, ...], bool], ...]


@dataclass(frozen=True)
class Stack:
    """Components of one shape.

    Attributes:
        wiring: their shape.
        components: ``int64[b]`` labels.
        atoms: ``int64[b, a]`` atom at each local number.
        rows: ``int64[b, r]`` flat row (:class:`FlatRows`) at each of ``wiring.rows``.
    """

    wiring: Wiring
    components: NDArray[np.int64]
    atoms: NDArray[np.int64]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class _Sorted:
    """Things sorted by component: ``order[starts[c]:starts[c + 1]]`` are those of ``c``."""

    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    def of(self, component: int) -> NDArray[np.int64]:
        return self.order[self.starts[component] : self.starts[component + 1]]

    def stacked(self, chosen: Array) -> NDArray[np.int64]:
        """``int64[b, k]`` where all chosen components have ``k`` things."""
        k = int(self.starts[chosen[0] + 1] - self.starts[chosen[0]])
        return self.order[self.starts[chosen][:, None] + np.arange(k)]


class Shapes:
    """Which components have the same shape, and what that shape is.

    Shapes are told apart by potentials, hardness, wiring after numbering each
    component's atoms in order, blocks and counts; never by parameters or values. Two
    independent 64-bit sums of row hashes identify a shape.

    Args:
        graph: a conditioned graph.
        labels: ``int32[n]`` component of each atom, ``-1`` for decided ones.
        count: number of components.
    """

    def __init__(self, graph: FactorGraph, labels: NDArray[np.int32], count: int) -> None:
        self.graph, self.rows = graph, FlatRows.of(graph)
        self._labels, self._count = labels, count
        self._row_starts: list[int] = self.rows.starts.tolist()
        self._parts = graph.factors
        self._members = [array(part.atoms) for part in self._parts]
        order = np.argsort(labels, kind="stable")[np.count_nonzero(labels < 0) :]
        self._atoms = _Sorted(order, self._starts(labels[order]))
        self._local = np.zeros(len(labels), dtype=np.int64)
        self._local[order] = np.arange(len(order)) - self._atoms.starts[labels[order]]
        self._potentials: dict[object, int] = {}
        self._sort_rows()
        self._sort_others()
        self.shape, self.members = self._identify()

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``int64[c]`` number of atoms of every component."""
        return np.diff(self._atoms.starts)

    def stack(self, chosen: NDArray[np.int64]) -> Stack:
        """The stack of chosen components (``int64[b]``), all of one shape."""
        wiring = self._wiring(int(chosen[0]))
        return Stack(wiring, chosen, self._atoms.stacked(chosen), self._rows.stacked(chosen))

    def stacks(self, chosen: NDArray[np.int64]) -> list[Stack]:
        """One stack for every shape among chosen components (``int64[c]``)."""
        if not len(chosen):
            return []
        order = chosen[np.argsort(self.shape[chosen], kind="stable")]
        cuts = np.flatnonzero(np.diff(self.shape[order])) + 1
        return [self.stack(part) for part in np.split(order, cuts)]

    def _starts(self, labels: Array) -> NDArray[np.int64]:
        return np.searchsorted(labels, np.arange(self._count + 1)).astype(np.int64)

    def _sort_rows(self) -> None:
        hashes = [np.zeros(0, np.uint64)]
        component = [np.zeros(0, np.int32)]
        for part in self.graph.factors:
            hashes.append(self._group_hash(part))
            component.append(self._labels[first_atoms(part)])
        self._row_hash = np.concatenate(hashes)
        self._row_component = np.concatenate(component)
        order = np.lexsort((self._row_hash, self._row_component))
        self._rows = _Sorted(order, self._starts(self._row_component[order]))

    def _sort_others(self) -> None:
        self._counts = []
        for part in self.graph.counts:
            owner = self._labels[first_atoms(part)]
            order = np.argsort(owner, kind="stable")
            self._counts.append(_Sorted(order, self._starts(owner[order])))
        if self.graph.blocks.count:
            owner = self._labels[first_atoms(self.graph.blocks)]
            order = np.argsort(owner, kind="stable")
            self._blocks: _Sorted | None = _Sorted(order, self._starts(owner[order]))
        else:
            self._blocks = None

    def _identify(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shape of every component (``int64[c]``) and members of every shape."""
        first = _mix(np.diff(self._atoms.starts).astype(np.uint64))
        np.add.at(first, self._row_component, self._row_hash)
        second = np.zeros(self._count, dtype=np.uint64)
        np.add.at(second, self._row_component, _mix(self._row_hash ^ _SALT))
        for component, hashes in self._other_hashes():
            np.add.at(first, component, hashes)
            np.add.at(second, component, _mix(hashes ^ _SALT))
        order = np.lexsort((second, first))
        changes = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
        shape = np.zeros(self._count, dtype=np.int64)
        shape[order[1:]] = np.cumsum(changes)
        return shape, np.bincount(shape)

    def _group_hash(self, part: FactorGroup | ClauseList) -> Hash:
        if isinstance(part, ClauseList):
            seed = self._potential(("list", part.is_hard))
            return _mix(seed + self._literal_hash(part.offsets, part.atoms, part.signs))
        key = (
            part.potential
            if isinstance(part.potential, Clause)
            else array(part.potential.values).tobytes()
        )
        seed = self._potential((key, part.is_hard))
        local = self._local[array(part.atoms)].astype(np.uint64)
        total = np.full(part.rows, seed, dtype=np.uint64)
        for column in local.T:
            total = _mix(total * _STEP + column)
        return total

    def _potential(self, key: object) -> np.uint64:
        number = self._potentials.setdefault(key, len(self._potentials) + 1)
        return np.uint64(number * 0x9E3779B97F4A7C15 & _MASK)

    def _literal_hash(self, offsets: Tensor, atoms: Tensor, signs: Tensor) -> Hash:
        local = self._local[array(atoms)].astype(np.uint64)
        signed = _mix(local * np.uint64(2) + array(signs).astype(np.uint64))
        starts = array(offsets)
        total = np.zeros(len(starts) - 1, dtype=np.uint64)
        np.add.at(total, owners(starts), signed)
        return total

    def _other_hashes(self) -> list[tuple[Array, Hash]]:
        found = []
        for part in self.graph.counts:
            total = self._literal_hash(part.offsets, part.atoms, part.signs)
            target = array(part.target).astype(np.int64)
            local = np.where(target >= 0, self._local[np.maximum(target, 0)], -1)
            for field in (local, array(part.lower), array(part.upper)):
                total = _mix(total * _STEP + field.astype(np.int64).astype(np.uint64))
            found.append((self._labels[first_atoms(part)], _mix(total + self._potential("count"))))
        blocks = self.graph.blocks
        if blocks.count:
            signs = torch.repeat_interleave(blocks.at_most_one, blocks.offsets.diff())
            total = self._literal_hash(blocks.offsets, blocks.atoms, signs)
            owner = self._labels[first_atoms(blocks)]
            found.append((owner, _mix(total + self._potential("block"))))
        return found

    def _wiring(self, component: int) -> Wiring:
        rows = tuple(self._local_row(int(row)) for row in self._rows.of(component))
        counts = []
        for part, index in zip(self.graph.counts, self._counts, strict=True):
            chosen = index.of(component)
            for row in chosen:
                places = slice(int(part.offsets[row]), int(part.offsets[row + 1]))
                target = int(part.target[row])
                counts.append(
                    LocalCount(
                        self._local_atoms(part.atoms[places]),
                        tuple(bool(s) for s in part.signs[places]),
                        int(part.lower[row]),
                        int(part.upper[row]),
                        int(self._local[target]) if target >= 0 else -1,
                    )
                )
        atoms = int(self._atoms.starts[component + 1] - self._atoms.starts[component])
        return Wiring(atoms, rows, tuple(counts), self._local_blocks(component))

    def _local_row(self, row: int) -> LocalRow:
        group = bisect_right(self._row_starts, row) - 1
        part, place = self._parts[group], row - self._row_starts[group]
        if isinstance(part, FactorGroup):
            atoms = self._local[self._members[group][place]]
            return LocalRow(tuple(atoms.tolist()), part.potential, part.is_hard)
        entries = slice(int(part.offsets[place]), int(part.offsets[place + 1]))
        atoms = self._local[self._members[group][entries]]
        signs = tuple(array(part.signs)[entries].tolist())
        return LocalRow(tuple(atoms.tolist()), Clause(signs), part.is_hard)

    def _local_blocks(self, component: int) -> tuple[tuple[tuple[int, ...], bool], ...]:
        if self._blocks is None:
            return ()
        blocks, found = self.graph.blocks, []
        for b in self._blocks.of(component):
            members = blocks.atoms[int(blocks.offsets[b]) : int(blocks.offsets[b + 1])]
            found.append((self._local_atoms(members), bool(blocks.at_most_one[b])))
        return tuple(found)

    def _local_atoms(self, atoms: Tensor) -> tuple[int, ...]:
        return tuple(self._local[array(atoms)].tolist())


_MASK = (1 << 64) - 1
_SALT = np.uint64(0xD1B54A32D192ED03)
_STEP = np.uint64(0xFF51AFD7ED558CCD)


def _mix(values: Hash) -> Hash:
    """The finaliser of splitmix64: a bijection that scatters every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
