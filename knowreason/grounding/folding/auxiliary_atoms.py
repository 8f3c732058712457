"""Literal codes, and auxiliary atoms defined by counts.

A *literal code* is an ``int32``: ``atom + 1`` for a positive literal, its negative for a
negated one, :data:`TRUE_LITERAL` or :data:`FALSE_LITERAL` where the evidence decides it,
:data:`UNKNOWN_LITERAL` where a value is missing. Negating a literal negates its code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowreason.factors import OPEN, TRUE
from knowreason.factors.kernel_decorators import kernel
from knowreason.row_keys import by_appearance, distinct_rows

if TYPE_CHECKING:
    from knowreason.factors import GroundFactors

TRUE_LITERAL = np.int32(2**31 - 1)
FALSE_LITERAL = np.int32(-(2**31 - 1))
UNKNOWN_LITERAL = np.int32(0)
NO_LOWER, NO_UPPER = np.int32(-(2**30)), np.int32(2**30)

Codes = NDArray[np.int32]
Offsets = NDArray[np.int64]


@dataclass(frozen=True)
class Lists:
    """Lists of literals, one a row, in CSR form."""

    offsets: Offsets
    literals: Codes

    @property
    def rows(self) -> int:
        """Number of lists."""
        return len(self.offsets) - 1

    @staticmethod
    def of_matrix(literals: Codes) -> Lists:
        """One list a row of ``int32[m, k]``."""
        rows, width = literals.shape
        return Lists(np.arange(rows + 1, dtype=np.int64) * width, literals.ravel())

    def take(self, rows: NDArray[np.integer]) -> Lists:
        """The chosen lists, in that order."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return Lists(offsets, self.literals[source + np.arange(offsets[-1])])


@dataclass
class Auxiliary:
    """Gathers auxiliary atoms and their definitions while a program is grounded.

    Attributes:
        next_atom: index the next auxiliary atom gets.
        groups: definitions so far.
    """

    next_atom: int
    groups: list[GroundFactors] = field(default_factory=list)

    def define(self, lists: Lists, lower: Codes, upper: Codes, rule: int) -> Codes:
        """Literal codes of ``lower <= (true literals of the list) <= upper``.

        Rows that are the same share an atom; decided rows and single literals need none.

        Args:
            lists: literals; unknown ones do not hold.
            lower, upper: ``int32[m]``, inclusive.
            rule: label of the definitions.
        """
        result, lists, lower, upper, rows = normal_counts(lists, lower, upper)
        if not len(rows):
            return result
        first, owner = _distinct(lists, lower, upper)
        targets = np.arange(len(first), dtype=np.int32) + np.int32(self.next_atom)
        self.next_atom += len(first)
        self._store(lists.take(first), lower[first], upper[first], targets, rule)
        result[rows] = targets[owner] + 1
        return result

    def demand(self, lists: Lists, lower: Codes, upper: Codes, rule: int) -> Codes:
        """Require the intervals; returns codes of what is decided or a single literal.

        Rows that became a demand of their own are coded :data:`TRUE_LITERAL`.
        """
        result, lists, lower, upper, rows = normal_counts(lists, lower, upper)
        if len(rows):
            first, _ = _distinct(lists, lower, upper)
            nobody = np.full(len(first), -1, np.int32)
            self._store(lists.take(first), lower[first], upper[first], nobody, rule)
            result[rows] = TRUE_LITERAL
        return result

    def _store(self, lists: Lists, lower: Codes, upper: Codes, targets: Codes, rule: int) -> None:
        literals = self._without_repeats(lists, rule)
        self.groups.append(
            _group(lists.offsets, literals, lower, upper, targets, rule),
        )

    def _without_repeats(self, lists: Lists, rule: int) -> Codes:
        """A literal that counts several times gets copies of its own."""
        literals = lists.literals.copy()
        ordinal = _ordinals(lists.offsets, literals)
        repeated = np.flatnonzero(ordinal)
        if not len(repeated):
            return literals
        first, owner = distinct_rows([literals[repeated], ordinal[repeated]])
        copies = np.arange(len(first), dtype=np.int32) + np.int32(self.next_atom)
        self.next_atom += len(first)
        one = np.ones(len(first), np.int32)
        single = Lists.of_matrix(literals[repeated[first], None])
        self.groups.append(_group(single.offsets, single.literals, one, one, copies, rule))
        literals[repeated] = copies[owner] + 1
        return literals


def atom_codes(evidence: NDArray[np.int8]) -> Codes:
    """``int32[n]``: code of each atom's positive literal after folding its evidence."""
    open_codes = np.arange(1, len(evidence) + 1, dtype=np.int32)
    decided = np.where(evidence == TRUE, TRUE_LITERAL, FALSE_LITERAL)
    return np.where(evidence == OPEN, open_codes, decided)


def normal_counts(
    lists: Lists, lower: Codes, upper: Codes
) -> tuple[Codes, Lists, Codes, Codes, NDArray[np.int64]]:
    """Counts without constants and repeated atoms.

    Returns:
        The codes of decided rows and of rows that are one literal (unknown elsewhere),
        then what is left: lists, lower and upper bounds, and the rows they belong to.
    """
    rows = lists.rows
    lower = np.broadcast_to(lower, rows).astype(np.int32)
    upper = np.broadcast_to(upper, rows).astype(np.int32)
    literals = lists.literals.copy()
    lengths = np.zeros(rows, np.int64)
    result = np.zeros(rows, np.int32)
    _normalise(lists.offsets, literals, lower, upper, lengths, result)
    left = np.flatnonzero(result == UNKNOWN_LITERAL)
    compacted = _compact(lists.offsets, literals, lengths, left)
    return result, compacted, lower[left], upper[left], left


def _group(
    offsets: Offsets, literals: Codes, lower: Codes, upper: Codes, targets: Codes, rule: int
) -> GroundFactors:
    import torch  # seconds to import: plans hold no factors

    from knowreason.factors import GroundFactors

    return GroundFactors.counts(
        offsets=torch.from_numpy(offsets),
        atoms=torch.from_numpy((np.abs(literals) - 1).astype(np.int32)),
        signs=torch.from_numpy(literals > 0),
        lower=torch.from_numpy(np.ascontiguousarray(lower, np.int32)),
        upper=torch.from_numpy(np.ascontiguousarray(upper, np.int32)),
        target=torch.from_numpy(targets),
        rule=rule,
    )


def _distinct(
    lists: Lists, lower: Codes, upper: Codes
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row of each distinct definition, and the distinct one of each row."""
    hashes = _hashes(lists.offsets, lists.literals, lower, upper)
    _, first, owner = np.unique(hashes, return_index=True, return_inverse=True)
    return by_appearance(first, owner.ravel())


@kernel(cache=True)
def _normalise(
    offsets: Offsets,
    literals: Codes,
    lower: Codes,
    upper: Codes,
    lengths: NDArray[np.int64],
    result: Codes,
) -> None:
    """In place: sorted distinct literals first in each row, bounds shifted, rows decided."""
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        end = start
        held = 0
        for i in range(start, stop):
            literal = literals[i]
            if literal == TRUE_LITERAL:
                held += 1
            elif literal not in (FALSE_LITERAL, UNKNOWN_LITERAL):
                literals[end] = literal
                end += 1
        part = literals[start:end]
        if len(part) > 1:
            part[:] = part[np.argsort(np.abs(part))]
        count, held = _cancel(part, held)
        low, high = lower[row] - held, upper[row] - held
        any_one, none = low == 1 and high >= count, low <= 0 and high == 0
        every, not_every = low == count and high >= count, low <= 0 and high == count - 1
        if any_one or none or every or not_every:
            distinct = _merge(part, count)
            if every:
                low = distinct
            if not_every and not none:
                high = distinct - 1
            count = distinct
        low, high = max(low, 0), min(high, count)
        lower[row], upper[row] = low, high
        lengths[row] = count
        if low > high:
            result[row] = FALSE_LITERAL
        elif low == 0 and high == count:
            result[row] = TRUE_LITERAL
        elif count == 1:
            result[row] = part[0] if low == 1 else -part[0]


@kernel(cache=True)
def _cancel(part: Codes, held: int) -> tuple[int, int]:
    """A literal and its negation hold once together; what is left goes first."""
    length = 0
    i = 0
    while i < len(part):
        atom = abs(part[i])
        balance = 0
        j = i
        while j < len(part) and abs(part[j]) == atom:
            balance += 1 if part[j] > 0 else -1
            j += 1
        held += (j - i - abs(balance)) // 2
        for _ in range(abs(balance)):
            part[length] = atom if balance > 0 else -atom
            length += 1
        i = j
    return length, held


@kernel(cache=True)
def _merge(part: Codes, count: int) -> int:
    length = 0
    for i in range(count):
        if i == 0 or part[i] != part[i - 1]:
            part[length] = part[i]
            length += 1
    return length


@kernel(cache=True)
def _compact_into(
    offsets: Offsets, literals: Codes, rows: NDArray[np.int64], out_offsets: Offsets, out: Codes
) -> None:
    for i in range(len(rows)):
        start = offsets[rows[i]]
        for j in range(out_offsets[i + 1] - out_offsets[i]):
            out[out_offsets[i] + j] = literals[start + j]


def _compact(
    offsets: Offsets, literals: Codes, lengths: NDArray[np.int64], rows: NDArray[np.int64]
) -> Lists:
    out_offsets = np.concatenate([[0], np.cumsum(lengths[rows])]).astype(np.int64)
    out = np.empty(int(out_offsets[-1]), np.int32)
    _compact_into(offsets, literals, rows, out_offsets, out)
    return Lists(out_offsets, out)


@kernel(cache=True)
def _ordinals(offsets: Offsets, literals: Codes) -> Codes:
    """How many equal literals stand before each one in its (sorted) row."""
    out = np.zeros(len(literals), np.int32)
    for row in range(len(offsets) - 1):
        for i in range(offsets[row] + 1, offsets[row + 1]):
            if literals[i] == literals[i - 1]:
                out[i] = out[i - 1] + 1
    return out


@kernel(cache=True)
def _mix(state: np.uint64, word: np.int32) -> np.uint64:
    """One step of a 64-bit multiply-xorshift hash (splitmix64's finaliser)."""
    state = (state ^ np.uint64(word)) * np.uint64(0xBF58476D1CE4E5B9)
    return (state ^ (state >> np.uint64(29))) + np.uint64(0x9E3779B97F4A7C15)


@kernel(cache=True)
def _fill_hashes(
    offsets: Offsets,
    literals: Codes,
    lower: Codes,
    upper: Codes,
    one: NDArray[np.uint64],
    two: NDArray[np.uint64],
) -> None:
    for row in range(len(offsets) - 1):
        first, second = np.uint64(1), np.uint64(0x94D049BB133111EB)
        first = _mix(_mix(first, lower[row]), upper[row])
        second = _mix(_mix(second, lower[row]), upper[row])
        for i in range(offsets[row], offsets[row + 1]):
            first, second = _mix(first, literals[i]), _mix(second, literals[i])
        one[row], two[row] = first, second


def _hashes(offsets: Offsets, literals: Codes, lower: Codes, upper: Codes) -> NDArray[np.void]:
    """128 bits a row, so that equal hashes are equal rows for every practical purpose."""
    out = np.empty(len(offsets) - 1, dtype=[("one", np.uint64), ("two", np.uint64)])
    _fill_hashes(offsets, literals, lower, upper, out["one"], out["two"])
    return out
