"""What rules were expected to come to, tested on data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from knowreason.diagnostics import Diagnostic
from knowreason.evaluate.rule_figures import RuleFigures, figures_of
from knowreason.evaluate.rule_firings import believed_world, labelled_world, rule_firings
from knowreason.logic import Expectation, Rule
from knowreason.logic.canonical_text import expectation_text
from knowreason.metrics.intervals import Estimate
from knowreason.project.plugins import load_plugins
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_data, load_program
from knowreason.reasoner.labels.asked_labels import with_hidden_labels
from knowreason.run.run_folder import load_run


def expectation_findings(
    project_file: Path, directory: Path, run: Path | None = None
) -> tuple[list[Diagnostic], int]:
    """Findings about what stands behind ``expect``, and how many expectations were tested.

    Open atoms in bodies are as labels and evidence of the tables say; with a run they are as it
    believes them, all labels of the tables hidden from it.

    Args:
        project_file: whose rule file is tested.
        directory: where the tables are, named as in the project.
        run: a run folder whose beliefs stand for open atoms.

    Raises:
        ProjectError, DataError: as reading the tables and the run does.
    """
    project = load_project(project_file)
    load_plugins(project)
    program = load_program(project)
    rules = [rule for rule in program.every_rule if rule.expected]
    if not rules:
        return [], 0
    data = load_data(project, program, directory)
    if run is None:
        world = labelled_world(data)
    else:
        reasoner = load_run(run, project=project_file).reasoner
        beliefs = reasoner.infer(
            with_hidden_labels(load_data(project, reasoner.program, directory))
        )
        world = believed_world(beliefs)
    fired, left = rule_firings(world, rules)
    figures = {f.rule: figures_of(f.at, world.asked[f.predicate].truth, f.says) for f in fired}
    found: list[Diagnostic] = []
    for rule in rules:
        if rule.name in left:
            found += (_unmeasured(rule, one, left[rule.name]) for one in rule.expected)
        else:
            found += _findings(rule, figures[rule.name])
    return found, sum(len(rule.expected) for rule in rules)


def _findings(rule: Rule, figures: RuleFigures) -> Iterator[Diagnostic]:
    for one in rule.expected:
        if one.figure == "fires":
            value, said = float(figures.fired), f"fires {figures.fired:,} times"
        else:
            share, of = _share(one, figures)
            value = share.value
            if value != value:
                yield _unmeasured(rule, one, of)
                continue
            said = f"has a {one.figure} of {value:.3g} ({of})"
        if not one.allows(value):
            message = f"rule `{rule.name}` {said}"
            expected = f"expected {expectation_text(one)}"
            yield Diagnostic("KR946", message, span=one.span, label=expected)


def _share(one: Expectation, figures: RuleFigures) -> tuple[Estimate, str]:
    """The figure, and of how many it is (or what there is none of)."""
    right = f"{figures.right:,} right of"
    if one.figure == "recall":
        of = f"{right} {figures.wanted:,} labelled atoms to find"
        return figures.recall, of if figures.wanted else "no label says what it is to find"
    if not figures.labelled:
        return figures.precision, f"none of its {figures.fired:,} firings has a label"
    return figures.precision, f"{right} {figures.labelled:,} labelled firings"


def _unmeasured(rule: Rule, one: Expectation, why: str) -> Diagnostic:
    return Diagnostic(
        "KR947",
        f"`{expectation_text(one)}` of rule `{rule.name}` could not be measured: {why}",
        "warning",
        one.span,
        help="`--run RUN` takes the beliefs of a run" if "nothing is known" in why else None,
    )
