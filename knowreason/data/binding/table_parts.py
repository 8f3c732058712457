"""Tables in parts: rows of one key always together, one part in memory at a time.

Where files of integers are sorted by the key, a part is a range of it, and what other row groups
hold is never read. Else rows are dealt by a hash of the key and written once, a folder a part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from knowreason.data.binding.table_files import TableSource, as_view, refusals
from knowreason.data.engine.duckdb_engine import DuckDBEngine, quoted

PART = "knowreason_part"  # the column that says it, and so the name of folders
SHUFFLE_ROWS = 100_000  # of a row group of a part


@dataclass(frozen=True)
class Lookup:
    """Where the key of a thing stands: ``key`` in the rows of ``table`` with the thing."""

    table: str
    thing: str
    key: str


@dataclass(frozen=True)
class Dealt:
    """How the rows of a table are dealt to parts.

    Attributes:
        table: which.
        columns: those that are read.
        key: column that says the part; all rows are in every part where ``None``.
        lookup: where the column names a thing that belongs to a key.
    """

    table: str
    columns: tuple[str, ...]
    key: str | None = None
    lookup: Lookup | None = None


class TableParts:
    """Tables of which one part is read at a time; close it to delete what was written.

    Args:
        sources: tables by name, files or SQL over the tables above.
        count: number of parts.
        memory_limit, threads: of DuckDB.

    Raises:
        DataError: as :func:`knowreason.data.binding.table_files.load_tables`.
    """

    def __init__(
        self, sources: Mapping[str, TableSource], count: int, *, memory_limit: str, threads: int
    ) -> None:
        self.count = count
        self._sources = sources
        self._folder = TemporaryDirectory(prefix="knowreason-parts-")
        self._engine = DuckDBEngine(memory_limit=memory_limit, threads=threads)
        self._dealt: Mapping[str, Dealt] = {}
        self._whole: dict[str, pa.Table] = {}
        self._cuts: list[int] | None = None
        for name, source in sources.items():
            as_view(self._engine, name, source)

    def __enter__(self) -> TableParts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.close()
        self._folder.cleanup()

    def heads(self) -> dict[str, pa.Table]:
        """Every table without its rows."""
        return {
            name: self._query(name, f"SELECT * FROM {quoted(name)} LIMIT 0")
            for name in self._sources
        }

    def belongs_to_several(self, lookups: Collection[Lookup]) -> object:
        """A thing with two keys, in one table or in two; ``None`` where each has one."""
        rows = " UNION ALL ".join(
            f"SELECT {quoted(one.thing)}::VARCHAR AS thing, {quoted(one.key)}::VARCHAR AS key "
            f"FROM {quoted(one.table)}"
            for one in lookups
        )
        found = self._query(
            next(iter(lookups)).table,
            f"SELECT thing FROM ({rows}) WHERE thing IS NOT NULL "
            "GROUP BY 1 HAVING min(key) <> max(key) LIMIT 1",
        )
        return found.column(0)[0].as_py() if found.num_rows else None

    def deal(self, tables: Mapping[str, Dealt]) -> None:
        """Decide which rows are in which part, and write parts where rows are not in order."""
        self._dealt = tables
        self._cuts = self._ranges([d for d in tables.values() if d.key is not None])
        if self._cuts is not None:
            return
        for name, dealt in tables.items():
            if dealt.key is not None:
                self._write(name, dealt)

    def read(self, part: int) -> dict[str, pa.Table]:
        """The tables of a part; those without a key are the same objects every time."""
        return {name: self._read(name, dealt, part) for name, dealt in self._dealt.items()}

    def _read(self, name: str, dealt: Dealt, part: int) -> pa.Table:
        columns = ", ".join(quoted(column) for column in dealt.columns)
        rows = f"SELECT {columns} FROM {quoted(dealt.table)}"
        if dealt.key is None:
            if name not in self._whole:
                self._whole[name] = self._query(dealt.table, rows)
            return self._whole[name]
        if self._cuts is not None:
            key, cuts = quoted(dealt.key), self._cuts
            bounds = [f"{key} >= {cut}" for cut in cuts[:part][-1:]]
            bounds += [f"{key} < {cut}" for cut in cuts[part:][:1]]
            return self._query(dealt.table, f"{rows} WHERE {' AND '.join(bounds) or 'true'}")
        files = self._files(name) / f"{PART}={part}"
        if not files.is_dir():
            return self._query(dealt.table, f"{rows} LIMIT 0")
        found = f"read_parquet({_text(files / '*.parquet')}, hive_partitioning = false)"
        return self._query(dealt.table, f"SELECT {columns} FROM {found}")

    def _write(self, name: str, dealt: Dealt) -> None:
        """All rows of a table, a folder a part, in their order."""
        columns = ", ".join(f"t.{quoted(column)}" for column in dealt.columns)
        key, source = f"t.{quoted(str(dealt.key))}", f"{quoted(dealt.table)} t"
        hashed = _hash(key)
        if dealt.lookup is not None:
            look = dealt.lookup
            thing, of = quoted(look.thing), quoted(look.key)
            source += (
                f" LEFT JOIN (SELECT DISTINCT {thing}, {of} FROM {quoted(look.table)}) o "
                f"ON {key}::VARCHAR = o.{thing}::VARCHAR"
            )
            hashed = f"coalesce({_hash(f'o.{of}')}, {hashed})"
        part = f"coalesce({hashed} % {self.count}, 0) AS {quoted(PART)}"
        self._files(name).mkdir()
        with refusals(dealt.table):
            self._engine.execute(
                f"COPY (SELECT {columns}, {part} FROM {source}) TO {_text(self._files(name))} "
                f"(FORMAT parquet, PARTITION_BY ({quoted(PART)}), OVERWRITE_OR_IGNORE, "
                f"ROW_GROUP_SIZE {SHUFFLE_ROWS})"
            )

    def _files(self, name: str) -> Path:
        return Path(self._folder.name) / f"{list(self._dealt).index(name)}"

    def _ranges(self, keyed: list[Dealt]) -> list[int] | None:
        """Where ranges of the key begin, from the second on; ``None`` where rows are not sorted."""
        groups = []
        for dealt in keyed:
            source = self._sources[dealt.table]
            if (
                dealt.lookup is not None
                or source.path is None
                or not source.path.endswith(".parquet")
            ):
                return None
            found = _sorted_groups(source.files(), str(dealt.key))
            if found is None:
                return None
            groups.append(found)
        largest = max(groups, key=lambda found: int(found[:, 2].sum()), default=())
        if len(largest) < self.count:  # values may be anyhow within a row group
            return None
        low, high, rows = largest.T
        ends = np.concatenate([[0], np.cumsum(rows)])
        wanted = ends[-1] * np.arange(1, self.count) / self.count
        values = np.interp(wanted, ends, np.append(low, high[-1] + 1))
        return [int(value) for value in np.unique(np.ceil(values))]

    def _query(self, name: str, text: str) -> pa.Table:
        with refusals(name):
            return self._engine.query(text)


def _sorted_groups(
    files: list[Path], column: str
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]] | None:
    """``int64[g, 3]``: least and greatest key and rows of each row group, in order of the key;
    ``None`` where they overlap, or the key is no integer."""
    found = []
    for file in files:
        whole = parquet.read_metadata(file)
        schema = whole.schema.to_arrow_schema()
        if column not in schema.names or not pa.types.is_integer(schema.field(column).type):
            return None
        place = whole.schema.names.index(column)
        for group in range(whole.num_row_groups):
            chunk = whole.row_group(group).column(place)
            stated = chunk.statistics if chunk.is_stats_set else None
            if stated is None or not stated.has_min_max or stated.null_count:
                return None
            found.append((stated.min, stated.max, chunk.num_values))
    if not found:
        return None
    groups = np.array(sorted(found), np.int64)
    return groups if (groups[1:, 0] >= groups[:-1, 1]).all() else None


def _hash(value: str) -> str:
    """The number 3 and the text 3 are one thing."""
    return f"hash({value}::VARCHAR)"


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
