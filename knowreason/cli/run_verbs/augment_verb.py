"""``knowreason augment``: a project's tables with generated things of a rare class."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import progress_bar, say, write_json, write_table
from knowreason.cli.verb_options import SetOption, settings_of


class LinkKind(StrEnum):
    """What generated things are linked to."""

    shared = "shared"
    copied = "copied"
    none = "none"


def augment(
    project: Annotated[Path, typer.Argument(help="Project file or its directory.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    predicate: Annotated[
        str | None,
        typer.Option(help="Whose rare class; by default that of the one `diffusion` model."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Generated things a rare class, not the model's ratio."),
    ] = None,
    links: Annotated[
        LinkKind, typer.Option(help="To real things, to unlabelled copies of them, or none.")
    ] = LinkKind.shared,
    seed: Annotated[int | None, typer.Option(help="Of everything drawn.")] = None,
    set: SetOption = None,
    force: Annotated[bool, typer.Option(help="Replace what this wrote before.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Write the tables with generated rows and links of a rare class, for any detector."""
    from knowreason.project.project_file import load_project

    loaded = load_project(project, settings_of(set))
    with progress_bar() as progress:  # which shows while libraries are imported, too
        from knowreason.run.augmented_tables import augment_project

        made = augment_project(
            loaded,
            output,
            predicate=predicate,
            count=count,
            links=links.value,
            seed=seed,
            force=force,
            progress=progress,
        )
    if json:
        write_json(made)
    else:
        rows = [
            (t.table, t.holds, t.before, t.generated, t.before + t.generated) for t in made.tables
        ]
        write_table(["table", "holds", "rows", "generated", "together"], rows)
        classes = [(c.state, c.before, c.generated, c.before + c.generated) for c in made.classes]
        columns = [f"{made.predicate} to learn from", "labelled", "generated", "together"]
        write_table(columns, classes)
    say(f"made by {made.model}")
    moved = [f"{s:+.2f} for {c.state}" for s, c in zip(made.shift, made.classes, strict=True) if s]
    say(f"log-odds learned on these tables are off by {', '.join(moved)}: subtract that")
    say(
        f"project file over them: {made.project}"
        if made.project is not None
        else "no project file: its random split would test on what is generated; learn from rows "
        "whose `part` is `train`, measure on `held back`"
    )
    say(f"written: {output}")
