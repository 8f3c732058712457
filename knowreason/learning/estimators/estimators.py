"""What estimates the weights of some components: one function each, in one table.

A method of learning (:mod:`knowreason.learning.methods`) decides which estimator serves which
components; the likelihood of components summed exactly enters the others' tasks as a term.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from knowreason.inference.gcn.gcn_fitting import FittedGcn, GcnRecipe, gcn_errors
from knowreason.inference.gcn.gcn_training import load_gcn
from knowreason.learning.estimators.bethe import bethe_likelihood, bethe_solutions
from knowreason.learning.estimators.chains import likelihood_by_chains
from knowreason.learning.estimators.composite import block_copies, composite_solution
from knowreason.learning.estimators.exact_likelihood import (
    exact_likelihood,
    exact_solution,
    exact_solutions,
)
from knowreason.learning.estimators.gcn_estimator import GcnPosterior, likelihood_by_gcn
from knowreason.learning.estimators.moment_matching import matched
from knowreason.learning.estimators.sampled_worlds import SamplingSchedule, large, sampled_solution
from knowreason.learning.fit import Solution, starts
from knowreason.learning.labelled_components import Labelled
from knowreason.learning.objective import LikelihoodTerm, Objective, Progress, maximise
from knowreason.learning.persistent_chains import gibbs_sampler
from knowreason.learning.priors import Coordinates, start_values
from knowreason.learning.problem import EstimatorReport, Problem

REFUSED = "KR859"
FARTHEST = 5.0  # prior standard deviations: odds of one in two million under the prior
CERTAIN = 1e-3  # log likelihood of labels above which there is none: probabilities are at most 1
PREVIEWED, NEAR = 20, 1.5  # cut-outs, and times the rivals' error, before the network is fitted
SEVERAL = "belief propagation has no single fixed point here and was left out"


@dataclass(frozen=True)
class EstimationTask:
    """What an estimator is to fit.

    Attributes:
        problem: starts, priors, latent rules.
        labelled: the components the estimator serves; ``None`` where there are none.
        terms: log likelihood of other components.
        seed: of everything random.
        tolerance, max_iterations: of L-BFGS, where it is used.
        sampling: how long worlds are drawn for the pseudo-likelihood.
        progress: called as ``progress(step, total, note)``.
        start: a solution that chains start from, and whose information they trust.
        recipe: how the GCN posterior is fitted.
        network: a GCN posterior that is not fitted again.
    """

    problem: Problem
    labelled: Labelled | None
    terms: tuple[LikelihoodTerm, ...] = ()
    seed: int = 0
    tolerance: float = 1e-3
    max_iterations: int = 200
    sampling: SamplingSchedule = field(default_factory=SamplingSchedule)
    progress: Progress | None = None
    start: Solution | None = None
    recipe: GcnRecipe = field(default_factory=GcnRecipe)
    network: FittedGcn | None = None

    @property
    def objective(self) -> Objective:
        """The terms and the priors, as a function of the free coordinates."""
        return Objective(self.coordinates, self.terms)

    @property
    def coordinates(self) -> Coordinates:
        """In which parameters are optimised."""
        return Coordinates.of(self.problem.parameters, self.problem.curve)

    @property
    def served(self) -> Labelled:
        """The components; raises ``ValueError`` without any."""
        if self.labelled is None:
            raise ValueError("no component to serve")
        return self.labelled

    def report(self, estimator: str) -> tuple[EstimatorReport, ...]:
        """What an estimator that takes the task serves; empty without components."""
        labelled = self.labelled
        if labelled is None or not len(labelled.atoms):
            return ()
        spoken_of = self.coordinates.concerned(labelled.parameters())
        free = spoken_of & self.problem.parameters.learned
        return (EstimatorReport(estimator, labelled.count, len(labelled.atoms), int(free.sum())),)


@dataclass(frozen=True)
class EstimatorResult:
    """Where an estimator ended.

    Attributes:
        solutions: of the starts; empty where the estimator refuses.
        notes: what the user should know; why, where it refuses.
        design_effect, clusters, gcn: see :class:`~knowreason.learning.problem.Fit`.
    """

    solutions: tuple[Solution, ...]
    notes: tuple[str, ...] = ()
    design_effect: float = 1.0
    clusters: int = 0
    gcn: FittedGcn | None = None


def exact(task: EstimationTask) -> EstimatorResult:
    """The likelihood with everything unlabelled summed out; divided by the design effect
    where the problem names clusters."""
    ends = exact_solutions(
        task.problem,
        task.labelled,
        task.seed,
        task.tolerance,
        task.max_iterations,
        task.progress,
    )
    notes: tuple[str, ...] = ()
    if ends.clusters:
        notes = (
            f"labels depend on each other: {ends.clusters:,} clusters, design effect "
            f"{ends.design_effect:.3g}",
        )
    return EstimatorResult(tuple(ends.solutions), notes, ends.design_effect, ends.clusters)


def bethe(task: EstimationTask) -> EstimatorResult:
    """The Bethe likelihood of belief propagation; nothing where it is not to be trusted.

    It is refused where belief propagation has several fixed points at the weights found, where
    the optimiser found no rest, where labels would be more than certain, and where the best
    solution lies more than five prior standard deviations from the priors: on the way messages
    did not settle, or the free and the clamped run took fixed points that do not belong
    together, and the optimiser was thrown where nothing is to be known.
    """
    labelled = task.served
    term = bethe_likelihood(labelled)
    whole = replace(task.objective, terms=(*task.objective.terms, term))
    solutions = bethe_solutions(
        whole,
        labelled,
        starts(task.problem, task.seed),
        seed=task.seed,
        max_iterations=task.max_iterations,
        progress=task.progress,
    )
    if not solutions:
        return EstimatorResult((), (SEVERAL,))
    best = max(solutions, key=lambda solution: solution.goodness)
    why = _why_not(task, term, best)
    if why:
        return EstimatorResult((), (why,))
    return EstimatorResult(tuple(s for s in solutions if not _why_not(task, term, s)))


def _why_not(task: EstimationTask, term: LikelihoodTerm, solution: Solution) -> str:
    """Why a solution of belief propagation is not to be trusted; empty where it is."""
    name, distance = farthest(task.problem, solution)
    if distance > FARTHEST:
        why = f"`{name}` would lie {distance:.0f} prior standard deviations from its prior"
    elif not solution.converged:
        why = "its likelihood jumps from one fixed point to another, so that it has no optimum"
    elif term(task.objective.coordinates.theta(solution.eta))[0] > CERTAIN:
        why = "labels would be more than certain"
    else:
        return ""
    return f"belief propagation's solution was refused ({REFUSED}): {why}"


def chains(task: EstimationTask) -> EstimatorResult:
    """The likelihood by clamped and free Gibbs chains, from the task's start or from the optima of
    the composite likelihood; these are ranked by the Bethe likelihood."""
    climb = partial(likelihood_by_chains, task.objective, task.served, progress=task.progress)
    return _climbed(task, climb)


def gcn(task: EstimationTask) -> EstimatorResult:
    """The likelihood by chains that begin where a GCN posterior fitted to the components says."""
    return _with_gcn(task, _posterior(task))


def gcn_where_nearer(task: EstimationTask) -> EstimatorResult:
    """As :func:`gcn`, where the network is nearer to exact marginals than its rivals are.

    It has to beat belief propagation and chains of equal time on cut-outs held out, at the
    weights of the task's start. It is fitted only where the package's own state is near; a
    result without solutions says why it steps aside.
    """
    posterior = _posterior(task)
    if task.network is None:
        theta = task.objective.coordinates.theta(_first_eta(task))
        errors = gcn_errors(
            posterior.graphs(theta),
            load_gcn(),
            recipe=replace(task.recipe, held_out=min(PREVIEWED, task.recipe.held_out)),
            seed=task.seed,
        )
        if errors.network < NEAR * min(errors.bp, errors.chains):
            errors = posterior.follow(theta).errors
        if not errors.wins:
            return EstimatorResult((), (f"the GCN posterior stepped aside: {errors}",))
    return _with_gcn(task, posterior)


def _posterior(task: EstimationTask) -> GcnPosterior:
    return GcnPosterior(task.served, task.recipe, task.seed, task.progress, task.network)


def _with_gcn(task: EstimationTask, posterior: GcnPosterior) -> EstimatorResult:
    climb = partial(likelihood_by_gcn, task.objective, posterior, progress=task.progress)
    found = _climbed(task, climb)
    best = max(found.solutions, key=lambda solution: solution.goodness)
    fitted = posterior.ended(task.objective.coordinates.theta(best.eta))
    times = {0: "was given", 1: "fitted once"}.get(posterior.fits, f"fitted {posterior.fits} times")
    note = f"GCN posterior {times}: {fitted.errors}"
    return replace(found, notes=(*found.notes, note), gcn=fitted)


def _first_eta(task: EstimationTask) -> NDArray[np.float64]:
    """Where the network is first wanted: at the task's start, else where chains would begin."""
    if task.start is not None:
        return task.start.eta
    return _composite_optimum(task, starts(task.problem, task.seed)[0])


def _composite_optimum(task: EstimationTask, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates at which chains begin that nothing else gives a start.

    Geyer & Thompson 1992 start at the pseudo-likelihood's optimum: at the priors' means worlds are
    often of one phase, and chains from there run away. With a latent predicate blocks say nothing
    of one another, and chains begin at the problem's start.
    """
    eta = task.objective.coordinates.eta(start)
    if task.problem.latent.any():
        return eta
    term = exact_likelihood(block_copies(task.served).labelled)
    whole = replace(task.objective, terms=(*task.objective.terms, term))
    return maximise(whole, eta, max_iterations=task.max_iterations).eta


def _climbed(task: EstimationTask, climb: Callable[..., Solution]) -> EstimatorResult:
    """Where ``climb(start, seed=...)`` ends, moved to where moments match."""
    labelled, objective = task.served, task.objective
    if task.start is not None:
        end = climb(task.start, seed=task.seed)
        best = task.start
        corrected = replace(
            _matched(task, end),
            objective=best.objective,
            log_likelihood=best.log_likelihood,
            notes=(*best.notes, *end.notes),
            rank=best.goodness,
        )
        return EstimatorResult((corrected,))
    whole = replace(objective, terms=(*objective.terms, bethe_likelihood(labelled)))
    solutions = []
    for index, point in enumerate(starts(task.problem, task.seed)):
        begin = _composite_optimum(task, point)
        solution = _matched(task, climb(begin, seed=task.seed + index))
        value = whole(solution.eta)[0]
        log_prior = objective.coordinates.log_prior(solution.eta)[0]
        solutions.append(replace(solution, objective=value, log_likelihood=value - log_prior))
    return EstimatorResult(tuple(solutions))


def pseudo_likelihood(task: EstimationTask) -> EstimatorResult:
    """The pseudo-likelihood of the labelled world; what is hidden is drawn by Gibbs chains.

    Standard errors are Godambe's, from worlds drawn from the fitted model. Source: Besag
    1977; Richardson & Domingos 2006, section 4.
    """
    labelled, objective = task.served, task.objective
    sampled = large(labelled, gibbs_sampler(labelled.clamped), gibbs_sampler(labelled.graph))
    solutions = [
        _matched(
            task,
            sampled_solution(
                objective,
                sampled,
                start,
                seed=task.seed + index,
                schedule=task.sampling,
                progress=task.progress,
            ),
        )
        for index, start in enumerate(starts(task.problem, task.seed))
    ]
    if len(solutions) == 1:
        return EstimatorResult(tuple(solutions))
    whole = replace(objective, terms=(*objective.terms, bethe_likelihood(labelled)))
    return EstimatorResult(
        tuple(replace(solution, rank=whole(solution.eta)[0]) for solution in solutions)
    )


def composite(task: EstimationTask) -> EstimatorResult:
    """The composite likelihood of small blocks, each exact given the labels around it."""
    copies = block_copies(task.served)
    term = exact_likelihood(copies.labelled)
    whole = replace(task.objective, terms=(*task.objective.terms, term))
    return EstimatorResult(
        tuple(
            _matched(task, composite_solution(whole, copies, found))
            for found in (
                exact_solution(whole, start, task.tolerance, task.max_iterations, task.progress)
                for start in starts(task.problem, task.seed)
            )
        )
    )


def _matched(task: EstimationTask, solution: Solution) -> Solution:
    """The solution, moved to where moments match if they do not."""
    return matched(task.objective, task.served, solution, seed=task.seed)


ESTIMATORS: Mapping[str, Callable[[EstimationTask], EstimatorResult]] = {
    "exact": exact,
    "gcn": gcn,
    "gibbs": chains,
    "bp": bethe,
    "pseudo_likelihood": pseudo_likelihood,
    "composite": composite,
}


def farthest(problem: Problem, solution: Solution) -> tuple[str, float]:
    """The parameter farthest from its prior, and how many prior standard deviations off.

    A bias counts from its start (the base rate of its labels) where that is nearer: rare
    truths are far from their prior for a good reason. Flat priors have no distance; a
    solution that is not finite is infinitely far.
    """
    coordinates = Coordinates.of(problem.parameters)
    if not coordinates.free.size:
        return "", 0.0
    mean = coordinates.table.prior_mean[coordinates.free]
    start = coordinates.eta(start_values(problem))
    gap = np.minimum(np.abs(solution.eta - mean), np.abs(solution.eta - start))
    distance = gap * np.sqrt(coordinates.precision())
    distance = np.where(np.isfinite(solution.eta), distance, np.inf)
    worst = int(distance.argmax())
    return coordinates.table.names[coordinates.free[worst]], float(distance[worst])
