"""Replica exchange in numba: chains at a ladder of temperatures that swap their worlds.

Replicas differ in the weights of their rows; hot ones see weak couplings and hard rules that
may break, so worlds reach modes that no single chain would cross to. Each component is
swapped on its own. Source: Geyer 1991; Hukushima & Nemoto 1996.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import compiled, inner
from knowreason.inference.gibbs.chain_kernels import Tally, row_value
from knowreason.inference.gibbs.cutset_kernels import States, draw_cutset
from knowreason.inference.gibbs.cutset_plans import CutsetPlan
from knowreason.inference.gibbs.gibbs_kernels import (
    GibbsVariables,
    Network,
    next_random,
    read_rows,
    sigmoid,
    sweep,
    uniform,
)


class Ladder(NamedTuple):
    """Temperatures of replicas, by component; replica 0 is the graph itself.

    Attributes:
        share: ``float64[k, c]`` share of the weight of soft rows.
        hard: ``float64[k, c]`` weight of hard rows.
        soft_weight: ``float64[f]`` of soft rows, 0 of hard ones.
        demand: ``bool[f]`` hard rows.
        atom_first, atoms: CSR of the atoms of each component that is drawn.
        row_first, rows: CSR of their rows.
    """

    share: NDArray[np.float64]
    hard: NDArray[np.float64]
    soft_weight: NDArray[np.float64]
    demand: NDArray[np.bool_]
    atom_first: NDArray[np.int64]
    atoms: NDArray[np.int64]
    row_first: NDArray[np.int64]
    rows: NDArray[np.int64]


class Exchanges(NamedTuple):
    """What became of swaps.

    Attributes:
        tried, made: ``int64[k, c]`` swaps of replica k with the one below it.
        hot: ``bool[k, c]`` whether a world has been at the hottest replica since it last
            was at the coldest.
        trips: ``int64[c]`` worlds that came from the hottest replica to the coldest.
    """

    tried: NDArray[np.int64]
    made: NDArray[np.int64]
    hot: NDArray[np.bool_]
    trips: NDArray[np.int64]


@inner
def _scores(c: int, ladder: Ladder, net: Network) -> tuple[float, float]:
    """Soft score of a component in a replica's world, and its number of hard rows that hold."""
    soft, hard = 0.0, 0.0
    for i in range(ladder.row_first[c], ladder.row_first[c + 1]):
        row = ladder.rows[i]
        if net.rows[row].target >= 0:
            continue
        value = row_value(row, net)
        if ladder.demand[row]:
            hard += value > 0.0
        else:
            soft += ladder.soft_weight[row] * value
    return soft, hard


@inner
def _swap(c: int, ladder: Ladder, one: Network, other: Network) -> None:
    """Exchanges a component's world between two replicas."""
    for i in range(ladder.atom_first[c], ladder.atom_first[c + 1]):
        atom = ladder.atoms[i]
        one.world[atom], other.world[atom] = other.world[atom], one.world[atom]
    for i in range(ladder.row_first[c], ladder.row_first[c + 1]):
        row = ladder.rows[i]
        state = one.rows[row].state
        one.rows[row].state = other.rows[row].state
        other.rows[row].state = state


@inner
def _record(
    auxiliary: NDArray[np.int32],
    ladder: Ladder,
    net: Network,
    odds: NDArray[np.float64],
    tally: Tally,
    batch: int,
) -> None:
    half = 0 if 2 * batch < tally.chance.shape[0] else 1
    for atom in auxiliary:
        odds[atom] = 700.0 if net.world[atom] else -700.0
    for atom in ladder.atoms:
        p = sigmoid(odds[atom])
        tally.chance[batch, atom] += p
        tally.refuse[atom] += sigmoid(-odds[atom])
        tally.square[half, atom] += p * p
        tally.moved[atom] |= net.world[atom] != tally.start[atom]
    for row in ladder.rows:
        tally.truth[row] += row_value(row, net)


@compiled
def run_replicas(
    variables: GibbsVariables,
    nets: tuple[Network, ...],
    ladder: Ladder,
    entries: NDArray[np.float64],
    states: States,
    plans: tuple[CutsetPlan, ...],
    sweeps: int,
    seed: int,
    tally: Tally,
    exchanges: Exchanges,
) -> None:
    """Sweeps replicas from their worlds, which change in place, and records the coldest.

    Args:
        variables: what is drawn.
        nets: the replicas, coldest first; rows at their own weights.
        ladder: of temperatures.
        entries: ``float64[j, t]`` log-potentials of tables at the coldest replicas, in which
            cutsets are drawn.
        states: of the variables.
        plans: of cutsets, taken in turn.
        sweeps: number of them, spread evenly over the tally's batches.
        seed: of this ensemble.
        tally: where to record.
        exchanges: where swaps are counted.
    """
    replicas, count = len(nets), ladder.share.shape[1]
    odds = np.zeros((2, nets[0].world.shape[0]))
    random = next_random(np.uint64(seed))
    batches = tally.chance.shape[0]
    for k in range(replicas):
        read_rows(nets[k], variables.count_order)
    tally.start[:] = nets[0].world
    entry, message = 0, 0
    for plan in plans:
        entry, message = max(entry, plan.entry[-1]), max(message, plan.message[-1])
    buffers = (np.empty(entry), np.empty(message))
    scratch = (np.zeros(states.first.shape[0], np.int64), np.zeros(states.first.shape[0], np.int64))
    scores = np.zeros((replicas, 2))
    for step in range(sweeps):
        plan = plans[step % len(plans)]
        for k in range(replicas):
            mine = odds[min(k, 1)]
            random = sweep(variables, nets[k], mine, random)
            if k < entries.shape[0]:
                random = draw_cutset(
                    plan, entries[k], states, nets[k], mine, k == 0, buffers, scratch, random
                )
        _record(variables.auxiliary, ladder, nets[0], odds[0], tally, step * batches // sweeps)
        for c in range(count):
            if replicas == 1 or ladder.atom_first[c] == ladder.atom_first[c + 1]:
                continue
            for k in range(replicas):
                scores[k, 0], scores[k, 1] = _scores(c, ladder, nets[k])
            for cold in range(step % 2, replicas - 1, 2):
                warm = cold + 1
                soft = scores[warm, 0] - scores[cold, 0]
                hard = scores[warm, 1] - scores[cold, 1]
                gain = (ladder.share[cold, c] - ladder.share[warm, c]) * soft
                gain += (ladder.hard[cold, c] - ladder.hard[warm, c]) * hard
                random = next_random(random)
                exchanges.tried[cold, c] += 1
                if gain >= 0.0 or uniform(random) < math.exp(gain):
                    exchanges.made[cold, c] += 1
                    _swap(c, ladder, nets[cold], nets[warm])
                    scores[cold], scores[warm] = scores[warm].copy(), scores[cold].copy()
                    was = exchanges.hot[cold, c]
                    exchanges.hot[cold, c] = exchanges.hot[warm, c]
                    exchanges.hot[warm, c] = was
            exchanges.hot[replicas - 1, c] = True
            if exchanges.hot[0, c]:
                exchanges.hot[0, c] = False
                exchanges.trips[c] += 1
