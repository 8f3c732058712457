"""What grounding did with each rule, and what it refuses to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.errors import GroundingError
from knowreason.ground.harvest import Harvest
from knowreason.ground.rows import Listing
from knowreason.logic import Rule


@dataclass(frozen=True)
class RuleReport:
    """Counts of one rule's groundings.

    Attributes:
        rule: its name.
        candidate: listed by the join; those an observed part decides are not listed.
        satisfied, violated: decided true, decided false by evidence.
        missing: dropped because a value they need is missing.
        merged: same as another after folding.
        open: ground factors left, units counted by atom.
        seconds: time it took.
        estimate: rows expected beforehand.
        decided: whether no unknown stands in it, so that its weight cannot be learned.
    """

    rule: str
    candidate: int
    satisfied: int
    violated: int
    missing: int
    merged: int
    open: int
    seconds: float
    estimate: int
    decided: bool = False


def check_size(query: Listing, rule: str, limit: int) -> int:
    """Rows the relational engine expects of a rule's query.

    Raises:
        GroundingError: where there would be more than ``limit``.
    """
    estimate = query.relations.estimate(query.tree)
    if estimate <= limit:
        return estimate
    raise GroundingError(
        f"rule `{rule}` has about {estimate:,} groundings, over the limit of {limit:,}",
        code="KR647",
        help="a missing join condition, usually: add an observed atom that ties its variables",
    )


def refuse_violated(harvest: Harvest, rule: Rule, data: Dataset) -> None:
    """Hard groundings that evidence alone makes false are an error."""
    if rule.weight.kind != "hard" or not harvest.violated:
        return
    raise GroundingError(
        f"the evidence contradicts hard rule `{rule.name}` in {harvest.violated:,} grounding(s): "
        + named_settings(harvest.broken, rule, data),
        code="KR644",
        help="correct the data, or give the rule a weight",
    )


def named_settings(rows: Sequence[NDArray[np.int32]], rule: Rule, data: Dataset) -> str:
    """``x = "anna", y = "bob"; ...`` of the first settings."""
    return "; ".join(
        ", ".join(
            f'{variable.name} = "{data.vocabularies[variable.sort].name(int(thing))}"'
            for variable, thing in zip(rule.variables, row, strict=True)
        )
        or "the rule itself"
        for row in rows[:3]
    )
