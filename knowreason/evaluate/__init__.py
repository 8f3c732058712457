"""How good a fitted reasoner is, beside what anyone would try first."""

from knowreason.evaluate.evaluation import Evaluation, evaluate_reasoner
from knowreason.evaluate.prequential import Prequential, prequential
from knowreason.evaluate.stability import Stability, stability

__all__ = [
    "Evaluation",
    "Prequential",
    "Stability",
    "evaluate_reasoner",
    "prequential",
    "stability",
]
