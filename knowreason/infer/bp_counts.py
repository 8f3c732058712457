"""Belief-propagation messages of counts: ``target <=> lower <= true literals <= upper``."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from knowreason.infer.bp_kernels import SPILL_BOTTOM, SPILL_TOP, compiled, damped, literal_weights

TINY = 1e-300  # both sides of a ratio may underflow; then the message says nothing


@compiled
def _add(left: float, right: float, maximum: bool) -> float:
    return max(left, right) if maximum else left + right


@compiled
def _count_forward(
    size: int, limit: int, true: NDArray, false: NDArray, maximum: bool, before: NDArray
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
    offsets: NDArray,
    atoms: NDArray,
    signs: NDArray,
    lower: NDArray,
    upper: NDArray,
    has_target: NDArray,
    limits: NDArray,
    messages: NDArray,
    state: NDArray,
    spill: NDArray,
    damping: float,
    maximum: bool,
) -> None:
    """New messages of counts by dynamic programming forward and back, O(arity * limit).

    ``limits`` (``int64[m]``) is where counting stops, larger counts being alike.
    """
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
        holds, fails = 1.0, 0.0
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
