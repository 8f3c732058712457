"""Python on Spark's workers: one task for each number."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import pyarrow as pa

from knowreason.data.engine.engine_choice import EngineChoice, not_there
from knowreason.errors import KnowreasonError

T = TypeVar("T")


def run_on_spark(choice: EngineChoice, function: Callable[[int], T], count: int) -> list[T]:
    """``[function(0), ..., function(count - 1)]``, each computed by a worker.

    The function and what it returns are pickled, so the workers need what they are made of: this
    package, and Python's modules that hold the function.

    Args:
        choice: of Spark.
        function: of a number; small things come back, large ones are written by it.
        count: number of tasks.

    Raises:
        DataError: KR538 where Spark is not there, or a worker cannot run Python like this.
        KnowreasonError: what a task raised.
    """
    try:
        from knowreason.data.engine.spark_engine import spark_session

        session = spark_session(choice.master)
    except (ImportError, ConnectionError) as error:
        raise not_there(str(error)) from None

    def tasks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                try:
                    found: object = function(number)
                except KnowreasonError as error:
                    found = error
                except Exception as error:  # Spark would tell it in a hundred lines of Java
                    found = not_there(f"a worker failed: {type(error).__name__}: {error}")
                yield pa.RecordBatch.from_pydict({"n": [number], "found": [pickle.dumps(found)]})

    numbers = session.range(0, count, 1, count)
    try:
        rows = numbers.mapInArrow(tasks, "n long, found binary").toArrow()
    except Exception as error:  # of Spark, of Py4J or of the network: each has its own
        raise not_there(f"no worker could run Python: {_reason(str(error))}") from error
    found = [pickle.loads(one) for one in rows.sort_by("n")["found"].to_pylist()]
    for one in found:
        if isinstance(one, KnowreasonError):
            raise one
    return found


def _reason(text: str) -> str:
    """The last Python error in what Spark says, else its first line."""
    found = re.findall(r"^\s*((?:\w+\.)*\w+(?:Error|Exception): .+)$", text, re.MULTILINE)
    return (found or text.strip().splitlines() or ["no reason given"])[-1 if found else 0]
