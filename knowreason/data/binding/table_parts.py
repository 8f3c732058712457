"""Tables in parts: rows of one key always together, one part in memory at a time.

Where files of integers are sorted by the key, a part is a range of it, and what other row groups
hold is never read. Else rows are dealt by a hash of the key and written once, a folder a part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet
from sqlglot import exp

from knowreason.data.binding.table_files import TableSource, as_view, refusals, tables_engine
from knowreason.data.engine.duckdb_engine import DuckDBEngine, literal, quoted
from knowreason.logic.time_zones import UTC_ZONE

PART = "knowreason_part"  # the column that says it, and so the name of folders
SHUFFLE_ROWS = 100_000  # of a row group of a part
LEAST_GROUPS, MOST_CUTS = 4, 4  # row groups of a sorted table, and cuts within one of them
Groups: TypeAlias = NDArray[np.int64]  # [g, 3]: least and greatest key, rows


@dataclass(frozen=True)
class KeyLookup:
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
    lookup: KeyLookup | None = None


class TableParts:
    """Tables of which one part is read at a time; close it to delete what was written.

    Args:
        sources: tables by name, files or SQL over the tables above.
        count: number of parts.
        memory_limit, threads: of DuckDB.
        directory: where parts are written, in a folder of their own; a temporary folder when empty.
        texts: by table, columns that stay text.
        zone: of times that name none.

    A pickled copy reads the same parts in another process, and deletes nothing when closed.

    Attributes:
        folder: where parts are.

    Raises:
        DataError: as :func:`knowreason.data.binding.table_files.load_tables`.
    """

    def __init__(
        self,
        sources: Mapping[str, TableSource],
        count: int,
        *,
        memory_limit: str,
        threads: int,
        directory: str = "",
        texts: Mapping[str, Collection[str]] | None = None,
        zone: str = UTC_ZONE,
    ) -> None:
        self.count = count
        self._sources, self._texts = sources, texts or {}
        self._own: TemporaryDirectory[str] | None = TemporaryDirectory(
            prefix="knowreason-parts-", dir=directory or None
        )
        self.folder = Path(self._own.name)
        self._limits = memory_limit, threads, zone
        self._engine = self._opened()
        self._dealt: Mapping[str, Dealt] = {}
        self._whole: dict[str, pa.Table] = {}
        self._ranges: _Ranges | None = None

    def _opened(self) -> DuckDBEngine:
        """An engine that knows the tables."""
        memory_limit, threads, zone = self._limits
        engine = tables_engine(
            self._sources,
            memory_limit=memory_limit,
            threads=threads,
            zone=zone,
            folders=[f"{self.folder}/"],
        )
        for name, source in self._sources.items():
            as_view(engine, name, source, self._texts.get(name, ()))
        return engine

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_own": None, "_engine": None, "_whole": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._engine = self._opened()

    def __enter__(self) -> TableParts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.close()
        if self._own is not None:
            self._own.cleanup()

    def heads(self) -> dict[str, pa.Table]:
        """Every table without its rows."""
        return {
            name: self._query(name, f"SELECT * FROM {quoted(name)} LIMIT 0")
            for name in self._sources
        }

    def belongs_to_several(self, lookups: Collection[KeyLookup]) -> object:
        """A thing with two keys, in one table or in two; ``None`` where each has one."""
        one, *others = lookups
        if not others and self._is_rising(one.table, one.thing):
            return None
        heads = self.heads()
        kinds = {
            (
                heads[one.table].schema.field(one.thing).type,
                heads[one.table].schema.field(one.key).type,
            )
            for one in lookups
        }
        text = "::VARCHAR" * (len(kinds) > 1)  # the number 3 and the text 3 are one thing
        rows = " UNION ALL ".join(
            f"SELECT {quoted(one.thing)}{text} AS thing, {quoted(one.key)}{text} AS key "
            f"FROM {quoted(one.table)}"
            for one in lookups
        )
        found = self._query(
            next(iter(lookups)).table,
            f"SELECT thing FROM ({rows}) WHERE thing IS NOT NULL "
            "GROUP BY 1 HAVING min(key) <> max(key) LIMIT 1",
        )
        return found.column(0)[0].as_py() if found.num_rows else None

    def _is_rising(self, table: str, column: str) -> bool:
        """Whether a column names each thing once, in order, as the number of an event does."""
        tree = exp.select(exp.column(column, quoted=True)).from_(exp.table_(table, quoted=True))
        last: int | None = None
        for batch in self._engine.arrow(tree):
            values = batch.column(0)
            if values.null_count or not pa.types.is_integer(values.type):
                return False
            ids = values.to_numpy()
            if not len(ids):
                continue
            if (last is not None and ids[0] <= last) or (ids[1:] <= ids[:-1]).any():
                return False
            last = int(ids[-1])
        return True

    def deal(self, tables: Mapping[str, Dealt], wanted: Sequence[int]) -> None:
        """Decide which rows are in which part, and write those parts that are wanted where rows
        are not in order."""
        self._dealt = tables
        keyed = [dealt for dealt in tables.values() if dealt.key is not None]
        self._ranges = _ranges(self._sources, keyed, self.count)
        if self._ranges is not None:
            return
        memory_limit, _, zone = self._limits
        self._limits = memory_limit, 1, zone  # rows stay in their order
        self._engine.close()
        self._engine = self._opened()
        heads = self.heads()
        kinds = {heads[dealt.table].schema.field(str(dealt.key)).type for dealt in keyed}
        looks = [dealt.lookup for dealt in keyed if dealt.lookup is not None]
        kinds |= {heads[look.table].schema.field(look.key).type for look in looks}
        text = "::VARCHAR" * (len(kinds) > 1)  # the number 3 and the text 3 are one thing
        for name, dealt in tables.items():
            if dealt.key is not None:
                self._write(name, dealt, text, wanted)

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
        if self._ranges is not None:
            held, wanted = self._ranges.of_part(dealt, part)
            if held:
                found = f"read_parquet([{', '.join(literal(str(one)) for one in held)}])"
                rows = f"SELECT {columns} FROM {found} WHERE {wanted}"
            return self._query(dealt.table, rows if held else f"{rows} LIMIT 0")
        files = self._files(name) / f"{PART}={part}"
        if not files.is_dir():
            return self._query(dealt.table, f"{rows} LIMIT 0")
        found = f"read_parquet({literal(str(files / '*.parquet'))}, hive_partitioning = false)"
        return self._query(dealt.table, f"SELECT {columns} FROM {found}")

    def _write(self, name: str, dealt: Dealt, text: str, wanted: Sequence[int]) -> None:
        """Rows of a table, a folder a part, in their order."""
        columns = ", ".join(f"t.{quoted(column)}" for column in dealt.columns)
        key, source = f"t.{quoted(str(dealt.key))}", f"{quoted(dealt.table)} t"
        hashed = f"hash({key}{text})"
        if dealt.lookup is not None:
            look = dealt.lookup
            thing, of = quoted(look.thing), quoted(look.key)
            source += (
                f" LEFT JOIN (SELECT DISTINCT {thing}, {of} FROM {quoted(look.table)}) o "
                f"ON {key}::VARCHAR = o.{thing}::VARCHAR"
            )
            hashed = f"coalesce(hash(o.{of}{text}), {hashed})"
        part = f"coalesce({hashed} % {self.count}, 0)"
        rows = f"SELECT {columns}, {part} AS {quoted(PART)} FROM {source}"
        if len(wanted) < self.count:
            rows += f" WHERE {part} IN ({', '.join(map(str, wanted))})"
        self._files(name).mkdir()
        with refusals(dealt.table):
            self._engine.execute(
                f"COPY ({rows}) TO {literal(str(self._files(name)))} "
                f"(FORMAT parquet, PARTITION_BY ({quoted(PART)}), OVERWRITE_OR_IGNORE, "
                f"ROW_GROUP_SIZE {SHUFFLE_ROWS})"
            )

    def _files(self, name: str) -> Path:
        return self.folder / f"{list(self._dealt).index(name)}"

    def _query(self, name: str, text: str) -> pa.Table:
        with refusals(name):
            return self._engine.query(text)


@dataclass(frozen=True)
class _Ranges:
    """Ranges of integer keys, one a part, over files that are sorted by them.

    Attributes:
        cuts: where ranges begin, from the second on.
        files: of each table and key, with the least and greatest key in each file.
    """

    cuts: Sequence[int]
    files: Mapping[tuple[str, str], Sequence[tuple[int, int, Path]]]

    def of_part(self, dealt: Dealt, part: int) -> tuple[list[Path], str]:
        """The files that hold rows of a part, and the condition on them."""
        key, wanted = str(dealt.key), ["true"]
        held = self.files[dealt.table, key]
        for cut in self.cuts[:part][-1:]:
            wanted.append(f"{quoted(key)} >= {cut}")
            held = [one for one in held if one[1] >= cut]
        for cut in self.cuts[part:][:1]:
            wanted.append(f"{quoted(key)} < {cut}")
            held = [one for one in held if one[0] < cut]
        if part > len(self.cuts):  # keys are fewer than parts
            return [], "false"
        return [file for _, _, file in held], " AND ".join(wanted)


def _ranges(
    sources: Mapping[str, TableSource], keyed: Sequence[Dealt], count: int
) -> _Ranges | None:
    """Ranges of about as many rows each; ``None`` where a table is not sorted by its key."""
    largest: Groups = np.zeros((0, 3), np.int64)
    files = {}
    for dealt in keyed:
        source, key = sources[dealt.table], str(dealt.key)
        if dealt.lookup is not None or not (source.path or "").endswith(".parquet"):
            return None
        groups: list[tuple[int, int, int]] = []
        files[dealt.table, key] = held = list[tuple[int, int, Path]]()
        for file in source.files():
            found = _row_groups(file, key)
            if found is None:
                return None
            groups += found
            held += [(min(g[0] for g in found), max(g[1] for g in found), file)] * bool(found)
        ordered = np.array(sorted(groups), np.int64).reshape(-1, 3)
        if (ordered[1:, 0] < ordered[:-1, 1]).any():
            return None
        largest = max(largest, ordered, key=lambda one: int(one[:, 2].sum()))
    if len(largest) < LEAST_GROUPS or len(largest) < count / MOST_CUTS:
        return None  # keys may be anyhow within a row group
    low, high, rows = largest.T
    ends = np.concatenate([[0], np.cumsum(rows)])
    wanted = ends[-1] * np.arange(1, count) / count
    values = np.interp(wanted, ends, np.append(low, high[-1] + 1))
    return _Ranges([int(value) for value in np.unique(np.ceil(values))], files)


def _row_groups(file: Path, column: str) -> list[tuple[int, int, int]] | None:
    """Least and greatest key and rows of each row group; ``None`` where the key is no integer or
    nothing is known of it."""
    whole = parquet.read_metadata(file)
    schema = whole.schema.to_arrow_schema()
    if column not in schema.names or not pa.types.is_integer(schema.field(column).type):
        return None
    found, place = [], whole.schema.names.index(column)
    for group in range(whole.num_row_groups):
        chunk = whole.row_group(group).column(place)
        stated = chunk.statistics if chunk.is_stats_set else None
        if stated is None or not stated.has_min_max or stated.null_count:
            return None
        found.append((stated.min, stated.max, chunk.num_values))
    return found
