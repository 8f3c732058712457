"""Time zones: what clocks on the wall show, and moments of what they showed.

Times are ``int64`` microseconds since 1970 UTC, those of a wall clock too. Offsets come from the
IANA database that Python has, on every engine: those that come with DuckDB or Java are of other
years (DuckDB 2.0.1 does not know what changed in Canada in 2026).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from knowreason.logic.time_zones import UTC_ZONE

ZONE = "zone "  # begins the name of a zone's table of offsets; no name of a program has a space
DAY = 86_400_000_000
STRETCH = 4 * DAY  # between two looks at an offset; it changes at most once within
FIRST, LAST = -6392, 11_871  # stretches from 1900 to 2100; offsets outside are those of the ends

Times = NDArray[np.int64]


def wall_clock(times: Times, zone: str) -> Times:
    """What clocks of the zone show at these times.

    >>> wall_clock(np.array([0]), "Asia/Tokyo") // 3_600_000_000
    array([9])
    """
    return times + _offsets_at(times, zone)


def moments(wall: Times, zone: str) -> Times:
    """When clocks of the zone showed this.

    What they showed twice is the first time; what they left out is as if they had been put
    forward later (PEP 495, ``fold=0``).

    >>> moments(np.array([9 * 3_600_000_000]), "Asia/Tokyo")
    array([0])
    """
    before, after = _offsets_at(wall - DAY, zone), _offsets_at(wall + DAY, zone)
    early, late = wall - before, wall - after
    changed = _offsets_at(early, zone) != before
    return np.where(changed & (_offsets_at(late, zone) == after), late, early)


def months_later(times: Times, count: int, zone: str) -> Times:
    """So many months of the calendar later at the same time of day; the last day of a month where
    it has no such day.

    The offset stays where the clock shows a time twice; what it leaves out is put forward.

    >>> day = np.datetime64("2024-03-31", "us").astype(np.int64)
    >>> months_later(np.array([day]), -1, "UTC").astype("datetime64[us]").astype("datetime64[D]")
    array(['2024-02-29'], dtype='datetime64[D]')
    """
    wall = wall_clock(times, zone)
    day = wall // DAY
    dates = day.astype("datetime64[D]")
    first = dates.astype("datetime64[M]")
    there = first + count
    most = (there + 1).astype("datetime64[D]") - there.astype("datetime64[D]")
    within = np.minimum(dates - first.astype("datetime64[D]"), most - 1)
    later = (there.astype("datetime64[D]") + within).astype(np.int64)
    moved = (later - day) * DAY
    wall = wall + moved
    one = wall - _offsets_at(times + moved, zone)
    other = wall - _offsets_at(one, zone)
    return np.asarray(np.maximum(one, other), np.int64)


def calendar_part(name: str, times: Times, zone: str) -> Times:
    """``hour`` (0 to 23), ``weekday`` (Monday is 1, Sunday 7) or ``month`` (1 to 12).

    >>> calendar_part("weekday", np.array([0]), "UTC")  # 1 January 1970 was a Thursday
    array([4])
    """
    wall = wall_clock(times, zone)
    if name == "hour":
        return wall % DAY // 3_600_000_000
    day = wall // DAY
    if name == "weekday":
        return (day + 3) % 7 + 1
    months: Times = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return months % 12 + 1


def offset_rows(zone: str) -> dict[str, Times]:
    """A table of offsets: one row a stretch of time.

    Returns:
        ``a0``: number of the stretch; ``change``: when the offset changes within it, or the end of
        all; ``before`` and ``after``: the offset before and from then on.
    """
    stretches = np.arange(FIRST, LAST)
    changes, _ = _changes(zone)
    change = np.full(len(stretches), LAST * STRETCH)
    change[(changes - 1) // STRETCH - FIRST] = changes
    before = _offsets_at(stretches * STRETCH, zone)
    after = _offsets_at((stretches + 1) * STRETCH, zone)
    return {"a0": stretches, "change": change, "before": before, "after": after}


def _offsets_at(times: Times, zone: str) -> Times:
    if zone == UTC_ZONE:
        return np.zeros_like(times)
    changes, offsets = _changes(zone)
    return offsets[np.searchsorted(changes, times, "right")]


@cache
def _changes(zone: str) -> tuple[Times, Times]:
    """When the offset of a zone changes, and the offsets before, between and after."""
    info, start, second = ZoneInfo(zone), datetime(1970, 1, 1), timedelta(seconds=1)
    micro = timedelta(microseconds=1)

    def offset(seconds: int) -> int:
        moment = (start + seconds * second).replace(tzinfo=info)
        return (info.fromutc(moment).utcoffset() or timedelta()) // micro

    step = STRETCH // 1_000_000
    looks = range(FIRST * step, (LAST + 1) * step, step)
    seen = [offset(seconds) for seconds in looks]
    changes, offsets = [], [seen[0]]
    for low, before, after in zip(looks, seen, seen[1:], strict=False):
        high = low + step
        while before != after and high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == before else (low, middle)
        if before != after:
            changes.append(high * 1_000_000)
            offsets.append(after)
    return np.array(changes, np.int64), np.array(offsets, np.int64)
