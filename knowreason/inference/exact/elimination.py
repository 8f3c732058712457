"""Order in which variables are summed out, and the cliques that makes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_CROWDED = 48  # neighbours above which a variable's fill is not counted: it waits
_MANY = 400  # variables above which fill is not counted at all: smallest clique first


@dataclass(frozen=True)
class CliqueTree:
    """A rooted clique tree (a forest has been tied together before).

    Attributes:
        order: position of each variable in the elimination order.
        cliques: variables of each clique, latest eliminated first; a clique comes before
            its parent.
        parents: clique index of each parent, ``-1`` for the root.
        homes: for each variable the clique it is summed out of.
        leaves: cliques that only hold a factor's scope, by that scope.
    """

    order: tuple[int, ...]
    cliques: tuple[tuple[int, ...], ...]
    parents: tuple[int, ...]
    homes: tuple[int, ...]
    leaves: Mapping[tuple[int, ...], int] = field(default_factory=dict)

    def home(self, scope: Iterable[int]) -> int:
        """A clique that holds a scope: its leaf, or that of its first eliminated variable."""
        leaf = self.leaves.get(self.latest_first(scope)) if self.leaves else None
        return self.homes[min(scope, key=self.order.__getitem__)] if leaf is None else leaf

    def latest_first(self, scope: Iterable[int]) -> tuple[int, ...]:
        """The variables of a scope, latest eliminated first."""
        return tuple(sorted(scope, key=self.order.__getitem__, reverse=True))

    def with_leaves(
        self, sizes: Sequence[int], scopes: Iterable[Sequence[int]], most_states: int
    ) -> CliqueTree:
        """Gives scopes whose clique has more than ``most_states`` a leaf of their own.

        So factors are tables of their own size, not of a large clique's.
        """
        crowded = [_product(sizes, clique) > most_states for clique in self.cliques]
        leaves: dict[tuple[int, ...], int] = {}
        parents: list[int] = []
        for scope in scopes:
            home, key = self.home(scope), self.latest_first(scope)
            if crowded[home] and key not in leaves:
                leaves[key] = len(parents)
                parents.append(home)
        shift = len(parents)
        return CliqueTree(
            self.order,
            (*leaves, *self.cliques),
            (
                *(up + shift for up in parents),
                *(up + shift if up >= 0 else -1 for up in self.parents),
            ),
            tuple(home + shift for home in self.homes),
            leaves,
        )

    def states(self, sizes: Sequence[int]) -> int:
        """States of all cliques together."""
        return sum(_product(sizes, clique) for clique in self.cliques)


def eliminate(
    sizes: Sequence[int], scopes: Iterable[Sequence[int]], most_states: int
) -> CliqueTree | None:
    """Greedy elimination, min-fill; by smallest clique above 400 variables.

    Args:
        sizes: states of each variable.
        scopes: variables of each factor; together they connect all variables.
        most_states: of a clique.

    Returns:
        the clique tree, ``None`` where a clique would be larger.
    """
    neighbours: list[set[int]] = [set() for _ in sizes]
    for scope in scopes:
        if _product(sizes, scope) > most_states:
            return None
        for v in scope:
            neighbours[v].update(scope)
    for v, around in enumerate(neighbours):
        around.discard(v)
    score_of = _fill if len(sizes) <= _MANY else _states
    scores = [score_of(v, neighbours, sizes) for v in range(len(sizes))]
    heap = [(score, v) for v, score in enumerate(scores)]
    heapq.heapify(heap)
    gone: list[int] = []
    buckets: list[tuple[int, ...]] = []
    done = [False] * len(sizes)
    while heap:
        score, v = heapq.heappop(heap)
        if done[v] or score != scores[v]:
            continue
        around = neighbours[v]
        if _product(sizes, around) * sizes[v] > most_states:
            return None
        done[v] = True
        gone.append(v)
        buckets.append(tuple(around))
        for u in _remove(v, neighbours, further=score_of is _fill):
            fresh = score_of(u, neighbours, sizes)
            if fresh != scores[u]:
                scores[u] = fresh
                heapq.heappush(heap, (fresh, u))
    return _tree(gone, buckets)


def _product(sizes: Sequence[int], variables: Iterable[int]) -> int:
    total = 1
    for v in variables:
        total *= sizes[v]
    return total


def _fill(v: int, neighbours: list[set[int]], sizes: Sequence[int]) -> tuple[float, int]:
    """Edges that summing out ``v`` adds, then the states of its clique."""
    around = neighbours[v]
    if len(around) > _CROWDED:
        return float("inf"), len(around)
    missing = sum(len(around) - 1 - len(around & neighbours[u]) for u in around)
    return missing / 2, _product(sizes, around) * sizes[v]


def _states(v: int, neighbours: list[set[int]], sizes: Sequence[int]) -> tuple[float, int]:
    """States of the clique that summing out ``v`` makes."""
    around = neighbours[v]
    if len(around) > _CROWDED:
        return float("inf"), len(around)
    return _product(sizes, around) * sizes[v], 0


def _remove(v: int, neighbours: list[set[int]], further: bool) -> set[int]:
    """Joins the neighbours of ``v`` and removes it; returns whose score may have changed.

    With ``further``, also those at distance two that see new edges.
    """
    around = neighbours[v]
    touched = set(around)
    for u in around:
        others = neighbours[u]
        before = len(others)
        others |= around
        others.discard(u)
        others.discard(v)
        if further and before <= len(others) <= _CROWDED:
            touched |= others
    neighbours[v] = set()
    return touched


def _tree(gone: list[int], buckets: list[tuple[int, ...]]) -> CliqueTree:
    """Buckets of variables as cliques; a bucket that lies in its only child's is absorbed."""
    order = [0] * len(gone)
    for position, v in enumerate(gone):
        order[v] = position
    home = list(range(len(gone)))  # clique, by position
    members: list[list[int] | None] = []
    for position, v in enumerate(gone):
        members.append(sorted([v, *buckets[position]], key=order.__getitem__, reverse=True))
    parent = [-1] * len(gone)
    for position, around in enumerate(buckets):
        if around:
            parent[position] = min(order[u] for u in around)
    merged = list(range(len(gone)))
    for position, around in enumerate(buckets):
        up = parent[position]
        if up >= 0 and members[up] is not None and len(buckets[up]) + 1 == len(around):
            merged[up] = merged[position]
            members[up] = None
    for position in range(len(gone)):
        home[position] = merged[position]
    return _renumber(order, members, parent, home)


def _renumber(
    order: list[int], members: list[list[int] | None], parent: list[int], home: list[int]
) -> CliqueTree:
    last = {clique: position for position, clique in enumerate(home)}  # summed out in it
    ranked = sorted(last, key=last.__getitem__)
    number = {clique: i for i, clique in enumerate(ranked)}
    cliques, parents = [], []
    for clique in ranked:
        found = members[clique]
        assert found is not None
        cliques.append(tuple(found))
        up = parent[last[clique]]
        parents.append(number[home[up]] if up >= 0 else -1)
    homes = tuple(number[home[order[v]]] for v in range(len(order)))
    return CliqueTree(tuple(order), tuple(cliques), tuple(parents), homes)
