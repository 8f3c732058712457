"""Knowledge models: data to calibrated log-odds for the ground atoms of a predicate."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from knowreason.models.protocol import KnowledgeModel, ModelState
from knowreason.models.registry import MODELS, make, register

if TYPE_CHECKING:
    from knowreason.models.calibration import Calibration as Calibration
    from knowreason.models.columns import columns_of as columns_of
    from knowreason.models.crossfit import CrossFit as CrossFit
    from knowreason.models.crossfit import cross_fit as cross_fit
    from knowreason.models.crossfit import predicted as predicted
    from knowreason.models.encoding import Encoder as Encoder
    from knowreason.models.fitting import LabelledModel as LabelledModel
    from knowreason.models.rows import PredicateRows as PredicateRows
    from knowreason.models.rows import atoms_of as atoms_of
    from knowreason.models.rows import rows_of as rows_of
    from knowreason.models.storage import load_model as load_model
    from knowreason.models.storage import save_model as save_model
    from knowreason.models.testing import check_model as check_model

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


def __getattr__(name: str) -> object:
    if name in _ELSEWHERE:
        return getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
