"""A fitted reasoner on disk: program, settings, weights and models, no pickle."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from knowreason.errors import ModelError
from knowreason.grounding.rule_report import RuleReport
from knowreason.learning import Bootstrap, Fit
from knowreason.logic import Program
from knowreason.models.base.stored_models import FittedModel, folder_name, load_fitted, save_fitted
from knowreason.monitor.period_snapshot import Snapshot
from knowreason.project.manifests import GROUNDED, RULES, SETTINGS, write_manifest
from knowreason.project.project_file import project_toml
from knowreason.project.schema import Project
from knowreason.reasoner.answers import Answers
from knowreason.reasoner.replicates import load_bootstrap, save_bootstrap
from knowreason.reasoner.rule_weights import RuleWeights
from knowreason.reasoner.stored_answers import load_answers, save_answers
from knowreason.reasoner.stored_fit import load_fit, save_fit

SNAPSHOT = "drift.json"  # what held on the training data
LIBRARIES = ("torch", "duckdb", "scikit-learn", "numpy", "pyarrow", "lark")


@dataclass(frozen=True)
class Learned:
    """What a reasoner has learned.

    Attributes:
        models: fitted models.
        fit: the learner's result.
        snapshot: what held on the training data, where that is known.
        replicates: of the parameters, where a bootstrap was asked for.
        answers: how conclusions are made of models and rules.
        estimates: models fitted to numeric queries.
    """

    models: tuple[FittedModel, ...]
    fit: Fit
    snapshot: Snapshot | None = None
    replicates: Bootstrap | None = None
    answers: Answers = Answers()
    estimates: tuple[FittedModel, ...] = ()


def write_learned(
    learned: Learned,
    program: Program,
    project: Project,
    folder: Path,
    *,
    reports: tuple[RuleReport, ...] = (),
    ready: tuple[str, ...] = (),
    seconds: float = 0.0,
    data_hash: str = "",
) -> None:
    """Write everything that using a reasoner again needs into ``folder``.

    Args:
        learned: what it learned.
        program, project: what it reasons with, and how.
        folder: is made where it is not there.
        reports: what became of each rule in grounding.
        ready: models that the user gave ready-made, not by options.
        seconds: that fitting took.
        data_hash: of what was learned from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_grounded(program, reports, folder)
    (folder / SETTINGS).write_text(project_toml(project), encoding="utf-8")
    save_fit(learned.fit, folder, RuleWeights.of(learned.fit, learned.replicates))
    if learned.replicates is not None:
        save_bootstrap(learned.replicates, folder)
    if learned.snapshot is not None:
        values = json.dumps(learned.snapshot.to_values(), indent=1)
        (folder / SNAPSHOT).write_text(values, encoding="utf-8")
    save_answers(learned.answers, folder)
    beside = (*learned.answers.beside, *learned.answers.boosted, *learned.estimates)
    for model in (*learned.models, *beside):
        save_fitted(model, folder / "models" / folder_name(model.name, model.predicate))
    manifest = {
        "libraries": {name: version(name) for name in LIBRARIES},
        "seed": project.seed,
        "device": project.device,
        "method": project.learn.method,
        "engine": project.infer.engine,
        "folds": project.learn.folds,
        "models": [[model.name, model.predicate] for model in learned.models],
        "estimates": [[model.name, model.predicate] for model in learned.estimates],
        "ready_models": list(ready),
        "data": data_hash,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 2),
    }
    write_manifest(folder, manifest)


def write_grounded(program: Program, reports: tuple[RuleReport, ...], folder: Path) -> None:
    """Write a program and what became of its rules in grounding."""
    (folder / RULES).write_text(str(program), encoding="utf-8")
    rows = [asdict(report) for report in reports]
    (folder / GROUNDED).write_text(json.dumps(rows, indent=1), encoding="utf-8")


def read_learned(folder: Path, manifest: Mapping[str, Any]) -> Learned:
    """What :func:`write_learned` wrote into a folder of this manifest."""
    models, estimates = (
        tuple(
            load_fitted(folder / "models" / folder_name(name, predicate))
            for name, predicate in manifest.get(part, ())
        )
        for part in ("models", "estimates")
    )
    path, snapshot = folder / SNAPSHOT, None
    if path.is_file():
        snapshot = Snapshot.from_values(json.loads(path.read_text(encoding="utf-8")))
    fit, replicates, answers = load_fit(folder), load_bootstrap(folder), load_answers(folder)
    return Learned(models, fit, snapshot, replicates, answers, estimates)


def check_plain(value: object, name: str) -> None:
    """Raise unless an option can stand in a TOML file.

    Raises:
        ModelError: KR840.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_plain(item, f"{name}{key}")
    elif isinstance(value, tuple | list):
        for item in value:
            check_plain(item, name)
    elif not isinstance(value, bool | int | float | str):
        raise ModelError(
            f"option `{name}` is a {type(value).__name__}, which cannot be stored",
            code="KR840",
            help="give it in the rule file, or give a ready-made model",
        )
