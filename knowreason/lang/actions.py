"""What the parser builds at each reduction of the grammar.

One function a rule or alias of ``grammar/knowreason.lark``; it gets the span of what was
read and the values of the symbols, tokens included, and returns a node of
:mod:`knowreason.lang.syntax`. Lists are Python lists until the node that holds them is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from knowreason.diagnostics import Diagnostic, Source, Span
from knowreason.lang import syntax as sx
from knowreason.lang.values import scale_duration

ACTIONS: dict[str, Callable[..., Any]] = {}


class Token(NamedTuple):
    """A word, symbol or literal with its place."""

    kind: str
    text: str
    start: int
    end: int


class SyntaxFault(Exception):
    """A statement that does not parse; carries the finding."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def _action(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            ACTIONS[name] = function
        return function

    return add


def _name(source: Source, token: Token) -> sx.Name:
    return sx.Name(token.text, Span(source, token.start, token.end))


# ---------------------------------------------------------------- lists and nothing


@_action("domain_items", "members", "places", "options", "option_values", "arguments", "formulas")
def _list(_: Span, first: Any, comma: Token | None = None, item: Any = None) -> list[Any]:
    if comma is None:
        return [first]
    first.append(item)
    return first  # type: ignore[no-any-return]


@_action("facts")
def _facts(_: Span, first: Any, item: Any = None) -> list[Any]:
    if item is None:
        return [first]
    first.append(item)
    return first  # type: ignore[no-any-return]


@_action("names")
def _names(
    span: Span, first: Any, comma: Token | None = None, item: Token | None = None
) -> list[sx.Name]:
    if item is None:
        return [_name(span.source, first)]
    first.append(_name(span.source, item))
    return first  # type: ignore[no-any-return]


@_action("absent")
def _absent(_: Span) -> None:
    return None


@_action("statement", "function", "quantifier")
def _only(_: Span, value: Any) -> Any:
    return value


# ---------------------------------------------------------------- literals


@_action("number")
def _number(span: Span, token: Token) -> sx.Literal:
    text = token.text
    try:
        value = int(text) if text.isdigit() else float(text)
        if value == float("inf"):
            raise ValueError
    except ValueError:
        raise SyntaxFault(Diagnostic("KR107", "this number is too large", span=span)) from None
    return sx.Literal("number", value, span)


@_action("duration")
def _duration(span: Span, token: Token) -> sx.Literal:
    unit = "ms" if token.text.endswith("ms") else token.text[-1]
    try:
        return sx.Literal("duration", scale_duration(token.text[: -len(unit)], unit), span)
    except ValueError:  # more digits than Python reads
        raise SyntaxFault(Diagnostic("KR107", "this duration is too long", span=span)) from None


@_action("string")
def _string(span: Span, token: Token) -> sx.Literal:
    return sx.Literal("string", unquote(token.text), span)


@_action("true")
def _true(span: Span, _: Token) -> sx.Literal:
    return sx.Literal("bool", True, span)


@_action("false")
def _false(span: Span, _: Token) -> sx.Literal:
    return sx.Literal("bool", False, span)


@_action("negative_number")
def _negative_number(span: Span, _: Token, token: Token) -> sx.Literal:
    return sx.Literal("number", -_number(span, token).value, span)  # type: ignore[operator]


@_action("negative_duration")
def _negative_duration(span: Span, _: Token, token: Token) -> sx.Literal:
    return sx.Literal("duration", -_duration(span, token).value, span)  # type: ignore[operator]


@_action("member")
def _member(span: Span, *tokens: Token) -> sx.Literal:
    last = tokens[-1]
    if last.kind == "STRING":
        return _string(span, last)
    return _negative_number(span, *tokens) if len(tokens) == 2 else _number(span, last)


def unquote(text: str) -> str:
    """Value of a string token."""
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    out, escaped = [], False
    for char in inner:
        if escaped:
            out.append({"n": "\n", "t": "\t"}.get(char, char))
        elif char != "\\":
            out.append(char)
        escaped = char == "\\" and not escaped
    return "".join(out)


# ---------------------------------------------------------------- statements


@_action("import_statement")
def _import(span: Span, _: Token, path: Token) -> sx.Import:
    return sx.Import(_string(Span(span.source, path.start, path.end), path), span)


@_action("domain_statement")
def _domain(span: Span, _: Token, items: list[sx.DomainItem]) -> sx.DomainStatement:
    return sx.DomainStatement(tuple(items), span)


@_action("domain_item")
def _domain_item(span: Span, name: Token) -> sx.DomainItem:
    return sx.DomainItem(_name(span.source, name), None, span)


@_action("enumerated_domain")
def _enumerated(span: Span, name: Token, _e: Token, _b: Token, members: list, _c: Token) -> Any:
    return sx.DomainItem(_name(span.source, name), tuple(members), span)


@_action("empty_signature", "signature")
def _signature(span: Span, name: Token, _: Token, *rest: Any) -> tuple[sx.Name, tuple]:
    return _name(span.source, name), tuple(rest[0]) if len(rest) == 2 else ()


@_action("place")
def _place(span: Span, sort: tuple[sx.Name, str]) -> sx.Place:
    return sx.Place(sort[0], None, sort[1], span)


@_action("named_place")
def _named_place(span: Span, name: Token, _: Token, sort: tuple[sx.Name, str]) -> sx.Place:
    return sx.Place(sort[0], _name(span.source, name), sort[1], span)


@_action("sort", "exactly_one", "at_most_one")
def _sort(span: Span, name: Token, mark: Token | None = None) -> tuple[sx.Name, str]:
    written = "" if mark is None else "!" if mark.kind == "NOT" else "?"
    return _name(span.source, name), written


@_action("observed", "observed_symmetric", "query", "query_within", "latent", "latent_within")
def _predicate(
    span: Span,
    kind: Token,
    signature: tuple[sx.Name, tuple[sx.Place, ...]],
    word: Token | None = None,
    within: Token | None = None,
) -> sx.PredicateStatement:
    name, places = signature
    inside = _name(span.source, within) if within else None
    symmetric = word is not None and within is None
    return sx.PredicateStatement(cast(Any, kind.text), name, places, symmetric, inside, span)


@_action("attribute", "clock_attribute")
def _attribute(
    span: Span,
    _: Token,
    signature: tuple[sx.Name, tuple[sx.Place, ...]],
    _colon: Token,
    sort: Token,
    clock: Token | None = None,
) -> sx.AttributeStatement:
    name, places = signature
    return sx.AttributeStatement(name, places, _name(span.source, sort), clock is not None, span)


@_action("define_constant", "define")
def _define(span: Span, _: Token, name: Token, _lpar: Token, *rest: Any) -> sx.DefineStatement:
    parameters = tuple(rest[0]) if len(rest) == 4 else ()
    return sx.DefineStatement(_name(span.source, name), parameters, rest[-1], span)


@_action("param_statement")
def _param(span: Span, _: Token, name: Token, _eq: Token, value: sx.Literal) -> sx.ParamStatement:
    return sx.ParamStatement(_name(span.source, name), value, span)


@_action("model_statement")
def _model(
    span: Span, _: Token, name: Token, _for: Token, names: list, _eq: Token, call: sx.ModelCallNode
) -> sx.ModelStatement:
    return sx.ModelStatement(_name(span.source, name), tuple(names), call, span)


@_action("empty_model_call", "model_call")
def _model_call(span: Span, kind: Token, _: Token, *rest: Any) -> sx.ModelCallNode:
    options = tuple(rest[0]) if len(rest) == 2 else ()
    return sx.ModelCallNode(_name(span.source, kind), options, span)


@_action("positional_option")
def _positional_option(span: Span, value: Any) -> sx.Option:
    return sx.Option(None, value, span)


@_action("named_option")
def _named_option(span: Span, name: Token, _: Token, value: Any) -> sx.Option:
    return sx.Option(_name(span.source, name), value, span)


@_action("empty_option_list", "option_list")
def _option_list(span: Span, _: Token, *rest: Any) -> sx.OptionList:
    return sx.OptionList(tuple(rest[0]) if len(rest) == 2 else (), span)


@_action("rule")
def _rule(span: Span, _: Token, name: Token, _colon: Token, body: Any) -> sx.RuleStatement:
    return sx.RuleStatement(_name(span.source, name), None, body, span)


@_action("weighted_rule")
def _weighted_rule(
    span: Span, _: Token, name: Token, weight: sx.WeightNode, _colon: Token, body: Any
) -> sx.RuleStatement:
    return sx.RuleStatement(_name(span.source, name), weight, body, span)


@_action("hard_weight")
def _hard_weight(span: Span, *_: Token) -> sx.WeightNode:
    return sx.WeightNode("hard", None, "", None, (), None, span)


@_action("bare_weight")
def _bare_weight(span: Span, _: Token, per: Any, feature: Any, _close: Token) -> sx.WeightNode:
    return sx.WeightNode("bare", None, "", None, tuple(per or ()), feature, span)


@_action("given_weight")
def _given_weight(span: Span, _: Token, value: Any, per: Any, feature: Any, _c: Token) -> Any:
    return sx.WeightNode("given", value, "", None, tuple(per or ()), feature, span)


@_action("open_weight")
def _open_weight(
    span: Span, _: Token, _q: Token, guess: Any, bound: Any, per: Any, feature: Any, _c: Token
) -> sx.WeightNode:
    sign, limit = bound or ("", None)
    return sx.WeightNode("open", guess, sign, limit, tuple(per or ()), feature, span)


@_action("bound")
def _bound(span: Span, sign: Token, number: Token) -> tuple[str, sx.Literal]:
    return (">=" if sign.kind == "GE" else "<="), _number(span, number)


@_action("per", "feature")
def _second(_: Span, _word: Token, value: Any) -> Any:
    return value


# ---------------------------------------------------------------- formulas and terms

_CONNECTIVES = {"disjunction": "|", "conjunction": "&", "implies": "=>", "iff": "<=>"}
_COMPARATORS = {"EQ": "=", "NE": "!=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}


def _connective(operator: str) -> Callable[..., sx.Connective]:
    def build(span: Span, left: Any, _: Token, right: Any) -> sx.Connective:
        return sx.Connective(operator, left, right, span)

    return build


ACTIONS |= {action: _connective(operator) for action, operator in _CONNECTIVES.items()}


@_action("negation")
def _negation(span: Span, _: Token, operand: Any) -> sx.Not:
    return sx.Not(operand, span)


@_action("quantified")
def _quantified(span: Span, word: Token, names: list, _: Token, body: Any) -> sx.Quantified:
    kind = "exists" if word.kind.startswith("EXISTS") else "forall"
    return sx.Quantified(kind, tuple(names), body, span)


@_action("comparison")
def _comparison(span: Span, first: Any, rest: list[tuple[str, Any]]) -> sx.Chain:
    operands = (first, *(operand for _, operand in rest))
    return sx.Chain(operands, tuple(operator for operator, _ in rest), span)


@_action("first_comparison")
def _first_comparison(_: Span, operator: Token, operand: Any) -> list[tuple[str, Any]]:
    return [(_COMPARATORS[operator.kind], operand)]


@_action("next_comparison")
def _next_comparison(_: Span, before: list, operator: Token, operand: Any) -> list:
    before.append((_COMPARATORS[operator.kind], operand))
    return before


@_action("binary")
def _binary(span: Span, left: Any, operator: Token, right: Any) -> sx.Binary:
    return sx.Binary(operator.text, left, right, span)


@_action("negative")
def _negative(span: Span, _: Token, operand: Any) -> Any:
    if isinstance(operand, sx.Literal) and operand.kind in ("number", "duration"):
        return sx.Literal(operand.kind, -operand.value, span)  # type: ignore[operator]
    return sx.Negative(operand, span)


@_action("variable")
def _variable(span: Span, token: Token) -> sx.Name:
    return sx.Name(token.text, span)


@_action("wildcard")
def _wildcard(span: Span, _: Token) -> sx.Wild:
    return sx.Wild(span)


@_action("parenthesis")
def _parenthesis(_: Span, _open: Token, inner: Any, _close: Token) -> Any:
    return inner


@_action("empty_call", "call")
def _call(span: Span, name: Token, _: Token, *rest: Any) -> sx.Call:
    return sx.Call(name.text, tuple(rest[0]) if len(rest) == 2 else (), span)


@_action("function_call")
def _function_call(span: Span, name: Token, _: Token, arguments: list, _c: Token) -> Any:
    return sx.FunctionCall(name.text, tuple(arguments), span)


@_action("named_argument")
def _named_argument(span: Span, name: Token, _: Token, value: Any) -> sx.Named:
    return sx.Named(_name(span.source, name), value, span)


@_action("count_list")
def _count_list(span: Span, _: Token, _b: Token, formulas: list, _c: Token) -> sx.CountList:
    return sx.CountList(tuple(formulas), span)


@_action("count")
def _count(
    span: Span, kind: Token, _b: Token, bound: list, _colon: Token, body: Any, last: Any, _c: Token
) -> sx.Aggregate:
    rows, by = last or (None, None)
    return sx.Aggregate(kind.text, None, tuple(bound), body, rows, by, span=span)


@_action("aggregate", "rate")
def _aggregate(
    span: Span, kind: Token, _b: Token, value: Any, _for: Token, names: list, *rest: Any
) -> sx.Aggregate:
    _, body, last, *more = rest
    rows, by = last or (None, None)
    prior, strength = (more[1], more[3]) if kind.kind == "RATE" else (None, None)
    return sx.Aggregate(kind.text, value, tuple(names), body, rows, by, prior, strength, span=span)


@_action("last")
def _last(_: Span, _last: Token, rows: Any, _by: Token, by: Any) -> tuple[Any, Any]:
    return rows, by


# ---------------------------------------------------------------- facts


@_action("empty_fact_atom", "fact_atom")
def _fact_atom(span: Span, name: Token, _: Token, *rest: Any) -> sx.Fact:
    arguments = tuple(rest[0]) if len(rest) == 2 else ()
    return sx.Fact(_name(span.source, name), arguments, True, None, span)


@_action("positive_fact")
def _positive_fact(_: Span, fact: sx.Fact) -> sx.Fact:
    return fact


@_action("negative_fact")
def _negative_fact(span: Span, _: Token, fact: sx.Fact) -> sx.Fact:
    return sx.Fact(fact.name, fact.arguments, False, None, span)


@_action("value_fact")
def _value_fact(span: Span, fact: sx.Fact, _: Token, value: sx.Literal) -> sx.Fact:
    return sx.Fact(fact.name, fact.arguments, True, value, span)
