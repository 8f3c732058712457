"""Knowledge models: data to calibrated log-odds for the ground atoms of a predicate."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from knowreason.models.protocol import KnowledgeModel, ModelState
from knowreason.models.registry import MODELS, make, register

_ELSEWHERE = {
    "Calibration": "calibration",
    "CrossFit": "crossfit",
    "Encoder": "encoding",
    "LabelledModel": "fitting",
    "PredicateRows": "rows",
    "atoms_of": "rows",
    "check_model": "testing",
    "columns_of": "columns",
    "cross_fit": "crossfit",
    "load_model": "storage",
    "predicted": "crossfit",
    "rows_of": "rows",
    "save_model": "storage",
}

__all__ = ["MODELS", "KnowledgeModel", "ModelState", "make", "register", *_ELSEWHERE]


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        return getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
