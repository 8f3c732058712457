"""The share of true atoms among unlabelled ones, from models' scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit

from knowreason.models.base.calibration import INTERCEPT_SD, LOG_SLOPE_SD

Vector = NDArray[np.float64]
GRID = np.linspace(-10.0, 10.0, 161)  # log-odds of prevalences that are weighed
SLOPES = np.linspace(-1.2, 1.2, 9)  # logarithms of slopes of ratios that are weighed
BINS, HALVINGS = 400, 40  # of unlabelled ratios; of the search for an intercept


def estimated_prevalence(
    unlabelled: Vector, labelled: Vector, truth: NDArray[np.bool_], share: float
) -> tuple[float, float, float]:
    """Share of true atoms among unlabelled ones, and the ends of a 95 % interval.

    EM takes ratios at their word: its fixed point is ``p = mean(expit(logit(p) + ratio))``
    (Saerens, Latinne & Decaestecker 2002), and a ratio that is off by half a unit moves it by
    several times itself. So here each ``p`` is weighed by how well labels put up with the
    intercept of ``ratio = slope * score + intercept`` of which it is the fixed point (the
    exponential tilt of Anderson 1979 and Qin 1999), slope and intercept with the priors of a
    calibration, ``p`` with that of Jeffreys: the median, and what holds 95 %.

    Args:
        unlabelled: ``float64[n]`` log-likelihood ratios.
        labelled: ``float64[m]`` ratios of atoms whose truth is known, out of fold.
        truth: ``bool[m]``, both kinds.
        share: of true ones among the labels.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def ratios(true):  # two normal distributions, two standard deviations apart
        ...     return 2 * (rng.standard_normal(len(true)) + np.where(true, 1, -1))
        >>> truth, known = rng.random(20_000) < 0.05, np.arange(400) < 200
        >>> found = estimated_prevalence(ratios(truth), ratios(known), known, 0.5)
        >>> [round(share, 2) for share in found]
        [0.05, 0.01, 0.11]
    """
    count, edges = np.histogram(unlabelled, BINS)
    score = np.histogram(unlabelled, edges, weights=unlabelled)[0][count > 0] / count[count > 0]
    part = count[count > 0] / count.sum()
    slope, p = np.exp(SLOPES)[:, None], expit(GRID)
    tilted = slope[:, :, None] * score
    low, high = np.full((len(SLOPES), len(GRID)), -40.0), np.full((len(SLOPES), len(GRID)), 40.0)
    for _ in range(HALVINGS):
        intercept = (low + high) / 2
        excess = np.expm1(np.minimum(tilted + intercept[:, :, None], 40.0))
        above = (excess / (1 + p[:, None] * excess)) @ part > 0  # of the fixed point
        low, high = np.where(above, low, intercept), np.where(above, intercept, high)
    margin = logit(share) + intercept[:, :, None] + slope[:, :, None] * labelled
    fits = log_expit(np.where(truth, margin, -margin)).sum(axis=2)
    fits -= 0.5 * ((SLOPES / LOG_SLOPE_SD) ** 2)[:, None] + 0.5 * (intercept / INTERCEPT_SD) ** 2
    weight = np.exp(fits - fits.max()).sum(axis=0) * np.sqrt(p * (1 - p))
    below = (np.cumsum(weight) - weight / 2) / weight.sum()
    middle, least, most = expit(np.interp([0.5, 0.025, 0.975], below, GRID))
    return float(middle), float(least), float(most)
