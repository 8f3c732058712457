"""When things happened: values of attributes by thing, clocks of atoms."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.data.typed_columns import EXAMPLES, to_sort
from knowreason.data.wall_clocks import moments
from knowreason.errors import DataError, did_you_mean
from knowreason.logic.time_zones import EPOCH, UTC_ZONE, zone_info

ORDERED = ("int", "float", "time", "duration")
LATEST = np.iinfo(np.int64).max
Moment = datetime | date | timedelta | np.generic | str | int | float
Clocks = NDArray[np.int64] | NDArray[np.float64]


def thing_values(data: EncodedTables, attribute: str) -> tuple[Clocks, str]:
    """Value of an ordered attribute for every thing of its domain, and the sort.

    Missing is the greatest int64 (``inf`` for ``float``), so it compares as later than all.

    Raises:
        DataError: KR519 when there is no such attribute, or it has no order.
    """
    declared = {a.name: a for a in data.program.given_attributes}.get(attribute)
    if declared is None or len(declared.sorts) != 1 or declared.sort not in ORDERED:
        usable = [
            a.name for a in data.program.given_attributes if len(a.sorts) == 1 and a.sort in ORDERED
        ]
        raise DataError(
            f"`{attribute}` is no attribute of one thing with a time or number as value",
            code="KR519",
            help=did_you_mean(attribute, usable) or f"there is: {', '.join(usable) or 'none'}",
        )
    table = data.attributes[attribute]
    missing = np.inf if declared.sort == "float" else LATEST
    values = np.full(data.count(declared.sorts[0]), missing)
    if declared.sort != "float":
        values = np.full(data.count(declared.sorts[0]), LATEST, dtype=np.int64)
    values[id_columns(table)[0]] = table.column(VALUE).to_numpy()
    return values, declared.sort


def label_clock(data: EncodedTables, predicate: str, table: pa.Table) -> tuple[Clocks, str]:
    """When each atom of a table happened: the latest clock among its arguments.

    Raises:
        DataError: KR519 when no argument of the predicate has a clock.
    """
    latest: Clocks | None = None
    sort = ""
    for domain, ids in zip(data.program.sorts_of(predicate), id_columns(table), strict=True):
        clock = data.program.clock_of(domain)
        if clock is None:
            continue
        values, sort = thing_values(data, clock.name)
        latest = values[ids] if latest is None else np.maximum(latest, values[ids])
    if latest is None:
        raise DataError(
            f"no argument of `{predicate}` has a clock",
            code="KR519",
            help="write `clock` after the attribute that says when it happened",
        )
    return latest, sort


def at_most(clock: Clocks, moment: float) -> NDArray[np.bool_]:
    """Which clocks are at or before a moment; a missing one never is."""
    missing = np.isinf(clock) if clock.dtype.kind == "f" else clock == LATEST
    return (clock <= moment) & ~missing


def to_moment(value: Moment, sort: str, zone: str = UTC_ZONE) -> float:
    """A value to compare an attribute of that sort with; microseconds for times.

    Args:
        value: a datetime, ISO text, a number, ..
        sort: of the attribute.
        zone: of a time that names none.

    Raises:
        DataError: KR519 for something that is not of the sort.
    """
    if isinstance(value, np.generic):
        value = value.item() if not isinstance(value, np.datetime64) else value
    micros: float | None = None
    if sort == "time":
        micros = _micros(value, zone)
    elif sort == "duration" and isinstance(value, timedelta):
        micros = value // timedelta(microseconds=1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        micros = value
    elif isinstance(value, str) and sort in ORDERED:
        micros = to_sort(pa.chunked_array([[value]]), sort).values[0].as_py()
    if micros is None:
        raise DataError(
            f"{value!r} is not of sort `{sort}`", code="KR519", help=f"expected {EXAMPLES[sort]}"
        )
    return micros


def _micros(value: Moment, zone: str) -> int | None:
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=zone_info(zone))
        return (aware - EPOCH) // timedelta(microseconds=1)
    if isinstance(value, date):
        return _micros(datetime.combine(value, time()), zone)
    if isinstance(value, np.datetime64):
        wall = value.astype("datetime64[us]").astype(np.int64)
        return int(moments(np.array([wall]), zone)[0])
    if isinstance(value, str):
        try:
            return _micros(datetime.fromisoformat(value.strip()), zone)
        except ValueError:
            return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
