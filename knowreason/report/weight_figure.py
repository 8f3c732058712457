"""Rule weights: where the prior was, where learning went, how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowreason.report.chart import QUIET, Chart


@dataclass(frozen=True, slots=True)
class WeightBar:
    """One weight to draw."""

    name: str
    prior: float
    value: float
    low: float
    high: float


def weights_figure(weights: Sequence[WeightBar]) -> Chart:
    """A chart of weights with their 95 % intervals; a hollow dot is the prior mean.

    >>> weights_figure([WeightBar("peers", prior=0.0, value=1.1, low=0.7, high=1.5)]).names
    [(1, 'peers')]
    """
    names = [(len(weights) - place, weight.name) for place, weight in enumerate(weights)]
    said = [0.0, *(end for one in weights for end in (one.low, one.high, one.prior, one.value))]
    edge = 0.05 * (max(said) - min(said) or 1.0)
    ends = (min(said) - edge, max(said) + edge)
    words = "weight in log-odds (hollow: before learning)"
    height = 72 + 24 * max(len(weights), 2)
    chart = Chart("", words, "", ends, (0.4, len(weights) + 0.6), 460, height, names)
    chart.line([0, 0], chart.y, colour=QUIET, width=1)
    for (place, _), weight in zip(names, weights, strict=True):
        chart.line([weight.low, weight.high], [place, place], width=2)
        chart.dots(weight.value, place)
        chart.dots(weight.prior, place, colour=QUIET, hollow=True)
    return chart
