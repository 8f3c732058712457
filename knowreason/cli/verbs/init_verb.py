"""``knowreason init``: a project from tables, guessed and written with comments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import progress_bar, say, write, write_json, write_table


def init(
    tables: Annotated[list[Path], typer.Argument(help="CSV, Parquet, JSON lines; .gz too.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the project; must not be there yet.")
    ],
    label: Annotated[str, typer.Option(help="TABLE.COLUMN that is true, false or unknown.")] = "",
    label_true: Annotated[
        list[str] | None, typer.Option(help="A cell of the label that means true; repeatable.")
    ] = None,
    label_unknown: Annotated[
        list[str] | None, typer.Option(help="A cell that says nothing; repeatable.")
    ] = None,
    time: Annotated[
        list[str] | None,
        typer.Option(help="TABLE.COLUMN that says when a row happened; one a table."),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="TABLE.COLUMN that names its rows; one a table.")
    ] = None,
    same: Annotated[
        list[str] | None,
        typer.Option(help="TABLE.COLUMN=TABLE.COLUMN: both name the same things; repeatable."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Make a project from tables: keys, domains, clock, label, attributes and rules are guessed.

    Prints each guess with its reason (`?`: look at it), and three commands to try next.
    """
    from knowreason.run.from_tables.starter_project import InitOptions, project_from_tables

    said = InitOptions(
        label, *(tuple(option or ()) for option in (label_true, label_unknown, time, key, same))
    )
    with progress_bar(brief=True) as progress:
        made = project_from_tables(tables, output, said, progress=progress)
    if json:
        write_json({"guesses": made.guesses, "commands": made.commands})
        return
    rows = [(g.table, g.column, "" if g.sure else "?", g.what, g.why) for g in made.guesses]
    write_table(["table", "column", "", "guess", "why"], rows)
    if not made.labelled:
        say("no label: the project states its weights and learns nothing; rules are yours to state")
    say(f"{output}: rules.kr and knowreason.toml say the same beside each line; try")
    for command in made.commands:
        write(f"  {command}")
