"""``knowreason schema``: what a project file may hold, for editors."""

from __future__ import annotations

from knowreason.cli.screen import write_json


def schema() -> None:
    """Print the JSON schema of ``knowreason.toml``, for completion and checks in an editor."""
    from knowreason.project.schema import project_schema

    write_json(project_schema())
