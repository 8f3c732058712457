"""Sum of likelihood terms and priors, and its maximiser."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from knowreason.learning.priors import Coordinates
from knowreason.learning.problem import Record
from knowreason.progress import Progress as Progress

Vector = NDArray[np.float64]
NEWTON_STEPS = 8
LONGEST_STEP = 30.0  # of the logarithm of a scale, whose exponential has to stay a number


class LikelihoodTerm(Protocol):
    """A part of the log likelihood: ``theta`` (``float64[p]``) to value and gradient."""

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """Value and gradient (``float64[p]``)."""


@dataclass(frozen=True)
class Objective:
    """Log likelihood terms plus log prior, as a function of the free coordinates."""

    coordinates: Coordinates
    terms: tuple[LikelihoodTerm, ...]

    def log_likelihood(self, theta: Vector) -> tuple[float, Vector]:
        """Sum of the terms and its gradient, both at and in the graph's ``theta``."""
        value, gradient = 0.0, np.zeros(len(theta))
        for term in self.terms:
            term_value, slope = term(theta)
            value, gradient = value + term_value, gradient + slope
        return value, gradient

    def __call__(self, eta: Vector) -> tuple[float, Vector]:
        """Value and gradient (``float64[f]``) at ``eta`` (``float64[f]``)."""
        value, gradient = self.log_likelihood(self.coordinates.theta(eta))
        prior, slope = self.coordinates.log_prior(eta)
        return value + prior, self.coordinates.chain(eta, gradient) + slope


@dataclass(frozen=True)
class Optimum:
    """Where an optimiser ended.

    Attributes:
        eta: ``float64[f]``.
        value: objective there.
        gradient: ``float64[f]`` gradient there, not projected.
        iterations: steps made.
        converged: whether the projected gradient is within tolerance.
        history: ``step``, ``objective`` and ``gradient`` (greatest projected entry) a step.
    """

    eta: Vector
    value: float
    gradient: Vector
    iterations: int
    converged: bool
    history: tuple[Record, ...]


def maximise(
    objective: Objective,
    start: Vector,
    *,
    tolerance: float = 1e-3,
    max_iterations: int = 200,
    progress: Progress | None = None,
) -> Optimum:
    """Maximises by L-BFGS within bounds, from ``start`` (``float64[f]``).

    It ends when no entry of the projected gradient exceeds ``tolerance``: an estimate of
    standard error ``s`` is then within ``s * tolerance`` standard errors of the optimum.
    """
    low, high = objective.coordinates.bounds()
    start = np.clip(start, low, high)
    if start.size == 0:
        value, gradient = objective(start)
        return Optimum(start, value, gradient, 0, True, ())
    last = (0.0, np.zeros_like(start))
    history: list[Record] = []

    def negative(eta: Vector) -> tuple[float, Vector]:
        nonlocal last
        value, gradient = last = objective(eta)
        return -value, -gradient

    def record(eta: Vector) -> None:
        value, gradient = last
        size = float(np.abs(projected(eta, gradient, low, high)).max())
        history.append({"step": len(history) + 1, "objective": value, "gradient": size})
        if progress is not None:
            progress(len(history), max_iterations, f"gradient {size:.2g}")

    result = minimize(
        negative,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        callback=record,
        options={"maxiter": max_iterations, "gtol": tolerance, "ftol": 0.0, "maxcor": 20},
    )
    gradient = -np.asarray(result.jac, dtype=np.float64)
    size = float(np.abs(projected(result.x, gradient, low, high)).max())
    return Optimum(
        np.asarray(result.x, dtype=np.float64),
        -float(result.fun),
        gradient,
        int(result.nit),
        size <= 10 * tolerance,
        tuple(history),
    )


def polish(
    objective: Objective, optimum: Optimum, information: NDArray[np.float64], tolerance: float
) -> Optimum:
    """Projected Newton steps from near an optimum, on curvature worked out once.

    Args:
        objective: what is maximised.
        optimum: where another optimiser ended.
        information: ``float64[f, f]``, curvature near there.
        tolerance: greatest entry of the projected gradient wanted.

    Returns:
        The better point, or ``optimum`` itself where no step improves on it.
    """
    low, high = objective.coordinates.bounds()
    of_scales = objective.coordinates.log_normal
    for _ in range(NEWTON_STEPS):
        inward = projected(optimum.eta, optimum.gradient, low, high)
        size = float(np.abs(inward).max(initial=0.0))
        if size <= tolerance:
            return replace(optimum, converged=True)
        inside = inward != 0
        step = np.linalg.lstsq(information[np.ix_(inside, inside)], inward[inside])[0]
        longest = float(np.abs(step[of_scales[inside]]).max(initial=0.0))
        step *= LONGEST_STEP / max(LONGEST_STEP, longest)
        eta = optimum.eta.copy()
        eta[inside] += step
        eta = np.clip(eta, low, high)
        value, gradient = objective(eta)
        moved = float(np.abs(projected(eta, gradient, low, high)).max())
        if not (np.isfinite(value) and moved < 0.9 * size):
            break
        record = {"step": len(optimum.history) + 1, "objective": value, "gradient": moved}
        optimum = Optimum(
            eta, value, gradient, optimum.iterations + 1, False, (*optimum.history, record)
        )
    size = float(np.abs(projected(optimum.eta, optimum.gradient, low, high)).max(initial=0.0))
    return replace(optimum, converged=size <= 10 * tolerance)


def projected(eta: Vector, gradient: Vector, low: Vector, high: Vector) -> Vector:
    """``float64[f]``: the gradient (of ascent) with entries that leave the bounds at 0."""
    blocked = ((eta <= low) & (gradient < 0)) | ((eta >= high) & (gradient > 0))
    return np.where(blocked, 0.0, gradient)
