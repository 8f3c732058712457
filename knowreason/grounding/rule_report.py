"""What grounding did with each rule, and what it refuses to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.diagnostics import Diagnostic
from knowreason.errors import GroundingError
from knowreason.grounding.arrays.array_relations import ArrayRelations
from knowreason.grounding.folding.rule_columns import Harvest
from knowreason.grounding.folding.rule_settings import Listing
from knowreason.grounding.relational.database import Relations
from knowreason.logic import AttributeTerm, Formula, Operation, Rule
from knowreason.logic.canonical_text import string_text
from knowreason.logic.traversal import walk


@dataclass(frozen=True)
class RuleReport:
    r"""Counts of one rule's groundings.

    Attributes:
        rule: its name.
        candidate: listed by the join; those an observed part decides are not listed.
        satisfied, violated: decided true, decided false by evidence.
        missing: dropped because a value they need is missing; ``None`` where counting
            them would take a join over the limit.
        merged: same as another after folding.
        open: ground factors left, units counted by atom.
        seconds: time it took.
        estimate: rows expected beforehand.
        decided: whether no unknown stands in it, so that its weight cannot be learned.

    Example:
        >>> import knowreason as kr
        >>> program = kr.loads('domain P = {"anna"}\nquery Smokes(P)\nrule rare [-1] : Smokes(x)')
        >>> (report,) = kr.ground(program, kr.Dataset.from_frames(program)).reports
        >>> report.rule, report.candidate, report.open
        ('rare', 1, 1)
    """

    rule: str
    candidate: int
    satisfied: int
    violated: int
    missing: int | None
    merged: int
    open: int
    seconds: float
    estimate: int
    decided: bool = False


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


def unidentified(rule: Rule, candidates: int) -> Diagnostic:
    """A rule that no unknown depends on in this data."""
    why = "the evidence decides every grounding of" if candidates else "nothing matches"
    return Diagnostic(
        "KR662",
        f"{why} rule `{rule.name}`, so its weight cannot be learned here",
        "warning",
        rule.span,
    )


def featureless(rule: Rule, harvest: Harvest, data: Dataset) -> Diagnostic:
    """Groundings that were dropped because their feature is no number."""
    parts = () if rule.weight.feature is None else walk(rule.weight.feature)
    read = sorted({part.name for part in parts if isinstance(part, AttributeTerm)})
    reads = f", which reads {', '.join(f'`{name}`' for name in read)}," if read else ""
    return Diagnostic(
        "KR664",
        f"the feature of rule `{rule.name}`{reads} is missing or not finite in "
        f"{harvest.featureless:,} of {harvest.candidate:,} grounding(s), which were dropped: "
        f"{named_settings(harvest.without_feature, rule, data)}",
        "warning",
        rule.span,
    )


def named_settings(rows: Sequence[NDArray[np.int32]], rule: Rule, data: Dataset) -> str:
    """``x = "anna", y = "bob"; ...`` of the first settings."""
    return "; ".join(
        ", ".join(
            f"{variable.name} = {string_text(data.vocabularies[variable.sort].name(int(thing)))}"
            for variable, thing in zip(rule.variables, row, strict=True)
        )
        or "the rule itself"
        for row in rows[:3]
    )


def missing_rows(query: Listing, guards: Sequence[Formula], limit: int) -> int | None:
    """Settings that a missing value keeps out of a rule's list; ``None`` if too many to count."""
    relations = query.relations
    if isinstance(relations, ArrayRelations):
        return None
    if not any(_may_be_missing(part, relations) for g in guards for part in walk(g)):
        return 0
    dropped = query.dropped()
    return relations.rows(dropped) if relations.estimate(dropped) <= limit else None


def _may_be_missing(part: object, relations: Relations) -> bool:
    """Whether a term can be without a value for some things."""
    if isinstance(part, Operation):
        return part.operator in ("/", "log", "log1p", "exp", "sqrt")
    if not isinstance(part, AttributeTerm):
        return False
    table: pa.Table | None = relations.data.attributes.get(part.name)
    if table is None or len(part.arguments) != 1:
        return True
    (sort,) = relations.program.sorts_of(part.name)
    values = table.column("value")
    has_nan = pa.types.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py()
    things = len(relations.data.vocabularies[sort])
    return bool(table.num_rows < things or values.null_count or has_nan)
