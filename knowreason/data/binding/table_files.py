"""Tables of a project: files, or SQL the user wrote over the tables above it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import pyarrow as pa

from knowreason.data.engine.duckdb_engine import DuckDBEngine
from knowreason.data.engine.relational_engine import EngineError
from knowreason.errors import DataError
from knowreason.logic.time_zones import UTC_ZONE

_READERS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
_QUOTED = re.compile(r"""['"]([^'"]+)['"]""")


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where a table comes from: ``path`` (a file or a glob) or ``sql``."""

    path: str | None = None
    sql: str | None = None

    def files(self) -> list[Path]:
        """Files that are read, in order of their names; of SQL, those it names in quotes."""
        names = [self.path] if self.sql is None else _QUOTED.findall(self.sql)
        return [Path(file) for name in names if name for file in _matches(name)]


def load_tables(
    sources: Mapping[str, TableSource],
    *,
    memory_limit: str = "4GB",
    optional: Collection[str] = (),
    zone: str = UTC_ZONE,
) -> dict[str, pa.Table]:
    """Every table, read in the order written; SQL sees the tables above it.

    Columns of text files are typed by all of their rows: one ``007`` keeps a column text.

    Args:
        sources: tables by name.
        memory_limit: of the reader.
        optional: tables that are left out where their file is not there.
        zone: of times that name none, in a column where others do, and in SQL.

    Raises:
        DataError: KR520 no such file, KR521 a kind of file that is not read, KR522 SQL
            or file content that DuckDB refuses, in DuckDB's words.
    """
    loaded: dict[str, pa.Table] = {}
    with DuckDBEngine(memory_limit=memory_limit, zone=zone) as engine:
        for name, source in sources.items():
            if name in optional and source.path is not None and not source.files():
                continue
            loaded[name] = _load(engine, name, source)
            engine.register(name, loaded[name])
    return loaded


def as_view(engine: DuckDBEngine, name: str, source: TableSource) -> None:
    """Make a table known to an engine by its name without reading it; raises as
    :func:`load_tables`."""
    with refusals(name):
        if source.sql is not None:
            engine.view(name, source.sql)
        else:
            path, reader, options = _file(name, source)
            engine.view(name, path, reader, **options)


def _load(engine: DuckDBEngine, name: str, source: TableSource) -> pa.Table:
    with refusals(name):
        if source.sql is not None:
            return engine.query(source.sql)
        path, reader, options = _file(name, source)
        return engine.file(path, reader, **options)


def _file(name: str, source: TableSource) -> tuple[str, str, dict[str, Any]]:
    """Path, kind of file and the reader's options."""
    path = Path(str(source.path))
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"table `{name}`: `{path.name}` is not a kind of file that is read",
            code="KR521",
            help=f"one of {', '.join(_READERS)}",
        )
    if not _matches(str(path)):
        raise DataError(f"table `{name}`: there is no file `{path}`", code="KR520")
    return str(path), reader, {"sample_size": -1} if reader == "csv" else {}


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """What an engine refuses within the block, told of the table: KR522."""
    try:
        yield
    except EngineError as error:
        first = str(error).splitlines()[0]
        raise DataError(f"table `{name}`: {first}", code="KR522") from None


def _matches(path: str) -> list[str]:
    return [path] if Path(path).is_file() else sorted(glob(path, recursive=True))
