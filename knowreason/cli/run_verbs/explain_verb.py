"""``knowreason explain``: why, why not, what if."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import write, write_json
from knowreason.cli.verb_options import ProjectOption, RedactOption, redactor_of


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    atoms: Annotated[list[str], typer.Argument(help="Such as 'Malicious(\"e17\")'.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder with other tables, named as in the project.")
    ] = None,
    project: ProjectOption = None,
    redact: RedactOption = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Explain atoms: shares that add up, why not, what would turn it around."""
    from knowreason.beliefs.reasons import explain_atom
    from knowreason.run.run_prediction import beliefs_of_run

    beliefs = beliefs_of_run(run, data, project=project)
    explanations = [explain_atom(beliefs, atom) for atom in atoms]
    if redact is not None:
        redactor = redactor_of(beliefs.grounding.program, redact)
        explanations = [redactor.within(explanation) for explanation in explanations]
    if json:
        write_json([explanation.to_dict() for explanation in explanations])
    else:
        write("\n\n".join(map(str, explanations)))
