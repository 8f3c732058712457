"""Sum of likelihood terms and priors, and its maximiser."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

from knowreason.learning.priors import Coordinates
from knowreason.learning.problem import Record
from knowreason.progress import Progress as Progress

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
NEWTON_STEPS = 8
HALVINGS = 8  # of a step, before it is given up
RISE = 1e-4  # share of what the gradient promises that a step has to bring
ROUNDING = 1e-12  # of the objective
FLAT = 1e-10  # share of the greatest curvature below which there is none
DAMPED = 0.2  # of the curvature that was known along a step: less is not believed
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
    objective: Objective,
    optimum: Optimum,
    information: Matrix,
    tolerance: float,
    max_iterations: int = NEWTON_STEPS,
    progress: Progress | None = None,
    *,
    rising: bool = False,
) -> Optimum:
    """Projected Newton steps from a point, on the curvature there or near there.

    Args:
        objective: what is maximised.
        optimum: where to begin; often where another optimiser ended.
        information: ``float64[f, f]``, curvature near there.
        tolerance: greatest entry of the projected gradient wanted.
        max_iterations: steps at most.
        progress: called as ``progress(step, total, note)``.
        rising: quasi-Newton steps, as short as need be to raise the objective (Armijo 1966), and
            the curvature mended by what gradients say on the way (damped BFGS: Nocedal & Wright
            2006, procedure 18.2). Else whole steps that make the gradient smaller: an objective
            that jumps, as that of belief propagation does, rises where it should not be.

    Returns:
        The better point, or ``optimum`` itself where no step improves on it.
    """
    low, high = objective.coordinates.bounds()
    curvature = information
    for _ in range(max_iterations):
        size = float(np.abs(projected(optimum.eta, optimum.gradient, low, high)).max(initial=0.0))
        if size <= tolerance:
            return replace(optimum, converged=True)
        reached = _stepped(objective, optimum, curvature, size, rising)
        if reached is None:
            break
        if progress is not None:
            note = f"gradient {reached.history[-1]['gradient']:.2g}"
            progress(len(reached.history), max_iterations, note)
        if rising:
            moved, bent = reached.eta - optimum.eta, optimum.gradient - reached.gradient
            curvature = _mended(curvature, moved, bent)
        optimum = reached
    size = float(np.abs(projected(optimum.eta, optimum.gradient, low, high)).max(initial=0.0))
    return replace(optimum, converged=size <= 10 * tolerance)


def _stepped(
    objective: Objective, optimum: Optimum, curvature: Matrix, size: float, rising: bool
) -> Optimum | None:
    """The next point; ``None`` where none is better."""
    low, high = objective.coordinates.bounds()
    step = _newton_step(curvature, optimum, low, high, rising)
    longest = float(np.abs(step[objective.coordinates.log_normal]).max(initial=0.0))
    share = LONGEST_STEP / max(LONGEST_STEP, longest)
    for _ in range(HALVINGS if rising else 1):
        eta = np.clip(optimum.eta + share * step, low, high)
        expected = float(optimum.gradient @ (eta - optimum.eta))
        value, gradient = objective(eta)
        moved = float(np.abs(projected(eta, gradient, low, high)).max())
        rise, smaller = value - optimum.value, moved < 0.9 * size
        level = abs(rise) <= ROUNDING * abs(value)  # no digits left to tell
        good = rise >= RISE * expected or (level and smaller) if rising else smaller
        if np.isfinite(value) and good:
            record = {"step": len(optimum.history) + 1, "objective": value, "gradient": moved}
            history = (*optimum.history, record)
            return Optimum(eta, value, gradient, optimum.iterations + 1, False, history)
        parabola = 0.5 * expected / (expected - rise) if np.isfinite(rise) else 0.0
        share *= float(np.clip(parabola, 0.1, 0.5))
    return None


def _newton_step(
    curvature: Matrix, optimum: Optimum, low: Vector, high: Vector, rising: bool
) -> Vector:
    """``float64[f]``: to the maximum of the parabola; where it is to rise, within bounds, as far as
    holding what would leave them at its bound one after another finds it."""
    eta, gradient = optimum.eta, optimum.gradient
    inside = projected(eta, gradient, low, high) != 0
    step = np.zeros_like(eta)
    while inside.any():
        left = (gradient - curvature @ np.where(inside, 0.0, step))[inside]
        step[inside] = _direction(curvature[np.ix_(inside, inside)], left, rising)
        beyond = inside & ((eta + step < low) | (eta + step > high))
        if not (rising and beyond.any()):
            break
        step[beyond] = np.clip(eta + step, low, high)[beyond] - eta[beyond]
        inside &= ~beyond
    return step


def _direction(curvature: Matrix, gradient: Vector, rising: bool) -> Vector:
    """Newton's step; where it is to rise, none along flat directions, and along those that curve
    the wrong way as far as if they curved rightly."""
    if not rising:
        return np.asarray(np.linalg.lstsq(curvature, gradient)[0], np.float64)
    try:
        return np.asarray(cho_solve(cho_factor(curvature), gradient), np.float64)
    except LinAlgError:
        values, vectors = np.linalg.eigh(curvature)
        size = np.abs(values)
        curved = size > FLAT * size.max(initial=0.0)
        along = vectors[:, curved]
        return np.asarray(along @ ((gradient @ along) / size[curved]), np.float64)


def _mended(curvature: Matrix, moved: Vector, bent: Vector) -> Matrix:
    """The curvature (BFGS), which gradients bent by ``bent`` over a step show to be another along
    it; damped, so that it stays that of a maximum."""
    known = curvature @ moved
    along, seen = float(moved @ known), float(moved @ bent)
    if along <= 0:
        return curvature
    if seen < DAMPED * along:
        part = (1 - DAMPED) * along / (along - seen)
        bent = part * bent + (1 - part) * known
        seen = float(moved @ bent)
    mended: Matrix = curvature - np.outer(known, known) / along + np.outer(bent, bent) / seen
    return mended


def projected(eta: Vector, gradient: Vector, low: Vector, high: Vector) -> Vector:
    """``float64[f]``: the gradient (of ascent) with entries that leave the bounds at 0."""
    blocked = ((eta <= low) & (gradient < 0)) | ((eta >= high) & (gradient > 0))
    return np.where(blocked, 0.0, gradient)
