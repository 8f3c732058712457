"""Tables of a project: files, or SQL the user wrote over the tables above it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from knowreason.data.binding.frames import file_format
from knowreason.data.engine.duckdb_engine import DuckDBEngine, literal, quoted
from knowreason.data.engine.relational_engine import EngineError
from knowreason.errors import DataError, near_file
from knowreason.logic.time_zones import UTC_ZONE

_READERS = {
    "csv": "csv",
    "tsv": "csv",
    "parquet": "parquet",
    "jsonl": "json",
    "ndjson": "json",
    "json": "json",
}
FIRST_ROWS = 1000  # of a text file, that are looked at before it is read
_HINT = re.compile(r"\s*(Candidate|Did you mean)")
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
    texts: Mapping[str, Collection[str]] | None = None,
    zone: str = UTC_ZONE,
) -> dict[str, pa.Table]:
    """Every table, read in the order written; SQL sees the tables above it.

    Columns of text files are typed by all of their rows: one ``007`` keeps a column text. Dates are
    dates where the year stands first: of ``01/02/2026`` nothing says which is the month.

    Args:
        sources: tables by name.
        memory_limit: of the reader.
        optional: tables that are left out where their file is not there.
        texts: by table, columns of its text file that stay text.
        zone: of times that name none, in a column where others do, and in SQL.

    Raises:
        DataError: KR520 no such file, KR521 a kind of file that is not read, KR522 SQL
            or file content that DuckDB refuses, in DuckDB's words, SQL that is no query, or one
            that reads beyond the folders of the tables.
    """
    loaded: dict[str, pa.Table] = {}
    with tables_engine(sources, memory_limit=memory_limit, zone=zone) as engine:
        for name, source in sources.items():
            if name in optional and source.path is not None and not source.files():
                continue
            loaded[name] = _load(engine, name, source, (texts or {}).get(name, ()))
            engine.register(name, loaded[name])
    return loaded


def readable_tables(
    sources: Mapping[str, TableSource],
    *,
    rows: bool,
    memory_limit: str = "4GB",
    texts: Mapping[str, Collection[str]] | None = None,
    zone: str = UTC_ZONE,
) -> tuple[dict[str, pa.Table], dict[str, DataError | None]]:
    """Every table that can be read, and why others cannot.

    Args:
        sources: tables by name.
        rows: whether they are read; else tables have no rows, and SQL is only prepared.
        memory_limit: of the reader.
        texts, zone: as :func:`load_tables` has them.

    Returns:
        The tables, and the error of each that has one; ``None`` for SQL over such a table.
    """
    tables: dict[str, pa.Table] = {}
    failed: dict[str, DataError | None] = {}
    with tables_engine(sources, memory_limit=memory_limit, zone=zone) as engine:
        for name, source in sources.items():
            if set(re.findall(r"\w+", source.sql or "")) & set(failed):
                failed[name] = None
                continue
            as_texts = (texts or {}).get(name, ())
            try:
                if rows:
                    tables[name] = _load(engine, name, source, as_texts)
                    engine.register(name, tables[name])
                else:
                    as_view(engine, name, source, as_texts)
                    with refusals(name):
                        tables[name] = engine.query(f"SELECT * FROM {quoted(name)} LIMIT 0")
            except DataError as error:
                failed[name] = error
    return tables, failed


def tables_engine(
    sources: Mapping[str, TableSource],
    *,
    memory_limit: str,
    threads: int | None = None,
    zone: str = UTC_ZONE,
    folders: Collection[str] = (),
) -> DuckDBEngine:
    """An engine that touches no file but those beside the tables' own, and below ``folders``.

    SQL of a project may come from anyone, with a run folder for instance.
    """
    engine = DuckDBEngine(memory_limit=memory_limit, threads=threads, zone=zone)
    paths = [Path(source.path).absolute() for source in sources.values() if source.path]
    engine.confine({*map(_folder, paths), *folders})
    return engine


def _folder(path: Path) -> str:
    """The folder of a file, or the last one above the first part of a path that is a pattern."""
    patterns = [n for n, part in enumerate(path.parts) if has_magic(part)]
    return str(Path(*path.parts[: patterns[0]]) if patterns else path.parent) + "/"


def as_view(
    engine: DuckDBEngine, name: str, source: TableSource, texts: Collection[str] = ()
) -> None:
    """Make a table known to an engine by its name without reading it; raises as
    :func:`load_tables`."""
    with refusals(name):
        if source.sql is not None:
            engine.check_reads(source.sql)
            engine.view(name, source.sql)
        else:
            path, reader, options = _file(engine, name, source, texts)
            engine.view(name, path, reader, **options)


def _load(engine: DuckDBEngine, name: str, source: TableSource, texts: Collection[str]) -> pa.Table:
    with refusals(name):
        if source.sql is not None:
            engine.check_reads(source.sql)
            return engine.query(source.sql)
        path, reader, options = _file(engine, name, source, texts)
        return engine.file(path, reader, **options)


def _file(
    engine: DuckDBEngine, name: str, source: TableSource, texts: Collection[str]
) -> tuple[str, str, dict[str, Any]]:
    """Path, kind of file and the reader's options."""
    path = Path(str(source.path))
    reader = _READERS.get(file_format(path.name))
    if reader is None:
        raise DataError(
            f"table `{name}`: `{path.name}` is not a kind of file that is read",
            code="KR521",
            help=f"one of .{', .'.join(_READERS)}, or compressed: .csv.gz",
        )
    files = _matches(str(path))
    if not files:
        said = f"table `{name}`: there is no file `{path}`"
        raise DataError(said, code="KR520", help=near_file(path))
    if not any(Path(file).stat().st_size for file in files):
        raise DataError(
            f"table `{name}`: `{path}` is empty",
            code="KR522",
            help="a table has at least the names of its columns",
        )
    if reader != "csv":
        return str(path), reader, {}
    first = engine.query(
        f"SELECT * FROM read_csv({literal(str(path))}, header = true, all_varchar = true) "
        f"LIMIT {FIRST_ROWS}"
    )
    kept = [column for column in texts if column in first.column_names]
    kept += [c for c in first.column_names if c not in kept and _is_guessed(first.column(c))]
    as_text = dict.fromkeys(kept, "VARCHAR")
    options = {"header": True, "sample_size": -1, "date_format": "%Y-%m-%d", "dtype": as_text}
    return str(path), reader, options


def _is_guessed(column: pa.ChunkedArray) -> bool:
    """Whether texts are times in which day or month stands first."""
    said = pc.match_substring_regex(column, r"^\s*\d{1,2}[-/. ]\d{1,2}[-/. ]\d{2,4}\D")
    return bool(pc.any(said).as_py())


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """What an engine refuses within the block, told of the table: KR522."""
    try:
        yield
    except EngineError as error:
        first, *more = str(error).splitlines()
        help = next((line.strip() for line in more if _HINT.match(line)), None)
        if "disabled by configuration" in first:
            first = first.partition(" - ")[0]
            help = "SQL reads the tables above it; name a file as `path` of a table"
        raise DataError(f"table `{name}`: {first}", code="KR522", help=help) from None


def _matches(path: str) -> list[str]:
    return [path] if Path(path).is_file() else sorted(glob(path, recursive=True))
