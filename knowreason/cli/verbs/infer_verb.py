"""``knowreason infer``: marginals of a rule file and a facts file, or of a UAI file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from knowreason.cli.screen import say, show_warnings, write_json, write_table


def infer(
    program: Annotated[Path, typer.Argument(help="Rule file (.kr) or network (.uai).")],
    facts: Annotated[
        Path | None, typer.Argument(help="Facts file of the same syntax, for a rule file.")
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option(help="Evidence file of a .uai network: observed states.")
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, exact, bp, gibbs, mean_field, map.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    exact_memory: Annotated[
        str, typer.Option(help="Memory of exact inference; larger components are approximated.")
    ] = "1GB",
    exact_seconds: Annotated[
        float, typer.Option(help="Time of exact inference, counted beforehand.")
    ] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Marginals of every asked atom or variable; no project and no tables needed."""
    from knowreason.errors import ProjectError
    from knowreason.inference.engine_protocol import BUDGETED

    for file in (program, facts, evidence):
        if file is not None and not file.is_file():
            raise ProjectError(f"there is no file `{file}`", code="KR915")
    limits = {"exact_memory": exact_memory, "exact_seconds": exact_seconds}
    options = {"engine": engine, "seed": seed, **(limits if engine in BUDGETED else {})}
    if program.suffix == ".uai":
        if facts is not None:
            raise ProjectError("a .uai network takes --evidence, no facts file", code="KR929")
        _infer_network(program, evidence, options, json)
        return
    if facts is None or evidence is not None:
        raise ProjectError("a rule file takes a facts file, no --evidence", code="KR929")
    _infer_atoms(program, facts, options, json)


def _infer_atoms(program: Path, facts: Path, options: dict[str, Any], json: bool) -> None:
    from knowreason.beliefs.beliefs import Beliefs
    from knowreason.explanation.contradictions import contradictions_named
    from knowreason.inference import infer as infer_marginals
    from knowreason.run.ground_files import ground_files

    grounding = ground_files(program, facts)
    show_warnings(grounding.warnings)
    with contradictions_named(grounding):
        beliefs = Beliefs(infer_marginals(grounding.graph, **options), grounding)
    rows = [
        (grounding.atom_name(int(atom)), float(probability))
        for predicate in grounding.program.open_predicates
        for atom, probability in zip(*beliefs.probabilities(predicate.name), strict=True)
    ]
    if json:
        write_json([{"atom": atom, "probability": p} for atom, p in rows])
    else:
        write_table(["atom", "probability"], rows)
    say(beliefs.info)


def _infer_network(path: Path, evidence: Path | None, options: dict[str, Any], json: bool) -> None:
    from knowreason.inference import infer as infer_marginals
    from knowreason.inference.uai_networks import read_network

    network = read_network(path, evidence)
    posterior = infer_marginals(network.graph, **options)
    marginals = [row.tolist() for row in network.marginals(posterior)]
    if json:
        write_json([{"variable": v, "probabilities": row} for v, row in enumerate(marginals)])
        return
    rows = [(v, state, p) for v, row in enumerate(marginals) for state, p in enumerate(row)]
    write_table(["variable", "state", "probability"], rows)
    for report in posterior.reports:
        say(f"{report.engine}: {report.atoms:,} atoms in {report.components:,} components")
