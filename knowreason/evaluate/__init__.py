"""How good a fitted reasoner is, beside what anyone would try first."""

from knowreason.evaluate.comparison import (
    CrossValidation,
    Lead,
    compare,
    cross_validate,
    lead,
)
from knowreason.evaluate.decisions import Queue, queue_of
from knowreason.evaluate.evaluation import Evaluation, evaluate_reasoner
from knowreason.evaluate.prequential import Prequential, prequential
from knowreason.evaluate.stability import Stability, stability
from knowreason.metrics.alarms import Decision

__all__ = [
    "CrossValidation",
    "Decision",
    "Evaluation",
    "Lead",
    "Prequential",
    "Queue",
    "Stability",
    "compare",
    "cross_validate",
    "evaluate_reasoner",
    "lead",
    "prequential",
    "queue_of",
    "stability",
]
