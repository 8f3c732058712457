"""Local search over worlds: annealing, and scores by component."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.potentials.factor_nodes import COUNT_ROW, TABLE_ROW
from knowreason.inference.gibbs.chain_kernels import run_chain
from knowreason.inference.gibbs.gibbs_kernels import HARD_WEIGHT, Network, read_rows
from knowreason.inference.gibbs.gibbs_layout import GibbsLayout, no_tally

TEMPERATURES = (4.0, 2.0, 1.4, 1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)
SWEEPS = 15  # at each temperature
GREEDY = 1e-3  # a temperature at which only improvements are accepted


def anneal(
    wiring: GibbsLayout,
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
            net = wiring.network(cooled, unary / temperature, world)
            run_chain(wiring.variables, net, SWEEPS, 0, chain, no_tally())


def component_scores(
    wiring: GibbsLayout,
    weights: NDArray[np.float64],
    unary: NDArray[np.float64],
    worlds: NDArray[np.int8],
    label: NDArray[np.int32],
    count: int,
) -> NDArray[np.float64]:
    """``float64[s, c]`` log-score of each component in each world; -1e6 a broken hard row.

    ``label`` is ``int32[n]``, -1 for decided atoms.
    """
    owner = label[wiring.row_edges["place"][wiring.rows["first"][:-1]]]
    mine = label >= 0
    scores = np.zeros((len(worlds), count))
    hard = np.where(weights >= HARD_WEIGHT, weights, 0.0)
    for i, world in enumerate(worlds):
        net = wiring.network(weights, unary, world)
        read_rows(net, wiring.variables.count_order)
        gain = weights * row_truth(net) - hard
        scores[i] = np.bincount(owner, gain, count)
        scores[i] += np.bincount(label[mine], (unary * world)[mine], count)
    return scores


def row_truth(net: Network) -> NDArray[np.float64]:
    """``float64[f]``: value of every row's potential; counts with a target always hold."""
    rows = net.rows[:-1]
    state = rows["state"]
    truth = (state > 0).astype(np.float64)
    table, counts = rows["kind"] == TABLE_ROW, rows["kind"] == COUNT_ROW
    truth[table] = net.tables[(rows["table_at"] + state)[table]]
    inside = (rows["lower"] <= state) & (state <= rows["upper"])
    truth[counts] = (inside | (rows["target"] >= 0))[counts]
    return truth
