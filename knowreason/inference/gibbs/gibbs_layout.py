"""A conditioned factor graph wired for Gibbs sampling: rows by atom, variables, joint moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.arrays import Array, array, offsets_of, owners
from knowreason.factors.potentials.factor_nodes import COUNT_ROW, FactorNodes
from knowreason.factors.potentials.table_nodes import TableNodes
from knowreason.inference.gibbs.chain_kernels import Tally
from knowreason.inference.gibbs.gibbs_kernels import (
    EDGE,
    HARD_WEIGHT,
    ROW,
    GibbsVariables,
    Network,
)
from knowreason.inference.messages.message_graph import MessageGraph, layout
from knowreason.row_keys import distinct_rows

WIDEST_JOINT = 4  # atoms of a hard row of which pairs are flipped together


@dataclass(frozen=True)
class GibbsLayout:
    """Rows of a conditioned graph by atom, shared by all chains.

    Attributes:
        plan: the layout that numbers the rows.
        rows: ``ROW[f + 1]`` with weights and states still 0.
        tables, row_edges, atom_first, atom_edges: as in :class:`.Network`.
        variables: what is drawn.
    """

    plan: MessageGraph
    rows: NDArray[np.void]
    tables: NDArray[np.float64]
    row_edges: NDArray[np.void]
    atom_first: NDArray[np.int64]
    atom_edges: NDArray[np.void]
    variables: GibbsVariables

    def row_label(self, label: NDArray[np.int32]) -> NDArray[np.int64]:
        """``int64[f]``: component of each row, from those of atoms (``int32[n]``)."""
        first = self.rows["first"][:-1]
        owner: NDArray[np.int64] = label[self.row_edges["place"][first]].astype(np.int64)
        return owner

    def network(
        self, weights: NDArray[np.float64], unary: NDArray[np.float64], world: NDArray[np.int8]
    ) -> Network:
        """One chain's network: rows are copied, the world (``int8[n]``) is not."""
        rows = self.rows.copy()
        rows["weight"][:-1] = weights
        return Network(
            rows, self.tables, self.row_edges, self.atom_first, self.atom_edges, unary, world
        )


def gibbs_layout(graph: FactorGraph) -> GibbsLayout:
    """Rows of a conditioned graph by atom, each as it is: chains need no merged tables."""
    plan = layout(graph, merge=False)
    rows, tables = _rows(plan)
    edges = _edges(plan)
    rows["first"] = offsets_of(_joined([_sizes(nodes) for nodes in plan.nodes], np.int64))
    owner = owners(rows["first"])
    order = np.argsort(edges["place"], kind="stable")
    by_atom = edges[order]
    by_atom["place"] = owner[order]
    counts = np.bincount(edges["place"], minlength=graph.atom_count)
    variables = _variables(graph, plan, rows, edges["place"], owner)
    return GibbsLayout(plan, rows, tables, edges, offsets_of(counts), by_atom, variables)


def _variables(
    graph: FactorGraph, plan: MessageGraph, rows: Array, atoms: Array, owner: Array
) -> GibbsVariables:
    target = rows["target"][:-1]
    auxiliary = np.unique(target[target >= 0]).astype(np.int32)
    counted = np.zeros(graph.atom_count, np.bool_)
    counted[atoms[rows["kind"][owner] == COUNT_ROW]] = True
    alone = array(graph.evidence) == OPEN
    alone[plan.blocks.atoms] = False
    alone[auxiliary] = False
    set_offsets, set_atoms = _joint_sets(plan, alone)
    return GibbsVariables(
        np.flatnonzero(alone & ~counted).astype(np.int32),
        np.flatnonzero(alone & counted).astype(np.int32),
        counted,
        plan.blocks.offsets,
        plan.blocks.atoms,
        plan.blocks.at_most_one,
        set_offsets,
        set_atoms,
        _count_order(rows["kind"][:-1], owner, atoms, target, graph.atom_count),
        auxiliary,
    )


def row_weights_of(plan: MessageGraph, theta: Tensor) -> NDArray[np.float64]:
    """``float64[f]``: weight of every row at ``theta``; hard rows weigh 1e6."""
    return _joined(
        [
            np.full(nodes.count, HARD_WEIGHT) if mine is None else array(mine)
            for nodes, mine in zip(plan.nodes, plan.weights(theta), strict=True)
        ],
        np.float64,
    )


def new_tally(batches: int, atoms: int, rows: int) -> Tally:
    """An empty tally of one chain."""
    return Tally(
        np.zeros((batches, atoms)),
        np.zeros(atoms),
        np.zeros((2, atoms)),
        np.zeros(rows),
        np.zeros(atoms, np.bool_),
        np.zeros(atoms, np.int8),
    )


def no_tally() -> Tally:
    """For chains that record nothing."""
    return new_tally(0, 0, 0)


def _joined(parts: list[Array], dtype: type) -> Array:
    return np.ascontiguousarray(np.concatenate([np.zeros(0, dtype), *parts]), dtype=dtype)


def _sizes(nodes: FactorNodes) -> NDArray[np.int64]:
    """Edges of each row, those of targets left out."""
    return np.diff(nodes.offsets) - nodes.has_target


def _edges(plan: MessageGraph) -> Array:
    """``EDGE[e]`` by row, ``place`` an atom; without those of targets."""
    atoms = [nodes.atoms[nodes.literals] for nodes in plan.nodes]
    codes = [nodes.edge_codes()[nodes.literals] for nodes in plan.nodes]
    edges = np.zeros(sum(map(len, atoms)), EDGE)
    edges["place"], edges["code"] = _joined(atoms, np.int32), _joined(codes, np.int32)
    return edges


def _rows(plan: MessageGraph) -> tuple[Array, NDArray[np.float64]]:
    """``ROW[f + 1]`` without their edges, and all tables one after another."""
    found = np.zeros(sum(nodes.count for nodes in plan.nodes) + 1, ROW)
    found["target"] = -1
    tables: list[Array] = []
    first, at = 0, 0
    for nodes in plan.nodes:
        tables.append(nodes.fill_gibbs(found[first : first + nodes.count], at))
        first += nodes.count
        at += len(tables[-1])
    return found, _joined(tables, np.float64)


def _count_order(
    kind: Array, owner: Array, atoms: Array, target: Array, n: int
) -> NDArray[np.int64]:
    """Counts such that those defining an input come first; by depth, one pass a level."""
    definer = np.full(n, -1, np.int64)
    counts = np.flatnonzero(kind == COUNT_ROW)
    defined = counts[target[counts] >= 0]
    definer[target[defined]] = defined
    edges = kind[owner] == COUNT_ROW
    user, used = owner[edges], definer[atoms[edges]]
    user, used = user[used >= 0], used[used >= 0]
    depth = np.zeros(kind.shape[0], np.int64)
    while True:
        deeper = depth.copy()
        np.maximum.at(deeper, user, depth[used] + 1)
        if (deeper == depth).all() or deeper.max(initial=0) > kind.shape[0]:
            break
        depth = deeper
    return counts[np.argsort(depth[counts], kind="stable")]


def _joint_sets(
    plan: MessageGraph, alone: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Atoms to flip together: pairs of small hard rows, and atoms that hard rows tie."""
    pairs = [_pairs(nodes) for nodes in plan.nodes if nodes.is_hard and nodes.row_kind != COUNT_ROW]
    found = np.concatenate([np.zeros((0, 2), np.int32), *pairs])
    found = np.sort(found[alone[found].all(1)], axis=1)
    found = found[distinct_rows(found.T)[0]]
    sizes, tied = _tied(plan, alone)
    every = np.concatenate([np.full(len(found), 2, np.int64), sizes])
    return offsets_of(every), _joined([found.reshape(-1), tied], np.int32)


def _pairs(rows: FactorNodes) -> NDArray[np.int32]:
    sizes = np.diff(rows.offsets)
    out = [np.zeros((0, 2), np.int32)]
    for size in range(2, WIDEST_JOINT + 1):
        first = rows.offsets[:-1][sizes == size]
        out += [
            np.stack([rows.atoms[first + i], rows.atoms[first + j]], 1)
            for j in range(size)
            for i in range(j)
        ]
    return np.concatenate(out)


def _tied(
    plan: MessageGraph, alone: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Sets of three or more atoms that imply one another through hard pairs: sizes, atoms.

    They are the strong components of the implication graph over literals ``2 * atom``
    (true) and ``2 * atom + 1`` (false); of a component and its mirror image one is kept.
    """
    none = np.zeros(0, np.int64)
    tails, heads = [none], [none]
    for nodes in plan.nodes:
        if not (isinstance(nodes, TableNodes) and nodes.arity == 2 and nodes.is_hard):
            continue
        excluded = nodes.excluded(slice(None))
        for state in range(4):
            here = np.broadcast_to(excluded[:, state], nodes.count)
            if here.any():
                a, b = nodes.atoms.reshape(-1, 2)[here].astype(np.int64).T
                x, y = state & 1, state >> 1
                tails += [2 * a + 1 - x, 2 * b + 1 - y]  # a = x forces b = not y, and back
                heads += [2 * b + y, 2 * a + x]
    tail, head = np.concatenate(tails), np.concatenate(heads)
    size = 2 * plan.atom_count
    links = coo_matrix((np.ones(tail.size, np.int8), (tail, head)), (size, size))
    _, label = connected_components(links, directed=True, connection="strong")
    literal = np.flatnonzero((np.bincount(label)[label] > 2) & np.repeat(alone, 2))
    literal = literal[np.argsort(label[literal], kind="stable")]
    _, first, sizes = np.unique(label[literal], return_index=True, return_counts=True)
    kept = literal[first] % 2 == 0
    return sizes[kept], (literal[np.repeat(kept, sizes)] // 2).astype(np.int32)
