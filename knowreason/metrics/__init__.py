"""How good log-odds are: metrics with intervals, and ranks of links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowreason.lazy import lazy_names

if TYPE_CHECKING:
    from knowreason.metrics.intervals import Estimate as Estimate
    from knowreason.metrics.metrics import DEFAULT_METRICS as DEFAULT_METRICS
    from knowreason.metrics.metrics import METRICS as METRICS
    from knowreason.metrics.metrics import CalibrationCurve as CalibrationCurve
    from knowreason.metrics.metrics import Metric as Metric
    from knowreason.metrics.metrics import averaged as averaged
    from knowreason.metrics.metrics import calibration_curve as calibration_curve
    from knowreason.metrics.metrics import evaluate as evaluate
    from knowreason.metrics.metrics import metric as metric
    from knowreason.metrics.metrics import paired_difference as paired_difference
    from knowreason.metrics.metrics import precision_at as precision_at
    from knowreason.metrics.metrics import ranked as ranked
    from knowreason.metrics.metrics import recall_at as recall_at
    from knowreason.metrics.metrics import true_positive_rate as true_positive_rate
    from knowreason.metrics.metrics import weighted as weighted
    from knowreason.metrics.ranking import Ranks as Ranks
    from knowreason.metrics.ranking import link_ranks as link_ranks

_HOMES = {
    "CalibrationCurve": "knowreason.metrics.metrics",
    "DEFAULT_METRICS": "knowreason.metrics.metrics",
    "Estimate": "knowreason.metrics.intervals",
    "METRICS": "knowreason.metrics.metrics",
    "Metric": "knowreason.metrics.metrics",
    "Ranks": "knowreason.metrics.ranking",
    "averaged": "knowreason.metrics.metrics",
    "calibration_curve": "knowreason.metrics.metrics",
    "evaluate": "knowreason.metrics.metrics",
    "link_ranks": "knowreason.metrics.ranking",
    "metric": "knowreason.metrics.metrics",
    "paired_difference": "knowreason.metrics.metrics",
    "precision_at": "knowreason.metrics.metrics",
    "ranked": "knowreason.metrics.metrics",
    "recall_at": "knowreason.metrics.metrics",
    "true_positive_rate": "knowreason.metrics.metrics",
    "weighted": "knowreason.metrics.metrics",
}

__all__ = [*_HOMES]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
