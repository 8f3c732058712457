"""Factor graphs straight from files: rules and facts, a project, a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from knowreason.data import Dataset
from knowreason.grounding import Grounding, ground
from knowreason.lang import load, parse_facts
from knowreason.project.manifests import has_manifest


def bound_files(source: Path, facts: Path | None = None) -> Dataset:
    """The data of a rule file's facts file, or of a project."""
    from knowreason.project.project_file import load_project
    from knowreason.project.project_tables import load_data, load_program

    if facts is None:
        project = load_project(source)
        return load_data(project, load_program(project))
    program = load(source)
    text = facts.read_text(encoding="utf-8")
    return Dataset.from_facts(program, parse_facts(program, text, str(facts)))


def ground_files(program: Path, facts: Path) -> Grounding:
    """A rule file over a facts file; the data's warnings come first."""
    data = bound_files(program, facts)
    grounding = ground(data.program, data)
    return replace(grounding, warnings=(*data.warnings, *grounding.warnings))


def ground_asked(source: Path) -> Grounding:
    """All that a project asks, at the weights its rules start from: no labels, no models."""
    data = bound_files(source)
    for predicate, table in data.labels.items():
        data = data.hide(predicate, np.ones(table.num_rows, dtype=bool))
    grounding = ground(data.program, data)
    return replace(grounding, warnings=(*data.warnings, *grounding.warnings))


def ground_source(
    source: Path, facts: Path | None = None, *, project: Path | None = None
) -> Grounding:
    """What there is to ground behind a path.

    Args:
        source: a rule file (with ``facts``); a project file or its directory: its training
            part at the weights the rules start from, without models; a run folder: its test
            part at the learned weights, models included.
        facts: facts file of a rule file.
        project: as :func:`knowreason.run.run_folder.load_run` has it.
    """
    from knowreason.project.project_file import load_project
    from knowreason.reasoner.rule_coupling import with_rule_warnings
    from knowreason.run.compilation import ground_project
    from knowreason.run.run_prediction import beliefs_of_run

    if facts is not None:
        return ground_files(source, facts)
    if has_manifest(source):
        return beliefs_of_run(source, project=project).grounding
    return with_rule_warnings(ground_project(load_project(source)))
