"""``knowreason audit``: what to look at before a run is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import progress_bar, say, show_findings, write, write_json
from knowreason.cli.verb_options import ProjectOption


def audit(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder with other tables, named as in the project.")
    ] = None,
    components: Annotated[
        int, typer.Option(help="Most components compared with exact inference or sampling.")
    ] = 8,
    project: ProjectOption = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Engine against exact inference, rules that say nothing or fight, weights nobody knows.

    Exit codes: 0 nothing but hints, 1 findings, 2 wrong usage or input.
    """
    from knowreason.lang.diagnostic_rendering import summary

    with progress_bar() as progress:  # which shows while libraries are imported, too
        from knowreason.run.run_prediction import audit_run

        found = audit_run(run, data, components=components, project=project, progress=progress)
    from knowreason.audit.audit_report import audit_lines, audit_record

    if json:
        write_json(audit_record(found))
    else:
        write("\n".join(audit_lines(found)))
        show_findings(found.findings)
        say(summary(found.findings) or "nothing found")
    if found.failed:
        raise typer.Exit(1)
