"""Gibbs sweeps in numba: every variable drawn given all others, in order.

Each ground factor keeps one integer per chain (true literals of a clause or count, table
index otherwise), so a conditional costs O(1) an edge. An atom under a count is flipped
with the auxiliary atoms it changes, and flipped back where the draw refuses.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

CLAUSE, TABLE, COUNT = 0, 1, 2
HARD_WEIGHT = 1e6  # of hard rows; a chain that satisfies them never leaves


class Wiring(NamedTuple):
    """Rows, and for each atom the rows it is in; ``f`` rows, ``e`` edges, ``n`` atoms.

    Attributes:
        kind: ``int8[f]``.
        table_at: ``int64[f]`` where a row's table starts in ``tables``.
        tables: ``float64`` all tables, one after another.
        lower, upper: ``int32[f]`` of counts.
        target: ``int32[f]`` of counts, -1 for none.
        row_offsets, row_atoms, row_codes: CSR rows to atoms. A code is the sign of a
            literal (1 or -1), or the bit of a table's column.
        count_order: ``int64`` counts, inputs before the counts that use them.
        atom_offsets, atom_rows, atom_codes: the same edges by atom.
        singles: ``int32`` atoms drawn alone, under no count.
        counted_singles: ``int32`` atoms drawn alone, under a count.
        counted: ``bool[n]`` whether an atom is under a count.
        block_offsets, block_atoms, at_most_one: blocks drawn as one variable.
        set_offsets, set_atoms: atoms flipped together (hard rows hold them together).
        auxiliary: ``int32`` atoms that counts define.
    """

    kind: NDArray
    table_at: NDArray
    tables: NDArray
    lower: NDArray
    upper: NDArray
    target: NDArray
    row_offsets: NDArray
    row_atoms: NDArray
    row_codes: NDArray
    count_order: NDArray
    atom_offsets: NDArray
    atom_rows: NDArray
    atom_codes: NDArray
    singles: NDArray
    counted_singles: NDArray
    counted: NDArray
    block_offsets: NDArray
    block_atoms: NDArray
    at_most_one: NDArray
    set_offsets: NDArray
    set_atoms: NDArray
    auxiliary: NDArray


class Tally(NamedTuple):
    """What a chain records; all of length 0 where nothing is recorded.

    Attributes:
        chance: ``float64[batches, n]`` sums of conditional probabilities.
        refuse: ``float64[n]`` sums of one less them (kept apart for accuracy).
        square: ``float64[2, n]`` sums of their squares, by half of the chain.
        truth: ``float64[f]`` sums of every row's potential.
        moved: ``bool[n]`` whether the atom ever changed.
    """

    chance: NDArray
    refuse: NDArray
    square: NDArray
    truth: NDArray
    moved: NDArray


compiled = njit(cache=True, nogil=True, error_model="numpy")
inner = njit(  # never called from Python: a third of the compile time saved
    cache=True, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)


@inner
def _next(state: np.uint64) -> np.uint64:
    """Advances a splitmix64 generator."""
    return state + np.uint64(0x9E3779B97F4A7C15)


@inner
def _uniform(state: np.uint64) -> float:
    """The number in [0, 1) of a generator state."""
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * 1.1102230246251565e-16


@inner
def _sigmoid(x: float) -> float:
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


@inner
def _log_ratio(mass: float, others: float) -> float:
    if mass <= 0.0:
        return -700.0
    return math.log(mass / others) if others > 0.0 else 700.0


@compiled
def read_rows(wiring: Wiring, world: NDArray, state: NDArray) -> None:
    """Sets auxiliary atoms from their counts, and every row's integer from the world."""
    for row in wiring.count_order:
        total = 0
        for i in range(wiring.row_offsets[row], wiring.row_offsets[row + 1]):
            total += world[wiring.row_atoms[i]] == (wiring.row_codes[i] > 0)
        if wiring.target[row] >= 0:
            world[wiring.target[row]] = wiring.lower[row] <= total <= wiring.upper[row]
    for row in range(wiring.kind.shape[0]):
        total = 0
        for i in range(wiring.row_offsets[row], wiring.row_offsets[row + 1]):
            true, code = world[wiring.row_atoms[i]], wiring.row_codes[i]
            if wiring.kind[row] == TABLE:
                total += true * code
            else:
                total += true == (code > 0)
        state[row] = total


@inner
def flip(
    atom: int, wiring: Wiring, weights: NDArray, unary: NDArray, world: NDArray, state: NDArray
) -> float:
    """Flips an atom and the auxiliary atoms that follow; the change of the log-score."""
    pending = [atom]
    gain = 0.0
    while len(pending) > 0:
        a = pending.pop()
        true = world[a]
        gain += -unary[a] if true else unary[a]
        world[a] = 1 - true
        for i in range(wiring.atom_offsets[a], wiring.atom_offsets[a + 1]):
            row, code, before = (
                wiring.atom_rows[i],
                wiring.atom_codes[i],
                state[wiring.atom_rows[i]],
            )
            if wiring.kind[row] == TABLE:
                after = before ^ code
                at = wiring.table_at[row]
                gain += weights[row] * (wiring.tables[at + after] - wiring.tables[at + before])
            else:
                after = before - 1 if true == (code > 0) else before + 1
                if wiring.kind[row] == CLAUSE:
                    gain += weights[row] * (int(after > 0) - int(before > 0))
                else:
                    was = wiring.lower[row] <= before <= wiring.upper[row]
                    now = wiring.lower[row] <= after <= wiring.upper[row]
                    if was != now and wiring.target[row] >= 0:
                        pending.append(wiring.target[row])
                    elif was != now:
                        gain += weights[row] * (int(now) - int(was))
            state[row] = after
    return gain


@inner
def pull(
    atom: int, wiring: Wiring, weights: NDArray, unary: NDArray, world: NDArray, state: NDArray
) -> float:
    """Conditional log-odds of an atom under no count, given all others."""
    total = unary[atom]
    true = world[atom]
    for i in range(wiring.atom_offsets[atom], wiring.atom_offsets[atom + 1]):
        row, code = wiring.atom_rows[i], wiring.atom_codes[i]
        now = state[row]
        if wiring.kind[row] == TABLE:
            at = wiring.table_at[row]
            total += weights[row] * (
                wiring.tables[at + (now | code)] - wiring.tables[at + (now & ~code)]
            )
        elif now == (true == (code > 0)):  # no other literal is true
            total += weights[row] if code > 0 else -weights[row]
    return total


@inner
def _draw_singles(
    wiring: Wiring,
    weights: NDArray,
    unary: NDArray,
    world: NDArray,
    state: NDArray,
    chance: NDArray,
    random: np.uint64,
) -> np.uint64:
    """Draws every atom that is alone and under no count; helpers would cost more than that."""
    kind, table_at, tables = wiring.kind, wiring.table_at, wiring.tables
    offsets, rows, codes = wiring.atom_offsets, wiring.atom_rows, wiring.atom_codes
    for atom in wiring.singles:
        random = _next(random)
        odds, true = unary[atom], world[atom] > 0
        for i in range(offsets[atom], offsets[atom + 1]):
            row, code = rows[i], codes[i]
            now = state[row]
            if kind[row] == TABLE:
                at = table_at[row]
                odds += weights[row] * (tables[at + (now | code)] - tables[at + (now & ~code)])
            elif now == (true == (code > 0)):  # no other literal is true
                odds += weights[row] if code > 0 else -weights[row]
        chance[atom] = odds
        wanted = _uniform(random) < _sigmoid(odds)
        if wanted != true:
            world[atom] = wanted
            for i in range(offsets[atom], offsets[atom + 1]):
                row, code = rows[i], codes[i]
                if kind[row] == TABLE:
                    state[row] ^= code
                else:
                    state[row] += 1 if wanted == (code > 0) else -1
    return random


@inner
def sweep(
    wiring: Wiring,
    weights: NDArray,
    unary: NDArray,
    world: NDArray,
    state: NDArray,
    chance: NDArray,
    random: np.uint64,
) -> np.uint64:
    """Draws every variable once; ``chance`` (``float64[n]``) gets conditional log-odds.

    Returns the generator's state.
    """
    random = _draw_singles(wiring, weights, unary, world, state, chance, random)
    for atom in wiring.counted_singles:
        random = _next(random)
        true = world[atom] > 0
        gain = flip(atom, wiring, weights, unary, world, state)
        chance[atom] = -gain if true else gain
        if (_uniform(random) < _sigmoid(chance[atom])) == true:
            flip(atom, wiring, weights, unary, world, state)
    for block in range(wiring.block_offsets.shape[0] - 1):
        random = _next(random)
        _draw_block(block, wiring, weights, unary, world, state, chance, _uniform(random))
    for i in range(wiring.set_offsets.shape[0] - 1):
        random = _next(random)
        gain = 0.0
        for j in range(wiring.set_offsets[i], wiring.set_offsets[i + 1]):
            gain += flip(wiring.set_atoms[j], wiring, weights, unary, world, state)
        if not _uniform(random) < _sigmoid(gain):
            for j in range(wiring.set_offsets[i], wiring.set_offsets[i + 1]):
                flip(wiring.set_atoms[j], wiring, weights, unary, world, state)
    return random


@inner
def _draw_block(
    block: int,
    wiring: Wiring,
    weights: NDArray,
    unary: NDArray,
    world: NDArray,
    state: NDArray,
    chance: NDArray,
    uniform: float,
) -> None:
    """One state of a block given all else; ``chance`` gets each state's log-odds."""
    first, last = wiring.block_offsets[block], wiring.block_offsets[block + 1]
    for i in range(first, last):
        if world[wiring.block_atoms[i]]:
            flip(wiring.block_atoms[i], wiring, weights, unary, world, state)
    top = 0.0 if wiring.at_most_one[block] else -math.inf
    for i in range(first, last):
        atom = wiring.block_atoms[i]
        if wiring.counted[atom]:
            chance[atom] = flip(atom, wiring, weights, unary, world, state)
            flip(atom, wiring, weights, unary, world, state)
        else:
            chance[atom] = pull(atom, wiring, weights, unary, world, state)
        top = max(top, chance[atom])
    total = math.exp(-top) if wiring.at_most_one[block] else 0.0
    nothing = total
    for i in range(first, last):
        total += math.exp(chance[wiring.block_atoms[i]] - top)
    left = uniform * total - nothing
    chosen = -1
    for i in range(first, last):
        atom = wiring.block_atoms[i]
        mass = math.exp(chance[atom] - top)
        if left >= 0.0 and mass > 0.0:
            chosen = atom
            left -= mass
        chance[atom] = _log_ratio(mass, total - mass)
    if chosen >= 0:
        flip(chosen, wiring, weights, unary, world, state)


@inner
def _record(
    wiring: Wiring, world: NDArray, state: NDArray, chance: NDArray, tally: Tally, batch: int
) -> None:
    """Adds one sweep to the tally."""
    half = 0 if 2 * batch < tally.chance.shape[0] else 1
    for atom in wiring.auxiliary:
        chance[atom] = 700.0 if world[atom] else -700.0
    for atom in range(chance.shape[0]):
        p = _sigmoid(chance[atom])
        tally.chance[batch, atom] += p
        tally.refuse[atom] += _sigmoid(-chance[atom])
        tally.square[half, atom] += p * p
    for row in range(state.shape[0]):
        if wiring.kind[row] == TABLE:
            tally.truth[row] += wiring.tables[wiring.table_at[row] + state[row]]
        elif state[row] > 0:
            tally.truth[row] += 1.0


@compiled
def run_chain(
    wiring: Wiring,
    weights: NDArray,
    unary: NDArray,
    world: NDArray,
    burn_in: int,
    kept: int,
    seed: int,
    tally: Tally,
) -> None:
    """Runs one chain from ``world`` (``int8[n]``, changed in place).

    Args:
        wiring: the graph.
        weights: ``float64[f]``.
        unary: ``float64[n]`` log-odds.
        world: any world; auxiliary atoms are recomputed.
        burn_in: sweeps that are not recorded.
        kept: sweeps recorded in ``tally``, spread evenly over its batches.
        seed: of this chain.
        tally: where to record.
    """
    state = np.zeros(wiring.kind.shape[0], np.int32)
    chance = np.zeros(world.shape[0])
    read_rows(wiring, world, state)
    random = _next(np.uint64(seed))
    for _ in range(burn_in):
        random = sweep(wiring, weights, unary, world, state, chance, random)
    batches = tally.chance.shape[0]
    before = world.copy()
    for step in range(kept):
        random = sweep(wiring, weights, unary, world, state, chance, random)
        _record(wiring, world, state, chance, tally, step * batches // kept)
        for atom in range(world.shape[0]):
            tally.moved[atom] |= world[atom] != before[atom]
