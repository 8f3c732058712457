"""``knowreason import``: files of another system as a project."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import say, write, write_json


class SourceSystem(StrEnum):
    """Whose files can be imported."""

    mln = "mln"
    psl = "psl"
    triples = "triples"


class MlnDialect(StrEnum):
    """Dialects of Markov logic."""

    alchemy = "alchemy"
    pracmln = "pracmln"
    tuffy = "tuffy"
    lomrf = "lomrf"


def import_files(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of them.")],
    system: Annotated[SourceSystem, typer.Option("--from", help="Whose files they are.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the project; NAME-imported.")
    ] = None,
    dialect: Annotated[
        MlnDialect, typer.Option(help="Of mln: who reads `^` before `v`, who makes clauses.")
    ] = MlnDialect.alchemy,
    query: Annotated[
        list[str] | None, typer.Option(help="A predicate of mln that is asked; repeatable.")
    ] = None,
    closed: Annotated[
        list[str] | None, typer.Option(help="One that is false where no file lists it; repeatable.")
    ] = None,
    learn: Annotated[bool, typer.Option(help="Weights of mln are where learning starts.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Write a project from files of another system, and say what became of each line.

    Exits with 1 where a line was refused.
    """
    from knowreason.importers.importing import import_project

    target = output or Path(f"{paths[0].resolve().stem}-imported")
    report = import_project(
        paths,
        system.value,
        target,
        dialect=dialect.value,
        query=query or (),
        closed=closed or (),
        learn=learn,
    )
    if json:
        write_json(report)
    else:
        write(str(report).rstrip())
    say(f"{target} is ready; the report is {target / 'import-report.txt'}")
    if report.count("refused"):
        raise typer.Exit(1)
