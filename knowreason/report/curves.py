"""Calibration, precision and recall, performance by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from knowreason.metrics.metrics import CalibrationCurve
from knowreason.report.svg import ACCENT, INK, PALETTE, QUIET, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def calibration_figure(curve: CalibrationCurve, title: str = "Calibration") -> Figure:
    """A figure of predicted probability against observed share with 95 % intervals; dots as large
    as their bins.

    >>> from knowreason.metrics import calibration_curve
    >>> figure = calibration_figure(calibration_curve([1, 0, 1], [2.0, -1.0, 0.5]))
    >>> figure.axes[0].get_xlabel()
    'predicted probability'
    """
    figure, axes = _axes(title, "predicted probability", "observed share")
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle="--", label="perfect")
    size = 20 + 180 * np.sqrt(curve.count / max(curve.count.max(), 1))
    axes.vlines(
        curve.predicted, curve.low, curve.high, color=ACCENT, linewidth=1.4, label="95 % interval"
    )
    axes.scatter(curve.predicted, curve.observed, s=size, color=ACCENT, alpha=0.75, zorder=3)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    return figure


def precision_recall_figure(
    truth: NDArray[np.bool_], scores: Mapping[str, NDArray[np.float64]], strong: str
) -> Figure:
    """Precision-recall curves of several scores; ``strong`` is drawn thick and last.

    >>> scores = {"rules": np.array([2.0, -1.0, 0.5])}
    >>> figure = precision_recall_figure(np.array([True, False, True]), scores, strong="rules")
    >>> figure.axes[0].get_title(loc="left")
    'Precision and recall'
    """
    figure, axes = _axes("Precision and recall", "recall", "precision")
    others = [name for name in scores if name != strong]
    for colour, name in zip((*PALETTE[1:], *PALETTE[1:]), others, strict=False):
        precision, recall, _ = precision_recall_curve(truth, scores[name])
        axes.step(recall, precision, where="post", color=colour, linewidth=1.1, label=name)
    precision, recall, _ = precision_recall_curve(truth, scores[strong])
    axes.step(recall, precision, where="post", color=ACCENT, linewidth=2.4, label=strong)
    axes.axhline(truth.mean(), color=QUIET, linewidth=1, linestyle="--", label="chance")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    axes.legend(frameon=False, fontsize=8)
    return figure


def slices_figure(slices: Sequence[Mapping[str, float]], metric: str) -> Figure:
    """A figure of a metric by slice, the number of true atoms as bars behind it.

    >>> figure = slices_figure([{"slice": 0, "true": 4, "roc_auc": 0.8}], "roc_auc")
    >>> figure.axes[0].get_ylabel()
    'roc_auc'
    """
    figure, axes = _axes(f"{metric} by slice", "slice", metric, right=0.86)
    where = [row["slice"] for row in slices]
    bars = axes.twinx()
    bars.bar(where, [row["true"] for row in slices], color="#e4e7eb", zorder=0)
    bars.set_ylabel("true", color=QUIET, fontsize=9)
    bars.tick_params(colors=QUIET, labelsize=8)
    bars.spines[["top", "left"]].set_visible(False)
    axes.set_zorder(bars.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(where, [row[metric] for row in slices], color=ACCENT, marker="o", linewidth=1.6)
    axes.set_ylim(-0.02, 1.04)
    return figure


def _axes(title: str, x: str, y: str, right: float = 0.98) -> tuple[Figure, Axes]:
    figure, axes = new_figure(layout=None)  # to seek one takes as long as to draw
    figure.subplots_adjust(left=0.12, right=right, bottom=0.12, top=0.93)
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    return figure, axes
