"""The default learner: exact where components allow, sampled worlds elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from knowreason.errors import LearningError
from knowreason.learn.bethe import bethe_likelihood, bethe_solutions
from knowreason.learn.fit import Solution, starts, summarise
from knowreason.learn.likelihood import exact_likelihood, fit_exact
from knowreason.learn.objective import Objective, Progress
from knowreason.learn.parts import Labelled, Split, labelled_components, split
from knowreason.learn.priors import Coordinates
from knowreason.learn.problem import Fit, Problem
from knowreason.learn.sampled import SamplingSchedule, large, sampled_solution
from knowreason.learn.stochastic import likelihood_by_chains
from knowreason.learn.worlds import gibbs_sampler, is_complete

WIDTH = 12  # of junction trees: wider ones take longer, a hundred times over, than sampling
POSTERIORS = ("auto", "exact", "gibbs", "bp")


def variational_em(
    problem: Problem,
    *,
    seed: int = 0,
    posterior: str = "auto",
    progress: Progress | None = None,
    tolerance: float = 1e-3,
    max_iterations: int = 200,
    **schedule: Any,
) -> Fit:
    """Variational EM whose posterior over unlabelled atoms comes from their component.

    Components exact inference can serve have their unlabelled atoms summed out at every
    gradient evaluation; in larger ones worlds are drawn jointly by persistent Gibbs chains
    with the labels clamped, and their pseudo-likelihood is maximised.

    Args:
        problem: what to learn.
        seed: of the chains and of the starts.
        posterior: ``auto``; ``exact`` or ``gibbs`` for every component; ``bp`` for the
            gradients of belief propagation in large components, where it has one fixed
            point (worlds are drawn where it has not).
        progress: called as ``progress(step, total, note)``.
        tolerance, max_iterations: of L-BFGS.
        **schedule: fields of :class:`~knowreason.learn.sampled.SamplingSchedule`.

    Raises:
        LearningError: KR853 where ``exact`` is asked of components too large, KR856 for an
            unknown ``posterior``.
    """
    parts = _parts(labelled_components(problem), posterior)
    if parts.large is None:
        return fit_exact(problem, parts.tractable, seed, tolerance, max_iterations, progress)
    terms = () if parts.tractable is None else (exact_likelihood(parts.tractable),)
    objective = Objective(Coordinates.of(problem.parameters), terms)
    complete = is_complete(parts.large.evidence, parts.large.graph.auxiliary)
    if posterior in ("auto", "bp") and not complete:
        fit = _by_likelihood(
            problem, objective, parts.large, seed, posterior, max_iterations, progress
        )
        if fit is not None:
            return fit
    plan = replace(SamplingSchedule(), **schedule)
    fit = summarise(problem, _sampled(problem, objective, parts.large, seed, plan, progress))
    if posterior != "bp":
        return fit
    note = "belief propagation has no single fixed point here: worlds were drawn"
    return replace(fit, notes=(note, *fit.notes))


def _by_likelihood(
    problem: Problem,
    objective: Objective,
    labelled: Labelled,
    seed: int,
    posterior: str,
    max_iterations: int,
    progress: Progress | None,
) -> Fit | None:
    """By belief propagation, checked and corrected by chains; by chains alone where it has
    no single fixed point and some predicate is never labelled; else ``None``."""
    bethe = bethe_likelihood(labelled)
    whole = replace(objective, terms=(*objective.terms, bethe))
    points = starts(problem, seed)
    found = bethe_solutions(
        whole, labelled, points, seed=seed, max_iterations=max_iterations, progress=progress
    )
    if found and posterior == "bp":
        return summarise(problem, found)
    if found:
        best = max(found, key=lambda solution: solution.goodness)
        checked = likelihood_by_chains(objective, labelled, best, seed=seed, progress=progress)
        corrected = replace(
            checked,
            objective=best.objective,
            log_likelihood=best.log_likelihood,
            notes=(*best.notes, *checked.notes),
        )
        others = [solution for solution in found if solution is not best]
        return summarise(problem, [replace(corrected, rank=best.goodness), *others])
    if not problem.latent.any():
        return None
    solutions = []
    for index, point in enumerate(points):
        eta = objective.coordinates.eta(point)
        solution = likelihood_by_chains(
            objective, labelled, eta, seed=seed + index, progress=progress
        )
        value = whole(solution.eta)[0]
        log_prior = objective.coordinates.log_prior(solution.eta)[0]
        solutions.append(replace(solution, objective=value, log_likelihood=value - log_prior))
    return summarise(problem, solutions)


def _sampled(
    problem: Problem,
    objective: Objective,
    labelled: Labelled,
    seed: int,
    plan: SamplingSchedule,
    progress: Progress | None,
) -> list[Solution]:
    part = large(labelled, gibbs_sampler(labelled.clamped), gibbs_sampler(labelled.graph))
    solutions = [
        sampled_solution(
            objective, part, start, seed=seed + index, schedule=plan, progress=progress
        )
        for index, start in enumerate(starts(problem, seed))
    ]
    if len(solutions) == 1:
        return solutions
    whole = replace(objective, terms=(*objective.terms, bethe_likelihood(labelled)))
    return [replace(solution, rank=whole(solution.eta)[0]) for solution in solutions]


def _parts(labelled: Labelled, posterior: str) -> Split:
    if posterior not in POSTERIORS:
        raise LearningError(
            f"no posterior is called `{posterior}`",
            code="KR856",
            help=f"one of {', '.join(POSTERIORS)}",
        )
    if posterior == "gibbs":
        return Split(None, labelled)
    parts = split(labelled) if posterior == "exact" else split(labelled, width=WIDTH)
    if posterior == "exact" and parts.large is not None:
        raise LearningError(
            f"{len(parts.large.evidence)} atoms lie in components too large for exact inference",
            code="KR853",
            help="leave `posterior` at `auto`, or use `gibbs`",
        )
    return parts
