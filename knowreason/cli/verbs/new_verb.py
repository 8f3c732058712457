"""``knowreason new``: a starter project that runs as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import say, write, write_table


def new(
    folder: Annotated[Path | None, typer.Argument(help="Where; must not be there yet.")] = None,
    template: Annotated[str, typer.Option(help="Which; without a folder all are listed.")] = (
        "fraud"
    ),
) -> None:
    """Make a starter project, or list the templates."""
    from knowreason.run.starters import TEMPLATES, new_project

    if folder is None:
        rows = [(name, (TEMPLATES[name].__doc__ or "").splitlines()[0]) for name in TEMPLATES]
        write_table(["template", "what"], rows)
        return
    command = new_project(folder, template)
    say(f"{folder} is ready; run")
    write(f"  {command}")
