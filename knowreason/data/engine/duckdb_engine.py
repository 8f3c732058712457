"""DuckDB, in process: the engine of one machine. Nothing else in the package imports it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from knowreason.data.engine.relational_engine import EngineError


class DuckDBEngine:
    """A connection in memory that spills to a folder; a :class:`.RelationalEngine`.

    Tables are registered from Arrow without copies. What people write as SQL (tables of a
    project, the reader of logs) is DuckDB's dialect and goes through :meth:`query`.

    Args:
        memory_limit: as DuckDB writes sizes (``"4GB"``); beyond it, it spills.
        threads: all cores when ``None``.
        directory: where it spills to; one of its own, removed with it, when ``None``.
        zone: of times in files and SQL that name none; the machine's when empty.
    """

    recursive = True
    deep = True
    ordered = True

    def __init__(
        self,
        *,
        memory_limit: str | None = None,
        threads: int | None = None,
        directory: str | None = None,
        zone: str = "",
    ) -> None:
        self._spill = TemporaryDirectory(prefix="knowreason-") if directory is None else None
        config: dict[str, Any] = {
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": self._spill.name if self._spill else directory,
        }
        config = {name: value for name, value in config.items() if value is not None}
        self._connection = duckdb.connect(":memory:", config=config)
        if zone:
            self._connection.execute(f"SET TimeZone = '{zone}'")

    def __enter__(self) -> DuckDBEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop all tables and give the memory back."""
        self._connection.close()
        if self._spill is not None:
            self._spill.cleanup()

    def confine(self, folders: Collection[str]) -> None:
        """Let nothing but files below these folders, and what it spills, be touched from now on.

        No extension is fetched or loaded, no setting changed, and no Python variable is a table.
        """
        allowed = ", ".join(literal(folder) for folder in sorted(folders))
        self.execute("SET python_enable_replacements = false")
        self.execute(f"SET allowed_directories = [{allowed}]")
        self.execute("SET enable_external_access = false")
        self.execute("SET lock_configuration = true")

    def check_reads(self, text: str) -> None:
        """Raise :class:`.EngineError` unless the SQL is one query, which writes nothing."""
        try:
            kinds = [statement.type for statement in self._connection.extract_statements(text)]
        except duckdb.Error as error:
            raise self.explained(error) from error
        if kinds != [duckdb.StatementType.SELECT]:
            raise EngineError("SQL of a table is one SELECT, and changes nothing")

    def sql(self, tree: exp.Expr) -> str:
        """The tree as DuckDB's SQL."""
        return tree.sql(dialect="duckdb", identify=True)

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table known by a name, without a copy."""
        self._connection.register(name, table)

    def drop(self, name: str) -> None:
        """Forget a registered table."""
        self._connection.unregister(name)

    def arrow(self, tree: exp.Query, batch_rows: int = 1_000_000) -> pa.RecordBatchReader:
        """Rows of a plan as Arrow batches; read them before the next plan is run."""
        try:
            return self._connection.sql(self.sql(tree)).to_arrow_reader(batch_rows)
        except duckdb.Error as error:
            raise self.explained(error) from error

    def materialise(self, name: str, tree: exp.Query) -> None:
        """Run a plan once and keep its rows as a table."""
        self._execute(exp.Create(this=_table(name), kind="TABLE", expression=tree))

    def append(self, name: str, tree: exp.Query) -> None:
        """Add the rows of a plan to a table."""
        self._execute(exp.insert(tree, _table(name)))

    def rows(self, tree: exp.Query) -> int:
        """Exact number of rows of a plan."""
        count = exp.select(exp.Count(this=exp.Star())).from_(tree.copy().subquery("q"))
        return int(self._execute(count).fetchall()[0][0])

    def estimate(self, tree: exp.Query) -> int:
        """DuckDB's guess at the number of rows, without running the plan."""
        explain = exp.Command(this="EXPLAIN (FORMAT JSON)", expression=self.sql(tree))
        return _cardinality(json.loads(self._execute(explain).fetchall()[0][1])[0])

    def explained(self, error: Exception) -> EngineError:
        """One of DuckDB's errors, or of Arrow's, which hides one of DuckDB's behind its own."""
        text = str(error).strip()
        if re.search("Out of Range Error|Conversion Error", text.splitlines()[0]):
            return EngineError(text, "range")
        return EngineError(text, "memory" if "Out of Memory Error" in text else "other")

    def query(self, text: str, values: Mapping[str, Any] | None = None) -> pa.Table:
        """Rows of SQL in DuckDB's dialect; ``values`` stand for its ``$names``."""
        try:
            return self._connection.sql(text, params=values).to_arrow_table()
        except duckdb.Error as error:
            raise self.explained(error) from error

    def execute(self, text: str) -> None:
        """Run SQL in DuckDB's dialect that has no rows."""
        try:
            self._connection.execute(text)
        except duckdb.Error as error:
            raise self.explained(error) from error

    def file(self, path: str, kind: str, **options: Any) -> pa.Table:
        """Rows of a file.

        Args:
            path: of a file, or a glob.
            kind: ``parquet``, ``csv``, ``json``, or ``lines``: an object a line, all as text.
            options: of DuckDB's reader.
        """
        try:
            if kind == "lines":
                names = self._connection.read_json(path, format="newline_delimited").columns
                texts = dict.fromkeys(names, "VARCHAR")
                kind, options = "json", {"format": "newline_delimited", "columns": texts}
            return getattr(self._connection, f"read_{kind}")(path, **options).to_arrow_table()
        except duckdb.Error as error:
            raise self.explained(error) from error

    def view(self, name: str, path: str, kind: str = "", **options: Any) -> None:
        """Make a file known by a name without reading it: as :meth:`file`, or SQL where there is
        no ``kind``."""
        try:
            read = getattr(self._connection, f"read_{kind}" if kind else "sql")
            read(path, **options).create_view(name)
        except duckdb.Error as error:
            raise self.explained(error) from error

    def _execute(self, tree: exp.Expr) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(self.sql(tree))
        except duckdb.Error as error:
            raise self.explained(error) from error


def quoted(name: str) -> str:
    """A name as SQL writes it, whatever stands in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL writes it, whatever stands in it."""
    return "'" + text.replace("'", "''") + "'"


def _table(name: str) -> exp.Table:
    return exp.Table(this=exp.to_identifier(name, quoted=True))


def _cardinality(node: dict[str, Any]) -> int:
    stated = node.get("extra_info", {}).get("Estimated Cardinality")
    if stated is not None:
        return int(stated)
    children = node.get("children") or []
    return max((_cardinality(child) for child in children), default=1)
