"""Tables of any kind as Arrow tables: frames, columns in memory, and files.

Frames of polars and pandas and relations of DuckDB come through narwhals, those of Spark by
``toArrow``, whatever else has the Arrow PyCapsule interface by that. Text files (csv, tsv, json
lines) are read as text and get their types from the program, so that an id ``007``
stays what it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import glob
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from knowreason.data.binding.data_findings import NamedTable
from knowreason.errors import DataError, did_you_mean
from knowreason.logic.time_zones import UTC_ZONE


class ArrowStream(Protocol):
    """What polars, pandas, pyarrow and DuckDB give: the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object = None, /) -> object:
        """A capsule of the stream."""


class SparkFrame(Protocol):
    """A frame of Spark 4."""

    def toArrow(self) -> pa.Table:
        """Its rows, gathered."""


TableLike: TypeAlias = (
    ArrowStream | SparkFrame | Mapping[str, object] | str | PathLike[str] | NamedTable
)
"""A frame (or series) of polars, pandas, Arrow, DuckDB or Spark, a mapping of columns, or a path or
glob."""

TEXT_FORMATS = {"csv": ",", "tsv": "\t"}
JSON_FORMATS = ("jsonl", "ndjson", "json")
COMPRESSIONS = (".gz", ".zst")


def read_frame(table: TableLike, name: str) -> NamedTable:
    """A table with its columns as plain Arrow arrays, in the order they came.

    Args:
        table: frame, series, mapping of column names to values, or path or glob of csv,
            tsv, parquet or json lines files.
        name: what the table holds, for messages.

    Raises:
        DataError: KR501 for a file that cannot be read, KR502 for something that is no table.
    """
    if isinstance(table, NamedTable):
        return replace(table, name=table.name or name, table=_plain(table.table))
    if isinstance(table, str | PathLike):
        path = fspath(table)
        return NamedTable(name, _plain(_read_file(path, name)), Path(path).name)
    return NamedTable(name, _plain(_to_arrow(table, name)))


def select_columns(frame: NamedTable, columns: Sequence[str]) -> NamedTable:
    """The frame with only these columns, in this order.

    Raises:
        DataError: KR504 for a column it does not have.
    """
    have = frame.table.column_names
    missing = [column for column in columns if column not in have]
    if missing:
        raise DataError(
            f"{frame.title} has no column `{missing[0]}`",
            code="KR504",
            help=did_you_mean(missing[0], have) or f"its columns: {', '.join(have)}",
        )
    return replace(frame, table=frame.table.select(list(columns)))


def _read_file(path: str, name: str) -> pa.Table:
    from knowreason.data.engine.duckdb_engine import DuckDBEngine
    from knowreason.data.engine.relational_engine import EngineError

    suffix = file_format(path)
    if not glob(path, recursive=True):
        raise DataError(f"{name}: there is no file `{path}`", code="KR501")
    with DuckDBEngine(zone=UTC_ZONE) as engine:
        try:
            if suffix == "parquet":
                return engine.file(path, "parquet")
            if suffix in TEXT_FORMATS:
                separator = TEXT_FORMATS[suffix]
                return engine.file(path, "csv", header=True, sep=separator, all_varchar=True)
            if suffix in JSON_FORMATS:
                return engine.file(path, "lines")
        except EngineError as error:
            first = str(error).splitlines()[0]
            raise DataError(f"{name}: `{path}` cannot be read: {first}", code="KR501") from error
    raise DataError(
        f"{name}: `{path}` is of no format that can be read",
        code="KR501",
        help="csv, tsv, parquet or json lines (jsonl)",
    )


def file_format(path: str) -> str:
    """The ending that says how a file is written, without that of its compression."""
    suffixes = [suffix for suffix in Path(path).suffixes if suffix.lower() not in COMPRESSIONS]
    return suffixes[-1].lower().lstrip(".") if suffixes else ""


def _to_arrow(table: Any, name: str) -> pa.Table:
    import narwhals as nw

    try:
        if isinstance(table, pa.Table):
            return table
        if isinstance(table, pa.RecordBatch):
            return pa.Table.from_batches([table])
        if isinstance(table, Mapping):
            return pa.table({str(column): _column(values) for column, values in table.items()})
        if hasattr(table, "toArrow"):  # Spark 4, gathered
            return table.toArrow()
        native = nw.from_native(table, allow_series=True, pass_through=True)
        if native is table and hasattr(table, "__arrow_c_stream__"):
            return pa.table(table)
        if isinstance(native, nw.Series):
            native = native.to_frame()
        if isinstance(native, nw.LazyFrame):
            native = native.collect()
        if not isinstance(native, nw.DataFrame):
            raise TypeError
        return native.to_arrow()
    except pa.ArrowException as error:
        raise DataError(
            f"{name}: a column holds values of several types: {error}", code="KR502"
        ) from error
    except OverflowError as error:
        raise DataError(
            f"{name}: a column holds integers beyond 64 bits",
            code="KR502",
            help="give them as text",
        ) from error
    except TypeError as error:
        raise DataError(
            f"{name}: {type(table).__name__} is not a table",
            code="KR502",
            help="give a frame of polars, pandas, Arrow, DuckDB or Spark, a mapping of columns, "
            "or a path",
        ) from error


def _column(values: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        return pa.array(values, from_pandas=True)
    except OverflowError:  # integers beyond 64 bits: names, or told of by row where numbers are due
        return pa.array([None if value is None else str(value) for value in values])


def _plain(table: pa.Table) -> pa.Table:
    """No index columns, no dictionary, view or large types."""
    own_columns = [name for name in table.column_names if not name.startswith("__index_level_")]
    columns = [_plain_column(table.column(name)) for name in own_columns]
    return pa.table(columns, names=own_columns)


def _plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain_column(column.cast(kind.value_type))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    return column
