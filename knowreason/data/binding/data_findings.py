"""Findings about tables: collected while binding, raised together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from knowreason.diagnostics import Diagnostic, Span
from knowreason.errors import DataError

FULL_FINDINGS = 10


@dataclass(frozen=True)
class NamedTable:
    """A table and how to speak of it.

    Attributes:
        name: what it holds, as in messages: ```Friends```, ``labels of `Smokes```.
        table: its rows.
        origin: file it was read from, if any.
        spans: place of each row, when the rows are statements of a facts file.
    """

    name: str
    table: pa.Table
    origin: str = ""
    spans: Sequence[Span | None] = ()

    @property
    def title(self) -> str:
        """Name and, where there is one, file."""
        return f"{self.name} ({self.origin})" if self.origin else self.name

    def place(self, row: int, column: str | None = None) -> str:
        """Where a finding is: table, data row (from 1) and column."""
        if self.spans:
            return self.name
        where = f"{self.title}, row {row + 1}"
        return f"{where}, column `{column}`" if column is not None else where

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
        help: str | None = None,
    ) -> None:
        """One error a row; ``message`` is asked only for the rows that are told in full."""
        numbers = np.asarray(rows, dtype=np.int64)
        self.count += len(numbers)
        for row in numbers[: FULL_FINDINGS - len(self.errors)].tolist():
            text = f"{frame.place(row, column)}: {message(row)}"
            self.errors.append(Diagnostic(code, text, span=frame.span(row), help=help))

    def warn(
        self, code: str, message: str, *, help: str | None = None, span: Span | None = None
    ) -> None:
        """A finding that does not stop the binding."""
        self.warnings.append(Diagnostic(code, message, "warning", span=span, help=help))

    def raise_any(self) -> None:
        """Raise :class:`DataError` with the findings so far, if there is an error."""
        if not self.count:
            return
        errors = tuple(self.errors)
        if self.count > len(errors):
            errors += (Diagnostic("KR500", f"and {self.count - len(errors):,} more"),)
        raise DataError(diagnostics=errors)
