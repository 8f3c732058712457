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
import torch
from numpy.typing import NDArray

from knowreason.errors import LearningError
from knowreason.factors import OPEN, FactorGraph, GroundFactors
from knowreason.factors.ground_factors import HARD
from knowreason.factors.potentials import potential_of

Ids = NDArray[np.int64]
DEEPEST_COUNT = 32


@dataclass(frozen=True)
class ScoredRows:
    """Ground factors of one kind as signed entries; a row's score decides its feature.

    Attributes:
        factors: the rows.
        parameter: ``int64[m]``, :data:`HARD` for a row that must hold.
    """

    factors: GroundFactors
    parameter: Ids

    @staticmethod
    def of(factors: GroundFactors) -> ScoredRows:
        """Of some ground factors."""
        return ScoredRows(factors, factors.parameters())

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.parameter)

    @cached_property
    def row(self) -> Ids:
        """``int64[e]``: row of each entry."""
        return self.factors.owners()

    @cached_property
    def atoms(self) -> Ids:
        """``int64[e]``: atom of each entry."""
        return self.factors.entry_atoms.astype(np.int64)

    @cached_property
    def weight(self) -> Ids:
        """``int64[e]``: what each entry adds to the score where it is true."""
        found = potential_of(self.factors).entry_weights(self.factors)
        return np.ones(len(self.atoms), dtype=np.int64) if found is None else found

    @cached_property
    def target(self) -> Ids:
        """``int64[m]``: the auxiliary atom a row defines, ``-1`` for none."""
        return self.factors.targets()

    @cached_property
    def value(self) -> NDArray[np.float64]:
        """``float64[m]``: feature values."""
        return self.factors.values()

    @cached_property
    def first(self) -> Ids:
        """``int64[m]``: first atom of each row."""
        return self.atoms[self.factors.row_offsets[:-1]]

    @cached_property
    def soft(self) -> NDArray[np.bool_]:
        """``bool[m]``: rows that carry a weight."""
        soft: NDArray[np.bool_] = self.parameter != HARD
        return soft

    def satisfied(self, values: NDArray[np.int8], entry: Ids | slice) -> NDArray[np.float64]:
        """Weight of each entry where its atom's value makes it true."""
        sign = self.factors.entry_signs[entry]
        weight: NDArray[np.float64] = (values == sign) * self.weight[entry].astype(np.float64)
        return weight

    def feature(self, score: NDArray[np.float64], row: Ids | slice) -> NDArray[np.float64]:
        """Feature of rows at given scores."""
        return potential_of(self.factors).of_score(self.factors, score.astype(np.int64), row)

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

    def score(self, rows: ScoredRows, base: NDArray[np.float64], old: NDArray[np.float64],
              values: NDArray[np.int8]) -> NDArray[np.float64]:  # fmt: skip
        """``float64[g]``: scores once the paired atoms have ``values`` (``int8`` a pair)."""
        change = rows.satisfied(values[self.pair], self.entry) - old[self.entry]
        return base[self.row] + np.bincount(self.group, change, minlength=len(self.row))


@dataclass(frozen=True)
class SiteWiring:
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
    definitions: tuple[ScoredRows, ...]
    factors: tuple[ScoredRows, ...]
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
    factors: Sequence[ScoredRows],
    world: NDArray[np.int8],
    cluster: Ids,
    clusters: int,
    parameters: int,
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


def factor_rows(graph: FactorGraph) -> Iterator[ScoredRows]:
    """All weighted and hard rows of a conditioned graph, kind by kind."""
    return (rows for rows in _factors(graph) if rows.count)


def wire(graph: FactorGraph) -> SiteWiring:
    """Sites, rows and joins of a conditioned graph.

    Raises:
        LearningError: KR855 where counts define one another in a circle.
    """
    n = graph.atom_count
    states, site_start, exactly_one = _sites(graph)
    definitions = tuple(_by_depth(_definitions(graph), n))
    factors = tuple(factor_rows(graph))
    pairs = [_direct_pairs(n, states, site_start)]
    joins = []
    for rows in definitions:
        join = _join(rows, pairs[-1], n)
        joins.append(join)
        pairs.append(_extended(pairs[-1], rows.target[join.row], join.state, n))
    return SiteWiring(
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
    entries: Ids = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - size), size)
    return entries


def _join(rows: ScoredRows, pairs: Pairs, n: int) -> Join:
    degree = pairs.pointer[rows.atoms + 1] - pairs.pointer[rows.atoms]
    entry = np.repeat(np.arange(len(rows.atoms)), degree)
    pair = _ranges(pairs.pointer[rows.atoms], degree)
    key, group = np.unique(rows.row[entry] * n + pairs.state[pair], return_inverse=True)
    return Join(entry, pair, group, key // n, key % n)


def _factors(graph: FactorGraph) -> Iterator[ScoredRows]:
    for part in graph.factors:
        if part.target is None:
            yield ScoredRows.of(part)
        else:
            yield ScoredRows.of(part.take(np.flatnonzero(part.targets() < 0)))
    fixed = np.flatnonzero(graph.log_odds.numpy())
    value = graph.log_odds[fixed]
    atoms = torch.from_numpy(fixed.astype(np.int32))
    yield ScoredRows.of(GroundFactors.units(atoms, graph.parameter_count, value))


def _definitions(graph: FactorGraph) -> list[ScoredRows]:
    chosen = [
        part.take(np.flatnonzero(part.targets() >= 0))
        for part in graph.factors
        if part.target is not None
    ]
    return [ScoredRows.of(part) for part in chosen if part.rows]


def _by_depth(definitions: list[ScoredRows], n: int) -> Iterator[ScoredRows]:
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
            chosen = np.flatnonzero(depth[rows.target] == level)
            if len(chosen):
                yield ScoredRows.of(rows.factors.take(chosen))
