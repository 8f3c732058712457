"""A column of a table as values of a sort of the language, bad rows named.

Each converter takes an Arrow column and returns the converted one with the rows it could
not convert; missing (null, NaN, empty text) stays null and is nobody's fault here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.wall_clocks import moments
from knowreason.errors import DataError
from knowreason.logic.time_zones import UTC_ZONE

INTEGER = r"^\s*[+-]?\d{1,18}\s*$"
INTEGRAL_FLOAT = r"^\s*[+-]?\d{1,15}\.0*\s*$"
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$|^\s*[+-]?(inf|Inf|nan|NaN)\s*$"
DURATION = r"^\s*(?P<number>[+-]?\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d|w)\s*$"
DURATION_UNITS = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
EXAMPLES = {
    "int": "an integer within 64 bits",
    "float": "a number",
    "bool": "true, false, 0 or 1",
    "string": "text",
    "time": "a datetime, or text such as 2026-01-31T08:00:00Z",
    "duration": "a duration, or text such as 90s or 1.5h",
}


class Converted(NamedTuple):
    """A column of one type, and the rows that had none.

    Attributes:
        values: the converted column; null where missing or bad.
        bad: ``int64``, rows with a value that is not of the sort.
    """

    values: pa.ChunkedArray
    bad: NDArray[np.int64]


def to_sort(column: pa.ChunkedArray, sort: str, zone: str = UTC_ZONE) -> Converted:
    """A column as ``int``, ``float``, ``bool``, ``string``, ``time`` or ``duration``.

    Times and durations become int64 microseconds; a time that names no zone is in ``zone``.
    """
    if sort == "time" and zone != UTC_ZONE:
        return _to_time_in(_without_nan(column), zone)
    return CONVERTERS[sort](_without_nan(column))


def to_key(column: pa.ChunkedArray) -> Converted:
    """A column that names things, as text or integers."""
    kind = column.type
    if _is_text(kind) or pa.types.is_integer(kind):
        return Converted(column, _no_rows())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _integral(_without_nan(column))
    if pa.types.is_boolean(kind) or pa.types.is_date(kind):
        return Converted(column.cast(pa.string()), _no_rows())
    return _refuse(column, pa.string())


def to_truth(column: pa.ChunkedArray) -> Converted:
    """A column of labels, ``int8`` 0 or 1, null where unlabelled."""
    truth = _to_bool(_without_nan(column))
    return Converted(truth.values.cast(pa.int8()), truth.bad)


def _to_int(column: pa.ChunkedArray) -> Converted:
    kind = column.type
    if pa.types.is_signed_integer(kind) or pa.types.is_unsigned_integer(kind):
        return _cast_in_range(column, pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _integral(column)
    if not _is_text(kind):
        return _refuse(column, pa.int64())
    whole = pc.match_substring_regex(column, INTEGER)
    pointed = pc.match_substring_regex(column, INTEGRAL_FLOAT)
    digits = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), r"\.0*$|^\+", "")
    return kept(column, pc.or_(whole, pointed), lambda good: good.cast(pa.int64()), digits)


def _to_float(column: pa.ChunkedArray) -> Converted:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Converted(_without_nan(column.cast(pa.float64(), safe=False)), _no_rows())
    if not _is_text(kind):
        return _refuse(column, pa.float64())
    number = pc.match_substring_regex(column, NUMBER)
    trimmed = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), r"^\+", "")
    converted = kept(column, number, lambda good: good.cast(pa.float64()), trimmed)
    return Converted(_without_nan(converted.values), converted.bad)


def _to_bool(column: pa.ChunkedArray) -> Converted:
    kind = column.type
    if pa.types.is_boolean(kind):
        return Converted(column, _no_rows())
    if _is_text(kind):
        word = pc.utf8_lower(pc.utf8_trim_whitespace(column))
        true = pc.is_in(word, value_set=pa.array(["true", "1", "1.0"]))
        false = pc.is_in(word, value_set=pa.array(["false", "0", "0.0"]))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        true, false = pc.equal(column, 1), pc.equal(column, 0)
    else:
        return _refuse(column, pa.bool_())
    return kept(column, pc.or_(true, false), lambda good: good, true)


def _to_string(column: pa.ChunkedArray) -> Converted:
    if _is_text(column.type):
        missing = pa.scalar(None, pa.string())
        return Converted(pc.if_else(pc.equal(column, ""), missing, column), _no_rows())
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        return _refuse(column, pa.string())
    return Converted(column.cast(pa.string()), _no_rows())


def _to_time(column: pa.ChunkedArray) -> Converted:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        zone = kind.tz if hasattr(kind, "tz") else None
        return _to_microseconds(column, pa.timestamp("us", zone))
    if not _is_text(kind):
        return _refuse(column, pa.int64())
    parsed = parse_times(column)
    return Converted(parsed, _rows(pc.and_(parsed.is_null(), _present(column))))


def _to_time_in(column: pa.ChunkedArray, zone: str) -> Converted:
    """Times of which those that name no zone are what clocks of this one showed."""
    converted = _to_time(column)
    kind = column.type
    if pa.types.is_timestamp(kind):
        unzoned = None if kind.tz else converted.values.is_valid()
    elif _is_text(kind):  # what another zone reads otherwise names none
        unzoned = pc.not_equal(converted.values, parse_times(column, "Etc/GMT-1"))
    else:
        unzoned = converted.values.is_valid()
    if unzoned is None:
        return converted
    wall = converted.values.fill_null(0).to_numpy()
    there = pa.chunked_array([pa.array(moments(wall, zone))])
    return Converted(pc.if_else(unzoned, there, converted.values), converted.bad)


def _to_duration(column: pa.ChunkedArray) -> Converted:
    kind = column.type
    if pa.types.is_duration(kind):
        return _to_microseconds(column, pa.duration("us"))
    if not _is_text(kind):
        return _refuse(column, pa.int64())
    parts = pc.extract_regex(column, DURATION)
    number = pc.struct_field(parts, "number").cast(pa.float64())
    units = pa.array(list(DURATION_UNITS))
    scale = pa.array(list(DURATION_UNITS.values())).cast(pa.float64())
    factor = scale.take(
        pc.index_in(pc.struct_field(parts, "unit"), value_set=units).combine_chunks()
    )
    micros = pc.round(pc.multiply(number, pa.chunked_array([factor])))
    return kept(column, _fits(micros), lambda good: good.cast(pa.int64()), micros)


def _to_microseconds(column: pa.ChunkedArray, kind: pa.DataType) -> Converted:
    """Times or durations of any unit, as ``int64``; what does not fit into it is bad."""
    unit = str(column.type) if pa.types.is_date(column.type) else column.type.unit
    most = (2**63 - 1) // _MICROSECONDS.get(unit, 1)
    count = column.cast(pa.int32()) if unit == "date32[day]" else column
    count = count.cast(pa.int64())
    good = pc.and_(pc.greater_equal(count, -most), pc.less_equal(count, most))
    return kept(column, good, lambda c: c.cast(kind, safe=False).cast(pa.int64()), column)


_MICROSECONDS = {"s": 10**6, "ms": 10**3, "date32[day]": 86_400 * 10**6, "date64[ms]": 10**3}


def parse_times(column: pa.ChunkedArray, zone: str = UTC_ZONE, format: str = "") -> pa.ChunkedArray:
    """Texts as int64 microseconds since 1970 UTC; null where they are no times.

    Args:
        column: text.
        zone: of times that name none; DuckDB's own, whose offsets may be of another year.
        format: how times are written, as ``strptime`` has it; ISO 8601 when empty.

    Raises:
        DataError: KR514 for a ``format`` that is none.
    """
    from knowreason.data.engine.duckdb_engine import DuckDBEngine, literal
    from knowreason.data.engine.relational_engine import EngineError

    moment = "try_cast(text AS timestamptz)"
    if format:
        moment = f"CAST(try_strptime(text, {literal(format)}) AS timestamptz)"
    with DuckDBEngine(zone=zone) as engine:
        engine.register("texts", pa.table({"text": pc.utf8_trim_whitespace(column)}))
        try:
            found = engine.query(f"SELECT epoch_us({moment}) AS micros FROM texts")
        except EngineError as error:
            raise DataError(
                f'"{format}" is no format of times: {str(error).splitlines()[0]}',
                code="KR514",
                help='such as "%d.%m.%Y" or "%Y-%m-%d %H:%M:%S"',
            ) from None
        return found.column("micros")


def _integral(column: pa.ChunkedArray) -> Converted:
    """Floats or decimals that are whole numbers; decimals keep every digit."""
    whole = pc.and_(
        pc.equal(pc.floor(column), column), _fits(column.cast(pa.float64(), safe=False))
    )
    return kept(column, whole, lambda good: good.cast(pa.int64()), column)


def _fits(number: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether a float is within the range of ``int64``."""
    return pc.less(pc.abs(number), 2.0**63)


def _cast_in_range(column: pa.ChunkedArray, kind: pa.DataType) -> Converted:
    if column.type != pa.uint64():
        return Converted(column.cast(kind), _no_rows())
    fits = pc.less_equal(column, pa.scalar(2**63 - 1, pa.uint64()))
    return kept(column, fits, lambda good: good.cast(kind), column)


def kept(
    column: pa.ChunkedArray,
    good: pa.ChunkedArray,
    convert: Callable[[pa.ChunkedArray], pa.ChunkedArray],
    source: pa.ChunkedArray,
) -> Converted:
    """``source`` converted where ``good``; the other present rows of ``column`` are bad."""
    good = pc.fill_null(good, False)
    values = convert(pc.if_else(good, source, pa.scalar(None, source.type)))
    return Converted(values, _rows(pc.and_(pc.invert(good), _present(column))))


def _refuse(column: pa.ChunkedArray, kind: pa.DataType) -> Converted:
    return Converted(pa.chunked_array([pa.nulls(len(column), kind)]), _rows(column.is_valid()))


def _present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Neither null nor empty text."""
    if _is_text(column.type):
        return pc.fill_null(pc.not_equal(column, ""), False)
    return column.is_valid()


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def _is_text(kind: pa.DataType) -> bool:
    is_text: bool = pa.types.is_string(kind)
    return is_text


def _rows(mask: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.flatnonzero(
        mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else mask.to_numpy()
    )


def _no_rows() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


CONVERTERS: dict[str, Callable[[pa.ChunkedArray], Converted]] = {
    "int": _to_int,
    "float": _to_float,
    "bool": _to_bool,
    "string": _to_string,
    "time": _to_time,
    "duration": _to_duration,
}
