"""Components of the same shape, stacked so that all of them are solved at once."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import Array, array, offsets_of, owners, sum_by
from knowreason.factors.factor_graph import FactorGraph
from knowreason.factors.ground_factors import TABLE, GroundFactors
from knowreason.factors.potentials import potential_of

Hash: TypeAlias = NDArray[np.uint64]


@dataclass(frozen=True)
class FlatRows:
    """Every row of all factors but units, in the order of ``FactorGraph.couplings``.

    Attributes:
        parameter: ``int64[m]``, ``-1`` for a hard row.
        value: ``float64[m]``.
        starts: ``int64[g + 1]``, where each group's rows start.
    """

    parameter: NDArray[np.int64]
    value: NDArray[np.float64]
    starts: NDArray[np.int64]

    @staticmethod
    def of(graph: FactorGraph) -> FlatRows:
        """The rows of a graph."""
        parts = graph.couplings
        return FlatRows(
            np.concatenate([np.zeros(0, np.int64), *(part.parameters() for part in parts)]),
            np.concatenate([np.zeros(0), *(part.values() for part in parts)]),
            offsets_of(np.array([part.rows for part in parts], dtype=np.int64)),
        )

    def weights(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """``float64[m]``: ``theta * value`` of each row, 0 for hard rows."""
        padded = np.append(theta, 0.0)
        return padded[self.parameter] * self.value

    def totals(self, truth: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """``float64[count]``: sum of value times ``truth`` (``float64[m]``) per parameter."""
        starts = self._runs
        if 4 * len(starts) > len(truth):
            padded = sum_by(self.parameter + 1, self.value * truth, count + 1)
        else:
            runs = np.add.reduceat(self.value * truth, starts)
            padded = sum_by(self.parameter[starts] + 1, runs, count + 1)
        return padded[1:]

    @cached_property
    def _runs(self) -> NDArray[np.int64]:
        """``int64[u]``: where runs of rows of one parameter start."""
        return np.flatnonzero(np.diff(self.parameter, prepend=-2))


@dataclass(frozen=True)
class LocalPotential:
    """Potential of one ground factor, whatever its atoms.

    Attributes:
        factor: the row, or rows that have it.
        signs: ``bool[k]`` of its literals.
        bounds: ``lower`` and ``upper``.
        weight: ``int64[k]`` what true literals add to its score; ``None`` means 1.
    """

    factor: GroundFactors
    signs: NDArray[np.bool_]
    bounds: tuple[int, int]
    weight: NDArray[np.int64] | None

    @staticmethod
    def interned(
        factor: GroundFactors, known: dict[tuple[object, ...], LocalPotential]
    ) -> LocalPotential:
        """Of one row, or of rows of equal length that share everything but their atoms.

        ``known`` keeps one object for all that are alike.
        """
        signs = factor.row_signs if factor.offsets is None else factor.entry_signs
        lower, upper, table = factor.lower, factor.upper, None
        low = lower if isinstance(lower, int) else int(lower[0])
        high = len(signs) if upper is None else upper if isinstance(upper, int) else int(upper[0])
        if factor.table is not None:
            which = 0 if factor.table_id is None else int(factor.table_id[0])
            table = array(factor.table)[which].tobytes()
        key = (factor.potential, factor.is_hard, signs.tobytes(), low, high, table)
        if key not in known:
            weight = potential_of(factor).entry_weights(factor.take(np.zeros(1, np.int64)))
            known[key] = LocalPotential(factor, signs, (low, high), weight)
        return known[key]


@dataclass(frozen=True)
class LocalRow:
    """A ground factor over local atoms.

    Attributes:
        potential: its potential.
        atoms: local numbers of its atoms.
        target: of the atom it defines, ``-1`` for none.
        is_hard: whether it must hold.
    """

    potential: LocalPotential
    atoms: tuple[int, ...]
    target: int
    is_hard: bool

    def of_states(self, true: NDArray[np.bool_]) -> NDArray[np.float64]:
        """``float64[s]``: its potential where its atoms have truths ``bool[k, s]``."""
        mine = self.potential
        literal = true == mine.signs[:, None]
        score = literal.sum(0) if mine.weight is None else mine.weight @ literal
        found = potential_of(mine.factor).of_score(mine.factor, score[:, None], slice(None))
        return found[:, 0]


@dataclass(frozen=True)
class ComponentShape:
    """The shape that all components of a stack share; atoms are numbered within it.

    Attributes:
        atoms: number of atoms.
        rows: factors.
        blocks: members of each block and whether at most one is true.
    """

    atoms: int
    rows: tuple[LocalRow, ...]
    blocks: tuple[tuple[tuple[int, ...], bool], ...]


@dataclass(frozen=True)
class Stack:
    """Components of one shape.

    Attributes:
        shape: their shape.
        components: ``int64[b]`` labels.
        atoms: ``int64[b, a]`` atom at each local number.
        rows: ``int64[b, r]`` flat row (:class:`FlatRows`) at each of ``shape.rows``.
    """

    shape: ComponentShape
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
        things: NDArray[np.int64] = self.order[self.starts[chosen][:, None] + np.arange(k)]
        return things


class Shapes:
    """Which components have the same shape, and what that shape is.

    Shapes are told apart by potentials, hardness, wiring after numbering each
    component's atoms in order, blocks and counts; never by parameters or values. Two
    independent 64-bit sums of row hashes identify a shape.

    Args:
        graph: a conditioned graph.
        labels: ``int32[n]`` component of each atom, ``-1`` for decided ones and for those of
            components that are left out, which then have no atom and no row.
        count: number of components.
        rows: those of the graph, where they are there already.
    """

    def __init__(
        self,
        graph: FactorGraph,
        labels: NDArray[np.int32],
        count: int,
        rows: FlatRows | None = None,
    ) -> None:
        self.graph, self.rows = graph, rows or FlatRows.of(graph)
        self._labels, self._count = labels, count
        self._row_starts: list[int] = self.rows.starts.tolist()
        self._parts = graph.couplings
        self._members = [array(part.atoms) for part in self._parts]
        self._potential_of_key: dict[tuple[object, ...], LocalPotential] = {}
        self._shared = [
            self._interned(part) if part.is_alike and part.rows else None for part in self._parts
        ]
        order = np.argsort(labels, kind="stable")[np.count_nonzero(labels < 0) :]
        self._atoms = _Sorted(order, self._starts(labels[order]))
        self._local = np.zeros(len(labels), dtype=np.int64)
        self._local[order] = np.arange(len(order)) - self._atoms.starts[labels[order]]
        self._potentials: dict[object, int] = {}
        self._sort_rows()
        self._sort_blocks()
        self.shape, self.members = self._identify()

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``int64[c]`` number of atoms of every component."""
        return np.diff(self._atoms.starts)

    @property
    def row_counts(self) -> NDArray[np.int64]:
        """``int64[c]`` number of rows of every component."""
        return np.diff(self._rows.starts)

    def stack(self, chosen: NDArray[np.int64]) -> Stack:
        """The stack of chosen components (``int64[b]``), all of one shape."""
        shape = self._shape(int(chosen[0]))
        return Stack(shape, chosen, self._atoms.stacked(chosen), self._rows.stacked(chosen))

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
        hashes, places = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        component = [np.zeros(0, np.int32)]
        for start, part in zip(self._row_starts, self._parts, strict=False):
            label = self._labels[part.first_atoms()]
            inside = np.flatnonzero(label >= 0)
            if len(inside) < part.rows:
                part, label = part.take(inside), label[inside]
            hashes.append(self._factor_hash(part))
            component.append(label)
            places.append(inside + start)
        self._row_hash, self._places = np.concatenate(hashes), np.concatenate(places)
        self._row_component = np.concatenate(component)
        order = np.lexsort((self._row_hash, self._row_component))
        self._rows = _Sorted(self._places[order], self._starts(self._row_component[order]))

    def _sort_blocks(self) -> None:
        owner = self._labels[self.graph.blocks.first_atoms()]
        order = np.argsort(owner, kind="stable")
        self._blocks = _Sorted(order, self._starts(owner[order]))

    def _identify(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shape of every component (``int64[c]``) and members of every shape."""
        shape = self._classes((self._row_component, self._row_hash))
        return shape, np.bincount(shape)

    def distributions(self) -> NDArray[np.int64]:
        """``int64[c]``: number of each component's distribution, whatever ``theta`` is.

        Components of one shape whose rows, units and atoms have the same parameters, values
        and log-odds at the same places differ in nothing.
        """
        flat, at = self.rows, self._places
        rows = _mix(self._row_hash ^ _weight_hash(flat.parameter[at], flat.value[at]))
        log_odds = array(self.graph.log_odds).astype(np.float64)
        none = np.full(len(log_odds), -1)
        parts = [
            (self._row_component, rows),
            (self._labels, self._place_hash(np.arange(len(log_odds)), none, log_odds)),
        ]
        for unit in self.graph.units:
            atoms = unit.entry_atoms
            places = self._place_hash(atoms, unit.parameters(), unit.values())
            parts.append((self._labels[atoms], places))
        return self._classes(*parts)

    def _place_hash(self, atoms: Array, parameter: Array, value: Array) -> Hash:
        """``uint64[m]``: features of single atoms, by their place in the component."""
        local = self._local[atoms].astype(np.uint64)
        return _mix(_mix(local * _STEP) + _weight_hash(parameter, value))

    def _classes(self, *parts: tuple[Array, Hash]) -> NDArray[np.int64]:
        """``int64[c]``: components by size, blocks and what hashes of their parts add up to.

        Args:
            parts: components, ``-1`` for none, and hashes.
        """
        first = _mix(np.diff(self._atoms.starts).astype(np.uint64))
        second = np.zeros(self._count, dtype=np.uint64)
        if self.graph.blocks.count:
            parts = (*parts, (self._labels[self.graph.blocks.first_atoms()], self._block_hash()))
        for component, hashes in parts:
            if (component < 0).any():
                component, hashes = component[component >= 0], hashes[component >= 0]
            np.add.at(first, component, hashes)
            np.add.at(second, component, _mix(hashes ^ _SALT))
        order = np.lexsort((second, first))
        changes = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
        found = np.zeros(self._count, dtype=np.int64)
        found[order[1:]] = np.cumsum(changes)
        return found

    def _factor_hash(self, part: GroundFactors) -> Hash:
        """``uint64[m]``: potential, hardness and local atoms of every row."""
        if part.potential == TABLE:
            assert part.table is not None
            keys = [(table.tobytes(), part.is_hard) for table in array(part.table)]
            total = np.array([self._potential(key) for key in keys], np.uint64)[part.table_ids()]
        else:
            signs = None if part.offsets is not None else part.row_signs.tobytes()
            seed = self._potential((part.potential, signs, part.is_hard))
            total = np.full(part.rows, seed, dtype=np.uint64)
        if part.offsets is None:
            for column in self._local[array(part.atoms)].astype(np.uint64).T:
                total = _mix(total * _STEP + column)
        else:
            total = _mix(total + self._literal_hash(part.offsets, part.atoms, part.signs))
        if part.potential == TABLE or part.is_clause:
            return total
        target = part.targets()
        local = np.where(target >= 0, self._local[np.maximum(target, 0)], -1)
        for column in (local, *part.bounds()):
            total = _mix(total * _STEP + column.astype(np.uint64))
        return total

    def _potential(self, key: object) -> np.uint64:
        number = self._potentials.setdefault(key, len(self._potentials) + 1)
        return np.uint64(number * 0x9E3779B97F4A7C15 & _MASK)

    def _literal_hash(self, offsets: Tensor, atoms: Tensor, signs: Tensor | None) -> Hash:
        local = self._local[array(atoms)].astype(np.uint64)
        sign = np.ones(len(local), bool) if signs is None else array(signs)
        signed = _mix(local * np.uint64(2) + sign.astype(np.uint64))
        starts = array(offsets)
        total = np.zeros(len(starts) - 1, dtype=np.uint64)
        np.add.at(total, owners(starts), signed)
        return total

    def _block_hash(self) -> Hash:
        blocks = self.graph.blocks
        signs = torch.repeat_interleave(blocks.at_most_one, blocks.offsets.diff())
        return _mix(
            self._literal_hash(blocks.offsets, blocks.atoms, signs) + self._potential("block")
        )

    def _shape(self, component: int) -> ComponentShape:
        rows = tuple(self._local_row(int(row)) for row in self._rows.of(component))
        atoms = int(self._atoms.starts[component + 1] - self._atoms.starts[component])
        return ComponentShape(atoms, rows, self._local_blocks(component))

    def _local_row(self, row: int) -> LocalRow:
        number = bisect_right(self._row_starts, row) - 1
        part, place = self._parts[number], row - self._row_starts[number]
        shared = self._shared[number]
        if shared is not None:
            atoms = self._local[self._members[number][place]].tolist()
            return LocalRow(shared, tuple(atoms), -1, part.is_hard)
        one = part.take(np.array([place]))
        target = int(one.targets()[0])
        local = int(self._local[target]) if target >= 0 else -1
        atoms = self._local[one.entry_atoms].tolist()
        return LocalRow(self._interned(one), tuple(atoms), local, part.is_hard)

    def _interned(self, factor: GroundFactors) -> LocalPotential:
        """Its potential; one object for all that are alike."""
        return LocalPotential.interned(factor, self._potential_of_key)

    def _local_blocks(self, component: int) -> tuple[tuple[tuple[int, ...], bool], ...]:
        blocks, found = self.graph.blocks, []
        for b in self._blocks.of(component):
            members = blocks.atoms[int(blocks.offsets[b]) : int(blocks.offsets[b + 1])]
            local = tuple(self._local[array(members)].tolist())
            found.append((local, bool(blocks.at_most_one[b])))
        return tuple(found)


_MASK = (1 << 64) - 1
_SALT = np.uint64(0xD1B54A32D192ED03)
_STEP = np.uint64(0xFF51AFD7ED558CCD)


def _mix(values: Hash) -> Hash:
    """The finaliser of splitmix64: a bijection that scatters every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _weight_hash(parameter: Array, value: Array) -> Hash:
    """``uint64[m]``: parameters and features; 0 and -0 are one number."""
    number = parameter.astype(np.int64).view(np.uint64)
    bits = (value.astype(np.float64) + 0.0).view(np.uint64)
    return _mix(_mix(number * _STEP + _SALT) ^ bits)
