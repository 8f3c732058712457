"""``knowreason infer``: marginals of a rule file and a facts file, a project, or a UAI file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from knowreason.cli.screen import progress_bar, say, show_warnings, write_json, write_table
from knowreason.cli.verb_options import StrictOption, ZoneOption, require_confirmed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from knowreason.inference.quality_summary import QualitySummary


def infer(
    program: Annotated[Path, typer.Argument(help="Rule file (.kr), network (.uai) or project.")],
    facts: Annotated[
        Path | None, typer.Argument(help="Facts file of the same syntax, for a rule file.")
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option(help="Evidence file of a .uai network: observed states.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="auto, exact, checked, bp, trw, gibbs, mean_field, gcn, map.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    exact_memory: Annotated[
        str, typer.Option(help="Memory of exact inference; larger components are approximated.")
    ] = "1GB",
    exact_seconds: Annotated[
        float, typer.Option(help="Time of exact inference, counted beforehand.")
    ] = 60.0,
    zone: ZoneOption = "",
    strict: StrictOption = False,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Marginals of every asked atom or variable; no project and no tables needed.

    Of a project at the weights its rules start from, its labels unseen, without its models.
    How good they are is said after them, and in a column where not all are exact.
    """
    from knowreason.errors import ProjectError
    from knowreason.inference.engine_protocol import BUDGETED

    for file in (program, facts, evidence):
        if file is not None and not file.exists():
            raise ProjectError(f"there is no file `{file}`", code="KR915")
    limits = {"exact_memory": exact_memory, "exact_seconds": exact_seconds}
    options = {"engine": engine, "seed": seed, **(limits if engine in BUDGETED else {})}
    if program.suffix == ".uai":
        if facts is not None or zone:
            message = "a .uai network takes --evidence, no facts file and no --zone"
            raise ProjectError(message, code="KR929")
        quality = _infer_network(program, evidence, options, json)
        require_confirmed([quality] if strict else [])
        return
    if evidence is not None or (facts is None) == (program.suffix == ".kr"):
        raise ProjectError(
            "a rule file takes a facts file, a project none, both no --evidence", code="KR929"
        )
    if zone and facts is None:
        help = "projects have `[time] zone`"
        raise ProjectError("--zone is for a rule file", code="KR929", help=help)
    quality = _infer_atoms(program, facts, zone, options, json)
    require_confirmed([quality] if strict else [])


def _infer_atoms(
    program: Path, facts: Path | None, zone: str, options: dict[str, Any], json: bool
) -> QualitySummary:
    import numpy as np

    from knowreason.beliefs.beliefs import Beliefs
    from knowreason.explanation.contradictions import contradictions_named
    from knowreason.inference import infer as infer_marginals
    from knowreason.inference.quality_summary import quality_names, quality_summary
    from knowreason.progress import step
    from knowreason.run.ground_files import ground_asked, ground_files

    with progress_bar(brief=True) as progress, step(progress, "grounding"):
        grounding = ground_asked(program) if facts is None else ground_files(program, facts, zone)
    show_warnings(grounding.warnings)
    bar = progress_bar(brief=True)
    with contradictions_named(grounding), bar as progress, step(progress, "reasoning"):
        beliefs = Beliefs(infer_marginals(grounding.graph, **options), grounding)
    predicates = [predicate.name for predicate in grounding.program.open_predicates]
    asked = [beliefs.probabilities(predicate) for predicate in predicates]
    atoms = np.concatenate([np.zeros(0, np.int64), *(atoms for atoms, _ in asked)])
    columns = {
        "atom": [grounding.atom_name(atom) for atom in atoms.tolist()],
        "probability": np.concatenate([np.zeros(0), *(found for _, found in asked)]).tolist(),
    }
    _show(columns, quality_names(beliefs.posterior, atoms), json)
    lines = [beliefs.info]
    if grounding.program.shadow_rules:
        from knowreason.evaluate.rule_figures import shadow_sentences  # imports scikit-learn

        lines += shadow_sentences(beliefs)
    for line in lines:
        say(line)
    return quality_summary(beliefs.posterior.qualities.numpy()[atoms], beliefs.posterior.reports)


def _infer_network(
    path: Path, evidence: Path | None, options: dict[str, Any], json: bool
) -> QualitySummary:
    import numpy as np

    from knowreason.inference import infer as infer_marginals
    from knowreason.inference.posterior import QUALITIES
    from knowreason.inference.quality_summary import posterior_lines, quality_summary
    from knowreason.inference.uai_networks import read_network
    from knowreason.progress import step

    network = read_network(path, evidence)
    with progress_bar(brief=True) as progress, step(progress, "reasoning"):
        posterior = infer_marginals(network.graph, **options)
    marginals = [row.tolist() for row in network.marginals(posterior)]
    quality = network.qualities(posterior)
    names = np.array(QUALITIES)[quality] if quality.any() else None
    if json:
        _show({"variable": range(len(marginals)), "probabilities": marginals}, names, json)
    else:
        columns = {
            "variable": [v for v, row in enumerate(marginals) for _ in row],
            "state": [state for row in marginals for state in range(len(row))],
            "probability": [p for row in marginals for p in row],
        }
        _show(columns, None if names is None else names[columns["variable"]], json)
    for line in posterior_lines(posterior):
        say(line)
    asked = np.setdiff1d(np.arange(len(quality)), list(network.observed))
    return quality_summary(quality[asked], posterior.reports)


def _show(
    columns: Mapping[str, Sequence[object]], quality: NDArray[np.str_] | None, json: bool
) -> None:
    """The columns, with one of qualities where there is one."""
    if quality is not None:
        columns = {**columns, "quality": quality.tolist()}
    rows = list(zip(*columns.values(), strict=True))
    if json:
        write_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        write_table(list(columns), rows)
