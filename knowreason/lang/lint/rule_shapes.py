"""What the lints need to know of a rule, found in one pass over it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from knowreason import logic as lg
from knowreason.logic.propositional_form import Leaves, Literal, clause
from knowreason.logic.traversal import children


@dataclass(frozen=True)
class Shape:
    """A rule and what stands in it.

    Attributes:
        names: predicates, attributes and parameters it mentions.
        opens: query and latent predicates it mentions.
        uses: how often each variable stands in the formula.
        weighed: variables that stand in the weight.
        clause: its literals when the formula is one clause.
    """

    rule: lg.Rule
    names: frozenset[str]
    opens: frozenset[str]
    uses: Counter[str]
    weighed: frozenset[str]
    clause: tuple[Literal, ...] | None

    def roles(self, variable: str) -> list[tuple[bool, str, int]]:
        """The places of the clause at which a variable stands."""
        return sorted(
            (sign, leaf.template, 0 if leaf.commutes else place)
            for sign, leaf in self.clause or ()
            for place, name in enumerate(leaf.variables)
            if name == variable
        )


def shape_of(rule: lg.Rule, unknown: frozenset[str], leaves: Leaves) -> Shape:
    """What stands in a rule; ``unknown`` are the query and latent predicates."""
    names: set[str] = set()
    uses: Counter[str] = Counter()
    _look(rule.formula, names, uses)
    weighed: Counter[str] = Counter(variable.name for variable in rule.weight.per)
    if rule.weight.feature is not None:
        _look(rule.weight.feature, names, weighed)
    literals = clause(rule.formula, leaves)
    disjuncts = None if literals is None else tuple(literals)
    return Shape(rule, frozenset(names), unknown & names, uses, frozenset(weighed), disjuncts)


def _look(node: lg.Term | lg.Formula, names: set[str], uses: Counter[str]) -> None:
    pending = [node]
    while pending:
        here = pending.pop()
        if isinstance(here, lg.Variable):
            uses[here.name] += 1
        elif not isinstance(here, lg.Constant):
            if isinstance(here, lg.Atom):
                names.add(here.predicate)
            elif isinstance(here, lg.AttributeTerm | lg.ParameterTerm):
                names.add(here.name)
            pending.extend(children(here))
