"""Calibration, precision and recall, performance by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from knowreason.metrics.metrics import CalibrationCurve, ranking
from knowreason.report.chart import ACCENT, PALETTE, QUIET, Chart


def calibration_figure(curve: CalibrationCurve, title: str = "Calibration") -> Chart:
    """A chart of predicted probability against observed share with 95 % intervals; dots as large
    as their bins.

    >>> from knowreason.metrics import calibration_curve
    >>> calibration_figure(calibration_curve([1, 0, 1], [2.0, -1.0, 0.5])).across
    'predicted probability'
    """
    ends = (-0.03, 1.03)
    chart = Chart(title, "predicted probability", "observed share", ends, ends)
    chart.line([0, 1], [0, 1], colour=QUIET, width=1, dashed=True, label="perfect")
    chart.intervals(curve.predicted, curve.low, curve.high, label="95 % interval")
    area = 20 + 180 * np.sqrt(curve.count / max(curve.count.max(), 1))
    chart.dots(curve.predicted, curve.observed, np.sqrt(area / np.pi))
    return chart


def precision_recall_figure(
    truth: NDArray[np.bool_], scores: Mapping[str, NDArray[np.float64]], strong: str
) -> Chart:
    """Precision-recall curves of several scores; ``strong`` is drawn thick and last.

    >>> scores = {"rules": np.array([2.0, -1.0, 0.5])}
    >>> precision_recall_figure(np.array([True, False, True]), scores, strong="rules").title
    'Precision and recall'
    """
    chart = Chart("Precision and recall", "recall", "precision", (-0.02, 1.02), (-0.02, 1.04))
    others = [name for name in scores if name != strong]
    colours = zip((*PALETTE[1:], *PALETTE[1:]), others, strict=False)
    for colour, name in (*colours, (ACCENT, strong)):
        true, false = ranking(truth, scores[name], np.ones((1, len(truth))))
        recall = np.append(0.0, true[0] / true[0, -1])
        precision = np.append(1.0, true[0] / (true[0] + false[0]))
        width = 2.4 if name == strong else 1.1
        chart.line(recall, precision, colour=colour, width=width, stairs=True, label=name)
    rate = truth.mean()
    chart.line(chart.x, [rate, rate], colour=QUIET, width=1, dashed=True, label="chance")
    return chart


def slices_figure(slices: Sequence[Mapping[str, float]], metric: str) -> Chart:
    """A chart of a metric by slice, the number of true atoms as bars behind it.

    >>> slices_figure([{"slice": 0, "true": 4, "roc_auc": 0.8}], "roc_auc").up
    'roc_auc'
    """
    where = np.array([row["slice"] for row in slices], float)
    true = np.array([row["true"] for row in slices], float)
    ends = (float(where.min()) - 0.6, float(where.max()) + 0.6)
    most = ("true", max(float(true.max()), 1.0))
    chart = Chart(f"{metric} by slice", "slice", metric, ends, (-0.02, 1.04), right=most)
    chart.bars(where, true)
    value = np.array([row[metric] for row in slices], float)
    told = np.isfinite(value)
    chart.line(where[told], value[told])
    chart.dots(where[told], value[told])
    return chart
