"""The headline of ``eval``: what to do with a run, as far as its held-back labels can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri, stdtrit

from knowreason.metrics.cluster_test import cluster_test
from knowreason.metrics.intervals import Draws, Estimate, draw
from knowreason.metrics.metrics import metric, resampled

Kind = Literal["use", "use another", "ranking only", "cannot be told"]
Vector = NDArray[np.float64]
FEWEST_LABELS = 10  # of either kind
FEWEST_CLUSTERS = 3.0  # of equal size, for labels of either kind
MARGIN = 0.1  # of the ranking metric: what may be lost unseen, at most
FACTOR = 2.0  # in odds, by which probabilities are off
RESAMPLES = 400
NONE = Estimate(nan, nan, nan)
LEVEL = 0.05 / 3  # of three looks at calibration (Bonferroni)


@dataclass(frozen=True)
class Verdict:
    """What to do, in one sentence.

    Attributes:
        kind: ``use``; ``use another`` row, which is better beyond chance; ``ranking only``, for
            probabilities are off beyond chance; ``cannot be told``.
        sentence: with the figures behind it.
        row: the best other row.
        difference: in the ranking metric, the answer less that row, paired bootstrap over clusters.
        factor: by which the odds of being true are off, above 1 where they are too high.
        labels, true, clusters: what it rests on.

    >>> print(verdict(np.array([True, False]), np.array([1.0, -1.0]), {}, np.arange(2)))
    cannot be told: 2 labels, 1 of them true, in 2 clusters
    """

    kind: Kind
    sentence: str
    row: str
    difference: Estimate
    factor: float
    labels: int
    true: int
    clusters: int

    def __str__(self) -> str:
        return self.sentence


def verdict(
    truth: NDArray[np.bool_],
    answer: Vector,
    others: Mapping[str, Vector],
    clusters: NDArray[np.integer],
    metric_name: str = "average_precision",
    seed: int = 0,
) -> Verdict:
    """The verdict on log-odds, beside those of other rows.

    Another row is better where its lead is beyond what the best of as many rows that are no better
    would lead by (White 2000, a reality check: the row was chosen with hindsight). Probabilities
    are off where, of all atoms or of the likelier or the less likely half of what is expected to
    be true, another number is true beyond chance, and odds are off by a factor of 2.

    Args:
        truth: ``bool[n]``.
        answer: ``float64[n]``.
        others: ``float64[n]`` by row.
        clusters: ``int[n]``: atoms of one number are not independent.
        metric_name: that ranks, higher is better.
        seed: of the bootstrap.
    """
    unit, cluster = np.unique(clusters, return_inverse=True)
    counts = len(truth), int(truth.sum()), len(unit)
    rests_on = f"{counts[0]:,} labels, {counts[1]:,} of them true, in {counts[2]:,} clusters"
    effective = min(_effective(cluster[truth]), _effective(cluster[~truth]))
    if min(truth.sum(), (~truth).sum()) < FEWEST_LABELS or effective < FEWEST_CLUSTERS:
        return Verdict("cannot be told", f"cannot be told: {rests_on}", "", NONE, nan, *counts)
    draws = draw(len(truth), cluster, RESAMPLES, seed)
    area = resampled("roc_auc", truth, answer, draws)
    row, difference, beaten = _best(truth, answer, others, draws, metric_name)
    factor, where = _off(truth, answer, cluster)
    name, words = row.removeprefix("model "), metric(metric_name).title or metric_name
    low, high = difference.low, difference.high
    kind: Kind = "cannot be told"
    if beaten:
        kind = "use another"
        taken = f"{-high:.2f} to {-low:.2f} {words}"
        sentence = f"use `{name}` instead: it is {taken} above the answer"
        if name != row:
            sentence = f"use `{name}` alone: what is combined with it takes away {taken}"
    elif not np.nanpercentile(area, 2.5) > 0.5:
        sentence = f"cannot be told: the ranking may be chance; {rests_on}"
    elif where:
        kind = "ranking only"
        way, times = "high" if factor > 1 else "low", max(factor, 1 / factor)
        sentence = f"ranking only: odds are {times:.1f} times too {way} ({where})"
    elif low < -MARGIN:
        apart = f"{low:+.2f} to {high:+.2f} {words}"
        sentence = f"cannot be told: {apart} against `{name}`; {rests_on}"
    else:
        kind = "use"
        better = "better than" if low > 0 else "as good as"
        part = f"{better} `{name}`, the best part ({low:+.2f} to {high:+.2f} {words}), and "
        expected = f"{expit(answer).sum():,.1f} expected to be true, {counts[1]:,} are"
        sentence = f"use: {part if row else ''}calibrated ({expected})"
    return Verdict(kind, sentence, row, difference, factor, *counts)


def _effective(cluster: NDArray[np.integer]) -> float:
    """How many clusters of equal size would hold labels as evenly."""
    count = np.bincount(cluster).astype(np.float64)
    return float(count.sum() ** 2 / (count**2).sum()) if len(cluster) else 0.0


def _best(
    truth: NDArray[np.bool_],
    answer: Vector,
    others: Mapping[str, Vector],
    draws: Draws,
    name: str,
) -> tuple[str, Estimate, bool]:
    """The best other row, the answer less it, and whether it is better beyond chance."""
    figure = metric(name)
    ours, resampled_ours = figure(truth, answer), resampled(name, truth, answer, draws)
    apart = {row: ours - figure(truth, score) for row, score in others.items()}
    apart = {row: value for row, value in apart.items() if np.isfinite(value)}
    if not apart:
        return "", NONE, False
    moved = {row: resampled_ours - resampled(name, truth, others[row], draws) for row in apart}
    row = min(apart, key=apart.__getitem__)
    difference = Estimate.of(apart[row], moved[row])
    by_chance = np.max([apart[other] - moved[other] for other in apart], axis=0)
    needed = np.nanpercentile(by_chance, 95)
    return row, difference, bool(-apart[row] > needed and difference.high < 0)


def _off(
    truth: NDArray[np.bool_], log_odds: Vector, cluster: NDArray[np.integer]
) -> tuple[float, str]:
    """By what factor odds are off, and where they are so beyond chance; empty where nowhere.

    Chance is what clusters vary by, and no less than independent atoms would.
    """
    probability = expit(log_odds)
    order = np.argsort(-probability, kind="stable")
    half = np.searchsorted(np.cumsum(probability[order]), probability.sum() / 2)
    upper = probability >= probability[order[min(half, len(order) - 1)]]
    looks = {"": np.ones_like(truth), "the likeliest ": upper, "the least likely ": ~upper}
    whole = 1.0
    for what, rows in looks.items():
        count, expected, true = (
            int(rows.sum()),
            float(probability[rows].sum()),
            int(truth[rows].sum()),
        )
        if not count:
            continue
        test = cluster_test((truth - probability)[rows], cluster[rows])
        needed = stdtrit(max(1.0, test.effective - 1), 1 - LEVEL / 2)
        least = ndtri(1 - LEVEL / 2) * np.sqrt((probability * (1 - probability))[rows].sum())
        beyond = abs(test.statistic) > needed and abs(test.total) > least
        log_factor = logit((expected + 0.5) / (count + 1)) - logit((true + 0.5) / (count + 1))
        if beyond and abs(log_factor) > np.log(FACTOR):
            said = f"of {what}{count:,}, {expected:,.1f} are expected to be true, {true:,} are"
            return float(np.exp(log_factor)), said
        whole = whole if what else float(np.exp(log_factor))
    return whole, ""
