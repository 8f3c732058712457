"""Local search over worlds: annealing, climbing, scores by component, margins."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from knowreason.infer.gibbs_kernels import (
    COUNT,
    HARD_WEIGHT,
    TABLE,
    Wiring,
    compiled,
    flip,
    read_rows,
    run_chain,
)
from knowreason.infer.wiring import no_tally

TEMPERATURES = (4.0, 2.0, 1.4, 1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)
SWEEPS = 15  # at each temperature
GREEDY = 1e-3  # a temperature at which only improvements are accepted


def anneal(
    wiring: Wiring,
    weights: NDArray[np.float64],
    unary: NDArray[np.float64],
    worlds: NDArray[np.int8],
    seed: int,
    temperatures: tuple[float, ...] = (*TEMPERATURES, GREEDY),
) -> None:
    """Cools chains down from their worlds (``int8[s, n]``), in place.

    Source: Kirkpatrick, Gelatt & Vecchi 1983.
    """
    hard = weights >= HARD_WEIGHT
    for step, temperature in enumerate(temperatures):
        cooled = np.where(hard, np.minimum(HARD_WEIGHT, 10.0 / temperature), weights / temperature)
        if temperature == GREEDY:
            cooled = np.where(hard, HARD_WEIGHT / GREEDY, cooled)
        for i, world in enumerate(worlds):
            chain = seed * 1_000_003 + step * len(worlds) + i
            run_chain(wiring, cooled, unary / temperature, world, SWEEPS, 0, chain, no_tally())


def component_scores(
    wiring: Wiring,
    weights: NDArray[np.float64],
    unary: NDArray[np.float64],
    worlds: NDArray[np.int8],
    label: NDArray[np.int32],
    count: int,
) -> NDArray[np.float64]:
    """``float64[s, c]`` log-score of each component in each world; -1e6 a broken hard row.

    ``label`` is ``int32[n]``, -1 for decided atoms.
    """
    owner = label[wiring.row_atoms[wiring.row_offsets[:-1]]]
    mine = label >= 0
    state = np.zeros(wiring.kind.shape[0], np.int32)
    scores = np.zeros((len(worlds), count))
    hard = np.where(weights >= HARD_WEIGHT, weights, 0.0)
    for i, world in enumerate(worlds):
        read_rows(wiring, world, state)
        gain = weights * row_truth(wiring, state) - hard
        scores[i] = np.bincount(owner, gain, count)
        scores[i] += np.bincount(label[mine], (unary * world)[mine], count)
    return scores


def row_truth(wiring: Wiring, state: NDArray[np.int32]) -> NDArray[np.float64]:
    """``float64[f]``: value of every row's potential; counts with a target always hold."""
    truth = (state > 0).astype(np.float64)
    table, counts = wiring.kind == TABLE, wiring.kind == COUNT
    truth[table] = wiring.tables[wiring.table_at[table] + state[table]]
    inside = (wiring.lower <= state) & (state <= wiring.upper)
    truth[counts] = (inside | (wiring.target >= 0))[counts]
    return truth


@compiled
def margins(
    wiring: Wiring, weights: NDArray, unary: NDArray, world: NDArray, odds: NDArray
) -> None:
    """What changing each atom alone would cost, signed by its truth (``float64[n]``).

    A block is changed as one variable. Auxiliary atoms get +-700.
    """
    state = np.zeros(wiring.kind.shape[0], np.int32)
    read_rows(wiring, world, state)
    for singles in (wiring.singles, wiring.counted_singles):
        for atom in singles:
            true = world[atom]
            gain = flip(atom, wiring, weights, unary, world, state)
            flip(atom, wiring, weights, unary, world, state)
            odds[atom] = -gain if true else gain
    for atom in wiring.auxiliary:
        odds[atom] = 700.0 if world[atom] else -700.0
    for block in range(wiring.block_offsets.shape[0] - 1):
        first, last = wiring.block_offsets[block], wiring.block_offsets[block + 1]
        chosen = -1
        for i in range(first, last):
            if world[wiring.block_atoms[i]]:
                chosen = wiring.block_atoms[i]
                flip(chosen, wiring, weights, unary, world, state)
        best = 0.0 if wiring.at_most_one[block] else -math.inf
        second = -math.inf
        for i in range(first, last):
            atom = wiring.block_atoms[i]
            odds[atom] = flip(atom, wiring, weights, unary, world, state)
            flip(atom, wiring, weights, unary, world, state)
            if odds[atom] > best:
                best, second = odds[atom], best
            else:
                second = max(second, odds[atom])
        for i in range(first, last):
            atom = wiring.block_atoms[i]
            odds[atom] -= second if odds[atom] == best else best
        if chosen >= 0:
            flip(chosen, wiring, weights, unary, world, state)
