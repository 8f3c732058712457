"""Findings about tables: collected while binding, raised together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from knowreason.data.binding.column_reading import ColumnReading
from knowreason.diagnostics import Diagnostic, Severity, Span
from knowreason.errors import DataError
from knowreason.logic.canonical_text import string_text

FULL_FINDINGS = 10
MORE_VALUES = 5  # shown beside the first that is wrong


@dataclass(frozen=True)
class NamedTable:
    """A table and how to speak of it.

    Attributes:
        name: what it holds, as in messages: ```Friends```, ``labels of `Smokes```; where it is
            empty, whoever reads the table says.
        table: its rows.
        origin: file or table of a project that it was read from, if any.
        spans: place of each row, when the rows are statements of a facts file.
        rows: ``int64[rows]``, which row of its origin each is, where some are left out.
        reading: how the last column is read, where it holds values.
    """

    name: str
    table: pa.Table
    origin: str = ""
    spans: Sequence[Span | None] = ()
    rows: NDArray[np.int64] | None = None
    reading: ColumnReading = ColumnReading()

    @property
    def title(self) -> str:
        """Name and, where there is one, file."""
        return f"{self.name} ({self.origin})" if self.origin else self.name

    def place(self, row: int, column: str | None = None) -> str:
        """Where a finding is: table, data row (from 1) and column."""
        if self.spans:
            return self.name
        where = f"{self.title}, row {self.number(row)}"
        return f"{where}, column `{column}`" if column is not None else where

    def number(self, row: int) -> int:
        """Which row of its origin a row is, from 1."""
        return 1 + (row if self.rows is None else int(self.rows[row]))

    def span(self, row: int) -> Span | None:
        """Place in a facts file, ``None`` for a row of a table."""
        return self.spans[row] if self.spans else None


@dataclass
class BindingFindings:
    """What is wrong with the tables so far; the first ten are told in full."""

    errors: list[Diagnostic] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)
    count: int = 0

    def add(
        self, code: str, message: str, *, help: str | None = None, span: Span | None = None
    ) -> None:
        """One error that is about no single row."""
        self.count += 1
        if len(self.errors) < FULL_FINDINGS:
            self.errors.append(Diagnostic(code, message, span=span, help=help))

    def add_rows(
        self,
        code: str,
        frame: NamedTable,
        rows: ArrayLike,
        message: Callable[[int], str],
        *,
        column: str | None = None,
        values: pa.ChunkedArray | None = None,
        help: str | None = None,
    ) -> None:
        """One error a row, or, where the column's ``values`` are given, one that counts the rows of
        each wrong value; ``message`` is asked only for the rows that are told in full."""
        numbers = np.asarray(rows, dtype=np.int64)
        if not len(numbers):
            return
        if values is not None and not (frame.spans or pa.types.is_nested(values.type)):
            text = message(int(numbers[0])) + _counted(values.take(pa.array(numbers)))
            text = f"{frame.place(int(numbers[0]), column)}: {text}"
            self.add(code, text, help=help)
            return
        self.count += len(numbers)
        for row in numbers[: FULL_FINDINGS - len(self.errors)].tolist():
            text = f"{frame.place(row, column)}: {message(row)}"
            self.errors.append(Diagnostic(code, text, span=frame.span(row), help=help))

    def warn(
        self,
        code: str,
        message: str,
        *,
        severity: Severity = "warning",
        help: str | None = None,
        span: Span | None = None,
    ) -> None:
        """A finding that does not stop the binding."""
        self.warnings.append(Diagnostic(code, message, severity, span=span, help=help))

    def raise_any(self) -> None:
        """Raise :class:`DataError` with errors and warnings so far, if there is an error."""
        if not self.count:
            return
        errors = tuple(self.errors)
        if self.count > len(errors):
            errors += (Diagnostic("KR500", f"and {self.count - len(errors):,} more"),)
        raise DataError(diagnostics=(*errors, *self.warnings))


def _counted(wrong: pa.ChunkedArray) -> str:
    """How many rows have the first wrong value, and which others there are; empty for one row."""
    if len(wrong) == 1:
        return ""
    found = wrong.value_counts()
    names, counts = pc.struct_field(found, "values"), pc.struct_field(found, "counts")
    said = f" ({counts[0].as_py():,} rows)" if counts[0].as_py() > 1 else ""
    if len(names) == 1:
        return said
    others = names.slice(1, MORE_VALUES).cast(pa.string()).to_pylist()
    shown = ", ".join("null" if name is None else string_text(name) for name in others)
    more = " ..." if len(names) > 1 + MORE_VALUES else ""
    return f"{said}, nor {shown}{more} ({len(names):,} values in {len(wrong):,} rows)"
