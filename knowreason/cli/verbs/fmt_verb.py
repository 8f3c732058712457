"""``knowreason fmt``: the canonical layout."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import say, write


def fmt(
    files: Annotated[list[Path], typer.Argument(help="Rule files (.kr).")],
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if any.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change.")] = False,
) -> None:
    """Lay rule files out canonically, comments kept; a file with a fault is left alone."""
    from knowreason.errors import ProjectError
    from knowreason.lang import format_text
    from knowreason.project.manifests import write_text_whole

    changed = 0
    for file in files:
        if not file.is_file():
            raise ProjectError(f"there is no file `{file}`", code="KR915")
        before = file.read_text(encoding="utf-8")
        after = format_text(before, str(file))
        if before == after:
            continue
        changed += 1
        if diff:
            lines = unified_diff(
                before.splitlines(),
                after.splitlines(),
                str(file),
                f"{file} (formatted)",
                lineterm="",
            )
            write("\n".join(lines))
        if not (check or diff):
            write_text_whole(file, after)
        say(f"{'would change' if check or diff else 'formatted'} {file}")
    if changed and check:
        raise typer.Exit(1)
