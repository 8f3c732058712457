"""``knowreason plan``: what grounding would cost, before it is done."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import progress_bar, say, show_warnings, write_json, write_table
from knowreason.cli.verb_options import SetOption, settings_of


def plan(
    project: Annotated[Path, typer.Argument(help="Project file or its directory.")],
    set: SetOption = None,
    limit: Annotated[int, typer.Option(help="Refuse above so many rows a rule; 0: as set.")] = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Tell where figures come from.")] = (
        False
    ),
    against: Annotated[
        Path | None,
        typer.Option(help="Run, or what `compile -o` wrote, to compare with; else runs/NAME."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Predicted groundings, memory and time of each rule, and size of definitions."""
    from knowreason.errors import ProjectError
    from knowreason.grounding import plan as plan_grounding
    from knowreason.progress import step
    from knowreason.project.project_file import load_project
    from knowreason.project.project_tables import load_parts, load_program
    from knowreason.project.schema import is_divided
    from knowreason.run.divided.divided_plan import plan_in_parts
    from knowreason.run.plan_changes import is_grounded, plan_changes

    loaded = load_project(project, settings_of(set))
    if is_divided(loaded):
        program = load_program(loaded)
        with progress_bar(brief=True) as progress, step(progress, "planning"):
            predicted = plan_in_parts(loaded, limit=limit)
        show_warnings(predicted.warnings)
    else:
        with progress_bar(brief=True) as progress:
            with step(progress, "reading"):
                train = load_parts(loaded).train
            with step(progress, "planning"):
                predicted = plan_grounding(train.program, train, limit=limit or loaded.ground_limit)
        program = train.program
        show_warnings((*train.warnings, *predicted.warnings))
    last = Path("runs") / loaded.name
    before = against or (last if is_grounded(last) else None)
    try:
        changes = () if before is None else plan_changes(predicted, program, before)
    except ProjectError as error:
        if against is not None:
            raise
        say(error.diagnostics[0].message)  # nobody asked for it
        before, changes = None, ()
    if json:
        parts = {part.name: getattr(predicted, part.name) for part in fields(predicted)}
        write_json(parts | {"changes": list(changes)})
        return
    rows = [
        (r.rule, r.rows, r.bytes / 1e6, r.seconds, " x ".join(r.joins)) for r in predicted.rules
    ]
    total = predicted.total
    rows.append(("all", total.rows, total.bytes / 1e6, total.seconds, ""))
    write_table(["rule", "rows", "MB", "seconds", "join"], rows)
    if predicted.definitions:
        tables = [(d.definition, d.rows, d.bytes / 1e6, d.seconds) for d in predicted.definitions]
        write_table(["definition", "rows", "MB", "seconds"], tables)
    if before is not None:
        compared = [(c.rule, _figure(c.then), _figure(c.now), c.why) for c in changes]
        write_table(["rule", "then", "now", "changed"], compared, title=f"since {before}")
    if explain:
        told = [(r.rule, "counted" if r.exact else "estimated", r.how) for r in predicted.rules]
        write_table(["rule", "rows are", "how"], told)


def _figure(rows: int | None) -> str:
    return "" if rows is None else f"{rows:,}"
