"""Belief-propagation sweeps on the CPU, in odds.

A message is held as odds ``m`` (log-odds clamped to +-88), an atom's belief as odds, and
the cavity an atom sends to a factor is ``belief / m``: no exponential and no logarithm a
ground factor, one of each an atom and sweep. Products of messages are spilled into
float64 log-odds before they could overflow, so hubs are safe. Sums of positive terms
only: hard factors lose no precision. ``maximum`` turns sum-product into max-product.

``state`` (``float64[n, 2]``) holds an atom's odds and the product of its new messages side
by side: one cache line an atom. Helpers take numbers, never arrays, because handing an
array to a helper counts references in every pass of the loop.

Source: the odds form of Kschischang, Frey & Loeliger 2001; damping in log-odds.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from knowreason.infer.messages import LIMIT

TOP = math.exp(LIMIT)
BOTTOM = math.exp(-LIMIT)
BELIEF_LIMIT = 600.0  # beliefs beyond it are not told apart; their cavities exceed LIMIT anyway
SPILL_TOP = 1e260
SPILL_BOTTOM = 1e-260

compiled = njit(cache=True, nogil=True, error_model="numpy")


@compiled
def damped(new: float, old: float, damping: float) -> float:
    """Clamped message after damping in log-odds."""
    if not new < TOP:  # also where hard factors give 0 / 0
        new = TOP
    new = max(new, BOTTOM)
    if damping == 0.5:
        return math.sqrt(new * old)
    if damping == 0.0:
        return new
    return new ** (1.0 - damping) * old**damping


@compiled
def sweep_pairs(
    begin: int,
    end: int,
    atoms: NDArray,
    table: NDArray,
    epsilon: NDArray,
    messages: NDArray,
    state: NDArray,
    spill: NDArray,
    damping: float,
    maximum: bool,
) -> None:
    """New messages of 0/1 tables over two atoms.

    A state the table makes false has potential ``epsilon`` (``exp(-weight)``, 0 where
    hard; ``float64[m]`` or ``[1]`` for all rows), the others 1.
    """
    step = 1 if epsilon.shape[0] > 1 else 0
    t00, t10, t01, t11 = table[0], table[1], table[2], table[3]
    for row in range(begin, end):
        eps = epsilon[row * step]
        p00, p10 = t00 + (1.0 - t00) * eps, t10 + (1.0 - t10) * eps
        p01, p11 = t01 + (1.0 - t01) * eps, t11 + (1.0 - t11) * eps
        a, b = atoms[2 * row], atoms[2 * row + 1]
        old_a, old_b = messages[2 * row], messages[2 * row + 1]
        odds_a, odds_b = state[a, 0], state[b, 0]
        if maximum:
            new_a = max(p10 * old_b, p11 * odds_b) / max(p00 * old_b, p01 * odds_b)
            new_b = max(p01 * old_a, p11 * odds_a) / max(p00 * old_a, p10 * odds_a)
        else:
            new_a = (p10 * old_b + p11 * odds_b) / (p00 * old_b + p01 * odds_b)
            new_b = (p01 * old_a + p11 * odds_a) / (p00 * old_a + p10 * odds_a)
        new_a = damped(new_a, old_a, damping)
        new_b = damped(new_b, old_b, damping)
        messages[2 * row], messages[2 * row + 1] = new_a, new_b
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


@compiled
def literal_weights(
    odds: float, message: float, positive: bool, maximum: bool
) -> tuple[float, float]:
    """Cavity weights that the literal is true, false: they sum to 1 (or their maximum is 1)."""
    share = 1.0 / (max(odds, message) if maximum else odds + message)
    if positive:
        return odds * share, message * share
    return message * share, odds * share


@compiled
def sweep_clauses(
    begin: int,
    end: int,
    offsets: NDArray,
    atoms: NDArray,
    signs: NDArray,
    epsilon: NDArray,
    messages: NDArray,
    state: NDArray,
    spill: NDArray,
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
def sweep_tables(
    begin: int,
    end: int,
    arity: int,
    atoms: NDArray,
    table: NDArray,
    weights: NDArray,
    hard: bool,
    messages: NDArray,
    state: NDArray,
    spill: NDArray,
    damping: float,
    maximum: bool,
) -> None:
    """New messages of any function of ``arity`` atoms, by its 2^arity states.

    ``weights`` is ``float64[m]`` or ``[1]``, not read where the table is hard.
    """
    states = 1 << arity
    potential, joint = np.empty(states), np.empty(states)
    for index in range(states):
        potential[index] = table[index]
    true, false = np.empty(arity), np.empty(arity)
    step = 1 if weights.shape[0] > 1 else 0
    highest = table.max()
    for row in range(begin, end):
        if not hard and (step == 1 or row == begin):
            weight = weights[row * step]
            for index in range(states):
                potential[index] = math.exp(weight * (table[index] - highest))
        first = row * arity
        for j in range(arity):
            odds_j, old = state[atoms[first + j], 0], messages[first + j]
            true[j], false[j] = literal_weights(odds_j, old, True, maximum)
        joint[0] = 1.0
        for j in range(arity):
            for index in range(1 << j):
                joint[index + (1 << j)] = joint[index] * true[j]
                joint[index] *= false[j]
        for j in range(arity):
            with_j, without_j = 0.0, 0.0
            for index in range(states):
                mass = joint[index] * potential[index]
                if index >> j & 1:
                    with_j = max(with_j, mass) if maximum else with_j + mass
                else:
                    without_j = max(without_j, mass) if maximum else without_j + mass
            new = (with_j / true[j]) / (without_j / false[j])
            new = damped(new, messages[first + j], damping)
            messages[first + j] = new
            total = state[atoms[first + j], 1] * new
            if total > SPILL_TOP or total < SPILL_BOTTOM:
                spill[atoms[first + j]] += math.log(total)
                total = 1.0
            state[atoms[first + j], 1] = total


@compiled
def couple_blocks(
    raw: NDArray,
    offsets: NDArray,
    atoms: NDArray,
    at_most_one: NDArray,
    maximum: bool,
    belief: NDArray,
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
def gather_raw(unary: NDArray, state: NDArray, spill: NDArray, raw: NDArray) -> None:
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
def settle(belief: NDArray, state: NDArray, change: NDArray) -> float:
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
