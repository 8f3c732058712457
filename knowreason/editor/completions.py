"""What may be written at a place: words where they act, and names where they are meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lark.exceptions import UnexpectedToken

from knowreason.diagnostics import Source
from knowreason.editor.hover_texts import signature_text
from knowreason.editor.occurrences import innermost
from knowreason.editor.rule_files import RuleFiles, stretch_at
from knowreason.lang.check.symbols import BUILT_IN, names_of
from knowreason.lang.syntax.grammar import (
    SOFT_WORDS,
    STATEMENT_WORDS,
    UNKNOWN,
    grammar,
    tokens,
)
from knowreason.lang.syntax.node_builders import SyntaxFault, Token
from knowreason.lang.syntax.parser import accepted, chunks
from knowreason.logic import VALUE_SORTS, Program
from knowreason.models.base.model_registry import MODELS, told

Shape = Literal["word", "predicate", "attribute", "variable", "domain", "model", "option", "file"]
_BEGUN = re.compile(r"\w*\Z")


@dataclass(frozen=True)
class Offer:
    """One completion.

    Attributes:
        arguments: what stands in the parentheses of a call; ``None`` for what is no call.
        detail: a few words beside it.
    """

    text: str
    shape: Shape
    detail: str = ""
    arguments: tuple[str, ...] | None = None


def completions(files: RuleFiles, path: Path, offset: int) -> list[Offer]:
    """What may stand at a place, where the word that is begun there would stand."""
    source = files.source(path)
    begun = _BEGUN.search(source.text, 0, offset)
    start = begun.start() if begun else offset
    if start == source.line_starts[source.position(start)[0] - 1]:
        return [Offer(word, "word") for word in STATEMENT_WORDS]
    cut = max((a for a, _ in chunks(source.text) if a < start), default=None)
    if cut is None:
        return []
    line = tokens(source, cut, start)[:-1]
    program = files.check(files.root(path)).program
    if "#" in source.text[line[-1].end_pos : start]:
        return []
    if any(token.type == UNKNOWN and token.value == '"' for token in line):
        return list(_in_string(path, line, program))
    allowed = _allowed(line)
    offers = [Offer(word, "word") for word in _words(allowed or set())]
    if allowed is None or "NAME" in allowed:
        offers += _names(files, path, source, line, program, start)
    return offers


def _allowed(line: Sequence[Token]) -> set[str] | None:
    """Types of the tokens that can follow; ``None`` where what stands before is wrong."""
    for read in (line, [_condition(token) for token in line]):
        try:
            return accepted(read, "statement")
        except (UnexpectedToken, SyntaxFault):
            continue
    return None


def _condition(token: Token) -> Token:
    """``if`` as the word it is: without a ``then`` behind it the lexer takes it for a name."""
    return Token("IF", "if", token.source, token.start_pos) if token.value == "if" else token


def _words(allowed: set[str]) -> Iterator[str]:
    for word, kind in grammar().words.items():
        soft = word in SOFT_WORDS and word != "if" and "NAME" in allowed
        if kind in allowed and not soft:
            yield word


def _in_string(path: Path, line: Sequence[Token], program: Program) -> Iterator[Offer]:
    """What a text may be: a file to import, or what a model is shown."""
    if line[0].value == "import":
        names = [file.name for file in sorted(path.parent.glob("*.kr")) if file != path]
        yield from (Offer(name, "file") for name in names)
    if line[0].value == "model":
        yield from map(_bare, _symbols(program))


def _names(
    files: RuleFiles,
    path: Path,
    source: Source,
    line: Sequence[Token],
    program: Program,
    start: int,
) -> Iterator[Offer]:
    bracket, right = innermost(line)
    word, before = line[0].value, line[-1].type
    if word in ("observed", "query", "latent", "attribute"):
        if before in ("WITHIN", "SEES"):
            yield from (_bare(o) for o in _symbols(program) if o.shape == "predicate")
        elif len(line) > 1:
            sorts = VALUE_SORTS if before == "COLON" and not bracket.kind else ()
            yield from (Offer(name, "domain") for name in sorts)
            yield from (Offer(domain.name, "domain") for domain in program.domains)
    elif word == "model" and not right:
        asked = {p.name for p in program.open_predicates}
        asked |= {a.name for a in program.attributes if a.asked}
        if before in ("FOR", "COMMA"):
            yield from map(_bare, _symbols(program, asked))
    elif word == "model":
        if bracket.call:
            yield from _options(bracket.call)
        if before != "LBRACKET":
            yield from (Offer(kind, "model", told(kind)[1], ()) for kind in MODELS)
    elif word in ("rule", "define") and len(line) > 1:
        yield from _variables(files, path, source, start)
        if bracket.kind != "LBRACKET" or before == "STAR":
            called = names_of(program).symbols.get(bracket.call)
            labels = called.labels if called else ()
            yield from (Offer(f"{n}: ", "option", bracket.call) for n in labels if n)
            if word == "rule" or right:
                yield from _symbols(program)
                yield from (Offer(name, "attribute", "built in", ("x",)) for name in BUILT_IN)
                yield from (Offer(p.name, "variable", "parameter") for p in program.parameters)


def _bare(offer: Offer) -> Offer:
    return replace(offer, arguments=None)


def _symbols(program: Program, only: Iterable[str] | None = None) -> Iterator[Offer]:
    for name, symbol in names_of(program).symbols.items():
        if symbol.kind == "param" or (only is not None and name not in only):
            continue
        pairs = zip(symbol.labels, symbol.sorts, strict=True)
        places = tuple(label or str(sort).lower() for label, sort in pairs)
        shape: Shape = "predicate" if symbol.is_predicate else "attribute"
        yield Offer(name, shape, f"{symbol.kind} {signature_text(symbol)}", places)


def _options(kind: str) -> Iterator[Offer]:
    """Options of a model kind; the first question for one imports its libraries."""
    from knowreason.models.base.model_options import options_table

    if kind in MODELS:
        for name, parameter in options_table(MODELS[kind]).items():
            needed = parameter.default is parameter.empty
            yield Offer(f"{name}=", "option", "required" if needed else repr(parameter.default))


def _variables(files: RuleFiles, path: Path, source: Source, start: int) -> Iterator[Offer]:
    """Variables of the statement, but not the one that is being written."""
    _, stretch = stretch_at(source, max(start - 1, 0))
    if stretch is None:
        return
    here = [o for o in files.names(path) if o.what == "variable" and o.span.source == source]
    inside = [o for o in here if stretch.start <= o.span.start < stretch.end]
    others = dict.fromkeys(o.name for o in inside if o.span.start != start)
    yield from (Offer(name, "variable") for name in others)
