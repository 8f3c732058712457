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
from knowreason.learning.objective import LikelihoodTerm, Objective, Optimum, polish
from knowreason.learning.priors import Coordinates
from knowreason.learning.problem import Fit, Problem
from knowreason.learning.standard_errors import inverse

Vector = NDArray[np.float64]
TOLERANCE = 1e-2  # of the projected gradient: a hundredth of a standard error
STEPS = 40  # of a fold, before all is learned again
Terms = dict[int, LikelihoodTerm]


def without_folds(
    problem: Problem,
    fit: Fit,
    fold: NDArray[np.integer],
    refit: Callable[[Problem], Fit],
    terms: Terms | None = None,
) -> list[Vector]:
    """``float64[p]`` a fold: the weights learned without its labels.

    Where the likelihood was exact, by quasi-Newton steps from the fit of all labels on its
    curvature; else, or where these do not arrive, by fitting again from there.

    Args:
        problem: what was learned from.
        fit: of all labels.
        fold: ``int[n]`` of each labelled atom, from 0; ``-1`` elsewhere.
        refit: learns a problem.
        terms: likelihoods without each fold, which are added to it: for another fit of the same
            graph and labels.
    """
    terms = {} if terms is None else terms
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
            near = None
            if exact:
                if one not in terms:
                    terms[one] = exact_likelihood(labelled_components(part))
                near = _by_newton(part, fit, terms[one])
            found.append(refit(part).theta if near is None else near)
    return found


def _by_newton(part: Problem, fit: Fit, likelihood: LikelihoodTerm) -> Vector | None:
    """The weights, ``None`` where steps do not arrive: those of ``fit`` have seen the labels."""
    coordinates = Coordinates.of(fit.parameters, part.curve)
    objective = Objective(coordinates, (DividedTerm(likelihood, fit.design_effect),))
    eta = coordinates.eta(fit.theta)
    slope = coordinates.slope(eta)
    free = coordinates.free
    covariance = fit.covariance[np.ix_(free, free)] / np.outer(slope, slope)
    value, gradient = objective(eta)
    here = Optimum(eta, value, gradient, 0, False, ())
    found = polish(objective, here, inverse(covariance), TOLERANCE, STEPS, rising=True)
    return coordinates.parameters(found.eta) if found.converged else None
