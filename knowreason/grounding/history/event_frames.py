"""What lies behind: events sorted once by group and clock, and aggregates over frames of them.

Arrays in, arrays out: nothing here knows of tables, rules or connections. Clocks are int64;
:func:`ordered_bits` makes them of floats.

>>> import numpy as np
>>> events = EventOrder.of(np.array([0, 1, 0, 0]), 2, np.array([5, 1, 3, 4]), ())
>>> asked = events.frames(np.array([0, 1]), [("<", np.array([5, 9]))])
>>> asked.counts().tolist()
[2, 1]
>>> asked.sums(np.array([10.0, 20.0, 30.0, 40.0])[events.rows]).tolist()
[70.0, 20.0]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowreason.grounding.history.frame_kernels import (
    GREATEST,
    LEAST,
    SUM,
    by_group,
    differences,
    earlier_place,
    folded,
    folded_of_admitted,
    latest_of_admitted,
    narrow,
    running_sums,
    sliding_extremes,
    sums_of_admitted,
    whole_groups,
)
from knowreason.row_keys import sorting_order

Places = NDArray[np.int64]
Values = NDArray[Any]  # int64 or float64
Known = NDArray[np.bool_] | None  # which values are there; None: all
Bounds = Sequence[tuple[str, Places]]  # operators `< <= > >=`, and the limit of each frame


@dataclass(frozen=True)
class Admitted:
    """Which events a second comparison lets in: a stretch of a sequence.

    Attributes:
        sequence: places, ``int64[k]``, by the number that is compared.
        high: how many of them are admitted by each frame, ``int64[m]``.
        low: how many of these are not, from the start; ``None`` for none.
        order: the frames by ``high``, and by ``low``.
    """

    sequence: Places
    high: Places
    low: Places | None

    @classmethod
    def of(cls, number: Places, known: Known, bounds: Bounds) -> Admitted:
        """Events whose number, ``int64[n]`` by place, keeps the bounds of a frame."""
        sequence = _ordered(number)
        sequence = sequence if known is None else sequence[known[sequence]]
        ordered = number[sequence]
        frames = len(bounds[0][1])
        high, low = np.full(frames, len(sequence)), np.zeros(frames, np.int64)
        for operator, limit in bounds:
            side = "left" if operator in ("<", ">=") else "right"
            order, reached = _ordered(limit), np.empty(frames, np.int64)
            reached[order] = np.searchsorted(ordered, limit[order], side)  # type: ignore[call-overload]
            if operator in ("<", "<="):
                high = np.minimum(high, reached)
            else:
                low = np.maximum(low, reached)
        if all(operator in ("<", "<=") for operator, _ in bounds):
            return cls(sequence, high, None)
        if all(operator in (">", ">=") for operator, _ in bounds):
            return cls(sequence[::-1].copy(), len(sequence) - low, None)
        return cls(sequence, np.maximum(high, low), low)


@dataclass(frozen=True)
class Frames:
    """Ranges of sorted events, one each for who asks.

    Attributes:
        first, last: the range, ``int64[m]``; ``last`` is the place after it.
        starts: first place of each group, ``int64[groups + 1]``.
        admitted: what a second comparison lets in; ``None``: all.
    """

    first: Places
    last: Places
    starts: Places
    admitted: Admitted | None = None

    def latest(self, most: Places) -> Frames:
        """The last ``most`` events of each frame, ``int64[m]``, of those that are admitted."""
        if self.admitted is None:
            return replace(self, first=np.maximum(self.first, self.last - np.maximum(most, 0)))
        assert self.admitted.low is None, "bounded from both sides"
        sequence, high = self.admitted.sequence, self.admitted.high
        order, count = _ordered(high), int(self.starts[-1])
        frames = self.first, self.last, most
        return replace(self, first=latest_of_admitted(*frames, sequence, high, order, count))

    def counts(self, known: Known = None) -> Places:
        """How many events there are, of those whose value is ``known`` (``bool[n]`` by place)."""
        if known is None and self.admitted is None:
            return self.last - self.first
        some = np.ones(self.starts[-1], np.int64) if known is None else known.astype(np.int64)
        return np.asarray(self._summed(some))

    def sums(self, values: Values, known: Known = None) -> Values:
        """Sums of values by place, int64 or float64 as they are.

        Raises:
            OverflowError: a sum of whole numbers does not fit into 64 bits.
        """
        values = values if known is None else np.where(known, values, values.dtype.type(0))
        if values.dtype.kind == "f" or not might_overflow(values):
            return self._summed(values)
        low = self._summed(values & 0xFFFFFFFF)
        high = self._summed(values >> 32) + (low >> 32)
        beyond = np.flatnonzero(high != high.astype(np.int32))
        if len(beyond):
            total = (int(high[beyond[0]]) << 32) + (int(low[beyond[0]]) & 0xFFFFFFFF)
            raise OverflowError(f"{total}")
        return np.asarray((high << 32) | (low & 0xFFFFFFFF))

    def extremes(self, values: Values, greatest: bool, known: Known = None) -> Values:
        """Least or greatest values; anything over no event."""
        if values.dtype.kind == "f":
            nothing = values.dtype.type(-np.inf if greatest else np.nan)
        else:
            limits = np.iinfo(values.dtype)
            nothing = values.dtype.type(limits.min if greatest else limits.max)
        values = values if known is None else np.where(known, values, nothing)
        return self._folded(GREATEST if greatest else LEAST, values, nothing)

    def distinct(self, things: NDArray[np.integer[Any]]) -> Places:
        """How many different things there are, each counted where it is met first.

        Args:
            things: by place, small numbers from 0 on.
        """
        earlier = earlier_place(things.astype(np.int64, copy=False), self.starts)
        empty = self.first == self.last
        begins = np.isin(self.first, self.starts) | empty
        if begins.all():
            return self._summed((earlier < 0).astype(np.int64))
        admitted = Admitted.of(earlier, None, [("<", self.first)])
        return replace(self, admitted=admitted).counts()

    def _summed(self, values: Values) -> Values:
        if self.admitted is not None:
            return self._folded(SUM, values, values.dtype.type(0))
        if values.dtype.kind != "f":
            totals = np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])
            return np.asarray(totals[self.last] - totals[self.first])
        if np.isfinite(np.abs(values).sum()):
            return differences(*running_sums(values), self.first, self.last)
        return self._folded(SUM, values, np.float64(0))

    def _folded(self, kind: int, values: Values, nothing: np.generic) -> Values:
        if self.admitted is None:
            slid = kind != SUM and _rises(self.first) and _rises(self.last)
            fold = sliding_extremes if slid else folded
            return fold(kind, values, nothing, self.first, self.last)
        sequence = self.admitted.sequence
        parts = []
        for admitted in (self.admitted.high, self.admitted.low):
            if admitted is not None:
                order = _ordered(admitted)
                frame = self.first, self.last, sequence, admitted, order
                if kind == SUM and values.dtype.kind != "f":
                    parts.append(sums_of_admitted(values, *frame))
                else:
                    parts.append(folded_of_admitted(kind, values, nothing, *frame))
        return parts[0] if len(parts) == 1 else parts[0] - parts[1]


@dataclass(frozen=True)
class EventOrder:
    """Events sorted by group, clock and what breaks ties.

    Attributes:
        rows: the event at each place, ``int64[n]``.
        starts: first place of each group, ``int64[groups + 1]``.
        clock: by place, ``int64[n]``; ``None`` where there is none.
    """

    rows: Places
    starts: Places
    clock: Places | None

    @classmethod
    def of(
        cls,
        group: Places,
        groups: int,
        clock: Places | None,
        ties: Sequence[NDArray[np.integer[Any]]],
    ) -> EventOrder:
        """Sort events.

        Args:
            group: of each event, ``int64[n]``, from 0 to ``groups - 1``.
            groups: how many there are.
            clock: of each event, ``int64[n]``.
            ties: what sorts events of one clock, the first most, whole numbers ``[n]`` each.
        """
        rows = np.arange(len(group))
        moved = False
        for numbers in (*reversed(ties), *([] if clock is None else [clock])):
            order = sorting(numbers[rows] if moved else numbers)
            if order is not None:
                rows, moved = rows[order] if moved else order, True
        starts = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=groups))])
        if groups > 1:
            rows = by_group(rows, group, starts)
        return cls(rows, starts, None if clock is None else clock[rows])

    def frames(self, group: Places, bounds: Bounds) -> Frames:
        """Events of a group whose clock is within bounds.

        Args:
            group: of who asks, ``int64[m]``; -1 for none, whose frame is empty.
            bounds: each an operator and limits of the clock, ``int64[m]``.
        """
        return self.within(Frames(*whole_groups(self.starts, group), self.starts), bounds)

    def within(self, frames: Frames, bounds: Bounds) -> Frames:
        """What of frames is within bounds of the clock."""
        first, last = frames.first, frames.last
        if any(operator[0] == "<" for operator, _ in bounds):
            last = last.copy()
        if any(operator[0] == ">" for operator, _ in bounds):
            first = first.copy()
        for operator, limit in bounds:
            assert self.clock is not None
            narrow(self.clock, limit, operator in ("<=", ">"), operator[0] == "<", first, last)
        return replace(frames, first=first, last=last)


def sorting(numbers: NDArray[np.integer[Any]]) -> Places | None:
    """The rows in the order of their numbers, equal ones as they come; ``None`` if they are."""
    if not (numbers[1:] < numbers[:-1]).any():  # logs come sorted
        return None
    if numbers.min() >= 0 and numbers.max() < 4 * len(numbers):  # ids, as a rule each once
        row = np.full(int(numbers.max()) + 1, -1)
        row[numbers] = np.arange(len(numbers))
        row = row[row >= 0]
        if len(row) == len(numbers):
            return row
    return np.asarray(sorting_order(numbers.astype(np.int64, copy=False)))


def _ordered(numbers: Places) -> Places:
    order = sorting(numbers)
    return np.arange(len(numbers)) if order is None else order


def _rises(places: Places) -> bool:
    return not (places[1:] < places[:-1]).any()


def might_overflow(values: NDArray[np.int64]) -> bool:
    """Whether some sum of these could leave 64 bits."""
    if not len(values):
        return False
    return max(int(values.max()), -int(values.min())) * len(values) >= 1 << 63


def ordered_bits(numbers: NDArray[np.float64]) -> Places:
    """Whole numbers in the order of floats: equal for equal ones, NaN the greatest."""
    numbers = np.where(np.isnan(numbers), np.nan, numbers + 0.0)  # -0.0 becomes 0.0
    bits = numbers.view(np.int64)
    return bits ^ ((bits >> 63) & np.int64(0x7FFFFFFFFFFFFFFF))
