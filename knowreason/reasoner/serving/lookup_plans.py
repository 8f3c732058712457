"""What must be looked up for a formula, when some of its variables are known: pure logic.

Sideways information passing, as in magic sets (Bancilhon, Maier, Sagiv & Ullman 1986), with a set
of ids for each variable instead of joined rows: what is found holds all that is needed, and may
hold more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from knowreason.grounding.arrays.running_totals import running_shape
from knowreason.grounding.plan.rule_plan import plan_rule
from knowreason.grounding.relational.definitions import closed
from knowreason.logic import (
    Aggregate,
    Atom,
    AttributeTerm,
    Comparison,
    Constant,
    Definition,
    Directed,
    Exists,
    ForAll,
    Formula,
    Implies,
    Or,
    Program,
    Term,
    Variable,
)
from knowreason.logic.formulas import BooleanTerm
from knowreason.logic.traversal import bound_variables, children, conjuncts, free_variables, walk

Kind = Literal["rows", "define", "open", "labels", "whole"]


@dataclass(frozen=True)
class Lookup:
    """One step: rows of a relation that have what is known at some of its places.

    Attributes:
        kind: ``rows`` of facts or of an attribute; a ``define``\\ d relation; ``open`` atoms, whose
            truth matters; ``labels`` that a definition reads; all things of a domain (``whole``).
        name: of the relation or domain.
        places: the variable at each place, the value's included; ``None`` where any will do.
        binds: variables of which only what is found matters.
    """

    kind: Kind
    name: str
    places: tuple[str | None, ...]
    binds: tuple[str, ...] = ()


@dataclass(frozen=True)
class LookupPlan:
    """Steps in order.

    Attributes:
        given: variables known at the start.
        constants: further ones that stand for a thing: domain and name.
        steps: in order; of several lookups in one the one that finds the fewest rows is done first.
    """

    given: tuple[str, ...]
    constants: Mapping[str, tuple[str, str]]
    steps: tuple[tuple[Lookup, ...], ...]


@dataclass(frozen=True)
class RulePart:
    """A rule as seen from one of its open atoms.

    Attributes:
        rule: name of the rule.
        predicate: of the atom.
        places: the variable at each of its places, ``None`` where there is none.
        plan: what else matters.
        as_head: whether it is what a directed rule (`~>`) speaks of.
    """

    rule: str
    predicate: str
    places: tuple[str | None, ...]
    plan: LookupPlan
    as_head: bool


@dataclass
class _Literal:
    kind: Kind
    name: str
    places: tuple[str | None, ...]
    guards: bool
    done: bool = False


@dataclass
class LookupPlanner:
    """Steps for one formula, as they are found.

    Attributes:
        program: for the kinds of names.
        of_rule: whether open atoms are unknowns, and not labels that are read.
        running: whether totals are kept, so that what they add up is not read.
    """

    program: Program
    of_rule: bool
    running: bool = False
    known: set[str] = field(default_factory=set)
    steps: list[tuple[Lookup, ...]] = field(default_factory=list)
    constants: dict[str, tuple[str, str]] = field(default_factory=dict)
    made: int = 0

    def fresh(self, what: str) -> str:
        """A name that nothing has."""
        self.made += 1
        return f"{what} {self.made}"

    def plan(self, given: Iterable[str]) -> LookupPlan:
        """The steps found so far."""
        return LookupPlan(tuple(given), dict(self.constants), tuple(self.steps))

    def scope(
        self,
        guards: Sequence[Formula],
        parts: Sequence[Formula | Term],
        names: Mapping[str, str],
        sorts: Mapping[str, str],
    ) -> None:
        """Plan a formula and what is nested in it.

        Args:
            guards: formulas outside of which nothing matters.
            parts: everything that is looked at, the guards included or not.
            names: the plan's variable by the formula's.
            sorts: of variables that this scope binds, by the plan's name.
        """
        same: dict[str, str] = {}
        terms: dict[AttributeTerm, str | None] = {}
        literals: list[_Literal] = []

        def one(variable: str) -> str:
            while variable in same:
                variable = same[variable]
            return variable

        def place(term: Term, guard: bool) -> str | None:
            if isinstance(term, Variable):
                return names.get(term.name)
            if isinstance(term, Constant) and term.sort in domains:
                name = self.fresh("constant")
                self.constants[name] = (term.sort, str(term.value))
                self.known.add(name)
                return name
            if isinstance(term, AttributeTerm):
                return attribute(term, guard)
            return None

        def attribute(term: AttributeTerm, guard: bool) -> str | None:
            if term not in terms:
                own = tuple(place(t, guard) for t in term.arguments)
                value = self.fresh("value") if term.sort in domains else None
                terms[term] = value
                kind: Kind = "define" if term.name in defined else "rows"
                places = (*own, value) if kind == "rows" and value else own
                literals.append(_Literal(kind, term.name, places, guard))
                if kind == "define" and value:
                    self.steps.append((Lookup("whole", term.sort, (value,)),))
            return terms[term]

        def look(node: Formula | Term, guard: bool) -> None:
            """Literals of a part that stand in no nested scope."""
            if isinstance(node, Aggregate) and node in totals:
                for term in totals[node]:
                    look(term, False)
                return
            if isinstance(node, Aggregate | Exists | ForAll):
                return
            if isinstance(node, Atom):
                is_open = node.predicate not in defined and self.program.is_open(node.predicate)
                kind: Kind = "define" if node.predicate in defined else "rows"
                if is_open:
                    kind = "open" if self.of_rule else "labels"
                places = tuple(place(t, guard) for t in node.arguments)
                guards_too = guard and kind != "open"
                literals.append(_Literal(kind, node.predicate, places, guards_too))
            elif isinstance(node, AttributeTerm):
                attribute(node, guard)
            for child in children(node):
                look(child, guard and isinstance(node, AttributeTerm | Comparison | BooleanTerm))

        totals = self._totals((*guards, *parts))
        domains = {domain.name for domain in self.program.domains}
        defined = {definition.name for definition in self.program.definitions}
        for guard in guards:
            binds = isinstance(guard, Atom | Comparison | BooleanTerm)
            look(guard, binds)
            if isinstance(guard, Comparison) and guard.operator == "=":
                left, right = place(guard.left, True), place(guard.right, True)
                if left and right and one(left) != one(right):
                    keep, drop = one(right), one(left)
                    if drop in self.known or drop in sorts:
                        keep, drop = drop, keep
                    if not (drop in self.known or drop in sorts):
                        same[drop] = keep
        for part in parts:
            look(part, False)
        for literal in literals:
            literal.places = tuple(p and one(p) for p in literal.places)
        self._bind([literal for literal in literals if literal.guards])
        for variable, sort in sorts.items():
            if variable not in self.known:
                self._step(_Literal("whole", sort, (variable,), False))
        for literal in literals:
            if not literal.done:
                self._step(literal)
        for node in self._nested((*guards, *parts), totals):
            variables, told, inside = scope_of(node)
            own = {v.name: self.fresh(v.name) for v in variables}
            inner = {own[v.name]: v.sort for v in variables}
            self.scope(told, inside, {**names, **own}, inner)

    def _totals(self, parts: Iterable[Formula | Term]) -> dict[Aggregate, tuple[Term, ...]]:
        """Aggregates that are read from totals, and the terms by which they are."""
        found: dict[Aggregate, tuple[Term, ...]] = {}
        for node in [n for part in parts for n in walk(part)] if self.running else ():
            if isinstance(node, Aggregate):
                shape = running_shape(self.program, node)
                if shape is not None:
                    others = (node.prior, node.strength)
                    limits = tuple(bound.limit for bound in shape.bounds)
                    found[node] = (*shape.theirs, *limits, *(t for t in others if t is not None))
        return found

    def _nested(
        self, parts: Iterable[Formula | Term], totals: Mapping[Aggregate, tuple[Term, ...]]
    ) -> list[Formula | Term]:
        found: dict[Formula | Term, None] = {}
        pending = list(parts)
        while pending:
            node = pending.pop()
            if isinstance(node, Aggregate) and node in totals:
                pending += totals[node]
            elif isinstance(node, Aggregate | Exists | ForAll):
                found[node] = None
            else:
                pending += children(node)
        return list(found)

    def _bind(self, literals: list[_Literal]) -> None:
        """One step for all literals that find something: which comes first is seen then."""
        members, more, before = [], True, set(self.known)
        while more:
            more = False
            for literal in literals:
                if not literal.done and any(p in self.known for p in literal.places if p):
                    literal.done = more = True
                    own = tuple(p for p in literal.places if p and p not in before)
                    members.append(Lookup(literal.kind, literal.name, literal.places, own))
                    self.known |= {p for p in literal.places if p}
        if members:
            self.steps.append(tuple(members))

    def _step(self, literal: _Literal) -> None:
        literal.done = True
        step = (Lookup(literal.kind, literal.name, literal.places),)
        if step not in self.steps:
            self.steps.append(step)
        self.known |= {p for p in literal.places if p}


def scope_of(
    node: Formula | Term,
) -> tuple[tuple[Variable, ...], tuple[Formula, ...], tuple[Formula | Term, ...]]:
    """Variables of a nested scope, what must hold for a setting of them to matter, its parts."""
    own = bound_variables(node)
    if isinstance(node, ForAll):
        if not isinstance(node.body, Implies):
            return own, (), (node.body,)
        guards, inner = flat(node.body.left, own)
        return inner, guards, (node.body,)
    assert isinstance(node, Aggregate | Exists)
    guards, inner = flat(node.body, own)
    return inner, guards, children(node)


def flat(
    formula: Formula, variables: tuple[Variable, ...]
) -> tuple[tuple[Formula, ...], tuple[Variable, ...]]:
    """What must hold, ``exists`` opened, and all variables bound then."""
    found: list[Formula] = []
    for part in conjuncts(formula):
        taken = {variable.name for variable in variables}
        if isinstance(part, Exists) and not taken & {v.name for v in part.variables}:
            inner, variables = flat(part.body, (*variables, *part.variables))
            found += inner
        else:
            found.append(part)
    return tuple(found), variables


def definition_plan(
    program: Program, definition: Definition, known: tuple[int, ...], running: bool = False
) -> LookupPlan:
    """What a definition reads where some of its parameters are known.

    Args:
        program: its declarations.
        definition: itself.
        known: places of parameters that are known.
        running: whether totals are kept, so that what they add up is not read.
    """
    planner = LookupPlanner(program, False, running)
    names = {p.name: f"p{i}" for i, p in enumerate(definition.parameters)}
    planner.known |= {f"p{i}" for i in known}
    sorts = {f"p{i}": p.sort for i, p in enumerate(definition.parameters)}
    guards: tuple[Formula, ...] = ()
    body = definition.body
    if not isinstance(body, Formula):
        body = closed(body, definition.parameters)
    else:
        if isinstance(body, Or):  # each disjunct has variables of its own
            body = Or(tuple(some(part, names) for part in body.operands))
        for variable in free_variables(body):
            if variable.name not in names:
                names[variable.name] = planner.fresh(variable.name)
                sorts[names[variable.name]] = variable.sort
        guards, variables = flat(body, definition.parameters)
        for variable in variables[len(definition.parameters) :]:
            names[variable.name] = planner.fresh(variable.name)
            sorts[names[variable.name]] = variable.sort
    planner.scope(guards, (body,), names, sorts)
    return planner.plan(f"p{i}" for i in known)


def some(formula: Formula, names: Mapping[str, str]) -> Formula:
    """A formula with ``exists`` around its variables that have no name yet."""
    variables = tuple(v for v in free_variables(formula) if v.name not in names)
    return Exists(variables, formula) if variables else formula


def rule_parts(program: Program, index: int) -> list[RulePart]:
    """What a rule reads, seen from each of its open atoms."""
    rule, found = program.rules[index], []
    guards = plan_rule(program, index).guards
    parts: list[Formula | Term] = [rule.formula]
    parts += [] if rule.weight.feature is None else [rule.weight.feature]
    sorts = {v.name: v.sort for v in rule.variables}
    for chain, atom in _open_atoms(program, rule.formula, ()):
        planner = LookupPlanner(program, True)
        names = {v: v for v in sorts}
        own_sorts = dict(sorts)
        told: list[Formula] = list(guards)
        for binder in chain:  # the atom's own copy of what is bound around it
            for variable in scope_of(binder)[0]:
                names[variable.name] = f"own {variable.name}"
                own_sorts[f"own {variable.name}"] = variable.sort
            told += scope_of(binder)[1]
        places = tuple(
            names.get(t.name) if isinstance(t, Variable) else None for t in atom.arguments
        )
        given = list(dict.fromkeys(p for p in places if p))
        planner.known |= set(given)
        if chain:
            planner.scope(told, (), names, own_sorts)
        planner.scope(guards, parts, {v: v for v in sorts}, sorts)
        as_head = isinstance(rule.formula, Directed) and atom is rule.formula.right
        found.append(RulePart(rule.name, atom.predicate, places, planner.plan(given), as_head))
    return found


def _open_atoms(
    program: Program, node: Formula | Term, chain: tuple[Formula | Term, ...]
) -> list[tuple[tuple[Formula | Term, ...], Atom]]:
    """Open atoms, with what binds variables around each."""
    if isinstance(node, Atom):
        defined = {definition.name for definition in program.definitions}
        is_open = node.predicate not in defined and program.is_open(node.predicate)
        return [(chain, node)] if is_open else []
    inner = (*chain, node) if bound_variables(node) else chain
    return [found for child in children(node) for found in _open_atoms(program, child, inner)]
