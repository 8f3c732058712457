"""``knowreason suggest``: candidate rules from data and model outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import (
    progress_bar,
    say,
    show_warnings,
    write,
    write_json,
    write_table,
)
from knowreason.cli.verb_options import SetOption, settings_of


def suggest(
    project: Annotated[Path, typer.Argument(help="Project file or its directory.")],
    set: SetOption = None,
    predicate: Annotated[
        str, typer.Option(help="Query predicate; may be left out where only one is asked.")
    ] = "",
    count: Annotated[int, typer.Option(min=1, help="Most rules.")] = 10,
    max_length: Annotated[int, typer.Option(min=1, help="Most relations in a path.")] = 3,
    seed: Annotated[int | None, typer.Option(help="Instead of the project's.")] = None,
    models: Annotated[Path | None, typer.Option(help="Run folder whose models are taken.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Rule file to write; must not be there.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Rules that would add to a program, by what each adds on labels held out."""
    from knowreason.disk import whole_file
    from knowreason.errors import ProjectError
    from knowreason.progress import step
    from knowreason.project.project_file import load_project
    from knowreason.project.project_tables import load_parts

    if output is not None and output.exists():
        raise ProjectError(f"`{output}` is there already", code="KR914", help="choose another name")
    loaded = load_project(project, settings_of(set))
    with progress_bar() as progress:
        with step(progress, "reading"):
            train = load_parts(loaded).train
        from knowreason.run.run_folder import reasoner_of
        from knowreason.suggestion import suggest

        found = suggest(
            reasoner_of(loaded, train.program),
            train,
            predicate or None,
            count=count,
            max_length=max_length,
            seed=seed,
            models=models,
            progress=progress,
        )
    show_warnings(train.warnings)
    if output is not None:
        with whole_file(output) as partial:
            partial.write_text(found.text, encoding="utf-8")
    if json:
        write_json(found.record)
        return
    rows = [
        (f"{r.gain:.1f} ± {r.error:.1f}", r.beside, r.support, r.confidence, r.lift, r.weight)
        for r in found.rules
    ]
    if rows:
        head = ["name", "gain ± se", "beside", "support", "confidence", "lift", "weight"]
        named = [(r.name, *row) for r, row in zip(found.rules, rows, strict=True)]
        write_table(head, named, title=f"Suggested for {found.predicate}")
        for one in found.rules:
            write(one.rule)
    else:
        write(found.text.removeprefix("# ").rstrip())
    for note in found.notes:
        say(note)
    for rule, why in found.pruned:
        say(f"left out: {rule}: {why}")
    if output is not None:
        say(f"written: {output}")
