"""What fitting a reasoner does: models, weights, the answer, what later days are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.factors import FactorGraph
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import Grounding
from knowreason.inference.posterior import Posterior
from knowreason.learning import Fit, Problem, learn
from knowreason.logic import Program
from knowreason.models import KnowledgeModel
from knowreason.models.base.stored_models import FittedModel
from knowreason.monitor.adaptation import training_left_out, training_snapshot
from knowreason.progress import Progress, step
from knowreason.project.manifests import read_manifest
from knowreason.project.settings import Options, Settings
from knowreason.reasoner.answers import Answers
from knowreason.reasoner.fit_answers import fit_answers, with_trees
from knowreason.reasoner.fit_steps import (
    fit_weights,
    learning_problem,
    options_again,
    with_calibration_warnings,
    with_label_warnings,
)
from knowreason.reasoner.fitting.group_shrinkage import shrunk_rules
from knowreason.reasoner.fitting.model_fits import fit_models
from knowreason.reasoner.fitting.numeric_fits import only_numbers, with_estimates
from knowreason.reasoner.identification import with_identification
from knowreason.reasoner.labels.fold_groups import FoldGroups, fold_kind
from knowreason.reasoner.labels.label_selection import label_selections, with_population_rates
from knowreason.reasoner.population_share import with_matched_pools, with_prevalence_notes
from knowreason.reasoner.replicates import bootstrap_fit
from knowreason.reasoner.rule_coupling import latent_warnings, with_rule_warnings
from knowreason.reasoner.stored_reasoner import Learned

if TYPE_CHECKING:
    from knowreason.inference.gcn.gcn_fitting import FittedGcn


class Choices(Protocol):
    """What fitting needs of a reasoner: its choices, and how it grounds and infers."""

    program: Program
    method: str
    folds: str
    models: Mapping[str, Options | KnowledgeModel] | None
    settings: Settings
    seed: int
    device: str
    gcn_: FittedGcn | None

    def _ground(self, data: Dataset, outputs: tuple[ModelOutput, ...]) -> Grounding: ...

    def _believe(
        self, grounding: Grounding, outputs: tuple[ModelOutput, ...], fit: Fit
    ) -> Beliefs: ...

    def _posterior(self, graph: FactorGraph) -> Posterior: ...


@dataclass(frozen=True)
class Sources:
    """Where parts of a fit may be taken from instead of being made.

    Attributes:
        checkpoints: folder where finished models are kept and taken up again.
        run: run folder whose models are taken where nothing that made them has changed.
        grounding: of the program over the data, without models.
    """

    checkpoints: Path | None = None
    run: Path | None = None
    grounding: Grounding | None = None


def fit_reasoner(
    reasoner: Choices, data: Dataset, sources: Sources, progress: Progress | None
) -> tuple[Grounding, Learned]:
    """The grounding that was learned from, and what was learned.

    Args:
        reasoner: with the program and every choice.
        data: past data.
        sources: what need not be made.
        progress: called as ``progress(done, total, message)``.
    """
    settings, program, seed = reasoner.settings, reasoner.program, reasoner.seed
    if sources.run is not None:
        read_manifest(sources.run)
    fitting = partial(
        fit_models,
        options=reasoner.models or {},
        fold_count=settings.fold_count,
        seed=seed,
        device=reasoner.device,
        deploy=settings.deploy,
        checkpoints=sources.checkpoints,
        known=sources.run and sources.run / "models",
        threads=settings.threads,
        progress=progress,
    )
    estimates: tuple[FittedModel, ...] = ()
    if program.numeric_queries:
        shared = FoldGroups.of_numbers(data, settings.clusters)
        numbers = only_numbers(program, True)
        estimates = fitting(numbers, data, folds=reasoner.folds, groups=shared)
        data = with_estimates(data, estimates, training=True)
    bare = sources.grounding and replace(sources.grounding, data=data)
    if bare is None:
        with step(progress, "grounding"):
            bare = reasoner._ground(data, ())
    groups = FoldGroups.by(bare, settings.clusters)
    trees = with_trees(program, data, settings).models
    stated = only_numbers(program, False).models
    fitted = fitting(
        replace(program, models=(*stated, *trees)), data, folds=reasoner.folds, groups=groups
    )
    declared = len(fitted) - len(trees)
    selections = label_selections(data, fitted[:declared], settings)
    fitted = with_population_rates(program, fitted, selections)
    models, beside = fitted[:declared], fitted[declared:]
    outputs = tuple(model.fitted.output for model in models)
    grounding = with_label_warnings(bare.with_models(outputs))
    grounding = with_rule_warnings(with_calibration_warnings(grounding, models))
    problem = learning_problem(grounding, models, settings)
    fit, answers = fit_weights_and_answers(
        reasoner, grounding, models, beside, groups, progress, problem
    )
    if shrunk_rules(grounding.program):  # learned again under the priors that were learned
        problem = replace(problem, parameters=fit.parameters)
    options = options_again(settings.learn, fit)
    refit = partial(learn, method=reasoner.method, seed=seed, **options)
    with step(progress, "looking for what labels leave open"):
        grounding, fit = with_identification(grounding, fit, problem, groups, refit)
    replicates = None
    if settings.bootstrap:
        with step(progress, "resampling for intervals"):
            replicates = bootstrap_fit(problem, fit, settings.bootstrap, seed)
    others = tuple(model.fitted.output for model in answers.beside)
    boosted = tuple(model.fitted.output for model in answers.boosted)
    used = answers.used(fit)

    def pooled(beliefs: Beliefs) -> Beliefs:
        found = answers.pooled(beliefs.grounding, (*outputs, *others, *boosted), {})
        return replace(beliefs, answers=found)

    with step(progress, "keeping what holds on the training data"):
        beliefs = reasoner._believe(grounding, outputs, used)
        without = training_left_out(
            pooled(beliefs), models, lambda o: reasoner._believe(bare.with_models(o), o, used)
        )
        answers = with_matched_pools(answers, pooled(beliefs), selections, without)
        beliefs = pooled(beliefs)
    grounding, fit = with_prevalence_notes(grounding, beliefs, fit, selections)
    warnings = (*grounding.warnings, *latent_warnings(grounding, fit.theta))
    snapshot = training_snapshot(beliefs, models, without, others)
    learned = Learned(models, fit, snapshot, replicates, answers, estimates)
    return replace(grounding, warnings=warnings), learned


def fit_weights_and_answers(
    reasoner: Choices,
    grounding: Grounding,
    models: tuple[FittedModel, ...],
    beside: tuple[FittedModel, ...],
    groups: FoldGroups,
    progress: Progress | None = None,
    problem: Problem | None = None,
) -> tuple[Fit, Answers]:
    """Weights, and whose conclusions are the answer, from a grounding with models.

    ``problem`` is its :func:`.learning_problem`, where that is there already.
    """
    if problem is None:
        problem = learning_problem(grounding, models, reasoner.settings)
    with step(progress, "learning weights") as inner:
        fit = fit_weights(
            grounding,
            models,
            method=reasoner.method,
            settings=reasoner.settings,
            seed=reasoner.seed,
            progress=inner,
            problem=problem,
        )
    reasoner.gcn_ = fit.gcn  # engine `gcn` is that network from here on
    with step(progress, "comparing rules and models on labels they were not learned from"):
        answers = fit_answers(
            grounding,
            models,
            beside,
            fit,
            problem,
            groups,
            reasoner._posterior,
            kind=lambda predicate: reasoner.folds or fold_kind(reasoner.program, predicate),
            method=reasoner.method,
            settings=reasoner.settings,
            seed=reasoner.seed,
        )
    return fit, answers
