"""Whether expected features with labels and without agree at a fit, and going on where not.

At the maximum of the likelihood ``E[f | labels] - E[f]`` balances the priors, for every
weight. Fits of stand-ins for the likelihood (pseudo-likelihood, composite likelihood, steps
of a few batches) need not be there at strong couplings. Source: Younes 1988; Robbins &
Monro 1951; Polyak & Juditsky 1992.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from knowreason.learning.estimators.chains import (
    ChainSchedule,
    FeatureChains,
    GradientEstimate,
    feature_chains,
    gradient_estimate,
)
from knowreason.learning.estimators.sampled_worlds import exact_information
from knowreason.learning.fit import Solution
from knowreason.learning.labelled_components import Labelled
from knowreason.learning.objective import Objective, projected
from knowreason.learning.standard_errors import at_least

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
APART = 1.0  # standard errors, beyond three Monte-Carlo errors
FULL_STEPS = 6  # before gains fall
BATCHES = 20
SMOOTHED = 4  # batches over which curvature is averaged


def matched(
    objective: Objective,
    labelled: Labelled,
    solution: Solution,
    *,
    seed: int,
    plan: ChainSchedule | None = None,
) -> Solution:
    """The solution itself where moments match; else where their gradient leads.

    Args:
        objective: exact terms and priors.
        labelled: the components whose moments are compared.
        solution: a fit of them.
        seed: of the chains.
        plan: how long they run a batch.

    Returns:
        a solution that says so where it was moved, and is not converged where moments do
        not match at its end either.
    """
    plan = plan or ChainSchedule()
    exact = exact_information(objective, solution.eta)
    sides = feature_chains(labelled, objective.coordinates.theta(solution.eta), seed, plan)
    first = gradient_estimate(objective, sides, solution.eta, exact, plan)
    gap = moment_gaps(objective, first)
    if not (gap > APART).any():
        return solution
    batches = _ascent(objective, sides, first, exact, plan)
    kept = batches[len(batches) // 2 :]
    eta = np.mean([batch.eta for batch in kept], axis=0)
    end = gradient_estimate(objective, sides, eta, exact, plan)
    kept.append(end)
    prior = np.diag(objective.coordinates.precision())
    information = at_least(np.mean([batch.information for batch in kept], axis=0), prior, 1.0)
    bread = np.linalg.inv(information)
    noise = np.sum([batch.error for batch in kept], axis=0) / len(kept) ** 2
    names = objective.coordinates.table.names
    worst = names[objective.coordinates.free[int(gap.argmax())]]
    notes = [
        f"moments did not match at the first estimate (`{worst}`: expected features with labels "
        f"and without were {gap.max():.1f} standard errors apart): it was moved until they did"
    ]
    left = moment_gaps(objective, end)
    if (left > APART).any():
        worst = names[objective.coordinates.free[int(left.argmax())]]
        notes = [f"moments do not match (`{worst}`): the estimate is not to be relied on"]
    return replace(
        solution,
        eta=eta,
        gradient=end.gradient,
        information=information,
        iterations=solution.iterations + len(batches),
        converged=not (left > APART).any(),
        covariance=bread + bread @ noise @ bread.T,
        notes=(*solution.notes, *notes),
        drawn=False,
    )


def moment_gaps(objective: Objective, batch: GradientEstimate) -> Vector:
    """``float64[f]``: how far a Newton step would go, in standard errors.

    Three Monte-Carlo errors are taken off; it is 0 where a bound holds a weight.
    """
    low, high = objective.coordinates.bounds()
    inside = projected(batch.eta, batch.gradient, low, high) != 0
    gaps = np.zeros_like(batch.eta)
    prior = np.diag(objective.coordinates.precision()[inside])
    bread = np.linalg.inv(at_least(batch.information[np.ix_(inside, inside)], prior, 1.0))
    noise = np.sqrt(np.diag(bread @ batch.error[np.ix_(inside, inside)] @ bread.T))
    beyond = np.abs(bread @ batch.gradient[inside]) - 3 * noise
    gaps[inside] = np.maximum(beyond, 0.0) / np.sqrt(np.diag(bread))
    return gaps


def _ascent(
    objective: Objective,
    sides: list[FeatureChains],
    batch: GradientEstimate,
    exact: Matrix,
    plan: ChainSchedule,
) -> list[GradientEstimate]:
    """Steps of at most a deviation on the curvature of free worlds, then of falling gain."""
    low, high = objective.coordinates.bounds()
    batches = [batch]
    for step in range(BATCHES):
        curvature = np.mean([one.complete for one in batches[-SMOOTHED:]], axis=0)
        gain = max(1, step - FULL_STEPS + 1) ** -0.7
        inside = projected(batch.eta, batch.gradient, low, high) != 0
        move = np.zeros_like(batch.eta)
        inner = curvature[np.ix_(inside, inside)]
        move[inside] = np.linalg.solve(inner, batch.gradient[inside])
        length = float(np.sqrt(max(move @ curvature @ move, 1e-300)))
        eta = np.clip(batch.eta + gain * min(1.0, 1.0 / length) * move, low, high)
        batch = gradient_estimate(objective, sides, eta, exact, plan)
        batches.append(batch)
    return batches
