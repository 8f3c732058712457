"""Exact conditional likelihood of the labels, everything unlabelled summed out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from knowreason.errors import LearningError
from knowreason.inference.posterior import Posterior
from knowreason.learning.cluster_parameters import by_cluster
from knowreason.learning.design_effect import DividedTerm, clustered, design_effect
from knowreason.learning.estimators.log_partition import LogPartition
from knowreason.learning.fit import Solution, starts
from knowreason.learning.labelled_components import Labelled
from knowreason.learning.objective import Objective, Optimum, Progress, maximise, polish
from knowreason.learning.priors import Coordinates
from knowreason.learning.problem import Problem
from knowreason.learning.standard_errors import STEP, observed_information

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
SAMPLE_FROM = 20_000  # components from which a sample of them is fitted first
SAMPLE_SHARE = 0.1
MOST_SCORES = 10_000_000
MANY = 40  # parameters above which Newton steps cost more than they save
Engine = Callable[[Tensor], Posterior]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Likelihood:
    """``log Z(labels clamped) - log Z(free)`` and its gradient, the difference of features.

    Attributes:
        clamped, free: engines with ``log_z`` and ``expectations`` at a given ``theta``.
    """

    clamped: Engine
    free: Engine

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """Log likelihood of the labels and its gradient (``float64[p]``)."""
        at = torch.from_numpy(np.ascontiguousarray(theta, dtype=np.float64))
        with_labels, without = self.clamped(at), self.free(at)
        if with_labels.log_z is None or without.log_z is None:
            raise LearningError("the engine gives no partition function", code="KR853")
        return with_labels.log_z - without.log_z, _features(with_labels) - _features(without)


@dataclass(frozen=True)
class ExactLikelihood:
    """The likelihood of tractable components: as :class:`Likelihood`, equal components once.

    Attributes:
        clamped, free: log partition functions with and without the labels.
    """

    clamped: LogPartition
    free: LogPartition

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """Log likelihood of the labels and its gradient (``float64[p]``)."""
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        (given, with_labels), (log_z, without) = self.clamped(theta), self.free(theta)
        return given - log_z, with_labels - without


def exact_likelihood(labelled: Labelled) -> ExactLikelihood:
    """The likelihood of tractable components."""
    return ExactLikelihood(LogPartition.of(labelled.clamped), LogPartition.of(labelled.graph))


def cluster_scores(
    labelled: Labelled, groups: Ids | None = None, most: int = 0
) -> Callable[[Vector], Matrix]:
    """Gradient of each cluster's log likelihood, with the engines prepared once.

    Args:
        labelled: tractable components.
        groups: ``int64[n]``, group of every atom of the whole graph; components that share
            a group are one cluster. ``None``: each component is one.
        most: rows; where there are more clusters they share rows by turns. 0: as many as
            hold 10^7 figures.

    Returns:
        ``theta`` (``float64[p]``) to ``float64[c, p]``; rows add up to the gradient of
        :class:`Likelihood`.
    """
    cluster, size = labelled.component, len(labelled.graph.theta)
    if groups is not None:
        cluster = clustered(cluster, groups[labelled.atoms])
    cluster = cluster % max(2, most or MOST_SCORES // size)
    clusters = int(cluster.max(initial=-1)) + 1
    wide = by_cluster(labelled.graph, cluster, clusters)
    term = exact_likelihood(replace(labelled, graph=wide))
    return lambda theta: term(np.repeat(theta, clusters))[1].reshape(size, clusters).T


@dataclass(frozen=True)
class ExactSolutions:
    """The optimum from every start, and what labels owe to their clusters.

    Attributes:
        solutions: one a start.
        design_effect: what the log likelihood was divided by.
        clusters: of labels that depend on each other, 0 where they count as independent.
    """

    solutions: list[Solution]
    design_effect: float = 1.0
    clusters: int = 0


def exact_solutions(
    problem: Problem,
    labelled: Labelled | None,
    seed: int,
    tolerance: float,
    max_iterations: int,
    progress: Progress | None,
) -> ExactSolutions:
    """Fits tractable components from every start.

    L-BFGS until the projected gradient is small; where components are many and parameters few,
    on a sample of them, whose curvature tells the steps on all. So does the curvature at the best
    optimum where the likelihood is divided by a design effect.
    """
    coordinates = Coordinates.of(problem.parameters, problem.curve)
    terms = () if labelled is None else (exact_likelihood(labelled),)
    climb = _Climb(Objective(coordinates, terms), tolerance, max_iterations, progress)
    if labelled is not None and not climb.few:
        climb = replace(climb, together=labelled.together())
    sample = None if labelled is None or not climb.few else _sample(labelled, seed)
    ends: list[Optimum] = []
    if sample is None or labelled is None:
        ends = [climb.far(coordinates.eta(start)) for start in starts(problem, seed)]
    else:
        small = replace(climb, objective=Objective(coordinates, (exact_likelihood(sample),)))
        for start in starts(problem, seed):
            near = small.far(coordinates.eta(start))
            seen = observed_information(small.objective, near.eta, near.gradient)
            seen = _with_labels(seen, coordinates, labelled.count / sample.count)
            value, gradient = climb.objective(near.eta)
            ends.append(climb.near(replace(near, value=value, gradient=gradient), seen))
    solutions = climb.solutions(ends)
    if problem.clusters is None or labelled is None:
        return ExactSolutions(solutions)
    effect, count = _dependence(coordinates, labelled, problem.clusters, solutions)
    divided = tuple(DividedTerm(term, effect) for term in terms)
    climb = replace(climb, objective=Objective(coordinates, divided))
    fewer = _with_labels(solutions[0].information, coordinates, 1 / effect)
    again = [
        climb.near(_divided(coordinates, solution, effect), fewer)
        if climb.few
        else climb.far(solution.eta)
        for solution in solutions
    ]
    return ExactSolutions(climb.solutions(again), effect, count)


@dataclass(frozen=True)
class _Climb:
    """How an objective is maximised; see :func:`maximise`.

    Attributes:
        together: sparse ``[q, q]``: which parameters of the graph stand in one component, where
            they are many; ``None`` for all.
    """

    objective: Objective
    tolerance: float
    max_iterations: int
    progress: Progress | None
    together: csr_matrix | None = None

    @property
    def few(self) -> bool:
        """Whether parameters are few enough for steps on curvatures."""
        return len(self.objective.coordinates.free) <= MANY

    def far(self, eta: Vector) -> Optimum:
        """The optimum from any start."""
        return maximise(
            self.objective,
            eta,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            progress=self.progress,
        )

    def near(self, here: Optimum, curvature: Matrix) -> Optimum:
        """The optimum next to a point, with the curvature (``float64[f, f]``) near it."""
        given = here, curvature, self.tolerance, self.max_iterations, self.progress
        end = polish(self.objective, *given, rising=True)
        return end if end.converged else self.far(end.eta)

    def solutions(self, ends: list[Optimum]) -> list[Solution]:
        """The optima, polished on the observed information at the best, which they share."""
        best = max(ends, key=lambda end: end.value)
        tied = self.together
        if tied is not None:
            tied = self.objective.coordinates.tied(best.eta, tied)
        information = observed_information(self.objective, best.eta, best.gradient, tied)
        polished = (polish(self.objective, end, information, self.tolerance) for end in ends)
        return [_solution(self.objective, end, information) for end in polished]


def _with_labels(information: Matrix, coordinates: Coordinates, times: float) -> Matrix:
    """The curvature with so many times the labels (``float64[f, f]``)."""
    prior = np.diag(coordinates.precision())
    return (information - prior) * times + prior


def _divided(coordinates: Coordinates, solution: Solution, effect: float) -> Optimum:
    """Where a solution stands on the likelihood divided by a design effect."""
    prior, slope = coordinates.log_prior(solution.eta)
    value = solution.log_likelihood / effect + prior
    gradient = (solution.gradient - slope) / effect + slope
    return Optimum(solution.eta, value, gradient, 0, False, ())


def _dependence(
    coordinates: Coordinates, labelled: Labelled, groups: Ids, solutions: list[Solution]
) -> tuple[float, int]:
    """Design effect at the best solution and the number of clusters."""
    best = max(solutions, key=lambda solution: solution.goodness)
    low, high = coordinates.bounds()
    inside = np.flatnonzero((best.eta > low) & (best.eta < high))
    width = len(inside) if len(inside) <= MANY else 1

    of_theta = cluster_scores(
        labelled, groups, MOST_SCORES // max(1, width * len(labelled.graph.theta))
    )

    def scores(eta: Vector) -> Matrix:
        return coordinates.chain(eta, of_theta(coordinates.theta(eta)))[:, inside]

    here, precision = scores(best.eta), coordinates.precision()
    information = best.information - np.diag(precision)
    effect = design_effect(
        here,
        information[np.ix_(inside, inside)],
        precision[inside],
        _cluster_information(scores, best.eta, inside, here) if len(inside) <= MANY else None,
    )
    return effect, len(here)


def _cluster_information(
    scores: Callable[[Vector], Matrix], eta: Vector, inside: Ids, here: Matrix
) -> NDArray[np.float64]:
    """``float64[c, f, f]``: minus the Hessian of each cluster, by forward differences."""
    hessians = np.zeros((len(here), len(inside), len(inside)))
    for position, index in enumerate(inside):
        step = STEP * max(1.0, abs(float(eta[index])))
        ahead = eta.copy()
        ahead[index] += step
        hessians[:, position] = -(scores(ahead) - here) / step
    return (hessians + hessians.transpose(0, 2, 1)) / 2


def exact_solution(
    objective: Objective,
    start: Vector,
    tolerance: float,
    max_iterations: int,
    progress: Progress | None,
) -> Solution:
    """Maximises from ``start`` (``float64[p]``) and adds the observed information."""
    optimum = maximise(
        objective,
        objective.coordinates.eta(start),
        tolerance=tolerance,
        max_iterations=max_iterations,
        progress=progress,
    )
    information = observed_information(objective, optimum.eta, optimum.gradient)
    return _solution(objective, polish(objective, optimum, information, tolerance), information)


def _solution(objective: Objective, optimum: Optimum, information: Matrix) -> Solution:
    prior, _ = objective.coordinates.log_prior(optimum.eta)
    return Solution(
        eta=optimum.eta,
        objective=optimum.value,
        log_likelihood=optimum.value - prior,
        gradient=optimum.gradient,
        information=information,
        iterations=optimum.iterations,
        converged=optimum.converged,
        history=optimum.history,
    )


def _sample(labelled: Labelled, seed: int) -> Labelled | None:
    """A tenth of the components where they are many, else ``None``."""
    count = labelled.count
    if count < SAMPLE_FROM:
        return None
    drawn = np.random.default_rng([seed, 3]).random(count) < SAMPLE_SHARE
    return labelled.keep(drawn[labelled.component])


def _features(posterior: Posterior) -> Vector:
    if posterior.expectations is None:
        raise LearningError("the engine gives no expectations of features", code="KR853")
    return posterior.expectations.numpy().astype(np.float64)
