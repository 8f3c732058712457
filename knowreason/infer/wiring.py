"""A conditioned factor graph wired for Gibbs sampling: rows by atom, variables, joint moves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.arrays import Array, array, offsets_of, owners
from knowreason.infer.gibbs_kernels import CLAUSE, COUNT, HARD_WEIGHT, TABLE, Tally, Wiring
from knowreason.infer.messages import MessageGraph, Rows, layout

WIDEST_JOINT = 4  # atoms of a hard row of which pairs are flipped together


def wire(graph: FactorGraph) -> tuple[Wiring, MessageGraph]:
    """Wiring of a conditioned graph, and the layout its rows are numbered by."""
    plan = layout(graph)
    n = graph.atom_count
    kinds = [np.full(r.count, _kind(r), np.int8) for r in plan.rows]
    kind = _joined(kinds, np.int8)
    offsets, atoms, codes = _edges(plan)
    owner = owners(offsets)
    order = np.argsort(atoms, kind="stable")
    auxiliary = _targets(plan)
    counted = np.zeros(n, np.bool_)
    counted[atoms[kind[owner] == COUNT]] = True
    alone = array(graph.evidence) == OPEN
    alone[plan.blocks.atoms] = False
    alone[auxiliary] = False
    table_at, tables = _tables(plan)
    lower, upper, target = _bounds(plan)
    set_offsets, set_atoms = _joint_sets(plan, alone)
    return (
        Wiring(
            kind,
            table_at,
            tables,
            lower,
            upper,
            target,
            offsets,
            atoms,
            codes,
            _count_order(kind, owner, atoms, target, n),
            offsets_of(np.bincount(atoms, minlength=n)),
            owner[order].astype(np.int32),
            codes[order],
            np.flatnonzero(alone & ~counted).astype(np.int32),
            np.flatnonzero(alone & counted).astype(np.int32),
            counted,
            plan.blocks.offsets,
            plan.blocks.atoms,
            plan.blocks.at_most_one,
            set_offsets,
            set_atoms,
            auxiliary,
        ),
        plan,
    )


def row_weights_of(plan: MessageGraph, theta: Tensor) -> NDArray[np.float64]:
    """``float64[f]``: weight of every row at ``theta``; hard rows weigh 1e6."""
    found = (rows.weights(theta) for rows in plan.rows)
    return _joined(
        [
            np.full(rows.count, HARD_WEIGHT) if mine is None else array(mine)
            for rows, mine in zip(plan.rows, found, strict=True)
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
    )


def no_tally() -> Tally:
    """For chains that record nothing."""
    return new_tally(0, 0, 0)


def _kind(rows: Rows) -> int:
    return {"clause": CLAUSE, "count": COUNT}.get(rows.kind, TABLE)


def _joined(parts: list[Array], dtype: type) -> Array:
    return np.ascontiguousarray(np.concatenate([np.zeros(0, dtype), *parts]), dtype=dtype)


def _edges(plan: MessageGraph) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Rows as one CSR without the targets of counts: offsets, atoms, codes."""
    sizes, atoms, codes = [], [], []
    for rows in plan.rows:
        size = np.diff(rows.offsets)
        column = np.arange(rows.edges) - np.repeat(rows.offsets[:-1], size)
        code = 1 << column if rows.signs is None else np.where(rows.signs, 1, -1)
        inside = np.ones(rows.edges, np.bool_)
        if rows.has_target is not None:
            inside[rows.offsets[1:][rows.has_target] - 1] = False
            size = size - rows.has_target
        sizes.append(size)
        atoms.append(rows.atoms[inside])
        codes.append(code[inside])
    return offsets_of(_joined(sizes, np.int64)), _joined(atoms, np.int32), _joined(codes, np.int32)


def _bounds(plan: MessageGraph) -> tuple[Array, Array, Array]:
    """``int32[f]`` lower, upper and target of every row; counts only have them."""
    lower, upper, target = [], [], []
    for rows in plan.rows:
        nothing = np.full(rows.count, -1, np.int32)
        lower.append(nothing if rows.lower is None else rows.lower)
        upper.append(nothing if rows.upper is None else rows.upper)
        target.append(nothing if rows.has_target is None else _row_targets(rows))
    return _joined(lower, np.int32), _joined(upper, np.int32), _joined(target, np.int32)


def _row_targets(rows: Rows) -> NDArray[np.int32]:
    assert rows.has_target is not None
    last = rows.atoms[rows.offsets[1:] - 1]
    return np.where(rows.has_target, last, -1).astype(np.int32)


def _targets(plan: MessageGraph) -> NDArray[np.int32]:
    found = _bounds(plan)[2]
    return np.unique(found[found >= 0])


def _tables(plan: MessageGraph) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    starts, tables, end = [], [], 0
    for rows in plan.rows:
        starts.append(np.full(rows.count, end, np.int64))
        if rows.table is not None:
            tables.append(rows.table)
            end += rows.table.shape[0]
    return _joined(starts, np.int64), _joined(tables, np.float64)


def _count_order(
    kind: Array, owner: Array, atoms: Array, target: Array, n: int
) -> NDArray[np.int64]:
    """Counts such that those defining an input come first; by depth, one pass a level."""
    definer = np.full(n, -1, np.int64)
    counts = np.flatnonzero(kind == COUNT)
    defined = counts[target[counts] >= 0]
    definer[target[defined]] = defined
    edges = kind[owner] == COUNT
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
    pairs = [_pairs(rows) for rows in plan.rows if rows.is_hard and rows.kind != "count"]
    found = np.concatenate([np.zeros((0, 2), np.int32), *pairs])
    found = np.unique(np.sort(found[alone[found].all(1)], axis=1), axis=0)
    sizes, tied = _tied(plan, alone)
    every = np.concatenate([np.full(len(found), 2, np.int64), sizes])
    return offsets_of(every), _joined([found.reshape(-1), tied], np.int32)


def _pairs(rows: Rows) -> NDArray[np.int32]:
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
    for rows in plan.rows:
        if rows.kind == "pair" and rows.is_hard and rows.table is not None:
            a, b = rows.atoms[0::2].astype(np.int64), rows.atoms[1::2].astype(np.int64)
            for state in np.flatnonzero(rows.table == 0):
                x, y = int(state & 1), int(state >> 1)
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
