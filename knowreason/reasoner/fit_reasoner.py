"""What fitting a reasoner does: models, weights, the answer, what later days are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.factors import FactorGraph
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import Grounding
from knowreason.inference.posterior import Posterior
from knowreason.learning import Fit, learn
from knowreason.logic import Program
from knowreason.models import KnowledgeModel
from knowreason.models.base.stored_models import FittedModel
from knowreason.monitor.adaptation import training_left_out, training_snapshot
from knowreason.progress import Progress
from knowreason.project.settings import Options, Settings
from knowreason.reasoner.answers import Answers
from knowreason.reasoner.fit_answers import fit_answers, with_trees
from knowreason.reasoner.fit_steps import (
    fit_models,
    fit_weights,
    learning_problem,
    options_again,
    with_calibration_warnings,
    with_label_warnings,
)
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


def fit_reasoner(
    reasoner: Choices, data: Dataset, checkpoints: Path | None, progress: Progress | None
) -> tuple[Grounding, Learned]:
    """The grounding that was learned from, and what was learned.

    Args:
        reasoner: with the program and every choice.
        data: past data.
        checkpoints: folder where finished models are kept and taken up again.
        progress: called as ``progress(done, total, message)``.
    """
    settings, program, seed = reasoner.settings, reasoner.program, reasoner.seed
    bare = reasoner._ground(data, ())
    groups = FoldGroups.by(bare, settings.clusters)
    fitted = partial(
        fit_models,
        data=data,
        options=reasoner.models or {},
        folds=reasoner.folds,
        fold_count=settings.fold_count,
        seed=seed,
        device=reasoner.device,
        deploy=settings.deploy,
        groups=groups,
        checkpoints=checkpoints,
        progress=progress,
    )
    selections = label_selections(data, models := fitted(program), settings)
    models = with_population_rates(models, selections)
    outputs = tuple(model.fitted.output for model in models)
    grounding = with_label_warnings(bare.with_models(outputs))
    grounding = with_rule_warnings(with_calibration_warnings(grounding, models))
    beside = with_population_rates(fitted(with_trees(program, data, settings)), selections)
    fit, answers = fit_weights_and_answers(reasoner, grounding, models, beside, groups, progress)
    problem = learning_problem(grounding, models, settings)
    options = options_again(settings.learn, fit)
    refit = partial(learn, method=reasoner.method, seed=seed, **options)
    grounding, fit = with_identification(grounding, fit, problem, groups, refit)
    replicates = None
    if settings.bootstrap:
        replicates = bootstrap_fit(problem, fit, settings.bootstrap, seed)
    if progress:
        progress(0, 1, "keeping what holds on the training data")
    others = tuple(model.fitted.output for model in answers.beside)
    used = answers.used(fit)

    def pooled(beliefs: Beliefs) -> Beliefs:
        found = answers.pooled(beliefs.grounding, (*outputs, *others), {})
        return replace(beliefs, answers=found)

    beliefs = reasoner._believe(grounding, outputs, used)
    without = training_left_out(
        pooled(beliefs), models, lambda o: reasoner._believe(bare.with_models(o), o, used)
    )
    answers = with_matched_pools(answers, pooled(beliefs), selections, without)
    beliefs = pooled(beliefs)
    grounding, fit = with_prevalence_notes(grounding, beliefs, fit, selections)
    warnings = (*grounding.warnings, *latent_warnings(grounding, fit.theta))
    snapshot = training_snapshot(beliefs, models, without, others)
    learned = Learned(models, fit, snapshot, replicates, answers)
    return replace(grounding, warnings=warnings), learned


def fit_weights_and_answers(
    reasoner: Choices,
    grounding: Grounding,
    models: tuple[FittedModel, ...],
    beside: tuple[FittedModel, ...],
    groups: FoldGroups,
    progress: Progress | None = None,
) -> tuple[Fit, Answers]:
    """Weights, and whose conclusions are the answer, from a grounding with models."""
    fit = fit_weights(
        grounding,
        models,
        method=reasoner.method,
        settings=reasoner.settings,
        seed=reasoner.seed,
        progress=progress,
    )
    reasoner.gcn_ = fit.gcn  # engine `gcn` is that network from here on
    if progress:
        progress(0, 1, "comparing rules and models on labels they were not learned from")
    return fit, fit_answers(
        grounding,
        models,
        beside,
        fit,
        groups,
        reasoner._posterior,
        kind=lambda predicate: reasoner.folds or fold_kind(reasoner.program, predicate),
        method=reasoner.method,
        settings=reasoner.settings,
        seed=reasoner.seed,
    )
