"""Exact conditional likelihood of the labels, everything unlabelled summed out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import LearningError
from knowreason.infer.posterior import Posterior
from knowreason.learn.expand import by_cluster
from knowreason.learn.fit import Solution, starts, summarise
from knowreason.learn.objective import Objective, Progress, maximise
from knowreason.learn.parts import Labelled, engines, labelled_components, split
from knowreason.learn.priors import Coordinates
from knowreason.learn.problem import Fit, Problem
from knowreason.learn.standard_errors import observed_information

Vector = NDArray[np.float64]
Engine = Callable[[Tensor], Posterior]


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


def exact_likelihood(labelled: Labelled) -> Likelihood:
    """The likelihood of tractable components."""
    return Likelihood(*engines(labelled))


def component_scores(labelled: Labelled, theta: Vector) -> Vector:
    """Gradient of each component's log likelihood.

    Args:
        labelled: tractable components.
        theta: ``float64[p]``.

    Returns:
        ``float64[c, p]``; rows add up to the gradient of :class:`Likelihood`.
    """
    cluster, clusters = labelled.component, int(labelled.component.max(initial=-1)) + 1
    wide = by_cluster(labelled.graph, cluster, clusters)
    term = exact_likelihood(replace(labelled, graph=wide))
    return term(np.repeat(theta, clusters))[1].reshape(len(theta), clusters).T


def likelihood(
    problem: Problem,
    *,
    seed: int = 0,
    posterior: str = "auto",
    progress: Progress | None = None,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
) -> Fit:
    """Maximum of the exact conditional likelihood and the priors, by L-BFGS.

    Raises:
        LearningError: KR853 where a labelled component is too large for exact inference.
    """
    parts = split(labelled_components(problem))
    if parts.large is not None:
        atoms = len(parts.large.evidence)
        raise LearningError(
            f"{atoms} atoms lie in components too large for the exact likelihood",
            code="KR853",
            help="use method `variational_em` or `pseudo_likelihood`",
        )
    coordinates = Coordinates.of(problem.parameters)
    terms = () if parts.tractable is None else (exact_likelihood(parts.tractable),)
    objective = Objective(coordinates, terms)
    solutions = [
        exact_solution(objective, start, tolerance, max_iterations, progress)
        for start in starts(problem, seed)
    ]
    return summarise(problem, solutions)


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
    prior, _ = objective.coordinates.log_prior(optimum.eta)
    return Solution(
        eta=optimum.eta,
        objective=optimum.value,
        log_likelihood=optimum.value - prior,
        gradient=optimum.gradient,
        information=observed_information(objective, optimum.eta),
        iterations=optimum.iterations,
        converged=optimum.converged,
        history=optimum.history,
    )


def _features(posterior: Posterior) -> Vector:
    if posterior.expectations is None:
        raise LearningError("the engine gives no expectations of features", code="KR853")
    return posterior.expectations.numpy().astype(np.float64)
