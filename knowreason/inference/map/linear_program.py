"""A factor graph as a mixed-integer linear program: its best world is the optimum.

Clauses and their negations need one continuous column, other tables one a state (the
local polytope), counts two indicators. Without integrality it is the relaxation of
probabilistic soft logic with linear hinges (clauses of positive weight), and the local
polytope bound in general.

Source: Bach et al. 2017 (hinge-loss MRFs); Wainwright & Jordan 2008, section 8 (polytope).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, OptimizeResult, milp
from scipy.sparse import csr_array

from knowreason.factors.arrays import Array, owners
from knowreason.factors.potentials.linear_rows import LinearRows
from knowreason.inference.map.exclusion_cliques import clique_cover
from knowreason.inference.messages.message_graph import BlockLayout, MessageGraph

WIDEST_BLOCK = 64  # blocks that help cliques to grow


@dataclass(frozen=True)
class LinearProgram:
    """Maximise ``objective @ x`` under ``low <= matrix @ x <= high``, ``0 <= x <= 1``.

    Columns ``0 .. n - 1`` are the atoms; ``binary`` marks those that must be 0 or 1.
    ``owner`` is an atom each column belongs to, ``row_owner`` one of each row's.
    """

    objective: NDArray[np.float64]
    matrix: csr_array
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    binary: NDArray[np.bool_]
    owner: NDArray[np.int64]
    row_owner: NDArray[np.int64]

    def part(self, atoms: NDArray[np.bool_]) -> tuple[LinearProgram, NDArray[np.int64]]:
        """The program of some components (``bool[n]``) and which columns it keeps."""
        columns = np.flatnonzero(atoms[self.owner])
        rows = np.flatnonzero(atoms[self.row_owner])
        return LinearProgram(
            self.objective[columns],
            self.matrix[rows][:, columns],
            self.low[rows],
            self.high[rows],
            self.binary[columns],
            self.owner[columns],
            self.row_owner[rows],
        ), columns

    def solve(self, *, integral: bool, seconds: float) -> OptimizeResult:
        """HiGHS; ``x`` of the result is ``None`` where it found nothing in time."""
        if not self.objective.size:
            return OptimizeResult(x=np.zeros(0), status=0, success=True)
        limits = LinearConstraint(self.matrix, self.low, self.high) if self.low.size else ()
        return milp(
            -self.objective,
            constraints=limits,
            bounds=(0, 1),
            integrality=self.binary.astype(np.int8) if integral else None,
            options={"time_limit": max(seconds, 0.01), "mip_rel_gap": 1e-9},
        )


def linear_program(
    plan: MessageGraph, weights: list[Array | None], unary: NDArray[np.float64]
) -> LinearProgram:
    """The program of a laid out graph.

    Args:
        plan: the layout.
        weights: ``float64[m]`` of the rows of all nodes, ``None`` of hard ones.
        unary: ``float64[n]`` log-odds.
    """
    rows = LinearRows(plan.atom_count)
    rows.objective.append(unary)
    rows.binary.append(np.ones(plan.atom_count, np.bool_))
    rows.owner.append(np.arange(plan.atom_count, dtype=np.int64))
    _add_blocks(rows, plan.blocks)
    for nodes, mine in zip(plan.nodes, weights, strict=True):
        nodes.add_linear(rows, mine)
    _add_conflicts(rows, plan)
    return _program(rows)


def _program(rows: LinearRows) -> LinearProgram:
    def joined(parts: list[Array], dtype: type) -> Array:
        return np.concatenate([np.zeros(0, dtype), *parts])

    row, column, value = (
        joined([entry[i] for entry in rows.entries], dtype)
        for i, dtype in enumerate((np.int64, np.int64, np.float64))
    )
    matrix = csr_array((value, (row, column)), shape=(rows.rows, rows.columns))
    return LinearProgram(
        joined(rows.objective, np.float64),
        matrix,
        joined(rows.low, np.float64),
        joined(rows.high, np.float64),
        joined(rows.binary, np.bool_),
        joined(rows.owner, np.int64),
        joined(rows.row_owner, np.int64),
    )


def _add_blocks(b: LinearRows, blocks: BlockLayout) -> None:
    if blocks.count:
        owner = blocks.atoms[blocks.offsets[:-1]]
        rows = b.new_rows(np.where(blocks.at_most_one, 0.0, 1.0), 1.0, owner)
        b.add(rows[owners(blocks.offsets)], blocks.atoms, 1.0)


def _add_conflicts(b: LinearRows, plan: MessageGraph) -> None:
    """At most one literal of each clique of hard pairs; blocks help the cliques to grow."""
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *b.conflicts])
    if not len(pairs):
        return
    offsets, literals = clique_cover(pairs, _block_pairs(plan.blocks), 2 * plan.atom_count)
    line, atoms, negative = owners(offsets), literals >> 1, (literals & 1).astype(np.bool_)
    shift = np.bincount(line[negative], minlength=len(offsets) - 1)
    rows = b.new_rows(-np.inf, 1.0 - shift, atoms[offsets[:-1]])
    b.add(rows[line], atoms, np.where(negative, -1.0, 1.0))


def _block_pairs(blocks: BlockLayout) -> NDArray[np.int64]:
    """``int64[m, 2]``: literals "true" of every two atoms of a block."""
    found = [np.zeros((0, 2), np.int64)]
    sizes = np.diff(blocks.offsets)
    for size in np.unique(sizes[sizes <= WIDEST_BLOCK]):
        first = blocks.offsets[:-1][sizes == size][:, None]
        left, right = np.triu_indices(size, 1)
        members = blocks.atoms[np.stack([first + left, first + right], -1).reshape(-1, 2)]
        found.append(2 * members.astype(np.int64))
    return np.concatenate(found)
