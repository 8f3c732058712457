"""Metrics of many bootstrap resamples at once: one sort, then sums of weights.

A resample is a vector of multiplicities; every metric here is a function of cumulative
weights along the order of the scores, so no resample is sorted or copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

CELLS = 4_000_000  # weights in memory at a time

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Resamples of atoms, whole blocks together.

    Attributes:
        counts: ``int32[resamples, blocks]`` how often each block was drawn.
        block: ``int64[n]`` block of each atom.
    """

    counts: NDArray[np.int32]
    block: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    def weights(self) -> Iterator[Floats]:
        """``float64[some resamples, n]`` at a time."""
        step = max(1, CELLS // max(len(self.block), 1))
        for start in range(0, len(self.counts), step):
            yield self.counts[start : start + step][:, self.block].astype(np.float64)

    def rows(self) -> Iterator[NDArray[np.int64]]:
        """Each resample as repeated row numbers, for metrics that know no weights."""
        for counts in self.counts:
            yield np.repeat(np.arange(len(self.block)), counts[self.block])


def draw(size: int, blocks: ArrayLike | None, resamples: int, seed: int) -> Draws:
    """Bootstrap resamples of atoms, or of whole blocks where ``blocks`` are given."""
    rng = np.random.default_rng(seed)
    block = np.arange(size)
    if blocks is not None:
        block = np.unique(np.asarray(blocks), return_inverse=True)[1].reshape(-1)
    count = int(block.max(initial=-1)) + 1
    counts = np.zeros((resamples, count), dtype=np.int32)
    for resample in counts:
        resample += np.bincount(rng.integers(0, count, count), minlength=count).astype(np.int32)
    return Draws(counts, block)


@dataclass(frozen=True)
class Ranking:
    """Scores in falling order.

    Attributes:
        order: ``int64[n]`` atoms.
        truth: ``bool[n]`` in that order.
        last: ``int64[t]`` last place of each group of equal scores.
    """

    order: NDArray[np.int64]
    truth: NDArray[np.bool_]
    last: NDArray[np.int64]

    def cumulative(self, weights: Floats) -> tuple[Floats, Floats]:
        """True and false weight down to the end of each tie, ``float64[resamples, t]``."""
        sorted_weights = weights[:, self.order]
        true = np.cumsum(np.where(self.truth, sorted_weights, 0.0), axis=1)[:, self.last]
        every = np.cumsum(sorted_weights, axis=1)[:, self.last]
        return true, every - true


def ranking(truth: NDArray[np.bool_], log_odds: Floats) -> Ranking:
    """Sort once."""
    order = np.argsort(-log_odds, kind="stable")
    values = log_odds[order]
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    return Ranking(order, truth[order], last)


Weighted = Callable[[NDArray[np.bool_], Floats, Draws], Floats]


def _ranked(formula: Callable[[Floats, Floats], Floats]) -> Weighted:
    def values(truth: NDArray[np.bool_], log_odds: Floats, draws: Draws) -> Floats:
        ranks = ranking(truth, log_odds)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.concatenate([formula(*ranks.cumulative(w)) for w in draws.weights()])

    return values


def _averaged(formula: Callable[[NDArray[np.bool_], Floats], Floats]) -> Weighted:
    def values(truth: NDArray[np.bool_], log_odds: Floats, draws: Draws) -> Floats:
        each = formula(truth, log_odds)
        return np.concatenate([w @ each / w.sum(axis=1) for w in draws.weights()])

    return values


def _average_precision(true: Floats, false: Floats) -> Floats:
    steps = np.diff(true, axis=1, prepend=0.0)
    precision = np.divide(true, true + false, out=np.zeros_like(true), where=true + false > 0)
    return (steps * precision).sum(axis=1) / true[:, -1]


def _roc_auc(true: Floats, false: Floats) -> Floats:
    below = true - np.diff(true, axis=1, prepend=0.0) / 2
    area = (np.diff(false, axis=1, prepend=0.0) * below).sum(axis=1)
    return area / (true[:, -1] * false[:, -1])


def _true_positive_rate(limit: float) -> Weighted:
    def formula(true: Floats, false: Floats) -> Floats:
        within = false <= limit * false[:, -1:] * (1 + 1e-12)
        best = np.where(within, true, 0.0).max(axis=1) / true[:, -1]
        return np.where(false[:, -1] > 0, best, np.nan)

    return _ranked(formula)


def _precision_at(alerts: int, *, recall: bool) -> Weighted:
    def formula(true: Floats, false: Floats) -> Floats:
        every = true + false
        wanted = np.minimum(alerts, every[:, -1])
        place = (every < wanted[:, None]).sum(axis=1)[:, None]
        place = np.minimum(place, every.shape[1] - 1)
        before = np.maximum(place - 1, 0)
        first = place[:, 0] == 0
        above = np.where(first, 0.0, np.take_along_axis(every, before, 1)[:, 0])
        true_above = np.where(first, 0.0, np.take_along_axis(true, before, 1)[:, 0])
        tied = np.take_along_axis(every, place, 1)[:, 0] - above
        true_tied = np.take_along_axis(true, place, 1)[:, 0] - true_above
        found = true_above + (wanted - above) * true_tied / tied
        return found / (true[:, -1] if recall else wanted)

    return _ranked(formula)


def _calibration_error(truth: NDArray[np.bool_], log_odds: Floats, draws: Draws) -> Floats:
    bins = 20
    probability = expit(log_odds)
    bin_of = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.zeros((len(truth), bins))
    gap[np.arange(len(truth)), bin_of] = probability - truth
    return np.concatenate([np.abs(w @ gap).sum(axis=1) / w.sum(axis=1) for w in draws.weights()])


_WEIGHTED: dict[str, Weighted] = {
    "average_precision": _ranked(_average_precision),
    "roc_auc": _ranked(_roc_auc),
    "log_loss": _averaged(
        lambda truth, log_odds: np.logaddexp(0.0, np.where(truth, -log_odds, log_odds))
    ),
    "brier": _averaged(lambda truth, log_odds: np.asarray((expit(log_odds) - truth) ** 2)),
    "accuracy": _averaged(lambda truth, log_odds: ((log_odds > 0) == truth).astype(np.float64)),
    "ece": _calibration_error,
}


def weighted(name: str) -> Weighted | None:
    """The metric of that name over all resamples, ``None`` where only one at a time is known."""
    family, _, argument = name.partition("@")
    if family == "tpr":
        return _true_positive_rate(float(argument.removeprefix("fpr=")))
    if family in ("precision", "recall") and argument:
        return _precision_at(int(argument), recall=family == "recall")
    return _WEIGHTED.get(name)
