"""How good log-odds are: ranking, operating points, calibration, intervals.

Every metric is a function of ``truth`` (``int8[n]`` or ``bool[n]``) and ``log_odds``
(``float64[n]``); rankings use log-odds, never saturated probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn import metrics as sk

from knowreason.errors import KnowreasonError
from knowreason.intervals import Draws, draw, weighted
from knowreason.registry import Registry

Metric = Callable[[NDArray[np.bool_], NDArray[np.float64]], float]
METRICS: Registry[Metric] = Registry("metric")

DEFAULT_METRICS = (
    "average_precision",
    "roc_auc",
    "tpr@fpr=0.005",
    "tpr@fpr=0.01",
    "tpr@fpr=0.02",
    "log_loss",
    "brier",
    "ece",
)
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "ece"})


@METRICS.register("average_precision")
def average_precision(truth: NDArray[np.bool_], log_odds: NDArray[np.float64]) -> float:
    """Area under the precision-recall steps; ``nan`` without a positive."""
    return float(sk.average_precision_score(truth, log_odds)) if truth.any() else float("nan")


@METRICS.register("roc_auc")
def roc_auc(truth: NDArray[np.bool_], log_odds: NDArray[np.float64]) -> float:
    """Area under the ROC curve; ``nan`` with one class only."""
    if truth.all() or not truth.any():
        return float("nan")
    return float(sk.roc_auc_score(truth, log_odds))


@METRICS.register("log_loss")
def log_loss(truth: NDArray[np.bool_], log_odds: NDArray[np.float64]) -> float:
    """Mean negative log-likelihood in nats."""
    return float(np.mean(np.logaddexp(0.0, np.where(truth, -log_odds, log_odds))))


@METRICS.register("brier")
def brier(truth: NDArray[np.bool_], log_odds: NDArray[np.float64]) -> float:
    """Mean squared error of the probabilities."""
    return float(np.mean((expit(log_odds) - truth) ** 2))


@METRICS.register("ece")
def expected_calibration_error(
    truth: NDArray[np.bool_], log_odds: NDArray[np.float64], bins: int = 20
) -> float:
    """Expected calibration error over equal-width bins (Naeini et al. 2015)."""
    probability = expit(log_odds)
    index = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(index, weights=probability - truth, minlength=bins)
    return float(np.abs(gap).sum() / len(truth))


@METRICS.register("accuracy")
def accuracy(truth: NDArray[np.bool_], log_odds: NDArray[np.float64]) -> float:
    """Share on the right side of one half."""
    return float(np.mean((log_odds > 0) == truth))


def true_positive_rate(
    truth: NDArray[np.bool_], log_odds: NDArray[np.float64], false_positive_rate: float
) -> float:
    """Greatest recall of a threshold whose false-positive rate is within the limit."""
    if truth.all() or not truth.any():
        return float("nan")
    false_rate, true_rate, _ = sk.roc_curve(truth, log_odds, drop_intermediate=False)
    return float(true_rate[false_rate <= false_positive_rate].max())


def precision_at(truth: NDArray[np.bool_], log_odds: NDArray[np.float64], alerts: int) -> float:
    """Share of true among the ``alerts`` highest; ties count by their expected share."""
    order = np.sort(log_odds)[::-1]
    alerts = min(alerts, len(order))
    threshold = order[alerts - 1]
    above, tied = log_odds > threshold, log_odds == threshold
    wanted = alerts - above.sum()
    return float((truth[above].sum() + wanted * truth[tied].mean()) / alerts)


def recall_at(truth: NDArray[np.bool_], log_odds: NDArray[np.float64], alerts: int) -> float:
    """Share of the true that the ``alerts`` highest hold."""
    if not truth.any():
        return float("nan")
    alerts = min(alerts, len(truth))
    return precision_at(truth, log_odds, alerts) * alerts / float(truth.sum())


def metric(name: str) -> Metric:
    """The metric of that name, also ``tpr@fpr=0.01``, ``precision@50``, ``recall@50``.

    Raises:
        UnknownNameError: for any other name.
        KnowreasonError: when the part after ``@`` is no number in range.
    """
    family, at, argument = name.partition("@")
    if not at:
        return METRICS[name]
    try:
        if family == "tpr":
            rate = float(argument.removeprefix("fpr="))
            return lambda truth, log_odds: true_positive_rate(truth, log_odds, rate)
        if family in ("precision", "recall") and int(argument) > 0:
            function = precision_at if family == "precision" else recall_at
            return lambda truth, log_odds: function(truth, log_odds, int(argument))
    except ValueError:
        pass
    raise KnowreasonError(
        f"no metric is called `{name}`",
        code="KR830",
        help=f"one of {', '.join(METRICS)}, tpr@fpr=0.01, precision@50, recall@50",
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval (``nan`` ends where none can be had)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def evaluate(
    truth: ArrayLike,
    scores: Mapping[str, ArrayLike],
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    blocks: ArrayLike | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, dict[str, Estimate]]:
    """Each metric of each score, with percentile bootstrap intervals.

    Args:
        truth: 0/1, one an atom.
        scores: log-odds by name of what made them.
        metrics: names for :func:`metric`.
        blocks: a slice or group an atom; whole blocks are resampled where given
            (independent resampling is too narrow where atoms share a time slice).
        resamples: bootstrap resamples; 0 for none.
        seed: of the resampling; the same resamples serve every score.

    Returns:
        ``result[score][metric]``.
    """
    truth = np.asarray(truth).astype(bool)
    draws = draw(len(truth), blocks, resamples, seed)
    return {
        name: {
            key: _interval(metric(key)(truth, log_odds), resampled(key, truth, log_odds, draws))
            for key in metrics
        }
        for name, log_odds in (
            (name, np.asarray(values, dtype=np.float64)) for name, values in scores.items()
        )
    }


def paired_difference(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    metric_name: str,
    *,
    blocks: ArrayLike | None = None,
    resamples: int = 400,
    seed: int = 0,
) -> Estimate:
    """``metric(first) - metric(second)`` with a paired bootstrap interval."""
    truth = np.asarray(truth).astype(bool)
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    function = metric(metric_name)
    draws = draw(len(truth), blocks, resamples, seed)
    values = resampled(metric_name, truth, one, draws) - resampled(metric_name, truth, two, draws)
    return _interval(function(truth, one) - function(truth, two), values)


def resampled(
    name: str, truth: NDArray[np.bool_], log_odds: NDArray[np.float64], draws: Draws
) -> NDArray[np.float64]:
    """``float64[resamples]``: a metric in every resample."""
    many = weighted(name)
    if many is not None and len(draws) and len(truth):
        return many(truth, log_odds, draws)
    function = metric(name)
    return np.array([function(truth[rows], log_odds[rows]) for rows in draws.rows()])


def by_block(
    truth: ArrayLike, log_odds: ArrayLike, blocks: ArrayLike, metric_name: str
) -> dict[int, float]:
    """A metric within each block, blocks in order."""
    truth = np.asarray(truth).astype(bool)
    values, block = np.asarray(log_odds, dtype=np.float64), np.asarray(blocks)
    function = metric(metric_name)
    return {
        int(which): function(truth[block == which], values[block == which])
        for which in np.unique(block)
    }


@dataclass(frozen=True)
class CalibrationCurve:
    """Mean prediction against observed share, bins of equal width.

    Attributes:
        predicted: ``float64[b]`` mean probability of each bin that is not empty.
        observed: ``float64[b]`` share of true.
        count: ``int64[b]``.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    count: NDArray[np.int64]


def calibration_curve(truth: ArrayLike, log_odds: ArrayLike, bins: int = 20) -> CalibrationCurve:
    """The reliability curve of log-odds."""
    probability = expit(np.asarray(log_odds, dtype=np.float64))
    index = np.minimum((probability * bins).astype(np.int64), bins - 1)
    count = np.bincount(index, minlength=bins)
    filled = count > 0
    total = np.bincount(index, weights=probability, minlength=bins)
    true = np.bincount(index, weights=np.asarray(truth).astype(float), minlength=bins)
    return CalibrationCurve(
        total[filled] / count[filled], true[filled] / count[filled], count[filled]
    )


def _interval(value: float, values: NDArray[np.float64]) -> Estimate:
    finite = values[np.isfinite(values)]
    if len(finite) < 20:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(finite, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
