"""A run on disk: written under a temporary name and renamed when whole."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from knowreason.disk import replace_folder, whole_file, whole_folder
from knowreason.errors import ProjectError
from knowreason.lang import loads
from knowreason.pipeline.intervals import load_bootstrap, save_bootstrap
from knowreason.pipeline.project import Project, load_project
from knowreason.pipeline.reasoner import Reasoner
from knowreason.pipeline.resolved import project_toml
from knowreason.pipeline.settings import Settings
from knowreason.pipeline.snapshots import Snapshot
from knowreason.pipeline.stored_fit import load_fit, save_fit
from knowreason.pipeline.stored_models import folder_name, load_fitted, save_fitted
from knowreason.version import __version__

MANIFEST = "manifest.json"
PARTS = (MANIFEST, "program.kr", "project.toml", "weights.json", "weights.safetensors")
DRIFT = "drift.json"  # what held on the training data
LIBRARIES = ("torch", "duckdb", "scikit-learn", "numpy", "pyarrow", "lark")


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its project and a fitted reasoner."""

    folder: Path
    project: Project
    reasoner: Reasoner
    manifest: Mapping[str, Any]


@contextmanager
def run_folder(
    target: Path,
    *,
    replace: bool = False,
    keep: Iterable[Path] = (),
    partial: Path | None = None,
) -> Iterator[Path]:
    """A folder to write into that becomes ``target`` only when the block succeeds.

    Args:
        target: a link is followed.
        replace: whether a folder of ours that is there may be replaced.
        keep: files and folders that are never deleted with it, beside the working folder.
        partial: write here and leave it where the block fails; otherwise a new folder.

    Raises:
        ProjectError: KR914, KR924 as :func:`refuse_existing`, before and after the block.
    """
    refuse_existing(target, replace=replace, keep=keep)
    if partial is None:
        with whole_folder(target) as folder:
            yield folder
            refuse_existing(target, replace=replace, keep=keep)
    else:
        partial.mkdir(parents=True, exist_ok=True)
        yield partial
        refuse_existing(target, replace=replace, keep=keep)
        replace_folder(partial, target.resolve())


def refuse_existing(target: Path, *, replace: bool = False, keep: Iterable[Path] = ()) -> None:
    """Raise unless ``target`` is free, or is to be replaced and is a folder of ours.

    Raises:
        ProjectError: KR914 when something is there and ``replace`` is false; KR924 when it
            has no manifest of ours or is, or lies above, a path of ``keep`` or the working
            folder.
    """
    if not target.exists():
        return
    kept = holds(target, (Path.cwd(), *keep))
    if not replace:
        ours = kept is None and has_manifest(target)
        help = "choose another name" + " or --force" * ours
        raise ProjectError(f"`{target}` is there already", code="KR914", help=help)
    if kept is not None:
        raise not_replaced(target, f"it is or holds `{kept}`, which this command lives on")
    if not has_manifest(target):
        raise not_replaced(target, f"it has no `{MANIFEST}` that knowreason wrote")


def not_replaced(target: Path, why: str) -> ProjectError:
    """The error KR924 that says why ``target`` stays what it is."""
    return ProjectError(
        f"`{target}` is not replaced: {why}",
        code="KR924",
        help="choose another name, or move what is there away",
    )


def holds(target: Path, paths: Iterable[Path]) -> Path | None:
    """The first of ``paths`` that is ``target`` or lies in it, links and all; else ``None``."""
    for path in paths if target.exists() else ():
        path = path.absolute()
        ways = (path, *path.parents, path.resolve(), *path.resolve().parents)
        if any(way.exists() and way.samefile(target) for way in ways):
            return path
    return None


def has_manifest(folder: Path) -> bool:
    """Whether there is a manifest in the folder that knowreason wrote."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and "knowreason" in manifest


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write what makes a folder ours: the version, and how it came about."""
    manifest = {"knowreason": __version__, "python": platform.python_version(), **content}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def partial_folder(target: Path) -> Path:
    """Where an unfinished run is; ``train --resume`` goes on from it."""
    target = target.resolve()
    return target.with_name(f".{target.name}.partial")


def write_text_whole(path: Path, text: str) -> None:
    """Write a file so that it is never seen half-written."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_reasoner(
    reasoner: Reasoner, project: Project, folder: Path, *, seconds: float, data_hash: str
) -> None:
    """Write everything that using the reasoner again needs into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "program.kr").write_text(str(reasoner.program), encoding="utf-8")
    (folder / "project.toml").write_text(project_toml(project), encoding="utf-8")
    save_fit(reasoner.fit_, folder, reasoner.weights_)
    if reasoner.bootstrap_ is not None:
        save_bootstrap(reasoner.bootstrap_, folder)
    if reasoner.snapshot_ is not None:
        drift = json.dumps(reasoner.snapshot_.to_values(), indent=1)
        (folder / DRIFT).write_text(drift, encoding="utf-8")
    for model in reasoner.models_:
        save_fitted(model, folder / "models" / folder_name(model.name, model.predicate))
    reports = [asdict(report) for report in reasoner.grounding_.reports]
    (folder / "grounding.json").write_text(json.dumps(reports, indent=1), encoding="utf-8")
    manifest = {
        "libraries": {name: version(name) for name in LIBRARIES},
        "seed": reasoner.seed,
        "device": reasoner.device,
        "method": reasoner.method,
        "engine": reasoner.engine,
        "folds": reasoner.folds,
        "models": [[model.name, model.predicate] for model in reasoner.models_],
        "data": data_hash,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 2),
    }
    write_manifest(folder, manifest)


def load_run(folder: Path | str) -> Run:
    """Read a finished run.

    Raises:
        ProjectError: KR911 for a folder that is no run, naming what is missing.
    """
    folder = Path(folder)
    missing = [name for name in PARTS if not (folder / name).is_file()]
    if missing:
        raise ProjectError(
            f"`{folder}` is not a run folder: {missing[0]} is missing",
            code="KR911",
            help="`knowreason train PROJECT` writes one",
        )
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    project = load_project(folder / "project.toml")
    program = loads((folder / "program.kr").read_text(encoding="utf-8"), str(folder / "program.kr"))
    reasoner = reasoner_of(project, program)
    reasoner.models_ = tuple(
        load_fitted(folder / "models" / folder_name(name, predicate))
        for name, predicate in manifest["models"]
    )
    reasoner.adopt(load_fit(folder), _load_snapshot(folder / DRIFT), load_bootstrap(folder))
    return Run(folder, project, reasoner, manifest)


def _load_snapshot(path: Path) -> Snapshot | None:
    if not path.is_file():
        return None
    return Snapshot.from_values(json.loads(path.read_text(encoding="utf-8")))


def reasoner_of(project: Project, program: Any) -> Reasoner:
    """An unfitted reasoner as the project file describes it."""
    settings = Settings(
        fold_count=project.learn.fold_count,
        labels=project.learn.labels,
        hard_violations=project.learn.hard_violations,
        clusters=project.learn.clusters,
        bootstrap=project.learn.bootstrap,
        adapt=project.learn.adapt,
        memory_limit=project.memory_limit,
        threads=project.infer.threads,
        ground_limit=project.ground_limit,
        learn=project.learn.options,
        infer=project.infer.options,
    )
    return Reasoner(
        program,
        method=project.learn.method,
        engine=project.infer.engine,
        folds=project.learn.folds,
        models=project.models,
        settings=settings,
        seed=project.seed,
        device=project.device,
    )


def data_hash(project: Project) -> str:
    """SHA-256 over the rule file and the names, sizes and times of the table files."""
    digest = hashlib.sha256(project.program.read_bytes())
    for name, source in project.tables.items():
        digest.update(f"{name}{source.sql}".encode())
        for file in source.files() if source.path is not None else ():
            state = file.stat()
            digest.update(f"{file.name}{state.st_size}{state.st_mtime_ns}".encode())
    return digest.hexdigest()
