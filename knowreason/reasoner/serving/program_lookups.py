"""Everything that a program's rules, definitions and models look up, planned once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from knowreason.logic import Atom, AttributeTerm, Directed, Program
from knowreason.logic.traversal import walk
from knowreason.models.base.stored_models import FittedModel
from knowreason.reasoner.serving.lookup_plans import (
    LookupPlan,
    RulePart,
    definition_plan,
    rule_parts,
)


@dataclass
class Lookups:
    """Everything that is looked up for a program, planned once.

    Attributes:
        program: whose.
        parts: by predicate, the rules as seen from its atoms.
        heads: predicates of which a directed rule (`~>`) speaks.
        seen: by predicate, what its models see of an atom: name and places.
        running: whether totals are kept, so that what they add up is not read.
    """

    program: Program
    parts: dict[str, list[RulePart]]
    heads: set[str]
    seen: dict[str, list[tuple[str, tuple[int, ...]]]]
    running: bool = False
    definitions: dict[tuple[str, tuple[int, ...]], LookupPlan | None] = field(default_factory=dict)
    defined: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.defined = frozenset(definition.name for definition in self.program.definitions)

    @staticmethod
    def of(program: Program, models: Sequence[FittedModel], running: bool = False) -> Lookups:
        """The lookups of a program's rules, and of its models."""
        parts: dict[str, list[RulePart]] = {}
        for index in range(len(program.rules)):
            for part in rule_parts(program, index):
                parts.setdefault(part.predicate, []).append(part)
        heads = {
            r.formula.right.predicate for r in program.rules if isinstance(r.formula, Directed)
        }
        seen = {}
        for predicate in program.open_predicates:
            own = [m for m in models if m.predicate == predicate.name]
            seen[predicate.name] = _seen(program, predicate.name, own)
        made = Lookups(program, parts, heads, seen, running)
        made.seen = {name: made._flat(relations) for name, relations in seen.items()}
        return made

    def _flat(
        self, relations: Sequence[tuple[str, tuple[int, ...]]]
    ) -> list[tuple[str, tuple[int, ...]]]:
        """The same, tables in place of definitions that read these and no more."""
        found: dict[tuple[str, tuple[int, ...]], None] = {}
        for name, places in relations:
            tables = self._tables(name) if name in self.defined and len(places) == 1 else None
            found |= dict.fromkeys((own, places) for own in ([name] if tables is None else tables))
        return list(found)

    def _tables(self, name: str) -> list[str] | None:
        """Tables of which a definition reads the rows of its one thing, where that is all."""
        plan = self.plan(name, (0,))
        if plan is None or plan.constants:
            return None
        found: list[str] = []
        used: set[str] = set()
        for steps in plan.steps:
            step, values = steps[0], {place for place in steps[0].places[1:] if place}
            if len(steps) > 1 or step.binds or step.places[:1] != ("p0",) or values & used:
                return None
            used |= values | {"p0"}
            inner = [step.name] if step.kind == "rows" else None
            if step.kind == "define" and len(step.places) == 1:
                inner = self._tables(step.name)
            if inner is None:
                return None
            found += inner
        return found

    def plan(self, name: str, known: tuple[int, ...]) -> LookupPlan | None:
        """What a definition reads; ``None`` for one that rests on itself."""
        key = name, known
        if key not in self.definitions:
            plan = None
            if not is_recursive(self.program, name):
                definition = self.program.definition(name)
                plan = definition_plan(self.program, definition, known, self.running)
            self.definitions[key] = plan
        return self.definitions[key]


def _seen(
    program: Program, predicate: str, models: Sequence[FittedModel]
) -> list[tuple[str, tuple[int, ...]]]:
    """Relations over the things of an atom that its models see."""
    if not models:
        return []
    sorts = program.sorts_of(predicate)
    names: set[str] | None = set()
    for model in models:
        inner = model.fitted.model
        inner = getattr(inner, "models", (inner,))[0]
        features = getattr(inner, "features", None)
        names = None if not features or names is None else names | set(features)
    relations = [(p.name, p.sorts) for p in program.predicates if p.kind == "observed"]
    relations += [(a.name, a.sorts) for a in program.attributes]
    relations += [(d.name, d.sorts) for d in program.definitions]
    found: list[tuple[str, tuple[int, ...]]] = []
    for name, own in relations:
        if names is not None and name not in names:
            continue
        if own == sorts:
            found.append((name, tuple(range(len(sorts)))))
        elif len(own) == 1:
            found += [(name, (place,)) for place, sort in enumerate(sorts) if sort == own[0]]
    return found


def names_read(program: Program, name: str) -> set[str]:
    """Predicates and attributes that a definition rests on, through others too."""
    seen: set[str] = set()
    pending = [name]
    defined = {definition.name: definition for definition in program.definitions}
    while pending:
        here = pending.pop()
        if here in seen:
            continue
        seen.add(here)
        if here in defined:
            for node in walk(defined[here].body):
                if isinstance(node, Atom):
                    pending.append(node.predicate)
                elif isinstance(node, AttributeTerm):
                    pending.append(node.name)
    return seen - set(defined)


def is_recursive(program: Program, name: str) -> bool:
    """Whether a definition rests on itself."""
    defined = {definition.name: definition for definition in program.definitions}
    seen: set[str] = set()
    pending = [name]
    while pending:
        for node in walk(defined[pending.pop()].body):
            used = node.predicate if isinstance(node, Atom) else getattr(node, "name", "")
            if isinstance(node, Atom | AttributeTerm) and used in defined:
                if used == name:
                    return True
                if used not in seen:
                    seen.add(used)
                    pending.append(used)
    return False
