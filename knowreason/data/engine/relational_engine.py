"""What grounding and binding ask of a relational engine.

Plans are SQLGlot trees; each engine writes them in its dialect and answers in Arrow.
"""

from __future__ import annotations

import os
import re
from typing import Literal, Protocol

import pyarrow as pa
from sqlglot import exp


class EngineError(Exception):
    """What an engine refuses, in its own words.

    Attributes:
        kind: ``range`` for a number beyond 64 bits, ``memory``, or ``other``.
    """

    def __init__(self, text: str, kind: Literal["range", "memory", "other"] = "other") -> None:
        super().__init__(text)
        self.kind = kind


class RelationalEngine(Protocol):
    """Tables by name, and plans over them.

    Attributes:
        recursive: whether it runs ``WITH RECURSIVE``.
        deep: whether a subquery may read columns of a query two levels up.
        ordered: whether rows of a plan without joins come in the order of its table.

    Every method may raise :class:`EngineError`.
    """

    recursive: bool
    deep: bool
    ordered: bool

    def sql(self, tree: exp.Expr) -> str:
        """The tree in the engine's dialect."""

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table known by a name."""

    def drop(self, name: str) -> None:
        """Forget a registered table."""

    def arrow(self, tree: exp.Query, batch_rows: int = 1_000_000) -> pa.RecordBatchReader:
        """Rows of a plan as Arrow batches; read them before the next plan is run."""

    def materialise(self, name: str, tree: exp.Query) -> None:
        """Run a plan once and keep its rows under a name."""

    def append(self, name: str, tree: exp.Query) -> None:
        """Add the rows of a plan to those of a materialised table."""

    def rows(self, tree: exp.Query) -> int:
        """Exact number of rows of a plan."""

    def estimate(self, tree: exp.Query) -> int:
        """About how many rows a plan has."""

    def explained(self, error: Exception) -> EngineError:
        """An error of reading batches (one of Arrow's), told as the engine's."""

    def close(self) -> None:
        """Drop all tables and give the memory back."""


def memory_bytes(size: str) -> int:
    """Bytes of a size as DuckDB writes it; all of this machine where it says none (``"-1"``).

    Example:
        >>> memory_bytes("4GB"), memory_bytes("1 KiB")
        (4000000000, 1024)
    """
    found = re.fullmatch(r"([\d.]+)\s*([kmgt]?)(i?)b?(?:ytes?)?|([\d.]+)\s*%", size.strip().lower())
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if found is None:  # the engine refuses what is no size at all
        return here
    number, unit, binary, share = found.groups()
    if share is not None:
        return int(float(share) / 100 * here)
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit or " "))
