"""Where each name stands in a rule file, and what it names there.

Tokens are read, not syntax nodes, so that a statement which does not parse has its names too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from knowreason.diagnostics import Source, Span
from knowreason.lang.syntax.grammar import SOFT_WORDS, tokens
from knowreason.lang.syntax.node_builders import Token
from knowreason.lang.syntax.parser import chunks

What = Literal[
    "symbol", "domain", "rule", "model", "variable", "argument", "kind", "option", "import"
]
_DECLARED: dict[str, What] = {"rule": "rule", "model": "model"}
_SIGNED = ("observed", "query", "latent", "attribute")
_CLOSED = {"RPAR": "LPAR", "RBRACE": "LBRACE", "RBRACKET": "LBRACKET"}
_OPERAND_ENDS = {"NUMBER", "DURATION", "MONTHS", "STRING", "TRUE", "FALSE", "RPAR", "RBRACE"}
_WORD = re.compile(r'"([^\W\d_]\w*)"')


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A name at a place.

    Attributes:
        what: a ``symbol`` is a predicate, attribute, definition or parameter, an ``argument`` the
            name of an argument place, a ``kind`` that of a model.
        owner: of an argument its predicate, of a variable its statement; else empty.
        declares: whether the name is declared here.
        call: of a variable that is an argument, which call it stands in and at which place, by
            number or name.
    """

    what: What
    name: str
    span: Span
    owner: str = ""
    declares: bool = False
    call: tuple[str, int | str] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """The same for all occurrences of one thing."""
        return self.what, self.owner, self.name


@dataclass(frozen=True, slots=True)
class Stretch:
    """A statement: its tokens without the end mark, and its stretch of the source."""

    tokens: tuple[Token, ...]
    start: int
    end: int

    @property
    def span(self) -> Span:
        """From its first token to its last."""
        return Span(self.tokens[0].source, self.start, self.tokens[-1].end_pos)


@dataclass(frozen=True, slots=True)
class Bracket:
    """A bracket that is open: the kind of token, the name before it, commas so far."""

    kind: str
    call: str = ""
    place: int = 0


@lru_cache(maxsize=256)
def stretches(source: Source) -> tuple[Stretch, ...]:
    """The statements of a file, also those that do not parse."""
    cuts = ((tokens(source, start, end)[:-1], start, end) for start, end in chunks(source.text))
    return tuple(Stretch(tuple(line), start, end) for line, start, end in cuts if line)


@lru_cache(maxsize=256)
def occurrences(source: Source) -> tuple[Occurrence, ...]:
    """Every name of a file, in order."""
    return tuple(found for stretch in stretches(source) for found in _Reading(stretch.tokens).all())


def innermost(line: Sequence[Token]) -> tuple[Bracket, bool]:
    """The bracket that is open behind some tokens, and whether `=` or `:=` stands among them."""
    reading = _Reading(line)
    reading.all()
    return reading.brackets[-1], reading.right


def name_places(line: Sequence[Token]) -> list[bool]:
    """Which tokens are names: words that mean something in places only are names elsewhere."""
    found: list[bool] = []
    for index, token in enumerate(line):
        name = token.type == "NAME"
        if token.value in SOFT_WORDS and not name and token.value != "if":
            before = line[index - 1]
            if token.value == "odds":
                name = before.type not in ("LBRACKET", "QUESTION")
            else:
                name = not (found[index - 1] or before.type in _OPERAND_ENDS)
        found.append(name and index > 0)
    return found


class _Reading:
    """One pass over the tokens of a statement."""

    def __init__(self, line: Sequence[Token]) -> None:
        self.line = line
        self.word = line[0].value
        self.owner = f"{line[0].source.name}:{line[0].start_pos}"
        self.brackets = [Bracket("")]
        self.right = False  # whether `=` or `:=` was read

    def all(self) -> list[Occurrence]:
        names = name_places(self.line)
        found = []
        for index, token in enumerate(self.line):
            if names[index]:
                found.append(self._name(index, token))
            elif token.type == "STRING":
                found += self._string(index, token)
            else:
                self._bracket(index, token)
        return [one for one in found if one]

    def _bracket(self, index: int, token: Token) -> None:
        top = self.brackets[-1]
        if token.type in ("LPAR", "LBRACE", "LBRACKET"):
            before = self.line[index - 1]
            call = before.value if token.type == "LPAR" and before.value.isidentifier() else ""
            self.brackets.append(Bracket(token.type, call))
        elif token.type in _CLOSED and top.kind == _CLOSED[token.type]:
            self.brackets.pop()
        elif token.type == "COMMA":
            self.brackets[-1] = Bracket(top.kind, top.call, top.place + 1)
        elif token.type in ("EQ", "ASSIGN") and len(self.brackets) == 1:
            self.right = True

    def _type(self, index: int) -> str:
        return self.line[index].type if index < len(self.line) else ""

    def _name(self, index: int, token: Token) -> Occurrence | None:
        span = Span(token.source, token.start_pos, token.end_pos)
        before, after = self._type(index - 1), self._type(index + 1)
        name, top = token.value, self.brackets[-1]
        if index == 1 and self.word != "domain":
            return Occurrence(_DECLARED.get(self.word, "symbol"), name, span, "", True)
        if self.word == "domain":
            return None if top.kind else Occurrence("domain", name, span, "", True)
        if self.word in _SIGNED:
            if before in ("WITHIN", "SEES"):
                return Occurrence("symbol", name, span)
            if top.kind == "LPAR" and after == "COLON":
                return Occurrence("argument", name, span, self.line[1].value, True)
            return Occurrence("domain", name, span)
        if self.word == "model":
            if not self.right:
                return Occurrence("symbol", name, span)
            return Occurrence("option" if after == "EQ" else "kind", name, span)
        if top.call and after == "COLON" and before in ("LPAR", "COMMA"):
            return Occurrence("argument", name, span, top.call)
        if before == "DIRECTED" and after == "NAME":
            return None  # how bodies are combined
        if after == "LPAR" or name[0].isupper():
            return Occurrence("symbol", name, span)
        call = self._call(index) if top.call and after in ("COMMA", "RPAR", "") else None
        return Occurrence("variable", name, span, self.owner, False, call)

    def _call(self, index: int) -> tuple[str, int | str] | None:
        top = self.brackets[-1]
        if self._type(index - 1) == "COLON":
            return top.call, self.line[index - 2].value
        return (top.call, top.place) if self._type(index - 1) in ("LPAR", "COMMA") else None

    def _string(self, index: int, token: Token) -> list[Occurrence]:
        if self.word == "import":
            span = Span(token.source, token.start_pos, token.end_pos)
            return [Occurrence("import", token.value[1:-1], span)]
        named = self._type(index - 1) == "EQ" or self.brackets[-1].kind == "LBRACKET"
        word = _WORD.fullmatch(token.value)
        if self.word != "model" or not named or word is None:
            return []
        span = Span(token.source, token.start_pos + 1, token.end_pos - 1)
        return [Occurrence("symbol", word.group(1), span)]
