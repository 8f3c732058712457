"""Gibbs chains in numba: runs of sweeps and what they record; what one change would cost."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import compiled, inner
from knowreason.factors.potentials.factor_nodes import CLAUSE_ROW as CLAUSE
from knowreason.factors.potentials.factor_nodes import TABLE_ROW as TABLE
from knowreason.inference.gibbs.gibbs_kernels import (
    GibbsVariables,
    Network,
    flip,
    next_random,
    pull,
    read_rows,
    score_block,
    sigmoid,
    sweep,
)


class Tally(NamedTuple):
    """What a chain records; all of length 0 where nothing is recorded.

    Attributes:
        chance: ``float64[batches, n]`` sums of conditional probabilities.
        refuse: ``float64[n]`` sums of one less them (kept apart for accuracy).
        square: ``float64[2, n]`` sums of their squares, by half of the chain.
        truth: ``float64[f]`` sums of every row's potential.
        moved: ``bool[n]`` whether the atom ever changed.
        start: ``int8[n]`` the world it changed from.
    """

    chance: NDArray[np.float64]
    refuse: NDArray[np.float64]
    square: NDArray[np.float64]
    truth: NDArray[np.float64]
    moved: NDArray[np.bool_]
    start: NDArray[np.int8]


@inner
def row_value(row: int, net: Network) -> float:
    """Value of a row's potential at its state."""
    rows = net.rows
    if rows[row].kind == TABLE:
        return float(net.tables[rows[row].table_at + rows[row].state])
    if rows[row].kind == CLAUSE:
        return 1.0 if rows[row].state > 0 else 0.0
    return 1.0 if rows[row].lower <= rows[row].state <= rows[row].upper else 0.0


@inner
def _record(
    auxiliary: NDArray[np.int32],
    net: Network,
    chance: NDArray[np.float64],
    tally: Tally,
    batch: int,
) -> None:
    """Adds one sweep to the tally."""
    half = 0 if 2 * batch < tally.chance.shape[0] else 1
    for atom in auxiliary:
        chance[atom] = 700.0 if net.world[atom] else -700.0
    for atom in range(chance.shape[0]):
        p = sigmoid(chance[atom])
        tally.chance[batch, atom] += p
        tally.refuse[atom] += sigmoid(-chance[atom])
        tally.square[half, atom] += p * p
        tally.moved[atom] |= net.world[atom] != tally.start[atom]
    for row in range(net.rows.shape[0] - 1):
        tally.truth[row] += row_value(row, net)


@compiled
def run_chain(
    variables: GibbsVariables, net: Network, burn_in: int, kept: int, seed: int, tally: Tally
) -> None:
    """Runs one chain from ``net.world``; the world and the rows' states change in place.

    Args:
        variables: what is drawn.
        net: the network of this chain; auxiliary atoms and states are read afresh.
        burn_in: sweeps that are not recorded.
        kept: sweeps recorded in ``tally``, spread evenly over its batches.
        seed: of this chain.
        tally: where to record.
    """
    chance = np.zeros(net.world.shape[0])
    read_rows(net, variables.count_order)
    random = next_random(np.uint64(seed))
    batches = tally.chance.shape[0]
    for step in range(burn_in + kept):
        random = sweep(variables, net, chance, random)
        if step == burn_in - 1 or step == 0:
            for atom in range(tally.start.shape[0]):
                tally.start[atom] = net.world[atom]
        if step >= burn_in:
            _record(variables.auxiliary, net, chance, tally, (step - burn_in) * batches // kept)


@compiled
def margins(variables: GibbsVariables, net: Network, odds: NDArray[np.float64]) -> None:
    """What changing each atom alone would cost, signed by its truth (``float64[n]``).

    A block is changed as one variable. Auxiliary atoms get +-700.
    """
    read_rows(net, variables.count_order)
    for atom in variables.singles:
        odds[atom] = pull(atom, net)
    for atom in variables.counted_singles:
        true = net.world[atom] > 0
        gain = flip(atom, net)
        flip(atom, net)
        odds[atom] = -gain if true else gain
    for atom in variables.auxiliary:
        odds[atom] = 700.0 if net.world[atom] else -700.0
    for block in range(variables.block_offsets.shape[0] - 1):
        chosen = score_block(block, variables, net, odds)
        best, second = 0.0 if variables.at_most_one[block] else -math.inf, -math.inf
        first, last = variables.block_offsets[block], variables.block_offsets[block + 1]
        for i in range(first, last):
            score = odds[variables.block_atoms[i]]
            second = max(second, min(score, best))
            best = max(best, score)
        for i in range(first, last):
            atom = variables.block_atoms[i]
            odds[atom] -= second if odds[atom] == best else best
        if chosen >= 0:
            flip(chosen, net)
