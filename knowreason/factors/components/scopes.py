"""What ties the variables of some components: tables, and long clauses and counts as lists."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, offsets_of
from knowreason.factors.components.component_variables import Variables
from knowreason.factors.components.scope_tables import TableGroup, merged_tables
from knowreason.factors.components.shapes import FlatRows
from knowreason.factors.factor_graph import FactorGraph
from knowreason.factors.ground_factors import INTERVAL, GroundFactors
from knowreason.factors.potentials import potential_of
from knowreason.factors.potentials.literal_counts import literal_lists


@dataclass(frozen=True)
class IntervalRows:
    """Clauses or counts kept as lists of literals; the last entry of a definition is its target.

    Attributes:
        offsets: ``int64[m + 1]``.
        atoms: ``int64[offsets[-1]]``.
        signs: ``bool[offsets[-1]]``; a target is a positive literal.
        lower, upper: ``int64[m]``; true or false literals are counted, whichever is shorter.
        has_target: ``bool[m]``.
        row: ``int64[m]`` flat row.
        is_hard: ``bool[m]``.
    """

    offsets: NDArray[np.int64]
    atoms: NDArray[np.int64]
    signs: NDArray[np.bool_]
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    has_target: NDArray[np.bool_]
    row: NDArray[np.int64]
    is_hard: NDArray[np.bool_]

    @staticmethod
    def none() -> IntervalRows:
        """No rows."""
        numbers, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        offsets = offsets_of(numbers)
        return IntervalRows(offsets, numbers, flags, numbers, numbers, flags, numbers, flags)

    @staticmethod
    def of(part: GroundFactors, rows: Array, start: int) -> IntervalRows:
        """Chosen rows (``int64[r]``) of factors whose first flat row is ``start``."""
        chosen = part.take(rows)
        offsets, atoms, signs, lower, upper, has_target = literal_lists(chosen)
        lists = offsets, atoms.astype(np.int64), signs, lower, upper, has_target
        return IntervalRows(*lists, start + rows, np.full(len(rows), part.is_hard))

    @staticmethod
    def joined(parts: list[IntervalRows]) -> IntervalRows:
        """All rows, one part after another."""
        parts = [IntervalRows.none(), *parts]
        return IntervalRows(
            offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(IntervalRows)[1:]
            ),
        )


@dataclass(frozen=True)
class Scopes:
    """Everything that ties the variables of chosen components."""

    variables: Variables
    tables: tuple[TableGroup, ...]
    clauses: IntervalRows
    counts: IntervalRows


def scopes(graph: FactorGraph, labels: NDArray[np.int32], chosen: NDArray[np.bool_]) -> Scopes:
    """Variables, merged tables, long clauses and counts of whole components.

    Args:
        graph: a conditioned graph.
        labels: ``int32[n]`` components.
        chosen: ``bool[n]`` atoms of the components.
    """
    variables = Variables.of(graph, labels, chosen)
    flat = FlatRows.of(graph)
    tables = tuple(merged_tables(graph, flat, variables, chosen))
    clauses: list[IntervalRows] = []
    counts: list[IntervalRows] = []
    for start, part in zip(flat.starts.tolist(), graph.couplings, strict=False):
        if part.potential == INTERVAL:
            longest = potential_of(part).listed_up_to
            if part.target is None and part.offsets is None and part.atoms.shape[1] <= longest:
                continue
            long = chosen[part.first_atoms()]
            if part.target is None:
                long &= np.diff(part.row_offsets) > longest
            rows = np.flatnonzero(long)
            if len(rows):
                (clauses if part.is_clause else counts).append(IntervalRows.of(part, rows, start))
    return Scopes(variables, tables, IntervalRows.joined(clauses), IntervalRows.joined(counts))
