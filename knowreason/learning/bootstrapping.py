"""Bootstrap of the weights over components or groups of them: nearly free.

Each replicate reweights the clusters and takes one Newton step from the fit, with the
scores of the clusters worked out once (Kline & Santos 2012, "A score based approach to
wild bootstrap inference"). Where components are learned from sampled worlds there are no
independent clusters; replicates are then drawn from the fit's normal approximation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.errors import LearningError
from knowreason.learning.estimators.exact_likelihood import cluster_scores
from knowreason.learning.labelled_components import labelled_components, split
from knowreason.learning.priors import Coordinates
from knowreason.learning.problem import AT_BOUND, Fit, Problem

Vector = NDArray[np.float64]
FEW = 20  # clusters below which intervals are said to be rough


@dataclass(frozen=True)
class Bootstrap:
    """Bootstrap replicates of the parameters, and their percentile intervals.

    Attributes:
        theta: ``float64[b, p]``.
        lower, upper: ``float64[p]``, percentile interval of each parameter.
        level: its coverage.
        clusters: number of clusters resampled, 0 where replicates are normal draws.
        notes: what the user should know.

    Example:
        >>> theta = np.array([[0.5], [0.7]])
        >>> Bootstrap(theta, theta.min(0), theta.max(0), level=0.95, clusters=40).upper
        array([0.7])
    """

    theta: NDArray[np.float64]
    lower: Vector
    upper: Vector
    level: float
    clusters: int
    notes: tuple[str, ...] = ()


def bootstrap(
    problem: Problem,
    fit: Fit,
    *,
    groups: NDArray[np.int64] | None = None,
    replicates: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Bootstrap:
    """Replicates of the parameters: components, or groups of them, resampled, and a Newton step.

    Args:
        problem: what was learned.
        fit: what came out.
        groups: ``int64[n]``: group of each atom (a time slice, a customer); components that
            share a group are resampled together, and groups that share a component are one.
            ``None``: the clusters of the problem, or each component on its own.
        replicates: number of replicates.
        level: coverage of the intervals.
        seed: of the resampling.

    Raises:
        LearningError: KR857 where the fit came without errors (method `knowgraph`).

    Example:
        >>> from knowreason import ground, learn
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8)
        >>> grounding = ground(data.program, data)
        >>> problem = Problem(grounding.graph, grounding.parameters, grounding.labels)
        >>> bootstrap(problem, learn(problem), replicates=50).theta.shape
        (50, 11)
    """
    if not np.isfinite(fit.covariance).all():
        raise LearningError(
            "the method gave no standard errors, so there is nothing to resample from",
            code="KR857",
            help="use method `variational_em`, or leave `bootstrap` at 0",
        )
    rng = np.random.default_rng([seed, 7])
    labelled = labelled_components(problem)
    parts = split(labelled) if len(labelled.evidence) else None
    coordinates = Coordinates.of(problem.parameters, problem.curve)
    if parts is None or parts.large is not None or parts.tractable is None:
        theta = _normal(coordinates, fit, replicates, rng)
        return _summary(theta, level, 0, ("replicates are draws from the normal approximation",))
    groups = problem.clusters if groups is None else groups
    theta = coordinates.theta(coordinates.eta(fit.theta))
    scores = cluster_scores(parts.tractable, groups)(theta) / fit.design_effect
    theta = _reweighted(coordinates, fit, scores, replicates, rng)
    notes = (f"only {len(scores)} clusters: intervals are rough",) if len(scores) < FEW else ()
    return _summary(theta, level, len(scores), notes)


def _reweighted(
    coordinates: Coordinates,
    fit: Fit,
    scores: Vector,
    replicates: int,
    rng: np.random.Generator,
) -> Vector:
    clusters = len(scores)
    weight = rng.multinomial(clusters, np.full(clusters, 1.0 / clusters), size=replicates)
    eta = coordinates.eta(fit.theta)
    slope = coordinates.slope(eta)
    free = coordinates.free
    bread = fit.covariance[np.ix_(free, free)] / np.outer(slope, slope)
    bread = bread * np.outer(_inside(coordinates, fit), _inside(coordinates, fit))
    step = (weight - 1.0) @ coordinates.chain(eta, scores) @ bread
    return _within(coordinates, eta + step)


def _normal(
    coordinates: Coordinates, fit: Fit, replicates: int, rng: np.random.Generator
) -> Vector:
    eta = coordinates.eta(fit.theta)
    slope = coordinates.slope(eta)
    free = coordinates.free
    covariance = fit.covariance[np.ix_(free, free)] / np.outer(slope, slope)
    draws = rng.multivariate_normal(np.zeros(len(eta)), covariance, size=replicates, method="eigh")
    return _within(coordinates, eta + draws)


def _within(coordinates: Coordinates, eta: Vector) -> Vector:
    low, high = coordinates.bounds()
    return np.stack([coordinates.parameters(row) for row in np.clip(eta, low, high)])


def _inside(coordinates: Coordinates, fit: Fit) -> NDArray[np.float64]:
    """``float64[f]``: 0 for a parameter held by its bound."""
    held = [fit.status[index] == AT_BOUND for index in coordinates.free]
    return 1.0 - np.array(held, dtype=np.float64)


def _summary(theta: Vector, level: float, clusters: int, notes: tuple[str, ...]) -> Bootstrap:
    tail = (1.0 - level) / 2
    lower, upper = np.quantile(theta, [tail, 1.0 - tail], axis=0)
    return Bootstrap(theta, lower, upper, level, clusters, notes)
