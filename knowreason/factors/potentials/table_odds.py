"""Belief-propagation messages of tables, in odds."""

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
    damped,
    literal_weights,
)


@compiled
def sweep_pairs(
    begin: int,
    end: int,
    atoms: NDArray[np.int32],
    potential: NDArray[np.float64],
    messages: NDArray[np.float64],
    state: NDArray[np.float64],
    spill: NDArray[np.float64],
    damping: float,
    maximum: bool,
) -> None:
    """New messages of functions of two atoms.

    ``potential`` (``float64[m, 4]``, or ``[1, 4]`` for all rows) is the exponential of each
    state's log-potential, at most 1; forbidden states have 0.
    """
    step = 1 if potential.shape[0] > 1 else 0
    p00, p10, p01, p11 = potential[0, 0], potential[0, 1], potential[0, 2], potential[0, 3]
    for row in range(begin, end):
        if step == 1:
            p00, p10 = potential[row, 0], potential[row, 1]
            p01, p11 = potential[row, 2], potential[row, 3]
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
def sweep_triples(
    begin: int,
    end: int,
    atoms: NDArray[np.int32],
    potential: NDArray[np.float64],
    messages: NDArray[np.float64],
    state: NDArray[np.float64],
    spill: NDArray[np.float64],
    damping: float,
    maximum: bool,
) -> None:
    """New messages of functions of three atoms: :func:`sweep_tables` held in registers.

    ``potential`` is ``float64[m, 8]``, or ``[1, 8]`` for all rows. Cavities are not normalised.
    """
    step = 1 if potential.shape[0] > 1 else 0
    for row in range(begin, end):
        which, first = row * step, 3 * row
        a, b, c = atoms[first], atoms[first + 1], atoms[first + 2]
        a0, b0, c0 = messages[first], messages[first + 1], messages[first + 2]
        a1 = min(max(state[a, 0], CAVITY_BOTTOM), CAVITY_TOP)
        b1 = min(max(state[b, 0], CAVITY_BOTTOM), CAVITY_TOP)
        c1 = min(max(state[c, 0], CAVITY_BOTTOM), CAVITY_TOP)
        p000, p100 = potential[which, 0], potential[which, 1]
        p010, p110 = potential[which, 2], potential[which, 3]
        p001, p101 = potential[which, 4], potential[which, 5]
        p011, p111 = potential[which, 6], potential[which, 7]
        if maximum:
            a_true = max(max(p100 * b0, p110 * b1) * c0, max(p101 * b0, p111 * b1) * c1)
            a_false = max(max(p000 * b0, p010 * b1) * c0, max(p001 * b0, p011 * b1) * c1)
            b_true = max(max(p010 * a0, p110 * a1) * c0, max(p011 * a0, p111 * a1) * c1)
            b_false = max(max(p000 * a0, p100 * a1) * c0, max(p001 * a0, p101 * a1) * c1)
            c_true = max(max(p001 * a0, p101 * a1) * b0, max(p011 * a0, p111 * a1) * b1)
            c_false = max(max(p000 * a0, p100 * a1) * b0, max(p010 * a0, p110 * a1) * b1)
        else:
            a_true = (p100 * b0 + p110 * b1) * c0 + (p101 * b0 + p111 * b1) * c1
            a_false = (p000 * b0 + p010 * b1) * c0 + (p001 * b0 + p011 * b1) * c1
            b_true = (p010 * a0 + p110 * a1) * c0 + (p011 * a0 + p111 * a1) * c1
            b_false = (p000 * a0 + p100 * a1) * c0 + (p001 * a0 + p101 * a1) * c1
            c_true = (p001 * a0 + p101 * a1) * b0 + (p011 * a0 + p111 * a1) * b1
            c_false = (p000 * a0 + p100 * a1) * b0 + (p010 * a0 + p110 * a1) * b1
        new_a = damped(a_true / a_false, a0, damping)
        new_b = damped(b_true / b_false, b0, damping)
        new_c = damped(c_true / c_false, c0, damping)
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
def sweep_tables(
    begin: int,
    end: int,
    arity: int,
    atoms: NDArray[np.int32],
    potential: NDArray[np.float64],
    messages: NDArray[np.float64],
    state: NDArray[np.float64],
    spill: NDArray[np.float64],
    damping: float,
    maximum: bool,
) -> None:
    """New messages of any function of ``arity`` atoms, by its 2^arity states.

    ``potential`` (``float64[m, 2**arity]``, or one row for all) is the exponential of each
    state's log-potential, at most 1; forbidden states have 0.
    """
    states = 1 << arity
    joint = np.empty(states)
    true, false = np.empty(arity), np.empty(arity)
    step = 1 if potential.shape[0] > 1 else 0
    for row in range(begin, end):
        which = row * step
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
                mass = joint[index] * potential[which, index]
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
