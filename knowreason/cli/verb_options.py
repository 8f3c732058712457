"""Options that several verbs take: ``--set a.b=c``, ``--project``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowreason.errors import ProjectError

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key of the project file: --set learn.method=knowgraph."),
]

ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", help="Project whose plugins are loaded; for a run that needs them."),
]


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
