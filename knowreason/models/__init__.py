"""Knowledge models: data to calibrated log-odds for the ground atoms of a predicate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowreason.lazy import lazy_names
from knowreason.models.base.model_protocol import KnowledgeModel, ModelState
from knowreason.models.base.model_registry import MODELS, make, register

if TYPE_CHECKING:
    from knowreason.models.base.calibration import Calibration as Calibration
    from knowreason.models.base.crossfit import CrossFit as CrossFit
    from knowreason.models.base.crossfit import cross_fit as cross_fit
    from knowreason.models.base.crossfit import predicted as predicted
    from knowreason.models.base.encoding import Encoder as Encoder
    from knowreason.models.base.feature_columns import columns_of as columns_of
    from knowreason.models.base.labelled_model import LabelledModel as LabelledModel
    from knowreason.models.base.model_storage import load_model as load_model
    from knowreason.models.base.model_storage import save_model as save_model
    from knowreason.models.base.predicate_rows import PredicateRows as PredicateRows
    from knowreason.models.base.predicate_rows import atoms_of as atoms_of
    from knowreason.models.base.predicate_rows import rows_of as rows_of
    from knowreason.testing.model_checks import check_model as check_model

_HOMES = {
    "Calibration": "knowreason.models.base.calibration",
    "CrossFit": "knowreason.models.base.crossfit",
    "Encoder": "knowreason.models.base.encoding",
    "LabelledModel": "knowreason.models.base.labelled_model",
    "PredicateRows": "knowreason.models.base.predicate_rows",
    "atoms_of": "knowreason.models.base.predicate_rows",
    "check_model": "knowreason.testing.model_checks",
    "columns_of": "knowreason.models.base.feature_columns",
    "cross_fit": "knowreason.models.base.crossfit",
    "load_model": "knowreason.models.base.model_storage",
    "predicted": "knowreason.models.base.crossfit",
    "rows_of": "knowreason.models.base.predicate_rows",
    "save_model": "knowreason.models.base.model_storage",
}

__all__ = ["MODELS", "KnowledgeModel", "ModelState", "make", "register", *_HOMES]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
