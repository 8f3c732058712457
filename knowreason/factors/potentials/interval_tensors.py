"""Messages and beliefs of clauses and counts, vectorised over rows in torch.

Every function takes cavities (log-odds atom to factor, ``float64[m, k]``) and returns
messages factor to atom (``float64[m, k]``, log-odds, not yet clamped) or the factors'
beliefs. All are differentiable. ``maximum`` is max-product.
"""

from __future__ import annotations

import torch
from torch import Tensor

from knowreason.factors.potentials.odds_domain import LIMIT, TINY

ABSENT = -1e4  # cavity of padding: a literal that is false


def literal_weights(cavity: Tensor, maximum: bool) -> tuple[Tensor, Tensor]:
    """Weights of true and false; they sum to 1 (``maximum``: the greater is 1)."""
    if maximum:
        top = cavity.clamp(min=0)
        return (cavity - top).exp(), (-top).exp()
    return cavity.sigmoid(), (-cavity).sigmoid()


def clause_messages(literals: Tensor, weights: Tensor | None, maximum: bool) -> Tensor:
    """To each literal of a clause (``weights`` ``float64[m]``, ``None`` where hard), O(k)."""
    true, false = literal_weights(literals, maximum)
    none_before, some_before = _scan(true, false, maximum)
    none_after, some_after = (x.flip(1) for x in _scan(true.flip(1), false.flip(1), maximum))
    violated = none_before * none_after * _epsilon(weights, literals)[:, None]
    if maximum:
        ratio = torch.maximum(torch.maximum(some_before, none_before * some_after), violated)
    else:
        ratio = some_before + none_before * some_after + violated
    return -ratio.clamp(min=TINY).log()


def clause_beliefs(literals: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """``log sum_x potential * cavities`` (``float64[m]``) and the probability of truth."""
    true, false = literal_weights(literals, False)
    before, _ = _scan(true, false, False)
    none = before[:, -1] * false[:, -1]
    some = (before * true).sum(1)
    total = some + none * _epsilon(weights, literals)
    log_z = total.clamp(min=TINY).log()
    return (log_z if weights is None else log_z + weights), some / total.clamp(min=TINY)


def count_messages(
    literals: Tensor, target: Tensor | None, good: Tensor, inside: Tensor, maximum: bool
) -> tuple[Tensor, Tensor | None]:
    """To literals and target of a count.

    Args:
        literals: ``float64[m, k]`` cavities of the literals.
        target: ``float64[m]`` cavities of the targets; ``None`` where counts are demanded.
        good: ``float64[m, limit + 1]``, 1 where a count lies in the interval; the last
            column stands for all larger counts too.
        inside: ``float64[m, limit + 1]`` weight of each count, ``good`` where hard.
        maximum: max-product.
    """
    true, false = literal_weights(literals, maximum)
    before = count_forward(true, false, good.shape[1], maximum)
    to_target = None
    if target is not None:
        holds, fails = literal_weights(target, maximum)
        inside = holds[:, None] * good + fails[:, None] * (1 - good)
        last = before[-1]
        weights = (_total(last * good, maximum), _total(last * (1 - good), maximum))
        to_target = (weights[0] + TINY).log() - (weights[1] + TINY).log()
    columns = []
    for j in range(literals.shape[1] - 1, -1, -1):
        up = torch.cat([inside[:, 1:], inside[:, -1:]], 1)
        with_j = _total(before[j] * up, maximum)
        without_j = _total(before[j] * inside, maximum)
        columns.append((with_j + TINY).log() - (without_j + TINY).log())
        kept, moved = false[:, j, None] * inside, true[:, j, None] * up
        inside = torch.maximum(kept, moved) if maximum else kept + moved
    return torch.stack(columns[::-1], 1), to_target


def count_beliefs(
    literals: Tensor, target: Tensor | None, good: Tensor, weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As :func:`clause_beliefs`; ``log sum_x [definition holds] * cavities`` of definitions."""
    true, false = literal_weights(literals, False)
    last = count_forward(true, false, good.shape[1], False)[-1]
    inside, outside = (last * good).sum(1), (last * (1 - good)).sum(1)
    if target is not None:
        holds, fails = literal_weights(target, False)
        total = (holds * inside + fails * outside + TINY).log()
        return total, torch.ones_like(total)
    total = inside + outside * _epsilon(weights, literals) + TINY
    log_z = total.log()
    return (log_z if weights is None else log_z + weights), inside / total


def _scan(true: Tensor, false: Tensor, maximum: bool) -> tuple[Tensor, Tensor]:
    """Weights, left of each column, of "all false" and of "some true"."""
    ones = torch.ones_like(false[:, :1])
    none = torch.cat([ones, false[:, :-1]], 1).cumprod(1)
    first = none[:, :-1] * true[:, :-1]
    some = first.cummax(1).values if maximum and first.shape[1] else first.cumsum(1)
    return none, torch.cat([torch.zeros_like(ones), some], 1)


def _epsilon(weights: Tensor | None, like: Tensor) -> Tensor:
    if weights is None:
        return like.new_zeros(like.shape[0])
    return (-weights.clamp(-LIMIT, LIMIT)).exp()


def count_forward(true: Tensor, false: Tensor, width: int, maximum: bool) -> list[Tensor]:
    """For each prefix of the literals ``float64[m, width]``, the last column absorbing."""
    start = true.new_zeros(true.shape[0], width)
    start[:, 0] = 1.0
    before = [start]
    for j in range(true.shape[1]):
        last = before[-1]
        kept, moved = last * false[:, j, None], last * true[:, j, None]
        shifted = torch.cat([torch.zeros_like(moved[:, :1]), moved[:, :-1]], 1)
        absorbed = torch.cat([torch.zeros_like(moved[:, :-1]), moved[:, -1:]], 1)
        if maximum:
            before.append(torch.maximum(torch.maximum(kept, shifted), absorbed))
        else:
            before.append(kept + shifted + absorbed)
    return before


def _total(mass: Tensor, maximum: bool) -> Tensor:
    return mass.amax(1) if maximum else mass.sum(1)
