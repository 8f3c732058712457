"""Connected components of a conditioned factor graph, and graphs of some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors.arrays import array
from knowreason.factors.factor_graph import OPEN, FactorGraph
from knowreason.factors.kernel_decorators import FEW, are_loaded, compiled, inner


def components(graph: FactorGraph) -> tuple[NDArray[np.int32], int]:
    """Connected components of the open atoms.

    Args:
        graph: a conditioned graph (:func:`knowreason.factors.condition.condition`).

    Returns:
        ``int32[n]`` component of each atom, ``-1`` for decided atoms, and the number of
        components. They are numbered by their first atom.
    """
    if graph.atom_count <= FEW and not are_loaded():
        return _by_labels(graph)
    root = np.arange(graph.atom_count, dtype=np.int32)
    for part in graph.couplings:
        if part.offsets is None and part.target is None:
            _unite_rows(root, array(part.atoms))
        else:
            _unite_lists(root, part.first_atoms(), part.row_offsets, part.entry_atoms)
    blocks = graph.blocks
    _unite_lists(root, blocks.first_atoms(), array(blocks.offsets), array(blocks.atoms))
    return root, _number(root, array(graph.evidence))


def _by_labels(graph: FactorGraph) -> tuple[NDArray[np.int32], int]:
    """The same by labels that neighbours take from each other, which needs no compiled code."""
    rows = [(part.first_atoms(), part.row_offsets, part.entry_atoms) for part in graph.couplings]
    blocks = graph.blocks
    rows.append((blocks.first_atoms(), array(blocks.offsets), array(blocks.atoms)))
    left = np.concatenate([np.repeat(first, np.diff(offsets)) for first, offsets, _ in rows])
    right = np.concatenate([atoms for _, _, atoms in rows])
    labels = np.arange(graph.atom_count)
    while (labels[left] != labels[right]).any():
        least = np.minimum(labels[left], labels[right])
        for end in (left, right):
            np.minimum.at(labels, labels[end], least)  # a root hangs itself below a lesser one
        while (labels[labels] != labels).any():
            labels = labels[labels]
    unknown = array(graph.evidence) == OPEN
    _, first, number = np.unique(labels[unknown], return_index=True, return_inverse=True)
    found = np.full(graph.atom_count, -1, np.int32)
    found[unknown] = np.argsort(np.argsort(first))[number.ravel()]
    return found, len(first)


@inner
def _find(root: NDArray[np.int32], atom: int) -> int:
    while root[atom] != atom:
        root[atom] = root[root[atom]]
        atom = root[atom]
    return atom


@inner
def _unite(root: NDArray[np.int32], a: int, b: int) -> None:
    """The lesser root is that of both (Tarjan & van Leeuwen 1984, with halved paths)."""
    a, b = _find(root, a), _find(root, b)
    if a < b:
        root[b] = a
    else:
        root[a] = b


@compiled
def _unite_rows(root: NDArray[np.int32], atoms: NDArray[np.int32]) -> None:
    for i in range(len(atoms)):
        for j in range(1, atoms.shape[1]):
            _unite(root, atoms[i, 0], atoms[i, j])


@compiled
def _unite_lists(
    root: NDArray[np.int32],
    first: NDArray[np.int32],
    offsets: NDArray[np.int64],
    atoms: NDArray[np.int32],
) -> None:
    for i in range(len(offsets) - 1):
        for j in range(offsets[i], offsets[i + 1]):
            _unite(root, first[i], atoms[j])


@compiled
def _number(root: NDArray[np.int32], evidence: NDArray[np.int8]) -> int:
    """Puts numbers of components in place of roots; how many there are."""
    count = 0
    number = np.full(len(root), -1, np.int32)  # of each root
    for atom in range(len(root)):
        top = root[root[atom]]  # all before are numbered in place
        root[atom] = top
    for atom in range(len(root)):
        if evidence[atom] == OPEN and number[root[atom]] < 0:
            number[root[atom]] = count
            count += 1
    for atom in range(len(root)):
        root[atom] = number[root[atom]] if evidence[atom] == OPEN else -1
    return count


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
    rows = [np.flatnonzero(keep[part.first_atoms()]) for part in graph.factors]
    blocks = np.flatnonzero(keep[graph.blocks.first_atoms()])
    return chosen_graph(graph, atoms, rows, blocks, number), atoms


def parts_of(
    graph: FactorGraph, labels: NDArray[np.int32], count: int, most: int
) -> Iterator[tuple[FactorGraph, NDArray[np.int64]]]:
    """Graphs of whole components, packed, each with the atoms it holds as in :func:`subgraph`.

    Everything is sorted by part once, by counting, so that a part costs what it holds.

    Args:
        graph: a conditioned graph.
        labels, count: its :func:`components`.
        most: about how many atoms a part has; a component that is larger is a part.
    """
    sizes = np.bincount(labels[labels >= 0], minlength=count)
    part_of = np.append(((np.cumsum(sizes) - sizes) // most).astype(np.int32), np.int32(-1))
    used = np.unique(part_of[:-1])
    part_of[:-1] = np.searchsorted(used, part_of[:-1])
    everything = np.arange(graph.atom_count, dtype=np.int32)
    sets = [everything, *(part.first_atoms() for part in graph.factors), graph.blocks.first_atoms()]
    placed = [_by_part(first, labels, part_of, len(used)) for first in sets]
    number = np.full(graph.atom_count, -1, dtype=np.int32)
    for i in range(len(used)):
        atoms, *rows, blocks = (order[starts[i] : starts[i + 1]].astype(np.int64)
                                for order, starts in placed)  # fmt: skip
        yield chosen_graph(graph, atoms, rows, blocks, number), atoms


def chosen_graph(
    graph: FactorGraph,
    atoms: NDArray[np.int64],
    rows: Sequence[NDArray[np.int64]],
    blocks: NDArray[np.int64],
    number: NDArray[np.int32],
) -> FactorGraph:
    """The graph of some atoms, renumbered in their order, and of rows over them.

    Args:
        graph: a conditioned graph.
        atoms: ``int64[m]``, ascending.
        rows: of each of its factors, over these atoms.
        blocks: of these atoms.
        number: ``int32[n]``, for scratch.
    """
    number[atoms] = np.arange(len(atoms), dtype=np.int32)
    index = torch.from_numpy(atoms)
    kept = zip(graph.factors, rows, strict=True)
    return replace(
        graph,
        log_odds=graph.log_odds[index],
        evidence=graph.evidence[index],
        factors=tuple(part.take(here).renumbered(number) for part, here in kept if len(here)),
        blocks=graph.blocks.take(blocks).renumbered(number),
        auxiliary=None if graph.auxiliary is None else graph.auxiliary[index],
        constant=None,
        offset=0.0,
    )


def _by_part(
    first: NDArray[np.int32], labels: NDArray[np.int32], part_of: NDArray[np.int32], parts: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Rows by the part of their first atom, in their order, and where each part starts."""
    starts = np.zeros(parts + 1, np.int64)
    _count_parts(first, labels, part_of, starts)
    starts = np.cumsum(starts)
    order = np.empty(starts[-1], np.int32)
    _place(first, labels, part_of, starts[:-1].copy(), order)
    return order, starts


@compiled
def _count_parts(
    first: NDArray[np.int32],
    labels: NDArray[np.int32],
    part_of: NDArray[np.int32],
    starts: NDArray[np.int64],
) -> None:
    for atom in first:
        part = part_of[labels[atom]]
        if part >= 0:
            starts[part + 1] += 1


@compiled
def _place(
    first: NDArray[np.int32],
    labels: NDArray[np.int32],
    part_of: NDArray[np.int32],
    free: NDArray[np.int64],
    order: NDArray[np.int32],
) -> None:
    for row in range(len(first)):
        part = part_of[labels[first[row]]]
        if part >= 0:
            order[free[part]] = row
            free[part] += 1


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
