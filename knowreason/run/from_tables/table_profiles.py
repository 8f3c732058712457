"""What stands in the columns of tables: sorts, distinct values, overlaps; counted by DuckDB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from knowreason.data.binding.table_files import TableSource, as_view, refusals
from knowreason.data.engine.duckdb_engine import DuckDBEngine, literal, quoted
from knowreason.errors import ProjectError

ROWS = 500_000  # of a table that are profiled, drawn at random
VALUES = 10_000  # distinct values that are looked for in another column
FEW = 60  # distinct values of a column that are looked at one by one
NULLS = ("\\N", "NA", "N/A", "NULL", "null", "None", "NaN", "nan", "?", "-", "")
DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y")
FORMATS = (*DAYS, *(f"{day} {time}" for day in DAYS for time in ("%H:%M", "%H:%M:%S")))
_CASTS = {"whole": "BIGINT", "number": "DOUBLE", "time": "TIMESTAMP"}
_SORTS = (
    ("truth", "BOOLEAN"),
    ("whole", r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?"),
    ("number", r"FLOAT|DOUBLE|DECIMAL.*"),
    ("time", "DATE|TIMESTAMP.*"),
    ("text", "VARCHAR|UUID|ENUM.*"),
)
_CODE = (  # U620@DOM1, p17; 3f2a-99b1-...; 10.0.0.7
    r"^([A-Za-z]{1,12}[-_:.#]?[0-9A-Fa-f]*[0-9][A-Za-z0-9@._:-]*|[0-9A-Fa-f-]{8,}|(\d+\.){3}\d+)$"
)
_DAY_FIRST = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}\b")


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


CLOCKS = word_set(
    "time date timestamp ts datetime at when day month year week hour step slice snapshot period "
    "epoch created occurred opened"
)


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What a column holds.

    Attributes:
        name: in the file.
        sort: ``truth``, ``whole``, ``number``, ``time``, ``text``, or ``other``: nothing we read.
        filled, distinct: rows with a value, different values, of the profiled rows.
        low, high: least and greatest value, as text.
        values: the different ones with their counts, most frequent first; empty where there are
            over :data:`FEW`.
        code: share of texts that look like an id.
        read: SQL that reads the column where its cells are not what they say: numbers among
            ``NA``, seconds since 1970, dates with the day first.
        note: what ``read`` makes of it, in words.
    """

    name: str
    sort: str
    filled: int
    distinct: int
    low: str = ""
    high: str = ""
    values: tuple[tuple[str, int], ...] = ()
    code: float = 0.0
    read: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class TableProfile:
    """A table: ``rows`` in all, ``profiled`` of them looked at, and its columns."""

    name: str
    path: Path
    rows: int
    profiled: int
    columns: dict[str, ColumnProfile] = field(default_factory=dict)

    def unique(self, column: str) -> bool:
        """Whether each profiled row has a value of its own."""
        found = self.columns[column]
        return found.filled == found.distinct == self.profiled

    def references(self, column: str) -> str:
        """The column as SQL, with its table."""
        return f"{quoted(self.name)}.{quoted(column)}"


class TableProfiler:
    """Tables in an engine, each as it will be read; asks about several of them at once."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self.engine = engine

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        table = self.engine.query(sql)
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def profile(self, name: str, path: Path) -> TableProfile:
        """A file as a table of the engine, and what stands in it.

        Raises:
            DataError: KR520, KR521, KR522 as :func:`.load_tables`.
            ProjectError: KR952 for a table without rows.
        """
        file, drawn = f"{name} file", f"{name} drawn"
        with refusals(name):
            as_view(self.engine, file, TableSource(path=str(path)))
            (rows,) = self.rows(f"SELECT count(*) FROM {quoted(file)}")[0]
            some = f" USING SAMPLE reservoir({ROWS} ROWS) REPEATABLE (1)" if rows > ROWS else ""
            self.engine.execute(
                f"CREATE TABLE {quoted(drawn)} AS SELECT * FROM {quoted(file)}{some}"
            )
            types = self.rows(f"DESCRIBE {quoted(drawn)}")
        if not rows:
            raise ProjectError(
                f"table `{name}` (`{path}`) has no rows",
                code="KR952",
                help="nothing can be guessed from it: leave it out, or name a file with rows",
            )
        sorts = {str(column): _sort(str(kind)) for column, kind, *_ in types}
        plain = self._columns(drawn, sorts)
        cleaned = {c: self._cleaned(drawn, plain[c]) for c in sorts if sorts[c] != "other"}
        reads = [
            f"{found.read} AS {quoted(column)}" if (found := cleaned.get(column)) and found.read
            else quoted(column)
            for column in sorts
        ]  # fmt: skip
        self.engine.execute(
            f"CREATE VIEW {quoted(name)} AS SELECT {', '.join(reads)} FROM {quoted(drawn)}"
        )
        again = self._columns(name, {c: f.sort for c, f in cleaned.items()})
        columns = {
            column: plain[column]
            if sorts[column] == "other"
            else _with(again[column], cleaned[column].read, cleaned[column].note)
            for column in sorts
        }
        return TableProfile(name, path, rows, min(rows, ROWS), columns)

    def overlap(self, one: tuple[TableProfile, str], other: tuple[TableProfile, str]) -> float:
        """Share of the different values of the column with fewer that the other column has."""
        (few, column), (many, into) = sorted(
            (one, other), key=lambda pair: pair[0].columns[pair[1]].distinct
        )
        few_values = (
            f"SELECT DISTINCT {few.references(column)}::VARCHAR AS v FROM {quoted(few.name)} "
            f"WHERE {quoted(column)} IS NOT NULL ORDER BY hash(v) LIMIT {VALUES}"
        )
        # a drawn part of a long table would lack most of them
        whole = quoted(many.name if many.rows == many.profiled else f"{many.name} file")
        (share,) = self.rows(
            f"SELECT avg((v IN (SELECT {quoted(into)}::VARCHAR FROM {whole}))::INT) "
            f"FROM ({few_values})"
        )[0]
        return float(share or 0.0)

    def is_key(self, table: TableProfile, columns: Sequence[str]) -> bool:
        """Whether values of the columns together tell the rows of the whole table apart."""
        names = ", ".join(map(quoted, columns))
        whole = quoted(table.name if table.rows == table.profiled else f"{table.name} file")
        (count,) = self.rows(f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM {whole})")[0]
        return bool(count == table.rows)

    def _columns(self, table: str, sorts: dict[str, str]) -> dict[str, ColumnProfile]:
        """Profiles of columns by one pass, and the values of those that have few."""
        asked = [
            f"count({c}), count(DISTINCT {c}), min({c})::VARCHAR, max({c})::VARCHAR, "
            + (f"avg(regexp_matches({c}::VARCHAR, {literal(_CODE)})::INT)" if s == "text" else "0")
            if s != "other"
            else f"count({c}), 0, '', '', 0"
            for c, s in ((quoted(name), s) for name, s in sorts.items())
        ]
        row = self.rows(f"SELECT {', '.join(asked)} FROM {quoted(table)}")[0] if asked else ()
        found = {}
        for position, (name, sort) in enumerate(sorts.items()):
            filled, distinct, low, high, code = row[5 * position : 5 * position + 5]
            values: list[tuple[Any, ...]] = []
            if 0 < distinct <= FEW:
                values = self.rows(
                    f"SELECT {quoted(name)}::VARCHAR AS v, count(*) AS n FROM {quoted(table)} "
                    f"WHERE v IS NOT NULL GROUP BY v ORDER BY n DESC, v"
                )
            found[name] = ColumnProfile(
                name, sort, filled, distinct, low or "", high or "", tuple(values), float(code or 0)
            )
        return found

    def _cleaned(self, table: str, column: ColumnProfile) -> ColumnProfile:
        """A column as it is to be read: with ``read`` and its sort, where that differs."""
        name = quoted(column.name)
        if column.sort == "text" and column.filled:
            words = ", ".join(map(literal, NULLS))
            asked = [f"count(*) FILTER (WHERE {name}::VARCHAR IN ({words}))"]
            asked += [f"min({name}::VARCHAR) FILTER (WHERE {name}::VARCHAR IN ({words}))"]
            asked += [f"count(TRY_CAST({name}::VARCHAR AS {kind}))" for kind in _CASTS.values()]
            asked[2] += f" FILTER (WHERE NOT contains({name}::VARCHAR, '.'))"  # 1.5 would be 2
            formats = FORMATS if _DAY_FIRST.match(column.low) else ()
            asked += [f"count(try_strptime({name}::VARCHAR, {literal(f)}))" for f in formats]
            nulls, word, *counts = self.rows(f"SELECT {', '.join(asked)} FROM {quoted(table)}")[0]
            dates = counts[len(_CASTS) :]
            for count, (sort, kind) in zip(counts, _CASTS.items(), strict=False):
                if 0 < nulls < column.filled and count + nulls == column.filled:
                    read = f"TRY_CAST({name}::VARCHAR AS {kind})"
                    return _with(column, read, f"cells {word!r} read as missing", sort)
            fitting = [f for f, n in zip(formats, dates, strict=True) if n == column.filled]
            if fitting:
                doubt = f", or {fitting[1]}: check" if len(fitting) > 1 else ""
                read = f"strptime({name}::VARCHAR, {literal(fitting[0])})"
                return _with(column, read, f"read as {fitting[0]}{doubt}", "time")
        if column.sort in ("whole", "number") and named(column.name, CLOCKS):
            low, high = float(column.low or 0), float(column.high or 0)
            for unit, scale in (("seconds", 1.0), ("milliseconds", 1e3)):
                if 3e8 * scale < low <= high < 4e9 * scale:  # 1979 to 2096
                    read = f"to_timestamp({name} / {scale})"
                    return _with(column, read, f"read as {unit} since 1970", "time")
        return column


def words(name: str) -> list[str]:
    """Words of a name, in small letters: ``srcIP_v4`` has ``src``, ``ip``, ``v``, ``4``."""
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+", name)]


def named(name: str, among: frozenset[str]) -> bool:
    """Whether the last word of a name is among some."""
    return bool(set(words(name)[-1:]) & among)


@contextmanager
def profiler(memory_limit: str = "2GB") -> Iterator[TableProfiler]:
    """An engine to profile tables in; what does not fit into the memory goes to disk."""
    with DuckDBEngine(memory_limit=memory_limit, zone="UTC") as engine:
        yield TableProfiler(engine)


def _sort(kind: str) -> str:
    return next((sort for sort, form in _SORTS if re.fullmatch(form, kind)), "other")


def _with(column: ColumnProfile, read: str, note: str, sort: str = "") -> ColumnProfile:
    return replace(column, read=read, note=note, sort=sort or column.sort)
