"""Options that several verbs take: ``--set a.b=c``, ``--project``, ``--strict``, ``--zone``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowreason.errors import ProjectError

if TYPE_CHECKING:
    from knowreason.inference.quality_summary import QualitySummary
    from knowreason.logic import Program
    from knowreason.report.redaction import Redactor

REDACTED = (
    "redacted: names of things are pseudonyms, values of their attributes are left out; what the "
    "rules name stays, and findings on this screen may name things"
)

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key of the project file: --set learn.method=knowgraph."),
]

ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", help="Project whose plugins are loaded; for a run that needs them."),
]


RedactOption = Annotated[
    Path | None,
    typer.Option(
        "--redact",
        help="Pseudonyms for names and no values; by the secret in this file (made if absent).",
    ),
]


StrictOption = Annotated[
    bool,
    typer.Option("--strict", help="Exit 1 where asked marginals are neither exact nor confirmed."),
]


ZoneOption = Annotated[
    str,
    typer.Option(
        "--zone",
        help="Time zone of the calendar and of times that name none; of a rule file, else UTC.",
        show_default=False,
    ),
]


def require_confirmed(qualities: Iterable[QualitySummary]) -> None:
    """Exit with 1 where some marginals are unconfirmed, each said as a finding (KR708)."""
    from knowreason.cli.screen import show_findings

    findings = [quality.finding for quality in qualities]
    found = [finding for finding in findings if finding is not None]
    if found:
        show_findings(found)
        raise typer.Exit(1)


def redactor_of(program: Program, file: Path) -> Redactor:
    """What puts pseudonyms in place of names, by the secret in a file; says what it does."""
    from knowreason.cli.screen import say
    from knowreason.report.redaction import Redactor, secret_of

    secret, made = secret_of(file)
    for line in (made, REDACTED):
        if line:
            say(line)
    return Redactor.of(program, secret)


def settings_of(written: list[str] | None) -> dict[str, str]:
    """Keys and values of ``--set`` options.

    Raises:
        ProjectError: KR903 for one without ``=``.
    """
    settings = {}
    for text in written or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise ProjectError(f"`--set {text}` has no `=`", code="KR903", help="--set a.b=c")
        settings[key.strip()] = value.strip()
    return settings
