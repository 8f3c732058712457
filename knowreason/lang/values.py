"""Literals of the language: durations, times, numbers and strings, to values and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MICROSECONDS = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def parse_time(text: str) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time (UTC where no zone is written), or ``None``."""
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def parse_duration(text: str) -> int | None:
    """Microseconds of ``90s``, ``1.5h`` or ``-2d``, or ``None``."""
    stripped = text.strip()
    sign, digits = (-1, stripped[1:]) if stripped.startswith("-") else (1, stripped)
    unit = "ms" if digits.endswith("ms") else digits[-1:]
    amount = digits[: -len(unit)] if unit in MICROSECONDS else ""
    try:
        return sign * scale_duration(amount, unit) if amount and amount[0].isdigit() else None
    except (ValueError, OverflowError):
        return None


def scale_duration(amount: str, unit: str) -> int:
    """Microseconds of an amount in a unit; raises ``OverflowError`` for infinite ones."""
    factor = MICROSECONDS[unit]
    return int(amount) * factor if amount.isdigit() else round(float(amount) * factor)
