"""From where an optimiser ended to a :class:`Fit`: errors, statuses, words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from knowreason.diagnostics import Diagnostic
from knowreason.learning.objective import projected
from knowreason.learning.priors import Coordinates, start_values
from knowreason.learning.problem import (
    AT_BOUND,
    BY_PRIOR,
    GIVEN,
    LEARNED,
    SAID_NOTHING,
    Fit,
    Problem,
    Record,
)
from knowreason.learning.standard_errors import edge_deviation, inverse, without_curvature

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
STARTS = 3  # for rules with a latent predicate
NOTHING = 0.9  # of the prior's standard deviation left: the data said nothing
PRIOR = 0.7  # of it left: set by the prior
MOST_NAMES = 3  # listed in a sentence


@dataclass(frozen=True)
class Solution:
    """Where one start ended, in free coordinates ``eta`` (``float64[f]``).

    Attributes:
        eta: the optimum.
        objective: log likelihood plus log prior.
        log_likelihood: without the prior.
        gradient: ``float64[f]`` of the objective.
        information: ``float64[f, f]`` curvature of the objective, priors included.
        iterations, converged, history: see :class:`Fit`.
        covariance: ``float64[f, f]`` where it is not the inverse of ``information``.
        notes: what the user should know.
        rank: what to choose among starts by, ``objective`` where it is ``None`` (mean
            pseudo-likelihoods of worlds drawn at different weights do not compare).
        drawn: whether it was estimated from drawn worlds, and so maximises no posterior.
    """

    eta: Vector
    objective: float
    log_likelihood: float
    gradient: Vector
    information: Matrix
    iterations: int
    converged: bool
    history: tuple[Record, ...] = ()
    covariance: Matrix | None = None
    notes: tuple[str, ...] = field(default=())
    rank: float | None = None
    drawn: bool = False

    @property
    def goodness(self) -> float:
        """What to choose among starts by."""
        return self.objective if self.rank is None else self.rank


def starts(problem: Problem, seed: int) -> list[Vector]:
    """``float64[p]`` starting points: one, or three where rules hold a latent predicate.

    The first has every parameter at its start; the others move the parameters of rules
    with a latent predicate by a prior standard deviation or so.
    """
    first = start_values(problem)
    latent = problem.latent
    if not latent.any():
        return [first]
    rng = np.random.default_rng([seed, 1])
    table = problem.parameters
    sd = np.where(np.isfinite(table.prior_sd), table.prior_sd, 2.0)
    others = []
    for _ in range(STARTS - 1):
        moved = first + np.where(latent, sd * rng.standard_normal(len(first)), 0.0)
        others.append(np.clip(moved, table.lower, table.upper))
    return [first, *others]


def prior_fit(problem: Problem, note: str) -> Fit:
    """Every weight at its start: what a problem without labels gets; flat priors, no error."""
    table = problem.parameters
    deviation = _prior_deviation(problem)
    flat = table.learned & ~np.isfinite(deviation)
    deviation[flat] = np.nan
    status = np.where(flat, SAID_NOTHING, np.where(table.learned, BY_PRIOR, GIVEN))
    return Fit(
        theta=start_values(problem),
        standard_errors=deviation,
        status=tuple(status.tolist()),
        objective=0.0,
        log_likelihood=0.0,
        iterations=0,
        converged=True,
        history=(),
        parameters=table,
        covariance=np.diag(np.square(deviation)),
        spread=np.zeros(len(table)),
        notes=(note,),
    )


def summarise(problem: Problem, solutions: list[Solution]) -> Fit:
    """The best of several solutions, with standard errors, statuses and the spread."""
    best = max(solutions, key=lambda solution: solution.goodness)
    coordinates = Coordinates.of(problem.parameters)
    ends = np.stack([coordinates.parameters(solution.eta) for solution in solutions])
    edge = _at_bound(coordinates, best)
    if best.drawn and not best.converged:
        edge[:] = False  # nothing pushes for sure
    others = _other_optima(best, solutions)
    covariance = _covariance(best, edge)
    if best.drawn:
        best, covariance = _unsaid_to_prior(coordinates, best, covariance, ~edge)
    covariance = covariance + others
    apart = _apart(others, covariance)
    names = [problem.parameters.names[i] for i in coordinates.free[apart]]
    slope = coordinates.slope(best.eta)
    p, free = len(problem.parameters), coordinates.free
    whole = np.zeros((p, p))
    whole[np.ix_(free, free)] = covariance * np.outer(slope, slope)
    errors = np.sqrt(np.diag(whole))
    unseen = ~edge & without_curvature(best.information)
    errors[free[unseen]] = np.nan
    status = _statuses(coordinates, best.eta, np.sqrt(np.diag(covariance)), edge, unseen)
    return Fit(
        theta=coordinates.parameters(best.eta),
        standard_errors=errors,
        status=status,
        objective=best.objective,
        log_likelihood=best.log_likelihood,
        iterations=best.iterations,
        converged=best.converged and not names,
        history=best.history,
        parameters=problem.parameters,
        covariance=whole,
        spread=np.ptp(ends, axis=0),
        notes=best.notes + _start_notes(problem, np.ptp(ends, axis=0), len(solutions)),
        findings=_starts_apart(names, len(solutions)),
    )


def weight_lines(fit: Fit) -> tuple[str, ...]:
    """A line a parameter, prior → posterior: ``pivot: 2.00 ± 1.50 → 1.37 ± 0.12 (learned)``.

    Example:
        >>> from knowreason import Reasoner
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=8)
        >>> fit = Reasoner(data.program).fit(data).fit_
        >>> weight_lines(fit)[0]
        'bias Bad: 0.00 ± 2.00 → -0.84 ± 0.96 (learned)'
    """
    lines = []
    for index, name in enumerate(fit.parameters.names):
        if fit.parameters.kinds[index] == "fixed":
            continue
        prior = _prior_text(fit, index)
        here = f"{fit.theta[index]:.2f}"
        if fit.status[index] != GIVEN:
            error = fit.standard_errors[index]
            here = f"{prior} → {here}" + (f" ± {error:.2f}" if np.isfinite(error) else "")
        lines.append(f"{name}: {here} ({fit.status[index]})")
    return tuple(lines)


def _prior_text(fit: Fit, index: int) -> str:
    table = fit.parameters
    mean, sd = float(table.prior_mean[index]), float(table.prior_sd[index])
    if not np.isfinite(sd):
        return "unknown"
    if table.log_normal[index]:
        return f"{np.exp(mean):.2f} ×÷ {np.exp(sd):.2f}"
    return f"{mean:.2f} ± {sd:.2f}"


def _at_bound(coordinates: Coordinates, solution: Solution) -> NDArray[np.bool_]:
    """``bool[f]``: at a bound and pushed against it."""
    low, high = coordinates.bounds()
    inward = projected(solution.eta, solution.gradient, low, high)
    pushed: NDArray[np.bool_] = (
        (inward == 0) & (solution.gradient != 0) & ((solution.eta <= low) | (solution.eta >= high))
    )
    return pushed


def _covariance(solution: Solution, edge: NDArray[np.bool_]) -> Matrix:
    """Of ``eta``; parameters at a bound stand alone, with the spread of a cut-off tail."""
    inside = ~edge
    covariance = np.zeros_like(solution.information)
    if solution.covariance is not None:
        covariance[np.ix_(inside, inside)] = solution.covariance[np.ix_(inside, inside)]
    else:
        covariance[np.ix_(inside, inside)] = inverse(solution.information[np.ix_(inside, inside)])
    for index in np.flatnonzero(edge):
        slope, curvature = abs(solution.gradient[index]), solution.information[index, index]
        covariance[index, index] = edge_deviation(float(slope), float(curvature)) ** 2
    return covariance


def _unsaid_to_prior(
    coordinates: Coordinates, solution: Solution, covariance: Matrix, inside: NDArray[np.bool_]
) -> tuple[Solution, Matrix]:
    """What labels say less about than the prior does is left to the prior.

    Sampled estimates maximise no posterior, and where labels are few they can end anywhere.
    In each direction whose variance is ``v`` times the prior's, labels add ``1/v - 1`` times
    the prior's precision; below 1 the estimate moves to the prior mean by what is missing.
    """
    precision = coordinates.precision()
    informed = np.flatnonzero(inside & (precision > 0) & np.isfinite(precision))
    if not informed.size:
        return solution, covariance
    root = np.sqrt(precision[informed])
    share, turn = np.linalg.eigh(covariance[np.ix_(informed, informed)] * np.outer(root, root))
    share_of_labels = np.clip(1 / np.maximum(share, 1e-12) - 1, 0.0, 1.0)
    if (share_of_labels == 1).all():
        return solution, covariance
    mean = coordinates.table.prior_mean[coordinates.free][informed]
    away = (turn * share_of_labels) @ turn.T @ ((solution.eta[informed] - mean) * root)
    low, high = coordinates.bounds()
    eta, settled = solution.eta.copy(), covariance.copy()
    eta[informed] = np.clip(mean + away / root, low[informed], high[informed])
    settled[np.ix_(informed, informed)] = (
        (turn * np.minimum(share, 1.0)) @ turn.T / np.outer(root, root)
    )
    notes = (*solution.notes, "what labels say less about than the priors is left to the priors")
    return replace(solution, eta=eta, notes=notes), settled


def _other_optima(best: Solution, solutions: list[Solution]) -> Matrix:
    """``float64[f, f]``: spread of the optima, each as likely as its goodness says."""
    rank = np.array([solution.goodness for solution in solutions])
    share = np.exp(np.maximum(rank - best.goodness, -700.0))
    gap = np.stack([solution.eta - best.eta for solution in solutions])
    return np.asarray((gap * (share / share.sum())[:, None]).T @ gap)


def _apart(others: Matrix, covariance: Matrix) -> NDArray[np.bool_]:
    """``bool[f]``: whether half of a parameter's variance or more comes from other optima."""
    return np.asarray(2 * np.diag(others) > np.diag(covariance))


def _starts_apart(names: list[str], count: int) -> tuple[Diagnostic, ...]:
    if not names:
        return ()
    listed = ", ".join(f"`{name}`" for name in names[:MOST_NAMES])
    listed += f" and {len(names) - MOST_NAMES} more" * (len(names) > MOST_NAMES)
    return (
        Diagnostic(
            "KR835",
            f"{count} starts end at different values of {listed} that are about as likely: labels "
            "fit several readings of the rules, of which the likeliest is used",
            "warning",
            help="state the sign or the value of one of these weights (`[? 1 >= 0]`, `[1.5]`), or "
            "label cases in which the readings differ",
        ),
    )


def _statuses(
    coordinates: Coordinates,
    eta: Vector,
    deviation: Vector,
    edge: NDArray[np.bool_],
    unseen: NDArray[np.bool_],
) -> tuple[str, ...]:
    """What the data had to say about each parameter.

    A weight that came to rest on its bound, with an error that is not the prior's, was pushed
    there: also where sampling noise leaves open by how much.
    """
    table = coordinates.table
    status = [GIVEN] * len(table)
    low, high = coordinates.bounds()
    held = (eta <= low) | (eta >= high)
    left = deviation * np.sqrt(coordinates.precision())
    for position, index in enumerate(coordinates.free):
        if edge[position]:
            status[index] = AT_BOUND
        elif unseen[position] or left[position] > NOTHING:
            status[index] = SAID_NOTHING
        elif left[position] > PRIOR:
            status[index] = BY_PRIOR
        else:
            status[index] = AT_BOUND if held[position] else LEARNED
    return tuple(status)


def _start_notes(problem: Problem, spread: Vector, count: int) -> tuple[str, ...]:
    if count == 1:
        return ()
    latent = problem.latent
    worst = int(np.where(latent, spread, -1.0).argmax())
    return (
        f"{count} starts for rules with a latent predicate: "
        f"`{problem.parameters.names[worst]}` differs by {spread[worst]:.2g} between them",
    )


def _prior_deviation(problem: Problem) -> Vector:
    """Prior standard deviations in units of ``theta`` (by the delta method for scales)."""
    table = problem.parameters
    sd = np.where(table.learned, table.prior_sd, 0.0)
    return (sd * np.where(table.log_normal, table.start, 1.0)).astype(np.float64)
