"""What ``compile -o`` stores, and ``train --compiled`` reads: a grounding and what it is of."""

from __future__ import annotations

import json
from pathlib import Path

from knowreason.data import Dataset
from knowreason.errors import ProjectError
from knowreason.grounding import Grounding
from knowreason.grounding.grounding_store import load, save
from knowreason.project.manifests import MANIFEST, has_manifest, write_manifest
from knowreason.project.schema import Project
from knowreason.reasoner.fitting.fingerprints import DataParts, Fingerprint, differences, our_code
from knowreason.reasoner.stored_reasoner import write_grounded

GRAPH = "grounding"  # in the folder


def save_compiled(grounding: Grounding, project: Project, folder: Path) -> None:
    """Write a project's grounding without models, and what it was made of."""
    save(grounding, folder / GRAPH)
    write_grounded(grounding.program, grounding.reports, folder)
    made_of = graph_fingerprint(grounding.data, project)
    write_manifest(folder, {"kind": "grounding", "made_of": dict(made_of)})


def load_compiled(folder: Path, project: Project, data: Dataset) -> Grounding:
    """The stored grounding of the project's rules over ``data``.

    Raises:
        ProjectError: KR911 for a folder that ``compile`` did not write, KR935 where it was made of
            other rules, data or settings, naming them.
        GroundingError: KR653 where this version cannot read it.
    """
    manifest = {}
    if has_manifest(folder):
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest.get("kind") != "grounding":
        raise ProjectError(
            f"`{folder}` holds no compiled graph",
            code="KR911",
            help="`knowreason compile PROJECT -o DIR` writes one",
        )
    differs = differences(graph_fingerprint(data, project), manifest.get("made_of", {}))
    if differs:
        raise ProjectError(
            f"`{folder}` is of something else: {'; '.join(differs)}",
            code="KR935",
            help="compile again, or train without --compiled",
        )
    return load(folder / GRAPH, data.program, data)


def graph_fingerprint(data: Dataset, project: Project) -> Fingerprint:
    """What a grounding without models is made of."""
    return {
        **DataParts(data).of_program(),
        "hard_violations": project.learn.hard_violations,
        "code of knowreason": our_code("data", "factors", "grounding", "logic"),
    }
