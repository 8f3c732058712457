"""Random spanning forests of a factor graph, for tree-reweighted belief propagation.

A random spanning forest of the factor graph contains a ground factor with probability
``rho``; messages reweighted by it make a convex bound, so they settle where plain belief
propagation swings.

Source: Wainwright, Jaakkola & Willsky 2005, IEEE Trans. Information Theory 51(7).
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import offsets_of, owners
from knowreason.infer.messages import MessageGraph

FORESTS = 50


def appearance_probabilities(plan: MessageGraph, seed: int = 0) -> Tensor:
    """``float64[e]``: how often the factor of each edge lies in a random spanning forest.

    A forest takes factors in random order, each that joins parts not joined yet. A block
    is one variable. Half a count is added to every factor, so none has probability 0.
    """
    offsets, variables = _incidence(plan)
    counts = np.full(offsets.shape[0] - 1, 0.5)
    rng = np.random.default_rng(seed)
    for _ in range(FORESTS):
        order = rng.permutation(counts.shape[0])
        _grow_forest(order, offsets, variables, np.arange(plan.atom_count), counts)
    return torch.from_numpy(np.repeat(np.minimum(counts / FORESTS, 1.0), np.diff(offsets)))


def _incidence(plan: MessageGraph) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """All factors as one CSR over variables: blocks by their first atom."""
    variable = np.arange(plan.atom_count, dtype=np.int32)
    blocks = plan.blocks
    if blocks.count:
        variable[blocks.atoms] = blocks.atoms[blocks.offsets[:-1]][owners(blocks.offsets)]
    offsets = offsets_of(np.concatenate([np.diff(rows.offsets) for rows in plan.rows]))
    return offsets, variable[np.concatenate([rows.atoms for rows in plan.rows])]


@njit(cache=True)
def _root(parent: NDArray, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@njit(cache=True)
def _grow_forest(
    order: NDArray, offsets: NDArray, variables: NDArray, parent: NDArray, counts: NDArray
) -> None:
    """Adds 1 to ``counts`` of each factor that the forest takes; kruskal on hyperedges."""
    for factor in order:
        first, last = offsets[factor], offsets[factor + 1]
        joins = True
        for i in range(first, last):
            for j in range(first, i):
                same = variables[i] == variables[j]
                if not same and _root(parent, variables[i]) == _root(parent, variables[j]):
                    joins = False
        if joins:
            counts[factor] += 1.0
            head = _root(parent, variables[first])
            for i in range(first + 1, last):
                parent[_root(parent, variables[i])] = head
