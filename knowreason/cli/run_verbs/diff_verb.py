"""``knowreason diff``: what another rule file changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowreason.cli.screen import progress_bar, say, write, write_json, write_table
from knowreason.cli.verb_options import SetOption, settings_of

if TYPE_CHECKING:
    from knowreason.lifecycle.program_diff import ChangedConclusion, ProgramDiff


def diff(
    project: Annotated[Path, typer.Argument(help="Project file, or the folder that holds it.")],
    old: Annotated[Path, typer.Argument(help="A rule file.")],
    new: Annotated[Path, typer.Argument(help="The rule file it is compared with.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with tables to conclude about; default: the test part."),
    ] = None,
    predicate: Annotated[str, typer.Option(help="Which predicate, where several are asked.")] = "",
    top: Annotated[int, typer.Option(help="So many changed conclusions, alarms first.")] = 10,
    tolerance: Annotated[
        float, typer.Option(help="Differences of a probability up to this are none.")
    ] = 0.001,
    set: SetOption = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Compare two rule files on the same data: which conclusions change, and why.

    Both are trained on the project's training part, with its settings and seed. Exit codes: 0 no
    conclusion differs, 1 some do, 2 wrong usage or input.
    """
    with progress_bar() as progress:  # which shows while libraries are imported, too
        from knowreason.lifecycle.program_diff import program_diff
        from knowreason.project.project_file import load_project

        found = program_diff(
            load_project(project, settings_of(set)),
            old,
            new,
            data,
            predicate=predicate,
            top=top,
            tolerance=tolerance,
            progress=progress,
        )
    if json:
        write_json(found)
    else:
        show(found)
    if not found.same:
        raise typer.Exit(1)


def show(found: ProgramDiff) -> None:
    """What differs, as text and a table."""
    for line in found.statements:
        write(line)
    moved = f"{found.moved:,} of {found.asked:,} probabilities differ"
    write(f"{found.predicate}: {moved}; alarms {found.alarms}:")
    for what, counts in (("gained", found.gained), ("lost", found.lost)):
        write(f"  {what} {_alarms(*counts)}")
    for what, count in (("old", found.only_old), ("new", found.only_new)):
        if count:
            write(f"  {count:,} atoms are asked about by the {what} rules only")
    rows = [
        (one.atom, f"{one.old:.3f}", f"{one.new:.3f}", one.alarm, one.label, _why(one))
        for one in found.changes
    ]
    if rows:
        columns = ("", "old", "new", "alarm", "label", "why: share of the log-odds, old to new")
        write_table(columns, rows, title="Largest changes")
    if found.same:
        say("no conclusion differs")


def _alarms(count: int, labelled: int, true: int) -> str:
    plural = "s" * (count != 1)
    return f"{count:,} alarm{plural}" + (
        f" ({true:,} true of {labelled:,} labelled)" if labelled else ""
    )


def _why(one: ChangedConclusion) -> str:
    return "; ".join(f"{name} {old:+.2f} to {new:+.2f}" for name, old, new in one.why)
