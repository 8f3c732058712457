"""Whose conclusions are the answer: the stacked models', the rules', or the mean of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit

from knowreason.data import Dataset
from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.components.connected import components, subgraph
from knowreason.grounding import Grounding
from knowreason.inference.posterior import Posterior
from knowreason.learning import Fit, Problem, learn
from knowreason.learning.estimators.left_out import Terms, without_folds
from knowreason.logic import Aggregate, CountList, ModelCall, ModelDeclaration, Program
from knowreason.logic.traversal import walk
from knowreason.metrics.cluster_test import ClusterTest, hardest_test
from knowreason.models.base.calibration import Calibration
from knowreason.models.base.feature_columns import derived_features
from knowreason.models.base.predicate_rows import rows_of
from knowreason.models.base.stored_models import FittedModel
from knowreason.models.stacked.label_budget import supported_scale
from knowreason.models.stacked.pool import Pool, PoolKind
from knowreason.models.stacked.stacking import Stacking, fit_stacking
from knowreason.project.settings import Settings
from knowreason.reasoner.answers import Answers, boolean_queries, stackable, told_ratios
from knowreason.reasoner.boosted_rules import BOOSTED_LINE, with_boosted
from knowreason.reasoner.fit_steps import fit_weights, options_again
from knowreason.reasoner.labels.fold_groups import FoldGroups
from knowreason.reasoner.labels.label_selection import label_selections
from knowreason.reasoner.labels.labelled_atoms import LabelledAtoms, labelled_atoms

Vector = NDArray[np.float64]
Infer = Callable[[FactorGraph], Posterior]
Whose = Literal["stated", "halfway", "learned"]
WHOSE: dict[Whose, str] = {
    "stated": "yours",
    "halfway": "halfway between yours and the learned ones",
    "learned": "learned",
}
AUTO = "auto"  # name of the trees that are fitted by themselves


def fit_answers(
    grounding: Grounding,
    models: tuple[FittedModel, ...],
    beside: tuple[FittedModel, ...],
    learned: Fit,
    problem: Problem,
    groups: FoldGroups,
    infer: Infer,
    *,
    kind: Callable[[str], str],
    method: str,
    settings: Settings,
    seed: int,
) -> Answers:
    """Choose the weights and the halves of the answer, by labels out of fold.

    Weights are halfway between what the program states and what labels teach, unless whole clusters
    of labels tell which are better: of candidates that differ by less, the past cannot choose. The
    answer is the mean of what rules and stacked models say, unless the same test drops one half.

    Args:
        grounding: that weights were learned from, with the out-of-fold outputs of ``models``.
        models: that the program declares.
        beside: further ones that are stacked.
        learned: the fit of all weights.
        problem: that it solves.
        groups: atoms that share a cause.
        infer: the engine.
        kind: of folds, by predicate.
        method: of learning.
        settings: everything else.
        seed: of everything random.
    """
    selections = label_selections(grounding.data, models, settings)
    asked = [
        found
        for predicate in boolean_queries(grounding.program)
        if (
            found := labelled_atoms(
                grounding,
                predicate,
                (*models, *beside),
                groups,
                kind(predicate),
                settings,
                seed,
                selections.get(predicate),
            )
        )
    ]
    stated = stated_fit(grounding, models, method=method, settings=settings, seed=seed)
    notes: list[str] = []
    several = functional_notes(grounding)
    if not asked and (stated is None or settings.labels == "none"):
        return Answers(notes=several)
    if not asked and settings.weights == "stated":
        return Answers(stated, notes=("weights: yours", *several), share=0.0)
    if not asked:
        line = "weights: learned; labels are too few to compare yours with them"
        return Answers(notes=(line, *several))
    if settings.answer == "rules" and settings.weights == "learned":  # nothing is to be compared
        line = "{}: the rules' conclusions are the answer (`answer` asks for it)"
        lines = (line.format(one.predicate) for one in asked)
        return Answers(notes=("weights: learned, as `weights` asks", *lines, *several))
    fold = np.full(grounding.graph.atom_count, -1)
    for one in asked:
        fold[one.atoms] = one.fold
    refit = partial(learn, method=method, seed=seed, **options_again(settings.learn, learned))
    held = partial(_held_out, grounding, infer, fold)
    terms: Terms = {}
    learned_thetas = without_folds(problem, learned, fold, refit, terms)
    of_learned = held(learned_thetas)
    used: Fit | None = None
    said, share = of_learned, 1.0
    if stated is not None:
        held_problem = replace(problem, parameters=stated.parameters)
        stated_thetas = without_folds(held_problem, stated, fold, refit, terms)
        of_stated = held(stated_thetas)
        first = asked[0]
        apart = first.losses(of_stated[first.atoms]) - first.losses(of_learned[first.atoms])
        chosen, line = whose_weights(apart, first.clusterings, settings.weights)
        notes.append(line)
        if chosen == "stated":
            used, said, share = stated, of_stated, 0.0
        elif chosen == "halfway":
            share = 0.5
            theta = (stated.theta + learned.theta) / 2
            used = replace(learned, theta=theta, knowgraph=None)
            pairs = zip(stated_thetas, learned_thetas, strict=True)
            said = held([(one + other) / 2 for one, other in pairs])
        if chosen != "learned":
            notes += scale_notes(stated)
    elif grounding.program.rules:
        notes.append("weights: learned; the program states none")
    pools, boosted = [], []
    for one in asked:
        pool, line = _pool(grounding, one, (*models, *beside), said[one.atoms], settings)
        if settings.boosted_rules and pool is not None and pool.kind == "mean":
            of_folds = kind(one.predicate)
            third = with_boosted(
                pool, grounding, one, said[one.atoms], groups, of_folds, settings, seed
            )
            if third is not None:
                pool = third[0]
                boosted.append(third[1])
                line = f"{one.predicate}: {BOOSTED_LINE}"
        notes.append(line)
        if pool is not None:
            pools.append(pool)
    stacked = {name for pool in pools if pool.stacking for name in pool.stacking.models}
    kept = tuple(model for model in beside if model.name in stacked)
    return Answers(used, tuple(pools), kept, tuple(boosted), (*notes, *several), share)


def functional_notes(grounding: Grounding) -> tuple[str, ...]:
    """A sentence for each functional query predicate that has labels: halves of odds are for
    atoms that are true or false."""
    spans = grounding.atoms.spans
    return tuple(
        f"{p.name}: the rules' conclusions are the answer (it takes one of several values)"
        for p in grounding.program.predicates
        if p.kind == "query" and p.functional_position is not None and p.name in spans
        if (grounding.labels[spans[p.name].start : spans[p.name].stop] != OPEN).any()
    )


def with_trees(program: Program, data: Dataset, settings: Settings) -> Program:
    """The program whose models are trees over columns and definitions, one for each Boolean query
    predicate that has labels of both kinds."""
    wanted = settings.auto_trees and settings.answer != "rules" and settings.labels != "none"
    declared = []
    for predicate in boolean_queries(program) if wanted else []:
        features = derived_features(data, predicate)
        rows = rows_of(data, predicate)
        taken = any(model.name == AUTO for model in program.models)
        if taken or not features or tied(program, predicate):
            continue
        if len(np.unique(rows.labels[rows.labelled])) == 2:
            options = (("features", features), ("hops", 0))
            declared.append(ModelDeclaration(AUTO, (predicate,), ModelCall("trees", (), options)))
    return replace(program, models=tuple(declared))


def stated_fit(
    grounding: Grounding,
    models: tuple[FittedModel, ...],
    *,
    method: str,
    settings: Settings,
    seed: int,
) -> Fit | None:
    """The weights as the program states them, ``None`` where it states none or where learning
    could change nothing that it states.

    Scales are 1 where labels hold as much as models claim (:func:`.supported_scale`), else less;
    base rates are those of the models. Weights written ``[?]`` state nothing and are learned
    beside the others, and base rates with them: else they would make up for what stated rules add
    to these.
    """
    rules = grounding.program.rules
    table = grounding.parameters
    writes = [rule.weight.kind == "stated" or rule.weight.value is not None for rule in rules]
    states = np.array([*writes, False])[table.owner]  # the last is no rule's
    kinds = np.array(table.kinds)
    held = states | (kinds == "scale")
    if not states.any() or not (held & table.learned).any():
        return None
    start = table.start.copy()
    asks = (table.learned & ~held & (kinds == "rule")).any()
    for name, scale in supported_scales(grounding, models).items():
        start[table.index(name)] = scale
    for predicate in {m.predicate for m in models}:
        name = f"bias {predicate}"
        base = [m.fitted.output.base_rate for m in models if m.predicate == predicate]
        if name in table.names and not np.ndim(base[0]):
            start[table.index(name)] = float(np.mean(logit(np.asarray(base))))
            held[table.index(name)] = not asks
    part = replace(grounding, parameters=replace(table, learned=table.learned & ~held, start=start))
    return fit_weights(part, models, method=method, settings=settings, seed=seed)


def scale_notes(stated: Fit) -> list[str]:
    """A sentence where rules count models for less than what these say, else none."""
    named = zip(stated.parameters.names, stated.parameters.kinds, stated.theta, strict=False)
    less = ", ".join(
        f"`{name.removeprefix('scale ')}` for {scale:.2g} of what it says"
        for name, kind, scale in named
        if kind == "scale" and scale < 1
    )
    why = "labels hold less than models claim of things that rules tie together"
    return [f"rules count {less}: {why}"] if less else []


def supported_scales(grounding: Grounding, models: tuple[FittedModel, ...]) -> dict[str, float]:
    """By parameter, the scale at which models that were fitted to labels tell what these hold."""
    component, _ = components(grounding.graph)
    found: dict[str, float] = {}
    for predicate in boolean_queries(grounding.program):
        speaking = [m.fitted for m in models if m.predicate == predicate]
        fitted = [one for one in speaking if one.learned_from_labels]
        if fitted:
            span = grounding.span(predicate)
            inside = slice(span.start, span.stop)
            told = np.asarray(np.sum([one.output.llr for one in fitted], axis=0), np.float64)
            base = float(np.mean(logit([one.output.base_rate for one in fitted])))
            labels = grounding.labels[inside]
            scale = supported_scale(told, component[inside], base, labels[labels != OPEN])
            found |= {grounding.scale_of(one.output): scale for one in fitted}
    return found


def _held_out(
    grounding: Grounding, infer: Infer, fold: NDArray[np.integer], thetas: Sequence[Vector]
) -> Vector:
    """``float64[n]``: beliefs about labelled atoms at the weights learned without their fold;
    NaN elsewhere."""
    found = np.full(len(fold), np.nan)
    component, _ = components(grounding.graph)
    alike = all((theta == thetas[0]).all() for theta in thetas[1:])
    for one, theta in enumerate(thetas[:1] if alike else thetas):
        of_fold = (fold >= 0 if alike else fold == one) & (component >= 0)
        keep = np.isin(component, component[of_fold])
        graph, atoms = subgraph(grounding.at(torch.from_numpy(theta)), keep)
        inside = of_fold[atoms]
        found[atoms[inside]] = infer(graph).log_odds.numpy()[inside]
    return found


def _stacked(
    grounding: Grounding, one: LabelledAtoms, models: Sequence[FittedModel]
) -> tuple[Stacking, Vector] | None:
    """All models that speak of the atoms' things stacked, and their out-of-fold log-odds;
    ``None`` where none speaks of the predicate."""
    if not one.models:
        return None
    outputs = stackable(grounding, one.predicate, [model.fitted.output for model in models])
    names, of_others = tuple(outputs), len(outputs) - len(one.models)
    start = grounding.span(one.predicate).start
    ratios, means = told_ratios(grounding, one.predicate, list(outputs.values()))
    ratios, means = ratios[one.atoms - start], means[one.atoms - start]
    if any(model.fitted.shrunk for model in one.models):  # too few to learn what neighbours tell
        means = np.zeros_like(means)

    def fitted(rows: NDArray[np.bool_]) -> Stacking:
        at, clusters = one.base + one.drawn, one.cluster[rows]
        told, around, labels = ratios[rows], means[rows], one.labels[rows]
        found = fit_stacking(names, told, around, labels, at, clusters, of_others)
        return replace(found, base=one.base)

    held = np.empty(len(ratios))
    for fold in one.folds:
        own = one.fold == fold
        held[own] = fitted(~own)(ratios[own], means[own])
    whole = fitted(np.ones(len(ratios), bool))
    if not one.matched:  # it would inflate: models of the folds saw fewer labels
        whole = replace(whole, intercept=0.0)
    return whole, held


def _pool(
    grounding: Grounding,
    one: LabelledAtoms,
    models: Sequence[FittedModel],
    rules: Vector,
    settings: Settings,
) -> tuple[Pool | None, str]:
    """How the answer for a predicate is made, and the sentence about it."""
    name, asked = one.predicate, settings.answer
    why = "" if asked in ("mean", "models") else tied(grounding.program, name)
    stacked = None if asked == "rules" or why else _stacked(grounding, one, models)
    if stacked is None:
        why = why or ("`answer` asks for it" if asked == "rules" else "no model speaks of it")
        return None, f"{name}: the rules' conclusions are the answer ({why})"
    stacking, of_models = stacked
    made = one.calibration(rules, slice(None)) if one.matched else Calibration()
    kind: PoolKind = "mean"
    line = f"{name}: half of every conclusion is the models', half the rules'"
    if asked == "models":
        kind, line = "models", f"{name}: the stacked models are the answer"
    if asked == "auto":
        apart = one.losses(of_models, calibrated=True) - one.losses(rules)
        for_rules = hardest_test(apart, one.clusterings)
        for_models = hardest_test(-apart, one.clusterings)
        if for_rules.wins:
            kind = "rules"
            line = f"{name}: rules over models are the answer; models alone {behind(for_rules)}"
        elif for_models.wins:
            kind = "models"
            line = f"{name}: the stacked models are the answer; rules {behind(for_models)}"
    pool = Pool(
        name, kind, one.base, made.slope, made.intercept, None if kind == "rules" else stacking
    )
    return pool, line


def behind(test: ClusterTest) -> str:
    """``are behind by 41 nats over 36 rows (t 8.1, needed 1.7)``."""
    return (
        f"are behind by {test.total:.3g} nats over {test.clusters:,} {test.clusters_are} "
        f"(t {test.statistic:.2g}, needed {test.needed:.2g})"
    )


def whose_weights(
    apart: Vector, clusterings: Mapping[str, NDArray[np.integer]], asked: Literal["auto"] | Whose
) -> tuple[Whose, str]:
    """Whose weights are used, and the sentence on what decided it.

    The mean of two weight vectors is the normalised geometric mean of the two distributions over
    worlds, so that it loses to the better one at most half of what lies between them.

    Args:
        apart: ``float64[n]`` by labelled atom, surprise under stated weights less that under
            learned ones.
        clusterings: ``int[n]`` by what a cluster is called; all have to agree.
        asked: ``[learn] weights``.

    >>> whose_weights(np.array([3.0, -0.1, 0.1]), {"hosts": np.arange(3)}, "auto")[0]
    'halfway'
    """
    if asked != "auto":
        return asked, f"weights: {WHOSE[asked]}, as `weights` asks"
    ahead, behind = hardest_test(apart, clusterings), hardest_test(-apart, clusterings)
    chosen: Whose = "learned" if ahead.wins else "stated" if behind.wins else "halfway"
    test, side = (ahead, "ahead") if ahead.total > 0 else (behind, "behind")
    found = f"weights: {WHOSE[chosen]}; learned ones are {side} by {test.total:.3g} nats"
    told = f"(t {test.statistic:.2g}, needed {test.needed:.2g})"
    if chosen == "halfway":
        count = f"{test.effective:.2g} of {test.clusters:,} {test.clusters_are}"
        return chosen, f"{found}, but {count} decide that {told}"
    return chosen, f"{found} over {test.clusters:,} {test.clusters_are} {told}"


def tied(program: Program, predicate: str) -> str:
    """Why a mean would break what rules say of a predicate's atoms together; empty where it
    would not: hard rules with another unknown, or counts, hold of beliefs as they are."""
    for rule in program.rules:
        nodes = list(walk(rule.formula))
        unknown = [
            node.predicate
            for node in nodes
            if hasattr(node, "predicate") and program.is_open(node.predicate)
        ]
        if predicate not in unknown:
            continue
        if rule.weight.kind == "hard" and len(unknown) > 1:
            return f"hard rule `{rule.name}` ties its atoms to others"
        counted = [
            inner.predicate
            for node in nodes
            if isinstance(node, Aggregate | CountList)
            for inner in walk(node)
            if hasattr(inner, "predicate")
        ]
        if predicate in counted:
            return f"rule `{rule.name}` counts its atoms"
    return ""
