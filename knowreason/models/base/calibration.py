"""Scores to log-odds: with labels, or from an assumed share of positives.

Platt 1999 with priors in place of his target smoothing; isotonic regression (Zadrozny &
Elkan 2002); temperature (Guo et al. 2017). Where labels depend on each other the likelihood is
divided by its design effect (:mod:`knowreason.learning.design_effect`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, ndtr, ndtri

from knowreason.errors import ModelError
from knowreason.factors.model_output import LLR_LIMIT

if TYPE_CHECKING:
    from knowreason.models.base.predicate_rows import PredicateRows

Vector = NDArray[np.float64]
Method = Literal["none", "platt", "temperature", "isotonic"]
LOG_SLOPE_SD, INTERCEPT_SD = 0.5, 1.0  # priors of Platt's two numbers for log-odds
SCORE_LOG_SLOPE_SD, SCORE_INTERCEPT_SD = 1.5, 2.0  # for scores without a unit
ROUNDS = 30  # of calibration and design effect
SEPARATION_BOUNDS = (0.5, 3.0)  # standard deviations between components


@dataclass(frozen=True)
class Calibration:
    """A monotone map of scores, linear or linear between knots.

    Attributes:
        method: how it was fitted.
        slope, intercept: of the linear map, used where there are no knots.
        knots, levels: scores and what they become, linear in between, flat outside.
        note: what was assumed or found, one sentence.

    >>> Calibration("platt", slope=2.0, intercept=-1.0)(np.array([0.0, 1.5]))
    array([-1.,  2.])
    """

    method: str = "none"
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    note: str = ""

    def __call__(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated scores within +-14, any shape; NaN stays."""
        values = np.asarray(scores, np.float64)
        if self.knots:
            levels = np.interp(values, self.knots, self.levels)
            return np.where(np.isnan(values), np.nan, levels)
        return np.clip(self.slope * values + self.intercept, -LLR_LIMIT, LLR_LIMIT)

    def to_values(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> Calibration:
        """Inverse of :meth:`to_values`."""
        fields = dict(values)
        fields["knots"], fields["levels"] = tuple(fields["knots"]), tuple(fields["levels"])
        return Calibration(**fields)


def calibrate(
    ratios: NDArray[np.floating],
    labels: NDArray[np.integer],
    method: Method,
    offset: float | NDArray[np.float64],
    clusters: NDArray[np.integer] | None = None,
) -> Calibration:
    """Fit held-out log-likelihood ratios to labels; the result maps ratios to ratios.

    The identity has the prior's favour, so that few labels change little. Where all labels
    are alike nothing is changed.

    Args:
        ratios: ``[n]``, or ``[n, K]`` over the states of a functional predicate, which
            always get a temperature.
        labels: 0/1, or states.
        method: how.
        offset: log-odds of the base rate (``[K]`` log-probabilities) to which the ratios
            are added.
        clusters: ``int[n]``, rows of one number share a cause: the likelihood counts for as
            much as whole clusters vouch for (not that of steps, which is none). ``None``:
            rows are independent.
    """
    if method == "none" or len(np.unique(labels)) < 2:
        return Calibration()
    if np.asarray(ratios).ndim == 2:
        return fit_temperature(ratios, labels, np.asarray(offset), clusters)
    assert not isinstance(offset, np.ndarray) or offset.ndim == 0
    if method == "isotonic":
        return fit_isotonic(ratios, labels, float(offset))
    if method == "temperature":
        return fit_platt(ratios, labels, float(offset), intercept_sd=0.0, clusters=clusters)
    return fit_platt(ratios, labels, float(offset), clusters=clusters)


def fit_platt(
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    offset: float = 0.0,
    log_slope_sd: float = LOG_SLOPE_SD,
    intercept_sd: float = INTERCEPT_SD,
    clusters: NDArray[np.integer] | None = None,
) -> Calibration:
    """``offset + slope * score + intercept`` by maximum posterior, slope positive.

    Targets are ``(n1 + 1) / (n1 + 2)`` and ``1 / (n0 + 2)``, as in Platt's paper: scores that
    separate the labels perfectly do not become certainties. The priors are normal, of the
    logarithm of the slope and of the intercept; an ``intercept_sd`` of 0 leaves it at 0.
    With ``clusters`` the likelihood is divided by its design effect.
    """
    x, y = np.asarray(scores, np.float64), np.asarray(labels)
    clusters = numbered_clusters(clusters)
    positives = int(np.sum(y))
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2))
    free = 2 if intercept_sd else 1
    precision = np.array([log_slope_sd**-2, intercept_sd**-2 if intercept_sd else 0.0])

    def loss(parameters: Vector, effect: float) -> tuple[float, Vector]:
        scaled = np.exp(parameters[0]) * x
        margin = offset + scaled + parameters[1]
        probability, softplus = logistic(margin)
        error, surprise = (probability - target) / effect, target * margin - softplus
        gradient = np.array([(error * scaled).sum(), error.sum()]) + precision * parameters
        penalty = 0.5 * (precision * parameters**2).sum()
        return float(penalty - surprise.sum() / effect), gradient

    def dependence(parameters: Vector) -> float:
        scaled = np.exp(parameters[0]) * x
        probability = expit(offset + scaled + parameters[1])
        slopes = np.stack([scaled, np.ones_like(x)], axis=1)[:, :free]
        varied = probability * (1 - probability)
        return likelihood_effect(slopes, target - probability, varied, precision[:free], clusters)

    bound = LLR_LIMIT if intercept_sd else 0.0
    optimum, effect = fitted_map(loss, dependence, [(-5.0, 5.0), (-bound, bound)])
    slope, intercept = float(np.exp(optimum[0])), float(optimum[1])
    note = f"calibrated on {_counted(len(x), effect)}: {slope:.3g} * score {intercept:+.3g}"
    return Calibration("platt", slope, intercept, note=note)


def fit_temperature(
    ratios: NDArray[np.floating],
    labels: NDArray[np.integer],
    offset: NDArray[np.float64],
    clusters: NDArray[np.integer] | None = None,
) -> Calibration:
    """One slope for the ratios ``[n, K]`` of all states."""
    z, rows = np.asarray(ratios, np.float64), np.arange(len(labels))
    clusters = numbered_clusters(clusters)
    precision = np.array([LOG_SLOPE_SD**-2])

    def scaled_and_mean(parameters: Vector) -> tuple[Vector, Vector, Vector]:
        scaled = np.exp(parameters[0]) * z
        log_probability = log_softmax(offset + scaled, axis=1)
        probability = np.exp(log_probability)
        mean = (probability * scaled).sum(axis=1)
        return (
            log_probability[rows, labels],
            scaled[rows, labels] - mean,
            (probability * (scaled - mean[:, None]) ** 2).sum(axis=1),
        )

    def loss(parameters: Vector, effect: float) -> tuple[float, Vector]:
        log_likelihood, error, _ = scaled_and_mean(parameters)
        gradient = precision * parameters - error.sum() / effect
        penalty = 0.5 * (precision * parameters**2).sum()
        return float(penalty - log_likelihood.sum() / effect), gradient

    def dependence(parameters: Vector) -> float:
        _, error, varied = scaled_and_mean(parameters)
        return likelihood_effect(np.ones((len(z), 1)), error, varied, precision, clusters)

    optimum, effect = fitted_map(loss, dependence, [(-5.0, 5.0)])
    slope = float(np.exp(optimum[0]))
    note = f"calibrated on {_counted(len(rows), effect)}: temperature {1 / slope:.3g}"
    return Calibration("temperature", slope, note=note)


def logistic(margin: Vector) -> tuple[Vector, Vector]:
    """Probabilities and ``log(1 + exp(margin))``, ``float64[n]`` each, from one exponential.

    >>> logistic(np.array([0.0]))
    (array([0.5]), array([0.69314718]))
    """
    small = np.exp(-np.abs(margin))
    probability = np.where(margin >= 0, 1.0, small) / (1 + small)
    return probability, np.maximum(margin, 0.0) + np.log1p(small)


def fitted_map(
    loss: Callable[[Vector, float], tuple[float, Vector]],
    dependence: Callable[[Vector], float],
    bounds: list[tuple[float, float]],
) -> tuple[Vector, float]:
    """The optimum of a loss whose likelihood is divided by its design effect at that optimum."""
    from scipy.optimize import minimize

    optimum, effect = np.zeros(len(bounds)), 1.0
    for _ in range(ROUNDS):
        found = minimize(loss, optimum, args=(effect,), jac=True, method="L-BFGS-B", bounds=bounds)
        optimum, before, effect = found.x, effect, dependence(found.x)
        if abs(effect - before) <= 0.01 * before:
            break
    return optimum, effect


def likelihood_effect(
    slopes: Vector,
    errors: Vector,
    varied: Vector,
    precision: Vector,
    clusters: NDArray[np.int64] | None,
) -> float:
    """Of a logistic likelihood, in closed form.

    Args:
        slopes: ``float64[n, f]``, of each row's margin by the parameters.
        errors: ``float64[n]``, label less expectation.
        varied: ``float64[n]``, variance of the label.
        precision: ``float64[f]``, of the priors.
        clusters: ``int64[n]``, from :func:`numbered_clusters`.
    """
    if clusters is None:
        return 1.0
    from knowreason.learning.design_effect import design_effect

    count, width = int(clusters.max(initial=-1)) + 1, slopes.shape[1]
    if count == len(clusters):
        return 1.0

    def by_cluster(values: Vector) -> Vector:
        return np.asarray(np.bincount(clusters, values, minlength=count), np.float64)

    scores = np.stack([by_cluster(errors * slopes[:, f]) for f in range(width)], axis=1)
    entries = [
        by_cluster(varied * slopes[:, f] * slopes[:, g]) for f in range(width) for g in range(width)
    ]
    information = np.stack(entries, axis=1).reshape(count, width, width)
    return design_effect(scores, information.sum(axis=0), precision, information)


def numbered_clusters(clusters: NDArray[np.integer] | None) -> NDArray[np.int64] | None:
    """The clusters (``int[n]``) numbered from 0, none left out."""
    if clusters is None:
        return None
    return np.asarray(np.unique(clusters, return_inverse=True)[1], np.int64)


def _counted(count: int, effect: float) -> str:
    alone = f" that count as {count / effect:.3g} independent ones" if effect > 1 else ""
    return f"{count} labels{alone}"


def fit_isotonic(
    scores: NDArray[np.floating], labels: NDArray[np.integer], offset: float = 0.0
) -> Calibration:
    """A monotone step function, half a positive and half a negative added to each step."""
    from sklearn.isotonic import IsotonicRegression

    x = np.asarray(scores, np.float64)
    order = np.argsort(x, kind="stable")
    fitted = IsotonicRegression().fit(x, labels).predict(x[order])
    _, step, count = np.unique(fitted, return_inverse=True, return_counts=True)
    share = (fitted * count[step] + 0.5) / (count[step] + 1.0)
    share = np.maximum.accumulate(share)
    knots, first = np.unique(x[order], return_index=True)
    log_odds = np.log(share / (1 - share))[first] - offset
    levels = np.clip(log_odds, -LLR_LIMIT, LLR_LIMIT)
    note = f"calibrated on {len(x)} labels: isotonic, {count.shape[0]} steps"
    return Calibration("isotonic", 1.0, 0.0, tuple(knots.tolist()), tuple(levels.tolist()), note)


def fit_scores(
    scores: NDArray[np.floating], labels: NDArray[np.integer], method: Method
) -> Calibration:
    """Log-odds from scores without a unit (higher is more likely), by labelled rows."""
    if method == "isotonic":
        return fit_isotonic(scores, labels)
    x = np.asarray(scores, np.float64)
    centre, scale = float(np.median(x)), float(x.std()) or 1.0
    share = (np.sum(labels) + 0.5) / (len(x) + 1.0)
    offset = float(np.log(share / (1 - share)))
    unit = fit_platt((x - centre) / scale, labels, offset, SCORE_LOG_SLOPE_SD, SCORE_INTERCEPT_SD)
    slope = unit.slope / scale
    note = f"calibrated on {len(x)} labels by Platt's method"
    return Calibration("platt", slope, offset + unit.intercept - slope * centre, note=note)


def fit_contamination(
    scores: NDArray[np.floating], contamination: float, separation: float | None = None
) -> Calibration:
    """Log-odds of unlabelled scores whose share of positives is assumed.

    Ranks become normal scores; positives and negatives are taken for two normal
    components of equal width, ``separation`` standard deviations apart, which makes
    log-odds linear in the normal score; the intercept makes their mean probability equal
    ``contamination``. ``separation`` is estimated from the gaps between the scores
    themselves when it is not given.

    Args:
        scores: ``float[n]``; NaN is left out.
        contamination: assumed share of positives, above 0 and at most one half.
        separation: assumed distance between the components.

    Raises:
        ModelError: KR830 for a contamination outside its range, KR831 for scores that are
            all alike.
    """
    if not 0 < contamination <= 0.5:
        raise ModelError(
            f"contamination is {contamination:g}; it is a share above 0 and at most 0.5",
            code="KR830",
        )
    x = np.asarray(scores, np.float64)
    x = x[~np.isnan(x)]
    if len(np.unique(x)) < 2:
        raise ModelError("all scores are alike: nothing can be said of them", code="KR831")
    gap = separation if separation is not None else _estimated_separation(x, contamination)
    from scipy.optimize import brentq
    from scipy.stats import rankdata

    normal = ndtri((rankdata(x) - 0.5) / len(x))
    intercept = brentq(lambda b: expit(gap * normal + b).mean() - contamination, -100, 100)
    knots, first = np.unique(x, return_index=True)
    levels = np.clip(gap * normal[first] + intercept, -LLR_LIMIT, LLR_LIMIT)
    origin = "assumed" if separation is not None else "estimated from the scores' gaps"
    note = (
        f"no labels: assumed that {contamination:.3g} of the scores are positives;"
        f" separation {gap:.2f} standard deviations ({origin}), an AUC of {ndtr(gap / 2**0.5):.2f}"
    )
    return Calibration(
        "contamination", 1.0, 0.0, tuple(knots.tolist()), tuple(levels.tolist()), note
    )


def fit_anomaly(
    scores: NDArray[np.floating],
    rows: PredicateRows,
    method: Method,
    contamination: float,
    separation: float | None = None,
    most: int | None = None,
) -> tuple[Calibration, float]:
    """Anomaly scores to log-odds: by the visible labels where there are both kinds, else by an
    assumed share of positives.

    Args:
        scores: ``float[n]`` of the rows, higher is likelier true; NaN where there is none.
        rows: of a predicate that is not functional.
        method: how scores meet labels.
        contamination, separation: see :func:`fit_contamination`.
        most: scores without labels that are looked at, evenly by rank; all by default.

    Returns:
        the map and the base rate.
    """
    labelled = rows.labelled[~np.isnan(scores[rows.labelled])]
    if len(np.unique(rows.labels[labelled])) == 2:
        return fit_scores(scores[labelled], rows.labels[labelled], method), float(rows.base_rate())
    present = scores[~np.isnan(scores)]
    if not len(present):
        return Calibration(note="no score to calibrate"), contamination
    if most is not None and len(present) > most:
        present = np.sort(present)[np.linspace(0, len(present) - 1, most).astype(np.int64)]
    return fit_contamination(present, contamination, separation), contamination


def calibrated(
    calibration: Mapping[str, Any],
    scores: NDArray[np.floating],
    rows: PredicateRows,
    base_rate: float | NDArray[np.float64],
) -> NDArray[np.float64]:
    """Log-odds by a stored map (:meth:`Calibration.to_values`); the base rate where a row has
    no score."""
    log_odds = Calibration.from_values(calibration)(scores)
    return np.where(np.isnan(log_odds), rows.constant(base_rate), log_odds)


def _estimated_separation(x: NDArray[np.float64], share: float, rounds: int = 100) -> float:
    """Distance of two equal-width normals with given shares, by EM on tamed scores."""
    low, centre, high = np.quantile(x, [0.25, 0.5, 0.75])
    z = np.arcsinh((x - centre) / (high - low if high > low else x.std()))
    upper = z >= np.quantile(z, 1 - share)
    belief = np.where(upper, 0.9, 0.1 * share)
    mean0 = mean1 = width = 0.0
    for _ in range(rounds):
        mean1 = float((belief * z).sum() / belief.sum())
        mean0 = float(((1 - belief) * z).sum() / (1 - belief).sum())
        spread = belief * (z - mean1) ** 2 + (1 - belief) * (z - mean0) ** 2
        width = max(float(np.sqrt(spread.mean())), 1e-6)
        distance = ((z - mean0) ** 2 - (z - mean1) ** 2) / (2 * width**2)
        belief = expit(distance + np.log(share / (1 - share)))
        if belief.sum() < 1e-9:
            break
    return float(np.clip((mean1 - mean0) / width, *SEPARATION_BOUNDS))
