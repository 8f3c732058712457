"""``knowreason models``: what kinds of model a rule file may name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowreason.cli.screen import write, write_json, write_table

if TYPE_CHECKING:
    from knowreason.models import KnowledgeModel


def models(
    name: Annotated[str, typer.Argument(help="One kind, with its options.")] = "",
    project: Annotated[
        Path | None, typer.Option("--project", help="List the models of its plugins too.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """List registered model kinds, or show one with its options."""
    from knowreason.models import MODELS
    from knowreason.models.base.model_registry import told

    if project is not None:
        from knowreason.project.plugins import load_plugins
        from knowreason.project.project_file import load_project

        load_plugins(load_project(project))
    if name:
        options = _options(MODELS[name])
        _, what = told(name)
        if json:
            write_json({"name": name, "what": what, "options": dict(options)})
        else:
            write(f"{name}: {what}\n")
            write_table(["option", "default"], options)
        return
    rows = [(kind, *told(kind)) for kind in MODELS]
    if json:
        write_json([{"name": k, "level": level, "what": what} for k, level, what in rows])
    else:
        write_table(["kind", "level", "what"], rows)


def _options(model: type[KnowledgeModel]) -> list[tuple[str, str]]:
    from knowreason.models.base.model_options import options_table

    return [
        (name, "required" if p.default is p.empty else repr(p.default))
        for name, p in options_table(model).items()
    ]
