"""Weights as they would be without some of the labels, for honest comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from knowreason.factors import OPEN
from knowreason.learning.design_effect import DividedTerm
from knowreason.learning.estimators.exact_likelihood import exact_likelihood
from knowreason.learning.labelled_components import labelled_components
from knowreason.learning.objective import Objective, Optimum, polish
from knowreason.learning.priors import Coordinates
from knowreason.learning.problem import Fit, Problem
from knowreason.learning.standard_errors import inverse

Vector = NDArray[np.float64]
TOLERANCE = 1e-2  # of the projected gradient: a hundredth of a standard error


def without_folds(
    problem: Problem, fit: Fit, fold: NDArray[np.integer], refit: Callable[[Problem], Fit]
) -> list[Vector]:
    """``float64[p]`` a fold: the weights learned without its labels.

    Where the likelihood was exact, by Newton steps from the fit of all labels on its curvature;
    else, or where these do not arrive, by fitting again from there.

    Args:
        problem: what was learned from.
        fit: of all labels.
        fold: ``int[n]`` of each labelled atom, from 0; ``-1`` elsewhere.
        refit: learns a problem.
    """
    count = int(fold.max(initial=-1)) + 1
    if not fit.parameters.learned.any() or not fit.estimators:
        return [fit.theta] * count
    exact = all(report.estimator == "exact" for report in fit.estimators)
    start = replace(fit.parameters, start=fit.theta)
    found = []
    for one in range(count):
        labels = np.where(fold == one, OPEN, problem.labels).astype(np.int8)
        part = replace(problem, parameters=start, labels=labels, latent_rules=None)
        if not (labels != OPEN).any():
            found.append(problem.parameters.start)
        else:
            near = _by_newton(part, fit) if exact else None
            found.append(refit(part).theta if near is None else near)
    return found


def _by_newton(part: Problem, fit: Fit) -> Vector | None:
    """The weights, ``None`` where steps do not arrive: those of ``fit`` have seen the labels."""
    coordinates = Coordinates.of(fit.parameters, part.curve)
    labelled = labelled_components(part)
    term = DividedTerm(exact_likelihood(labelled), fit.design_effect)
    objective = Objective(coordinates, (term,))
    eta = coordinates.eta(fit.theta)
    slope = coordinates.slope(eta)
    free = coordinates.free
    covariance = fit.covariance[np.ix_(free, free)] / np.outer(slope, slope)
    value, gradient = objective(eta)
    here = Optimum(eta, value, gradient, 0, False, ())
    found = polish(objective, here, inverse(covariance), TOLERANCE)
    return coordinates.parameters(found.eta) if found.converged else None
