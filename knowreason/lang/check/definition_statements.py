"""Definitions: the order they depend on one another, their sorts, and cycles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from knowreason import logic as lg
from knowreason.lang.check.declaration_statements import DeclaredPlaces
from knowreason.lang.check.expressions import Builder
from knowreason.lang.check.symbols import Names, Signature, is_capital
from knowreason.lang.check.variable_scopes import (
    UNKNOWN_SORT,
    BoundVariable,
    Scope,
    check_binders,
    knows_sort,
    unbound,
    unbound_help,
    variable,
)
from knowreason.lang.syntax import nodes as sx
from knowreason.lang.syntax.implied_binders import ImpliedBinders
from knowreason.logic.traversal import strong_components


def declare_definition(names: Names, places: DeclaredPlaces, statement: sx.DefineStatement) -> bool:
    """Enter the name of a definition; its sorts are inferred later."""
    name = statement.name
    if not places.claim("symbol", "definition", name):
        return False
    labels = tuple(parameter.text for parameter in statement.parameters)
    names.symbols[name.text] = Signature(
        name.text, "defined", (None,) * len(labels), labels, None, name.span
    )
    return True


def elaborate_definitions(
    names: Names, statements: Sequence[sx.DefineStatement]
) -> list[lg.Definition]:
    """Definitions in the order they are written, each elaborated after what it uses."""
    by_name = {
        statement.name.text: ImpliedBinders(statement, names.literals).statement
        for statement in statements
    }
    used = {
        name: [call for call in calls_in(statement.body) if call.name in by_name]
        for name, statement in by_name.items()
    }
    built: dict[str, lg.Definition | None] = {}
    for group in strong_components({name: [c.name for c in calls] for name, calls in used.items()}):
        if _is_cycle(names, group, by_name, used):
            _spoil(names, group)
            continue
        _infer_sorts(names, [by_name[name] for name in group])
        built |= {name: _definition(names, by_name[name]) for name in group}
        if any(built[name] is None for name in group):
            _spoil(names, group)
    return [
        definition
        for name in by_name
        if name not in names.broken and (definition := built.get(name)) is not None
    ]


def _spoil(names: Names, group: Sequence[str]) -> None:
    """Forget faulty definitions, so that nothing is said about their use."""
    names.broken |= set(group)
    for name in group:
        names.symbols.pop(name)


def calls_in(node: object) -> Iterator[sx.Call]:
    """Every call in an expression, in the order it is written."""
    pending = [node]
    while pending:
        here = pending.pop()
        if isinstance(here, sx.Call):
            yield here
        if hasattr(here, "span"):
            pending.extend(reversed(list(sx.children(here))))


def _infer_sorts(names: Names, group: Sequence[sx.DefineStatement]) -> None:
    """Sorts of the parameters of definitions that use each other: a round may say one more."""
    before = len(names.found)
    changed = True
    while changed:
        changed = False
        for statement in group:
            signature = names.symbols[statement.name.text]
            scope = _head_scope(names, statement, signature)
            scope.look(statement.body)
            sorts = tuple(_sort_of(scope.free.get(p.text)) for p in statement.parameters)
            if sorts != signature.sorts:
                names.set_sorts(signature.name, sorts, None)
                changed = len(group) > 1 or len(sorts) > 1
        del names.found[before:]


def _definition(names: Names, statement: sx.DefineStatement) -> lg.Definition | None:
    signature = names.symbols[statement.name.text]
    before = len(names.found)
    scope = _head_scope(names, statement, signature)
    scope.look(statement.body)
    check_binders(scope)
    _check_variables(names, scope, statement)
    builder = Builder(names, scope, "a definition")
    body: lg.Formula | lg.Term | None
    if is_capital(signature.name):
        body, result = builder.formula(statement.body), None
    else:
        body = term = builder.term(statement.body)
        result = None if term is None else term.sort
    _name_the_letter(names, statement, before)
    names.set_sorts(signature.name, signature.sorts, result)
    if body is None or None in signature.sorts or len(names.found) > before:
        return None
    parameters = tuple(variable(scope.free[p.text], p.span) for p in statement.parameters)
    return lg.Definition(signature.name, parameters, body, result, span=statement.span)


def _name_the_letter(names: Names, statement: sx.DefineStatement, before: int) -> None:
    """Say how a definition is called whose whole body is of the other kind than its name."""
    name, span = statement.name.text, statement.body.span
    what = "a value begins small" if is_capital(name) else "a truth begins with a capital"
    other = name[0].swapcase() + name[1:]
    for place in range(before, len(names.found)):
        if names.found[place].code == "KR212" and names.found[place].span == span:
            help = f"the name of {what}: `define {other}(...)`"
            names.found[place] = replace(names.found[place], help=help)


def _sort_of(bound: BoundVariable | None) -> str | None:
    return bound.sort if bound is not None and knows_sort(bound) else None


def _head_scope(names: Names, statement: sx.DefineStatement, signature: Signature) -> Scope:
    scope = Scope(names)
    for parameter, sort in zip(statement.parameters, signature.sorts, strict=True):
        if parameter.text in scope.free:
            names.report("KR207", f"two parameters are called `{parameter.text}`", parameter.span)
        elif parameter.text in names.literals:
            names.report(
                "KR208",
                f"`{parameter.text}` is declared with `param` and cannot be bound",
                parameter.span,
                related=[(names.symbols[parameter.text].span, "the parameter")],
            )
        bound = BoundVariable(parameter.text, parameter.span, head=True)
        if sort is not None:
            bound.sort, bound.place = sort, parameter.span
        scope.free[parameter.text] = bound
    return scope


def _check_variables(names: Names, scope: Scope, statement: sx.DefineStatement) -> None:
    if not is_capital(statement.name.text):
        for bound in scope.free.values():
            if not bound.head and bound.sort != UNKNOWN_SORT:
                own = bound.name
                names.report(
                    "KR206",
                    f"`{own}` is no argument of `{statement.name.text}`",
                    bound.first,
                    "which one is meant?",
                    related=[(statement.name.span, "a value for each setting of its arguments")],
                    help=f"count it, as in `count {{ {own} : ... }}`, or write `exists {own}.` "
                    "where it belongs",
                )
                bound.sort = UNKNOWN_SORT
    for bound in unbound(scope):
        what = "argument" if bound.head else "variable"
        names.report(
            "KR206",
            f"{what} `{bound.name}` stands in no atom",
            bound.first,
            "of which domain?",
            help=unbound_help(
                names,
                bound,
                f"put `{bound.name}` into a predicate, so that its values are known",
            ),
        )
        bound.sort = UNKNOWN_SORT


def _is_cycle(
    names: Names,
    group: Sequence[str],
    by_name: dict[str, sx.DefineStatement],
    used: dict[str, list[sx.Call]],
) -> bool:
    """Whether definitions depend on one another in a way that has no meaning here."""
    for name in group:
        positive = set(map(id, _positive_calls(by_name[name].body)))
        for call in used[name]:
            told = is_capital(name) and is_capital(call.name) and id(call) in positive
            if call.name not in group or told:
                continue
            path = [name, *_path(call.name, name, used)]
            names.report(
                "KR406",
                f"these definitions go in a circle: {' -> '.join(path)}",
                call.name_span,
                f"`{name}` is defined through itself",
                related=[(by_name[other].name.span, f"`{other}`") for other in path[1:-1]],
                help="only predicates may use themselves or each other, "
                "not negated and outside of counts",
            )
            return True
    return False


def _positive_calls(node: object) -> Iterator[sx.Call]:
    """Calls under ``&``, ``|`` and ``exists`` only."""
    if isinstance(node, sx.Call):
        yield node
    elif isinstance(node, sx.Connective) and node.operator in "&|":
        yield from _positive_calls(node.left)
        yield from _positive_calls(node.right)
    elif isinstance(node, sx.Quantified) and node.kind == "exists":
        yield from _positive_calls(node.body)


def _path(start: str, end: str, used: dict[str, list[sx.Call]]) -> list[str]:
    """A shortest way from one definition to another that it needs, breadth first."""
    paths = [[start]]
    seen = {start}
    for path in paths:
        if path[-1] == end:
            return path
        for call in used[path[-1]]:
            if call.name not in seen:
                seen.add(call.name)
                paths.append([*path, call.name])
    raise AssertionError(f"{start} does not need {end}")
