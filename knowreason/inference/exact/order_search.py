"""The best of several elimination orders, where the first is not cheap.

Sources: Kjaerulff 1990 and Koller & Friedman 2009, section 9.4 (greedy orders); Fishelson &
Geiger 2004 (restarts with ties at random); George 1973 (nested dissection).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from knowreason.factors.components.shapes import Stack
from knowreason.inference.exact.clique_layout import Eliminated
from knowreason.inference.exact.elimination import CliqueTree, Sizes, eliminate
from knowreason.inference.exact.exact_budget import ExactBudget
from knowreason.inference.exact.local_factors import local_model

CHEAP = 1e7  # nanoseconds below which no better order is sought
_STEP = 2e7  # nanoseconds of counted work that pay for one more order
_ORDERS = 40  # most orders tried
_NEAR, _FEW = 8, 8  # so many times the budget at most, else so few orders are tried
_ORDERED = 20_000  # variables ordered, all orders together
_MANY = 400  # variables above which the first order does not count fill
_GAIN = 1 << 10  # what other orders may gain: beyond it, none is tried
_PART = 12  # variables that are dissected no further
_SLOWEST = 1e-9 / 20  # a state takes at least so many seconds


def eliminated(
    stack: Stack, budget: ExactBudget, most_states: int | None = None
) -> Eliminated | None:
    """A stack with its clique tree; see :func:`clique_tree`."""
    model = local_model(stack.shape)
    tree = clique_tree(model.sizes, [f.scope for f in model.factors], budget, most_states)
    return None if tree is None else Eliminated(stack, model, tree, tree.cost(model.sizes))


def clique_tree(
    sizes: Sizes,
    scopes: Sequence[Sequence[int]],
    budget: ExactBudget,
    most_states: int | None = None,
) -> CliqueTree | None:
    """The cheapest clique tree found, which may be more than the budget allows.

    The first order is greedy; where it is dear or does not fit the budget, others are tried:
    by fill, weighted fill and clique size with ties broken at random (seeded), and by nested
    dissection. How many is counted, not timed.

    Args:
        sizes: states of each variable.
        scopes: variables of each factor; together they connect all variables.
        budget: what may be taken.
        most_states: of a clique of the first order; ``None`` leaves that to the budget.

    Returns:
        ``None`` where the first order has a larger clique, or is beyond the budget by more
        than other orders gain.
    """
    hopeless = int(min(budget.seconds / _SLOWEST, budget.memory)) * _GAIN
    cap = hopeless if most_states is None else min(most_states, hopeless)
    many = len(sizes) > _MANY
    best = eliminate(sizes, scopes, cap, score="states" if many else "fill")
    if best is None:
        return None
    cost = best.cost(sizes)
    if cost.nanoseconds <= CHEAP and budget.allows(cost):
        return best
    tries = int(cost.nanoseconds / _STEP)
    if not budget.allows(cost):
        tries = _ORDERS if budget.times(_NEAR).allows(cost) else _FEW
    tries = min(tries, _ORDERS, _ORDERED // len(sizes))
    weighted = max(sizes) > 2
    kinds = ("fill", "weighted", "fill", "states") if weighted else ("fill", "fill", "states")
    for attempt in range(tries):
        tie = np.random.default_rng(attempt).permutation(len(sizes)).tolist()
        level = dissected(sizes, scopes, tie) if attempt % 8 == 1 else None
        kind = kinds[attempt % len(kinds)]
        found = eliminate(sizes, scopes, cap, score=kind, tie=tie, level=level)
        if found is None:
            continue
        other = found.cost(sizes)
        if (budget.allows(cost), -cost.nanoseconds) < (budget.allows(other), -other.nanoseconds):
            best, cost = found, other
    return best


def dissected(sizes: Sizes, scopes: Sequence[Sequence[int]], tie: Sequence[int]) -> list[int]:
    """Level of each variable in a nested dissection: separators of smaller parts are higher."""
    neighbours: list[set[int]] = [set() for _ in sizes]
    for scope in scopes:
        for v in scope:
            neighbours[v].update(scope)
    level = [0] * len(sizes)
    waiting = [(set(range(len(sizes))), 0)]
    while waiting:
        part, depth = waiting.pop()
        for piece in _pieces(part, neighbours):
            layers = _layers(max(piece, key=tie.__getitem__), piece, neighbours)
            layers = _layers(min(layers[-1], key=tie.__getitem__), piece, neighbours)
            if len(piece) <= _PART or len(layers) < 3:
                for v in piece:
                    level[v] = len(sizes)
                continue
            cut = _cut(layers)
            for v in layers[cut]:
                level[v] = depth
            waiting.append((piece.difference(layers[cut]), depth + 1))
    return level


def _pieces(part: set[int], neighbours: list[set[int]]) -> list[set[int]]:
    left, found = set(part), []
    while left:
        piece = set().union(*_layers(min(left), left, neighbours))
        found.append(piece)
        left -= piece
    return found


def _layers(start: int, part: set[int], neighbours: list[set[int]]) -> list[list[int]]:
    """The variables of a part by distance from one of them."""
    seen, layers = {start}, [[start]]
    while layers[-1]:
        fresh = set().union(*(neighbours[v] for v in layers[-1])) & part - seen
        seen |= fresh
        layers.append(sorted(fresh))
    return layers[:-1]


def _cut(layers: list[list[int]]) -> int:
    """The smallest layer that leaves at least a quarter on each side, or the middle one."""
    total = sum(map(len, layers))
    before, best, middle = 0, -1, len(layers) // 2
    for i, layer in enumerate(layers):
        after = total - before - len(layer)
        if min(before, after) >= total / 4 and (best < 0 or len(layer) < len(layers[best])):
            best = i
        before += len(layer)
    return best if best >= 0 else max(1, min(middle, len(layers) - 2))
