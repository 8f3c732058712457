"""``knowreason explain``: why, why not, what if."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import progress_bar, say, write, write_json
from knowreason.cli.verb_options import ProjectOption, RedactOption, redactor_of
from knowreason.errors import ProjectError


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    atoms: Annotated[list[str] | None, typer.Argument(help="Such as 'Malicious(\"e17\")'.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with other tables, named as in the project.")
    ] = None,
    top: Annotated[int, typer.Option(help="So many of the most probable atoms.")] = 0,
    predicate: Annotated[str, typer.Option(help="Of --top, where several are asked.")] = "",
    changes: Annotated[
        list[str] | None,
        typer.Option("--if", help="What if the data were so: 'amount(p1) = 20', '!Pays(p1, t2)'."),
    ] = None,
    what_if: Annotated[
        bool,
        typer.Option("--what-if", help="Search for single changes that turn it around."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A table, one row a part: .parquet or .csv"),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="A waterfall of the parts, as .svg; of one atom.")
    ] = None,
    graph: Annotated[
        Path | None, typer.Option(help="The atoms and rules around it, as .svg; of one atom.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
    project: ProjectOption = None,
    redact: RedactOption = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Explain atoms: shares that add up, with the data in them; why not, what would turn it around.

    Labelled atoms are explained as if nobody knew.
    """
    asked = atoms or []
    if not asked and not top:
        raise ProjectError("no atom is named", code="KR942", help="or say --top 20")
    if (picture or graph) and len(asked) != 1:
        raise ProjectError("a picture is of one atom", code="KR942", help="name one atom")
    if graph and redact:
        message = "a picture of what stands around an atom names things"
        raise ProjectError(message, code="KR942", help="--picture is redacted")
    with progress_bar(brief=True) as progress:  # which shows while libraries are imported, too
        from knowreason.explanation import explanation_table
        from knowreason.run.run_explanation import explain_run
        from knowreason.run.run_prediction import check_output, save_table

        for file in (output, picture, graph):
            if file is not None:
                check_output(file, run, data, replace=force, picture=file is not output)
        explained = explain_run(
            run,
            asked,
            data,
            top=top,
            predicate=predicate,
            changes=changes or (),
            turning=what_if,
            around=graph is not None,
            project=project,
            progress=progress,
        )
    found = explained.found
    if redact is not None:
        from knowreason.run.run_folder import stored_program, stored_project

        redactor = redactor_of(stored_program(run, stored_project(run)), redact)
        found = tuple(map(redactor.within, found))
    if picture is not None or graph is not None:
        from knowreason.report.explanation_pictures import save_pictures

        save_pictures(found[0], explained.around, picture, graph)
    if output is not None:
        table = explanation_table(found)
        save_table(table, output)
        say(f"{table.num_rows:,} rows about {len(found):,} atoms: {output}")
    if json:
        write_json([explanation.to_dict() for explanation in found])
    elif output is None:
        write("\n\n".join(map(str, found)))
