"""What the parser builds at each reduction of the grammar.

One function a rule or alias of ``grammar/knowreason.lark``; it gets the span of what was
read and the values of the symbols, tokens included, and returns a node of
:mod:`knowreason.lang.syntax.nodes`. Those of statements are in
:mod:`knowreason.lang.syntax.statement_builders`. Lists are Python lists until the node that holds
them is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lark import Token as LarkToken

from knowreason.diagnostics import Diagnostic, Source, Span
from knowreason.lang.syntax import nodes as sx
from knowreason.lang.syntax.literal_values import scale_duration
from knowreason.logic.formulas import AggregateKind, ComparisonOperator

ACTIONS: dict[str, Callable[..., object]] = {}
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])


class Token(LarkToken):
    """A word, symbol or literal, with its source and its place there."""

    __slots__ = ("source",)
    source: Source
    if TYPE_CHECKING:  # lark's own may have no place
        value: str
        start_pos: int
        end_pos: int

    def __new__(cls, kind: str, text: str, source: Source, start: int) -> Token:
        """A token of a kind, with its text, source and offset."""
        token = str.__new__(cls, text)  # a third of the time of lark's own
        token.type, token.value, token.source = kind, text, source
        token.start_pos, token.end_pos = start, start + len(text)
        return token


class SyntaxFault(Exception):
    """A statement that does not parse; carries the finding."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def action(*names: str) -> Callable[[F], F]:
    """Enter a function under the names of its rules and aliases."""

    def add(function: F) -> F:
        for name in names:
            ACTIONS[name] = function
        return function

    return add


def name_of(token: Token) -> sx.Name:
    """The name that a token is."""
    return sx.Name(token.value, Span(token.source, token.start_pos, token.end_pos))


# ---------------------------------------------------------------- lists and nothing


def inside(rest: tuple[list[T] | Token, ...]) -> tuple[T, ...]:
    """What stands between brackets: a list and the closing one, or that alone."""
    return () if isinstance(rest[0], Token) else tuple(rest[0])


@action(
    "domain_items",
    "members",
    "expectations",
    "places",
    "options",
    "option_values",
    "arguments",
    "formulas",
    "constants",
)
def _list(_: Span, first: T | list[T], *comma_and_item: Token | T) -> list[T]:
    if not comma_and_item:
        return [cast(T, first)]
    return _with(first, cast(T, comma_and_item[1]))


@action("facts")
def _facts(_: Span, first: sx.Fact | list[sx.Fact], *item: sx.Fact) -> list[sx.Fact]:
    return _with(first, item[0]) if item else [cast(sx.Fact, first)]


@action("names")
def _names(_: Span, first: Token | list[sx.Name], *comma_and_item: Token) -> list[sx.Name]:
    if not comma_and_item:
        return [name_of(cast(Token, first))]
    return _with(first, name_of(comma_and_item[1]))


def _with(items: object, item: T) -> list[T]:
    """A list that the parser is making, with one more item."""
    longer = cast("list[T]", items)
    longer.append(item)
    return longer


@action("absent")
def _absent(_: Span) -> None:
    return None


@action("statement", "function", "quantifier")
def _only(_: Span, value: T) -> T:
    return value


# ---------------------------------------------------------------- literals


@action("number")
def number(span: Span, token: Token) -> sx.LiteralNode:
    """An unsigned number."""
    text = token.value
    try:
        value = int(text) if text.isdigit() else float(text)
        if value == float("inf"):
            raise ValueError
    except ValueError:
        raise SyntaxFault(Diagnostic("KR107", "this number is too large", span=span)) from None
    return sx.LiteralNode("number", value, span)


@action("duration")
def _duration(span: Span, token: Token) -> sx.LiteralNode:
    unit = "ms" if token.value.endswith("ms") else token.value[-1]
    try:
        return sx.LiteralNode("duration", scale_duration(token.value[: -len(unit)], unit), span)
    except ValueError:  # more digits than Python reads
        raise SyntaxFault(Diagnostic("KR107", "this duration is too long", span=span)) from None


@action("months")
def _months(span: Span, token: Token) -> sx.LiteralNode:
    text = token.value.removesuffix("mo")
    if not text.isdigit() or len(text) > 6:
        help = "months of the calendar are whole; `15d` is half of one"
        raise SyntaxFault(
            Diagnostic("KR107", f"`{token.value}` is no number", span=span, help=help)
        )
    return sx.LiteralNode("months", int(text), span)


@action("string")
def string(span: Span, token: Token) -> sx.LiteralNode:
    """A quoted string."""
    return sx.LiteralNode("string", unquote(token.value), span)


@action("true")
def _true(span: Span, _: Token) -> sx.LiteralNode:
    return sx.LiteralNode("bool", True, span)


@action("false")
def _false(span: Span, _: Token) -> sx.LiteralNode:
    return sx.LiteralNode("bool", False, span)


def _amount(literal: sx.LiteralNode) -> float:
    """Value of a number or a duration."""
    return cast(float, literal.value)


@action("negative_number")
def _negative_number(span: Span, _: Token, token: Token) -> sx.LiteralNode:
    return sx.LiteralNode("number", -_amount(number(span, token)), span)


@action("negative_duration")
def _negative_duration(span: Span, _: Token, token: Token) -> sx.LiteralNode:
    return sx.LiteralNode("duration", -_amount(_duration(span, token)), span)


@action("member")
def _member(span: Span, *tokens: Token) -> sx.LiteralNode:
    last = tokens[-1]
    if last.type == "STRING":
        return string(span, last)
    return _negative_number(span, *tokens) if len(tokens) == 2 else number(span, last)


def unquote(text: str) -> str:
    """Value of a string token."""
    return _ESCAPE.sub(_unescaped, text[1:-1])


_ESCAPE = re.compile(r"\\(?:u\{(\w+)\}|(.))")


def _unescaped(match: re.Match[str]) -> str:
    number, char = match.groups()
    return chr(int(number, 16)) if number else _CHARACTERS.get(char, match.group())


_CHARACTERS = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def place_in_string(text: str, place: int) -> int:
    """Where a character of a string's value stands in its token."""
    return 1 + sum(len(one) for one in _CHARACTER.findall(text[1:-1])[:place])


_CHARACTER = re.compile(r'\\(?:u\{\w+\}|[nrt"\\])|.', re.DOTALL)


# ---------------------------------------------------------------- formulas and terms

_CONNECTIVES = {
    "disjunction": "|",
    "conjunction": "&",
    "implies": "=>",
    "iff": "<=>",
    "neutral": "<~>",
}
Compared = tuple[ComparisonOperator, sx.Expression]  # a comparator and what follows it
Last = tuple[sx.Expression, sx.Expression]  # how many rows, by what
_COMPARATORS: dict[str, ComparisonOperator] = {
    "EQ": "=",
    "NE": "!=",
    "LT": "<",
    "LE": "<=",
    "GT": ">",
    "GE": ">=",
}


def _connective(operator: str) -> Callable[..., sx.Connective]:
    def build(span: Span, left: sx.Expression, _: Token, right: sx.Expression) -> sx.Connective:
        return sx.Connective(operator, left, right, span)

    return build


ACTIONS |= {action: _connective(operator) for action, operator in _CONNECTIVES.items()}


@action("directed")
def _directed(span: Span, body: sx.Expression, _: Token, head: sx.Expression) -> sx.Connective:
    return sx.Connective("~>", body, head, span)


@action("directed_by")
def _directed_by(
    span: Span, body: sx.Expression, _: Token, how: Token, head: sx.Expression
) -> sx.Connective:
    if how.value not in ("mean", "any"):
        raise SyntaxFault(
            Diagnostic(
                "KR101",
                f"`{how.value}` stands where the conclusion is expected",
                span=Span(span.source, how.start_pos, how.end_pos),
                help="`~> H(x)` adds bodies up, `~> mean H(x)` averages them, `~> any H(x)` is a"
                " noisy or",
            )
        )
    return sx.Connective(f"~> {how.value}", body, head, span)


@action("negation")
def _negation(span: Span, _: Token, operand: sx.Expression) -> sx.NotNode:
    return sx.NotNode(operand, span)


@action("quantified")
def _quantified(
    span: Span, word: Token, names: list[sx.Name], _: Token, body: sx.Expression
) -> sx.Quantified:
    kind = "exists" if word.type.startswith("EXISTS") else "forall"
    return sx.Quantified(kind, tuple(names), body, span)


@action("comparison")
def _comparison(span: Span, first: sx.Expression, rest: list[Compared]) -> sx.Chain:
    operands = (first, *(operand for _, operand in rest))
    return sx.Chain(operands, tuple(operator for operator, _ in rest), span)


@action("first_comparison")
def _first_comparison(_: Span, operator: Token, operand: sx.Expression) -> list[Compared]:
    return [(_COMPARATORS[operator.type], operand)]


@action("next_comparison")
def _next_comparison(
    _: Span, before: list[Compared], operator: Token, operand: sx.Expression
) -> list[Compared]:
    before.append((_COMPARATORS[operator.type], operand))
    return before


@action("membership")
def _membership(
    span: Span,
    value: sx.Expression,
    _: Token,
    _b: Token,
    members: list[sx.LiteralNode | sx.Name],
    _c: Token,
) -> sx.MemberNode:
    return sx.MemberNode(value, tuple(members), span)


@action("conditional")
def _conditional(
    span: Span,
    _: Token,
    condition: sx.Expression,
    _then: Token,
    one: sx.Expression,
    _else: Token,
    other: sx.Expression,
) -> sx.Choosing:
    return sx.Choosing(condition, one, other, span)


@action("binary")
def _binary(span: Span, left: sx.Expression, operator: Token, right: sx.Expression) -> sx.Binary:
    return sx.Binary(operator.value, left, right, span)


@action("negative")
def _negative(span: Span, _: Token, operand: sx.Expression) -> sx.Expression:
    if isinstance(operand, sx.LiteralNode) and operand.kind in ("number", "duration"):
        return sx.LiteralNode(operand.kind, -_amount(operand), span)
    return sx.Negative(operand, span)


@action("variable")
def _variable(span: Span, token: Token) -> sx.Name:
    return sx.Name(token.value, span)


@action("wildcard")
def _wildcard(span: Span, _: Token) -> sx.Wild:
    return sx.Wild(span)


@action("parenthesis")
def _parenthesis(_: Span, _open: Token, inner: sx.Expression, _close: Token) -> sx.Expression:
    return inner


@action("empty_call", "call")
def _call(span: Span, name: Token, _: Token, *rest: list[sx.Argument] | Token) -> sx.Call:
    return sx.Call(name.value, inside(rest), span)


@action("function_call")
def _function_call(
    span: Span, name: Token, _: Token, arguments: list[sx.Argument], _c: Token
) -> sx.FunctionCall:
    return sx.FunctionCall(name.value, tuple(arguments), span)


@action("named_argument")
def _named_argument(span: Span, name: Token, _: Token, value: sx.Expression) -> sx.Named:
    return sx.Named(name_of(name), value, span)


@action("count_list")
def _count_list(
    span: Span, _: Token, _b: Token, formulas: list[sx.Expression], _c: Token
) -> sx.CountListNode:
    return sx.CountListNode(tuple(formulas), span)


@action("count")
def _count(
    span: Span,
    kind: Token,
    _b: Token,
    bound: list[sx.Expression],
    _colon: Token,
    body: sx.Expression,
    last: Last | None,
    _c: Token,
) -> sx.AggregateNode:
    rows, by = last or (None, None)
    return sx.AggregateNode("count", None, tuple(bound), body, rows, by, span=span)


@action("aggregate", "rate")
def _aggregate(
    span: Span,
    kind: Token,
    _b: Token,
    value: sx.Expression,
    _for: Token,
    names: list[sx.Name],
    *rest: Any,
) -> sx.AggregateNode:
    _, body, last, *more = rest
    rows, by = last or (None, None)
    prior, strength = (more[1], more[3]) if kind.type == "RATE" else (None, None)
    return sx.AggregateNode(
        cast(AggregateKind, kind.value),
        value,
        tuple(names),
        body,
        rows,
        by,
        prior,
        strength,
        span=span,
    )


@action("last")
def _last(_: Span, _last: Token, rows: sx.Expression, _by: Token, by: sx.Expression) -> Last:
    return rows, by


# ---------------------------------------------------------------- facts


@action("empty_fact_atom", "fact_atom")
def _fact_atom(span: Span, name: Token, _: Token, *rest: list[sx.LiteralNode] | Token) -> sx.Fact:
    return sx.Fact(name_of(name), inside(rest), True, None, span)


@action("positive_fact")
def _positive_fact(_: Span, fact: sx.Fact) -> sx.Fact:
    return fact


@action("negative_fact")
def _negative_fact(span: Span, _: Token, fact: sx.Fact) -> sx.Fact:
    return sx.Fact(fact.name, fact.arguments, False, None, span)


@action("value_fact")
def _value_fact(span: Span, fact: sx.Fact, _: Token, value: sx.LiteralNode) -> sx.Fact:
    return sx.Fact(fact.name, fact.arguments, True, value, span)
