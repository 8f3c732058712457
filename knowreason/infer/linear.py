"""A factor graph as a mixed-integer linear program: its best world is the optimum.

Clauses and their negations need one continuous column, other tables one a state (the
local polytope), counts two indicators. Without integrality it is the relaxation of
probabilistic soft logic with linear hinges (clauses of positive weight), and the local
polytope bound in general.

Source: Bach et al. 2017 (hinge-loss MRFs); Wainwright & Jordan 2008, section 8 (polytope).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, OptimizeResult, milp
from scipy.sparse import csr_array

from knowreason.factors.arrays import Array, owners
from knowreason.infer.exclusion_cliques import clique_cover
from knowreason.infer.messages import BlockLayout, MessageGraph, Rows

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
        weights: ``float64[m]`` of each group's rows, ``None`` for hard groups.
        unary: ``float64[n]`` log-odds.
    """
    builder = _Builder(plan.atom_count)
    builder.objective.append(unary)
    builder.binary.append(np.ones(plan.atom_count, np.bool_))
    builder.owner.append(np.arange(plan.atom_count, dtype=np.int64))
    _add_blocks(builder, plan.blocks)
    for rows, mine in zip(plan.rows, weights, strict=True):
        if rows.kind == "count":
            _add_counts(builder, rows)
        elif rows.kind == "clause":
            assert rows.signs is not None
            _add_clauses(builder, rows.offsets, rows.atoms, rows.signs, mine)
        else:
            _add_tables(builder, rows, mine)
    _add_conflicts(builder, plan)
    return builder.program()


@dataclass
class _Builder:
    columns: int
    rows: int = 0
    objective: list[Array] = field(default_factory=list)
    binary: list[Array] = field(default_factory=list)
    owner: list[Array] = field(default_factory=list)
    entries: list[tuple[Array, Array, Array]] = field(default_factory=list)
    low: list[Array] = field(default_factory=list)
    high: list[Array] = field(default_factory=list)
    row_owner: list[Array] = field(default_factory=list)
    conflicts: list[Array] = field(default_factory=list)

    def new_columns(
        self, objective: Array, owner: Array, binary: bool = False
    ) -> NDArray[np.int64]:
        first = self.columns
        self.columns += len(objective)
        self.objective.append(objective)
        self.binary.append(np.full(len(objective), binary))
        self.owner.append(owner)
        return np.arange(first, self.columns, dtype=np.int64)

    def new_rows(self, low: Array | float, high: Array | float, owner: Array) -> NDArray[np.int64]:
        first = self.rows
        self.rows += len(owner)
        self.low.append(np.broadcast_to(np.asarray(low, np.float64), (len(owner),)))
        self.high.append(np.broadcast_to(np.asarray(high, np.float64), (len(owner),)))
        self.row_owner.append(owner)
        return np.arange(first, self.rows, dtype=np.int64)

    def add(self, rows: Array, columns: Array, values: Array | float) -> None:
        values = np.broadcast_to(np.asarray(values, np.float64), rows.shape)
        self.entries.append((rows.ravel(), columns.ravel(), values.ravel()))

    def program(self) -> LinearProgram:
        def joined(parts: list[Array], dtype: type) -> Array:
            return np.concatenate([np.zeros(0, dtype), *parts])

        row, column, value = (
            joined([entry[i] for entry in self.entries], dtype)
            for i, dtype in enumerate((np.int64, np.int64, np.float64))
        )
        matrix = csr_array((value, (row, column)), shape=(self.rows, self.columns))
        return LinearProgram(
            joined(self.objective, np.float64),
            matrix,
            joined(self.low, np.float64),
            joined(self.high, np.float64),
            joined(self.binary, np.bool_),
            joined(self.owner, np.int64),
            joined(self.row_owner, np.int64),
        )


def _add_blocks(b: _Builder, blocks: BlockLayout) -> None:
    if blocks.count:
        owner = blocks.atoms[blocks.offsets[:-1]]
        rows = b.new_rows(np.where(blocks.at_most_one, 0.0, 1.0), 1.0, owner)
        b.add(rows[owners(blocks.offsets)], blocks.atoms, 1.0)


def _add_clauses(
    b: _Builder, offsets: Array, atoms: Array, signs: Array, weights: Array | None
) -> None:
    """Truth ``y`` of a soft clause: at most its literals' sum; at least each, if it costs."""
    line = owners(offsets)
    sign = np.where(signs, 1.0, -1.0)
    negative = np.bincount(line[~signs], minlength=len(offsets) - 1)
    first = atoms[offsets[:-1]]
    if weights is None:
        rows = b.new_rows(1.0 - negative, np.inf, first)
        b.add(rows[line], atoms, sign)
        return
    truth = b.new_columns(weights, first)
    gains = weights > 0
    rows = np.full(len(weights), -1)
    rows[gains] = b.new_rows(-negative[gains], np.inf, first[gains])
    b.add(rows[gains], truth[gains], -1.0)
    b.add(rows[line][gains[line]], atoms[gains[line]], sign[gains[line]])
    costs = ~gains[line]
    each = b.new_rows(np.where(signs[costs], 0.0, 1.0), np.inf, first[line][costs])
    b.add(each, truth[line][costs], 1.0)
    b.add(each, atoms[costs], -sign[costs])


def _add_tables(b: _Builder, rows: Rows, weights: Array | None) -> None:
    """Forbidden states as clauses; tables with one odd state as a clause; else the polytope."""
    assert rows.table is not None
    arity = rows.edges // max(rows.count, 1)
    bits = (np.arange(1 << arity)[:, None] >> np.arange(arity) & 1).astype(np.bool_)
    zeros, ones = np.flatnonzero(rows.table == 0), np.flatnonzero(rows.table == 1)
    if weights is None and arity == 2:
        for state in zeros:  # literals 2 * atom (true) and 2 * atom + 1 (false)
            b.conflicts.append(2 * rows.atoms.reshape(-1, 2).astype(np.int64) + ~bits[state])
    elif weights is None:
        for state in zeros:
            _add_clauses(b, rows.offsets, rows.atoms, np.tile(~bits[state], rows.count), None)
    elif len(zeros) == 1 and len(ones) == len(rows.table) - 1:
        _add_clauses(b, rows.offsets, rows.atoms, np.tile(~bits[zeros[0]], rows.count), weights)
    elif len(ones) == 1 and len(zeros) == len(rows.table) - 1:
        _add_clauses(b, rows.offsets, rows.atoms, np.tile(~bits[ones[0]], rows.count), -weights)
    else:
        _add_polytope(b, rows, weights, bits)


def _add_conflicts(b: _Builder, plan: MessageGraph) -> None:
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


def _add_polytope(b: _Builder, rows: Rows, weights: Array, bits: NDArray[np.bool_]) -> None:
    """One column a state; they sum to 1 and to each atom over the states where it is true."""
    assert rows.table is not None
    states, arity = bits.shape
    atoms = rows.atoms.reshape(rows.count, arity)
    first = atoms[:, 0].astype(np.int64)
    objective = (weights[:, None] * rows.table).ravel()
    mass = b.new_columns(objective, np.repeat(first, states)).reshape(rows.count, states)
    whole = b.new_rows(1.0, 1.0, first)
    b.add(np.broadcast_to(whole[:, None], mass.shape), mass, 1.0)
    for j in range(arity):
        equal = b.new_rows(0.0, 0.0, first)
        chosen = mass[:, bits[:, j]]
        b.add(np.broadcast_to(equal[:, None], chosen.shape), chosen, 1.0)
        b.add(equal, atoms[:, j], -1.0)


def _add_counts(b: _Builder, rows: Rows) -> None:
    """``inside`` (the target, or 1) holds the interval; else ``above`` says on which side."""
    assert rows.lower is not None
    assert rows.upper is not None
    assert rows.has_target is not None
    assert rows.signs is not None
    literal = np.ones(rows.edges, np.bool_)
    literal[rows.offsets[1:][rows.has_target] - 1] = False
    line = owners(rows.offsets)[literal]
    atoms, signs = rows.atoms[literal], rows.signs[literal]
    size = np.bincount(line, minlength=rows.count)
    negative = np.bincount(line[~signs], minlength=rows.count)
    first = rows.atoms[rows.offsets[:-1]].astype(np.int64)
    low = np.clip(rows.lower, 0, size + 1).astype(np.float64)
    high = np.clip(rows.upper, -1, size).astype(np.float64)

    def count_rows(chosen: Array, least: Array | float, most: Array | float) -> Array:
        """Rows that bound the number of true literals; returns their numbers by count."""
        shift = -negative[chosen]
        numbers = np.full(rows.count, -1)
        numbers[chosen] = b.new_rows(least + shift, most + shift, first[chosen])
        mine = chosen[line]
        b.add(numbers[line][mine], atoms[mine], np.where(signs[mine], 1.0, -1.0))
        return numbers[chosen]

    count_rows(~rows.has_target, low[~rows.has_target], high[~rows.has_target])
    some = rows.has_target
    if not some.any():
        return
    target = rows.atoms[rows.offsets[1:][some] - 1].astype(np.int64)
    low, high, size = low[some], high[some], size[some]
    above = b.new_columns(np.zeros(some.sum()), first[some], binary=True)
    at_least = count_rows(some, 0.0, np.inf)  # count >= low * inside + (high + 1) * above
    b.add(at_least, target, -low)
    b.add(at_least, above, -(high + 1))
    at_most = count_rows(some, -np.inf, low - 1)  # below, unless inside or above
    b.add(at_most, target, -(high - low + 1))
    b.add(at_most, above, -(size - low + 1))
    apart = b.new_rows(-np.inf, 1.0, first[some])
    b.add(apart, target, 1.0)
    b.add(apart, above, 1.0)
