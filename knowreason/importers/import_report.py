"""What an import made of each line: carried over, changed or refused, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from lark import UnexpectedInput, UnexpectedToken

from knowreason.diagnostics import Span

Outcome = Literal["carried", "changed", "refused"]


@dataclass(frozen=True, slots=True)
class ImportedLine:
    """One line of a source and what became of it.

    Attributes:
        file, line, column: where it begins; both numbers from 1.
        text: as it was written.
        became: the statements of the rule language, or what the rows fill.
        reason: why it was changed or refused.
    """

    outcome: Outcome
    file: str
    line: int
    column: int
    text: str
    became: str = ""
    reason: str = ""

    def __str__(self) -> str:
        told = [f"{self.file}:{self.line}:{self.column}: {self.outcome}: {self.text}"]
        told += [f"    became  {one}" for one in self.became.splitlines()]
        return "\n".join([*told, *(f"    because {one}" for one in self.reason.splitlines())])


@dataclass
class ImportReport:
    """Every line of an import, and names that had to become others; ``str`` is its text."""

    lines: list[ImportedLine] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)

    def add(self, span: Span, became: str = "", reason: str = "", *, refused: bool = False) -> None:
        """Tell of a line: refused, changed where there is a reason, else carried over."""
        outcome: Outcome = "refused" if refused else "changed" if reason else "carried"
        line, column = span.source.position(span.start)
        text = " ".join(span.source.text[span.start : span.end].split())
        entry = ImportedLine(outcome, span.source.name, line, column, text, became, reason)
        self.lines.append(entry)

    def refuse(self, span: Span, fault: UnexpectedInput) -> None:
        """Tell that a line is not understood, and from where on."""
        at = span.start + (fault.pos_in_stream or 0)
        ended = isinstance(fault, UnexpectedToken) and fault.token.type == "$END"
        rest = span.source.text[at : span.end].split(maxsplit=1)
        why = "it ends too early"
        if rest and not ended:
            why = f"`{rest[0]}` at column {span.source.position(at)[1]} is not understood"
        self.add(span, reason=why, refused=True)

    def count(self, outcome: Outcome) -> int:
        """How many lines had that outcome."""
        return Counter(line.outcome for line in self.lines)[outcome]

    @property
    def summary(self) -> str:
        """How many lines were carried over, changed and refused."""
        counts = [f"{self.count(one)} {one}" for one in ("carried", "changed", "refused")]
        return ", ".join(counts).replace("carried", "carried over")

    def __str__(self) -> str:
        names = [f"renamed: {old} became {new}" for old, new in self.renamed.items()]
        return "\n".join([*map(str, self.lines), *names, self.summary]) + "\n"

    def sort(self) -> None:
        """Lines by file, in the order in which files were first told of, and place."""
        files = {line.file: None for line in self.lines}
        order = {file: number for number, file in enumerate(files)}
        self.lines.sort(key=lambda line: (order[line.file], line.line, line.column))
