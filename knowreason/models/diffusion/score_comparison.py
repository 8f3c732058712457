"""Whether one score of held-out rows is clearly better than another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.models.base.predicate_rows import PredicateRows

RESAMPLES = 200
SURE = 0.9  # share of resamples in which the first has to be better


@dataclass(frozen=True)
class ScoreComparison:
    """Two scores on held-out rows.

    Attributes:
        measure: its name.
        first, second: its values.
        better: share of resamples of the rows, class by class, in which the first is better.
    """

    measure: str
    first: float
    second: float
    better: float


def compared(
    rows: PredicateRows,
    judges: NDArray[np.int64],
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    seed: int,
) -> ScoreComparison:
    """How two scores of all rows do on labelled ones."""
    truth = rows.labels[judges]
    if rows.classes is not None:
        measure, value = "mean log-probability", _mean_log_probability
        judged = np.stack([s[judges, truth] for s in (first, second)])
    else:
        rare = int(np.bincount(rows.labels[rows.labelled], minlength=2).argmin())
        measure, value = "average precision", _average_precision
        judged = np.stack([(1 if rare else -1) * s[judges] for s in (first, second)])
        truth = truth == rare
    rng = np.random.default_rng([seed, 11])
    classes = [np.flatnonzero(truth == state) for state in np.unique(truth)]
    draws = [np.concatenate([rng.choice(c, len(c)) for c in classes]) for _ in range(RESAMPLES)]
    gains = [value(truth[d], judged[0, d]) - value(truth[d], judged[1, d]) for d in draws]
    better = float(np.mean(np.array(gains) > 0))
    return ScoreComparison(measure, value(truth, judged[0]), value(truth, judged[1]), better)


def _average_precision(truth: NDArray[np.generic], score: NDArray[np.floating]) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, score))


def _mean_log_probability(truth: NDArray[np.generic], score: NDArray[np.floating]) -> float:
    del truth
    return float(score.mean())
