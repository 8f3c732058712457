"""Learning from sampled worlds: pseudo-likelihood of joint draws of what is unlabelled.

The estimate solves ``E[ d log PL(x) / d theta | labels ] + rest = 0``, the expectation over
worlds drawn with the labels clamped at the same ``theta``. The first rounds are plain EM
steps (maximise the mean pseudo-likelihood of the drawn worlds); then Newton steps whose
curvature subtracts what the missing atoms hide (Louis 1982), with falling gains, so that
Monte-Carlo noise averages out (Robbins & Monro 1951; Polyak & Juditsky 1992).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from knowreason.learning.estimators.pseudo_likelihood import PseudoLikelihood, pseudo_likelihood
from knowreason.learning.fit import Solution
from knowreason.learning.labelled_components import Labelled
from knowreason.learning.objective import LikelihoodTerm, Objective, Progress, maximise, projected
from knowreason.learning.persistent_chains import Chains, Sampler, is_complete
from knowreason.learning.problem import Record
from knowreason.learning.sites import SiteWiring, wire
from knowreason.learning.standard_errors import at_least, inverse_of_any, observed_information

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
MOST_CLUSTERS = 1000
MOST_SCORES = 1_000_000  # of clusters in one world
SMOOTHED = 10  # rounds over which curvature is averaged
FARTHEST = 1.0  # standard errors that a full step may still go
LEAST_SHARE = 0.1  # of the complete curvature that is left, at least: no step over 10 EM steps


@dataclass(frozen=True)
class SamplingSchedule:
    """How long to sample.

    Attributes:
        sweeps: Gibbs sweeps a round.
        warm_up: sweeps before the first round.
        em_rounds: full M-steps at first.
        newton_rounds: Newton steps of gain 1 after them.
        rounds: least number of rounds.
        max_rounds: greatest.
        noise: Monte-Carlo error of the estimate wanted, in standard errors.
        free_draws: free worlds for the standard errors, times independent clusters.
    """

    sweeps: int = 10
    warm_up: int = 30
    em_rounds: int = 3
    newton_rounds: int = 5
    rounds: int = 15
    max_rounds: int = 60
    noise: float = 0.2
    free_draws: int = 4000

    @property
    def averaged_from(self) -> int:
        """First round that enters the average."""
        return self.em_rounds + self.newton_rounds

    def gain(self, step: int) -> float:
        """Length of a Newton step: 1 at first, then falling."""
        return float(max(1, step - self.averaged_from + 1) ** -0.7)

    def free_rounds(self, clusters: int, chains: int) -> int:
        """Draws of ``chains`` free worlds each: few where clusters are many."""
        return int(np.clip(np.ceil(self.free_draws / (clusters * chains)), 2, 10))


@dataclass(frozen=True)
class Large:
    """Components learned from sampled worlds.

    Attributes:
        labelled: the components.
        wiring: of the free graph.
        clamped, free: samplers with labels clamped, and without.
    """

    labelled: Labelled
    wiring: SiteWiring
    clamped: Sampler
    free: Sampler

    @cached_property
    def clusters(self) -> int:
        """Number of independent clusters: components, many of them together if need be."""
        room = MOST_SCORES // max(1, self.wiring.parameter_count)
        return max(1, min(self.labelled.count, MOST_CLUSTERS, room))

    @cached_property
    def cluster(self) -> NDArray[np.int64]:
        """``int64[n]``: cluster of each atom."""
        return self.labelled.component % self.clusters

    def scores(self, term: PseudoLikelihood, theta: Vector) -> NDArray[np.float64]:
        """``float64[w, clusters, p]``: pseudo-likelihood gradient of each cluster."""
        first = self.wiring.states[self.wiring.site_start]
        return term.cluster_scores(theta, self.cluster[first], self.clusters)

    def features(self, worlds: NDArray[np.int8]) -> NDArray[np.float64]:
        """``float64[w, clusters, p]``: feature totals of each cluster."""
        return np.stack(
            [self.wiring.features(world, self.cluster, self.clusters) for world in worlds]
        )

    @property
    def complete(self) -> bool:
        """Whether nothing is left to sample."""
        return is_complete(self.labelled.evidence, self.labelled.graph.auxiliary)

    def known_world(self) -> NDArray[np.int8]:
        """``int8[1, n]``: the labels, auxiliary atoms as they follow."""
        return self.wiring.fill_auxiliary(np.maximum(self.labelled.evidence, 0)[None, :])


def large(labelled: Labelled, clamped: Sampler, free: Sampler) -> Large:
    """Components with the wiring of their free graph."""
    return Large(labelled, wire(labelled.graph), clamped, free)


@dataclass(frozen=True)
class Look:
    """What one set of worlds says about the objective at ``eta``.

    Attributes:
        value: mean log pseudo-likelihood plus exact terms plus log prior.
        gradient: ``float64[f]``.
        complete: ``float64[f, f]`` curvature if the worlds were known.
        hidden: ``float64[f, f]`` what the missing atoms take off it.
        scores: ``float64[f, f]`` covariance of the worlds' pseudo-likelihood gradients.
        worlds: their number.
    """

    value: float
    gradient: Vector
    complete: Matrix
    hidden: Matrix
    scores: Matrix
    worlds: int


@dataclass
class Rounds:
    """Running state of the stochastic part.

    Attributes:
        eta: ``float64[f]``, where the next worlds are drawn.
        looks: recent ones.
        visited: ``eta`` of each averaged round.
        gradients: gradient of each averaged round.
        history: a record a round.
    """

    eta: Vector
    looks: list[Look] = field(default_factory=list)
    visited: list[Vector] = field(default_factory=list)
    gradients: list[Vector] = field(default_factory=list)
    history: list[Record] = field(default_factory=list)

    def curvature(self) -> Matrix:
        """``float64[f, f]``: minus the derivative of the gradient, over the last rounds.

        It is not symmetric: the worlds move with ``theta`` too.
        """
        recent = self.looks[-SMOOTHED:]
        complete = np.mean([look.complete for look in recent], axis=0)
        hidden = np.mean([look.hidden for look in recent], axis=0)
        turn = (hidden.T - hidden) / 2
        curvature: Matrix = at_least(complete - hidden - turn, complete, LEAST_SHARE) + turn
        return curvature

    def left(self, priors: Vector) -> Matrix:
        """``float64[f, f]``: curvature for standard errors, no direction below the priors'."""
        recent = self.looks[-SMOOTHED:]
        seen = np.mean([look.complete - look.hidden for look in recent], axis=0)
        turn = (seen - seen.T) / 2
        curvature: Matrix = at_least(seen - turn, np.diag(priors), 1.0) + turn
        return curvature

    def average(self) -> Vector:
        """``float64[f]``: mean of the averaged rounds, or where it is now."""
        return np.mean(self.visited, axis=0) if self.visited else self.eta

    def errors(self) -> tuple[float, float]:
        """Mean gradient and Monte-Carlo error of the averaged rounds, in standard errors."""
        if not self.visited or not self.eta.size:
            return float("inf"), float("inf")
        bread = np.linalg.inv(self.curvature())
        gradient = np.mean(self.gradients, axis=0)
        size = float(np.sqrt(gradient @ bread @ gradient / len(gradient)))
        looks = self.looks[-SMOOTHED:]
        noise = np.mean([look.scores / look.worlds for look in looks], axis=0) / len(self.visited)
        spread = np.diag(bread @ noise @ bread.T) / np.diag(bread)
        return size, float(np.sqrt(spread.max()))


def sampled_solution(
    objective: Objective,
    sampled: Large,
    start: Vector,
    *,
    seed: int,
    schedule: SamplingSchedule,
    progress: Progress | None = None,
) -> Solution:
    """Learns from ``start`` (``float64[p]``); ``objective`` holds the exact terms."""
    coordinates = objective.coordinates
    if sampled.complete:
        return _complete_solution(objective, sampled, start, seed, schedule, progress)
    low, high = coordinates.bounds()
    chains = Chains(sampled.clamped, seed)
    state = Rounds(np.clip(coordinates.eta(start), low, high))
    chains.advance(coordinates.theta(state.eta), schedule.warm_up)
    exact = exact_information(objective, state.eta)
    for step in range(schedule.max_rounds):
        worlds = chains.advance(coordinates.theta(state.eta), schedule.sweeps)
        term = pseudo_likelihood(sampled.wiring, worlds)
        look = _look(objective, sampled, term, worlds, state.eta, exact)
        _record(state, look, step, schedule)
        size, error = state.errors()
        if progress is not None:
            progress(step + 1, schedule.max_rounds, f"gradient {size:.2g} standard errors")
        if step + 1 >= schedule.rounds and max(error, size / 2) <= schedule.noise:
            break
        if step < schedule.em_rounds:
            state.eta = _maximisation(objective, term, state.eta)
            continue
        if step == schedule.em_rounds:
            exact = exact_information(objective, state.eta)
        state.eta = _newton(state, look.gradient, low, high, schedule.gain(step))
    return _finish(objective, sampled, state, schedule, seed)


def _record(state: Rounds, look: Look, step: int, schedule: SamplingSchedule) -> None:
    state.looks = [*state.looks[-SMOOTHED:], look]
    if step >= schedule.averaged_from:
        state.visited.append(state.eta)
        state.gradients.append(look.gradient)
    size, error = state.errors()
    state.history.append(
        {"step": step + 1, "objective": look.value, "gradient": size, "monte_carlo_error": error}
    )


def _look(
    objective: Objective,
    sampled: Large,
    term: PseudoLikelihood,
    worlds: NDArray[np.int8],
    eta: Vector,
    exact: Matrix,
) -> Look:
    coordinates, theta = objective.coordinates, objective.coordinates.theta(eta)
    value, gradient = replace(objective, terms=(*objective.terms, term))(eta)
    scores = coordinates.chain(eta, sampled.scores(term, theta))
    totals = coordinates.chain(eta, sampled.features(worlds))
    information = term.information(theta, coordinates.jacobian(eta))
    return Look(
        value,
        gradient,
        information + exact,
        _cross(scores, totals),
        _cross(scores, scores),
        len(worlds),
    )


def _cross(left: NDArray[np.float64], right: NDArray[np.float64]) -> Matrix:
    """Covariance of totals over worlds, from clusters that are independent of each other.

    Args:
        left, right: ``float64[w, c, f]``.

    Returns:
        ``float64[f, f]``.
    """
    count = max(len(left) - 1, 1)
    covariance: Matrix = (
        np.einsum("wci,wcj->ij", left - left.mean(0), right - right.mean(0)) / count
    )
    return covariance


def exact_information(objective: Objective, eta: Vector) -> Matrix:
    """Curvature of the exact terms and the priors."""
    if objective.terms:
        return observed_information(objective, eta)
    return np.diag(objective.coordinates.precision())


def _maximisation(objective: Objective, term: LikelihoodTerm, eta: Vector) -> Vector:
    whole = replace(objective, terms=(*objective.terms, term))
    return maximise(whole, eta, tolerance=1e-3, max_iterations=12).eta


def _newton(state: Rounds, gradient: Vector, low: Vector, high: Vector, gain: float) -> Vector:
    """A projected Newton step; coordinates held by a bound stay."""
    inside = projected(state.eta, gradient, low, high) != 0
    if not inside.any():
        return state.eta
    eta = state.eta.copy()
    curvature = state.curvature()[np.ix_(inside, inside)]
    eta[inside] += gain * np.linalg.solve(curvature, gradient[inside])
    return np.clip(eta, low, high)


def _finish(
    objective: Objective, sampled: Large, state: Rounds, schedule: SamplingSchedule, seed: int
) -> Solution:
    eta = state.average()
    size, error = state.errors()
    hidden = np.mean([look.scores for look in state.looks], axis=0)
    information = state.left(objective.coordinates.precision())
    gradient = np.mean(state.gradients, axis=0)
    pull = _pull(objective, eta, gradient, information)
    converged = max(error, size / 2) <= schedule.noise and pull <= FARTHEST
    value = float(np.mean([look.value for look in state.looks]))
    noise = f"Monte-Carlo error at most {error:.2f} standard errors"
    notes: tuple[str, ...] = (f"worlds sampled for {len(sampled.labelled.atoms)} atoms; {noise}",)
    if not converged:
        notes += ("the estimates have not settled where the worlds say little",)
    return Solution(
        eta=eta,
        objective=value,
        log_likelihood=value - objective.coordinates.log_prior(eta)[0],
        gradient=gradient,
        information=information,
        iterations=len(state.history),
        converged=converged,
        history=tuple(state.history),
        covariance=_godambe(objective, sampled, eta, information, hidden, schedule, seed),
        drawn=True,
        notes=notes,
    )


def _pull(objective: Objective, eta: Vector, gradient: Vector, information: Matrix) -> float:
    """How far a full step would still go, in standard errors."""
    low, high = objective.coordinates.bounds()
    inside = projected(eta, gradient, low, high) != 0
    if not inside.any():
        return 0.0
    bread = np.linalg.inv(information[np.ix_(inside, inside)])
    return float((np.abs(bread @ gradient[inside]) / np.sqrt(np.diag(bread))).max())


def _complete_solution(
    objective: Objective,
    sampled: Large,
    start: Vector,
    seed: int,
    schedule: SamplingSchedule,
    progress: Progress | None,
) -> Solution:
    """Nothing hidden: the pseudo-likelihood of one world, by L-BFGS."""
    term = pseudo_likelihood(sampled.wiring, sampled.known_world())
    whole = replace(objective, terms=(*objective.terms, term))
    optimum = maximise(whole, objective.coordinates.eta(start), progress=progress)
    information = observed_information(whole, optimum.eta)
    nothing = np.zeros_like(information)
    return Solution(
        eta=optimum.eta,
        objective=optimum.value,
        log_likelihood=optimum.value - objective.coordinates.log_prior(optimum.eta)[0],
        gradient=optimum.gradient,
        information=information,
        iterations=optimum.iterations,
        converged=optimum.converged,
        history=optimum.history,
        covariance=_godambe(objective, sampled, optimum.eta, information, nothing, schedule, seed),
        drawn=True,
    )


def _godambe(
    objective: Objective,
    sampled: Large,
    eta: Vector,
    information: Matrix,
    hidden: Matrix,
    schedule: SamplingSchedule,
    seed: int,
) -> Matrix:
    """``A^-1 B A^-1``, ``B`` from worlds drawn from the fitted model.

    The variance of the gradient over labels is that over whole free worlds less what is
    left once the labels are known (``hidden``).
    """
    theta = objective.coordinates.theta(eta)
    chains = Chains(sampled.free, seed + 1)
    drawn = len(chains.advance(theta, schedule.warm_up))
    scores = [
        sampled.scores(
            pseudo_likelihood(sampled.wiring, chains.advance(theta, schedule.sweeps)), theta
        )
        for _ in range(schedule.free_rounds(sampled.clusters, drawn))
    ]
    spread = objective.coordinates.chain(eta, np.concatenate(scores))
    exact = exact_information(objective, eta)
    symmetric = (information + information.T) / 2
    meat = at_least(_cross(spread, spread) - hidden + exact, symmetric, LEAST_SHARE)
    bread = inverse_of_any(information)
    return bread @ meat @ bread.T
