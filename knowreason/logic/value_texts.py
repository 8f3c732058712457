"""Values as people write them: amounts, times, durations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowreason.logic.time_zones import UTC_ZONE, moment_in

_SPANS = (("days", "day", 86_400), ("h", "h", 3_600), ("min", "min", 60), ("s", "s", 1))


def feature_texts(
    values: NDArray[np.floating], categories: tuple[str, ...] | None
) -> list[str | None]:
    """Values of a feature column as people write them; ``None`` where missing."""
    return [
        None
        if np.isnan(value)
        else amount_text(int(value) if value == int(value) else value)
        if categories is None
        else categories[int(value)]
        if 0 <= int(value) < len(categories)
        else str(int(value))
        for value in np.asarray(values, np.float64).tolist()
    ]


def value_as_text(value: object, sort: str, zone: str = UTC_ZONE) -> str:
    """A value as people write it, times as clocks of ``zone`` show them.

    Example:
        >>> [value_as_text(v, s) for v, s in [(5412.0, "float"), (7, "int"), (True, "bool")]]
        ['5,412.00', '7', 'yes']
        >>> value_as_text(93_600_000_000, "duration"), value_as_text(0, "time")
        ('1 day 2 h', '1970-01-01')
    """
    if sort == "time" and isinstance(value, int):
        return time_as_text(value, zone)
    if sort == "duration" and isinstance(value, int):
        return span_as_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return amount_text(value) if isinstance(value, int | float) else str(value)


def amount_text(value: float) -> str:
    """A number with what of its digits people read: ``5,412.00``, ``0.0312``, ``2026``."""
    if isinstance(value, int) or (value == int(value) and abs(value) < 100):
        whole = int(value)
        return f"{whole:,}" if abs(whole) >= 10_000 else str(whole)
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


def time_as_text(microseconds: int, zone: str = UTC_ZONE) -> str:
    """Date and time of day in a time zone, as far as they are not zero."""
    moment = moment_in(microseconds, zone)
    if moment == moment.replace(hour=0, minute=0, second=0, microsecond=0):
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%Y-%m-%d %H:%M}"


def span_as_text(microseconds: int) -> str:
    """A duration in its two largest units."""
    rest, said = abs(microseconds) / 1e6, []
    if rest < 1:
        return f"{microseconds / 1000:.3g} ms"
    for many, one, size in _SPANS:
        count, rest = int(rest // size), rest % size
        if count:
            said.append(f"{count:,} {one if count == 1 else many}")
    return "-" * (microseconds < 0) + " ".join(said[:2])
