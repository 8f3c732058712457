"""Where spaces and line breaks go between the tokens of a statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from knowreason.lang.syntax.node_builders import Token

_ASCII = {
    "IFF": "<=>",
    "IMPLIES": "=>",
    "OR": "|",
    "AND": "&",
    "NOT": "!",
    "NE": "!=",
    "LE": "<=",
    "GE": ">=",
    "FORALL_SIGN": "forall",
    "EXISTS_SIGN": "exists",
}
_OPENERS, _CLOSERS = ("LPAR", "LBRACE", "LBRACKET"), ("RPAR", "RBRACE", "RBRACKET")
_CONNECTIVES = ("IFF", "NEUTRAL", "DIRECTED", "IMPLIES", "OR", "AND")
_OPERANDS = (
    "NAME",
    "NUMBER",
    "DURATION",
    "MONTHS",
    "STRING",
    "RPAR",
    "RBRACE",
    "UNDERSCORE",
    "TRUE",
    "FALSE",
)
_SOFT = ("BY", "PRIOR", "OF", "SEES", "ODDS", "IN", "THEN", "ELSE", "SHADOW", "EXPECT")
_FUNCTIONS = ("ABS", "LOG", "LOG1P", "EXP", "SQRT", "MIN", "MAX", "FLOOR")


class Piece(NamedTuple):
    """A token as it is written.

    Attributes:
        space: whether a space comes before it.
        breaks: whether a line may begin with it.
        depth: how many brackets are open around it.
    """

    text: str
    space: bool
    breaks: bool
    depth: int


def pieces(line: Sequence[Token]) -> list[Piece]:
    """The tokens of one statement with their spacing."""
    out: list[Piece] = []
    stack: list[str] = []
    keyword = line[0].value
    for index, token in enumerate(line):
        kind = token.type
        if kind in _CLOSERS:
            stack.pop()
        before = line[index - 1] if index else None
        space = before is not None and _space(line, index, keyword, stack)
        breaks = kind in _CONNECTIVES or (before is not None and before.type == "COMMA")
        breaks |= kind == "EXPECT" and not stack and line[index - 1].type in _OPERANDS
        out.append(Piece(_ASCII.get(kind, token.value), space, breaks, len(stack)))
        if kind in _OPENERS:
            stack.append(kind)
    return out


def _space(line: Sequence[Token], index: int, keyword: str, stack: Sequence[str]) -> bool:
    before, here = line[index - 1].type, line[index].type
    if before == "LBRACE" or here == "RBRACE":
        return (before, here) != ("LBRACE", "RBRACE")
    if here in ("COMMA", "DOT", "RPAR", "RBRACKET") or before in ("LPAR", "LBRACKET"):
        return False
    if here == "LPAR":
        return not _is_call(line, index)
    if here in ("NOT", "QUESTION") and keyword in ("observed", "query", "latent", "attribute"):
        return False
    if before == "NOT":
        return keyword in ("observed", "query", "latent", "attribute")
    if before == "MINUS":
        return not _is_unary(line, index - 1)
    inside = stack[-1] if stack else ""
    if here == "COLON":
        return not (inside == "LPAR" or (keyword in ("attribute", "query") and not inside))
    return not (keyword == "model" and inside == "LPAR" and "EQ" in (before, here))


def _is_call(line: Sequence[Token], index: int) -> bool:
    """Whether a parenthesis holds the arguments of what stands before it."""
    before = line[index - 1].type
    if before in _SOFT:  # `by (x)` after `last 3` is no call, `by(x)` elsewhere is
        return not (index > 1 and line[index - 2].type in (*_OPERANDS, *_SOFT))
    return before == "NAME" or before in _FUNCTIONS


def _is_unary(line: Sequence[Token], index: int) -> bool:
    """Whether a minus has no left side."""
    before = line[index - 1].type
    return before not in (*_OPERANDS, *_SOFT)
