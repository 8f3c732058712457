"""Columns and rows of a linear program as they are gathered."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, owners


@dataclass
class LinearRows:
    """What ground factors add to a program that maximises over truths between 0 and 1.

    Columns ``0 .. n - 1`` are the atoms. ``owner`` is an atom each column belongs to,
    ``row_owner`` one of each row's; ``conflicts`` are pairs of literals ``2 * atom`` (true)
    and ``2 * atom + 1`` (false) that exclude each other.
    """

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
        """Columns with these objectives; their numbers."""
        first = self.columns
        self.columns += len(objective)
        self.objective.append(objective)
        self.binary.append(np.full(len(objective), binary))
        self.owner.append(owner)
        return np.arange(first, self.columns, dtype=np.int64)

    def new_rows(self, low: Array | float, high: Array | float, owner: Array) -> NDArray[np.int64]:
        """Rows between these bounds; their numbers."""
        first = self.rows
        self.rows += len(owner)
        self.low.append(np.broadcast_to(np.asarray(low, np.float64), (len(owner),)))
        self.high.append(np.broadcast_to(np.asarray(high, np.float64), (len(owner),)))
        self.row_owner.append(owner)
        return np.arange(first, self.rows, dtype=np.int64)

    def add(self, rows: Array, columns: Array, values: Array | float) -> None:
        """Entries of the matrix."""
        values = np.broadcast_to(np.asarray(values, np.float64), rows.shape)
        self.entries.append((rows.ravel(), columns.ravel(), values.ravel()))

    def add_clauses(
        self, offsets: Array, atoms: Array, signs: Array, weights: Array | None
    ) -> None:
        """Truth ``y`` of a soft clause: at most its literals' sum; at least each, if it costs."""
        line = owners(offsets)
        sign = np.where(signs, 1.0, -1.0)
        negative = np.bincount(line[~signs], minlength=len(offsets) - 1)
        first = atoms[offsets[:-1]]
        if weights is None:
            rows = self.new_rows(1.0 - negative, np.inf, first)
            self.add(rows[line], atoms, sign)
            return
        truth = self.new_columns(weights, first)
        gains = weights > 0
        rows = np.full(len(weights), -1)
        rows[gains] = self.new_rows(-negative[gains], np.inf, first[gains])
        self.add(rows[gains], truth[gains], -1.0)
        self.add(rows[line][gains[line]], atoms[gains[line]], sign[gains[line]])
        costs = ~gains[line]
        each = self.new_rows(np.where(signs[costs], 0.0, 1.0), np.inf, first[line][costs])
        self.add(each, truth[line][costs], 1.0)
        self.add(each, atoms[costs], -sign[costs])
