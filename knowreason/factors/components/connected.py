"""Connected components of a conditioned factor graph, and graphs of some of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from knowreason.factors.arrays import Array, array
from knowreason.factors.factor_graph import OPEN, FactorGraph


def components(graph: FactorGraph) -> tuple[NDArray[np.int32], int]:
    """Connected components of the open atoms.

    Args:
        graph: a conditioned graph (:func:`knowreason.factors.condition.condition`).

    Returns:
        ``int32[n]`` component of each atom, ``-1`` for decided atoms, and the number of
        components. They are numbered by their first atom.
    """
    n = graph.atom_count
    pairs = list(_edges(graph))
    left = np.concatenate([np.zeros(0, np.int32), *(a for a, _ in pairs)])
    right = np.concatenate([np.zeros(0, np.int32), *(b for _, b in pairs)])
    ones = np.ones(len(left), dtype=np.int8)
    _, labels = connected_components(coo_matrix((ones, (left, right)), (n, n)), directed=False)
    unknown = array(graph.evidence) == OPEN
    present = np.zeros(n + 1, dtype=np.int32)
    present[labels[unknown]] = 1
    renumbered = np.cumsum(present, dtype=np.int32) - 1
    return np.where(unknown, renumbered[labels], -1).astype(np.int32), int(present.sum())


def _edges(graph: FactorGraph) -> Iterator[tuple[Array, Array]]:
    for part in graph.couplings:
        if part.offsets is None and part.target is None:
            atoms = array(part.atoms)
            for j in range(1, atoms.shape[1]):
                yield atoms[:, 0], atoms[:, j]
        else:
            yield np.repeat(part.first_atoms(), np.diff(part.row_offsets)), part.entry_atoms
    blocks = graph.blocks
    yield np.repeat(blocks.first_atoms(), np.diff(array(blocks.offsets))), array(blocks.atoms)


def subgraph(graph: FactorGraph, keep: NDArray[np.bool_]) -> tuple[FactorGraph, NDArray[np.int64]]:
    """The graph of whole components, atoms renumbered in their order.

    Decided groundings (``constant``, ``offset``) stay behind.

    Args:
        graph: a conditioned graph.
        keep: ``bool[n]``; a component is kept whole or not at all.

    Returns:
        the graph and ``int64[m]``: which atom each of its atoms is.
    """
    atoms = np.flatnonzero(keep)
    number = np.full(graph.atom_count, -1, dtype=np.int32)
    number[atoms] = np.arange(len(atoms), dtype=np.int32)
    index = torch.from_numpy(atoms)
    parts = [
        part.take(np.flatnonzero(keep[part.first_atoms()])).renumbered(number)
        for part in graph.factors
    ]
    blocks = graph.blocks.take(np.flatnonzero(keep[graph.blocks.first_atoms()]))
    chosen = replace(
        graph,
        log_odds=graph.log_odds[index],
        evidence=graph.evidence[index],
        factors=tuple(part for part in parts if part.rows),
        blocks=blocks.renumbered(number),
        auxiliary=None if graph.auxiliary is None else graph.auxiliary[index],
        constant=None,
        offset=0.0,
    )
    return chosen, atoms


def log2_states(graph: FactorGraph, labels: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """``float64[c]``: base-2 logarithm of the joint states of every component's variables.

    Variables are blocks and the atoms that no block holds and no count defines.
    """
    alone = array(graph.evidence) == OPEN
    for part in graph.factors:
        if part.target is not None:
            target = part.targets()
            alone[target[target >= 0]] = False
    alone[array(graph.blocks.atoms)] = False
    states = np.bincount(labels[alone], minlength=count).astype(np.float64)
    if graph.blocks.count:
        offsets = array(graph.blocks.offsets)
        sizes = np.log2(np.diff(offsets) + array(graph.blocks.at_most_one))
        states += np.bincount(labels[graph.blocks.first_atoms()], sizes, minlength=count)
    return states
