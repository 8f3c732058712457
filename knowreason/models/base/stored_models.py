"""Cross-fitted models on disk, so that a run can be resumed and used again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowreason.errors import ProjectError
from knowreason.factors.model_output import ModelOutput
from knowreason.models import Calibration, load_model, save_model
from knowreason.models.base.crossfit import CrossFit, FoldScores

Array = NDArray[Any]
HELD = "scores."
_SCORES = ("fold_of_row", "scored_with", "ratios", "spreads", "log_odds", "spread")
_SAID = ("tested", "forward", "method", "dealt", "moderation")


@dataclass(frozen=True)
class FittedModel:
    """A declared model fitted for one predicate.

    Attributes:
        name, predicate: of the declaration.
        fitted: the model and its out-of-fold ratios.
        fingerprint: what it was fitted on and with, part by part; empty where that is not known.
        origin: where it was taken from, or why it could not be; empty where nobody asked.
    """

    name: str
    predicate: str
    fitted: CrossFit
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""


def folder_name(name: str, predicate: str) -> str:
    """Folder of a model below ``models/``."""
    return f"{name}@{predicate}"


def save_fitted(model: FittedModel, folder: Path) -> None:
    """Write a fitted model, its calibration and its out-of-fold ratios."""
    from safetensors.numpy import save_file

    fitted = model.fitted
    save_model(fitted.model, folder)
    arrays: dict[str, NDArray[np.generic]] = {
        "llr": np.ascontiguousarray(fitted.output.llr),
        "out_of_fold": fitted.out_of_fold.astype(np.uint8),
        "silent": fitted.silent.astype(np.uint8),
        "base_rate": np.atleast_1d(np.asarray(fitted.output.base_rate, dtype=np.float64)),
    }
    if fitted.output.spread is not None:
        arrays["spread"] = np.ascontiguousarray(fitted.output.spread)
    held = fitted.scores
    if held is not None:
        given = {name: getattr(held, name) for name in _SCORES}
        arrays |= {
            f"{HELD}{name}": np.ascontiguousarray(array)
            for name, array in given.items()
            if array is not None
        }
    document = {
        "name": model.name,
        "predicate": model.predicate,
        "several_states": np.ndim(fitted.output.base_rate) > 0,
        "calibration": fitted.calibration.to_values(),
        "report": list(fitted.report),
        "refitting": fitted.refitting,
        "error": None if np.isnan(fitted.error) else fitted.error,
        "fingerprint": dict(model.fingerprint),
        "origin": model.origin,
        "scores": held and {name: getattr(held, name) for name in _SAID},
    }
    save_file(arrays, folder / "crossfit.safetensors")
    # written last: a folder without it is a fit that was cut off
    (folder / "crossfit.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def load_fitted(folder: Path) -> FittedModel:
    """Read what :func:`save_fitted` wrote.

    Raises:
        ProjectError: KR911 for a folder that holds no finished fit.
    """
    from safetensors.numpy import load_file

    try:
        document = json.loads((folder / "crossfit.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "crossfit.safetensors")
    except (OSError, ValueError) as error:
        raise ProjectError(f"`{folder}` holds no fitted model: {error}", code="KR911") from None
    base = arrays["base_rate"] if document["several_states"] else float(arrays["base_rate"][0])
    name, predicate = document["name"], document["predicate"]
    output = ModelOutput(name, predicate, arrays["llr"], base, arrays.get("spread"))
    fitted = CrossFit(
        output,
        load_model(folder),
        Calibration.from_values(document["calibration"]),
        arrays["out_of_fold"].astype(bool),
        arrays["silent"].astype(bool),
        tuple(document["report"]),
        document.get("refitting", 0.0),
        _scores(arrays, document.get("scores")),
        float("nan") if document.get("error") is None else document["error"],
    )
    return FittedModel(
        name, predicate, fitted, document.get("fingerprint", {}), document.get("origin", "")
    )


def _scores(arrays: Mapping[str, Array], said: Mapping[str, Any] | None) -> FoldScores | None:
    if said is None:
        return None
    given: dict[str, Any] = {name: arrays.get(f"{HELD}{name}") for name in _SCORES}
    return FoldScores(**given, **{**said, "tested": tuple(said["tested"])})


def stored_fingerprint(folder: Path) -> Mapping[str, str]:
    """What the fit in a folder was made on and with; empty where it does not say."""
    document = json.loads((folder / "crossfit.json").read_text(encoding="utf-8"))
    found: Mapping[str, str] = document.get("fingerprint", {})
    return found


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a finished fit."""
    return (folder / "crossfit.json").is_file()
