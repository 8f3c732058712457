"""The default learner: exact where components allow, sampled worlds elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from knowreason.errors import LearningError
from knowreason.learn.fit import Solution, starts, summarise
from knowreason.learn.likelihood import exact_likelihood, fit_exact
from knowreason.learn.objective import Objective, Progress
from knowreason.learn.parts import Labelled, Split, labelled_components, split
from knowreason.learn.priors import Coordinates
from knowreason.learn.problem import Fit, Problem
from knowreason.learn.sampled import Schedule, large, sampled_solution
from knowreason.learn.worlds import gibbs_sampler

POSTERIORS = ("auto", "exact", "gibbs")


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
        posterior: ``auto``, or ``exact`` or ``gibbs`` for every component.
        progress: called as ``progress(step, total, note)``.
        tolerance, max_iterations: of L-BFGS.
        **schedule: fields of :class:`~knowreason.learn.sampled.Schedule`.

    Raises:
        LearningError: KR853 where ``exact`` is asked of components too large, KR856 for an
            unknown ``posterior``.
    """
    parts = _parts(labelled_components(problem), posterior)
    if parts.large is None:
        return fit_exact(problem, parts.tractable, seed, tolerance, max_iterations, progress)
    terms = () if parts.tractable is None else (exact_likelihood(parts.tractable),)
    objective = Objective(Coordinates.of(problem.parameters), terms)
    plan = replace(Schedule(), **schedule)
    sampled = large(
        parts.large, gibbs_sampler(parts.large.clamped), gibbs_sampler(parts.large.graph)
    )
    solved: list[Solution] = [
        sampled_solution(
            objective, sampled, start, seed=seed + index, schedule=plan, progress=progress
        )
        for index, start in enumerate(starts(problem, seed))
    ]
    return summarise(problem, solved)


def _parts(labelled: Labelled, posterior: str) -> Split:
    if posterior not in POSTERIORS:
        raise LearningError(
            f"no posterior is called `{posterior}`",
            code="KR856",
            help=f"one of {', '.join(POSTERIORS)}",
        )
    if posterior == "gibbs":
        return Split(None, labelled)
    parts = split(labelled)
    if posterior == "exact" and parts.large is not None:
        raise LearningError(
            f"{len(parts.large.evidence)} atoms lie in components too large for exact inference",
            code="KR853",
            help="leave `posterior` at `auto`, or use `gibbs`",
        )
    return parts
