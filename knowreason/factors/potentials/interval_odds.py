"""Belief-propagation messages of clauses and counts, in odds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import compiled
from knowreason.factors.potentials.odds_domain import (
    CAVITY_BOTTOM,
    CAVITY_TOP,
    SPILL_BOTTOM,
    SPILL_TOP,
    TINY,
    damped,
    literal_weights,
)


@compiled
def sweep_clauses(
    begin: int,
    end: int,
    offsets: NDArray[np.int64],
    atoms: NDArray[np.int32],
    signs: NDArray[np.bool_],
    epsilon: NDArray[np.float64],
    messages: NDArray[np.float64],
    state: NDArray[np.float64],
    spill: NDArray[np.float64],
    damping: float,
    maximum: bool,
) -> None:
    """New messages of clauses of any arity, O(arity), by prefix and suffix products.

    ``none`` is the weight of all literals so far being false, ``some`` of one being true;
    keeping both avoids ``1 - none``.
    """
    widest = 0
    for row in range(begin, end):
        widest = max(widest, offsets[row + 1] - offsets[row])
    true, false = np.empty(widest), np.empty(widest)
    before_none, before_some = np.empty(widest), np.empty(widest)
    step = 1 if epsilon.shape[0] > 1 else 0
    for row in range(begin, end):
        eps = epsilon[row * step]
        first, size = offsets[row], offsets[row + 1] - offsets[row]
        none, some = 1.0, 0.0
        for j in range(size):
            edge = first + j
            p, q = literal_weights(state[atoms[edge], 0], messages[edge], signs[edge], maximum)
            true[j], false[j] = p, q
            before_none[j], before_some[j] = none, some
            some = max(some, none * p) if maximum else some + none * p
            none *= q
        none, some = 1.0, 0.0
        for j in range(size - 1, -1, -1):
            edge = first + j
            rest_none = before_none[j] * none
            if maximum:
                ratio = max(max(before_some[j], before_none[j] * some), rest_none * eps)
                some = max(some, none * true[j])
            else:
                ratio = before_some[j] + before_none[j] * some + rest_none * eps
                some += none * true[j]
            none *= false[j]
            new = damped(1.0 / ratio if signs[edge] else ratio, messages[edge], damping)
            messages[edge] = new
            total = state[atoms[edge], 1] * new
            if total > SPILL_TOP or total < SPILL_BOTTOM:
                spill[atoms[edge]] += math.log(total)
                total = 1.0
            state[atoms[edge], 1] = total


@compiled
def sweep_three_literals(
    begin: int,
    end: int,
    atoms: NDArray[np.int32],
    signs: NDArray[np.bool_],
    epsilon: NDArray[np.float64],
    messages: NDArray[np.float64],
    state: NDArray[np.float64],
    spill: NDArray[np.float64],
    damping: float,
    maximum: bool,
) -> None:
    """New messages of clauses of three literals: :func:`sweep_clauses` held in registers.

    Cavities are not normalised, which saves a division an edge: ``p`` and ``q`` weigh a literal
    that is true, false, and ``s`` their sum.
    """
    step = 1 if epsilon.shape[0] > 1 else 0
    for row in range(begin, end):
        eps = epsilon[row * step]
        first = 3 * row
        a, b, c = atoms[first], atoms[first + 1], atoms[first + 2]
        old_a, old_b, old_c = messages[first], messages[first + 1], messages[first + 2]
        p_a, q_a = min(max(state[a, 0], CAVITY_BOTTOM), CAVITY_TOP), old_a
        p_b, q_b = min(max(state[b, 0], CAVITY_BOTTOM), CAVITY_TOP), old_b
        p_c, q_c = min(max(state[c, 0], CAVITY_BOTTOM), CAVITY_TOP), old_c
        if not signs[first]:
            p_a, q_a = q_a, p_a
        if not signs[first + 1]:
            p_b, q_b = q_b, p_b
        if not signs[first + 2]:
            p_c, q_c = q_c, p_c
        if maximum:
            s_a, s_b, s_c = max(p_a, q_a), max(p_b, q_b), max(p_c, q_c)
            fails_a = max(max(p_b * s_c, q_b * p_c), eps * q_b * q_c)
            fails_b = max(max(p_a * s_c, q_a * p_c), eps * q_a * q_c)
            fails_c = max(max(p_a * s_b, q_a * p_b), eps * q_a * q_b)
        else:
            s_a, s_b, s_c = p_a + q_a, p_b + q_b, p_c + q_c
            fails_a = p_b * s_c + q_b * p_c + eps * q_b * q_c
            fails_b = p_a * s_c + q_a * p_c + eps * q_a * q_c
            fails_c = p_a * s_b + q_a * p_b + eps * q_a * q_b
        holds_a, holds_b, holds_c = s_b * s_c, s_a * s_c, s_a * s_b
        new_a = holds_a / fails_a if signs[first] else fails_a / holds_a
        new_b = holds_b / fails_b if signs[first + 1] else fails_b / holds_b
        new_c = holds_c / fails_c if signs[first + 2] else fails_c / holds_c
        new_a = damped(new_a, old_a, damping)
        new_b = damped(new_b, old_b, damping)
        new_c = damped(new_c, old_c, damping)
        messages[first], messages[first + 1], messages[first + 2] = new_a, new_b, new_c
        total = state[a, 1] * new_a
        if total > SPILL_TOP or total < SPILL_BOTTOM:
            spill[a] += math.log(total)
            total = 1.0
        state[a, 1] = total
        total = state[b, 1] * new_b
        if total > SPILL_TOP or total < SPILL_BOTTOM:
            spill[b] += math.log(total)
            total = 1.0
        state[b, 1] = total
        total = state[c, 1] * new_c
        if total > SPILL_TOP or total < SPILL_BOTTOM:
            spill[c] += math.log(total)
            total = 1.0
        state[c, 1] = total


@compiled
def _add(left: float, right: float, maximum: bool) -> float:
    return max(left, right) if maximum else left + right


@compiled
def _count_forward(
    size: int,
    limit: int,
    true: NDArray[np.float64],
    false: NDArray[np.float64],
    maximum: bool,
    before: NDArray[np.float64],
) -> None:
    """``before[j, c]``: weight that ``c`` of the first ``j`` literals are true (``limit``:
    at least so many)."""
    before[0, : limit + 1] = 0.0
    before[0, 0] = 1.0
    for j in range(size):
        before[j + 1, : limit + 1] = 0.0
        for c in range(min(j, limit) + 1):
            mass = before[j, c]
            up = min(c + 1, limit)
            before[j + 1, c] = _add(before[j + 1, c], mass * false[j], maximum)
            before[j + 1, up] = _add(before[j + 1, up], mass * true[j], maximum)


@compiled
def sweep_counts(
    begin: int,
    end: int,
    offsets: NDArray[np.int64],
    atoms: NDArray[np.int32],
    signs: NDArray[np.bool_],
    lower: NDArray[np.int32],
    upper: NDArray[np.int32],
    has_target: NDArray[np.bool_],
    limits: NDArray[np.int64],
    epsilon: NDArray[np.float64],
    messages: NDArray[np.float64],
    state: NDArray[np.float64],
    spill: NDArray[np.float64],
    damping: float,
    maximum: bool,
) -> None:
    """New messages of counts by dynamic programming forward and back, O(arity * limit).

    ``limits`` (``int64[m]``) is where counting stops, larger counts being alike;
    ``epsilon`` is the weight of a count outside its interval where one inside has 1, 0
    where hard (``float64[m]``, or ``[1]`` for all rows).
    """
    step = 1 if epsilon.shape[0] > 1 else 0
    widest, deepest = 0, 0
    for row in range(begin, end):
        widest = max(widest, offsets[row + 1] - offsets[row])
        deepest = max(deepest, limits[row])
    before = np.empty((widest + 1, deepest + 1))
    inside, outside = np.empty(deepest + 1), np.empty(deepest + 1)
    true, false = np.empty(widest), np.empty(widest)
    for row in range(begin, end):
        first, limit = offsets[row], limits[row]
        size = offsets[row + 1] - first - has_target[row]
        for j in range(size):
            edge = first + j
            true[j], false[j] = literal_weights(
                state[atoms[edge], 0], messages[edge], signs[edge], maximum
            )
        _count_forward(size, limit, true, false, maximum, before)
        holds, fails = 1.0, epsilon[row * step]
        for c in range(limit + 1):
            good = lower[row] <= c and (c <= upper[row] or upper[row] >= size)
            inside[c], outside[c] = (1.0, 0.0) if good else (0.0, 1.0)
        if has_target[row]:
            edge = offsets[row + 1] - 1
            holds, fails = literal_weights(state[atoms[edge], 0], messages[edge], True, maximum)
            weight_in, weight_out = TINY, TINY
            for c in range(limit + 1):
                weight_in = _add(weight_in, before[size, c] * inside[c], maximum)
                weight_out = _add(weight_out, before[size, c] * outside[c], maximum)
            new = damped(weight_in / weight_out, messages[edge], damping)
            messages[edge] = new
            total = state[atoms[edge], 1] * new
            if total > SPILL_TOP or total < SPILL_BOTTOM:
                spill[atoms[edge]] += math.log(total)
                total = 1.0
            state[atoms[edge], 1] = total
        for c in range(limit + 1):
            inside[c] = holds * inside[c] + fails * outside[c]
        for j in range(size - 1, -1, -1):
            edge = first + j
            with_j, without_j = TINY, TINY
            for c in range(limit + 1):
                up = min(c + 1, limit)
                with_j = _add(with_j, before[j, c] * inside[up], maximum)
                without_j = _add(without_j, before[j, c] * inside[c], maximum)
                inside[c] = _add(false[j] * inside[c], true[j] * inside[up], maximum)
            ratio = with_j / without_j if signs[edge] else without_j / with_j
            new = damped(ratio, messages[edge], damping)
            messages[edge] = new
            total = state[atoms[edge], 1] * new
            if total > SPILL_TOP or total < SPILL_BOTTOM:
                spill[atoms[edge]] += math.log(total)
                total = 1.0
            state[atoms[edge], 1] = total
