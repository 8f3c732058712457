"""Declarations: domains, predicates, attributes, parameters and models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from knowreason import logic as lg
from knowreason.diagnostics import Span
from knowreason.lang.check.call_arguments import constant
from knowreason.lang.check.symbols import Names, Signature, a_sort, is_capital
from knowreason.lang.syntax import nodes as sx
from knowreason.logic import VALUE_SORTS
from knowreason.logic.canonical_text import string_text


class DeclaredPlaces:
    """Where each name of one kind is declared; a second declaration is a finding."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._seen: dict[tuple[str, str], Span] = {}

    def claim(self, space: str, what: str, name: sx.Name) -> bool:
        """Whether the name is new in its name space; reports both places when it is not."""
        first = self._seen.setdefault((space, name.text), name.span)
        if first is name.span:
            return True
        self._names.report(
            "KR207",
            f"{what} `{name.text}` is declared twice",
            name.span,
            "declared again",
            related=[(first, "first declared here")],
        )
        return False


def declare_domains(
    names: Names, places: DeclaredPlaces, statements: Iterable[sx.DomainStatement]
) -> list[lg.Domain]:
    """Domains and their members."""
    domains = []
    for item in (item for statement in statements for item in statement.items):
        if item.name.text in VALUE_SORTS:
            names.report("KR219", f"`{item.name.text}` is the name of a value sort", item.name.span)
        elif places.claim("domain", "domain", item.name):
            members = None if item.members is None else _members(names, item)
            names.domains[item.name.text] = None if members is None else dict.fromkeys(members)
            names.places[item.name.text] = item.name.span
            domains.append(lg.Domain(item.name.text, members, span=item.span))
    return domains


def _members(names: Names, item: sx.DomainItem) -> tuple[str, ...]:
    members: dict[str, Span] = {}
    for literal in item.members or ():
        text = str(literal.value)
        if isinstance(literal.value, float):
            names.report("KR107", "a thing is a quoted string or an integer", literal.span)
        elif text in members:
            names.report(
                "KR207",
                f"{string_text(text)} is listed twice",
                literal.span,
                related=[(members[text], "first listed here")],
                help='an integer is its decimal text, so `3` and `"3"` are one thing',
            )
        else:
            members[text] = literal.span
    return tuple(members)


def declare_predicate(
    names: Names, places: DeclaredPlaces, statement: sx.PredicateStatement
) -> lg.Predicate | None:
    """An ``observed``, ``query`` or ``latent`` predicate; ``within`` is checked later."""
    name = statement.name
    number = f"; for a number write `query {name.text}(...): float`"
    _check_letter(names, name, True, number if statement.kind == "query" else "")
    sorts = _place_sorts(names, statement.places)
    labels = _labels(names, statement.places)
    if not places.claim("symbol", statement.kind, name):
        return None
    names.symbols[name.text] = Signature(
        name.text,
        statement.kind,
        sorts,
        labels,
        None,
        name.span,
    )
    _check_marks(names, statement)
    if statement.symmetric and (len(sorts) != 2 or sorts[0] != sorts[1]):
        names.report(
            "KR215",
            "`symmetric` needs two arguments of one domain",
            statement.span,
            help="write it after `observed P(D, D)`",
        )
    if None in sorts or not is_capital(name.text):
        return None
    arguments = tuple(
        lg.Argument(cast(str, sort), label, place.mark)
        for sort, label, place in zip(sorts, labels, statement.places, strict=True)
    )
    within = statement.within.text if statement.within else None
    return lg.Predicate(
        name.text,
        statement.kind,
        arguments,
        statement.symmetric,
        within,
        statement.sees.text if statement.sees else None,
        span=statement.span,
    )


def settle_views(
    names: Names,
    declared: Iterable[lg.Predicate | None],
    written: Iterable[sx.PredicateStatement],
) -> list[lg.Predicate]:
    """The predicates; those that see another are ``within`` the same as it.

    One that cannot see what it names is kept without that: rules about it have no fault.
    """
    pairs = [(p, s) for p, s in zip(declared, written, strict=True) if p is not None]
    by_name = {predicate.name: predicate for predicate, _ in pairs}
    settled = []
    for predicate, statement in pairs:
        seen = by_name.get(predicate.sees or "")
        named = statement.sees
        if named is not None and named.text not in names.symbols:
            names.unknown("predicate", named.text, named.span, names.declared("predicate"), "KR201")
            predicate = replace(predicate, sees=None)
        elif named is not None and _fits(names, predicate, seen, statement, named):
            predicate = replace(predicate, within=seen.within if seen else None)
        elif named is not None:
            predicate = replace(predicate, sees=None)
        settled.append(predicate)
    return settled


def _fits(
    names: Names,
    view: lg.Predicate,
    seen: lg.Predicate | None,
    statement: sx.PredicateStatement,
    named: sx.Name,
) -> bool:
    """Whether one predicate may see another; reports why not."""
    symbol = names.symbols[named.text]
    wrong, help = None, None
    if view.kind == "query":
        wrong = f"`{view.name}` asks what `{named.text}` asks already"
        help = f"`latent {view.name}(...) sees {named.text}`; `predict --predicate` lists it too"
    elif symbol.kind != "query" or (seen is not None and seen.sees):
        what = "another view" if seen is not None and seen.sees else _article(symbol.kind)
        wrong = f"`sees` takes a query predicate, and `{named.text}` is {what}"
    elif seen is None:
        return False  # its own fault is reported
    elif seen.sorts != view.sorts:
        wrong = f"`{named.text}` has other arguments than `{view.name}`"
        help = f"write `{view.name}({', '.join(seen.sorts)})`"
    elif seen.functional_position is not None or view.functional_position is not None:
        wrong = "a view is of atoms that are true or false, not of one value of several"
        help = f"declare several models for `{named.text}`"
    if wrong:
        related = [(symbol.span, "declared here")]
        names.report("KR220", wrong, named.span, related=related, help=help)
    return wrong is None


def check_view_models(
    names: Names, predicates: Iterable[lg.Predicate], models: Iterable[lg.ModelDeclaration]
) -> None:
    """Report a model of a predicate and of a view of it, which would be the same model twice."""
    question = {predicate.name: predicate.sees or predicate.name for predicate in predicates}
    for model in models:
        asked: dict[str, str] = {}
        for target in model.predicates:
            first = asked.setdefault(question.get(target, target), target)
            if first != target:
                names.report(
                    "KR220",
                    f"`{first}` and `{target}` are one question, and `{model.name}` would answer "
                    "it twice with the same",
                    model.span,
                    help="give each view a model of its own",
                )


def declare_attribute(
    names: Names, places: DeclaredPlaces, statement: sx.AttributeStatement
) -> lg.Attribute | None:
    """An attribute, or a numeric query; ``within`` is checked later."""
    name, sort = statement.name, statement.sort.text
    _check_letter(names, name, capital=False)
    sorts = _place_sorts(names, statement.places)
    labels = _labels(names, statement.places)
    for place in statement.places:
        if place.mark:
            names.report("KR214", "an attribute has one value anyway", place.span)
    is_sort = sort in VALUE_SORTS or sort in names.domains
    if not is_sort:
        names.unknown("sort", sort, statement.sort.span, [*VALUE_SORTS, *names.domains], "KR202")
    if not places.claim("symbol", "attribute", name):
        return None
    result = sort if is_sort else None
    asked = statement.asked
    names.symbols[name.text] = Signature(
        name.text, "attribute", sorts, labels, result, name.span, asked
    )
    if asked and is_sort and sort != "float":
        names.report(
            "KR221",
            f"models estimate numbers, and `{name.text}` is {a_sort(sort)}",
            statement.sort.span,
            help="write `: float`, or ask for truths with a predicate",
        )
        return None
    if statement.clock and is_sort and (sort not in ("time", "int") or len(sorts) != 1):
        names.report(
            "KR216",
            "`clock` stands after a `time` or `int` attribute of one thing",
            statement.span,
            f"a {sort} of {len(sorts)} arguments" if len(sorts) != 1 else f"a {sort}",
        )
        return None
    if None in sorts or not is_sort or is_capital(name.text):
        return None
    arguments = tuple(
        lg.Argument(cast(str, s), label) for s, label in zip(sorts, labels, strict=True)
    )
    within = statement.within.text if statement.within else None
    return lg.Attribute(
        name.text, arguments, sort, statement.clock, asked, within, span=statement.span
    )


def check_numeric_queries(
    names: Names, program: lg.Program, models: Iterable[sx.ModelStatement]
) -> None:
    """Report numeric queries without exactly one model, and atoms whose being there hangs on
    what a model estimates."""
    speaking: dict[str, list[sx.Name]] = {}
    for target in (target for model in models for target in model.predicates):
        speaking.setdefault(target.text, []).append(target)
    for query in program.numeric_queries:
        found = speaking.get(query.name, [])
        if not found:
            names.report(
                "KR221",
                f"no model estimates `{query.name}`",
                query.span,
                help=f"add `model m for {query.name} = trees()`; for numbers that are given "
                "declare an `attribute`",
            )
        elif len(found) > 1:
            names.report(
                "KR221",
                f"two models estimate `{query.name}`, and it has one value",
                found[1].span,
                related=[(found[0].span, "the first one")],
                help=f"declare a second query for it, and a rule or definition over both, such as "
                f"`define mean(x) := ({query.name}(x) + second(x)) / 2`",
            )
    for one in (*program.predicates, *(program.asked(q.name) for q in program.numeric_queries)):
        if one.within in program.estimate_readers:
            names.report(
                "KR217",
                f"`{one.within}` reads what a model estimates, so it cannot say which atoms of "
                f"`{one.name}` there are",
                one.span,
                help="say what there is by what is observed",
            )


def check_clocks(names: Names, attributes: Iterable[lg.Attribute]) -> None:
    """At most one clock a domain."""
    clocks: dict[str, lg.Attribute] = {}
    for attribute in attributes:
        if attribute.clock:
            first = clocks.setdefault(attribute.sorts[0], attribute)
            if first is not attribute:
                names.report(
                    "KR216",
                    f"{attribute.sorts[0]} has two clocks",
                    attribute.span,
                    related=[(first.span, "the first one")],
                )


def declare_param(
    names: Names, places: DeclaredPlaces, statement: sx.ParamStatement
) -> lg.Parameter | None:
    """A parameter; what a string or an integer stands for follows from its use."""
    name, literal = statement.name, statement.value
    _check_letter(names, name, capital=False)
    if not places.claim("symbol", "param", name):
        return None
    sort: str = literal.kind
    if literal.kind == "number":
        sort = "int" if isinstance(literal.value, int) else "float"
    names.literals[name.text] = sort
    names.symbols[name.text] = Signature(name.text, "param", result=sort, span=name.span)
    value = lg.Constant(literal.value, sort, span=literal.span)
    return lg.Parameter(name.text, value, span=statement.span)


def declare_model(
    names: Names, places: DeclaredPlaces, statement: sx.ModelStatement
) -> lg.ModelDeclaration | None:
    """A model and the predicates it speaks of."""
    faulty = not places.claim("model", "model", statement.name)
    for target in statement.predicates:
        symbol = names.symbols.get(target.text)
        if symbol is None:
            faulty = True
            names.unknown(
                "predicate", target.text, target.span, names.declared("predicate"), "KR201"
            )
        elif not (symbol.is_open or symbol.asked):
            faulty = True
            names.report(
                "KR218",
                f"`{target.text}` is {_article(symbol.kind)}, and models speak of what is unknown",
                target.span,
                related=[(symbol.span, "declared here")],
                help="a model is for a `query` or a `latent` predicate",
            )
    call = _model_call(names, statement.call)
    if faulty:
        return None
    targets = tuple(target.text for target in statement.predicates)
    return lg.ModelDeclaration(statement.name.text, targets, call, span=statement.span)


def _article(kind: str) -> str:
    articles = {"attribute": "an attribute", "param": "a parameter", "defined": "defined"}
    return articles.get(kind) or f"{a_sort(kind)} predicate"


def _model_call(names: Names, node: sx.ModelCallNode) -> lg.ModelCall:
    positional: list[lg.OptionValue] = []
    options: dict[str, lg.OptionValue] = {}
    for option in node.options:
        value = _option(names, option.value)
        if option.name is None:
            if options:
                names.report("KR204", "positional options stand before named ones", option.span)
            positional.append(value)
        elif option.name.text in options:
            names.report("KR204", f"option `{option.name.text}` is given twice", option.span)
        else:
            options[option.name.text] = value
    return lg.ModelCall(node.kind.text, tuple(positional), tuple(options.items()))


def _option(names: Names, node: sx.OptionNode) -> lg.OptionValue:
    if isinstance(node, sx.LiteralNode):
        return node.value
    if isinstance(node, sx.OptionList):
        return tuple(_option(names, value) for value in node.values)
    return _model_call(names, node)


def check_within(
    names: Names,
    predicate: lg.Predicate | lg.Attribute,
    statement: sx.PredicateStatement | sx.AttributeStatement,
) -> None:
    """``within`` names an observed or defined predicate of the same sorts, or of the same but for
    an enumerated functional argument."""
    inside = statement.within
    if inside is None:
        return
    symbol = names.symbols.get(inside.text)
    if symbol is None:
        names.unknown("predicate", inside.text, inside.span, names.declared("predicate"), "KR201")
        return
    if symbol.kind not in ("observed", "defined") or not symbol.is_predicate:
        names.report(
            "KR217",
            f"`within` takes what is observed or defined, and `{inside.text}` is "
            f"{_article(symbol.kind)}",
            inside.span,
            related=[(symbol.span, "declared here")],
        )
    elif None not in symbol.sorts and symbol.sorts != predicate.sorts:
        keys, valued = _key_sorts(predicate)
        if symbol.sorts == keys:
            if names.domains.get(valued) is None:
                names.report(
                    "KR217",
                    f"`{inside.text}` does not say which `{valued}` may be taken, and there is no "
                    "list of them",
                    inside.span,
                    related=[(names.places.get(valued), "an open domain")],
                    help=f'enumerate it, `domain {valued} = {{ "a", "b" }}`, or say `within` what '
                    f"has all arguments of `{predicate.name}`",
                )
            return
        names.report(
            "KR217",
            f"`{inside.text}` has other arguments than `{predicate.name}`",
            inside.span,
            f"({', '.join(map(str, symbol.sorts))}), not ({', '.join(predicate.sorts)})",
            related=[(symbol.span, "declared here")],
            help=f"or ({', '.join(keys)}): all but the functional argument" if keys else None,
        )


def _key_sorts(declared: lg.Predicate | lg.Attribute) -> tuple[tuple[str, ...] | None, str]:
    """Sorts of the arguments without the functional one, and that one's; none without one."""
    position = declared.functional_position if isinstance(declared, lg.Predicate) else None
    if position is None:
        return None, ""
    sorts = declared.sorts
    return (*sorts[:position], *sorts[position + 1 :]), sorts[position]


_KINDS: dict[str, sx.LiteralKind] = {"string": "string", "int": "number", "duration": "duration"}


def settle_parameters(names: Names, parameters: Iterable[lg.Parameter]) -> list[lg.Parameter]:
    """Parameters, each with the sort that its use asked for."""
    settled = []
    for parameter in parameters:
        use = names.uses.get(parameter.name)
        value: lg.Constant | None = parameter.value
        if value is not None and (use is not None or value.sort in _KINDS):
            literal = sx.LiteralNode(
                _KINDS.get(value.sort, "number"), value.value, cast(Span, value.span)
            )
            value = constant(names, literal, None if use is None else use[0])
        if value is not None:
            settled.append(lg.Parameter(parameter.name, value, span=parameter.span))
    return settled


def _place_sorts(names: Names, places: tuple[sx.Place, ...]) -> tuple[str | None, ...]:
    return tuple(_domain(names, place.sort) for place in places)


def _domain(names: Names, sort: sx.Name) -> str | None:
    if sort.text in names.domains:
        return sort.text
    if sort.text in VALUE_SORTS:
        names.report(
            "KR202",
            f"arguments are things, and `{sort.text}` is a value",
            sort.span,
            help=f"write `attribute f(...): {sort.text}`",
        )
    else:
        small = f"a declaration names domains, as in `P(D, {sort.text}: D)`"
        help = None if sort.text[0].isupper() else small
        names.unknown("domain", sort.text, sort.span, names.domains, "KR202", help)
    return None


def _labels(names: Names, places: tuple[sx.Place, ...]) -> tuple[str | None, ...]:
    labels: list[str | None] = []
    for place in places:
        label = place.name
        if label is not None and label.text in labels:
            names.report("KR207", f"two arguments are called `{label.text}`", label.span)
            label = None
        labels.append(label.text if label else None)
    return tuple(labels)


def _check_marks(names: Names, statement: sx.PredicateStatement) -> None:
    marked = [place for place in statement.places if place.mark]
    if not marked:
        return
    if statement.kind == "observed":
        names.report(
            "KR214",
            "an observed predicate cannot be functional",
            marked[0].span,
            help="`attribute f(...): D` has one value for each setting",
        )
    if len(marked) > 1:
        names.report(
            "KR214",
            "at most one argument is functional",
            marked[1].span,
            related=[(marked[0].span, "the first one")],
        )
    sort = marked[0].sort.text
    if statement.within is None and sort in names.domains and names.domains[sort] is None:
        names.report(
            "KR214",
            f"`{sort}` is open, so there is no list of values to take one of",
            marked[0].span,
            related=[(names.places.get(sort), "an open domain")],
            help=f'enumerate it, `domain {sort} = {{ "a", "b" }}`, or say `within` what',
        )


def _check_letter(names: Names, name: sx.Name, capital: bool, further: str = "") -> None:
    if is_capital(name.text) == capital:
        return
    first = name.text[0]
    better = (first.upper() if capital else first.lower()) + name.text[1:]
    rule = (
        "predicates begin with a capital" if capital else "attributes and parameters with a small"
    )
    names.report(
        "KR219",
        f"`{name.text}` begins with the wrong letter",
        name.span,
        f"{rule} letter",
        help=f"call it `{better}`{further}" if better != name.text else None,
    )
