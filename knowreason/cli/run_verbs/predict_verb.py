"""``knowreason predict``: marginals on new data, no retraining."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import progress_bar, say, show_findings, write_json, write_table
from knowreason.cli.verb_options import (
    ProjectOption,
    RedactOption,
    StrictOption,
    redactor_of,
    require_confirmed,
)
from knowreason.errors import ProjectError


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder with today's tables, named as in the project.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help=".parquet or .csv")] = None,
    predicate: Annotated[str, typer.Option(help="Which predicate, where several are asked.")] = "",
    map: Annotated[bool, typer.Option("--map", help="The most probable world instead.")] = False,
    adapt: Annotated[
        bool | None,
        typer.Option(help="Discount models that broke since training; default: the project's."),
    ] = None,
    labelled: Annotated[
        bool,
        typer.Option("--labelled", help="Score labelled rows too, as if they were not."),
    ] = False,
    top: Annotated[int, typer.Option(help="Only so many rows, most probable first.")] = 0,
    reasons: Annotated[
        int, typer.Option(help="So many columns with what speaks for each row.")
    ] = 0,
    parts: Annotated[
        int,
        typer.Option(
            help="So many independent parts, one by one or Spark's tasks; default: the project's."
        ),
    ] = 0,
    force: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
    project: ProjectOption = None,
    redact: RedactOption = None,
    strict: StrictOption = False,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Predict with a stored run; a column says how good marginals are where not all are exact.

    Says how many rows were asked, how many are labelled and not scored, and how many of the asked
    are unseen: no fact, feature or score mentions them. Exit code 1 where nothing was asked.
    """
    from knowreason.run.divided.divided_run import parts_of_run, predict_in_parts
    from knowreason.run.run_folder import stored_program, stored_project
    from knowreason.run.run_prediction import check_output, predict_run, save_table

    if output is not None:
        check_output(output, run, data, replace=force)
    count = parts_of_run(run, parts, whole=map or bool(adapt) or bool(reasons))
    if redact is not None and count > 1:
        message = "names are redacted in one part only"
        raise ProjectError(message, code="KR938", help="--parts 1")
    redactor = None
    if redact is not None:
        redactor = redactor_of(stored_program(run, stored_project(run)), redact)
    streamed = output if count > 1 and not top else None
    with progress_bar() as progress:
        if count > 1:
            predictions = predict_in_parts(
                run,
                streamed,
                data,
                parts=count,
                predicate=predicate,
                top=top,
                labelled=labelled,
                project=project,
                progress=progress,
            )
        else:
            predictions = predict_run(
                run,
                data,
                predicate=predicate,
                most_probable=map,
                adapt=None if adapt is None else "reliability" if adapt else "",
                labelled=labelled,
                reasons=0 if map else reasons,
                top=top,
                redactor=redactor,
                project=project,
                progress=progress,
            )
    table = predictions.table.slice(0, top) if top else predictions.table
    if output is not None and (streamed or predictions.finding is None):
        if streamed is None:
            save_table(table, output)
        say(f"{predictions.quality.atoms if streamed else table.num_rows:,} rows: {output}")
    if json:
        write_json(table.to_pylist())
    elif output is None:
        write_table(table.column_names, zip(*table.to_pydict().values(), strict=True))
    for note in predictions.notes:
        say(note)
    say(str(predictions.counts))
    if predictions.finding is not None:
        if output is not None and not streamed:
            say(f"no file: {output}")
        show_findings([predictions.finding])
        raise typer.Exit(1)
    require_confirmed([predictions.quality] if strict else [])
