"""Rules that tie the things of an observed table to a hub."""

from __future__ import annotations

from dataclasses import dataclass

from knowreason.grounding.plan.formula_tree import OpenLiteral
from knowreason.grounding.plan.rule_plan import clause_parts, plan_rule
from knowreason.logic import Atom, Program, Variable, Wildcard


@dataclass(frozen=True)
class HubRule:
    """A clause of two literals for each row of a table: one of the row's thing, one of its hub.

    Where the first literal is known to be false, what is left is the hub's literal, whatever the
    thing is: such rows need only be counted, by hub.

    Attributes:
        index: of the rule in its program.
        name: of the rule.
        table: observed predicate.
        member: predicate of the row's thing.
        thing: place of the thing in the table.
        hub: predicate of the hub.
        places: places of the hub's arguments in the table.
        against: truth of the member that makes its literal false.
        positive: whether the hub's literal is the atom, and not its negation.
        variables: place in the table of each variable of the rule.
    """

    index: int
    name: str
    table: str
    member: str
    thing: int
    hub: str
    places: tuple[int, ...]
    against: bool
    positive: bool
    variables: tuple[int, ...]

    @property
    def group(self) -> tuple[str, int, str]:
        """What rules have in common that count the same rows."""
        return self.table, self.thing, self.member


def hub_rules(program: Program, index: int) -> list[HubRule]:
    """A rule as a hub rule, in up to two ways; none where other rows or terms have a say."""
    rule, plan = program.rules[index], plan_rule(program, index)
    weight = rule.weight
    curved = plan.directed is not None or plan.neutral is not None
    if curved or plan.decided or weight.kind == "hard" or weight.per or weight.feature is not None:
        return []
    parts = clause_parts(plan.residual) or ()
    literals = [part for part in parts if isinstance(part, OpenLiteral)]
    if len(parts) != 2 or len(literals) != 2:
        return []
    known = [atom for atom in plan.guards if not _is_candidacy(program, atom, literals)]
    guard = known[0] if len(known) == 1 else None
    if not isinstance(guard, Atom) or guard.predicate in {d.name for d in program.definitions}:
        return []
    names = _variables(guard, wildcards=True)
    if names is None or program.kind_of(guard.predicate) != "observed":
        return []
    if program.predicate(guard.predicate).symmetric:
        return []
    if {v.name for v in rule.variables} != set(names) - {""}:
        return []
    found = []
    for member, hub in (literals, literals[::-1]):
        own, its = _variables(member.atom), _variables(hub.atom)
        if own is None or its is None or len(own) != 1 or own[0] in its or not 1 <= len(its) <= 2:
            continue
        if member.atom.predicate == hub.atom.predicate:
            continue
        if _is_plain(program, member.atom.predicate) and _is_plain(program, hub.atom.predicate):
            found.append(
                HubRule(
                    index,
                    rule.name,
                    guard.predicate,
                    member.atom.predicate,
                    names.index(own[0]),
                    hub.atom.predicate,
                    tuple(names.index(name) for name in its),
                    not member.positive,
                    hub.positive,
                    tuple(names.index(v.name) for v in rule.variables),
                )
            )
    return found


def _is_candidacy(program: Program, guard: object, literals: list[OpenLiteral]) -> bool:
    """Whether a guard says no more than that an atom is a candidate."""
    return any(program.candidacy(literal.atom) == guard for literal in literals)


def _variables(atom: Atom, wildcards: bool = False) -> list[str] | None:
    """Names of the variables an atom is about, each once; ``_`` has none."""
    names = []
    for argument in atom.arguments:
        if isinstance(argument, Variable):
            names.append(argument.name)
        elif isinstance(argument, Wildcard) and wildcards:
            names.append("")
        else:
            return None
    own = [name for name in names if name]
    return names if len(own) == len(set(own)) else None


def _is_plain(program: Program, name: str) -> bool:
    """Whether a predicate is of true or false atoms that nothing else speaks of."""
    declared = program.predicate(name)
    views = bool(declared.sees or program.views_of(name))
    return not (views or declared.symmetric or declared.functional_position is not None)
