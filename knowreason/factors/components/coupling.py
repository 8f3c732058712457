"""How strongly soft factors tie variables to each other: the radius of a non-backtracking walk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from knowreason.factors.arrays import Array, array, offsets_of, owners, segment_sum, sum_by
from knowreason.factors.canonical import canonical
from knowreason.factors.factor_graph import FactorGraph
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.potentials import potential_of
from knowreason.factors.potentials.potential import LONGEST
from knowreason.row_keys import distinct_rows

STRETCH, MOST_STRETCHES = 60, 5  # steps between two readings of the growth, and readings
SAME = 1e-3  # relative change of the growth at which it is taken for settled


@dataclass(frozen=True)
class Coupling:
    """Sets of variables that soft factors tie, each with its strength.

    Attributes:
        offsets: ``int64[m + 1]`` entries of each factor.
        variables: ``int64[e]``: atoms; of a functional block its first atom.
        strength: ``float64[m]`` in (0, 1].
        atoms: number of atoms of the graph.
    """

    offsets: NDArray[np.int64]
    variables: NDArray[np.int64]
    strength: NDArray[np.float64]
    atoms: int

    @staticmethod
    def of(graph: FactorGraph) -> Coupling:
        """The couplings of a conditioned graph at its ``theta``.

        A factor's strength is ``tanh(|w| / 4)`` of the strongest log odds ratio ``w`` between two
        of its variables, whatever the others are (Mooij & Kappen 2007); all pairs of a factor count
        as its strongest, which can only say more. Factors over the same atoms
        are one, and so are those inside another. An unobserved atom that stands in one table of
        three atoms or more alone is summed out first: the head of a directed rule of which
        nothing is known ties nothing. Hard factors are left out: no weight of theirs can be less.

        Example:
            >>> import torch
            >>> circle = torch.tensor([[0, 1], [1, 2], [0, 2]]).int()
            >>> rule = GroundFactors.of(circle, (False, True), parameter=0)
            >>> known = torch.full((3,), -1).char()
            >>> graph = FactorGraph(torch.zeros(3), torch.tensor([4.0]), known, (rule,))
            >>> round(Coupling.of(graph).radius(), 3)  # tanh(1)
            0.762
        """
        variable = np.arange(graph.atom_count)
        blocks = graph.blocks
        sizes = np.diff(array(blocks.offsets))
        variable[array(blocks.atoms)] = np.repeat(blocks.first_atoms(), sizes)
        rows, members, strength = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
        used = 0
        for offsets, atoms, odds in _log_odds_ratios(graph):
            rows.append(owners(offsets) + used)
            members.append(variable[atoms])
            strength.append(np.tanh(np.abs(odds) / 4))
            used += len(odds)
        count = max(len(variable), 1)
        entries = np.unique(np.concatenate(rows) * count + np.concatenate(members))
        each = np.concatenate(strength)
        return _distinct(entries // count, entries % count, each, graph.atom_count)

    def radius(self, enough: float = 0.0) -> float:
        """Spectral radius of the messages' walk that never turns back at a factor or a variable.

        Below 1 belief propagation settles in one fixed point, whatever it starts from (Mooij &
        Kappen 2007); above it evidence grows on its way, and one of two opposite
        opinions takes hold of everything that is tied. 0 on trees. The walk costs as much a step
        as a sweep of messages: no matrix over pairs of edges is built.

        Args:
            enough: where the radius is below this number, some number below it may come back.
        """
        part = self._cyclic()
        owner, count = owners(part.offsets), part.atoms
        x, log_size, steps, last = np.ones(len(owner)), 0.0, 0, np.inf
        for stretch in range(1, MOST_STRETCHES + 1):
            before = log_size
            for _ in range(STRETCH if len(x) else 0):
                come = sum_by(part.variables, x, count)[part.variables] - x
                x = segment_sum(come, part.offsets)[owner] - come
                x = np.maximum(x * part.strength[owner], 0.0)
                size = x.sum()
                if size == 0:
                    return 0.0
                x /= size
                log_size, steps = log_size + float(np.log(size)), steps + 1
                bound = float(np.exp((log_size + np.log(x.max())) / steps))
                if bound < enough:  # a norm of the matrix's power
                    return bound
            if not len(x):
                return 0.0
            start = np.log(len(x)) if stretch == 1 else 0.0  # ones were not of size 1
            growth = float(np.exp((log_size - before - start) / STRETCH))
            if abs(growth - last) < SAME * growth:
                break
            last = growth
        return growth

    def largest(self) -> int:
        """Variables of the largest component."""
        label = self._labels()[: self.atoms]
        return int(np.bincount(label[np.unique(self.variables)]).max(initial=0))

    def _labels(self) -> NDArray[np.int32]:
        """Component of each variable, then of each factor."""
        n, m = self.atoms, len(self.strength)
        ends = (self.variables, owners(self.offsets) + n)
        edges = coo_matrix((np.ones(len(self.variables), np.int8), ends), (n + m, n + m))
        return np.asarray(connected_components(edges, directed=False)[1], np.int32)

    def _cyclic(self) -> Coupling:
        """Without components that are trees."""
        label = self._labels()
        nodes = np.bincount(label)
        edges = np.bincount(label[self.variables], minlength=len(nodes))
        keep = (edges >= nodes)[label]
        entries = keep[self.variables]
        lengths = np.diff(self.offsets)[keep[self.atoms :]]
        return Coupling(
            offsets_of(lengths),
            self.variables[entries],
            self.strength[keep[self.atoms :]],
            self.atoms,
        )


def _distinct(row: Array, member: Array, strength: Array, atoms: int) -> Coupling:
    """One factor for each set of two variables or more, as strong as the strongest over it."""
    width = np.bincount(row, minlength=len(strength))
    width[strength == 0] = 0
    starts = offsets_of(np.bincount(row, minlength=len(strength)))
    sets, strongest = [np.zeros(0, np.int64)], [np.zeros(0)]
    lengths = [np.zeros(0, np.int64)]
    for k in np.unique(width[width > 1]).tolist():
        same = np.flatnonzero(width == k)
        scope = member[starts[same][:, None] + np.arange(k)]
        first, which = distinct_rows(scope.T)
        top = np.zeros(len(first))
        np.maximum.at(top, which, strength[same])
        sets.append(scope[first].ravel())
        strongest.append(top)
        lengths.append(np.full(len(first), k))
    offsets = offsets_of(np.concatenate(lengths))
    return Coupling(offsets, np.concatenate(sets), np.concatenate(strongest), atoms)


def _log_odds_ratios(graph: FactorGraph) -> Iterator[tuple[Array, Array, Array]]:
    """Soft factors: offsets, atoms and the strongest log odds ratio of each."""
    found = canonical(graph)
    stand = [array(graph.blocks.atoms), *(table.atoms.ravel() for table in found.merged)]
    stand += [_members(part) for part in found.lone]
    uses = np.bincount(np.concatenate(stand), minlength=graph.atom_count)
    own = graph.unary_log_odds().numpy()
    for table in found.merged:
        energy = table.energies(graph.theta).numpy()
        m, k = table.atoms.shape
        for j in range(k if k > 2 else 0):
            leaf = np.flatnonzero(uses[table.atoms[:, j]] == 1)
            cube = energy[leaf].reshape(len(leaf), 1 << (k - 1 - j), 2, 1 << j)
            true = cube[:, :, 1] + own[table.atoms[leaf, j]][:, None, None]
            cube[:] = np.logaddexp(cube[:, :, 0], true)[:, :, None]
            energy[leaf] = cube.reshape(len(leaf), 1 << k)
        yield np.arange(m + 1) * k, table.atoms.ravel(), _strongest(energy)
    for part in found.lone:
        if part.is_hard:
            continue
        weights = np.abs(part.weights(graph.theta).numpy())
        slope = np.full(part.rows, 1.0 if part.is_clause else 2.0)  # of rows too long to list
        for rows in potential_of(part).patterns(part, LONGEST):
            slope[rows.rows] = _strongest(rows.tables)[rows.table_of]
        yield part.row_offsets, part.entry_atoms, weights * slope


def _members(part: GroundFactors) -> NDArray[np.int64]:
    targets = part.targets()
    return np.concatenate([part.entry_atoms, targets[targets >= 0]])


def _strongest(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """``float64[t]``: largest log odds ratio of two atoms over all states of the others."""
    k = tables.shape[1].bit_length() - 1
    cube, best = tables.reshape(len(tables), *(2,) * k), np.zeros(len(tables))
    for i, j in combinations(range(1, k + 1), 2):
        odds = np.abs(np.diff(np.diff(cube, axis=i), axis=j))
        best = np.maximum(best, odds.max(axis=tuple(range(1, k + 1))))
    return best
