"""Models of one predicate as one: logistic stacking with priors (Wolpert 1992)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.factors.model_output import LLR_LIMIT
from knowreason.models.base.calibration import (
    INTERCEPT_SD,
    fitted_map,
    likelihood_effect,
    logistic,
    numbered_clusters,
)

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
OWN_SD, AROUND_SD = 0.5, 0.5  # priors of coefficients, a model's own and of neighbours' means
MOST = 5.0  # greatest coefficient


@dataclass(frozen=True)
class Stacking:
    """Log-odds as a weighted sum of what models say of an atom and of its neighbours.

    Attributes:
        models: names.
        own: one coefficient a model, not negative for models of the predicate itself.
        around: one a model for the mean over its neighbours; all 0 where it has none.
        base: log-odds of the base rate.
        intercept: what is added to it.

    >>> Stacking(("trees",), (0.5,), (0.0,), -2.0)(np.array([[4.0]]), np.array([[0.0]]))
    array([0.])
    """

    models: tuple[str, ...]
    own: tuple[float, ...]
    around: tuple[float, ...]
    base: float
    intercept: float = 0.0

    def __call__(self, ratios: Matrix, means: Matrix) -> Vector:
        """``float64[n]`` from log-likelihood ratios and their neighbours' means (``[n, m]``)."""
        told = ratios @ np.array(self.own) + means @ np.array(self.around)
        return np.asarray(self.base + self.intercept + told)


def fit_stacking(
    models: tuple[str, ...],
    ratios: Matrix,
    means: Matrix,
    labels: NDArray[np.integer],
    base: float,
    clusters: NDArray[np.integer] | None = None,
    of_others: int = 0,
) -> Stacking:
    """The posterior mode of the coefficients.

    A priori every model counts for its share (their mean, which is right where models see the
    same), neighbours and models of other predicates for nothing; few labels, or few clusters of
    them, leave it at that.

    Args:
        models: names, one a column; those of other predicates last.
        ratios: ``float64[n, m]`` log-likelihood ratios, out of fold.
        means: ``float64[n, m]``, means over neighbours; a column of zeros gets no coefficient.
        labels: ``int[n]``, 0 or 1.
        base: log-odds of the base rate.
        clusters: ``int[n]``, rows of one number share a cause: the likelihood is divided by its
            design effect, as in calibration.
        of_others: how many models speak of another predicate.
    """
    m = ratios.shape[1]
    own = m - of_others
    columns = np.concatenate([ratios, means, np.ones((len(labels), 1))], axis=1)
    used = np.flatnonzero(np.abs(columns).max(axis=0, initial=0.0) > 0)
    x = columns[:, used]
    prior = np.repeat([1 / max(own, 1), 0.0], [own, of_others + m + 1])[used]
    precision = np.repeat([OWN_SD, AROUND_SD, INTERCEPT_SD], [m, m, 1])[used] ** -2.0
    target = np.asarray(labels, np.float64)
    cluster = numbered_clusters(clusters)

    def loss(shift: Vector, effect: float) -> tuple[float, Vector]:
        margin = base + x @ (prior + shift)
        probability, softplus = logistic(margin)
        surprise = target * margin - softplus
        gradient = (probability - target) @ x / effect + precision * shift
        return float(0.5 * precision @ shift**2 - surprise.sum() / effect), gradient

    def dependence(shift: Vector) -> float:
        probability = expit(base + x @ (prior + shift))
        varied = probability * (1 - probability)
        return likelihood_effect(x, target - probability, varied, precision, cluster)

    lowest = np.repeat([0.0, -MOST, -LLR_LIMIT], [own, of_others + m, 1])[used]
    bounds = list(zip((lowest - prior).tolist(), [LLR_LIMIT] * len(used), strict=True))
    shift, _ = fitted_map(loss, dependence, bounds)
    coefficients = np.zeros(2 * m + 1)
    coefficients[used] = prior + shift
    each, around = coefficients[:m].tolist(), coefficients[m : 2 * m].tolist()
    return Stacking(models, tuple(each), tuple(around), base, float(coefficients[-1]))
