"""Calibration, precision and recall, scores of true and false, performance by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.metrics import precision_recall_curve

from knowreason.metrics.metrics import CalibrationCurve
from knowreason.report.svg import ACCENT, INK, LINE, PALETTE, QUIET, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FURTHEST = 11.5  # log-odds of 99.999 %
PERCENTS = (0.001, 0.01, 0.1, 1, 10, 50, 90, 99, 99.9, 99.99, 99.999)


def calibration_figure(curve: CalibrationCurve, title: str = "Calibration") -> Figure:
    """A figure of predicted probability against observed share, with a band of 95 % intervals; dots
    as large as their bins, whose counts stand above.

    >>> from knowreason.metrics import calibration_curve
    >>> figure = calibration_figure(calibration_curve([1, 0, 1], [2.0, -1.0, 0.5]))
    >>> figure.axes[0].get_xlabel()
    'predicted probability'
    """
    figure, axes = _axes(title, "predicted probability", "observed share")
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle="--", label="perfect")
    size = 20 + 180 * np.sqrt(curve.count / max(curve.count.max(), 1))
    axes.fill_between(curve.predicted, curve.low, curve.high, color=ACCENT, alpha=0.15, linewidth=0)
    axes.vlines(
        curve.predicted, curve.low, curve.high, color=ACCENT, linewidth=1.4, label="95 % interval"
    )
    axes.scatter(curve.predicted, curve.observed, s=size, color=ACCENT, alpha=0.75, zorder=3)
    for place, count in zip(curve.predicted, curve.count, strict=True):
        axes.text(place, 1.04, f"{count:,}", fontsize=7, color=INK, ha="center", rotation=60)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.15))
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def precision_recall_figure(
    truth: NDArray[np.bool_], scores: Mapping[str, NDArray[np.float64]], strong: str
) -> Figure:
    """Precision-recall curves of several scores, each in its own colour and dashes; ``strong`` is
    drawn thick and last.

    >>> scores = {"rules": np.array([2.0, -1.0, 0.5])}
    >>> figure = precision_recall_figure(np.array([True, False, True]), scores, strong="rules")
    >>> figure.axes[0].get_title(loc="left")
    'Precision and recall'
    """
    figure, axes = _axes("Precision and recall", "recall", "precision")
    others = [name for name in scores if name != strong]
    looks = [(colour, dash) for dash in ("-", "--", ":") for colour in PALETTE[1:]]
    for (colour, dash), name in zip(looks, others, strict=False):
        precision, recall, _ = precision_recall_curve(truth, scores[name])
        axes.step(
            recall, precision, where="post", color=colour, linestyle=dash, linewidth=1.2, label=name
        )
    precision, recall, _ = precision_recall_curve(truth, scores[strong])
    axes.step(recall, precision, where="post", color=ACCENT, linewidth=2.4, label=strong)
    axes.axhline(truth.mean(), color=QUIET, linewidth=1, linestyle="--", label="chance")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    axes.legend(frameon=False, fontsize=8)
    return figure


def scores_figure(truth: NDArray[np.bool_], log_odds: NDArray[np.float64]) -> Figure:
    """A figure of how many true and false atoms have which probability; counts on a logarithmic
    axis, for the true are often rare.

    >>> figure = scores_figure(np.array([True, False, True]), np.array([2.0, -1.0, 0.5]))
    >>> figure.axes[0].get_ylabel()
    'conclusions'
    """
    figure, axes = _axes("Probabilities of the true and the false", "probability", "conclusions")
    shown = np.clip(log_odds, -FURTHEST, FURTHEST)
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (-1.0, 1.0)
    bins = np.linspace(low - 0.1, high + 0.1, 31).tolist()
    for chosen, colour, hatch, name in (
        (~truth, ACCENT, "", "false"),
        (truth, PALETTE[1], "///", "true"),
    ):
        axes.hist(shown[chosen], bins, histtype="stepfilled", color=colour, alpha=0.35)
        axes.hist(
            shown[chosen], bins, histtype="step", color=colour, hatch=hatch, linewidth=1.6,
            label=f"{name} ({int(chosen.sum()):,})",
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    ticks = [p for p in PERCENTS if bins[0] <= logit(p / 100) <= bins[-1]]
    axes.set_xticks([float(logit(p / 100)) for p in ticks], [f"{p:g} %" for p in ticks], fontsize=8)
    axes.legend(frameon=False, fontsize=9)
    return figure


def slices_figure(slices: Sequence[Mapping[str, float]], metric: str, title: str = "") -> Figure:
    """A figure of a metric by slice, the number of true atoms as bars behind it.

    Args:
        slices: a row a slice, with ``slice``, ``true`` and the metric.
        metric: its column.
        title: what the picture calls it; empty for the column's name.

    >>> rows = [{"slice": 0, "true": 4, "roc_auc": 0.8}]
    >>> slices_figure(rows, "roc_auc", "ROC AUC").axes[0].get_ylabel()
    'ROC AUC'
    """
    title = title or metric
    said = f"{title[0].upper()}{title[1:]} by slice"
    figure, axes = _axes(said, "slice", title, right=0.86)
    where = [row["slice"] for row in slices]
    bars = axes.twinx()
    bars.bar(where, [row["true"] for row in slices], color=LINE, zorder=0)
    bars.set_ylabel("how many are true (bars)", color=INK, fontsize=9)
    bars.tick_params(colors=INK, labelsize=8)
    bars.spines[["top", "left"]].set_visible(False)
    axes.set_zorder(bars.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(where, [row[metric] for row in slices], color=ACCENT, marker="o", linewidth=1.6)
    axes.set_ylim(-0.02, 1.04)
    return figure


def slice_shares_figure(
    slices: Sequence[str], shares: Mapping[str, Sequence[float]], strong: str, what: str
) -> Figure:
    """A figure of shares by slice, a line each; ``strong`` is drawn thick.

    >>> figure = slice_shares_figure(["1", "2"], {"night": [0.5, 0.25]}, "night", "precision")
    >>> figure.axes[0].get_ylabel()
    'precision'
    """
    figure, axes = _axes(f"{what.capitalize()} by slice", "slice, from", what)
    looks = [(colour, dash) for dash in ("-", "--", ":", "-.") for colour in PALETTE[1:]]
    others = [name for name in shares if name != strong]
    places = range(len(slices))  # those where nothing fired have their place, too
    for (colour, dash), name in zip(cycle(looks), others, strict=False):
        axes.plot(
            places,
            shares[name],
            color=colour,
            linestyle=dash,
            marker=".",
            linewidth=1.2,
            label=name,
        )
    axes.plot(places, shares[strong], color=ACCENT, marker="o", linewidth=2.4, label=strong)
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlim(-0.5, len(slices) - 0.5)
    axes.set_xticks(places, slices, fontsize=7, rotation=20, ha="right", rotation_mode="anchor")
    figure.subplots_adjust(left=0.16, bottom=0.26)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _axes(title: str, x: str, y: str, right: float = 0.98) -> tuple[Figure, Axes]:
    figure, axes = new_figure(layout=None)  # to seek one takes as long as to draw
    figure.subplots_adjust(left=0.12, right=right, bottom=0.12, top=0.93)
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    return figure, axes
