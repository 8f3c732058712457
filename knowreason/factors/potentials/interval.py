"""The number of true literals lies in an interval: clauses, units, counts, definitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, array, offsets_of, owners, tensor
from knowreason.factors.factor_graph import FALSE, OPEN, TRUE
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.potentials.interval_nodes import ClauseNodes, CountNodes
from knowreason.factors.potentials.literal_counts import remaining_interval
from knowreason.factors.potentials.potential import Forced, Potential
from knowreason.factors.reduction import Reduction, columns, rows_by_state

if TYPE_CHECKING:
    from knowreason.factors.potentials.factor_nodes import FactorNodes


class Interval(Potential):
    """1 where ``lower <= number of true literals <= upper``, else 0."""

    listed_up_to = 4  # longer clauses and counts are cheaper by counting than as tables

    def of_score(
        self, factors: GroundFactors, score: NDArray[np.int64], rows: Array | slice
    ) -> NDArray[np.float64]:
        """Whether scores lie in the intervals."""
        lower = factors.lower if isinstance(factors.lower, int) else array(factors.lower)[rows]
        inside = score >= lower
        if factors.upper is not None:
            upper = factors.upper if isinstance(factors.upper, int) else array(factors.upper)[rows]
            inside &= score <= upper
        return np.asarray(inside, dtype=np.float64)

    def reduce(self, factors: GroundFactors, reduction: Reduction) -> None:
        """Takes decided literals out and shifts the bounds."""
        if factors.offsets is None and factors.target is None:
            _reduce_dense(factors, reduction)
        else:
            _reduce_lists(factors, reduction)

    def forced(
        self, factors: GroundFactors, evidence: NDArray[np.int8], changed: NDArray[np.bool_]
    ) -> Iterator[Forced]:
        """Literals that must all hold or all fail, and targets that are defined."""
        if not factors.is_hard or not factors.rows:
            return
        if factors.target is None:
            rows = np.flatnonzero(factors.holding(changed))
            factors = factors if len(rows) == factors.rows else factors.take(rows)
        offsets, owner = factors.row_offsets, factors.owners()
        atoms, signs = factors.entry_atoms, factors.entry_signs.astype(np.int8)
        states, target = evidence[atoms], factors.targets()
        lower, upper, free = remaining_interval(factors, evidence)
        inside = (lower <= 0) & (upper >= free)
        outside = (lower > free) | (upper < 0) | (lower > upper)
        defined = (target >= 0) & (inside | outside)
        yield target[defined], inside[defined].astype(np.int8)

        wanted = np.where(target < 0, TRUE, evidence[np.maximum(target, 0)])
        yes, no = wanted == TRUE, wanted == FALSE
        all_true = (yes & (lower == free)) | (no & (lower <= 0) & (upper == free - 1))
        all_false = (yes & (upper == 0)) | (no & (upper >= free) & (lower == 1))
        undecided = states == OPEN
        for rows, flip in ((all_true, 0), (all_false, 1)):
            chosen = (rows & ~outside & (np.diff(offsets) > 0))[owner] & undecided
            yield atoms[chosen], signs[chosen] ^ flip

    def expected(
        self, factors: GroundFactors, probability: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """In closed form for clauses, else by counting."""
        true = probability[factors.entry_atoms]
        if factors.is_clause:
            failed = np.where(factors.entry_signs, 1 - true, true)
            logs = np.log(np.clip(failed, 1e-300, 1))
            return 1 - np.exp(np.bincount(factors.owners(), logs, minlength=factors.rows))
        nodes, found = CountNodes.of(factors), np.zeros(factors.rows)
        p = torch.from_numpy(probability[nodes.atoms].astype(np.float64))
        for bucket in nodes.buckets(0, "cpu"):
            found[array(bucket.rows)] = array(bucket.mean(p, 1 - p))
        return found

    def nodes(self, factors: GroundFactors) -> Iterator[FactorNodes]:
        """Pairs as tables, other rows as lists of literals."""
        if factors.offsets is None and factors.target is None and factors.atoms.shape[1] == 2:
            yield from super().nodes(factors)
        elif factors.is_clause:
            yield ClauseNodes.of(factors)
        else:
            yield CountNodes.of(factors)


def _reduce_dense(factors: GroundFactors, reduction: Reduction) -> None:
    states = reduction.evidence[array(factors.atoms)]
    lone = states.shape[1] == 1 and not factors.is_hard and not factors.is_unit
    if not (states != OPEN).any() and not lone:
        if factors.rows:
            reduction.factors.append(factors)
        return
    free = (states == OPEN).sum(1)
    true = (states == factors.row_signs).sum(1)
    lower, upper = factors.bounds()
    lower, upper = lower - true, upper - true
    inside = (lower <= 0) & (upper >= free)
    outside = (lower > free) | (upper < 0) | (lower > upper)
    reduction.add_constant(factors, np.flatnonzero(inside))
    if factors.is_hard:
        reduction.add_violated(factors, outside)
    stay = np.flatnonzero(~inside & ~outside)
    clause = factors.is_clause
    if factors.is_unit:
        if len(stay):
            reduction.factors.append(factors.take(stay))
        return
    for rows, state in rows_by_state(states[stay]):
        places, chosen = np.flatnonzero(state == OPEN), stay[rows]
        if len(places) == 1 and not factors.is_hard:
            atoms = array(factors.atoms)[chosen, places[0]]
            _lone_literals(
                factors, reduction, chosen, atoms, factors.row_signs[places[0]], lower[chosen]
            )
            continue
        part = columns(factors, chosen, places)
        if not clause:
            part = _bounded(part, lower[chosen], upper[chosen], len(places))
        reduction.factors.append(part)


def _bounded(part: GroundFactors, lower: Array, upper: Array, free: int | Array) -> GroundFactors:
    return replace(
        part,
        lower=tensor(np.maximum(lower, 0), torch.int32),
        upper=tensor(np.minimum(upper, free), torch.int32),
    )


def _lone_literals(
    factors: GroundFactors, reduction: Reduction, rows: Array, atoms: Array, sign: Array,
    lower: Array,
) -> None:  # fmt: skip
    """Soft rows of one literal: it must be true where one is still needed, else false."""
    when_true = (lower == 1) == sign
    reduction.add_unit(
        factors, rows, atoms, (~when_true).astype(np.float64), when_true.astype(np.float64)
    )


def _reduce_lists(factors: GroundFactors, reduction: Reduction) -> None:
    """Rows of varying length and definitions; a false target turns its interval around.

    Where such an interval has room on both sides, the target stays, under a hard
    ``!target``.
    """
    offsets, target = factors.row_offsets, factors.targets()
    undecided = reduction.evidence[factors.entry_atoms] == OPEN
    lower, upper, free = remaining_interval(factors, reduction.evidence)
    inside = (lower <= 0) & (upper >= free)
    outside = (lower > free) | (upper < 0) | (lower > upper)
    wanted = np.where(target < 0, TRUE, reduction.evidence[np.maximum(target, 0)])
    if factors.is_hard:
        bad = (inside & (wanted == FALSE)) | (outside & (wanted == TRUE))
        reduction.add_violated(factors, bad)
    else:
        reduction.add_constant(factors, np.flatnonzero(inside))
    decided = (inside | outside) & (wanted != OPEN)
    stay = ~decided
    if not factors.is_hard:
        lone = np.flatnonzero(stay & (free == 1))
        entry = np.flatnonzero(undecided & np.isin(owners(offsets), lone))
        literals = factors.entry_atoms[entry], factors.entry_signs[entry]
        if len(lone):
            _lone_literals(factors, reduction, lone, *literals, lower[lone])
        stay &= free > 1
    both = stay & (wanted == FALSE) & (lower > 0) & (upper < free)
    above = stay & (wanted == FALSE) & (lower <= 0)
    below = stay & (wanted == FALSE) & (lower > 0) & (upper >= free)
    low, high = (
        np.select([above, below], [upper + 1, 0], np.maximum(lower, 0)),
        np.select([above, below], [free, lower - 1], np.minimum(upper, free)),
    )
    reduction.reopened.append(target[both])
    rows = np.flatnonzero(stay)
    if not len(rows):
        return
    kept = torch.from_numpy(np.flatnonzero(undecided & stay[owners(offsets)]))
    part = replace(factors, offsets=torch.from_numpy(offsets), atoms=factors.atoms.reshape(-1),
                   signs=torch.from_numpy(factors.entry_signs))  # fmt: skip
    part = replace(
        part.take(rows),
        offsets=torch.from_numpy(offsets_of(free[stay])),
        atoms=part.atoms[kept],
        signs=torch.from_numpy(factors.entry_signs)[kept],
    )
    if not factors.is_clause:
        part = _bounded(part, low[stay], high[stay], free[stay])
    if factors.target is not None:
        left = np.where((wanted == OPEN) | both, target, -1)[stay]
        part = replace(part, target=tensor(left, torch.int32))
    reduction.factors.append(part)
