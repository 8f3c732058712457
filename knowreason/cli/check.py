"""``knowreason check``: everything that is wrong with rule files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.render import say, show_findings, write
from knowreason.diagnostics import Diagnostic


class Format(StrEnum):
    """How findings are written."""

    text = "text"
    json = "json"
    sarif = "sarif"


def check(
    files: Annotated[list[Path], typer.Argument(help="Rule files (.kr).")],
    format: Annotated[Format, typer.Option(help="text (stderr), json or sarif (stdout).")] = (
        Format.text
    ),
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    strict: Annotated[bool, typer.Option(help="Warnings fail the check too.")] = False,
) -> None:
    """Check rule files: syntax, names, sorts, logic; all findings in one pass.

    Exit codes: 0 nothing wrong, 1 findings, 2 a file that cannot be read.
    """
    from knowreason.errors import ProjectError
    from knowreason.lang import check as check_file
    from knowreason.lang.render import render_json, render_sarif

    found: list[Diagnostic] = []
    for file in files:
        if not file.is_file():
            raise ProjectError(f"there is no file `{file}`", code="KR915")
        found.extend(check_file(file).diagnostics)
    chosen = Format.json if json else format
    if chosen is Format.text:
        show_findings(found)
        say(_summary(found, len(files)))
    else:
        write(render_json(found) if chosen is Format.json else render_sarif(found))
    failing = {"error", "warning"} if strict else {"error"}
    if any(diagnostic.severity in failing for diagnostic in found):
        raise typer.Exit(1)


def _summary(found: list[Diagnostic], files: int) -> str:
    counts = {
        severity: sum(diagnostic.severity == severity for diagnostic in found)
        for severity in ("error", "warning", "hint")
    }
    said = [f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items() if count]
    where = f"{files} file{'s' * (files != 1)}"
    return f"{where}: {', '.join(said)}" if said else f"{where}: nothing to report"
