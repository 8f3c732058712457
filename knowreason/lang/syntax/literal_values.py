"""Literals of the language: durations, times, numbers and strings, to values and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from knowreason.logic.time_zones import EPOCH, UTC_ZONE, zone_info

MICROSECONDS = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
}
_DURATION = re.compile(r"(-?)([0-9]{1,30}(?:\.[0-9]{1,30})?)(ms|[smhdw])")
_MICROSECOND = timedelta(microseconds=1)


def parse_time(text: str, zone: str = UTC_ZONE) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time, or ``None``; ``zone``: where it names none."""
    try:
        moment = datetime.fromisoformat(text.strip())
        if not moment.tzinfo:
            moment = moment.replace(tzinfo=zone_info(zone))
        return (moment.astimezone(UTC) - EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def parse_duration(text: str) -> int | None:
    """Microseconds of ``90s``, ``1.5h`` or ``-2d``, or ``None``."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    sign, amount, unit = match.groups()
    return (-1 if sign else 1) * scale_duration(amount, unit)


def scale_duration(amount: str, unit: str) -> int:
    """Microseconds of an amount (``"1.5"``) in a unit, rounded to the nearest."""
    whole, _, decimals = amount.partition(".")
    scale: int = 10 ** len(decimals)
    return (int(whole + decimals) * MICROSECONDS[unit] + scale // 2) // scale
