"""``knowreason compile``: ground a project and store the factor graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import progress_bar, say, show_warnings, write_json, write_table
from knowreason.cli.verb_options import SetOption, settings_of


def compile(
    project: Annotated[Path, typer.Argument(help="Project file or its directory.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to store.")] = None,
    append: Annotated[
        Path | None,
        typer.Option(help="What -o stored of fewer rows: only what new rows touch is grounded."),
    ] = None,
    set: SetOption = None,
    force: Annotated[bool, typer.Option(help="Replace what is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Ground the training part; report per rule and per component, and how inference will do."""
    from knowreason.project.project_file import load_project
    from knowreason.project.schema import is_divided

    loaded = load_project(project, settings_of(set))
    with progress_bar() as progress:  # which shows while libraries are imported, too
        from knowreason.reasoner.serving.extended_grounding import not_extended
        from knowreason.run.compilation import compile_project
        from knowreason.run.divided.divided_run import compile_in_parts

        if not is_divided(loaded):
            compiled = compile_project(
                loaded, output, append=append, force=force, progress=progress
            )
        elif append is None:
            compiled = compile_in_parts(loaded, output, force=force, progress=progress)
        else:
            raise not_extended("the project is compiled in parts")
    show_warnings(compiled.warnings)
    reports = compiled.reports
    if json:
        said = {"rules": list(reports), "components": list(compiled.components)}
        write_json(said if append is None else {**said, "touched": compiled.touched})
        return
    columns = ["rule", "candidates", "satisfied", "violated", "missing", "merged", "open"]
    rows = [
        (r.rule, r.candidate, r.satisfied, r.violated, r.missing, r.merged, r.open, r.estimate)
        for r in reports
    ]
    write_table([*columns, "estimated"], rows)
    columns = ["atoms in a component", "components", "atoms", "exact inference serves"]
    write_table(columns, [(c.size, c.components, c.atoms, c.exact) for c in compiled.components])
    if compiled.touched is not None:
        say(f"appended: {compiled.touched:,} atoms are new or were touched by new rows")
    if output is not None or append is not None:
        say(f"stored: {output or append}")
