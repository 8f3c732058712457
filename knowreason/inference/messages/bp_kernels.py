"""What a belief-propagation sweep does beside the factors: blocks, beliefs, odds of atoms."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import compiled

BELIEF_LIMIT = 600.0  # beliefs beyond it are not told apart; their cavities exceed LIMIT anyway


@compiled
def couple_blocks(
    raw: NDArray[np.float64],
    offsets: NDArray[np.int64],
    atoms: NDArray[np.int32],
    at_most_one: NDArray[np.bool_],
    maximum: bool,
    belief: NDArray[np.float64],
) -> None:
    """Beliefs of block atoms: their own log-odds less those of the other states together."""
    for block in range(offsets.shape[0] - 1):
        first, last = offsets[block], offsets[block + 1]
        top = 0.0 if at_most_one[block] else -math.inf
        for i in range(first, last):
            top = max(top, raw[atoms[i]])
        below = math.exp(-top) if at_most_one[block] else 0.0
        for i in range(first, last):  # prefixes, kept in belief
            belief[atoms[i]] = below
            mass = math.exp(raw[atoms[i]] - top)
            below = max(below, mass) if maximum else below + mass
        above = 0.0
        for i in range(last - 1, first - 1, -1):
            mass = math.exp(raw[atoms[i]] - top)
            prefix = belief[atoms[i]]
            others = max(prefix, above) if maximum else prefix + above
            above = max(above, mass) if maximum else above + mass
            if others > 0.0:
                belief[atoms[i]] = raw[atoms[i]] - top - math.log(others)
            else:
                belief[atoms[i]] = BELIEF_LIMIT


@compiled
def gather_raw(
    unary: NDArray[np.float64],
    state: NDArray[np.float64],
    spill: NDArray[np.float64],
    raw: NDArray[np.float64],
) -> None:
    """Log-odds of each atom from its unary part and all messages; products start afresh.

    ``state`` is ``float64[t, n, 2]`` and ``spill`` ``float64[t, n]``, one row a thread.
    """
    for atom in range(unary.shape[0]):
        total = unary[atom]
        for thread in range(state.shape[0]):
            if state[thread, atom, 1] != 1.0:
                total += math.log(state[thread, atom, 1])
                state[thread, atom, 1] = 1.0
            total += spill[thread, atom]
            spill[thread, atom] = 0.0
        raw[atom] = total


@compiled
def settle(
    belief: NDArray[np.float64], state: NDArray[np.float64], change: NDArray[np.float64]
) -> float:
    """Writes odds; ``change`` becomes ``|belief - previous|``, the greatest is returned.

    ``belief`` is clipped to what is told apart. ``change`` holds the previous beliefs.
    """
    greatest = 0.0
    for atom in range(belief.shape[0]):
        value = min(max(belief[atom], -BELIEF_LIMIT), BELIEF_LIMIT)
        belief[atom] = value
        odds = math.exp(value)
        for thread in range(state.shape[0]):
            state[thread, atom, 0] = odds
        difference = abs(value - change[atom])
        change[atom] = difference
        greatest = max(greatest, difference)
    return greatest
