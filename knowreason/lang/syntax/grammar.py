"""Tokens of the rule language, and the parser that lark makes of ``grammar/knowreason.lark``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

from knowreason.diagnostics import Source, Span
from knowreason.lang.syntax.node_builders import Token
from knowreason.lang.syntax.statement_builders import ACTIONS
from knowreason.resources import grammar_path

if TYPE_CHECKING:
    from lark import Lark
    from lark.lexer import TerminalDef

STARTS = ("statement", "facts", "formula")
END = "$END"
STOP = "STOP"  # nothing is left
UNKNOWN = "UNKNOWN"  # a character that begins no token
_COMMON = ("NAME", "LPAR", "RPAR", "COMMA", "AND", "STRING")
STATEMENT_WORDS = (
    "import",
    "domain",
    "observed",
    "query",
    "latent",
    "attribute",
    "define",
    "param",
    "model",
    "rule",
)
SOFT_WORDS = frozenset(
    {"by", "prior", "of", "sees", "odds", "in", "if", "then", "else", "shadow", "expect"}
)
_ENDS_OPERAND = frozenset(
    {"NAME", "NUMBER", "DURATION", "STRING", "UNDERSCORE", "TRUE", "FALSE", "RPAR", "RBRACE"}
)
_OPENS_EXPRESSION = frozenset({"ASSIGN", "LPAR", "LBRACE", "COMMA", "COLON", "THEN", "ELSE"})


class Built(NamedTuple):
    """What a rule of the grammar was reduced to, with its stretch of the source."""

    source: Source
    start_pos: int
    end_pos: int
    value: object


@dataclass(frozen=True)
class Grammar:
    """The parser, and the words and symbols of the lexer.

    Attributes:
        parser: lark's, which gives :class:`Built` for every start symbol.
        pattern: one regular expression for every token; the group's name is its type.
        words: reserved word -> token type.
    """

    parser: Lark
    pattern: re.Pattern[str]
    words: Mapping[str, str]

    @property
    def reserved(self) -> frozenset[str]:
        """Words that cannot be names."""
        return frozenset(self.words) - SOFT_WORDS


@cache
def grammar() -> Grammar:
    """The grammar, read once a process: .01 s, or .15 where its tables are not kept yet."""
    from lark import Lark

    lark = Lark(
        grammar_path().read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start=list(STARTS),
        keep_all_tokens=True,
        maybe_placeholders=False,
        cache=_kept_tables(),
        transformer=SimpleNamespace(**{name: _builder(name) for name in ACTIONS}),
    )
    words = {
        terminal.pattern.value: terminal.name
        for terminal in lark.terminals
        if terminal.pattern.type == "str" and terminal.pattern.value[0].isalpha()
    }
    symbols = [terminal for terminal in lark.terminals if terminal.pattern.value not in words]
    symbols.sort(key=lambda t: (-t.priority, -t.pattern.max_width, t.name))
    return Grammar(lark, _pattern(symbols, lark.lexer_conf.ignore), words)


def _kept_tables() -> str | bool:
    """Where lark keeps the parser's tables: beside this module's bytecode, wherever that is.

    Lark makes them again for another grammar or version, and where it cannot read the file.
    """
    if sys.dont_write_bytecode:
        return False
    return str(Path(cache_from_source(__file__)).with_suffix(".lark"))


def tokens(source: Source, start: int, end: int) -> list[Token]:
    """Tokens of a stretch of the source, the end mark last."""
    words = grammar().words
    line: list[Token] = []
    conditions: list[int] = []
    for match in grammar().pattern.finditer(source.text, start, end):
        kind = match.lastgroup or UNKNOWN
        if kind == STOP:
            break
        text, offset = match[kind], match.start(kind)
        kind = words.get(text, kind)
        if kind == "IF":
            conditions.append(len(line))
        line.append(Token(kind, text, source, offset))
    line.append(Token(END, "", source, line[-1].end_pos if line else start))
    for index in conditions:
        if not _has_branches(line, index):
            line[index] = Token("NAME", line[index].value, source, line[index].start_pos)
    return line


def _has_branches(line: Sequence[Token], index: int) -> bool:
    """Whether an ``if`` begins a condition: it opens an expression, and a ``then`` follows.

    No name stands behind a formula, so that ``then`` is none. ``if(x) > 3`` and ``if (x > 3)
    then`` need this: one more token does not tell a call from a condition.
    """
    if index and line[index - 1].type not in _OPENS_EXPRESSION:
        return False
    depth = 0
    for place in range(index + 1, len(line)):
        kind = line[place].type
        if kind in ("LPAR", "LBRACE", "LBRACKET"):
            depth += 1
        elif kind in ("RPAR", "RBRACE", "RBRACKET"):
            depth -= 1
        elif kind == "THEN" and depth == 0:
            before = line[place - 1]
            if place > index + 1 and (before.type in _ENDS_OPERAND or before.value in SOFT_WORDS):
                return True
        if depth < 0:
            return False
    return False


def _builder(name: str) -> Callable[[list[Token | Built]], Built]:
    """The action of a rule as lark calls it: the span is that of the first and last symbol."""
    action = ACTIONS[name]

    def build(children: list[Token | Built]) -> Built:
        source, start = children[0].source, children[0].start_pos
        end = children[-1].end_pos
        values = [c.value if c.__class__ is Built else c for c in children]
        return Built(source, start, end, action(Span(source, start, end), *values))

    absent = Built(Source("", ""), 0, 0, None)  # never the first or last symbol of a rule
    return (lambda _: absent) if name == "absent" else build


def _pattern(symbols: list[TerminalDef], ignored: Collection[str]) -> re.Pattern[str]:
    """What is skipped, then one token; the commonest tokens are tried first.

    These share their first character with no other token, so their place does not matter.
    """
    skipped = "|".join(t.pattern.to_regexp() for t in symbols if t.name in ignored)
    read = [t for t in symbols if t.name not in ignored]
    read.sort(key=lambda t: t.name not in _COMMON)
    groups = "|".join(f"(?P<{t.name}>{t.pattern.to_regexp()})" for t in read)
    return re.compile(rf"(?:{skipped})*+(?:{groups}|(?P<{STOP}>\Z)|(?P<{UNKNOWN}>.))", re.DOTALL)
