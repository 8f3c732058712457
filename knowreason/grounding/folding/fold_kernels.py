"""Folding ground rows against the evidence: numba kernels over literal codes.

A row of literal codes (see :mod:`.auxiliary_atoms`) becomes a *pattern*: one
``int64`` that says which positions stayed open, and how. Rows are then gathered a
pattern at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import kernel
from knowreason.grounding.folding.auxiliary_atoms import (
    FALSE_LITERAL,
    TRUE_LITERAL,
    UNKNOWN_LITERAL,
    Codes,
)

SATISFIED, VIOLATED, MISSING = -1, -2, -3  # decided rows; open patterns are >= 0
MAX_CLAUSE = 31  # literals of a clause whose pattern fits into 62 bits
MAX_LITERALS = 6  # of a clause folded straight from the evidence
LEAF_BITS = 5  # of a leaf's state in the pattern of a table
MAX_LEAVES = 12
_SLOTS = 1024  # distinct patterns sought one by one before sorting


@dataclass(frozen=True)
class Folded:
    """Rows of one batch by what is left of them.

    Attributes:
        satisfied, violated, missing: rows decided true, decided false, unknown.
        patterns: distinct open patterns.
        rows: rows of each open pattern.
        satisfied_count: number of rows decided true, which may not be listed.
    """

    satisfied: NDArray[np.integer]
    violated: NDArray[np.integer]
    missing: NDArray[np.integer]
    patterns: tuple[int, ...]
    rows: tuple[NDArray[np.integer], ...]
    satisfied_count: int


def fold_literals(
    atoms: tuple[NDArray[np.int32], ...],
    states: NDArray[np.uint8],
    signs: Sequence[bool],
    pairs: Sequence[tuple[int, int]],
    *,
    list_satisfied: bool,
) -> Folded:
    """:func:`fold_clauses` of plain literals, in one pass over atom indices.

    Args:
        atoms: for each literal ``int32[m]``, ``-1`` for an atom outside its candidates.
        states: :func:`literal_states` of the evidence.
        signs: whether each literal is positive.
        pairs: positions ``(i, j)``, ``i < j``, that may hold the same atom.
        list_satisfied: whether the rows decided true are needed, not only their number.
    """
    width, rows = len(atoms), len(atoms[0])
    slot_of, patterns = _slot_table(width)
    slots = np.empty(rows, np.int16)
    counts = np.zeros(len(patterns), np.int64)
    twins = np.array(pairs, np.int64).reshape(-1, 2)
    _fold_literals(atoms, states, np.array(signs, np.int64), twins, slot_of, slots, counts)
    listed = counts.copy()
    if not list_satisfied:
        listed[0] = 0
    order = np.empty(int(listed.sum()), np.int32)
    ends = np.cumsum(listed)
    _scatter_listed(slots, ends - listed, order, 0 if list_satisfied else 1)
    rows_of_patterns = [order[end - size : end] for end, size in zip(ends, listed, strict=True)]
    open_slots = [slot for slot in range(2, len(patterns)) if counts[slot]]
    return Folded(
        rows_of_patterns[0],
        rows_of_patterns[1],
        np.zeros(0, np.int64),
        tuple(patterns[slot] for slot in open_slots),
        tuple(rows_of_patterns[slot] for slot in open_slots),
        int(counts[0]),
    )


def literal_states(evidence: NDArray[np.int8]) -> NDArray[np.uint8]:
    """``uint8[2, n + 1]``: by sign and atom, 0 false, 3 true, 1 open positive, 2 open negative.

    The last column is for an atom outside its candidates: index ``-1``, false.
    """
    states = np.append(evidence, np.int8(0)) + 1  # open, false, true
    return np.stack([np.array([2, 3, 0], np.uint8)[states], np.array([1, 0, 3], np.uint8)[states]])


@cache
def _slot_table(width: int) -> tuple[NDArray[np.int16], tuple[int, ...]]:
    """A small number for every pattern: 0 satisfied, 1 violated, then the open ones."""
    slot_of = np.zeros(4**width, np.int16)
    patterns = [SATISFIED, VIOLATED]
    slot_of[0] = 1
    for code in range(1, 4**width):
        if all(code >> (2 * j) & 3 != 3 for j in range(width)):
            slot_of[code] = len(patterns)
            patterns.append(code)
    return slot_of, tuple(patterns)


def fold_clauses(codes: Codes) -> Folded:
    """What is left of disjunctions: false literals dropped, repeated ones merged, rows decided.

    Args:
        codes: ``int32[k, m]``, ``k <= 31``; one column a disjunction.

    Returns:
        Rows by pattern: two bits a position, 1 for an open positive literal, 2 for a
        negative one.
    """
    rows = codes.shape[1]
    pattern = np.empty(rows, np.int64)
    _fold_clauses(codes, pattern)
    return _sorted_out(pattern)


def fold_leaves(codes: Codes) -> Folded:
    """Patterns of any formula's leaves, decided or not.

    Args:
        codes: ``int32[k, m]``, ``k <= 12``.

    Returns:
        Rows by pattern, see :func:`leaf_states`; no row is decided here.
    """
    pattern = np.empty(codes.shape[1], np.int64)
    _fold_leaves(codes, pattern)
    return _sorted_out(pattern)


def clause_signs(pattern: int) -> tuple[tuple[int, bool], ...]:
    """Open positions of a clause pattern and whether each literal is positive."""
    states = ((j, pattern >> (2 * j) & 3) for j in range(MAX_CLAUSE))
    return tuple((j, state == 1) for j, state in states if state)


def leaf_states(pattern: int, count: int) -> tuple[int, ...]:
    """State of each leaf: 0 false, 1 true, 2 unknown, ``3 + 2 * position + negative``.

    The position is that of the first leaf with the same atom.
    """
    mask = (1 << LEAF_BITS) - 1
    return tuple(pattern >> (LEAF_BITS * j) & mask for j in range(count))


def take_atoms(
    codes: Codes, rows: NDArray[np.integer], positions: Sequence[int]
) -> NDArray[np.int32]:
    """``int32[r, k]`` atoms of chosen rows and positions."""
    out = np.empty((len(rows), len(positions)), np.int32)
    _take_atoms(codes, rows, np.asarray(positions, np.int64), out)
    return out


def take_columns(
    atoms: tuple[NDArray[np.int32], ...], rows: NDArray[np.integer], positions: Sequence[int]
) -> NDArray[np.int32]:
    """``int32[r, k]`` chosen rows and positions of atom columns."""
    out = np.empty((len(rows), len(positions)), np.int32)
    _take_columns(atoms, rows, np.asarray(positions, np.int64), out)
    return out


def literal_codes(index: NDArray[np.int32], codes: Codes, positive: bool) -> Codes:
    """Codes of literals over atoms; ``-1`` is an atom outside its candidates: false."""
    out = np.empty(len(index), np.int32)
    _literal_codes(index, codes, 1 if positive else -1, out)
    return out


def _sorted_out(pattern: NDArray[np.int64]) -> Folded:
    slots = np.empty(len(pattern), np.int16)
    seen = np.empty(_SLOTS, np.int64)
    count = _assign_slots(pattern, slots, seen)
    if count <= _SLOTS:
        distinct = seen[:count]
        rows = _rows_of_slots(slots, count)
    else:
        distinct, inverse = np.unique(pattern, return_inverse=True)
        rows = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    rows_of_code = {int(code): part for code, part in zip(distinct, rows, strict=True)}
    nothing = np.zeros(0, np.int64)
    satisfied, violated, missing = (
        rows_of_code.pop(code, nothing) for code in (SATISFIED, VIOLATED, MISSING)
    )
    patterns = tuple(sorted(rows_of_code))
    rows_of = tuple(rows_of_code[code] for code in patterns)
    return Folded(satisfied, violated, missing, patterns, rows_of, len(satisfied))


def _rows_of_slots(slots: NDArray[np.int16], count: int) -> list[NDArray[np.int64]]:
    sizes = np.zeros(count, np.int64)
    _count_slots(slots, sizes)
    order = np.empty(len(slots), np.int64)
    ends = np.cumsum(sizes)
    _scatter_rows(slots, ends - sizes, order)
    return np.split(order, ends[:-1])


@kernel(few=True, cache=True)
def _fold_literals(
    atoms: tuple[NDArray[np.int32], ...],
    states: NDArray[np.uint8],
    signs: NDArray[np.int64],
    twins: NDArray[np.int64],
    slot_of: NDArray[np.int16],
    slots: NDArray[np.int16],
    counts: NDArray[np.int64],
) -> None:
    width = len(atoms)
    for i in range(len(slots)):
        code = np.int64(0)
        for j in range(width):
            code |= np.int64(states[signs[j], atoms[j][i]]) << (2 * j)
        for t in range(len(twins)):
            one, two = twins[t, 0], twins[t, 1]
            if atoms[one][i] == atoms[two][i]:
                first, second = (code >> (2 * one)) & 3, (code >> (2 * two)) & 3
                if first + second == 3 and first > 0 and second > 0:
                    code |= np.int64(3) << (2 * two)
                elif first == second and first < 3:
                    code &= ~(np.int64(3) << (2 * two))
        slot = slot_of[code]
        slots[i] = slot
        counts[slot] += 1


@kernel(few=True, cache=True)
def _scatter_listed(
    slots: NDArray[np.int16], start: NDArray[np.int64], order: NDArray[np.int32], least: int
) -> None:
    cursor = start.copy()
    for i in range(len(slots)):
        s = slots[i]
        if s >= least:
            order[cursor[s]] = i
            cursor[s] += 1


@kernel(few=True, cache=True)
def _take_columns(
    atoms: tuple[NDArray[np.int32], ...],
    rows: NDArray[np.integer],
    positions: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    for p in range(len(positions)):
        column = atoms[positions[p]]
        for r in range(len(rows)):
            out[r, p] = column[rows[r]]


@kernel(few=True, cache=True)
def _fold_clauses(codes: Codes, pattern: NDArray[np.int64]) -> None:
    width, rows = codes.shape
    for i in range(rows):
        code = np.int64(0)
        decided = True
        for j in range(width):
            literal = codes[j, i]
            if literal == TRUE_LITERAL:
                code = np.int64(SATISFIED)
                break
            if literal == FALSE_LITERAL:
                continue
            if literal == UNKNOWN_LITERAL:
                decided = False
                continue
            repeated = False
            for before in range(j):
                other = codes[before, i]
                if other == -literal:
                    code = np.int64(SATISFIED)
                    break
                if other == literal:
                    repeated = True
            if code == SATISFIED:
                break
            if not repeated:
                code |= np.int64(1 if literal > 0 else 2) << (2 * j)
        if code != SATISFIED:
            if not decided:
                code = np.int64(MISSING)
            elif code == 0:
                code = np.int64(VIOLATED)
        pattern[i] = code


@kernel(few=True, cache=True)
def _fold_leaves(codes: Codes, pattern: NDArray[np.int64]) -> None:
    width, rows = codes.shape
    for i in range(rows):
        code = np.int64(0)
        for j in range(width):
            literal = codes[j, i]
            if literal == TRUE_LITERAL:
                state = 1
            elif literal == FALSE_LITERAL:
                state = 0
            elif literal == UNKNOWN_LITERAL:
                state = 2
            else:
                first = j
                for before in range(j):
                    if abs(codes[before, i]) == abs(literal):
                        first = before
                        break
                state = 3 + 2 * first + (1 if literal < 0 else 0)
            code |= np.int64(state) << (LEAF_BITS * j)
        pattern[i] = code


@kernel(few=True, cache=True)
def _assign_slots(
    pattern: NDArray[np.int64], slots: NDArray[np.int16], seen: NDArray[np.int64]
) -> int:
    """A small number for each distinct pattern; their count, or one more than there is room."""
    count = 0
    last = 0
    for i in range(len(pattern)):
        code = pattern[i]
        if count == 0 or seen[last] != code:
            last = count
            for s in range(count):
                if seen[s] == code:
                    last = s
                    break
            if last == count:
                if count == len(seen):
                    return count + 1
                seen[count] = code
                count += 1
        slots[i] = last
    return count


@kernel(few=True, cache=True)
def _count_slots(slots: NDArray[np.int16], sizes: NDArray[np.int64]) -> None:
    for i in range(len(slots)):
        sizes[slots[i]] += 1


@kernel(few=True, cache=True)
def _scatter_rows(
    slots: NDArray[np.int16], start: NDArray[np.int64], order: NDArray[np.int64]
) -> None:
    cursor = start.copy()
    for i in range(len(slots)):
        s = slots[i]
        order[cursor[s]] = i
        cursor[s] += 1


@kernel(few=True, cache=True)
def _take_atoms(
    codes: Codes, rows: NDArray[np.integer], positions: NDArray[np.int64], out: NDArray[np.int32]
) -> None:
    for r in range(len(rows)):
        for p in range(len(positions)):
            out[r, p] = abs(codes[positions[p], rows[r]]) - 1


@kernel(few=True, cache=True)
def _literal_codes(index: NDArray[np.int32], codes: Codes, sign: int, out: Codes) -> None:
    for i in range(len(index)):
        atom = index[i]
        out[i] = sign * (codes[atom] if atom >= 0 else FALSE_LITERAL)
