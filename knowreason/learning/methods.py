"""Methods of learning: which estimator serves which components."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Literal, get_args

from knowreason.errors import LearningError
from knowreason.inference.gcn.gcn_fitting import FittedGcn, GcnRecipe
from knowreason.learning.estimators.estimators import (
    ESTIMATORS,
    EstimationTask,
    EstimatorResult,
    bethe,
    exact,
    gcn_where_nearer,
)
from knowreason.learning.estimators.estimators import composite as by_composite
from knowreason.learning.estimators.estimators import pseudo_likelihood as by_pseudo_likelihood
from knowreason.learning.estimators.exact_likelihood import exact_likelihood
from knowreason.learning.estimators.sampled_worlds import SamplingSchedule
from knowreason.learning.fit import summarise
from knowreason.learning.labelled_components import labelled_components, split
from knowreason.learning.learners import refuse_unknown
from knowreason.learning.objective import Progress
from knowreason.learning.persistent_chains import is_complete
from knowreason.learning.problem import EstimatorReport, Fit, Problem
from knowreason.learning.scaled_columns import in_scaled_columns

WIDTH = 12  # of junction trees: wider ones take longer, a hundred times over, than sampling
PosteriorName = Literal["auto", "exact", "gcn", "gibbs", "bp", "pseudo_likelihood", "composite"]
AUTO: PosteriorName = "auto"


@in_scaled_columns
def variational_em(
    problem: Problem,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    posterior: PosteriorName = AUTO,
    tolerance: float = 1e-3,
    max_iterations: int = 200,
    sampling: SamplingSchedule = SamplingSchedule(),  # noqa: B008  (frozen)
    recipe: GcnRecipe = GcnRecipe(),  # noqa: B008  (frozen)
    network: FittedGcn | None = None,
) -> Fit:
    """Variational EM whose posterior over unlabelled atoms comes from their component.

    Components exact inference can serve have their unlabelled atoms summed out at every
    gradient evaluation. The others go to Gibbs chains that begin with the GCN posterior,
    where that is nearer to exact on cut-outs held out than belief propagation and chains of
    equal time; else to chains started at the optimum of belief propagation, where that is to
    be trusted; else to chains alone where rules hold a latent predicate, and to the composite
    likelihood of small blocks elsewhere; where nothing is hidden to the pseudo-likelihood.
    The fit says which served which (``Fit.estimators``).

    Args:
        problem: what to learn.
        seed: of the chains and of the starts.
        progress: called as ``progress(step, total, note)``.
        posterior: over what is unlabelled in components too large for exact inference:
            ``auto``, or ``gcn`` (fitted to the program, it begins the chains), ``gibbs``
            (chains alone), ``bp``; ``pseudo_likelihood`` and ``composite`` need none of the
            whole component; ``exact`` asks that there be no such component.
        tolerance, max_iterations: of L-BFGS.
        sampling: how long worlds are drawn for the pseudo-likelihood.
        recipe: how the GCN posterior is fitted.
        network: a GCN posterior fitted to the same rules (``Fit.gcn``), which is not fitted again.

    Raises:
        LearningError: KR853 where ``exact`` is asked of components too large, KR856 for an
            unknown posterior, KR858 for ``sampling`` or ``recipe`` where they change nothing.
    """
    _refuse_wrong(posterior, sampling, recipe)
    if posterior == "exact":
        return likelihood(
            problem,
            seed=seed,
            progress=progress,
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
    parts = split(labelled_components(problem), width=WIDTH)
    small = EstimationTask(
        problem, parts.tractable, (), seed, tolerance, max_iterations, sampling, progress
    )
    if parts.large is None:
        return _fit(problem, exact(small), small.report("exact"))
    terms = () if parts.tractable is None else (exact_likelihood(parts.tractable),)
    large = replace(small, labelled=parts.large, terms=terms, recipe=recipe, network=network)
    name, estimate = _large(large, posterior)
    return _fit(problem, estimate, (*small.report("exact"), *large.report(name)))


@in_scaled_columns
def likelihood(
    problem: Problem,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    tolerance: float = 1e-3,
    max_iterations: int = 200,
) -> Fit:
    """Maximum of the exact conditional likelihood and the priors.

    Args:
        problem: what to learn.
        seed: of the starts, and of the sample that is fitted first where components are many.
        progress: called as ``progress(step, total, note)``.
        tolerance: greatest entry of the projected gradient.
        max_iterations: of L-BFGS.

    Raises:
        LearningError: KR853 where a labelled component is too large for exact inference.
    """
    parts = split(labelled_components(problem))
    if parts.large is not None:
        raise LearningError(
            f"{len(parts.large.atoms)} atoms lie in components too large for exact inference",
            code="KR853",
            help="use method `variational_em`, its `posterior` at `auto`, or `pseudo_likelihood`",
        )
    task = EstimationTask(
        problem, parts.tractable, (), seed, tolerance, max_iterations, progress=progress
    )
    return _fit(problem, exact(task), task.report("exact"))


@in_scaled_columns
def pseudo_likelihood(
    problem: Problem,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    sampling: SamplingSchedule = SamplingSchedule(),  # noqa: B008  (frozen)
) -> Fit:
    """Maximum of the pseudo-likelihood and the priors, in small components too.

    Args:
        problem: what to learn.
        seed: of the chains and of the starts.
        progress: called as ``progress(step, total, note)``.
        sampling: how long worlds are drawn where labels are hidden.
    """
    labelled = labelled_components(problem)
    task = EstimationTask(problem, labelled, seed=seed, sampling=sampling, progress=progress)
    if not len(labelled.atoms):
        return _fit(problem, exact(replace(task, labelled=None)), ())
    return _fit(problem, by_pseudo_likelihood(task), task.report("pseudo_likelihood"))


@in_scaled_columns
def composite(
    problem: Problem,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    tolerance: float = 1e-3,
    max_iterations: int = 200,
) -> Fit:
    """Maximum of the composite likelihood of small blocks and the priors.

    Each block is exact given the labels around it, with what is unlabelled in it and near it
    summed out: nothing is drawn, and couplings within a block are seen whole. Between the
    pseudo-likelihood (blocks of one atom) and the likelihood (one block).

    Args:
        problem: what to learn.
        seed: of the starts.
        progress: called as ``progress(step, total, note)``.
        tolerance: greatest entry of the projected gradient.
        max_iterations: of L-BFGS.
    """
    labelled = labelled_components(problem)
    task = EstimationTask(problem, labelled, (), seed, tolerance, max_iterations, progress=progress)
    if not len(labelled.atoms):
        return _fit(problem, exact(replace(task, labelled=None)), ())
    return _fit(problem, by_composite(task), task.report("composite"))


def _large(task: EstimationTask, posterior: PosteriorName) -> tuple[str, EstimatorResult]:
    """What served components too large for exact inference, and its estimate."""
    labelled = task.served
    if posterior not in (AUTO, "bp"):
        return posterior, ESTIMATORS[posterior](task)
    if posterior == AUTO and is_complete(labelled.evidence, labelled.graph.auxiliary):
        return "pseudo_likelihood", by_pseudo_likelihood(task)
    first = bethe(task)
    if first.solutions and posterior == "bp":
        return "bp", first
    best = max(first.solutions, key=lambda solution: solution.goodness, default=None)
    others = tuple(solution for solution in first.solutions if solution is not best)
    begun, aside = replace(task, start=best), first.notes
    if posterior == AUTO:
        found = gcn_where_nearer(begun)
        if found.solutions:
            notes = (*first.notes, *found.notes)
            return "gcn", replace(found, solutions=(*found.solutions, *others), notes=notes)
        aside += found.notes
    name = "gibbs" if best is not None or task.problem.latent.any() else "composite"
    estimate = ESTIMATORS[name](begun)
    solutions = (*estimate.solutions, *others)
    return name, replace(estimate, solutions=solutions, notes=(*aside, *estimate.notes))


def _fit(problem: Problem, estimate: EstimatorResult, reports: tuple[EstimatorReport, ...]) -> Fit:
    """The best solution with its errors, and what served it."""
    fit = summarise(problem, list(estimate.solutions))
    return replace(
        fit,
        notes=(*estimate.notes, *fit.notes),
        design_effect=estimate.design_effect,
        clusters=estimate.clusters,
        estimators=reports,
        gcn=estimate.gcn,
    )


def _refuse_wrong(posterior: PosteriorName, sampling: SamplingSchedule, recipe: GcnRecipe) -> None:
    refuse_unknown("posterior", posterior, get_args(PosteriorName))
    for given, usual, served in (
        (sampling, SamplingSchedule(), (AUTO, "pseudo_likelihood")),
        (recipe, GcnRecipe(), (AUTO, "gcn")),
    ):
        changed = [
            f.name for f in fields(usual) if getattr(given, f.name) != getattr(usual, f.name)
        ]
        if changed and posterior not in served:
            raise LearningError(
                f"`{changed[0]}` has no effect where the posterior is `{posterior}`",
                code="KR858",
                help=f"it belongs to `posterior` {' and '.join(served)}",
            )
