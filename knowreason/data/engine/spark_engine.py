"""Spark: the engine of a cluster, or of several cores in local mode.

Only calls that Spark Connect has: SQL, Arrow in and out, Parquet. What Spark reads otherwise than
DuckDB is rewritten in the plan (:mod:`.spark_dialect`).
"""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections.abc import Callable
from itertools import count
from math import prod
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from sqlglot import exp

from knowreason.data.engine.relational_engine import EngineError
from knowreason.data.engine.spark_dialect import in_sparks_words, multiplied

LOCAL_ROWS = 100_000  # tables beyond it go to Spark as Parquet
COUNTED = 10**9  # rows of a product that are counted and not guessed
RANGE = "OVERFLOW|OUT_OF_RANGE|OutOfRange|cannot be represented"
SETTINGS = {
    "spark.sql.ansi.enabled": "true",  # numbers beyond 64 bits are an error
    "spark.sql.caseSensitive": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}


class SparkEngine:
    """Views and Parquet tables of one Spark session; a :class:`.RelationalEngine`.

    Args:
        master: ``local[*]``, ``spark://..``, ``yarn``, ``k8s://..``, or ``sc://..`` (Connect).
        partitions: of shuffles; Spark's own default when 0.
        directory: a folder or address that the workers and this process reach, for tables; a
            temporary folder of this machine when empty, which is for local mode.
    """

    recursive = False
    deep = False
    ordered = False

    def __init__(self, master: str, partitions: int = 0, directory: str = "") -> None:
        self._own = None if directory else TemporaryDirectory(prefix="knowreason-")
        base = self._own.name if self._own else directory
        self._folder = f"{base.rstrip('/')}/{uuid.uuid4().hex}"
        self._session = spark_session(master)
        for name, value in SETTINGS.items():
            self._session.conf.set(name, value)
        if partitions:
            self._session.conf.set("spark.sql.shuffle.partitions", str(partitions))
        self._prefix = f"kr{uuid.uuid4().hex[:12]}_"  # views of several engines share a session
        self._views: dict[str, str] = {}
        self._numbers = count()
        self._schemas: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._wrote = False

    def close(self) -> None:
        """Forget all views and remove their files; the session stays."""
        for view in self._views.values():
            self._session.catalog.dropTempView(view)
        if self._own is not None:
            self._own.cleanup()
        elif self._wrote:
            files, path = _filesystem(self._folder)
            files.delete_dir(path)

    def sql(self, tree: exp.Expr) -> str:
        """The tree as Spark's SQL."""
        tree = in_sparks_words(tree)
        for table in tree.find_all(exp.Table):
            if table.name in self._views:
                name = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
                table.set("this", exp.to_identifier(self._views[table.name], quoted=True))
                table.set("alias", name)
        return tree.sql(dialect="spark", identify=True)

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table a view: small ones as they are, larger ones as Parquet."""
        if not table.num_rows:  # Spark Connect takes no types from an empty table
            row = pa.table([pa.nulls(1, column.type) for column in table.schema], table.schema)
            self._view(name, self._session.createDataFrame(row).limit(0))
            return
        if table.num_rows <= LOCAL_ROWS:
            self._view(name, self._session.createDataFrame(table))
            return
        path = self._path(name)
        files, place = _filesystem(path)
        files.create_dir(place)
        pa.parquet.write_table(table, f"{place}/part.parquet", filesystem=files)
        self._view(name, self._session.read.parquet(path))

    def drop(self, name: str) -> None:
        """Forget a registered table; its file goes with the others."""
        self._session.catalog.dropTempView(self._views.pop(name))

    def arrow(self, tree: exp.Query, batch_rows: int = 1_000_000) -> pa.RecordBatchReader:
        """Rows of a plan as Arrow batches; many go through Parquet, so that few are held."""
        sql = self.sql(tree)
        if self._counts.get(sql, 0) <= batch_rows:
            table: pa.Table = self._told(lambda: self._session.sql(sql).toArrow())
            return table.to_reader(batch_rows)
        path = self._path(f"rows_{uuid.uuid4().hex}")
        self._told(lambda: self._session.sql(sql).write.parquet(path))
        files, place = _filesystem(path)
        rows = pa.dataset.dataset(place, filesystem=files, format="parquet")
        return rows.scanner(batch_size=batch_rows).to_reader()

    def materialise(self, name: str, tree: exp.Query) -> None:
        """Run a plan once and keep its rows as Parquet."""
        if not tree.args.get("limit"):
            tree = tree.copy()
            tree.set("order", None)  # files have none
        self._write(name, tree, "error")

    def append(self, name: str, tree: exp.Query) -> None:
        """Add files with the rows of a plan to a table."""
        self._write(name, tree, "append")
        self._counts.clear()

    def rows(self, tree: exp.Query) -> int:
        """Exact number of rows of a plan; what is counted once is not counted again."""
        sql = self.sql(tree)
        if sql not in self._counts:
            query = f"SELECT COUNT(*) AS `n` FROM ({sql})"
            found = self._told(lambda: self._session.sql(query).toArrow())
            self._counts[sql] = int(found["n"][0].as_py())
        return self._counts[sql]

    def estimate(self, tree: exp.Query) -> int:
        """The exact number of rows, but for large filtered products, which are not counted."""
        tables = multiplied(tree)
        if len(tables) > 1:
            product = prod(self.rows(exp.select(exp.Star()).from_(table)) for table in tables)
            if product > COUNTED or not tree.args.get("where"):
                return product
        return self.rows(tree)

    def explained(self, error: Exception) -> EngineError:
        """One of Spark's errors, or of Arrow's."""
        text = str(error).strip() or type(error).__name__
        if re.search(RANGE, text):
            return EngineError(text, "range")
        return EngineError(text, "memory" if "OutOfMemory" in text else "other")

    def _write(self, name: str, tree: exp.Query, mode: str) -> None:
        frame: DataFrame = self._told(lambda: self._session.sql(self.sql(tree)))
        path = self._path(name)
        self._schemas.setdefault(name, frame.schema)
        self._told(lambda: frame.write.mode(mode).parquet(path))
        self._view(name, self._session.read.schema(self._schemas[name]).parquet(path))

    def _view(self, name: str, frame: DataFrame) -> None:
        self._views.setdefault(name, f"{self._prefix}{next(self._numbers)}")
        frame.createOrReplaceTempView(self._views[name])

    def _path(self, name: str) -> str:
        self._wrote = True
        return f"{self._folder}/{re.sub('[^A-Za-z0-9]', '_', name)}"

    def _told(self, run: Callable[[], Any]) -> Any:
        try:
            return run()
        except PySparkException as error:
            raise self.explained(error) from error


def spark_session(master: str) -> SparkSession:
    """The session at an address, one that is there already as it is; raises ``ConnectionError``."""
    builder = SparkSession.builder.appName("knowreason")
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else whatever `python3` is
    connect = master.startswith("sc://")
    try:
        return (builder.remote(master) if connect else builder.master(master)).getOrCreate()
    except Exception as error:  # of Java, of the network, or of Spark: each has its own
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConnectionError(f"Spark does not start at `{master}`: {first}") from error


def _filesystem(address: str) -> tuple[pa.fs.FileSystem, str]:
    if "://" in address:
        files, path = pa.fs.FileSystem.from_uri(address)
        return files, path
    return pa.fs.LocalFileSystem(), address
