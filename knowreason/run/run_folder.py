"""A run on disk, and the reasoner it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from warnings import warn

from knowreason.errors import DataWarning, ProjectError
from knowreason.inference.quality_summary import QualitySummary
from knowreason.lang import loads
from knowreason.logic import Program
from knowreason.project.manifests import (
    MANIFEST,
    RULES,
    SETTINGS,
    changed_settings,
    read_manifest,
)
from knowreason.project.plugins import load_plugins, require_plugins
from knowreason.project.project_file import load_project
from knowreason.project.schema import Project
from knowreason.reasoner.reasoner import Reasoner
from knowreason.reasoner.stored_reasoner import read_learned

PARTS = (MANIFEST, RULES, SETTINGS, "weights.json", "weights.safetensors")


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its project and a fitted reasoner.

    Attributes:
        folder, project, reasoner: themselves.
        manifest: versions, times, hashes.
        quality: how good the marginals of the test part are, by predicate, where ``train``
            has just computed them.
        shadows: how often shadow rules fired in the test part (or what was learned from), as
            sentences, where ``train`` has just measured it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8)
        >>> with TemporaryDirectory() as folder:
        ...     Reasoner(data.program).fit(data).save(f"{folder}/run")
        ...     load_run(f"{folder}/run").project.learn.method
        'variational_em'
    """

    folder: Path
    project: Project
    reasoner: Reasoner
    manifest: Mapping[str, object]
    quality: Mapping[str, QualitySummary] = field(default_factory=dict)
    shadows: tuple[str, ...] = ()


def load_run(folder: Path | str, *, project: Path | str | None = None) -> Run:
    r"""A finished run, from ``knowreason train`` or :meth:`Reasoner.save`, ready for use.

    Args:
        folder: the run folder.
        project: a project file (or its directory) whose plugins are loaded first, for a run
            that names plugins which are not installed.

    Raises:
        ProjectError: KR911 for a folder that is no run, naming what is missing; KR926 for a
            plugin that is neither loaded nor installed; KR960 for files that are damaged, KR961
            for a run of another format.

    Warns:
        DataWarning: KR960 where its settings were changed.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8)
        >>> with TemporaryDirectory() as folder:
        ...     Reasoner(data.program).fit(data).save(f"{folder}/run")
        ...     load_run(f"{folder}/run").reasoner.infer(data)
        Beliefs(4 Bad, ... asked; exact: template; 0 notes)
    """
    folder = Path(folder)
    if project is not None:
        load_plugins(load_project(project))
    manifest = _whole(folder)
    for finding in changed_settings(folder, manifest):
        warn(DataWarning(finding), stacklevel=2)
    stored = load_project(folder / SETTINGS)
    require_plugins(stored, folder)
    program = stored_program(folder, stored)
    reasoner, learned = reasoner_of(stored, program), read_learned(folder, manifest)
    ready = manifest.get("ready_models", ())
    given = {model.name: model.fitted.prototype for model in learned.models if model.name in ready}
    reasoner.models = {**stored.models, **given}
    return Run(folder, stored, reasoner.adopt(learned), manifest)


def stored_program(folder: Path, project: Project) -> Program:
    """The rules of a run folder."""
    text = (folder / RULES).read_text(encoding="utf-8")
    return loads(text, str(folder / RULES), zone=project.time.zone)


def stored_project(folder: Path) -> Project:
    """The project of a run folder; raises :class:`ProjectError` KR911, KR960, KR961."""
    _whole(folder)
    return load_project(folder / SETTINGS)


def _whole(folder: Path) -> Mapping[str, Any]:
    """The manifest of a run folder."""
    manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else {}
    missing = [name for name in PARTS if not (folder / name).is_file()]
    if missing:
        raise ProjectError(
            f"`{folder}` is not a run folder: {missing[0]} is missing",
            code="KR911",
            help=f"runs in it: {', '.join(runs)}"
            if (
                runs := [
                    f"`{found.parent}`" for found in sorted(folder.glob("[!.]*/manifest.json"))
                ]
            )
            else "`knowreason train PROJECT` writes one",
        )
    return manifest


def load_run_on_tables(folder: Path, project: Path | None = None) -> Run:
    """A run that knows where its tables are; raises as :func:`load_run`, and KR928."""
    run = load_run(folder, project=project)
    if not run.project.bind:
        raise ProjectError(
            f"`{folder}` was saved from Python and binds no tables",
            code="KR928",
            help="in Python: `knowreason.load_run(folder).reasoner.infer(data)`",
        )
    return run


def reasoner_of(project: Project, program: Program) -> Reasoner:
    """An unfitted reasoner as the project file describes it."""
    return Reasoner(
        program,
        method=project.learn.method,
        engine=project.infer.engine,
        folds=project.learn.folds,
        models=project.models,
        settings=project.settings(),
        seed=project.seed,
        device=project.device,
    )
