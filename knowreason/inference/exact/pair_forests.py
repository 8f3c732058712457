"""Exact sum-product on trees of soft pairs: chains and stars of any size, in compiled passes.

Where all that ties a component are soft rows of two atoms, and they make a tree (rows over the
same pair being one edge), it is solved by going over its rows and atoms a few times. Leaves are
taken off one after another: an atom is one when all its rows lead to one other atom, which two
running sums tell (of neighbours and of their hashes), so nothing is sorted and no list of
neighbours is made. Messages are log-odds; the log partition function takes what they leave out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import array
from knowreason.factors.factor_graph import FactorGraph
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.kernel_decorators import FEW, are_loaded, compiled, inner
from knowreason.factors.potentials import potential_of
from knowreason.factors.potentials.potential import Pattern
from knowreason.inference.exact.partial_beliefs import ComponentBeliefs

Ints: TypeAlias = NDArray[np.int32]
Longs: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Hashes: TypeAlias = NDArray[np.uint64]
Flags: TypeAlias = NDArray[np.bool_]

LEAST = 11  # atoms of a component; smaller ones have few shapes, each with a table for all
UNSEEN, QUEUED, ROOT = -1, -2, -3  # in place of a parent


@dataclass(frozen=True)
class PairForest:
    """Trees of soft pairs, rooted; a :class:`.Solver`.

    Attributes:
        pairs: rows of two atoms, and their places among all rows.
        parent: ``int32[n]`` atom next to each on its way to the root; negative for roots and
            for atoms of other components.
        order: ``int32[a]`` atoms served, each before its parent.
        label: ``int32[n]`` component of each atom.
        components: labels of the components served.
    """

    pairs: tuple[Pattern, ...]
    parent: NDArray[np.int32]
    order: NDArray[np.int32]
    label: NDArray[np.int32]
    components: NDArray[np.int64]

    name = "exact: tree"

    @staticmethod
    def prepare(
        graph: FactorGraph, label: NDArray[np.int32], sizes: NDArray[np.int64]
    ) -> PairForest | None:
        """The trees of a conditioned graph; ``None`` where they hold few atoms.

        Args:
            graph: the graph.
            label: ``int32[n]`` component of each atom, ``-1`` for decided ones.
            sizes: ``int64[c]`` number of atoms of each component.
        """
        fit = sizes >= (1 if are_loaded() else LEAST)
        if sizes[fit].sum() <= FEW and not are_loaded():
            return None
        fit[label[array(graph.blocks.atoms)]] = False
        pairs: list[Pattern] = []
        start = 0
        for part in graph.couplings:
            if _is_pairs(part):
                found = potential_of(part).patterns(part, 2)
                pairs += [replace(pattern, rows=pattern.rows + start) for pattern in found]
            elif part.rows:
                fit[label[part.first_atoms()]] = False
            start += part.rows
        n = len(label)
        degree, near = np.zeros(n, np.int32), np.zeros(n, np.int64)
        hashes, parent = np.zeros(n, np.uint64), np.full(n, UNSEEN, np.int32)
        for pattern in pairs:
            _count_neighbours(pattern.atoms, label, fit, degree, near, hashes)
        order = np.empty(int(sizes[fit].sum()), np.int32)
        order = order[: _take_leaves(label, fit, degree, near, hashes, parent, order)]
        _drop_unseen(label, fit, parent)
        for pattern in pairs:
            _drop_unmatched(pattern.atoms, label, fit, parent)
        if not fit.any():
            return None
        order = order[fit[label[order]]]
        parent[~np.append(fit, False)[label]] = UNSEEN
        return PairForest(tuple(pairs), parent, order, label, np.flatnonzero(fit))

    @property
    def atoms(self) -> int:
        """Number of atoms served."""
        return len(self.order)

    def solve(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64], beliefs: ComponentBeliefs
    ) -> None:
        """Fills in the trees' beliefs; see :class:`.Solver`."""
        belief, message = unary.astype(np.float64), np.zeros(len(unary))
        table = np.zeros((len(unary), 4))
        beliefs.log_z[self.components] = 0.0
        for pairs in self.pairs:
            of_row = weights[pairs.rows]
            _add_rows(pairs.atoms, pairs.tables, pairs.table_of, of_row, self.parent, table)
        _pass_up(self.order, self.parent, self.label, table, belief, message, beliefs.log_z)
        _pass_down(self.order, self.parent, table, belief, message)
        beliefs.log_odds[self.order] = belief[self.order]
        for pairs in self.pairs:
            found = pairs.rows, pairs.atoms, pairs.tables, pairs.table_of
            _expect(*found, self.parent, table, beliefs.truth)


def _is_pairs(part: GroundFactors) -> bool:
    dense = part.offsets is None and part.target is None and part.atoms.shape[1] == 2
    return dense and not part.is_hard


@inner
def _hash(number: int) -> np.uint64:
    """64 bits that look random (SplitMix64)."""
    bits = (np.uint64(number) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@compiled
def _count_neighbours(
    atoms: Ints, label: Ints, fit: Flags, degree: Ints, near: Longs, hashes: Hashes
) -> None:
    for i in range(len(atoms)):
        a, b = atoms[i, 0], atoms[i, 1]
        if fit[label[a]]:
            degree[a] += 1
            degree[b] += 1
            near[a] += b
            near[b] += a
            hashes[a] += _hash(b)
            hashes[b] += _hash(a)


@inner
def _is_leaf(v: int, degree: Ints, near: Longs, hashes: Hashes) -> bool:
    """Whether all rows of an atom lead to one other, which is then the mean of its neighbours."""
    d = degree[v]
    return bool(near[v] % d == 0 and hashes[v] == np.uint64(d) * _hash(near[v] // d))


@compiled
def _take_leaves(
    label: Ints,
    fit: Flags,
    degree: Ints,
    near: Longs,
    hashes: Hashes,
    parent: Ints,
    order: Ints,
) -> int:
    """Number of atoms put into ``order``."""
    last = 0
    for v in range(len(degree)):
        alone = degree[v] == 0 and label[v] >= 0 and fit[label[v]]
        if alone or (degree[v] > 0 and _is_leaf(v, degree, near, hashes)):
            parent[v] = QUEUED
            order[last] = v
            last += 1
    at = 0
    while at < last:
        v = order[at]
        at += 1
        d = degree[v]
        if d == 0:
            parent[v] = ROOT
            continue
        u = near[v] // d
        parent[v] = u
        degree[u] -= d
        near[u] -= np.int64(d) * v
        hashes[u] -= np.uint64(d) * _hash(v)
        alone = degree[u] == 0 or (degree[u] > 0 and _is_leaf(u, degree, near, hashes))
        if alone and parent[u] == UNSEEN:
            parent[u] = QUEUED
            order[last] = u
            last += 1
    return last


@compiled
def _drop_unseen(label: Ints, fit: Flags, parent: Ints) -> None:
    """Components with an atom that was never a leaf hold a loop."""
    for v in range(len(label)):
        if label[v] >= 0 and parent[v] == UNSEEN:
            fit[label[v]] = False


@compiled
def _drop_unmatched(atoms: Ints, label: Ints, fit: Flags, parent: Ints) -> None:
    """A row must lie on an edge of its tree, or two hashes were equal by chance."""
    for i in range(len(atoms)):
        a, b = atoms[i, 0], atoms[i, 1]
        if parent[a] != b and parent[b] != a:
            fit[label[a]] = False


@compiled
def _add_rows(
    atoms: Ints, tables: Floats, table_of: Longs, weights: Floats, parent: Ints, table: Floats
) -> None:
    """Log-potentials of each atom (bit 0 of a state) and its parent (bit 1)."""
    for i in range(len(atoms)):
        a, b, w, t = atoms[i, 0], atoms[i, 1], weights[i], table_of[i]
        if parent[a] == b:
            for s in range(4):
                table[a, s] += w * tables[t, s]
        elif parent[b] == a:
            table[b, 0] += w * tables[t, 0]
            table[b, 1] += w * tables[t, 2]
            table[b, 2] += w * tables[t, 1]
            table[b, 3] += w * tables[t, 3]


@inner
def _add_logs(a: float, b: float) -> float:
    return float(max(a, b) + np.log1p(np.exp(-abs(a - b))))


@compiled
def _pass_up(
    order: Ints,
    parent: Ints,
    label: Ints,
    table: Floats,
    belief: Floats,
    message: Floats,
    log_z: Floats,
) -> None:
    for v in order:
        p, x = parent[v], belief[v]
        if p < 0:
            log_z[label[v]] += _add_logs(0.0, x)
            continue
        false = _add_logs(table[v, 0], x + table[v, 1])
        message[v] = _add_logs(table[v, 2], x + table[v, 3]) - false
        belief[p] += message[v]
        log_z[label[v]] += false


@compiled
def _pass_down(order: Ints, parent: Ints, table: Floats, belief: Floats, message: Floats) -> None:
    """Beliefs, and in place of log-potentials the chances of each atom and its parent."""
    for i in range(len(order) - 1, -1, -1):
        v = order[i]
        p, x = parent[v], belief[v]
        if p < 0:
            continue
        rest = belief[p] - message[v]
        logs = (table[v, 0], x + table[v, 1], rest + table[v, 2], rest + x + table[v, 3])
        false, true = _add_logs(logs[0], logs[2]), _add_logs(logs[1], logs[3])
        belief[v] = true - false
        total = _add_logs(false, true)
        for s in range(4):
            table[v, s] = np.exp(logs[s] - total)


@compiled
def _expect(
    rows: Longs,
    atoms: Ints,
    tables: Floats,
    table_of: Longs,
    parent: Ints,
    table: Floats,
    truth: Floats,
) -> None:
    for i in range(len(atoms)):
        a, b, t = atoms[i, 0], atoms[i, 1], table_of[i]
        if parent[a] == b:
            c, one, two = a, 1, 2
        elif parent[b] == a:
            c, one, two = b, 2, 1
        else:
            continue
        chance = table[c, 0] * tables[t, 0] + table[c, 3] * tables[t, 3]
        truth[rows[i]] = chance + table[c, 1] * tables[t, one] + table[c, 2] * tables[t, two]
