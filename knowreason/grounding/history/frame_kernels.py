"""Loops over sorted events and the frames that are cut from them.

Places are positions of events sorted by group and clock; a frame is a half-open range of places
inside one group. Folds go over a segment tree of all places, which a frame crosses in twice the
logarithm of its length (de Berg et al. 2008, chapter 10).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import kernel

Places = NDArray[np.int64]
Values = NDArray[Any]  # int64 or float64

SUM, LEAST, GREATEST = 0, 1, 2


@kernel(cache=True)
def by_group(rows: Places, group: Places, starts: Places) -> Places:
    """The rows sorted by their group, else in the order they come in."""
    free = starts.copy()
    sorted_rows = np.empty_like(rows)
    for row in rows:
        sorted_rows[free[group[row]]] = row
        free[group[row]] += 1
    return sorted_rows


@kernel(cache=True)
def whole_groups(starts: Places, group: Places) -> tuple[Places, Places]:
    """First place of each group, and the place after its last; twice 0 for -1."""
    first, last = np.zeros(len(group), np.int64), np.zeros(len(group), np.int64)
    for i in range(len(group)):
        if group[i] >= 0:
            first[i], last[i] = starts[group[i]], starts[group[i] + 1]
    return first, last


@kernel(cache=True)
def narrow(
    clock: Places, limit: Places, beyond: bool, end: bool, first: Places, last: Places
) -> None:
    """Move one end of frames, in place, to the first clock that reaches its limit, or is beyond.

    Each is sought from where the one before it was found, by steps that double (Bentley & Yao
    1976): two pointers where frames come in the order of events.
    """
    found = 0
    for i in range(len(limit)):
        low, high, wanted = first[i], last[i], limit[i]
        step = 1
        if found < low or found > high:
            found = low
        if found < high and (clock[found] < wanted or (beyond and clock[found] == wanted)):
            low = found + 1
            while low + step <= high:
                there = clock[low + step - 1]
                if not (there < wanted or (beyond and there == wanted)):
                    high = low + step - 1
                    break
                low += step
                step *= 2
        else:
            high = found
            while high - step >= low:
                there = clock[high - step]
                if there < wanted or (beyond and there == wanted):
                    low = high - step + 1
                    break
                high -= step
                step *= 2
        while low < high:
            middle = (low + high) >> 1
            if clock[middle] < wanted or (beyond and clock[middle] == wanted):
                low = middle + 1
            else:
                high = middle
        found = low
        (last if end else first)[i] = low


@kernel(cache=True)
def by_thing(things: Any, group: Places) -> Places:
    """Who asks and has a group: in the order in which things come, each once, then the others."""
    turn = np.empty(len(group), np.int64)
    there = group < 0
    count = 0
    for thing in things:
        if not there[thing]:
            there[thing] = True
            turn[count] = thing
            count += 1
    for row in range(len(group)):
        if not there[row]:
            turn[count] = row
            count += 1
    return turn[:count]


@kernel(cache=True)
def earlier_place(things: Places, starts: Places) -> Places:
    """By place, the last one before it in its group with the same thing, -1 for the first."""
    seen = np.full(things.max() + 1 if len(things) else 0, -1)
    before = np.empty(len(things), np.int64)
    for group in range(len(starts) - 1):
        for place in range(starts[group], starts[group + 1]):
            last = seen[things[place]]
            before[place] = last if last >= starts[group] else -1
            seen[things[place]] = place
    return before


@kernel(cache=True)
def running_sums(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of the values before each place in twice the digits, as two parts.

    Differences of plain sums lose small frames behind large values (Knuth's two-sum; Dekker 1971).
    """
    upper, lower = np.zeros(len(values) + 1), np.zeros(len(values) + 1)
    for i in range(len(values)):
        total = upper[i] + values[i]
        part = total - upper[i]
        lost = (upper[i] - (total - part)) + (values[i] - part)
        upper[i + 1] = total
        lower[i + 1] = lower[i] + lost
    return upper, lower


@kernel(cache=True)
def differences(
    upper: NDArray[np.float64], lower: NDArray[np.float64], first: Places, last: Places
) -> NDArray[np.float64]:
    """Sums over frames from :func:`running_sums`."""
    sums = np.empty(len(first))
    for i in range(len(first)):
        a, b = upper[last[i]], -upper[first[i]]
        total = a + b
        part = total - a
        lost = (a - (total - part)) + (b - part)
        sums[i] = total + (lost + (lower[last[i]] - lower[first[i]]))
    return sums


@kernel(cache=True, inline="always")
def _of_two(kind: int, one: Any, two: Any) -> Any:
    """Both under the fold; NaN is the greatest of all, as in SQL."""
    if kind == SUM:
        return one + two
    if kind == LEAST:
        return one if one <= two or two != two else two
    return one if one >= two or one != one else two


@kernel(cache=True, inline="always")
def _across(kind: int, tree: Values, nothing: Any, first: int, last: int) -> Any:
    """The fold of the leaves from ``first`` to before ``last``."""
    result = nothing
    low, high = first + len(tree) // 2, last + len(tree) // 2
    while low < high:
        if low & 1:
            result = _of_two(kind, result, tree[low])
            low += 1
        if high & 1:
            high -= 1
            result = _of_two(kind, result, tree[high])
        low >>= 1
        high >>= 1
    return result


@kernel(cache=True)
def folded(kind: int, values: Values, nothing: Any, first: Places, last: Places) -> Values:
    """The fold of each frame, ``nothing`` (its neutral value) over none."""
    count = len(values)
    tree = np.empty(2 * count, values.dtype)
    tree[count:] = values
    for node in range(count - 1, 0, -1):
        tree[node] = _of_two(kind, tree[2 * node], tree[2 * node + 1])
    results = np.empty(len(first), values.dtype)
    for i in range(len(first)):
        results[i] = _across(kind, tree, nothing, first[i], last[i])
    return results


@kernel(cache=True)
def sliding_extremes(
    kind: int, values: Values, nothing: Any, first: Places, last: Places
) -> Values:
    """Least or greatest values of frames of which neither end lies before that of the last.

    Places that no later one beats wait in a row; each comes and goes once (Lemire 2006).
    """
    results = np.empty(len(first), values.dtype)
    waiting = np.empty(len(values), np.int64)
    head, tail, reached = 0, 0, 0
    for i in range(len(first)):
        reached = max(reached, first[i])
        while reached < last[i]:
            own = values[reached]
            while tail > head and _beats(kind, own, values[waiting[tail - 1]]):
                tail -= 1
            waiting[tail] = reached
            tail += 1
            reached += 1
        while head < tail and waiting[head] < first[i]:
            head += 1
        results[i] = values[waiting[head]] if head < tail and first[i] < last[i] else nothing
    return results


@kernel(cache=True, inline="always")
def _beats(kind: int, one: Any, two: Any) -> Any:
    """Whether ``_of_two`` is the first, whatever the second."""
    if kind == LEAST:
        return one <= two or two != two
    return one >= two or one != one


@kernel(cache=True)
def folded_of_admitted(
    kind: int,
    values: Values,
    nothing: Any,
    first: Places,
    last: Places,
    sequence: Places,
    admitted: Places,
    order: Places,
) -> Values:
    """The fold of each frame over the places among the first ``admitted`` of a sequence.

    Args:
        kind, values, nothing, first, last: as for :func:`folded`.
        sequence: places, by what decides who is admitted.
        admitted: by frame, how many of the sequence are.
        order: the frames by ``admitted``: the tree is filled once, frames ask on the way.
    """
    count = len(values)
    tree = np.full(2 * count, nothing, values.dtype)
    results = np.empty(len(first), values.dtype)
    filled = 0
    for i in order:
        while filled < admitted[i]:
            node = sequence[filled] + count
            tree[node] = values[sequence[filled]]
            while node > 1:
                node >>= 1
                tree[node] = _of_two(kind, tree[2 * node], tree[2 * node + 1])
            filled += 1
        results[i] = _across(kind, tree, nothing, first[i], last[i])
    return results


@kernel(cache=True, inline="always")
def _before(tree: Places, place: int) -> int:
    """The sum of what stands in a Fenwick tree (1994) before a place."""
    total = 0
    while place > 0:
        total += tree[place]
        place -= place & -place
    return total


@kernel(cache=True, inline="always")
def _add(tree: Places, place: int, value: int) -> None:
    node = place + 1
    while node < len(tree):
        tree[node] += value
        node += node & -node


@kernel(cache=True)
def sums_of_admitted(
    values: Places, first: Places, last: Places, sequence: Places, admitted: Places, order: Places
) -> Places:
    """Sums of whole numbers over each frame; arguments as for :func:`folded_of_admitted`."""
    tree, sums = np.zeros(len(values) + 1, np.int64), np.empty(len(first), np.int64)
    filled = 0
    for i in order:
        while filled < admitted[i]:
            _add(tree, sequence[filled], values[sequence[filled]])
            filled += 1
        sums[i] = _before(tree, last[i]) - _before(tree, first[i])
    return sums


@kernel(cache=True)
def latest_of_admitted(
    first: Places,
    last: Places,
    most: Places,
    sequence: Places,
    admitted: Places,
    order: Places,
    count: int,
) -> Places:
    """Where the last ``most`` admitted places of each frame begin.

    Numbers of admitted places stand in a tree that is filled once.

    Args:
        first, last: of the frames.
        most: by frame.
        sequence, admitted, order: as for :func:`folded_of_admitted`.
        count: of places.
    """
    tree = np.zeros(count + 1, np.int64)
    begins = first.copy()
    widest = 1
    while widest * 2 <= count:
        widest *= 2
    filled = 0
    for i in order:
        while filled < admitted[i]:
            _add(tree, sequence[filled], 1)
            filled += 1
        before = _before(tree, first[i])
        skipped = _before(tree, last[i]) - max(most[i], 0)
        if skipped > before:
            place, step = 0, widest
            while step > 0:
                if place + step <= count and tree[place + step] < skipped:
                    place += step
                    skipped -= tree[place]
                step >>= 1
            begins[i] = place + 1
    return begins
