"""Text to syntax nodes: a file is cut into statements, and lark parses each.

A file is cut before it is parsed, so a fault costs its own statement only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from lark.exceptions import UnexpectedToken

from knowreason.diagnostics import Diagnostic, Source, Span
from knowreason.errors import did_you_mean
from knowreason.lang.syntax import nodes as sx
from knowreason.lang.syntax.grammar import STATEMENT_WORDS, Built, grammar, tokens
from knowreason.lang.syntax.node_builders import SyntaxFault, Token
from knowreason.lang.syntax.syntax_errors import foreign_start, unexpected

MAX_DEPTH = 120
_DEEP_TOKENS = 2 * MAX_DEPTH
_CHUNK = re.compile(r"^(?=[^\s#])", re.MULTILINE)
_NAME_OF_STATEMENT = re.compile(r"\s*\w+\s+([^\W\d_]\w*)")


@dataclass(frozen=True)
class Parsed:
    """Statements of one source, the faults, and the names that broken statements declare."""

    statements: tuple[sx.Statement, ...]
    diagnostics: tuple[Diagnostic, ...]
    broken: frozenset[str]


def chunks(text: str) -> Iterator[tuple[int, int]]:
    """Offsets of each statement: an unindented line and what follows it indented."""
    starts = [match.start() for match in _CHUNK.finditer(text)]
    yield from zip(starts, [*starts, len(text)][1:], strict=False)


def parse_program(source: Source) -> Parsed:
    """Statements of a rule file, and the faults; a fault costs its own statement only."""
    statements: list[sx.Statement] = []
    findings: list[Diagnostic] = []
    broken: set[str] = set()
    cuts = list(chunks(source.text))
    findings.extend(_indented_start(source, cuts[0][0] if cuts else len(source.text)))
    astray = False  # whether the line before began no statement
    for start, end in cuts:
        line = tokens(source, start, end)
        if line[0].value not in STATEMENT_WORDS:
            meant = did_you_mean(line[0].value, STATEMENT_WORDS)
            if findings and meant is None and _stopped_at(findings[-1], source, start):
                findings.pop()
            if not (astray and not line[0].value.isalnum()):
                findings.append(foreign_start(line))
            astray = True
            continue
        astray = False
        try:
            statements.append(cast(sx.Statement, parse_tokens(source, line, "statement")))
        except SyntaxFault as fault:
            findings.append(fault.diagnostic)
            declared = _NAME_OF_STATEMENT.match(source.text, start, end)
            if declared:
                broken.add(declared.group(1))
    return Parsed(tuple(statements), tuple(findings), frozenset(broken))


def parse_fact_file(source: Source) -> tuple[list[sx.Fact], list[Diagnostic]]:
    """Facts of a facts file, and the faults; a fault costs its own line only."""
    facts: list[sx.Fact] = []
    findings: list[Diagnostic] = []
    cuts = list(chunks(source.text))
    first = cuts[0][0] if cuts else len(source.text)
    for start, end in [(0, first), *cuts]:
        line = tokens(source, start, end)
        if len(line) > 1:
            try:
                facts.extend(cast("list[sx.Fact]", parse_tokens(source, line, "facts")))
            except SyntaxFault as fault:
                findings.append(fault.diagnostic)
    return facts, findings


def parse_formula_text(source: Source) -> sx.Expression:
    """The formula that a text is; raises :class:`SyntaxFault`."""
    line = tokens(source, 0, len(source.text))
    return cast(sx.Expression, parse_tokens(source, line, "formula"))


def parse_tokens(source: Source, line: list[Token], start: str) -> object:
    """What the tokens say, read from a start symbol; raises :class:`SyntaxFault`."""
    node = _read(line, start).value
    if len(line) > _DEEP_TOKENS and sx.depth(node, MAX_DEPTH) > MAX_DEPTH:
        raise SyntaxFault(_too_deep(Span(source, line[0].start_pos, line[0].end_pos)))
    return node


def _read(line: list[Token], start: str) -> Built:
    parser = grammar().parser.parse_interactive(start=start)
    for index, token in enumerate(line):
        try:
            built = parser.feed_token(token)
        except UnexpectedToken:
            raise SyntaxFault(unexpected(line, index, accepted(line[:index], start))) from None
    return cast(Built, built)


def accepted(read: Sequence[Token], start: str) -> set[str]:
    """Types of the tokens that can follow these; raises lark's ``UnexpectedToken``.

    A parser that met a wrong token has made reductions that the token asked for, so another
    one reads what stands before it.
    """
    parser = grammar().parser.parse_interactive(start=start)
    for token in read:
        parser.feed_token(token)
    types: set[str] = parser.accepts()  # type: ignore[no-untyped-call]  # of lark, has no types
    return types


def _indented_start(source: Source, end: int) -> list[Diagnostic]:
    line = tokens(source, 0, end)
    return [foreign_start(line)] if len(line) > 1 else []


def _stopped_at(diagnostic: Diagnostic, source: Source, start: int) -> bool:
    """Whether a fault says that a statement ended too early, just before this place."""
    span = diagnostic.span
    return (
        diagnostic.code == "KR101"
        and span is not None
        and span.source is source
        and span.start == span.end
        and not source.text[span.end : start].strip()
    )


def _too_deep(span: Span) -> Diagnostic:
    return Diagnostic(
        "KR112",
        f"this is nested more than {MAX_DEPTH} levels deep",
        span=span,
        help="give parts of it a name with `define`",
    )
