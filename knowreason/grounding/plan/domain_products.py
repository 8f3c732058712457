"""Variables that no observed atom binds, and rules that are too large because of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from knowreason.data import Dataset
from knowreason.diagnostics import Diagnostic
from knowreason.grounding.plan.range_restriction import guards as bound_by
from knowreason.grounding.plan.rule_plan import RulePlan
from knowreason.logic import And, Formula, Variable


def too_large(rule: RulePlan, estimate: int, limit: int, data: Dataset) -> Diagnostic:
    """Why a rule is refused: the product it makes."""
    ranges = ranging_variables(rule.guards, rule.rule.variables)
    product = " x ".join(f"{len(data.vocabularies[v.sort]):,} {v.sort}" for v in ranges)
    if product:
        names = " and ".join(f"`{variable.name}`" for variable in ranges)
        total = prod(len(data.vocabularies[v.sort]) for v in ranges)
        why = f": no observed atom binds {names}, a product of {product} = {total:,}"
        hint = f"add an observed atom that ties {names} to the rest"
    else:
        why, hint = "", "a join condition is missing, usually: tie its variables more closely"
    return Diagnostic(
        "KR647",
        f"rule `{rule.rule.name}` has about {estimate:,} groundings, over the limit of {limit:,}"
        + why,
        span=rule.rule.span,
        help=hint,
    )


def ranging_variables(
    guards: Sequence[Formula], variables: Sequence[Variable]
) -> tuple[Variable, ...]:
    """Variables that no guard binds: they run over their whole domain."""
    bound = bound_by(And(tuple(guards)))
    return tuple(variable for variable in variables if variable.name not in bound)
