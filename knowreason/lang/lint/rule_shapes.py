"""What the lints need to know of a rule, found in one pass over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from knowreason import logic as lg
from knowreason.logic.propositional_form import Leaves, Literal, clause
from knowreason.logic.traversal import names_in, walk


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
    formula, feature = rule.formula, rule.weight.feature
    names = names_in(formula) | (set() if feature is None else names_in(feature))
    weighed = {variable.name for variable in rule.weight.per}
    weighed |= set() if feature is None else set(_variables(feature))
    literals = clause(formula, leaves)
    disjuncts = None if literals is None else tuple(literals)
    uses = Counter(_variables(formula))
    return Shape(rule, frozenset(names), unknown & names, uses, frozenset(weighed), disjuncts)


def _variables(node: lg.Term | lg.Formula) -> Iterator[str]:
    return (here.name for here in walk(node) if isinstance(here, lg.Variable))
