"""Order in which variables are summed out, and the cliques that makes."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from knowreason.inference.exact.exact_budget import READ, STATE, ExactCost

_CROWDED = 48  # neighbours above which a variable's fill is not counted: it waits
Neighbours = list[set[int]]
Sizes = Sequence[int]


@dataclass(frozen=True)
class CliqueTree:
    """A rooted clique tree of connected variables.

    Attributes:
        order: position of each variable in the elimination order.
        cliques: variables of each clique, latest eliminated first; a clique comes before
            its parent, the root is the last.
        parents: clique index of each parent, ``-1`` for the root.
        homes: for each variable the clique it is summed out of.
    """

    order: tuple[int, ...]
    cliques: tuple[tuple[int, ...], ...]
    parents: tuple[int, ...]
    homes: tuple[int, ...]

    def home(self, scope: Iterable[int]) -> int:
        """A clique that holds a scope: that of its first eliminated variable."""
        return self.homes[min(scope, key=self.order.__getitem__)]

    def separator(self, clique: int) -> tuple[int, ...]:
        """The variables a clique shares with its parent: the first ones."""
        return tuple(v for v in self.cliques[clique] if self.homes[v] != clique)

    def slot(self, clique: int) -> tuple[int, tuple[int, ...]]:
        """Parent and separator: messages to one parent over one separator are held as their sum."""
        return self.parents[clique], self.separator(clique)

    def states(self, sizes: Sizes) -> int:
        """States of all cliques together."""
        return sum(_product(sizes, clique) for clique in self.cliques)

    def cost(self, sizes: Sizes) -> ExactCost:
        """What messages in both directions take; tables of factors count little and are left out.

        Held at once are the messages to all cliques, and once more those to one clique.
        """
        sharing = Counter(map(self.slot, range(len(self.cliques))))
        held = [0] * len(self.cliques)  # more than the messages, for the clique's turn downwards
        operands = [2] * len(self.cliques)
        messages = 0
        for up, separator in sharing:
            entries = _product(sizes, separator)
            messages += entries
            if up >= 0:
                held[up] += entries
                operands[up] += 1
        work = 0.0
        for c, clique in enumerate(self.cliques):
            slot = self.slot(c)
            shares = sharing[slot] > 1
            held[c] += _product(sizes, slot[1]) if shares else 0
            again = 1.5 if shares else 1.0  # its message is made twice
            work += again * _product(sizes, clique) * (STATE + READ * operands[c])
        return ExactCost(8 * (messages + max(held)), work)


def eliminate(
    sizes: Sizes,
    scopes: Iterable[Sequence[int]],
    most_states: int,
    *,
    score: str = "fill",
    tie: Sequence[int] | None = None,
    level: Sequence[int] | None = None,
) -> CliqueTree | None:
    """Greedy elimination.

    Args:
        sizes: states of each variable.
        scopes: variables of each factor; together they connect all variables.
        most_states: of a clique.
        score: what is least of the next variable: ``fill`` (edges that summing it out adds),
            ``weighted`` (the sum over these of the products of their ends' states) or
            ``states`` (of its clique).
        tie: of variables, least first, where scores are equal; by default their number.
        level: of variables; those of the highest level go first, whatever their score.

    Returns:
        the clique tree, ``None`` where a clique would be larger.
    """
    neighbours: Neighbours = [set() for _ in sizes]
    for scope in scopes:
        if _product(sizes, scope) > most_states:
            return None
        for v in scope:
            neighbours[v].update(scope)
    for v, around in enumerate(neighbours):
        around.discard(v)
    score_of = {"fill": _fill, "weighted": _weighted_fill, "states": _states}[score]
    tie = range(len(sizes)) if tie is None else tie
    turn = [0] * len(sizes) if level is None else [-depth for depth in level]
    scores = [score_of(v, neighbours, sizes) for v in range(len(sizes))]
    heap = [(turn[v], found, tie[v], v) for v, found in enumerate(scores)]
    heapq.heapify(heap)
    gone: list[int] = []
    buckets: list[tuple[int, ...]] = []
    done = [False] * len(sizes)
    while heap:
        _, found, _, v = heapq.heappop(heap)
        if done[v] or found != scores[v]:
            continue
        around = neighbours[v]
        if _product(sizes, around) * sizes[v] > most_states:
            return None
        done[v] = True
        gone.append(v)
        buckets.append(tuple(around))
        for u in _remove(v, neighbours, further=score != "states"):
            fresh = score_of(u, neighbours, sizes)
            if fresh != scores[u]:
                scores[u] = fresh
                heapq.heappush(heap, (turn[u], fresh, tie[u], u))
    return _tree(gone, buckets, sizes)


def _product(sizes: Sizes, variables: Iterable[int]) -> int:
    total = 1
    for v in variables:
        total *= sizes[v]
    return total


def _fill(v: int, neighbours: Neighbours, sizes: Sizes) -> tuple[float, int]:
    """Edges that summing out ``v`` adds, then the states of its clique."""
    around = neighbours[v]
    if len(around) > _CROWDED:
        return float("inf"), len(around)
    missing = sum(len(around) - 1 - len(around & neighbours[u]) for u in around)
    return missing / 2, _product(sizes, around) * sizes[v]


def _weighted_fill(v: int, neighbours: Neighbours, sizes: Sizes) -> tuple[float, int]:
    """Products of the states of the ends of those edges, summed; then the states of the clique."""
    around = neighbours[v]
    if len(around) > _CROWDED:
        return float("inf"), len(around)
    total = sum(
        sizes[u] * sum(sizes[w] for w in around.difference(neighbours[u]) if w != u) for u in around
    )
    return total / 2, _product(sizes, around) * sizes[v]


def _states(v: int, neighbours: Neighbours, sizes: Sizes) -> tuple[float, int]:
    """States of the clique that summing out ``v`` makes."""
    around = neighbours[v]
    if len(around) > _CROWDED:
        return float("inf"), len(around)
    return _product(sizes, around) * sizes[v], 0


def _remove(v: int, neighbours: Neighbours, further: bool) -> set[int]:
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


def _tree(gone: list[int], buckets: list[tuple[int, ...]], sizes: Sizes) -> CliqueTree:
    """Buckets of variables as cliques; a clique joins its parent where that costs no states.

    So messages between the two are neither held nor sent.
    """
    order = [0] * len(gone)
    for position, v in enumerate(gone):
        order[v] = position
    cliques = [{v, *around} for v, around in zip(gone, buckets, strict=True)]
    states = [_product(sizes, clique) for clique in cliques]
    parent = [min(map(order.__getitem__, around), default=-1) for around in buckets]
    joined = list(range(len(gone)))  # what each clique has become a part of
    for c, up in enumerate(parent):
        if up < 0:
            continue
        both = states[up] * _product(sizes, cliques[c] - cliques[up])
        if both <= states[c] + states[up]:
            cliques[up] |= cliques[c]
            states[up], joined[c] = both, up
    for c in range(len(gone) - 1, -1, -1):
        joined[c] = joined[joined[c]]
    kept = [c for c in range(len(gone)) if joined[c] == c]
    number = {c: i for i, c in enumerate(kept)}
    return CliqueTree(
        tuple(order),
        tuple(tuple(sorted(cliques[c], key=order.__getitem__, reverse=True)) for c in kept),
        tuple(number[joined[parent[c]]] if parent[c] >= 0 else -1 for c in kept),
        tuple(number[joined[order[v]]] for v in range(len(order))),
    )
