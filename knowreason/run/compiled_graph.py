"""What ``compile -o`` stores, and ``train --compiled`` reads: a grounding and what it is of."""

from __future__ import annotations

from pathlib import Path

from knowreason.data import Dataset
from knowreason.data.encoded_files import load_relations, save_relations
from knowreason.errors import ProjectError
from knowreason.grounding import Grounding
from knowreason.grounding.grounding_store import load, save
from knowreason.logic import Program
from knowreason.project.manifests import has_manifest, read_manifest, write_manifest
from knowreason.project.schema import Project
from knowreason.reasoner.fitting.fingerprints import (
    DataParts,
    Fingerprint,
    differences,
    our_code,
    program_parts,
)
from knowreason.reasoner.stored_reasoner import write_grounded

GRAPH, RELATIONS = "grounding", "relations"  # in the folder


def save_compiled(grounding: Grounding, project: Project, folder: Path) -> None:
    """Write a project's grounding without models, and what it was made of."""
    save(grounding, folder / GRAPH)
    save_relations(grounding.data, folder / RELATIONS)
    write_grounded(grounding.program, grounding.reports, folder)
    made_of = graph_fingerprint(grounding.data, project)
    write_manifest(folder, {"kind": "grounding", "made_of": dict(made_of)})


def load_compiled(folder: Path, project: Project, data: Dataset) -> Grounding:
    """The stored grounding of the project's rules over ``data``.

    Raises:
        ProjectError: KR911 for a folder that ``compile`` did not write, KR935 where it was made of
            other rules, data or settings, naming them, KR960 where it is damaged.
        GroundingError: KR653 where this version cannot read it.
    """
    help = "compile again, or train without --compiled"
    _refuse_others(folder, graph_fingerprint(data, project), _made_of(folder), help)
    return load(folder / GRAPH, data.program, data)


def load_earlier(folder: Path, project: Project, program: Program) -> Grounding:
    """The stored grounding of the project's rules over the rows it was compiled from.

    Raises:
        ProjectError: KR911 for a folder that ``compile`` did not write, KR935 where it was made of
            other rules or settings, naming them, KR960 where it is damaged.
        GroundingError: KR653 where this version cannot read it.
    """
    now = program_parts(program) | _settings(project)
    made_of = _made_of(folder)
    before = {part: made_of[part] for part in now if part in made_of}  # without its rows
    _refuse_others(folder, now, before, "compile again, with -o and --force")
    rows = load_relations(folder / RELATIONS, program)
    return load(folder / GRAPH, program, rows)


def _made_of(folder: Path) -> Fingerprint:
    """What a stored graph was made of; raises KR911 for a folder without one, KR960, KR961."""
    manifest = read_manifest(folder) if has_manifest(folder) else {}
    if manifest.get("kind") != "grounding":
        raise ProjectError(
            f"`{folder}` holds no compiled graph",
            code="KR911",
            help="`knowreason compile PROJECT -o DIR` writes one",
        )
    made_of: Fingerprint = manifest.get("made_of", {})
    return made_of


def _refuse_others(folder: Path, now: Fingerprint, before: Fingerprint, help: str) -> None:
    differs = differences(now, before)
    if differs:
        raise ProjectError(
            f"`{folder}` is of something else: {'; '.join(differs)}", code="KR935", help=help
        )


def graph_fingerprint(data: Dataset, project: Project) -> Fingerprint:
    """What a grounding without models is made of."""
    return DataParts(data).of_program() | _settings(project)


def _settings(project: Project) -> dict[str, str]:
    return {
        "hard_violations": project.learn.hard_violations,
        "code of knowreason": our_code("data", "factors", "grounding", "logic"),
    }
