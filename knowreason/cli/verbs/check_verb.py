"""``knowreason check``: everything that is wrong with rule files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import say, show_findings, write
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
    from knowreason.lang.diagnostic_rendering import render_json, render_sarif

    findings: list[Diagnostic] = []
    for file in files:
        if not file.is_file():
            raise ProjectError(f"there is no file `{file}`", code="KR915")
        findings.extend(check_file(file).diagnostics)
    written = Format.json if json else format
    if written is Format.text:
        show_findings(findings)
        say(_summary(findings, len(files)))
    else:
        write(render_json(findings) if written is Format.json else render_sarif(findings))
    failing = {"error", "warning"} if strict else {"error"}
    if any(diagnostic.severity in failing for diagnostic in findings):
        raise typer.Exit(1)


def _summary(findings: list[Diagnostic], files: int) -> str:
    counts = {
        severity: sum(diagnostic.severity == severity for diagnostic in findings)
        for severity in ("error", "warning", "hint")
    }
    words = [f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items() if count]
    where = f"{files} file{'s' * (files != 1)}"
    return f"{where}: {', '.join(words)}" if words else f"{where}: nothing to report"
