"""Likelihood by sampling: ``E[f | labels] - E[f]`` from clamped and free Gibbs chains.

A batch of sweeps at one ``theta`` gives the gradient and, from the difference between
chains that started far apart, its error; a Newton step on ``Cov[f] - Cov[f | labels]`` from
each batch gives an estimate, and estimates are averaged. Unlike the pseudo-likelihood it
sees the bias of a predicate none of whose atoms is ever known. Source: Younes 1988; Tieleman
2008 (persistent chains); Louis 1982 (information under missing data).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, identity

from knowreason.factors import FactorGraph
from knowreason.factors.components.connected import components
from knowreason.factors.condition import condition
from knowreason.inference.gibbs.gibbs import GibbsSampler, prepare_gibbs
from knowreason.learning.estimators.sampled_worlds import exact_information
from knowreason.learning.fit import Solution
from knowreason.learning.labelled_components import Labelled
from knowreason.learning.objective import Objective, Progress, projected
from knowreason.learning.persistent_chains import chain_count
from knowreason.learning.sites import ScoredRows, factor_rows, feature_totals
from knowreason.learning.standard_errors import at_least

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Worlds = NDArray[np.int8]
Starts = Callable[[GibbsSampler, FactorGraph, int, int], Worlds]  # at theta, chains, seed
MOST_ENTRIES = 2_000_000  # of cluster totals a draw of all chains
STEP_SHARE = 0.1  # of the free covariance, at least, in a step
LEAST = 0.2  # of the prior's precision, at least, where information is trusted
LONGEST = 5.0  # step in standard errors


@dataclass(frozen=True)
class ChainSchedule:
    """How long to sample.

    Attributes:
        warm_up: sweeps before the first batch.
        draws: worlds of each chain a batch.
        thin: sweeps between them.
        batches, max_batches: least and greatest number.
        noise: Monte-Carlo error wanted, in standard errors.
    """

    warm_up: int = 60
    draws: int = 15
    thin: int = 3
    batches: int = 3
    max_batches: int = 12
    noise: float = 0.3


@dataclass(frozen=True)
class Moments:
    """Feature totals of a batch.

    Attributes:
        mean: ``float64[f]``.
        error: ``float64[f, f]`` covariance of that mean, from the spread between chains.
        covariance: ``float64[f, f]`` of totals between worlds.
    """

    mean: Vector
    error: Matrix
    covariance: Matrix


@dataclass
class FeatureChains:
    """Persistent chains of one graph and the features of their worlds.

    Attributes:
        sampler: of the conditioned graph.
        rows: its weighted rows.
        cluster, clusters: cluster of each atom, independent of one another.
        worlds: ``int8[w, n]`` where the chains are.
        seed: of everything drawn.
        steps: calls made.
    """

    sampler: GibbsSampler
    rows: tuple[ScoredRows, ...]
    cluster: NDArray[np.int64]
    clusters: int
    worlds: Worlds
    seed: int
    steps: int = 0

    @staticmethod
    def of(
        graph: FactorGraph, theta: Vector, chains: int, seed: int, begin: Starts | None = None
    ) -> FeatureChains:
        """Chains that start where ``begin`` says, else far apart: :func:`far_apart`."""
        conditioned = condition(graph)
        sampler = prepare_gibbs(conditioned)
        label, count = components(conditioned)
        clusters = max(min(count, 1000, MOST_ENTRIES // (chains * len(theta) + 1)), 1)
        at = conditioned.with_theta(torch.from_numpy(theta))
        worlds = (begin or far_apart)(sampler, at, chains, seed)
        number = np.maximum(np.asarray(label).astype(np.int64), 0) % clusters
        rows = tuple(factor_rows(conditioned))
        return FeatureChains(sampler, rows, number, clusters, worlds, seed)

    def advance(self, theta: Vector, sweeps: int) -> Worlds:
        """Sweeps every chain on at ``theta`` (``float64[p]``)."""
        self.steps += 1
        seed = int(np.random.default_rng([self.seed, self.steps]).integers(2**31))
        at, start = torch.from_numpy(theta), torch.from_numpy(self.worlds)
        self.worlds = self.sampler.sample(at, start, sweeps=sweeps, seed=seed).numpy()
        return self.worlds

    def moments(
        self, theta: Vector, plan: ChainSchedule, jacobian: csr_matrix | None = None
    ) -> Moments:
        """A batch of worlds at ``theta``, as seen through a ``jacobian`` (``float64[p, f]``)."""
        jacobian = identity(len(theta), format="csr") if jacobian is None else jacobian
        constant = self.sampler.graph.constant
        fixed = np.zeros(len(theta)) if constant is None else constant.numpy()
        fixed = fixed @ jacobian
        totals = np.zeros((plan.draws, len(self.worlds), len(fixed)))
        first = np.zeros((self.clusters, len(fixed)))
        second = np.zeros((len(fixed), len(fixed)))
        for draw in range(plan.draws):
            for number, world in enumerate(self.advance(theta, plan.thin)):
                features = (
                    feature_totals(self.rows, world, self.cluster, self.clusters, len(theta))
                    @ jacobian
                )
                totals[draw, number] = features.sum(0)
                first += features
                second += features.T @ features
        count = plan.draws * len(self.worlds)
        covariance = (second - first.T @ first / count) / max(count - 1, 1)
        by_chain = totals.mean(0)
        apart = by_chain - by_chain.mean(0)
        error = apart.T @ apart / max(len(apart) * (len(apart) - 1), 1)
        return Moments(fixed + by_chain.mean(0), error, covariance)


def far_apart(sampler: GibbsSampler, graph: FactorGraph, chains: int, seed: int) -> Worlds:
    """``int8[w, n]``: drawn from single atoms' odds, all true, all false."""
    worlds = sampler.start(graph, chains, seed)
    if not sampler.under_hard_rows().any():
        worlds[1::4], worlds[3::4] = 1, 0
    return worlds


@dataclass(frozen=True)
class GradientEstimate:
    """One batch: where, the gradient there, its error and the information.

    Attributes:
        eta, gradient: ``float64[f]``.
        error: ``float64[f, f]`` covariance of the gradient.
        information: ``float64[f, f]`` with the priors, no direction below theirs.
        complete: ``float64[f, f]`` if everything were known.
    """

    eta: Vector
    gradient: Vector
    error: Matrix
    information: Matrix
    complete: Matrix


def likelihood_by_chains(
    objective: Objective,
    labelled: Labelled,
    start: Solution | Vector,
    *,
    seed: int,
    plan: ChainSchedule | None = None,
    begin: Starts | None = None,
    progress: Progress | None = None,
) -> Solution:
    """Maximum likelihood of components by persistent chains, from ``start``.

    Args:
        objective: exact terms and priors.
        labelled: the components that are sampled.
        start: coordinates (``float64[f]``), or a solution whose information is trusted too.
        seed: of the chains.
        plan: how long to sample.
        begin: where chains start; far apart by default.
        progress: called as ``progress(step, total, note)``.

    Returns:
        A solution whose covariance holds the Monte-Carlo error as well; not converged
        where that error, or the last step, is larger than wanted.
    """
    plan = plan or ChainSchedule()
    trusted = start.information if isinstance(start, Solution) else None
    eta = start.eta if isinstance(start, Solution) else start
    theta = objective.coordinates.theta(eta)
    sides = feature_chains(labelled, theta, seed, plan, begin)
    run = StochasticNewton(
        exact_information(objective, eta), objective.coordinates.precision(), trusted
    )
    for step in range(plan.max_batches):
        run.batches.append(gradient_estimate(objective, sides, eta, run.exact, plan))
        run.ends.append(_newton(objective, run.batches[-1], run.step_information()))
        eta = run.average()
        noise, gap = run.noise(), run.gap()
        run.history.append({"step": step + 1, "gradient": gap, "monte_carlo_error": noise})
        if progress is not None:
            progress(step + 1, plan.max_batches, f"step of {gap:.2g} standard errors")
        if step + 1 >= plan.batches and run.settled(plan):
            break
    return _solution(objective, run, plan, len(labelled.atoms))


@dataclass
class StochasticNewton:
    """Batches so far.

    Attributes:
        exact: ``float64[f, f]`` information of exact terms and priors.
        precision: ``float64[f]`` of the priors.
        trusted: ``float64[f, f]`` information known from elsewhere.
        batches: all of them.
        ends: ``float64[f]``, the estimate from each.
        history: a record each.
    """

    exact: Matrix
    precision: Vector
    trusted: Matrix | None
    batches: list[GradientEstimate] = field(default_factory=list)
    ends: list[Vector] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def kept(self) -> slice:
        """The later two thirds of the batches."""
        return slice(len(self.batches) // 3, None)

    def average(self) -> Vector:
        """``float64[f]``: mean of the estimates that are kept."""
        return np.asarray(np.mean(self.ends[self.kept], axis=0))

    def step_information(self) -> Matrix:
        """Curvature for steps: no direction so flat that noise could throw a step far."""
        if self.trusted is not None:
            return self.information()
        complete = np.mean([batch.complete for batch in self.batches[self.kept]], axis=0)
        return at_least(self.information(), complete, STEP_SHARE)

    def information(self) -> Matrix:
        """``float64[f, f]`` for standard errors: what is flat is left to the prior."""
        seen = self.trusted
        if seen is None:
            seen = np.mean([batch.information for batch in self.batches[self.kept]], axis=0)
        return at_least(seen, np.diag(self.precision), 1.0 if self.trusted is None else LEAST)

    def monte_carlo(self) -> Matrix:
        """``float64[f, f]``: covariance of the average that sampling causes."""
        bread = np.linalg.inv(self.step_information())
        errors = [batch.error for batch in self.batches[self.kept]]
        covariance: Matrix = bread @ np.sum(errors, axis=0) @ bread.T / len(errors) ** 2
        return covariance

    def noise(self) -> float:
        """Greatest Monte-Carlo error, in standard errors."""
        deviation = _deviation(self.information())
        return float((np.sqrt(np.diag(self.monte_carlo())) / deviation).max(initial=0.0))

    def gap(self) -> float:
        """Distance between the earlier and later estimates that are kept, in standard errors."""
        ends = self.ends[self.kept]
        if len(ends) < 2:
            return float("inf")
        half = len(ends) // 2
        apart = np.mean(ends[:half], axis=0) - np.mean(ends[half:], axis=0)
        return float((np.abs(apart) / _deviation(self.information())).max(initial=0.0))

    def settled(self, plan: ChainSchedule) -> bool:
        """Whether noise is as small as wanted and estimates moved no more than it explains."""
        noise = self.noise()
        return noise <= plan.noise and self.gap() <= 2 * (plan.noise + noise)


def feature_chains(
    labelled: Labelled,
    theta: Vector,
    seed: int,
    plan: ChainSchedule,
    begin: Starts | None = None,
) -> list[FeatureChains]:
    """Chains with labels clamped and free ones, warmed up at ``theta`` (``float64[p]``)."""
    chains = chain_count(labelled.graph)
    sides = [
        FeatureChains.of(graph, theta, chains, seed * 2 + index, begin)
        for index, graph in enumerate((labelled.clamped, labelled.graph))
    ]
    for side in sides:
        side.advance(theta, plan.warm_up)
    return sides


def gradient_estimate(
    objective: Objective,
    sides: list[FeatureChains],
    eta: Vector,
    exact: Matrix,
    plan: ChainSchedule,
) -> GradientEstimate:
    """A batch of clamped and free worlds at ``eta`` (``float64[f]``).

    Args:
        objective: exact terms and priors.
        sides: clamped and free chains.
        eta: where.
        exact: ``float64[f, f]``, curvature of the objective.
        plan: how long the chains run.
    """
    theta, jacobian = objective.coordinates.theta(eta), objective.coordinates.jacobian(eta)
    clamped, loose = (side.moments(theta, plan, jacobian) for side in sides)
    gradient = objective(eta)[1] + clamped.mean - loose.mean
    complete = loose.covariance + exact
    seen = complete - clamped.covariance
    return GradientEstimate(eta, gradient, clamped.error + loose.error, seen, complete)


def _newton(objective: Objective, batch: GradientEstimate, information: Matrix) -> Vector:
    """A projected Newton step, of limited length; coordinates held by a bound stay."""
    low, high = objective.coordinates.bounds()
    inside = projected(batch.eta, batch.gradient, low, high) != 0
    step = np.zeros_like(batch.eta)
    step[inside] = np.linalg.solve(information[np.ix_(inside, inside)], batch.gradient[inside])
    length = float((np.abs(step) / _deviation(information)).max(initial=0.0))
    return np.clip(batch.eta + step * min(1.0, LONGEST / max(length, 1e-12)), low, high)


def _deviation(information: Matrix) -> Vector:
    """Standard errors of an information matrix (``float64[f, f]``)."""
    return np.sqrt(np.diag(np.linalg.inv(information)))


def _solution(
    objective: Objective, run: StochasticNewton, plan: ChainSchedule, atoms: int
) -> Solution:
    eta, noise, settled = run.average(), run.noise(), run.settled(plan)
    information = run.information()
    covariance = np.linalg.inv(information) + run.monte_carlo()
    notes = [
        f"likelihood by Gibbs chains for {atoms} atoms; Monte-Carlo error at most "
        f"{noise:.2f} standard errors"
    ]
    if not settled:
        drift = run.ends[-1] - np.mean(run.ends, axis=0)
        covariance = covariance + np.outer(drift, drift)
        notes.append("the chains have not mixed or the estimates have not settled: errors say so")
    value = objective(eta)[0]
    return Solution(
        eta=eta,
        objective=value,
        log_likelihood=value - objective.coordinates.log_prior(eta)[0],
        gradient=np.mean([batch.gradient for batch in run.batches[run.kept]], axis=0),
        information=information,
        iterations=len(run.batches),
        converged=settled,
        history=tuple(run.history),
        covariance=covariance,
        drawn=True,
        notes=tuple(notes),
    )
