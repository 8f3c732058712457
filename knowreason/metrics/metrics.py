"""How good log-odds are: ranking, operating points, calibration, intervals.

A metric is one function of ``truth`` (``bool[n]``), ``log_odds`` (``float64[n]``) and
``weights`` (``float64[resamples, n]``) that gives ``float64[resamples]``: the figure itself is
the case of one row of ones, a bootstrap interval that of many rows of multiplicities, so no
resample is sorted or copied. Rankings use log-odds, never saturated probabilities.

A metric of one's own is made by :func:`averaged` (a value an atom), :func:`ranked` (a formula of
cumulative counts) or :func:`weighted` (the general form above), registered by
``@METRICS.register(name)`` and named like ours, in Python or in ``[report] metrics``. A plain
function ``(truth, log_odds) -> float`` will do as well: it is called once a resample, on the
resample's own rows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowreason.errors import KnowreasonError
from knowreason.metrics.intervals import Draws, draw, share_interval
from knowreason.metrics.intervals import Estimate as Estimate
from knowreason.registry import Registry

Booleans = NDArray[np.bool_]
Floats = NDArray[np.float64]
WeightedFormula = Callable[[Booleans, Floats, Floats], Floats]
RankedFormula = Callable[[Floats, Floats], Floats]
AveragedFormula = Callable[[Booleans, Floats], Floats]
PlainFormula = Callable[[Booleans, Floats], float]

BINS = 20  # of calibration error and curve

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


@dataclass(frozen=True)
class Metric:
    """A figure of log-odds against the truth.

    Attributes:
        formula: of truth ``bool[n]``, log-odds ``float64[n]``, weights ``float64[r, n]``;
            gives ``float64[r]``, ``nan`` where the figure is not defined.
        lower_is_better: of two figures.
        title: what a report calls it; empty for its name.
        of_ranking: the same of what :func:`ranking` gives, where nothing else is needed.
        merges: of a ranking: whether it stays the same where neighbouring groups of equal scores
            that hold no true atom are made one.
        of_atoms: the value an atom whose mean it is, where it is one.

    >>> Metric(lambda truth, log_odds, weights: weights @ log_odds)([1, 0], [2.0, 1.0])
    3.0
    """

    formula: WeightedFormula
    lower_is_better: bool = False
    title: str = ""
    of_ranking: RankedFormula | None = None
    merges: bool = False
    of_atoms: AveragedFormula | None = None

    def __call__(
        self, truth: ArrayLike, log_odds: ArrayLike, weights: ArrayLike | None = None
    ) -> float:
        """The figure; ``weights`` (``[n]``) count some atoms more than others."""
        truth, log_odds = np.asarray(truth).astype(bool), np.asarray(log_odds, dtype=np.float64)
        row = np.ones(len(truth)) if weights is None else np.asarray(weights, dtype=np.float64)
        return float(self.each(truth, log_odds, row[None])[0])

    def each(self, truth: Booleans, log_odds: Floats, weights: Floats) -> Floats:
        """``float64[r]``: the figure under each row of weights ``float64[r, n]``."""
        if not len(truth):
            return np.full(len(weights), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.formula(truth, log_odds, weights)


METRICS: Registry[Metric | WeightedFormula | PlainFormula] = Registry(
    "metric", "knowreason.metrics"
)


def weighted(
    *, lower_is_better: bool = False, title: str = ""
) -> Callable[[WeightedFormula], Metric]:
    """Decorator: a formula of truth, log-odds and weights becomes a metric.

    >>> @weighted(lower_is_better=True)
    ... def total(truth, log_odds, weights):
    ...     return weights @ log_odds
    >>> total([1, 0], [2.0, 1.0])
    3.0
    """
    return lambda formula: Metric(formula, lower_is_better, title)


def ranked(
    *, lower_is_better: bool = False, title: str = "", merges: bool = False
) -> Callable[[RankedFormula], Metric]:
    """Decorator: a formula of cumulative weights along falling scores becomes a metric.

    The formula takes the weight of true and of false atoms down to the end of each group of
    equal scores, both ``float64[r, t]``, and gives ``float64[r]``. Resamples are far cheaper where
    it ``merges``: where groups without a true atom, next to each other, may as well be one.

    >>> @ranked()
    ... def best_precision(true, false):
    ...     return (true / (true + false)).max(axis=1)
    >>> best_precision([1, 0, 1], [3.0, 2.0, 1.0])
    1.0
    """

    def build(formula: RankedFormula) -> Metric:
        def values(truth: Booleans, log_odds: Floats, weights: Floats) -> Floats:
            return formula(*ranking(truth, log_odds, weights))

        return Metric(values, lower_is_better, title, formula, merges)

    return build


def ranking(truth: Booleans, log_odds: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weights of true and of false atoms along falling scores, added up: ``float64[r, t]`` each.

    Atoms of equal scores are one of ``t`` groups. Metrics share the arrays, which are read-only.
    """
    order = np.argsort(-log_odds, kind="stable")
    scores = log_odds[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    falling = weights[:, order]
    true = np.cumsum(np.where(truth[order], falling, 0.0), axis=1)[:, last]
    false = np.cumsum(falling, axis=1)[:, last] - true
    true.flags.writeable = false.flags.writeable = False
    return true, false


def averaged(
    *, lower_is_better: bool = False, title: str = ""
) -> Callable[[AveragedFormula], Metric]:
    """Decorator: a formula that gives a value an atom, ``float64[n]``, becomes their mean.

    >>> @averaged()
    ... def log_odds_of_true(truth, log_odds):
    ...     return np.where(truth, log_odds, 0.0)
    >>> log_odds_of_true([1, 0], [2.0, 1.0])
    1.0
    """

    def build(formula: AveragedFormula) -> Metric:
        def values(truth: Booleans, log_odds: Floats, weights: Floats) -> Floats:
            return np.asarray(weights @ formula(truth, log_odds) / weights.sum(axis=1))

        return Metric(values, lower_is_better, title, of_atoms=formula)

    return build


def _of_rows(formula: PlainFormula) -> Metric:
    """A metric that is computed on the rows of each resample."""

    def values(truth: Booleans, log_odds: Floats, weights: Floats) -> Floats:
        counts = weights.astype(np.int64)
        if not np.array_equal(counts, weights):
            raise KnowreasonError(
                "a metric that takes no weights knows only how often an atom is drawn",
                code="KR931",
                help="write it with `knowreason.metrics.weighted`, `ranked` or `averaged`",
            )
        rows = [np.repeat(np.arange(len(truth)), count) for count in counts]
        return np.array([formula(truth[drawn], log_odds[drawn]) for drawn in rows])

    return Metric(values)


@METRICS.register("average_precision")
@ranked(title="average precision", merges=True)
def average_precision(true: Floats, false: Floats) -> Floats:
    """Area under the precision-recall steps; ``nan`` without a true atom."""
    steps = np.diff(true, axis=1, prepend=0.0)
    precision = np.divide(true, true + false, out=np.zeros_like(true), where=true + false > 0)
    return np.asarray((steps * precision).sum(axis=1) / true[:, -1])


@METRICS.register("roc_auc")
@ranked(title="ROC AUC", merges=True)
def roc_auc(true: Floats, false: Floats) -> Floats:
    """Area under the ROC curve; ``nan`` with one class only."""
    below = true - np.diff(true, axis=1, prepend=0.0) / 2
    area = (np.diff(false, axis=1, prepend=0.0) * below).sum(axis=1)
    return np.asarray(area / (true[:, -1] * false[:, -1]))


@METRICS.register("log_loss")
@averaged(lower_is_better=True, title="log loss")
def log_loss(truth: Booleans, log_odds: Floats) -> Floats:
    """Mean negative log-likelihood in nats."""
    return np.asarray(np.logaddexp(0.0, np.where(truth, -log_odds, log_odds)))


@METRICS.register("brier")
@averaged(lower_is_better=True, title="Brier score")
def brier(truth: Booleans, log_odds: Floats) -> Floats:
    """Mean squared error of the probabilities."""
    from scipy.special import expit

    return np.asarray((expit(log_odds) - truth) ** 2)


@METRICS.register("accuracy")
@averaged()
def accuracy(truth: Booleans, log_odds: Floats) -> Floats:
    """Share on the right side of one half."""
    right: Floats = ((log_odds > 0) == truth).astype(np.float64)
    return right


@METRICS.register("ece")
@weighted(lower_is_better=True, title="calibration error")
def expected_calibration_error(truth: Booleans, log_odds: Floats, weights: Floats) -> Floats:
    """Expected calibration error over bins of equal width (Naeini et al. 2015)."""
    gap = np.zeros((len(truth), BINS))
    probability, bin_of = _binned(log_odds, BINS)
    gap[np.arange(len(truth)), bin_of] = probability - truth
    return np.asarray(np.abs(weights @ gap).sum(axis=1) / weights.sum(axis=1))


def _true_positive_rate(limit: float) -> Metric:
    @ranked(merges=True)
    def formula(true: Floats, false: Floats) -> Floats:
        within = false <= limit * false[:, -1:] * (1 + 1e-12)
        best = np.where(within, true, 0.0).max(axis=1) / true[:, -1]
        return np.where(false[:, -1] > 0, best, np.nan)

    return formula


def _at(alerts: int, *, recall: bool) -> Metric:
    @ranked(merges=True)
    def formula(true: Floats, false: Floats) -> Floats:
        every = true + false
        wanted = np.minimum(alerts, every[:, -1])
        tie = (every < wanted[:, None]).sum(axis=1)[:, None]
        tie = np.minimum(tie, every.shape[1] - 1)
        before, first = np.maximum(tie - 1, 0), tie[:, 0] == 0
        above = np.where(first, 0.0, np.take_along_axis(every, before, 1)[:, 0])
        true_above = np.where(first, 0.0, np.take_along_axis(true, before, 1)[:, 0])
        tied = np.take_along_axis(every, tie, 1)[:, 0] - above
        true_tied = np.take_along_axis(true, tie, 1)[:, 0] - true_above
        caught = true_above + (wanted - above) * true_tied / tied
        return np.asarray(caught / (true[:, -1] if recall else wanted))

    return formula


def true_positive_rate(truth: ArrayLike, log_odds: ArrayLike, false_positive_rate: float) -> float:
    """Greatest recall of a threshold whose false-positive rate is within the limit.

    >>> true_positive_rate([1, 0, 1, 0], [3.0, 2.0, 1.0, 0.0], 0.5)
    1.0
    """
    return _true_positive_rate(false_positive_rate)(truth, log_odds)


def precision_at(truth: ArrayLike, log_odds: ArrayLike, alerts: int) -> float:
    """Share of true among the ``alerts`` highest; ties count by their expected share.

    >>> precision_at([1, 0, 1, 0], [3.0, 2.0, 1.0, 0.0], 2)
    0.5
    """
    return _at(alerts, recall=False)(truth, log_odds)


def recall_at(truth: ArrayLike, log_odds: ArrayLike, alerts: int) -> float:
    """Share of the true that the ``alerts`` highest hold.

    >>> recall_at([1, 0, 1, 0], [3.0, 2.0, 1.0, 0.0], 3)
    1.0
    """
    return _at(alerts, recall=True)(truth, log_odds)


def metric(name: str) -> Metric:
    """The metric of that name, also ``tpr@fpr=0.01``, ``precision@50``, ``recall@50``.

    Raises:
        UnknownNameError: for any other name.
        KnowreasonError: KR930 when the part after ``@`` is no number in range.

    >>> metric("roc_auc")([1, 0, 1, 0], [3.0, 2.0, 1.0, 0.0])
    0.75
    """
    family, at, argument = name.partition("@")
    if not at or name in METRICS:
        registered = METRICS[name]
        if isinstance(registered, Metric):
            return registered
        if len(inspect.signature(registered).parameters) > 2:
            return Metric(cast("WeightedFormula", registered))
        return _of_rows(cast("PlainFormula", registered))
    try:
        if family == "tpr":
            return _true_positive_rate(float(argument.removeprefix("fpr=")))
        if family in ("precision", "recall") and int(argument) > 0:
            return _at(int(argument), recall=family == "recall")
    except ValueError:
        pass
    raise KnowreasonError(
        f"no metric is called `{name}`",
        code="KR930",
        help=f"one of {', '.join(METRICS)}, tpr@fpr=0.01, precision@50, recall@50",
    )


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

    >>> table = evaluate([1, 0, 1, 0], {"rules": [3.0, 2.0, 1.0, 0.0]}, ["roc_auc"])
    >>> table["rules"]["roc_auc"].value
    0.75
    """
    truth = np.asarray(truth).astype(bool)
    draws = draw(len(truth), blocks, resamples, seed)
    table: dict[str, dict[str, Estimate]] = {}
    for name, values in scores.items():
        log_odds = np.asarray(values, dtype=np.float64)
        spread = resampled_each(metrics, truth, log_odds, draws)
        table[name] = {
            key: Estimate.of(metric(key)(truth, log_odds), spread[key]) for key in metrics
        }
    return table


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
    """``metric(first) - metric(second)`` with a paired bootstrap interval.

    >>> paired_difference([1, 0] * 9, [1.0, -1.0] * 9, [1.0, 2.0] * 9, "accuracy").value
    0.5
    """
    truth = np.asarray(truth).astype(bool)
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    figure = metric(metric_name)
    draws = draw(len(truth), blocks, resamples, seed)
    values = resampled(metric_name, truth, one, draws) - resampled(metric_name, truth, two, draws)
    return Estimate.of(figure(truth, one) - figure(truth, two), values)


def resampled(name: str, truth: Booleans, log_odds: Floats, draws: Draws) -> Floats:
    """``float64[resamples]``: a metric in every resample."""
    return resampled_each([name], truth, log_odds, draws)[name]


def resampled_each(
    names: Sequence[str], truth: Booleans, log_odds: Floats, draws: Draws
) -> dict[str, Floats]:
    """``float64[resamples]`` by metric: each in every resample; a resample is ranked once."""
    figures = {name: metric(name) for name in names}
    found: dict[str, list[Floats]] = {name: [np.zeros(0)] for name in names}
    rest = list(figures)
    if len(truth):
        merged = [name for name in rest if figures[name].of_ranking and figures[name].merges]
        for true, false in _merged_rankings(truth, log_odds, draws) if merged else ():
            for name in merged:
                found[name].append(_ratio(figures[name].of_ranking, true, false))
        for name in rest:
            of_atoms = figures[name].of_atoms
            if of_atoms is not None:
                found[name].append(draws.mean(np.asarray(of_atoms(truth, log_odds), np.float64)))
        rest = [name for name in rest if name not in merged and figures[name].of_atoms is None]
    shares = len(truth) > 0 and any(figures[name].of_ranking for name in rest)
    for weights in draws.weights() if rest else ():
        ranks = ranking(truth, log_odds, weights) if shares else None
        for name in rest:
            figure = figures[name]
            if ranks is None or figure.of_ranking is None:
                found[name].append(figure.each(truth, log_odds, weights))
            else:
                found[name].append(_ratio(figure.of_ranking, *ranks))
    return {name: np.concatenate(rows) for name, rows in found.items()}


def _ratio(formula: RankedFormula | None, true: Floats, false: Floats) -> Floats:
    assert formula is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        return formula(true, false)


def _merged_rankings(
    truth: Booleans, log_odds: Floats, draws: Draws
) -> Iterator[tuple[Floats, Floats]]:
    """As :func:`ranking` for some resamples at a time, groups without a true atom merged: as many
    columns as twice the true atoms, where blocks are drawn summed block by block."""
    order = np.argsort(-log_odds, kind="stable")
    scores, true = log_odds[order], truth[order]
    group = np.cumsum(np.append(False, scores[1:] != scores[:-1]))
    holds = np.bincount(group, true) > 0
    run = np.cumsum(holds | np.append(True, holds[:-1]))[group] - 1
    for all_of, true_of in zip(
        draws.sums(order, run), draws.sums(order[true], run[true], int(run[-1]) + 1), strict=True
    ):
        true_down = np.cumsum(true_of, axis=1)
        yield true_down, np.cumsum(all_of, axis=1) - true_down


def by_block(
    truth: ArrayLike, log_odds: ArrayLike, blocks: ArrayLike, metric_name: str
) -> dict[int, float]:
    """A metric within each block, blocks in order."""
    truth, log_odds, block = np.asarray(truth), np.asarray(log_odds), np.asarray(blocks)
    figure = metric(metric_name)
    return {
        int(which): figure(truth[block == which], log_odds[block == which])
        for which in np.unique(block)
    }


@dataclass(frozen=True)
class CalibrationCurve:
    """Mean prediction against observed share, bins of equal width.

    Attributes:
        predicted: ``float64[b]`` mean probability of each bin that is not empty.
        observed: ``float64[b]`` share of true.
        count: ``int64[b]``.
        low, high: ``float64[b]`` ends of 95 % intervals of the shares, atoms independent.

    >>> calibration_curve([1, 0, 1, 0], [2.0, 2.0, 3.0, -3.0], bins=2).count
    array([1, 3])
    """

    predicted: Floats
    observed: Floats
    count: NDArray[np.int64]
    low: Floats
    high: Floats


def calibration_curve(truth: ArrayLike, log_odds: ArrayLike, bins: int = BINS) -> CalibrationCurve:
    """The reliability curve of log-odds.

    >>> calibration_curve([1, 0, 1, 0], [2.0, 2.0, 3.0, -3.0], bins=2).observed
    array([0.        , 0.66666667])
    """
    probability, bin_of = _binned(np.asarray(log_odds, dtype=np.float64), bins)
    count = np.bincount(bin_of, minlength=bins)
    filled = count > 0
    total = np.bincount(bin_of, weights=probability, minlength=bins)
    true = np.bincount(bin_of, weights=np.asarray(truth).astype(float), minlength=bins)
    total, true, count = total[filled], true[filled], count[filled]
    return CalibrationCurve(total / count, true / count, count, *share_interval(true, count))


def _binned(log_odds: Floats, bins: int) -> tuple[Floats, NDArray[np.int64]]:
    """Probabilities, and the bin of equal width that each lies in."""
    from scipy.special import expit

    probability = np.asarray(expit(log_odds))
    return probability, np.minimum((probability * bins).astype(np.int64), bins - 1)
