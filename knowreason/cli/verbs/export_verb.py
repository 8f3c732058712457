"""``knowreason export``: a factor graph or a program in a format that others read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from knowreason.cli.screen import say, show_warnings, write_json, write_table
from knowreason.cli.verb_options import ProjectOption, ZoneOption


class GraphFormat(StrEnum):
    """Formats that other systems read."""

    uai = "uai"
    mln = "mln"


def export(
    source: Annotated[Path, typer.Argument(help="Project, run folder, or rule file (.kr).")],
    facts: Annotated[Path | None, typer.Argument(help="Facts file of a rule file.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write; net.uai or net.mln.")
    ] = None,
    format: Annotated[GraphFormat, typer.Option(help="Of the file.")] = GraphFormat.uai,
    force: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
    project: ProjectOption = None,
    zone: ZoneOption = "",
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Write a factor graph (uai), known truths folded in, or rules and facts (mln).

    Of a factor graph it shows which atom each state is.
    """
    from knowreason.disk import whole_file
    from knowreason.errors import ProjectError
    from knowreason.factors.uai import write_uai
    from knowreason.run.ground_files import ground_source

    for file in (source, facts):
        if file is not None and not file.exists():
            raise ProjectError(f"there is no file `{file}`", code="KR915")
    if source.suffix == ".kr" and facts is None:
        raise ProjectError("a rule file takes a facts file", code="KR929")
    if zone and facts is None:
        help = "projects have `[time] zone`, and runs keep it"
        raise ProjectError("--zone is for a rule file", code="KR929", help=help)
    output = output or Path(f"net.{format.value}")
    for file in (output, output.with_suffix(".db")) if format is GraphFormat.mln else (output,):
        if file.exists() and not force:
            raise ProjectError(
                f"`{file}` is there already", code="KR914", help="choose another name or --force"
            )
    if format is GraphFormat.mln:
        _export_mln(source, facts, zone, output)
        return
    grounding = ground_source(source, facts, project=project, zone=zone)
    show_warnings(grounding.warnings)
    with whole_file(output) as partial:
        variables = write_uai(grounding.graph, partial)
    rows = []
    for variable in range(variables.count):
        states = variables.atom[variables.offsets[variable] : variables.offsets[variable + 1]]
        for state, atom in enumerate(states.tolist()):
            if atom >= 0:
                rows.append((variable, state, grounding.atom_name(atom)))
    if json:
        write_json([{"variable": v, "state": s, "atom": name} for v, s, name in rows])
    else:
        write_table(["variable", "state", "atom"], rows)
    say(f"{variables.count:,} variables ({format.value}): {output}")


def _export_mln(source: Path, facts: Path | None, zone: str, output: Path) -> None:
    from knowreason.disk import whole_file
    from knowreason.importers.mln.mln_export import mln_texts
    from knowreason.run.ground_files import bound_files

    data = bound_files(source, facts, zone)
    show_warnings(data.warnings)
    database = output.with_suffix(".db")
    for file, text in zip((output, database), mln_texts(data), strict=True):
        with whole_file(file) as partial:
            partial.write_text(text, encoding="utf-8")
    say(f"{len(data.program.rules)} rules: {output}; facts and evidence: {database}")
