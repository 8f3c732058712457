"""Syntax to a :class:`~knowreason.logic.Program`: names, sorts, scopes and weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from knowreason import logic as lg
from knowreason.diagnostics import Diagnostic
from knowreason.lang.check.declaration_statements import (
    DeclaredPlaces,
    check_clocks,
    check_numeric_queries,
    check_view_models,
    check_within,
    declare_attribute,
    declare_domains,
    declare_model,
    declare_param,
    declare_predicate,
    settle_parameters,
    settle_views,
)
from knowreason.lang.check.definition_statements import declare_definition, elaborate_definitions
from knowreason.lang.check.expressions import Builder
from knowreason.lang.check.label_times import check_label_times
from knowreason.lang.check.neutral_and_directed import (
    check_circles,
    check_directed,
    check_heads,
    check_neutral,
    view_tie,
)
from knowreason.lang.check.symbols import Names
from knowreason.lang.check.variable_scopes import (
    UNKNOWN_SORT,
    Scope,
    check_binders,
    unbound,
    unbound_help,
    variable,
)
from knowreason.lang.check.weight_brackets import elaborate_expectation, elaborate_weight
from knowreason.lang.syntax import nodes as sx
from knowreason.logic.time_zones import UTC_ZONE

S = TypeVar("S")
T = TypeVar("T")


def elaborate(
    statements: Sequence[sx.Statement],
    broken: frozenset[str] = frozenset(),
    zone: str = UTC_ZONE,
) -> tuple[lg.Program, list[Diagnostic]]:
    """The program that statements make, and every error.

    Statements with an error are left out of the program. Nothing is said about names in
    ``broken``: their declarations did not parse.
    """
    names = Names(broken=broken, zone=zone)
    places = DeclaredPlaces(names)
    domains = declare_domains(names, places, _of(statements, sx.DomainStatement))
    written = _of(statements, sx.PredicateStatement)
    declared = [declare_predicate(names, places, statement) for statement in written]
    given = _of(statements, sx.AttributeStatement)
    valued = [declare_attribute(names, places, statement) for statement in given]
    attributes = _kept(valued)
    check_clocks(names, attributes)
    parameters = _kept(declare_param(names, places, s) for s in _of(statements, sx.ParamStatement))
    defined = [
        statement
        for statement in _of(statements, sx.DefineStatement)
        if declare_definition(names, places, statement)
    ]
    definitions = elaborate_definitions(names, defined)
    for predicate, statement in zip(declared, written, strict=True):
        if predicate is not None:
            check_within(names, predicate, statement)
    for attribute, number in zip(valued, given, strict=True):
        if attribute is not None:
            check_within(names, attribute, number)
    predicates = settle_views(names, declared, written)
    models = _kept(declare_model(names, places, s) for s in _of(statements, sx.ModelStatement))
    check_view_models(names, predicates, models)
    rules = [*_ties(names, places, predicates, written)]
    rules += _kept(_rule(names, places, s) for s in _of(statements, sx.RuleStatement))
    parameters = settle_parameters(names, parameters)
    program = lg.Program(
        domains=tuple(domains),
        predicates=tuple(predicates),
        attributes=tuple(attributes),
        definitions=tuple(definitions),
        parameters=tuple(parameters),
        models=tuple(models),
        rules=tuple(rule for rule in rules if rule.weight.kind != "shadow"),
        shadow_rules=tuple(rule for rule in rules if rule.weight.kind == "shadow"),
        zone=zone,
    )
    check_numeric_queries(names, program, _of(statements, sx.ModelStatement))
    check_label_times(names, program)
    check_heads(names, program)
    check_circles(names, program)
    return program, names.found


def elaborate_formula(names: Names, node: sx.Expression) -> lg.Formula | None:
    """One formula over declared names; findings are added to ``names``."""
    scope = _scope(names, node)
    return Builder(names, scope).formula(node)


def _rule(names: Names, places: DeclaredPlaces, statement: sx.RuleStatement) -> lg.Rule | None:
    before = len(names.found)
    places.claim("rule", "rule", statement.name)
    scope = _scope(names, statement.body)
    formula = Builder(names, scope).formula(statement.body)
    weight = elaborate_weight(names, scope, statement.weight)
    expected = _kept(elaborate_expectation(names, one) for one in statement.expected)
    if formula is not None and weight is not None:
        check_neutral(names, formula, weight)
        check_directed(names, formula, weight)
    if formula is None or weight is None or len(names.found) > before:
        return None
    variables = tuple(variable(bound) for bound in scope.free.values())
    name = statement.name.text
    return lg.Rule(name, weight, formula, variables, tuple(expected), span=statement.span)


def _ties(
    names: Names,
    places: DeclaredPlaces,
    predicates: Sequence[lg.Predicate],
    written: Sequence[sx.PredicateStatement],
) -> Iterator[lg.Rule]:
    """Rules that the brackets of views write; they stand before all others."""
    statements = {statement.name.text: statement for statement in written}
    for view in predicates:
        if view.sees and (tie := view_tie(names, view, statements[view.name])):
            places.claim("rule", "rule", sx.Name(tie.name, statements[view.name].span))
            yield tie


def _scope(names: Names, body: sx.Expression) -> Scope:
    scope = Scope(names)
    scope.look(body)
    if scope.binder_nodes:
        check_binders(scope)
    for bound in unbound(scope):
        names.report(
            "KR206",
            f"variable `{bound.name}` stands in no atom",
            bound.first,
            "which values does it take?",
            help=unbound_help(
                names,
                bound,
                f"add a predicate that holds `{bound.name}`; comparisons and attributes do not",
            ),
        )
        bound.sort = UNKNOWN_SORT
    return scope


def _of(statements: Sequence[sx.Statement], kind: type[S]) -> list[S]:
    return [statement for statement in statements if isinstance(statement, kind)]


def _kept(items: Iterable[T | None]) -> list[T]:
    return [item for item in items if item is not None]
