"""Places in running totals, compiled; :mod:`knowreason.grounding.arrays.running_totals` asks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import compiled, inner

Numbers = NDArray[np.int64]
BELOW, UP_TO, ABOVE, FROM = 0, 1, 2, 3  # <, <=, >, >=


@compiled
def stretches(
    keys: Numbers,
    clocks: Numbers,
    wanted: Numbers,
    signs: NDArray[np.int8],
    limits: Numbers,
    first: Numbers,
    last: Numbers,
) -> None:
    """First place and end of the rows of each wanted key whose clock is within its limits.

    Args:
        keys, clocks: ``int64[n]``, ascending by both.
        wanted: ``int64[m]``.
        signs: ``int8[k]``: what the clock is to each limit.
        limits: ``int64[k, m]``.
        first, last: ``int64[m]``, filled.
    """
    low = high = 0
    for i in range(len(wanted)):
        if i == 0 or wanted[i] != wanted[i - 1]:
            low = _place(keys, 0, len(keys), wanted[i], False)
            high = low
            step = 1
            while high < len(keys) and keys[high] == wanted[i]:  # most keys have few rows
                low_of_step, high, step = high, min(high + step, len(keys)), 2 * step
                if high == len(keys) or keys[high] != wanted[i]:
                    high = _place(keys, low_of_step, high, wanted[i], True)
                    break
        begin, end = low, high
        for j in range(len(signs)):
            after = signs[j] == UP_TO or signs[j] == ABOVE
            place = _place(clocks, low, high, limits[j, i], after)
            if signs[j] == BELOW or signs[j] == UP_TO:
                end = min(end, place)
            else:
                begin = max(begin, place)
        first[i], last[i] = begin, max(begin, end)


@inner
def _place(values: Numbers, low: int, high: int, limit: int, after: bool) -> int:
    """First place of a stretch whose value is not below (``after``: above) a limit."""
    while low < high:
        middle = (low + high) >> 1
        below = values[middle] <= limit if after else values[middle] < limit
        if below:
            low = middle + 1
        else:
            high = middle
    return low
