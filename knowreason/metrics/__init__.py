"""How good log-odds are: metrics with intervals, and ranks of links."""

from knowreason.metrics.intervals import Estimate
from knowreason.metrics.metrics import (
    DEFAULT_METRICS,
    METRICS,
    CalibrationCurve,
    Metric,
    averaged,
    calibration_curve,
    evaluate,
    metric,
    paired_difference,
    precision_at,
    ranked,
    recall_at,
    true_positive_rate,
    weighted,
)
from knowreason.metrics.ranking import Ranks, link_ranks

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "CalibrationCurve",
    "Estimate",
    "Metric",
    "Ranks",
    "averaged",
    "calibration_curve",
    "evaluate",
    "link_ranks",
    "metric",
    "paired_difference",
    "precision_at",
    "ranked",
    "recall_at",
    "true_positive_rate",
    "weighted",
]
