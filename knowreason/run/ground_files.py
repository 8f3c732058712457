"""Factor graphs straight from files: rules and facts, a project, a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from knowreason.data import Dataset
from knowreason.diagnostics import Diagnostic
from knowreason.grounding import Grounding, ground
from knowreason.grounding.relational.term_sql import CALENDAR
from knowreason.lang import load, parse_facts
from knowreason.logic import Constant, Operation, Program
from knowreason.logic.canonical_text import term_text
from knowreason.logic.time_zones import UTC_ZONE
from knowreason.logic.traversal import walk
from knowreason.project.manifests import has_manifest


def bound_files(source: Path, facts: Path | None = None, zone: str = "") -> Dataset:
    """The data of a rule file's facts file, or of a project."""
    from knowreason.project.project_file import load_project
    from knowreason.project.project_tables import load_data, load_program

    if facts is None:
        project = load_project(source)
        return load_data(project, load_program(project))
    program = load(source, zone=zone or UTC_ZONE)
    text = facts.read_text(encoding="utf-8")
    return Dataset.from_facts(program, parse_facts(program, text, str(facts)))


def ground_files(program: Path, facts: Path, zone: str = "") -> Grounding:
    """A rule file over a facts file; the data's warnings come first.

    Args:
        program, facts: the files.
        zone: time zone of the calendar, and of times that name none; UTC where it is empty, which
            is said (KR949) where rules ask for the calendar.

    Raises:
        ProgramError: KR107 for a zone that is not there, and whatever is wrong with the rules.
    """
    data = bound_files(program, facts, zone)
    grounding = ground(data.program, data)
    told = () if zone else _calendar_in_utc(data.program)
    return replace(grounding, warnings=(*told, *data.warnings, *grounding.warnings))


def _calendar_in_utc(program: Program) -> tuple[Diagnostic, ...]:
    """The first function of the calendar that names no zone, as a finding."""
    bodies = [definition.body for definition in program.definitions]
    bodies += [rule.formula for rule in program.rules]
    bodies += [rule.weight.feature for rule in program.rules if rule.weight.feature is not None]
    for term in (node for body in bodies for node in walk(body)):
        if isinstance(term, Operation) and term.operator in CALENDAR:
            zoned = isinstance(term.operands[-1], Constant) and term.operands[-1].sort == "string"
            if not zoned:
                message = f"`{term_text(term)}` is that of UTC, as no time zone is given"
                help = "`--zone Europe/Vienna`, or `--zone UTC` if it is meant"
                return (Diagnostic("KR949", message, "warning", term.span, help=help),)
    return ()


def ground_asked(source: Path) -> Grounding:
    """All that a project asks, at the weights its rules start from: no labels, no models."""
    data = bound_files(source)
    for predicate, table in data.labels.items():
        data = data.hide(predicate, np.ones(table.num_rows, dtype=bool))
    grounding = ground(data.program, data)
    return replace(grounding, warnings=(*data.warnings, *grounding.warnings))


def ground_source(
    source: Path, facts: Path | None = None, *, project: Path | None = None, zone: str = ""
) -> Grounding:
    """What there is to ground behind a path.

    Args:
        source: a rule file (with ``facts``); a project file or its directory: its training
            part at the weights the rules start from, without models; a run folder: its test
            part at the learned weights, models included.
        facts: facts file of a rule file.
        project: as :func:`knowreason.run.run_folder.load_run` has it.
        zone: of a rule file, as :func:`ground_files` has it.
    """
    from knowreason.project.project_file import load_project
    from knowreason.reasoner.rule_coupling import with_rule_warnings
    from knowreason.run.compilation import ground_project
    from knowreason.run.run_prediction import beliefs_of_run

    if facts is not None:
        return ground_files(source, facts, zone)
    if has_manifest(source):
        return beliefs_of_run(source, project=project).grounding
    return with_rule_warnings(ground_project(load_project(source)))
