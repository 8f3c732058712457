"""What the parser builds for statements and for the weights of rules."""

from __future__ import annotations

from typing import Any, cast

from knowreason.diagnostics import Span
from knowreason.lang import syntax as sx
from knowreason.lang.actions import ACTIONS, Token, action, name_of, number, string

__all__ = ["ACTIONS"]


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
def _enumerated(span: Span, name: Token, _e: Token, _b: Token, members: list, _c: Token) -> Any:
    return sx.DomainItem(name_of(name), tuple(members), span)


@action("empty_signature", "signature")
def _signature(span: Span, name: Token, _: Token, *rest: Any) -> tuple[sx.Name, tuple]:
    return name_of(name), tuple(rest[0]) if len(rest) == 2 else ()


@action("place")
def _place(span: Span, sort: tuple[sx.Name, str]) -> sx.Place:
    return sx.Place(sort[0], None, sort[1], span)


@action("named_place")
def _named_place(span: Span, name: Token, _: Token, sort: tuple[sx.Name, str]) -> sx.Place:
    return sx.Place(sort[0], name_of(name), sort[1], span)


@action("sort", "exactly_one", "at_most_one")
def _sort(span: Span, name: Token, mark: Token | None = None) -> tuple[sx.Name, str]:
    written = "" if mark is None else "!" if mark.type == "NOT" else "?"
    return name_of(name), written


@action("observed", "observed_symmetric", "query", "query_within", "latent", "latent_within")
def _predicate(
    span: Span,
    kind: Token,
    signature: tuple[sx.Name, tuple[sx.Place, ...]],
    word: Token | None = None,
    within: Token | None = None,
) -> sx.PredicateStatement:
    name, places = signature
    inside = name_of(within) if within else None
    symmetric = word is not None and within is None
    return sx.PredicateStatement(cast(Any, kind.value), name, places, symmetric, inside, span)


@action("attribute", "clock_attribute")
def _attribute(
    span: Span,
    _: Token,
    signature: tuple[sx.Name, tuple[sx.Place, ...]],
    _colon: Token,
    sort: Token,
    clock: Token | None = None,
) -> sx.AttributeStatement:
    name, places = signature
    return sx.AttributeStatement(name, places, name_of(sort), clock is not None, span)


@action("define_constant", "define")
def _define(span: Span, _: Token, name: Token, _lpar: Token, *rest: Any) -> sx.DefineStatement:
    parameters = tuple(rest[0]) if len(rest) == 4 else ()
    return sx.DefineStatement(name_of(name), parameters, rest[-1], span)


@action("param_statement")
def _param(
    span: Span, _: Token, name: Token, _eq: Token, value: sx.LiteralNode
) -> sx.ParamStatement:
    return sx.ParamStatement(name_of(name), value, span)


@action("model_statement")
def _model(
    span: Span, _: Token, name: Token, _for: Token, names: list, _eq: Token, call: sx.ModelCallNode
) -> sx.ModelStatement:
    return sx.ModelStatement(name_of(name), tuple(names), call, span)


@action("empty_model_call", "model_call")
def _model_call(span: Span, kind: Token, _: Token, *rest: Any) -> sx.ModelCallNode:
    options = tuple(rest[0]) if len(rest) == 2 else ()
    return sx.ModelCallNode(name_of(kind), options, span)


@action("positional_option")
def _positional_option(span: Span, value: Any) -> sx.Option:
    return sx.Option(None, value, span)


@action("named_option")
def _named_option(span: Span, name: Token, _: Token, value: Any) -> sx.Option:
    return sx.Option(name_of(name), value, span)


@action("empty_option_list", "option_list")
def _option_list(span: Span, _: Token, *rest: Any) -> sx.OptionList:
    return sx.OptionList(tuple(rest[0]) if len(rest) == 2 else (), span)


@action("rule")
def _rule(span: Span, _: Token, name: Token, _colon: Token, body: Any) -> sx.RuleStatement:
    return sx.RuleStatement(name_of(name), None, body, span)


@action("weighted_rule")
def _weighted_rule(
    span: Span, _: Token, name: Token, weight: sx.WeightNode, _colon: Token, body: Any
) -> sx.RuleStatement:
    return sx.RuleStatement(name_of(name), weight, body, span)


@action("hard_weight")
def _hard_weight(span: Span, *_: Token) -> sx.WeightNode:
    return sx.WeightNode("hard", None, "", None, (), None, span)


@action("bare_weight")
def _bare_weight(span: Span, _: Token, per: Any, feature: Any, _close: Token) -> sx.WeightNode:
    return sx.WeightNode("bare", None, "", None, tuple(per or ()), feature, span)


@action("given_weight")
def _given_weight(span: Span, _: Token, value: Any, per: Any, feature: Any, _c: Token) -> Any:
    return sx.WeightNode("given", value, "", None, tuple(per or ()), feature, span)


@action("open_weight")
def _open_weight(
    span: Span, _: Token, _q: Token, guess: Any, bound: Any, per: Any, feature: Any, _c: Token
) -> sx.WeightNode:
    sign, limit = bound or ("", None)
    return sx.WeightNode("open", guess, sign, limit, tuple(per or ()), feature, span)


@action("bound")
def _bound(span: Span, sign: Token, token: Token) -> tuple[str, sx.LiteralNode]:
    return (">=" if sign.type == "GE" else "<="), number(span, token)


@action("per", "feature")
def _second(_: Span, _word: Token, value: Any) -> Any:
    return value
