"""Which ground factors change when a site of a factor graph takes another state.

A *site* is a Boolean atom or a functional block; its states are its atoms, and "none"
where no atom of it need be true. Auxiliary atoms are no sites: they follow the atoms they
count. Everything here is numpy and independent of ``theta``; loops run over kinds of
factors, never over ground ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import LearningError
from knowreason.factors import OPEN, Clause, FactorGraph, FactorGroup

Ids = NDArray[np.int64]
HARD = -1  # parameter of a row that must hold
DEEPEST_COUNT = 32


@dataclass(frozen=True)
class Rows:
    """Ground factors of one kind: signed entries, a score a row, a truth for each score.

    The score of a row is the sum of ``weight`` over its satisfied entries; its feature is
    ``table[score]``, or whether ``lower <= score <= upper`` where there is no table.

    Attributes:
        row, atoms, sign, weight: one entry each, ``int64[e]`` (sign ``bool[e]``).
        parameter: ``int64[m]``, :data:`HARD` for a row that must hold.
        value: ``float64[m]``.
        lower, upper: ``int64[m]``.
        table: ``float64[2**k]`` or ``None``.
        target: ``int64[m]`` the auxiliary atom a row defines, ``-1`` for none.
    """

    row: Ids
    atoms: Ids
    sign: NDArray[np.bool_]
    weight: Ids
    parameter: Ids
    value: NDArray[np.float64]
    lower: Ids
    upper: Ids
    table: NDArray[np.float64] | None
    target: Ids

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.parameter)

    @cached_property
    def first(self) -> Ids:
        """``int64[m]``: first atom of each row."""
        return self.atoms[np.searchsorted(self.row, np.arange(self.count))]

    @cached_property
    def soft(self) -> NDArray[np.bool_]:
        """``bool[m]``: rows that carry a weight."""
        return self.parameter != HARD

    def satisfied(self, values: NDArray[np.int8], entry: Ids | slice) -> NDArray[np.float64]:
        """Weight of each entry where its atom's value makes it true."""
        return (values == self.sign[entry]) * self.weight[entry].astype(np.float64)

    def feature(self, score: NDArray[np.float64], row: Ids | slice) -> NDArray[np.float64]:
        """Feature of rows at given scores."""
        if self.table is not None:
            return self.table[score.astype(np.int64)]
        return ((score >= self.lower[row]) & (score <= self.upper[row])).astype(np.float64)

    def scores(self, world: NDArray[np.int8]) -> NDArray[np.float64]:
        """``float64[m]`` scores in a world."""
        lit = self.satisfied(world[self.atoms], slice(None))
        return np.bincount(self.row, lit, minlength=self.count).astype(np.float64)


@dataclass(frozen=True)
class Pairs:
    """Atoms that change when a site takes a state: ``atom`` follows state ``state``.

    Sorted by ``atom``; ``pointer[u] : pointer[u + 1]`` are the pairs of atom ``u``. A state
    is named by the atom that is true in it.
    """

    atom: Ids
    state: Ids
    pointer: Ids


@dataclass(frozen=True)
class Join:
    """Entries of rows joined with pairs, grouped by (row, state).

    Attributes:
        entry, pair, group: ``int64[j]``.
        row, state: ``int64[g]`` of each group.
    """

    entry: Ids
    pair: Ids
    group: Ids
    row: Ids
    state: Ids

    def score(self, rows: Rows, base: NDArray[np.float64], old: NDArray[np.float64],
              values: NDArray[np.int8]) -> NDArray[np.float64]:  # fmt: skip
        """``float64[g]``: scores once the paired atoms have ``values`` (``int8`` a pair)."""
        change = rows.satisfied(values[self.pair], self.entry) - old[self.entry]
        return base[self.row] + np.bincount(self.group, change, minlength=len(self.row))


@dataclass(frozen=True)
class Wiring:
    """Sites of a conditioned graph and the rows each of their states touches.

    Attributes:
        atom_count, parameter_count: of the graph; column ``parameter_count`` of features
            stands for the fixed log-odds, with coefficient 1.
        states: ``int64[k]`` atoms that are states, site after site.
        site_start: ``int64[s]`` first state of each site.
        exactly_one: ``bool[s]``, sites without a "none" state.
        definitions: counts that define auxiliary atoms, in order of depth.
        factors: all weighted and hard rows.
        pairs: by depth: direct ones first, then those through each definition.
        joins: of each definition (with the pairs known before it), then of each factor.
    """

    atom_count: int
    parameter_count: int
    states: Ids
    site_start: Ids
    exactly_one: NDArray[np.bool_]
    definitions: tuple[Rows, ...]
    factors: tuple[Rows, ...]
    pairs: tuple[Pairs, ...]
    definition_joins: tuple[Join, ...]
    factor_joins: tuple[Join, ...]

    @cached_property
    def rank(self) -> Ids:
        """``int64[n]``: position of each atom among ``states``, ``-1`` for none."""
        rank = np.full(self.atom_count, -1, dtype=np.int64)
        rank[self.states] = np.arange(len(self.states))
        return rank

    @cached_property
    def site(self) -> Ids:
        """``int64[k]``: site of each state."""
        sizes = np.diff(np.append(self.site_start, len(self.states)))
        return np.repeat(np.arange(len(self.site_start)), sizes)

    def features(self, world: NDArray[np.int8], cluster: Ids, clusters: int) -> NDArray[np.float64]:
        """``float64[clusters, p]``: feature totals of a world by the cluster of their atoms.

        Args:
            world: ``int8[n]``.
            cluster: ``int64[n]``, the same for all atoms of a row.
            clusters: their number.
        """
        return feature_totals(self.factors, world, cluster, clusters, self.parameter_count)

    def fill_auxiliary(self, worlds: NDArray[np.int8]) -> NDArray[np.int8]:
        """A copy of ``worlds`` (``int8[w, n]``) with every auxiliary atom as its count says."""
        filled = worlds.copy()
        for rows in self.definitions:
            for world in filled:
                world[rows.target] = rows.feature(rows.scores(world), slice(None))
        return filled


def feature_totals(
    factors: Sequence[Rows], world: NDArray[np.int8], cluster: Ids, clusters: int, parameters: int
) -> NDArray[np.float64]:
    """``float64[clusters, p]``: feature totals of a world by the cluster of their atoms.

    Args:
        factors: the rows.
        world: ``int8[n]``.
        cluster: ``int64[n]``, the same for all atoms of a row.
        clusters, parameters: their numbers.
    """
    width = parameters + 1
    total = np.zeros(clusters * width)
    for rows in factors:
        if rows.soft.any():
            value = rows.feature(rows.scores(world), slice(None)) * rows.value * rows.soft
            key = cluster[rows.first] * width + np.maximum(rows.parameter, 0)
            total += np.bincount(key, value, minlength=len(total))
    return total.reshape(clusters, width)[:, :-1]


def factor_rows(graph: FactorGraph) -> Iterator[Rows]:
    """All weighted and hard rows of a conditioned graph, kind by kind."""
    return (rows for rows in _factors(graph) if rows.count)


def wire(graph: FactorGraph) -> Wiring:
    """Sites, rows and joins of a conditioned graph.

    Raises:
        LearningError: KR855 where counts define one another in a circle.
    """
    n = graph.atom_count
    states, site_start, exactly_one = _sites(graph)
    definitions = tuple(_by_depth(list(_counts(graph, defining=True)), n))
    factors = tuple(factor_rows(graph))
    pairs = [_direct_pairs(n, states, site_start)]
    joins = []
    for rows in definitions:
        join = _join(rows, pairs[-1], n)
        joins.append(join)
        pairs.append(_extended(pairs[-1], rows.target[join.row], join.state, n))
    return Wiring(
        n,
        graph.parameter_count,
        states,
        site_start,
        exactly_one,
        definitions,
        factors,
        tuple(pairs),
        tuple(joins),
        tuple(_join(rows, pairs[-1], n) for rows in factors),
    )


def _sites(graph: FactorGraph) -> tuple[Ids, Ids, NDArray[np.bool_]]:
    n, blocks = graph.atom_count, graph.blocks
    is_open = graph.evidence.numpy() == OPEN
    if graph.auxiliary is not None:
        is_open = is_open & ~graph.auxiliary.numpy()
    site = np.where(is_open, blocks.count + np.arange(n), -1)
    owner = np.repeat(np.arange(blocks.count), np.diff(blocks.offsets.numpy()))
    block_atoms = blocks.atoms.numpy().astype(np.int64)
    site[block_atoms] = np.where(is_open[block_atoms], owner, -1)
    states = np.argsort(site, kind="stable")[np.count_nonzero(site < 0) :]
    ordered = site[states]
    start = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    one = np.zeros(blocks.count + n, dtype=np.bool_)
    one[: blocks.count] = ~blocks.at_most_one.numpy()
    return states.astype(np.int64), start.astype(np.int64), one[ordered[start]]


def _direct_pairs(n: int, states: Ids, site_start: Ids) -> Pairs:
    """Every state of a site changes every atom of it."""
    sizes = np.diff(np.append(site_start, len(states)))
    first = np.repeat(site_start, sizes)
    size = np.repeat(sizes, sizes)
    atom = np.repeat(states, size)
    state = states[_ranges(first, size)]
    return _sorted_pairs(atom, state, n)


def _extended(pairs: Pairs, atom: Ids, state: Ids, n: int) -> Pairs:
    return _sorted_pairs(np.append(pairs.atom, atom), np.append(pairs.state, state), n)


def _sorted_pairs(atom: Ids, state: Ids, n: int) -> Pairs:
    order = np.argsort(atom, kind="stable")
    pointer = np.append(0, np.cumsum(np.bincount(atom, minlength=n)))
    return Pairs(atom[order], state[order], pointer)


def _ranges(first: Ids, size: Ids) -> Ids:
    """``first[0], first[0] + 1, ...`` (``size[0]`` of them), then of ``first[1]`` ..."""
    ends = np.cumsum(size)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - size), size)


def _join(rows: Rows, pairs: Pairs, n: int) -> Join:
    degree = pairs.pointer[rows.atoms + 1] - pairs.pointer[rows.atoms]
    entry = np.repeat(np.arange(len(rows.atoms)), degree)
    pair = _ranges(pairs.pointer[rows.atoms], degree)
    key, group = np.unique(rows.row[entry] * n + pairs.state[pair], return_inverse=True)
    return Join(entry, pair, group, key // n, key % n)


def _factors(graph: FactorGraph) -> Iterator[Rows]:
    for group in graph.groups:
        yield _group_rows(group)
    for clauses in graph.clause_lists:
        sizes = np.diff(clauses.offsets.numpy())
        row = np.repeat(np.arange(clauses.rows), sizes)
        yield _rows(row, clauses.atoms, clauses.signs, clauses.parameter, clauses.value,
                    lower=np.ones(clauses.rows), upper=sizes)  # fmt: skip
    for unit in graph.units:
        yield _unit_rows(unit.atoms.numpy(), unit.parameter, unit.value)
    fixed = np.flatnonzero(graph.log_odds.numpy())
    yield _unit_rows(fixed, graph.parameter_count, graph.log_odds[fixed])
    yield from _counts(graph, defining=False)


def _unit_rows(atoms: NDArray, parameter: int | Tensor, value: Tensor | None) -> Rows:
    ones = np.ones(len(atoms))
    return _rows(np.arange(len(atoms)), atoms, ones, parameter, value, lower=ones, upper=ones)


def _group_rows(group: FactorGroup) -> Rows:
    m, k = group.atoms.shape
    row = np.repeat(np.arange(m), k)
    if isinstance(group.potential, Clause):
        sign = np.tile(np.array(group.potential.signs, dtype=np.bool_), m)
        return _rows(row, group.atoms.numpy(), sign, group.parameter, group.value,
                     lower=np.ones(m), upper=np.full(m, k))  # fmt: skip
    return _rows(row, group.atoms.numpy(), np.ones(m * k), group.parameter, group.value,
                 weight=np.tile(1 << np.arange(k), m),
                 table=group.potential.values.numpy().astype(np.float64))  # fmt: skip


def _counts(graph: FactorGraph, *, defining: bool) -> Iterator[Rows]:
    for count in graph.counts:
        target = count.target.numpy().astype(np.int64)
        wanted = np.flatnonzero((target >= 0) == defining)
        sizes = np.diff(count.offsets.numpy())
        entry = _ranges(count.offsets.numpy()[wanted], sizes[wanted])
        if len(wanted):
            yield _rows(
                np.repeat(np.arange(len(wanted)), sizes[wanted]),
                count.atoms.numpy()[entry],
                count.signs.numpy()[entry],
                None,
                None,
                lower=count.lower.numpy()[wanted],
                upper=count.upper.numpy()[wanted],
                target=target[wanted],
            )


def _rows(
    row: NDArray,
    atoms: NDArray | Tensor,
    sign: NDArray | Tensor,
    parameter: int | Tensor | None,
    value: Tensor | None,
    *,
    weight: NDArray | None = None,
    lower: NDArray | None = None,
    upper: NDArray | None = None,
    table: NDArray[np.float64] | None = None,
    target: Ids | None = None,
) -> Rows:
    m = len(lower) if lower is not None else int(row.max(initial=-1)) + 1
    flat = np.asarray(atoms).reshape(-1).astype(np.int64)
    of_row = HARD if parameter is None else np.asarray(parameter)
    return Rows(
        np.asarray(row, dtype=np.int64),
        flat,
        np.asarray(sign).astype(np.bool_),
        np.ones(len(flat), dtype=np.int64) if weight is None else weight.astype(np.int64),
        np.broadcast_to(of_row, m).astype(np.int64),
        np.ones(m) if value is None else np.asarray(value, dtype=np.float64),
        np.zeros(m, dtype=np.int64) if lower is None else np.asarray(lower).astype(np.int64),
        np.zeros(m, dtype=np.int64) if upper is None else np.asarray(upper).astype(np.int64),
        table,
        np.full(m, -1, dtype=np.int64) if target is None else target,
    )


def _by_depth(definitions: list[Rows], n: int) -> Iterator[Rows]:
    """Definitions cut into sets that only count atoms defined before."""
    depth = np.zeros(n, dtype=np.int64)
    for rows in definitions:
        depth[rows.target] = 1
    for _ in range(DEEPEST_COUNT):
        before = depth.copy()
        for rows in definitions:
            deepest = np.zeros(rows.count, dtype=np.int64)
            np.maximum.at(deepest, rows.row, depth[rows.atoms])
            depth[rows.target] = deepest + 1
        if (before == depth).all():
            break
    else:
        raise LearningError("counts define one another in a circle", code="KR855")
    for level in range(1, int(depth.max(initial=0)) + 1):
        for rows in definitions:
            part = _subset(rows, depth[rows.target] == level)
            if part.count:
                yield part


def _subset(rows: Rows, keep: NDArray[np.bool_]) -> Rows:
    number = np.cumsum(keep) - 1
    entry = keep[rows.row]
    return Rows(
        number[rows.row[entry]],
        rows.atoms[entry],
        rows.sign[entry],
        rows.weight[entry],
        rows.parameter[keep],
        rows.value[keep],
        rows.lower[keep],
        rows.upper[keep],
        rows.table,
        rows.target[keep],
    )
