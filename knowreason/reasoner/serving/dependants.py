"""What rests on the rows of a relation: plans that lead from its literals to unknowns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from knowreason.grounding.plan.rule_plan import plan_rule
from knowreason.grounding.relational.definitions import closed
from knowreason.logic import (
    INTEGER_SORTS,
    Atom,
    AttributeTerm,
    Comparison,
    Definition,
    Formula,
    Or,
    Program,
    Term,
    Variable,
)
from knowreason.logic.traversal import bound_variables, children, free_variables
from knowreason.reasoner.serving.lookup_plans import LookupPlan, LookupPlanner, flat, scope_of, some

Chain = tuple[Formula | Term, ...]  # what binds variables around a literal, outermost first


@dataclass(frozen=True)
class Limit:
    """A comparison that must hold for one thing to have a say about another: `at(q) < at(p)`.

    Attributes:
        attribute: what is compared of both.
        below, above: their variables.
    """

    attribute: str
    below: str
    above: str


@dataclass(frozen=True)
class Dependant:
    """A rule or a definition as seen from one of its literals.

    Attributes:
        name: of the definition; empty for a rule, whose unknowns the plan looks up.
        places: the variable at each place of the literal, ``None`` where there is none.
        plan: what is found from there; parameters of a definition are called ``p0``, ``p1``, ...
        limits: what further keeps parameters that are not at a place of the literal from mattering.
    """

    name: str
    places: tuple[str | None, ...]
    plan: LookupPlan
    limits: tuple[Limit, ...] = ()


def dependants(program: Program) -> dict[str, list[Dependant]]:
    """Rules and definitions by the relations they read, once for each literal."""
    found: dict[str, list[Dependant]] = {}
    for index, rule in enumerate(program.rules):
        parts: list[Formula | Term] = [rule.formula]
        parts += [] if rule.weight.feature is None else [rule.weight.feature]
        names = {v.name: v.name for v in rule.variables}
        sorts = {v.name: v.sort for v in rule.variables}
        guards = plan_rule(program, index).guards
        _add(found, program, "", parts, names, sorts, guards)
    for definition in program.definitions:
        _of_definition(found, program, definition)
    return found


def _of_definition(
    found: dict[str, list[Dependant]], program: Program, definition: Definition
) -> None:
    names = {p.name: f"p{i}" for i, p in enumerate(definition.parameters)}
    sorts = {f"p{i}": p.sort for i, p in enumerate(definition.parameters)}
    body, guards = definition.body, tuple[Formula, ...]()
    if not isinstance(body, Formula):
        body = closed(body, definition.parameters)
    else:
        if isinstance(body, Or):  # each disjunct has variables of its own
            body = Or(tuple(some(part, names) for part in body.operands))
        guards, variables = flat(body, definition.parameters)
        for variable in (*free_variables(body), *variables):
            if variable.name not in names:
                names[variable.name] = f"free {variable.name}"
                sorts[f"free {variable.name}"] = variable.sort
    _add(found, program, definition.name, [body], names, sorts, guards)


def _add(
    found: dict[str, list[Dependant]],
    program: Program,
    name: str,
    parts: Sequence[Formula | Term],
    names: dict[str, str],
    sorts: dict[str, str],
    guards: Sequence[Formula],
) -> None:
    for part in parts:
        for chain, literal in _literals(part, ()):
            planner = LookupPlanner(program, not name)
            inside, own_sorts, told = dict(names), dict(sorts), list[Formula]()
            for binder in chain:  # the literal's own copy of what is bound around it
                variables, guarding, _ = scope_of(binder)
                for variable in variables:
                    inside[variable.name] = f"own {variable.name}"
                    own_sorts[f"own {variable.name}"] = variable.sort
                told += guarding
            places = tuple(
                inside.get(t.name) if isinstance(t, Variable) else None for t in literal.arguments
            )
            planner.known |= {place for place in places if place}
            if chain:
                planner.scope([*guards, *told], (), inside, own_sorts)
            planner.scope(guards, parts, names, sorts)
            given = dict.fromkeys(place for place in places if place)
            read = literal.predicate if isinstance(literal, Atom) else literal.name
            limits = tuple(_limits(program, told, inside, given)) if name else ()
            made = Dependant(name, places, planner.plan(given), limits)
            found.setdefault(read, []).append(made)


def _limits(
    program: Program, told: Sequence[Formula], names: Mapping[str, str], given: Collection[str]
) -> Iterator[Limit]:
    """Comparisons of numbers between a bound thing and a parameter that is not given."""
    numbers = {a.name for a in program.given_attributes if a.sort in (*INTEGER_SORTS, "float")}
    for guard in told:
        if not isinstance(guard, Comparison) or guard.operator not in ("<", "<=", ">", ">="):
            continue
        two = (guard.left, guard.right)
        low, high = two if guard.operator in ("<", "<=") else two[::-1]
        if not isinstance(low, AttributeTerm) or not isinstance(high, AttributeTerm):
            continue
        own, its = (names.get(getattr(t.arguments[0], "name", ""), "") for t in (low, high))
        plain = low.name == high.name and low.name in numbers
        plain &= all(len(t.arguments) == 1 for t in (low, high))
        plain &= isinstance(low.arguments[0], Variable) and isinstance(high.arguments[0], Variable)
        if plain and own.startswith("own ") and its.startswith("p") and its not in given:
            yield Limit(low.name, own, its)


def _literals(node: Formula | Term, chain: Chain) -> list[tuple[Chain, Atom | AttributeTerm]]:
    here = [(chain, node)] if isinstance(node, Atom | AttributeTerm) else []
    inner = (*chain, node) if bound_variables(node) else chain
    return here + [found for child in children(node) for found in _literals(child, inner)]
