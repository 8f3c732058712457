"""What the parser builds for statements and for the weights of rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar, cast

from knowreason.diagnostics import Span
from knowreason.lang.syntax import nodes as sx
from knowreason.lang.syntax.node_builders import (
    ACTIONS,
    Token,
    action,
    inside,
    name_of,
    number,
    string,
)

__all__ = ["ACTIONS"]

T = TypeVar("T")
Signature = tuple[sx.Name, tuple[sx.Place, ...]]
Per = list[sx.Name] | None
Feature = sx.Expression | None
Amount = sx.LiteralNode | sx.Chance
Expected = Sequence[sx.ExpectationNode]
Bound = tuple[Literal["", ">=", "<="], sx.LiteralNode]


@action("import_statement")
def _import(span: Span, _: Token, path: Token) -> sx.Import:
    return sx.Import(string(Span(span.source, path.start_pos, path.end_pos), path), span)


@action("domain_statement")
def _domain(span: Span, _: Token, items: list[sx.DomainItem]) -> sx.DomainStatement:
    return sx.DomainStatement(tuple(items), span)


@action("domain_item")
def _domain_item(span: Span, name: Token) -> sx.DomainItem:
    return sx.DomainItem(name_of(name), None, span)


@action("enumerated_domain")
def _enumerated(
    span: Span, name: Token, _e: Token, _b: Token, members: list[sx.LiteralNode], _c: Token
) -> sx.DomainItem:
    return sx.DomainItem(name_of(name), tuple(members), span)


@action("empty_signature", "signature")
def _signature(_: Span, name: Token, _open: Token, *rest: list[sx.Place] | Token) -> Signature:
    return name_of(name), inside(rest)


@action("place")
def _place(span: Span, sort: tuple[sx.Name, sx.Mark]) -> sx.Place:
    return sx.Place(sort[0], None, sort[1], span)


@action("named_place")
def _named_place(span: Span, name: Token, _: Token, sort: tuple[sx.Name, sx.Mark]) -> sx.Place:
    return sx.Place(sort[0], name_of(name), sort[1], span)


@action("sort", "exactly_one", "at_most_one")
def _sort(span: Span, name: Token, mark: Token | None = None) -> tuple[sx.Name, sx.Mark]:
    written: sx.Mark = "" if mark is None else "!" if mark.type == "NOT" else "?"
    return name_of(name), written


@action("observed", "observed_symmetric", "query", "query_within", "latent", "latent_within")
def _predicate(
    span: Span,
    kind: Token,
    signature: Signature,
    word: Token | None = None,
    within: Token | None = None,
) -> sx.PredicateStatement:
    name, places = signature
    inside = name_of(within) if within else None
    symmetric = word is not None and within is None
    return sx.PredicateStatement(
        cast(Literal["observed", "query", "latent"], kind.value),
        name,
        places,
        symmetric,
        inside,
        span,
    )


@action("view")
def _view(
    span: Span,
    kind: Token,
    signature: Signature,
    _: Token,
    seen: Token,
    tie: sx.WeightNode | None = None,
) -> sx.PredicateStatement:
    name, places = signature
    how = cast(Literal["query", "latent"], kind.value)
    return sx.PredicateStatement(how, name, places, False, None, span, name_of(seen), tie)


@action("attribute", "clock_attribute")
def _attribute(
    span: Span,
    _: Token,
    signature: Signature,
    _colon: Token,
    sort: Token,
    clock: Token | None = None,
) -> sx.AttributeStatement:
    name, places = signature
    return sx.AttributeStatement(name, places, name_of(sort), clock is not None, span)


@action("numeric_query", "numeric_query_within")
def _numeric_query(
    span: Span,
    _: Token,
    signature: Signature,
    _colon: Token,
    sort: Token,
    _within: Token | None = None,
    inside: Token | None = None,
) -> sx.AttributeStatement:
    name, places = signature
    within = name_of(inside) if inside else None
    return sx.AttributeStatement(name, places, name_of(sort), False, span, True, within)


@action("define_constant", "define")
def _define(span: Span, _: Token, name: Token, _lpar: Token, *rest: object) -> sx.DefineStatement:
    parameters = inside(cast("tuple[list[sx.Name] | Token]", rest[:1]))
    return sx.DefineStatement(name_of(name), parameters, cast(sx.Expression, rest[-1]), span)


@action("param_statement")
def _param(
    span: Span, _: Token, name: Token, _eq: Token, value: sx.LiteralNode
) -> sx.ParamStatement:
    return sx.ParamStatement(name_of(name), value, span)


@action("model_statement")
def _model(
    span: Span,
    _: Token,
    name: Token,
    _for: Token,
    names: list[sx.Name],
    _eq: Token,
    call: sx.ModelCallNode,
) -> sx.ModelStatement:
    return sx.ModelStatement(name_of(name), tuple(names), call, span)


@action("empty_model_call", "model_call")
def _model_call(
    span: Span, kind: Token, _: Token, *rest: list[sx.Option] | Token
) -> sx.ModelCallNode:
    return sx.ModelCallNode(name_of(kind), inside(rest), span)


@action("positional_option")
def _positional_option(span: Span, value: sx.OptionNode) -> sx.Option:
    return sx.Option(None, value, span)


@action("named_option")
def _named_option(span: Span, name: Token, _: Token, value: sx.OptionNode) -> sx.Option:
    return sx.Option(name_of(name), value, span)


@action("empty_option_list", "option_list")
def _option_list(span: Span, _: Token, *rest: list[sx.OptionNode] | Token) -> sx.OptionList:
    return sx.OptionList(inside(rest), span)


@action("rule")
def _rule(
    span: Span,
    _: Token,
    name: Token,
    _colon: Token,
    body: sx.Expression,
    _expect: Token | None = None,
    expected: Expected = (),
) -> sx.RuleStatement:
    return sx.RuleStatement(name_of(name), None, body, tuple(expected), span)


@action("weighted_rule")
def _weighted_rule(
    span: Span,
    _: Token,
    name: Token,
    weight: sx.WeightNode,
    _colon: Token,
    body: sx.Expression,
    _expect: Token | None = None,
    expected: Expected = (),
) -> sx.RuleStatement:
    return sx.RuleStatement(name_of(name), weight, body, tuple(expected), span)


@action("expectation")
def _expectation(span: Span, figure: Token, sign: Token, amount: Amount) -> sx.ExpectationNode:
    operator: Literal[">=", "<="] = ">=" if sign.type == "GE" else "<="
    return sx.ExpectationNode(name_of(figure), operator, amount, span)


@action("shadow_weight")
def _shadow_weight(span: Span, *_: Token) -> sx.WeightNode:
    return sx.WeightNode("shadow", None, "", None, (), None, span)


@action("hard_weight")
def _hard_weight(span: Span, *_: Token) -> sx.WeightNode:
    return sx.WeightNode("hard", None, "", None, (), None, span)


@action("bare_weight")
def _bare_weight(span: Span, _: Token, per: Per, feature: Feature, _close: Token) -> sx.WeightNode:
    return sx.WeightNode("bare", None, "", None, tuple(per or ()), feature, span)


@action("given_weight")
def _given_weight(
    span: Span, _: Token, value: Amount, per: Per, feature: Feature, _c: Token
) -> sx.WeightNode:
    return sx.WeightNode("given", value, "", None, tuple(per or ()), feature, span)


@action("open_weight")
def _open_weight(
    span: Span,
    _: Token,
    _q: Token,
    guess: Amount | None,
    bound: Bound | None,
    per: Per,
    feature: Feature,
    _c: Token,
) -> sx.WeightNode:
    sign, limit = bound or ("", None)
    return sx.WeightNode("open", guess, sign, limit, tuple(per or ()), feature, span)


@action("percent")
def _percent(span: Span, token: Token) -> sx.Chance:
    return sx.Chance("%", float(token.value[:-1]), span)


@action("odds")
def _odds(span: Span, _: Token, token: Token) -> sx.Chance:
    return sx.Chance("odds", float(cast(float, number(span, token).value)), span)


@action("bound")
def _bound(span: Span, sign: Token, token: Token) -> Bound:
    return (">=" if sign.type == "GE" else "<="), number(span, token)


@action("per", "feature")
def _second(_: Span, _word: Token, value: T) -> T:
    return value
