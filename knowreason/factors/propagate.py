"""What evidence decides further: unit propagation through hard factors, blocks and counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, array, owners, segment_sum
from knowreason.factors.graph import (
    FALSE,
    OPEN,
    TRUE,
    Blocks,
    Clause,
    ClauseList,
    CountGroup,
    FactorGraph,
)

Forced: TypeAlias = tuple[Array, Array]  # atoms, and the state each must have

_PASSES = 64  # an implication chain longer than this is left to the engines


def propagate(graph: FactorGraph) -> NDArray[np.int8]:
    """Evidence and what follows from it, ``int8[n]``.

    Hard clauses with one literal left, hard tables, blocks and counts decide atoms until
    nothing changes (or for 64 passes, which stays sound: less is decided). Where the
    evidence contradicts them, some row is violated under the result.
    """
    evidence: NDArray[np.int8] = array(graph.evidence).astype(np.int8, copy=True)
    changed = np.ones(len(evidence), dtype=bool)
    for _ in range(_PASSES):
        before = evidence.copy()
        for atoms, states in _forced(graph, evidence, changed):
            undecided = evidence[atoms] == OPEN
            evidence[atoms[undecided]] = states[undecided]
        changed = evidence != before
        if not changed.any():
            break
    return evidence


def _forced(graph: FactorGraph, evidence: Array, changed: Array) -> Iterator[Forced]:
    if graph.blocks.count:
        yield from _blocks(graph.blocks, evidence)
    for group in graph.groups:
        if group.is_hard and group.rows:
            atoms = array(group.atoms)
            atoms = atoms[changed[atoms].any(1)]
            if isinstance(group.potential, Clause):
                yield _clauses(atoms, group.potential, evidence)
            else:
                yield from _tables(atoms, array(group.potential.values) > 0, evidence)
    for clauses in graph.clause_lists:
        if clauses.is_hard:
            yield _clause_list(clauses, evidence)
    for counts in graph.counts:
        yield from _counts(counts, evidence)


def _clauses(atoms: Array, clause: Clause, evidence: Array) -> Forced:
    signs = np.array(clause.signs, dtype=np.int8)
    states = evidence[atoms]
    unit = ((states == OPEN).sum(1) == 1) & ~(states == signs).any(1)
    position = (states[unit] == OPEN).argmax(1)
    return atoms[unit, position], signs[position]


def _tables(atoms: Array, allowed: Array, evidence: Array) -> Iterator[Forced]:
    for rows, states in rows_by_state(evidence[atoms]):
        possible = allowed_states(allowed, states)
        for j in np.flatnonzero(states == OPEN):
            seen = np.unique((possible >> j) & 1)
            if len(seen) == 1:
                yield atoms[rows, j], np.full(len(rows), seen[0], dtype=np.int8)


def rows_by_state(states: Array) -> Iterator[tuple[Array, Array]]:
    """Rows of ``int8[m, k]`` evidence states grouped by equality: (rows, ``int8[k]``)."""
    m, k = states.shape
    if m == 0:
        return
    codes = ((states + 1).astype(np.int64) * 3 ** np.arange(k)).sum(1)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        yield rows, states[rows[0]]


def allowed_states(allowed: Array, states: Array) -> NDArray[np.int64]:
    """Indices of ``bool[2**k]`` that are true and agree with ``int8[k]`` evidence."""
    index = np.arange(len(allowed))
    bits = (index[:, None] >> np.arange(len(states))) & 1
    agrees = ((states == OPEN) | (bits == states)).all(1)
    return np.flatnonzero(allowed & agrees)


def _clause_list(clauses: ClauseList, evidence: Array) -> Forced:
    offsets, atoms = array(clauses.offsets), array(clauses.atoms)
    signs = array(clauses.signs).astype(np.int8)
    states = evidence[atoms]
    unit = (segment_sum(states == OPEN, offsets) == 1) & (
        segment_sum(states == signs, offsets) == 0
    )
    chosen = unit[owners(offsets)] & (states == OPEN)
    return atoms[chosen], signs[chosen]


def _blocks(blocks: Blocks, evidence: Array) -> Iterator[Forced]:
    offsets, atoms = array(blocks.offsets), array(blocks.atoms)
    states, owner = evidence[atoms], owners(offsets)
    taken = segment_sum(states == TRUE, offsets) > 0
    others = atoms[taken[owner] & (states == OPEN)]
    yield others, np.full(len(others), FALSE, dtype=np.int8)
    single = ~taken & ~array(blocks.at_most_one)
    single &= segment_sum(states == OPEN, offsets) == 1
    last = atoms[single[owner] & (states == OPEN)]
    yield last, np.full(len(last), TRUE, dtype=np.int8)


def _counts(counts: CountGroup, evidence: Array) -> Iterator[Forced]:
    atoms, signs = array(counts.atoms), array(counts.signs).astype(np.int8)
    offsets, target = array(counts.offsets), array(counts.target)
    states, owner = evidence[atoms], owners(offsets)
    lower, upper, free = remaining_interval(counts, evidence)
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
        chosen = (rows & ~outside)[owner] & undecided
        yield atoms[chosen], signs[chosen] ^ flip


def remaining_interval(counts: CountGroup, evidence: Array) -> tuple[Array, Array, Array]:
    """``lower``, ``upper`` for the literals still open, and how many those are (each ``[m]``)."""
    offsets, states = array(counts.offsets), evidence[array(counts.atoms)]
    true = segment_sum(states == array(counts.signs), offsets)
    free = segment_sum(states == OPEN, offsets)
    return array(counts.lower) - true, array(counts.upper) - true, free
