"""How the cells of a column are read: which words are true, how times are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from knowreason.data.typed_columns import Converted, kept, parse_times, to_sort, to_truth
from knowreason.logic.canonical_text import string_text
from knowreason.logic.time_zones import UTC_ZONE

_WORDS = (["false", "f", "no", "n", "0"], ["true", "t", "yes", "y", "1"])  # as DuckDB reads them
Cell: TypeAlias = bool | int | float | str


@dataclass(frozen=True)
class ColumnReading:
    """What the cells of a column of values mean.

    Attributes:
        true: cells that are true; empty where truths are 0, 1, true and false.
        false: cells that are false.
        unknown: cells that say nothing.
        format: how times are written, as ``strptime`` has it; empty for ISO 8601.
    """

    true: tuple[Cell, ...] = ()
    false: tuple[Cell, ...] = ()
    unknown: tuple[Cell, ...] = ()
    format: str = ""

    def read(self, column: pa.ChunkedArray, sort: str, zone: str = UTC_ZONE) -> Converted:
        """A column as :func:`.to_sort` or (sort ``truth``) :func:`.to_truth` has it.

        Raises:
            DataError: KR514 for a ``format`` that is none.
        """
        if self.unknown:
            column = pc.if_else(holds_any(column, self.unknown), None, column)
        if sort == "time" and self.format:
            return self._times(column, zone)
        if sort not in ("truth", "bool") or not (self.true or self.false):
            return to_truth(column) if sort == "truth" else to_sort(column, sort, zone)
        true, false = holds_any(column, self.true), holds_any(column, self.false)
        kind = pa.int8() if sort == "truth" else pa.bool_()
        return kept(column, pc.or_(true, false), lambda good: good.cast(kind), true)

    def written(self, values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Truths (Boolean, or 0 and 1) or times as they would stand in the column."""
        if pa.types.is_timestamp(values.type):
            return pc.strftime(values, self.format) if self.format else values
        if not self.true or not self.false:
            return values
        words = pa.array([_text(self.false[0]), _text(self.true[0])])
        return words.take(values.cast(pa.int64()))

    def expected(self, sort: str) -> str:
        """What a cell should be, where the reading says it; else empty."""
        if sort == "time" and self.format:
            return f"times are written as {self.format}"
        if sort not in ("truth", "bool") or not (self.true or self.false):
            return ""
        true, false = (", ".join(map(_shown, cells)) for cells in (self.true, self.false))
        return (
            f"true is {true or 'nothing'}, false is {false or 'nothing'}; what says neither "
            "belongs to `unknown`"
        )

    def _times(self, column: pa.ChunkedArray, zone: str) -> Converted:
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            return to_sort(column, "time", zone)
        text = column.cast(pa.string())
        micros = parse_times(text, zone, self.format)
        present = pc.fill_null(pc.not_equal(text, ""), False)
        good = pc.and_(micros.is_valid(), present)
        return kept(text, good, lambda times: times, micros)


def holds_any(column: pa.ChunkedArray, cells: Sequence[Cell]) -> pa.ChunkedArray:
    """``bool[rows]``: whether a cell is one of ``cells``: compared as numbers, truths or text, as
    the column has them."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        wanted = [value for cell in cells if (value := _number(cell)) is not None]
        values = pa.array(wanted, pa.float64())
        return pc.is_in(column.cast(pa.float64(), safe=False), value_set=values)
    if pa.types.is_boolean(kind):
        said = [_text(cell).lower() for cell in cells]
        truths = [truth for truth in (False, True) if set(said) & set(_WORDS[truth])]
        return pc.is_in(column, value_set=pa.array(truths, pa.bool_()))
    texts = pa.array([text for cell in cells for text in _texts(cell)], pa.string())
    return pc.is_in(column.cast(pa.string()), value_set=texts)


def _number(cell: Cell) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _text(cell: Cell) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _texts(cell: Cell) -> list[str]:
    """How a cell may stand in a column of text: 1 also as 1.0."""
    whole = not isinstance(cell, bool | str) and float(cell).is_integer()
    return [_text(cell), str(int(cell)), f"{int(cell)}.0"] if whole else [_text(cell)]


def _shown(cell: Cell) -> str:
    return string_text(cell) if isinstance(cell, str) else _text(cell)
