"""Text to syntax nodes: cutting a file into statements, tokens, and the LALR driver.

A file is cut before it is parsed, so a fault costs its own statement only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from knowreason.diagnostics import Diagnostic, Source, Span
from knowreason.errors import did_you_mean
from knowreason.lang import syntax as sx
from knowreason.lang.actions import SyntaxFault, Token
from knowreason.lang.faults import foreign_start, unexpected
from knowreason.lang.statement_actions import ACTIONS
from knowreason.lang.tables import END, STATEMENT_WORDS, STOP, Reduction, Tables, tables

MAX_DEPTH = 120
_DEEP_TOKENS = 2 * MAX_DEPTH
_CHUNK = re.compile(r"^(?=[^\s#])", re.MULTILINE)
_NAME_OF_STATEMENT = re.compile(r"\s*\w+\s+([^\W\d_]\w*)")

_token = partial(tuple.__new__, Token)  # a third of the time of Token(...)
_CLIMBED: dict[tuple[int, int, str], int] = {}  # see _climb; a few hundred entries at most


@dataclass(frozen=True)
class Parsed:
    """Statements of one source, the faults, and the names that broken statements declare."""

    statements: tuple[sx.Statement, ...]
    diagnostics: tuple[Diagnostic, ...]
    broken: frozenset[str]


def tokens(source: Source, start: int, end: int) -> list[Token]:
    """Tokens of a stretch of the source, the end mark last."""
    known = tables()
    words = known.words
    found: list[Token] = []
    for match in known.pattern.finditer(source.text, start, end):
        kind = match.lastgroup
        text = match[kind]  # type: ignore[index]
        if kind == "NAME":
            kind = words.get(text, kind)
        elif kind == STOP:
            break
        found.append(_token((kind, text, *match.span(match.lastindex))))  # type: ignore[arg-type]
    close = found[-1].end if found else start
    found.append(Token(END, "", close, close))
    return found


def chunks(text: str) -> Iterator[tuple[int, int]]:
    """Offsets of each statement: an unindented line and what follows it indented."""
    starts = [match.start() for match in _CHUNK.finditer(text)]
    yield from zip(starts, [*starts, len(text)][1:], strict=False)


def parse_program(source: Source) -> Parsed:
    """Parse every statement of a rule file."""
    statements: list[sx.Statement] = []
    found: list[Diagnostic] = []
    broken: set[str] = set()
    cuts = list(chunks(source.text))
    found.extend(_indented_start(source, cuts[0][0] if cuts else len(source.text)))
    astray = False  # whether the line before began no statement
    for start, end in cuts:
        line = tokens(source, start, end)
        if line[0].text not in STATEMENT_WORDS:
            meant = did_you_mean(line[0].text, STATEMENT_WORDS)
            if found and meant is None and _stopped_at(found[-1], source, start):
                found.pop()
            if not (astray and not line[0].text.isalnum()):
                found.append(foreign_start(source, line))
            astray = True
            continue
        astray = False
        try:
            statements.append(parse_tokens(source, line, "statement"))
        except SyntaxFault as fault:
            found.append(fault.diagnostic)
            declared = _NAME_OF_STATEMENT.match(source.text, start, end)
            if declared:
                broken.add(declared.group(1))
    return Parsed(tuple(statements), tuple(found), frozenset(broken))


def parse_fact_file(source: Source) -> tuple[list[sx.Fact], list[Diagnostic]]:
    """Parse every line of a facts file; a fault costs its own line only."""
    facts: list[sx.Fact] = []
    found: list[Diagnostic] = []
    cuts = list(chunks(source.text))
    first = cuts[0][0] if cuts else len(source.text)
    for start, end in [(0, first), *cuts]:
        line = tokens(source, start, end)
        if len(line) > 1:
            try:
                facts.extend(parse_tokens(source, line, "facts"))
            except SyntaxFault as fault:
                found.append(fault.diagnostic)
    return facts, found


def parse_formula_text(source: Source) -> sx.Expression:
    """Parse one formula; raises :class:`SyntaxFault`."""
    line = tokens(source, 0, len(source.text))
    return parse_tokens(source, line, "formula")  # type: ignore[no-any-return]


def parse_tokens(source: Source, line: list[Token], start: str) -> Any:
    """Run the LALR automaton over tokens; raises :class:`SyntaxFault`."""
    known = tables()
    node = _run(known, source, line, start)
    deep = len(line) > _DEEP_TOKENS and sx.depth(node, MAX_DEPTH) > MAX_DEPTH
    if deep:
        span = Span(source, line[0].start, line[0].end)
        raise SyntaxFault(_too_deep(span))
    return node


def _run(known: Tables, source: Source, line: list[Token], start: str) -> Any:
    states, actions, climbed = known.states, ACTIONS, _CLIMBED
    last = known.end[start]
    stack, values, begins = [known.start[start]], [], [line[0].start]
    finish = line[0].start
    index = -1
    while True:
        index += 1
        token = line[index]
        kind = token.kind
        while True:
            step = states[stack[-1]].get(kind)
            if step.__class__ is int:
                stack.append(step)  # type: ignore[arg-type]
                values.append(token)
                begins.append(token.start)
                finish = token.end
                break
            if step is None:
                before = _states_before(known, line[:index], start)
                raise SyntaxFault(unexpected(known, source, line, index, before))
            size = step.size  # type: ignore[union-attr]
            if step.action is None:  # type: ignore[union-attr]
                rung = (stack[-2], stack[-1], kind)
                if rung not in climbed:
                    climbed[rung] = _climb(states, *rung)
                stack[-1] = climbed[rung]
                if kind is END and stack[-1] == last:
                    return values[-1]
                continue
            if size:
                begin = begins[-size]
                value = actions[step.action](Span(source, begin, finish), *values[-size:])  # type: ignore[union-attr, index]
                del stack[-size:], values[-size:], begins[-size:]
                values.append(value)
                begins.append(begin)
            else:
                values.append(actions[step.action](Span(source, finish, finish)))  # type: ignore[union-attr, index]
                begins.append(finish)
            stack.append(states[stack[-1]][step.origin])  # type: ignore[union-attr, arg-type]
            if kind is END and stack[-1] == last:
                return values[-1]


def _climb(states: Sequence[Mapping[str, int | Reduction]], below: int, top: int, kind: str) -> int:
    """The state after every reduction of one value that needs no node, before ``kind``."""
    while isinstance(step := states[top].get(kind), Reduction) and step.action is None:
        top = states[below][step.origin]  # type: ignore[assignment]
    return top


def _states_before(known: Tables, read: list[Token], start: str) -> list[int]:
    """The stack after these tokens, before the next one made the automaton reduce."""
    stack = [known.start[start]]
    for token in read:
        while isinstance(step := known.states[stack[-1]][token.kind], Reduction):
            if step.size:
                del stack[-step.size :]
            stack.append(known.states[stack[-1]][step.origin])  # type: ignore[arg-type]
        stack.append(step)
    return stack


def _indented_start(source: Source, end: int) -> list[Diagnostic]:
    line = tokens(source, 0, end)
    return [foreign_start(source, line)] if len(line) > 1 else []


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
