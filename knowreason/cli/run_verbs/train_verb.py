"""``knowreason train``: models, then weights; a run folder."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from knowreason.cli.screen import (
    Screen,
    progress_bar,
    say,
    set_screen,
    show_warnings,
    write_json,
    write_table,
)
from knowreason.cli.verb_options import RedactOption, SetOption, redactor_of, settings_of

if TYPE_CHECKING:
    from knowreason.data.arrow_types import ArrowTable
    from knowreason.run.run_folder import Run


def train(
    project: Annotated[Path, typer.Argument(help="Project file or its directory.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Run folder.")] = None,
    set: SetOption = None,
    labels: Annotated[str, typer.Option(help="`none` keeps every weight at its prior.")] = "",
    resume: Annotated[bool, typer.Option(help="Go on with an interrupted run.")] = False,
    models: Annotated[
        Path | None,
        typer.Option(help="Run whose models are taken where nothing they rest on changed."),
    ] = None,
    compiled: Annotated[Path | None, typer.Option(help="Folder that `compile -o` wrote.")] = None,
    force: Annotated[bool, typer.Option(help="Replace a run that is there.")] = False,
    redact: RedactOption = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Fit the models, learn the weights, write a run folder.

    Under `torchrun` the likelihood is shared out among its processes; the first one writes.
    """
    from knowreason.process_group import process_group
    from knowreason.project.project_file import load_project
    from knowreason.project.project_tables import load_program
    from knowreason.run.run_training import has_interrupted_run
    from knowreason.run.run_training import train as train_project

    settings = settings_of(set)
    if labels:
        settings["learn.labels"] = labels
    loaded = load_project(project, settings)
    redactor = None if redact is None else redactor_of(load_program(loaded), redact)
    target = output or Path("runs") / loaded.name
    if has_interrupted_run(target) and not resume:
        say("an interrupted run is replaced (--resume would go on with it)")
    with process_group() as rank, TemporaryDirectory() as elsewhere:
        if rank:
            set_screen(Screen(quiet=True))
        with progress_bar() as progress:
            run = train_project(
                loaded,
                Path(elsewhere) / "run" if rank else target,
                resume=resume,
                models=models,
                compiled=compiled,
                force=force,
                redactor=redactor,
                progress=progress,
            )
    if rank:
        return
    for model in run.reasoner.models_:
        if model.fitted.model.headline:
            say(f"{model.name} for {model.predicate}: {model.fitted.model.headline}")
    fit, grounding = run.reasoner.fit_, run.reasoner.grounding_
    show_warnings(grounding.warnings)
    rows = [
        (w.name, w.prior_mean, w.value, _error(w.standard_error), w.status)
        for w in run.reasoner.weights_.shown()
    ]
    if json:
        weights = list(run.reasoner.weights_)
        tables = {name: table.to_pylist() for name, table in _tables(run)}
        write_json(
            {"run": str(target), "weights": weights, "quality": run.quality, "models": tables}
        )
    else:
        for title, table in _tables(run):
            lines = [[_blank(cell) for cell in row.values()] for row in table.to_pylist()]
            write_table(table.column_names, lines, title=title)
        write_table(["weight", "prior", "learned", "+-", "what the data said"], rows)
    told = tuple(warning.message for warning in grounding.warnings)
    notes = (note for note in fit.notes if not note.startswith(told))
    for line in (*run.reasoner.answers_.notes, *fit.estimators, *notes, *_model_reports(run)):
        say(str(line))
    for line in run.shadows:
        say(line)
    for predicate, quality in run.quality.items():
        say(f"marginals of {predicate} in the test part: {quality}")
    if (target / "report.html").is_file():
        say(f"report: {target / 'report.html'}")
    say(f"run folder: {target} ({run.manifest['seconds']:.1f} s)")


def _error(value: float) -> float | None:
    """The standard error, blank where the method gives none."""
    return value if isfinite(value) else None


def _blank(cell: object) -> object:
    return None if isinstance(cell, float) and not isfinite(cell) else cell


def _tables(run: Run) -> list[tuple[str, ArrowTable]]:
    return [
        (f"{model.name} for {model.predicate}: {title}", table)
        for model in run.reasoner.models_
        for title, table in model.fitted.model.tables().items()
    ]


def _model_reports(run: Run) -> list[str]:
    return [
        f"{model.name} for {model.predicate}: {'; '.join(model.fitted.report)}"
        for model in (*run.reasoner.estimates_, *run.reasoner.models_)
    ]
