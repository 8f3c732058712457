"""``plan`` part by part, and what other verbs need of parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from knowreason.diagnostics import Diagnostic
from knowreason.errors import ProjectError
from knowreason.grounding import Plan
from knowreason.grounding import plan as plan_grounding
from knowreason.grounding.size_estimate import DefinitionEstimate, Total
from knowreason.project.independent_parts import IndependentParts, independent_parts
from knowreason.project.plugins import load_plugins
from knowreason.project.project_tables import load_program
from knowreason.project.schema import Project

PLANNED = 8  # parts that a plan looks at


def plan_in_parts(project: Project, *, limit: int = 0) -> Plan:
    """The plan of all parts: sums of rows and seconds, bytes of the largest part.

    Of many parts a few are looked at, and stand for the others: keys are dealt at random, or
    ranges evenly spread.

    Raises:
        ProjectError: KR938 where there are none.
        GroundingError: as :func:`knowreason.grounding.plan`; limits are those of a part.
    """
    plans: list[Plan] = []
    said: list[tuple[Diagnostic, ...]] = []
    with parts_of_training(project, most=PLANNED) as parts:
        for data in parts:
            one = plan_grounding(
                parts.program,
                data,
                limit=limit or project.ground_limit,
                memory_limit=project.memory_limit,
            )
            plans.append(one)
            said.append((*data.warnings, *one.warnings))
    share = parts.count / len(parts.wanted)
    rules = tuple(
        replace(
            same[0],
            rows=round(share * sum(rule.rows for rule in same)),
            exact=share == 1 and all(rule.exact for rule in same),
            bytes=max(rule.bytes for rule in same),
            seconds=share * sum(rule.seconds for rule in same),
        )
        for same in zip(*(one.rules for one in plans), strict=True)
    )
    definitions = tuple(
        DefinitionEstimate(
            same[0].definition,
            round(share * sum(one.rows for one in same)),
            max(one.bytes for one in same),
            share * sum(one.seconds for one in same),
        )
        for same in zip(*(one.definitions for one in plans), strict=True)
    )
    atoms = {n: round(share * sum(one.atoms[n] for one in plans)) for n in plans[0].atoms}
    totals = [one.total for one in plans]
    total = Total(
        round(share * sum(one.rows for one in totals)),
        max(one.bytes for one in totals),
        share * sum(one.seconds for one in totals),
    )
    return Plan(atoms, rules, said_by_all(said), definitions, total)


@contextmanager
def parts_of_training(project: Project, *, most: int = 0) -> Iterator[IndependentParts]:
    """The parts of a project's training data, its plugins loaded; raises KR938."""
    load_plugins(project)
    program = load_program(project)
    refuse_split(project)
    with independent_parts(project, program, most=most) as parts:
        yield parts


def refuse_split(project: Project) -> None:
    """Raise KR938 where labels are held back: which ones is drawn from all rows."""
    labelled = any(one.label is not None for one in project.bind.values())
    if project.split.by or (project.split.share and labelled):
        raise ProjectError(
            "a split of the labels is not made in parts",
            code="KR938",
            help="[split] share = 0.0, or tables of one part of it alone",
        )


def said_by_all(said: list[tuple[Diagnostic, ...]]) -> tuple[Diagnostic, ...]:
    """Warnings that hold in every part: what only one of them lacks may stand in another."""
    every = set.intersection(*({d.message for d in one} for one in said))
    return tuple(finding for finding in said[0] if finding.message in every)
