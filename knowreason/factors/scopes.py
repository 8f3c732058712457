"""What ties the variables of some components: tables, and long clauses and counts as lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, array, entries_of, offsets_of
from knowreason.factors.components import first_atoms
from knowreason.factors.graph import Clause, CountGroup, FactorGraph
from knowreason.factors.stacks import FlatRows
from knowreason.factors.tables import SHORT, TableGroup, merged_tables
from knowreason.factors.variables import Variables


@dataclass(frozen=True)
class LongClauses:
    """Clauses kept as lists over distinct variables; CSR.

    Attributes:
        offsets: ``int64[m + 1]``.
        atoms: ``int64[offsets[-1]]``.
        signs: ``bool[offsets[-1]]``.
        row: ``int64[m]`` flat row.
        is_hard: ``bool[m]``.
    """

    offsets: NDArray[np.int64]
    atoms: NDArray[np.int64]
    signs: NDArray[np.bool_]
    row: NDArray[np.int64]
    is_hard: NDArray[np.bool_]


@dataclass(frozen=True)
class CountRows:
    """Counts of chosen components; the last entry of a row with a target is the target.

    True or false literals are counted, whichever gives the smaller upper bound.

    Attributes:
        offsets: ``int64[m + 1]``.
        atoms, signs: literals, then the target as a positive literal.
        lower, upper: ``int64[m]``.
        has_target: ``bool[m]``.
    """

    offsets: NDArray[np.int64]
    atoms: NDArray[np.int64]
    signs: NDArray[np.bool_]
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    has_target: NDArray[np.bool_]

    @staticmethod
    def none() -> CountRows:
        """No rows."""
        numbers, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        return CountRows(offsets_of(numbers), numbers, flags, numbers, numbers, flags)


@dataclass(frozen=True)
class Scopes:
    """Everything that ties the variables of chosen components."""

    variables: Variables
    tables: tuple[TableGroup, ...]
    clauses: LongClauses
    counts: CountRows


def scopes(graph: FactorGraph, labels: NDArray[np.int32], chosen: NDArray[np.bool_]) -> Scopes:
    """Variables, merged tables, long clauses and counts of whole components.

    Args:
        graph: a conditioned graph.
        labels: ``int32[n]`` components.
        chosen: ``bool[n]`` atoms of the components.
    """
    variables = Variables.of(graph, labels, chosen)
    flat = FlatRows.of(graph)
    return Scopes(
        variables,
        tuple(merged_tables(graph, flat, variables, chosen)),
        _long_clauses(graph, flat, chosen),
        _count_rows(graph, chosen),
    )


def _long_clauses(graph: FactorGraph, flat: FlatRows, chosen: Array) -> LongClauses:
    lengths, atoms, signs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    row, hard = [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    for start, group in zip(flat.starts, graph.groups, strict=False):
        members = array(group.atoms)
        if isinstance(group.potential, Clause) and members.shape[1] > SHORT:
            rows = np.flatnonzero(chosen[members[:, 0]])
            lengths.append(np.full(len(rows), members.shape[1]))
            atoms.append(members[rows].ravel())
            signs.append(np.tile(np.array(group.potential.signs), len(rows)))
            row.append(start + rows)
            hard.append(np.full(len(rows), group.is_hard))
    for start, part in zip(flat.starts[len(graph.groups) :], graph.clause_lists, strict=False):
        long = np.diff(array(part.offsets)) > SHORT
        rows = np.flatnonzero(chosen[first_atoms(part)] & long)
        entries, offsets = entries_of(array(part.offsets), rows)
        lengths.append(np.diff(offsets))
        atoms.append(array(part.atoms)[entries])
        signs.append(array(part.signs)[entries])
        row.append(start + rows)
        hard.append(np.full(len(rows), part.is_hard))
    return LongClauses(
        offsets_of(np.concatenate(lengths)),
        np.concatenate(atoms).astype(np.int64),
        np.concatenate(signs),
        np.concatenate(row),
        np.concatenate(hard),
    )


def _count_rows(graph: FactorGraph, chosen: Array) -> CountRows:
    parts = [CountRows.none(), *(_counts_of(part, chosen) for part in graph.counts)]
    return CountRows(
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("atoms", "signs", "lower", "upper", "has_target")
        ),
    )


def _counts_of(part: CountGroup, chosen: Array) -> CountRows:
    rows = np.flatnonzero(chosen[first_atoms(part)])
    entries, offsets = entries_of(array(part.offsets), rows)
    target, lengths = array(part.target)[rows].astype(np.int64), np.diff(offsets)
    lower, upper = (array(b)[rows].astype(np.int64) for b in (part.lower, part.upper))
    flip = lengths - lower < upper
    has_target = target >= 0
    places, ends = offsets[1:][has_target], target[has_target]
    signs = array(part.signs)[entries] ^ np.repeat(flip, lengths)
    return CountRows(
        offsets_of(lengths + has_target),
        np.insert(array(part.atoms)[entries].astype(np.int64), places, ends),
        np.insert(signs, places, True),
        np.where(flip, lengths - upper, lower),
        np.where(flip, lengths - lower, upper),
        has_target,
    )
