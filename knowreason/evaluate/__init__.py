"""How good a fitted reasoner is, beside what anyone would try first."""

from knowreason.evaluate.comparison import (
    CrossValidation,
    Lead,
    compare,
    cross_validate,
    lead,
)
from knowreason.evaluate.evaluation import Evaluation, evaluate_reasoner
from knowreason.evaluate.prequential import Prequential, prequential
from knowreason.evaluate.stability import Stability, stability

__all__ = [
    "CrossValidation",
    "Evaluation",
    "Lead",
    "Prequential",
    "Stability",
    "compare",
    "cross_validate",
    "evaluate_reasoner",
    "lead",
    "prequential",
    "stability",
]
