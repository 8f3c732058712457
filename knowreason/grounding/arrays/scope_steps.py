"""In which order a conjunction's variables are bound and its parts applied; found once a formula.

Tables are joined by what is bound already, so that only rows are read that belong to what is asked;
what is cheap filters at once, definitions and quantifiers when all variables are bound.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

from knowreason.grounding.plan.label_aggregates import over_known_labels
from knowreason.grounding.plan.range_restriction import is_guarded
from knowreason.grounding.plan.rule_plan import RulePlan, plan_rule
from knowreason.grounding.relational.definitions import branches, closed
from knowreason.logic import (
    Aggregate,
    And,
    Atom,
    AttributeTerm,
    Comparison,
    CountList,
    Definition,
    Exists,
    ForAll,
    Formula,
    Not,
    Or,
    Program,
    Term,
    Truth,
    Variable,
    Wildcard,
)
from knowreason.logic.traversal import conjuncts, free_variables, walk

EVERYTHING = Truth(True)
Node = Term | Formula
T = TypeVar("T")


@dataclass(frozen=True)
class ScopeStep:
    """What is done next.

    Attributes:
        kind: ``join`` an atom, ``lookup`` things by the value of an attribute, ``derived`` joins
            a disjunction or quantifier, ``range`` over a domain, ``where`` filters, ``all``: all
            variables are bound.
        part: the atom, formula, or the attribute's term.
        variable: that is bound.
        value: what the attribute equals.
    """

    kind: Literal["join", "lookup", "derived", "range", "where", "all"]
    part: Formula | AttributeTerm | None = None
    variable: Variable | None = None
    value: Term | None = None


@dataclass
class FormulaScopes:
    """What is known of a program's formulas, found when first asked for.

    Kept by object: the formulas of a program and what is made of them here live as long as this.
    Several threads may share one: what is found twice is equal.

    Attributes:
        program: whose formulas they are.
        only_open: whether settings of rules that evidence decides may be left out.
    """

    program: Program
    only_open: bool = False
    definitions: dict[str, Definition] = field(init=False)
    _free: dict[int, tuple[Node, tuple[Variable, ...]]] = field(default_factory=dict)
    _steps: dict[tuple[int, frozenset[str]], tuple[object, tuple[ScopeStep, ...]]] = field(
        default_factory=dict
    )
    _bodies: dict[str, tuple[Definition, tuple[Formula, ...] | Term]] = field(default_factory=dict)
    _negated: dict[int, tuple[ForAll, Formula]] = field(default_factory=dict)
    _plans: dict[int, RulePlan] = field(default_factory=dict)
    _made: dict[tuple[str, int], tuple[object, Any]] = field(default_factory=dict)
    _both: dict[tuple[int, ...], tuple[Sequence[Formula], Formula]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.definitions = {
            d.name: over_known_labels(self.program, d) for d in self.program.definitions
        }

    def apart(self) -> FormulaScopes:
        """The same for formulas that do not live on: what is found of them goes with the copy."""
        made = copy.copy(self)
        for name in ("_free", "_steps", "_bodies", "_negated", "_plans", "_made", "_both"):
            setattr(made, name, dict(getattr(self, name)))
        return made

    def free(self, node: Node) -> tuple[Variable, ...]:
        """Free variables."""
        kept = self._free.get(id(node))
        if kept is None:
            kept = self._free[id(node)] = node, free_variables(node)
        return kept[1]

    def together(self, guards: Sequence[Formula]) -> Formula:
        """The conjunction of guards."""
        if len(guards) == 1:
            return guards[0]
        if not guards:
            return EVERYTHING
        key = tuple(id(guard) for guard in guards)
        if key not in self._both:
            self._both[key] = guards, And(tuple(guards))
        return self._both[key][1]

    def negation(self, formula: ForAll) -> Formula:
        """What no setting may be for the formula to hold."""
        kept = self._negated.get(id(formula))
        if kept is None:
            kept = self._negated[id(formula)] = formula, Not(formula.body)
        return kept[1]

    def plan(self, index: int) -> RulePlan:
        """The plan of a rule."""
        if index not in self._plans:
            self._plans[index] = plan_rule(self.program, index)
        return self._plans[index]

    def once(self, what: str, node: object, make: Callable[[], T]) -> T:
        """What is made of a node, made once."""
        kept = self._made.get((what, id(node)))
        if kept is None:
            kept = self._made[what, id(node)] = node, make()
        found: T = kept[1]
        return found

    def by_terms(self, term: Aggregate) -> GroupedAggregate | None:
        """The aggregate as one of the things that what is around it means."""
        return self.once("by terms", term, lambda: grouped_by_terms(self.program, term))

    def body(self, definition: Definition) -> tuple[Formula, ...] | Term:
        """The disjuncts of a defined predicate, or the term of a defined attribute."""
        kept = self._bodies.get(definition.name)
        if kept is None:
            body = definition.body
            made = (
                branches(definition.parameters, body)
                if isinstance(body, Formula)
                else closed(body, definition.parameters)
            )
            kept = self._bodies[definition.name] = definition, made
        return kept[1]

    def steps(
        self, formula: Formula, bound: Iterable[str], variables: Sequence[Variable]
    ) -> tuple[ScopeStep, ...]:
        """How a formula is satisfied where some variables are bound, and others wanted."""
        key = id(formula), frozenset(bound) | {f"+{variable.name}" for variable in variables}
        kept = self._steps.get(key)
        if kept is None:
            kept = self._steps[key] = (
                formula,
                tuple(_Steps(self, set(bound)).of(formula, variables)),
            )
        return kept[1]


@dataclass(frozen=True)
class GroupedAggregate:
    """An aggregate of which many rows around it ask the same.

    Attributes:
        aggregate: with variables for terms of what is around it.
        names: of these variables.
        terms: that they stand for.
    """

    aggregate: Aggregate
    names: tuple[str, ...]
    terms: tuple[Term, ...]


def grouped_by_terms(program: Program, term: Aggregate) -> GroupedAggregate | None:
    """``count { f : Logon(f, src: src(e)) }`` is the same for all ``e`` from one ``src(e)``.

    Returns:
        ``None`` where rows around it are seen otherwise than through attributes that are things.
    """
    around = {variable.name for variable in free_variables(term)}
    things = {domain.name for domain in program.domains}
    inside = [node for node in walk(term) if isinstance(node, Aggregate | Exists | ForAll)]
    extras = (term.last, term.by, term.prior, term.strength)
    if any(extra is not None for extra in extras) or any(
        variable.name in around for node in inside for variable in node.variables
    ):
        return None
    found: dict[Term, Variable] = {}

    def changed(part: object) -> object:
        if isinstance(part, tuple):
            return tuple(changed(one) for one in part)
        if isinstance(part, AttributeTerm) and part.sort in things:
            own = free_variables(part)
            if own and all(variable.name in around for variable in own):
                return found.setdefault(part, Variable(f"term {len(found)}", part.sort))
        if not isinstance(part, Term | Formula):
            return part
        kept = ("variables", "span")
        new: dict[str, Any] = {
            f.name: changed(getattr(part, f.name)) for f in fields(part) if f.name not in kept
        }
        return replace(part, **new)

    made = changed(term)
    assert isinstance(made, Aggregate)
    if not found or any(variable.name in around for variable in free_variables(made)):
        return None
    return GroupedAggregate(made, tuple(v.name for v in found.values()), tuple(found))


@dataclass
class _Steps:
    scopes: FormulaScopes
    bound: set[str]
    found: list[ScopeStep] = field(default_factory=list)

    @property
    def defined(self) -> set[str]:
        return set(self.scopes.definitions)

    def of(self, formula: Formula, variables: Sequence[Variable]) -> list[ScopeStep]:
        waiting = list(conjuncts(formula))
        wanted = {v.name: v for v in (*variables, *free_variables(formula))}
        while True:
            self._filter(waiting)
            step = self._next(waiting)
            if step is not None:
                if step.kind != "lookup" and step.part in waiting:
                    waiting.remove(step.part)
                if step.kind == "derived" and not self._loose(step.part):
                    self.found.append(ScopeStep("where", step.part))
                    continue
                self.found.append(step)
                self.bound |= {v.name for v in self._bound_by(step)}
                continue
            loose = [v for v in wanted.values() if v.name not in self.bound]
            if not loose:
                break
            first = next((v for part in waiting for v in self._inside(part)), loose[0])
            self.found.append(ScopeStep("range", variable=first))
            self.bound.add(first.name)
        self.found.append(ScopeStep("all"))
        self.found += [ScopeStep("where", part) for part in waiting]
        return self.found

    def _filter(self, waiting: list[Formula]) -> None:
        for part in list(waiting):
            if not self._loose(part) and _is_cheap(part, self.defined):
                waiting.remove(part)
                self.found.append(ScopeStep("where", part))

    def _next(self, waiting: list[Formula]) -> ScopeStep | None:
        """The next step that binds or joins; ``None`` where variables must range."""
        best: tuple[int, ScopeStep] | None = None
        for part in waiting:
            price, step = 9, None
            if isinstance(part, Atom) and not self._inside(part):
                given = [a for a in part.arguments if self._is_given(a)]
                own = part.predicate in self.defined
                whole = len(given) == len([a for a in part.arguments if not _is_wild(a)])
                if own and whole and given:
                    continue  # filters at the end
                step = ScopeStep("join", part)
                price = (0 if whole else 1 if given else 5) + (2 if own else 0)
            elif isinstance(part, Comparison) and part.operator == "=":
                step = self._lookup(part)
                price = 2
            elif isinstance(part, Or | Exists) and self._loose(part) and is_guarded(part):
                step, price = ScopeStep("derived", part), 6
            if step is not None and (best is None or price < best[0]):
                best = price, step
        return None if best is None else best[1]

    def _lookup(self, part: Comparison) -> ScopeStep | None:
        for term, other in ((part.left, part.right), (part.right, part.left)):
            if (
                isinstance(term, AttributeTerm)
                and len(term.arguments) == 1
                and isinstance(term.arguments[0], Variable)
                and term.arguments[0].name not in self.bound
                and any(a.name == term.name for a in self.scopes.program.attributes)
                and any(d.name == term.sort for d in self.scopes.program.domains)
                and not self._loose(other)
            ):
                return ScopeStep("lookup", term, term.arguments[0], other)
        return None

    def _bound_by(self, step: ScopeStep) -> list[Variable]:
        if step.kind == "join" and isinstance(step.part, Atom):
            return [a for a in step.part.arguments if isinstance(a, Variable)]
        if step.kind == "lookup" and step.variable is not None:
            return [step.variable]
        return self._loose(step.part) if step.part is not None else []

    def _loose(self, node: Node | None) -> list[Variable]:
        return (
            [v for v in free_variables(node) if v.name not in self.bound]
            if node is not None
            else []
        )

    def _inside(self, part: Node) -> list[Variable]:
        """Variables that an atom's terms need and nothing binds yet."""
        if not isinstance(part, Atom):
            return []
        own = {argument.name for argument in part.arguments if isinstance(argument, Variable)}
        inside = [
            v for a in part.arguments if not isinstance(a, Variable) for v in free_variables(a)
        ]
        return [v for v in inside if v.name not in own and v.name not in self.bound]

    def _is_given(self, argument: Term) -> bool:
        if _is_wild(argument):
            return False
        return not self._loose(argument)


def _is_wild(argument: Term) -> bool:
    return isinstance(argument, Wildcard)


def _is_cheap(part: Formula, defined: set[str]) -> bool:
    """Whether a formula reads nothing but tables."""
    return not any(
        isinstance(node, Aggregate | Exists | ForAll | CountList | Atom)
        or (isinstance(node, AttributeTerm) and node.name in defined)
        for node in walk(part)
    )
