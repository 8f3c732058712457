"""Findings about a user's text or data: where, what, and what to do.

Only the values live here, so that every layer can raise them. Rendering (text with
carets, JSON, SARIF) is in :mod:`knowreason.lang.diagnostic_rendering`; what a code means is in
:mod:`knowreason.codes`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Severity = Literal["error", "warning", "hint"]


@dataclass(frozen=True)
class Source:
    """A text and the name it is known by (a path, or ``<string>``)."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of the first character of each line."""
        starts = [0]
        starts.extend(i + 1 for i, char in enumerate(self.text) if char == "\n")
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Text of a line (numbered from 1), without its end."""
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start:] if end < 0 else self.text[start:end]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source: offsets ``start <= i < end``."""

    source: Source
    start: int
    end: int

    def place(self) -> str:
        """``name:line:column`` of the start."""
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that explains a finding (a declaration, the other duplicate)."""

    span: Span
    message: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    Attributes:
        code: stable, ``KR`` and three digits; see ``knowreason explain-code``.
        message: in the user's own words, no trailing period.
        span: where, if it is about a text.
        label: a few words printed after the carets.
        related: other places, printed with dashes.
        help: one thing to do, if there is one.
    """

    code: str
    message: str
    severity: Severity = "error"
    span: Span | None = None
    label: str = ""
    related: tuple[Related, ...] = ()
    help: str | None = None
