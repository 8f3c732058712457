"""What grounding one rule needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from knowreason.data import Dataset
from knowreason.grounding.folding.open_literals import Literals
from knowreason.grounding.plan.formula_tree import OpenLiteral
from knowreason.grounding.plan.rule_plan import RulePlan, leaves
from knowreason.grounding.rule_parameters import per_sizes
from knowreason.logic import Rule, Variable


@dataclass(frozen=True)
class RuleRun:
    """What grounding one rule needs.

    Attributes:
        plan: the rule's plan.
        literals: evaluates its formulas.
        data: for the sizes of domains.
        base: index of its first parameter, ``-1`` for a hard rule.
    """

    plan: RulePlan
    literals: Literals
    data: Dataset
    base: int

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self.plan.rule

    @property
    def hard(self) -> bool:
        """Whether the rule must hold."""
        return self.rule.weight.kind == "hard"

    @property
    def parameters(self) -> int:
        """Number of the rule's weights."""
        return 0 if self.hard else prod(per_sizes(self.rule, self.data))

    def origins(self, positions: Sequence[int]) -> tuple[tuple[int, int], ...] | None:
        """Where the open atoms at some leaves tell what each variable stands for.

        Returns:
            For each variable of the rule the column of an atom and the argument place in
            it; ``None`` where a variable stands in none of them.
        """
        formula_leaves = leaves(self.plan.residual)
        places: dict[str, tuple[int, int]] = {}
        for column, position in enumerate(positions):
            leaf = formula_leaves[position] if position >= 0 else None
            if isinstance(leaf, OpenLiteral):
                for place, argument in enumerate(leaf.atom.arguments):
                    if isinstance(argument, Variable):
                        places.setdefault(argument.name, (column, place))
        names = [variable.name for variable in self.rule.variables]
        return tuple(places[n] for n in names) if all(n in places for n in names) else None
