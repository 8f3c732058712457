"""``knowreason eval``: how good, beside what anyone would try first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowreason.cli.screen import progress_bar, say, write, write_json, write_table
from knowreason.cli.verb_options import (
    ProjectOption,
    RedactOption,
    StrictOption,
    redactor_of,
    require_confirmed,
)

if TYPE_CHECKING:
    from knowreason.evaluate.evaluation import Evaluation
    from knowreason.evaluate.numeric_evaluation import NumericEvaluation
    from knowreason.metrics.alarms import MeasuredAlarms
    from knowreason.metrics.metrics import Estimate


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder with other tables, named as in the project.")
    ] = None,
    project: ProjectOption = None,
    redact: RedactOption = None,
    strict: StrictOption = False,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """What to do with a run, and why: each model, baselines, the reasoner, rules left out."""
    with progress_bar() as progress:  # which shows while libraries are imported, too
        from knowreason.evaluate.numeric_evaluation import NumericEvaluation
        from knowreason.run.run_evaluation import evaluate_run, evaluation_record

        evaluations = evaluate_run(run, data, project=project, progress=progress)
    if redact is not None:
        from knowreason.run.run_folder import stored_program, stored_project

        redactor = redactor_of(stored_program(run, stored_project(run)), redact)
        evaluations = tuple(map(redactor.within, evaluations))
    if json:
        write_json([evaluation_record(evaluation) for evaluation in evaluations])
    else:
        for evaluation in evaluations:
            if isinstance(evaluation, NumericEvaluation):
                show_numbers(evaluation)
            else:
                show(evaluation)
    require_confirmed(evaluation.quality for evaluation in evaluations if strict)


def show(evaluation: Evaluation) -> None:
    """The verdict and the tables of one predicate."""
    if evaluation.alarms is not None:
        write(f"{evaluation.predicate}: {evaluation.alarms}")
    write(f"{evaluation.predicate}: {evaluation.verdict}")
    if evaluation.alarms is not None:
        show_alarms(evaluation.alarms)
    metrics = list(next(iter(evaluation.table.values())))
    positives = int(evaluation.truth.sum())
    title = (
        f"{evaluation.predicate}: {len(evaluation.truth):,} held-back labels, {positives:,} true; "
        "95 % intervals by bootstrap" + (" over slices" if evaluation.blocks is not None else "")
    )
    rows = [
        (name, *(_figure(row[metric]) for metric in metrics))
        for name, row in evaluation.table.items()
    ]
    write_table(["", *metrics], rows, title=title)
    if evaluation.ablation:
        left_out = [
            (name, *(row[metric].value for metric in metrics))
            for name, row in evaluation.ablation.items()
        ]
        write_table(["", *metrics], left_out, title="Rules left out (other weights kept)")
    if evaluation.slices:
        columns = list(evaluation.slices[0])
        write_table(columns, [tuple(row.values()) for row in evaluation.slices], title="By slice")
    for metric, difference in evaluation.difference.items():
        told = "a tie" if difference.low <= 0 <= difference.high else "beyond chance"
        other = evaluation.best_other[metric]
        say(f"{metric}: {difference.value:+.3f} against {other} ({difference}): {told}")
    say(f"marginals measured: {evaluation.quality}")
    for note in evaluation.notes:
        say(note)


def show_alarms(measured: MeasuredAlarms) -> None:
    """What alarms by each row come to, and whether ours lose less."""
    from knowreason.metrics.alarms import alarm_rows, loss_sentence

    head, rows = alarm_rows(measured)
    write_table(head, rows, title=f"Alarms {measured.decision}")
    say(loss_sentence(measured))
    for note in measured.notes:
        say(note)


def show_numbers(evaluation: NumericEvaluation) -> None:
    """The table of a numeric query."""
    metrics = list(next(iter(evaluation.table.values())))
    over = " over blocks" if evaluation.blocks is not None else ""
    title = (
        f"{evaluation.predicate}: {len(evaluation.truth):,} held-back numbers; 95 % intervals by "
        f"bootstrap{over}"
    )
    rows = [
        (name, *(_figure(row[metric]) for metric in metrics))
        for name, row in evaluation.table.items()
    ]
    write_table(["", *metrics], rows, title=title)
    for note in evaluation.notes:
        say(note)


def _figure(estimate: Estimate) -> str:
    value, low, high = estimate.value, estimate.low, estimate.high
    return f"{value:.3f}" if low != low else f"{value:.3f} ({low:.3f}-{high:.3f})"
