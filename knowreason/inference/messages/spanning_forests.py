"""How often factors lie in random spanning forests, for tree-reweighted belief propagation.

A random spanning forest of the factor graph contains a ground factor with probability
``rho``; messages reweighted by it make a convex bound, so they settle where plain belief
propagation swings. Where a component is small, ``rho`` does not depend on how its atoms and
factors are numbered: factors come in an order of their places in the graph, told apart by
uniform spanning trees, and those of like places share what their forests hold.

Source: Wainwright, Jaakkola & Willsky 2005, IEEE Trans. Information Theory 51(7); Burton &
Pemantle 1993, Annals of Probability 21(3) (edges of a spanning tree are determinantal).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from knowreason.factors.arrays import Array, entries_of, offsets_of, owners
from knowreason.factors.kernel_decorators import kernel
from knowreason.inference.messages.message_graph import MessageGraph
from knowreason.row_keys import distinct_rows

FORESTS = 50
MOST_EXACT = 600  # variables of a component whose Laplacian is inverted
LEAST = 0.5 / FORESTS  # no factor has a smaller probability
SAME = 1e-9  # places that differ by less are alike


def appearance_probabilities(plan: MessageGraph, seed: int = 0) -> Tensor:
    """``float64[e]``: how often the factor of each edge lies in a random spanning forest.

    A forest takes factors in random order, each that joins parts not joined yet. A block is
    one variable. In components of more than 600 variables the order is one of numbers.
    """
    offsets, variables = _variables_of_factors(plan)
    factors = len(offsets) - 1
    share = np.ones(factors)
    label = _components(offsets, variables, plan.atom_count)
    size = np.bincount(label, minlength=label.max(initial=-1) + 1)
    of_factor = label[variables[offsets[:-1]]] if factors else np.zeros(0, np.int64)
    order = np.argsort(of_factor, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(of_factor[order])) + 1):
        if len(rows) and size[of_factor[rows[0]]] <= MOST_EXACT:
            share[rows] = _of_component(*_chosen(offsets, variables, rows), seed)
    large = np.flatnonzero(size[of_factor] > MOST_EXACT)
    if len(large):
        share[large] = _sampled(*_chosen(offsets, variables, large), plan.atom_count, seed)
    sizes = np.diff(plan.incidence[0])
    return torch.from_numpy(np.repeat(np.clip(share, LEAST, 1.0), sizes))


def _variables_of_factors(plan: MessageGraph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All factors as one CSR over distinct variables: blocks by their first atom."""
    variable = np.arange(plan.atom_count, dtype=np.int64)
    blocks = plan.blocks
    if blocks.count:
        variable[blocks.atoms] = blocks.atoms[blocks.offsets[:-1]][owners(blocks.offsets)]
    offsets, atoms = plan.incidence
    factor = owners(offsets)
    first, _ = distinct_rows([factor, variable[atoms]])
    counts = np.bincount(factor[first], minlength=len(offsets) - 1)
    return offsets_of(counts), variable[atoms][first]


def _components(offsets: Array, variables: Array, atoms: int) -> NDArray[np.int64]:
    """``int64[n]``: component of each variable."""
    factor = owners(offsets)
    size = atoms + len(offsets) - 1
    links = coo_matrix((np.ones(len(factor), np.int8), (factor + atoms, variables)), (size, size))
    return np.asarray(connected_components(links, directed=False)[1][:atoms].astype(np.int64))


def _chosen(offsets: Array, variables: Array, rows: Array) -> tuple[Array, Array]:
    entries, starts = entries_of(offsets, rows)
    return starts, variables[entries]


def _of_component(offsets: Array, variables: Array, seed: int) -> NDArray[np.float64]:
    """Probabilities of the factors of one component, whatever their numbers."""
    sizes = np.diff(offsets)
    found, local = np.unique(variables, return_inverse=True)
    if len(variables) == len(found) + len(sizes) - 1:  # a tree holds every factor
        return np.ones(len(sizes))
    inside, spread = _in_spanning_tree(offsets, local)
    starts, members = _like_places(np.stack([sizes, inside, spread], 1))
    rng = np.random.default_rng(seed)
    total = np.zeros(len(sizes))
    for _ in range(FORESTS):
        part_of = np.arange(len(found))
        order, at = rng.permutation(len(starts) - 1), 0
        while at < len(order):
            at = _grow_by_place(order, at, starts, members, offsets, local, part_of, total)
            if at < len(order):
                alike = members[starts[order[at]] : starts[order[at] + 1]]
                _share_out(alike, offsets, local, part_of, total)
                at += 1
    return np.asarray(total / FORESTS)


def _like_places(key: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """CSR of factors parted by their place in the graph, in an order that is not of numbers."""
    order = np.lexsort(np.round(key / SAME).T[::-1])
    new = (np.abs(np.diff(key[order], axis=0)) > SAME).any(1)
    return np.concatenate([[0], np.flatnonzero(new) + 1, [len(key)]]), order


def _share_out(
    alike: Array, offsets: Array, variables: Array, part_of: Array, total: NDArray[np.float64]
) -> None:
    """Factors of like places that cannot all be taken.

    Each counts as often as a uniform spanning tree of them holds it, and everything they
    could join is joined.
    """
    entries, starts = entries_of(offsets, alike)
    roots = np.array([_root(part_of, v) for v in variables[entries]])
    owner = owners(starts)
    distinct = np.bincount(np.unique(np.stack([owner, roots], 1), axis=0)[:, 0])
    chosen = np.flatnonzero(distinct == np.diff(starts))
    entries, begin = entries_of(starts, chosen)
    inside, _ = _in_spanning_tree(begin, np.unique(roots[entries], return_inverse=True)[1])
    total[alike[chosen]] += inside.sum() / len(alike)
    for scope in np.split(roots[entries], begin[1:-1]):
        for root in scope[1:]:
            part_of[_root(part_of, root)] = _root(part_of, scope[0])


def _in_spanning_tree(
    offsets: Array, variables: Array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Chance that a uniform spanning tree holds all edges of each factor; mean number of them.

    With every factor a vertex joined to its variables, the transfer current matrix of the
    edges of a factor of ``k`` variables is ``1/k + H G H``: ``G`` inverts the Laplacian of
    the variables once factors are eliminated, ``H`` centres. Its determinant is that chance.
    """
    sizes, n = np.diff(offsets), int(variables.max()) + 1
    laplacian, groups = np.zeros((n, n)), []
    for k in np.unique(sizes):
        rows = np.flatnonzero(sizes == k)
        scope = variables[offsets[rows][:, None] + np.arange(k)]
        groups.append((rows, scope))
        np.add.at(laplacian, (scope[:, :, None], scope[:, None, :]), -1.0 / k)
        np.add.at(laplacian, (scope, scope), 1.0)
    inverse = np.linalg.pinv(laplacian, hermitian=True)
    inside, spread = np.ones(len(sizes)), np.ones(len(sizes))
    for rows, scope in groups:
        green = inverse[scope[:, :, None], scope[:, None, :]]
        centred = green - green.mean(1, keepdims=True)
        centred -= centred.mean(2, keepdims=True)
        current = 1.0 / scope.shape[1] + centred
        inside[rows] = np.linalg.det(current)
        spread[rows] = np.trace(current, axis1=1, axis2=2)
    return inside, spread


def _sampled(offsets: Array, variables: Array, atoms: int, seed: int) -> NDArray[np.float64]:
    counts = np.full(len(offsets) - 1, 0.5)
    rng = np.random.default_rng(seed)
    for _ in range(FORESTS):
        order = rng.permutation(len(counts))
        _grow_forest(order, offsets, variables, np.arange(atoms), counts)
    return np.asarray(counts / FORESTS)


@kernel(cache=True)
def _root(parent: NDArray[np.int64], node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kernel(cache=True)
def _joins(parent: NDArray[np.int64], scope: NDArray[np.int64]) -> bool:
    """Whether the variables all lie in parts not joined yet."""
    for i in range(scope.shape[0]):
        for j in range(i):
            if _root(parent, scope[i]) == _root(parent, scope[j]):
                return False
    return True


@kernel(cache=True)
def _grow_by_place(
    order: NDArray[np.int64],
    at: int,
    starts: NDArray[np.int64],
    members: NDArray[np.int64],
    offsets: NDArray[np.int64],
    variables: NDArray[np.int64],
    parent: NDArray[np.int64],
    counts: NDArray[np.float64],
) -> int:
    """Takes factors place by place; returns the first place whose factors make a loop."""
    joined = parent.copy()
    while at < order.shape[0]:
        first, last = starts[order[at]], starts[order[at] + 1]
        loops = False
        for member in members[first:last]:
            begin, end = offsets[member], offsets[member + 1]
            if _joins(parent, variables[begin:end]):
                for i in range(begin + 1, end):
                    one, other = _root(joined, variables[begin]), _root(joined, variables[i])
                    loops |= one == other
                    joined[other] = one
        if loops:
            return at
        for member in members[first:last]:
            begin, end = offsets[member], offsets[member + 1]
            if _joins(parent, variables[begin:end]):
                counts[member] += 1.0
        parent[:] = joined
        at += 1
    return at


@kernel(cache=True)
def _grow_forest(
    order: NDArray[np.int64],
    offsets: NDArray[np.int64],
    variables: NDArray[np.int64],
    parent: NDArray[np.int64],
    counts: NDArray[np.float64],
) -> None:
    """Adds 1 to ``counts`` of each factor that the forest takes; kruskal on hyperedges."""
    for factor in order:
        first, last = offsets[factor], offsets[factor + 1]
        if _joins(parent, variables[first:last]):
            counts[factor] += 1.0
            head = _root(parent, variables[first])
            for i in range(first + 1, last):
                parent[_root(parent, variables[i])] = head
