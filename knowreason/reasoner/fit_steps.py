"""Weights of a reasoner, learned beside its models, and what is warned of then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from knowreason.data import Dataset
from knowreason.diagnostics import Diagnostic
from knowreason.explanation.contradictions import contradictions_named
from knowreason.factors import OPEN, ParameterTable
from knowreason.factors.components.connected import components
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import Grounding
from knowreason.learning import Fit, Problem, learn
from knowreason.logic import Formula, Program
from knowreason.logic.traversal import walk
from knowreason.models.base.stored_models import FittedModel
from knowreason.progress import Progress
from knowreason.project.settings import Options, Settings
from knowreason.reasoner.fitting.group_shrinkage import with_shrinkage
from knowreason.reasoner.labels.fold_groups import label_clusters
from knowreason.reasoner.labels.label_selection import Selection, label_selections, with_selection
from knowreason.reasoner.labels.views import with_views_held
from knowreason.reasoner.rule_coupling import starting_below

FAR = 1.0  # log-odds by which a calibration moves a model before a warning


def fit_weights(
    grounding: Grounding,
    models: tuple[FittedModel, ...],
    *,
    method: str,
    settings: Settings,
    seed: int,
    progress: Progress | None = None,
    problem: Problem | None = None,
) -> Fit:
    """Learn every weight of a grounding that already holds the models' outputs.

    ``problem`` is its :func:`learning_problem`, where that is there already.
    """
    problem = learning_problem(grounding, models, settings) if problem is None else problem
    learner = partial(learn, method=method, seed=seed, progress=progress, **settings.learn)
    with contradictions_named(grounding, problem.labels):
        return with_shrinkage(problem, grounding.program, learner)


def options_again(options: Options, fit: Fit) -> Options:
    """Options with which weights of the same rules are learned again after ``fit``.

    Its GCN posterior, where there is one, is not fitted anew: weights are among its inputs.
    """
    return dict(options) if fit.gcn is None else {**options, "network": fit.gcn}


def learning_problem(
    grounding: Grounding,
    models: tuple[FittedModel, ...],
    settings: Settings,
) -> Problem:
    """What is to be learned from a grounding that already holds the models' outputs."""
    labels = training_labels(grounding, models, settings)
    selections = label_selections(grounding.data, models, settings)
    table = starting_biases(grounding, models, labels, selections)
    if (labels != OPEN).any():
        table = starting_below(grounding, table)
    graph, curve = with_selection(grounding, selections).curved()
    return Problem(
        graph,
        table,
        labels,
        latent_rules(grounding),
        label_clusters(grounding, settings.clusters) if settings.clusters else None,
        curve,
    )


def starting_biases(
    grounding: Grounding,
    models: tuple[FittedModel, ...],
    labels: NDArray[np.int8],
    selections: Mapping[str, Selection],
) -> ParameterTable:
    """Biases start at what is known of base rates without labels.

    Models enter as likelihood ratios, so without labels nothing but the base rate that models
    know says how rare an atom is; where there are labels the learner starts at their share.
    Where the prevalence is known, the prior of the bias has its mean there.
    """
    table = grounding.parameters
    start, mean = table.start.copy(), table.prior_mean.copy()
    for predicate, span in grounding.atoms.spans.items():
        rates = [m.fitted.output.base_rate for m in models if m.predicate == predicate]
        name = f"bias {predicate}"
        if name not in table.names:
            continue
        if predicate in selections:
            rest = float(logit(selections[predicate].prevalence))
            start[table.index(name)] = mean[table.index(name)] = rest
        elif rates and not np.ndim(rates[0]) and (labels[span.start : span.stop] == OPEN).all():
            start[table.index(name)] = float(np.mean(logit(np.asarray(rates))))
    return with_views_held(grounding, replace(table, start=start, prior_mean=mean), models)


def training_labels(
    grounding: Grounding, models: tuple[FittedModel, ...], settings: Settings
) -> NDArray[np.int8]:
    """``int8[n]``: visible labels, less those without an out-of-fold score.

    Such rows (the first fold where folds go forward) would teach the rules that the
    models say nothing.
    """
    if settings.labels == "none":
        return np.full_like(grounding.labels, OPEN)
    labels = grounding.labels.copy()
    for model in models:
        span = grounding.span(grounding.program.question_of(model.predicate))
        labels[span.start : span.stop][model.fitted.silent] = OPEN
    return beside_the_asked(grounding, labels)


def beside_the_asked(grounding: Grounding, labels: NDArray[np.int8]) -> NDArray[np.int8]:
    """The labels (``int8[n]``) less those of components that hold an unlabelled asked atom and
    no labelled one.

    Asked is the query predicate that is declared first. Labels of others that stand alone would
    fit the rules between them to things of which nothing asked is known.
    """
    queries = (p.name for p in grounding.program.predicates if p.kind == "query")
    spans = grounding.atoms.spans
    first = next((name for name in queries if name in spans), None)
    if first is None:
        return labels
    inside = slice(spans[first].start, spans[first].stop)
    if (labels[inside] == OPEN).all() or (labels != OPEN).sum() == (labels[inside] != OPEN).sum():
        return labels
    component, _ = components(grounding.graph)
    of_asked = component[inside]
    known = np.unique(of_asked[(labels[inside] != OPEN) & (of_asked >= 0)])
    without = np.setdiff1d(of_asked[of_asked >= 0], known)
    return np.where(np.isin(component, without), OPEN, labels).astype(np.int8)


def latent_rules(grounding: Grounding) -> NDArray[np.bool_]:
    """``bool[p]``: weights of rules that hold a latent predicate."""
    program = grounding.program
    latent = np.array(
        [mentions_latent(program, rule.formula) for rule in program.rules] + [False], dtype=bool
    )
    return latent[grounding.parameters.owner]


def mentions_latent(program: Program, formula: Formula) -> bool:
    """Whether an atom of a latent predicate stands in the formula that no model of labels tells
    what it means: one that is no view."""
    latent = {p.name for p in program.predicates if p.kind == "latent" and not p.sees}
    return any(getattr(node, "predicate", None) in latent for node in walk(formula))


def model_outputs(models: tuple[FittedModel, ...], data: Dataset) -> tuple[ModelOutput, ...]:
    """What the final models say on data."""
    return tuple(model.fitted.predict(data) for model in models)


def with_calibration_warnings(grounding: Grounding, models: tuple[FittedModel, ...]) -> Grounding:
    """The grounding with a warning for every model whose calibration had to move it far."""
    warnings = tuple(
        Diagnostic(
            "KR843",
            f"`{model.name}` for `{model.predicate}` is off by {moved:+.1f} log-odds on rows it was"
            " not fitted on",
            "warning",
            help="name what labels share (`clusters`), undo `class_weight`, or look for a feature "
            "that knows the label",
        )
        for model in models
        if abs(moved := model.fitted.calibration.intercept) > FAR
        and model.fitted.calibration.method == "platt"
    )
    return replace(grounding, warnings=(*grounding.warnings, *warnings))


def with_label_warnings(grounding: Grounding) -> Grounding:
    """The grounding with a warning where definitions read labels as fresh as they can be.

    What they learn to trust is then younger than what they will see, unless labels are
    gathered anew for each prediction.
    """
    readers = grounding.program.label_readers
    if not readers or grounding.data.label_refresh:
        return grounding
    names = ", ".join(f"`{name}`" for name in readers)
    warning = Diagnostic(
        "KR665",
        f"labels are read by {names} as if they were gathered anew for each prediction",
        "warning",
        help="split by the clock, or say how old they will be: `label_refresh`",
    )
    return replace(grounding, warnings=(*grounding.warnings, warning))
