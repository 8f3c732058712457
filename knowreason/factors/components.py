"""Connected components of a conditioned factor graph, and graphs of some of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from knowreason.factors.arrays import Array, array, owners
from knowreason.factors.graph import (
    OPEN,
    Blocks,
    ClauseList,
    CountGroup,
    FactorGraph,
    FactorGroup,
    UnitGroup,
)
from knowreason.factors.rows import Part, renumbered, some_rows


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
    for group in graph.groups:
        atoms = array(group.atoms)
        for j in range(1, atoms.shape[1]):
            yield atoms[:, 0], atoms[:, j]
    lists: tuple[ClauseList | CountGroup | Blocks, ...]
    lists = (*graph.clause_lists, *graph.counts, graph.blocks)
    for part in lists:
        atoms, first = array(part.atoms), first_atoms(part)
        yield np.repeat(first, np.diff(array(part.offsets))), atoms


def first_atoms(part: FactorGroup | UnitGroup | ClauseList | CountGroup | Blocks) -> Array:
    """One atom of every row (``int32[m]``); the target of a count that has one."""
    atoms = array(part.atoms)
    if isinstance(part, UnitGroup):
        return atoms
    if isinstance(part, FactorGroup):
        return atoms[:, 0]
    starts = array(part.offsets)[:-1]
    if not isinstance(part, CountGroup):
        return atoms[starts]
    target = array(part.target)
    first = np.concatenate([atoms, np.zeros(1, np.int32)])[starts]
    return np.where(target >= 0, target, first)


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
    groups = [_chosen(group, keep, number) for group in graph.groups]
    lists = [_chosen(part, keep, number) for part in graph.clause_lists]
    units = [_chosen(unit, keep, number) for unit in graph.units]
    counts = [_chosen(part, keep, number) for part in graph.counts]
    chosen = replace(
        graph,
        log_odds=graph.log_odds[index],
        evidence=graph.evidence[index],
        groups=tuple(group for group in groups if group.rows),
        clause_lists=tuple(part for part in lists if part.rows),
        units=tuple(part for part in units if part.rows),
        counts=tuple(part for part in counts if part.rows),
        blocks=_chosen(graph.blocks, keep, number),
        auxiliary=None if graph.auxiliary is None else graph.auxiliary[index],
        constant=None,
        offset=0.0,
    )
    return chosen, atoms


def _chosen(part: Part, keep: Array, number: Array) -> Part:
    return renumbered(some_rows(part, np.flatnonzero(keep[first_atoms(part)])), number)


def log2_states(graph: FactorGraph, labels: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """``float64[c]``: base-2 logarithm of the joint states of every component's variables.

    Variables are blocks and the atoms that no block holds and no count defines.
    """
    alone = array(graph.evidence) == OPEN
    for part in graph.counts:
        target = array(part.target)
        alone[target[target >= 0]] = False
    alone[array(graph.blocks.atoms)] = False
    states = np.bincount(labels[alone], minlength=count).astype(np.float64)
    if graph.blocks.count:
        offsets = array(graph.blocks.offsets)
        sizes = np.log2(np.diff(offsets) + array(graph.blocks.at_most_one))
        states += np.bincount(labels[first_atoms(graph.blocks)], sizes, minlength=count)
    return states


def block_of(graph: FactorGraph) -> NDArray[np.int64]:
    """``int64[n]``: the block that holds each atom, ``-1`` for none."""
    block = np.full(graph.atom_count, -1, dtype=np.int64)
    block[array(graph.blocks.atoms)] = owners(array(graph.blocks.offsets))
    return block
