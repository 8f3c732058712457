"""Rule weights: where the prior was, where learning went, how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from knowreason.report.svg import ACCENT, INK, QUIET, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class WeightBar:
    """One weight to draw."""

    name: str
    prior: float
    value: float
    low: float
    high: float


def weights_figure(weights: Sequence[WeightBar]) -> Figure:
    """A figure of weights with their 95 % intervals; a hollow dot is the prior mean.

    >>> figure = weights_figure([WeightBar("peers", prior=0.0, value=1.1, low=0.7, high=1.5)])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['peers']
    """
    figure, axes = new_figure(6.4, 1.0 + 0.34 * max(len(weights), 2))
    places = range(len(weights), 0, -1)
    axes.axvline(0, color=QUIET, linewidth=1)
    for height, weight in zip(places, weights, strict=True):
        axes.plot([weight.low, weight.high], [height, height], color=ACCENT, linewidth=2)
        axes.plot(weight.value, height, "o", color=ACCENT, markersize=7)
        axes.plot(weight.prior, height, "o", mfc="none", mec=QUIET, markersize=7)
    axes.set_yticks(list(places), [weight.name for weight in weights], fontsize=9)
    axes.set_ylim(0.4, len(weights) + 0.6)
    axes.set_xlabel("weight in log-odds (hollow: before learning)", fontsize=9, color=INK)
    axes.grid(axis="y", visible=False)
    return figure
