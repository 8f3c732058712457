"""Which relational engine joins the definitions and rules of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from knowreason.errors import DataError

if TYPE_CHECKING:
    from knowreason.data.engine.relational_engine import RelationalEngine


@dataclass(frozen=True)
class EngineChoice:
    """Where definitions and rules are joined.

    Attributes:
        kind: ``duckdb``, in this process, or ``spark``.
        master: of Spark: ``local[2]``, ``spark://host:7077``, ``yarn``, ``sc://host`` (Connect).
        partitions: of Spark's shuffles; its own default when 0.
        directory: where Spark keeps tables as Parquet: a folder or address that its workers and
            this process reach. Empty: a temporary folder, which is enough for local mode.

    Example:
        >>> EngineChoice("spark", master="local[2]").kind
        'spark'
    """

    kind: Literal["duckdb", "spark"] = "duckdb"
    master: str = "local[*]"
    partitions: int = 0
    directory: str = ""


_CHOSEN: ContextVar[EngineChoice | None] = ContextVar("engine", default=None)


def chosen_engine(of_data: EngineChoice) -> EngineChoice:
    """What :func:`using_engine` chose; elsewhere what the data set says."""
    return _CHOSEN.get() or of_data


@contextmanager
def using_engine(choice: EngineChoice) -> Iterator[None]:
    r"""A context in which the chosen engine joins, whatever data sets say; all give the same.

    Example:
        >>> from knowreason import Dataset, ground, loads
        >>> program = loads('domain P = {"anna"}\nquery Smokes(P)\nrule rare [-1] : Smokes(x)')
        >>> with using_engine(EngineChoice("duckdb")):
        ...     ground(program, Dataset.from_frames(program))
        Grounding(1 Smokes atoms; 1 open groundings of 1 rules)
    """
    token = _CHOSEN.set(choice)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def open_engine(
    choice: EngineChoice, memory_limit: str, threads: int | None, directory: str | None
) -> RelationalEngine:
    """The engine of a data set, or of :func:`using_engine`; to be closed.

    Args:
        choice: what the data set says.
        memory_limit, threads, directory: DuckDB's.

    Raises:
        DataError: KR538 where Spark or Java is not there.
    """
    choice = chosen_engine(choice)
    if choice.kind == "duckdb":
        from knowreason.data.engine.duckdb_engine import DuckDBEngine

        return DuckDBEngine(memory_limit=memory_limit, threads=threads, directory=directory)
    try:
        from knowreason.data.engine.spark_engine import SparkEngine

        return SparkEngine(choice.master, choice.partitions, choice.directory)
    except (ImportError, ConnectionError) as error:
        raise not_there(str(error)) from None


def not_there(why: str) -> DataError:
    """The error of Spark that is not there (KR538)."""
    return DataError(
        why,
        code="KR538",
        help="pip install 'knowreason[spark]'; Java 17, or the address of a cluster that is up",
    )
