"""Which components are trees, and the order in which messages pass through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, array, entries_of, offsets_of, owners
from knowreason.factors.components.component_variables import Variables
from knowreason.factors.components.scopes import Scopes
from knowreason.factors.factor_graph import FactorGraph
from knowreason.row_keys import scattered


@dataclass(frozen=True)
class FactorEdges:
    """FactorEdges between factors (tables, long clauses, counts, in this order) and variables.

    Attributes:
        variable: ``int64[e]``, by factor.
        factor: ``int64[e]``.
        starts: ``int64[f + 1]`` first edge of each factor.
        kinds: ``int64[k + 1]`` first factor of each table group, of the clauses and of
            the counts, then their number.
    """

    variable: NDArray[np.int64]
    factor: NDArray[np.int64]
    starts: NDArray[np.int64]
    kinds: NDArray[np.int64]

    @staticmethod
    def of(ties: Scopes) -> FactorEdges:
        """All edges."""
        of_atom = ties.variables.of_atom
        lists = (ties.clauses, ties.counts)
        ends = [group.scope.ravel() for group in ties.tables] + [of_atom[p.atoms] for p in lists]
        lengths = [np.full(len(group.scope), group.scope.shape[1]) for group in ties.tables]
        lengths += [np.diff(part.offsets) for part in lists]
        starts = offsets_of(np.concatenate(lengths))
        kinds = offsets_of(np.array([len(part) for part in lengths]))
        return FactorEdges(np.concatenate(ends), owners(starts), starts, kinds)


def tree_components(ties: Scopes, count: int) -> NDArray[np.bool_]:
    """``bool[c]``: which of the components that ``ties`` holds are trees."""
    edges, variables = FactorEdges.of(ties), ties.variables
    component = variables.component
    nodes = np.bincount(component, minlength=count)
    first = edges.variable[edges.starts[:-1]]
    nodes += np.bincount(component[first], minlength=count)
    links = np.bincount(component[edges.variable], minlength=count)
    return np.asarray((nodes > 0) & (links == nodes - 1))


def has_cycles(
    graph: FactorGraph, labels: NDArray[np.int32], chosen: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """``bool[c]``: chosen components (``bool[c]``) that are surely no trees, told without tables.

    Rows over the same atoms count once, by the sum of their atoms' hashes. Components with
    blocks, whose rows may meet a variable twice, are never said to have cycles.
    """
    left = chosen.copy()
    left[labels[array(graph.blocks.atoms)]] = False
    atoms = np.bincount(labels[labels >= 0], minlength=len(chosen))
    entries = sum(part.atoms.numel() for part in graph.couplings)
    found = np.zeros_like(left)
    some = max(int(entries // (4 * atoms.sum() + 1)), 1)
    for step in dict.fromkeys((some, 1)):  # some rows tell, most often
        if left.any():
            found |= left & (_distinct_links(graph, labels, left, step) >= atoms)
            left &= ~found
    return found


def _distinct_links(
    graph: FactorGraph, labels: NDArray[np.int32], chosen: NDArray[np.bool_], step: int
) -> NDArray[np.int64]:
    """``int64[c]``: atoms less one of the distinct rows among every ``step``-th; a tree has one
    less than atoms."""
    keys, links = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    owner = [np.zeros(0, np.int32)]
    for part in graph.couplings:
        rows = np.flatnonzero(np.append(chosen, False)[labels[part.first_atoms()]])[::step]
        if len(rows):
            part = part if len(rows) == part.rows else part.take(rows)
            starts = part.row_offsets
            keys.append(np.add.reduceat(scattered(part.entry_atoms), starts[:-1]))
            links.append(np.diff(starts) - 1)
            owner.append(labels[part.first_atoms()])
    _, first = np.unique(np.concatenate(keys), return_index=True)
    total = np.bincount(
        np.concatenate(owner)[first], np.concatenate(links)[first], minlength=len(chosen)
    )
    return total.astype(np.int64)


def tree_heights(ties: Scopes, count: int) -> NDArray[np.int64]:
    """``int64[c]``: factors from the root of each tree to its farthest variable, 0 for no tree."""
    edges = FactorEdges.of(ties)
    heights = np.zeros(count, dtype=np.int64)
    first = edges.variable[edges.starts[:-1]]
    component = ties.variables.component[first]
    for step in root_trees(edges, ties.variables)[1]:
        heights[component[edges.kinds[step.kind] + step.rows]] = step.depth + 1
    return np.where(tree_components(ties, count), heights, 0)


@dataclass(frozen=True)
class Step:
    """Factors of one kind at one depth whose parent is at the same place of their scope.

    ``kind`` is a table group, then the clauses, then the counts; ``rows`` within it;
    ``parent`` is the position in the scope (tables) or ``-1``; ``parent_edge`` per row.
    """

    kind: int
    depth: int
    rows: NDArray[np.int64]
    parent: int
    parent_edge: NDArray[np.int64]


def root_trees(
    edges: FactorEdges, variables: Variables
) -> tuple[NDArray[np.int64], tuple[Step, ...]]:
    """Roots each tree at a variable of most factors.

    Returns:
        ``int64[c]`` roots and the steps by depth, deepest last.
    """
    degree = np.bincount(edges.variable, minlength=variables.count)
    order = np.lexsort((-degree, variables.component))
    roots = order[np.flatnonzero(np.diff(variables.component[order], prepend=-1))]
    by_variable = np.argsort(edges.variable, kind="stable")
    starts = offsets_of(degree)
    depth = np.full(len(edges.starts) - 1, -1, dtype=np.int64)
    parent = np.zeros(len(depth), dtype=np.int64)
    frontier, level = roots, 0
    while len(frontier):
        links = by_variable[entries_of(starts, frontier)[0]]
        links = links[depth[edges.factor[links]] < 0]
        reached = edges.factor[links]
        depth[reached], parent[reached] = level, links
        around, _ = entries_of(edges.starts, reached)
        frontier = edges.variable[around[around != parent[edges.factor[around]]]]
        level += 1
    return roots, _steps(edges, depth, parent)


def _steps(edges: FactorEdges, depth: Array, parent: Array) -> tuple[Step, ...]:
    kind = np.repeat(np.arange(len(edges.kinds) - 1), np.diff(edges.kinds))
    is_table = kind < len(edges.kinds) - 3
    place = np.where(is_table, parent - edges.starts[:-1], -1)
    order = np.lexsort((place, kind, depth))
    key = np.stack([depth, kind, place])[:, order]
    cuts = np.flatnonzero((key[:, 1:] != key[:, :-1]).any(0)) + 1
    steps = []
    for factors in np.split(order, cuts) if len(order) else []:
        k = int(kind[factors[0]])
        rows = factors - edges.kinds[k]
        steps.append(Step(k, int(depth[factors[0]]), rows, int(place[factors[0]]), parent[factors]))
    return tuple(steps)
