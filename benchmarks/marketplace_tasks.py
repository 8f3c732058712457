"""Knowledge tasks by themselves, a second model of a larger snapshot, and items as things.

Part of the study of the generated marketplace: each kind's model is measured on its own question
rather than on all collusion; the second model is fitted on all days before the test; rules over
items are asked for where rings sell one item again and again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

import knowreason as kr
from benchmarks.marketplace_answer import without_embedding
from benchmarks.marketplace_graphs import ITEMS
from benchmarks.marketplace_study import TEST, Found, Study, World, Yard
from knowreason.metrics.metrics import evaluate
from knowreason.models.base.stored_models import FittedModel
from knowreason.reasoner.fitting.model_fits import fit_models

KINDS = {
    "takeover": "Takeover",
    "sign_in": "SignInTrouble",
    "one_day": "OneDay",
    "overridden": "Overridden",
    "secondary": "Suspected",
    "main": "Collusion",
}
ITEM_RULES = ("same_item", "item_seen")
PUMPED = 0.7


def task_rows(study: Study) -> list[dict[str, Any]]:
    """AP and AUC of each model on its own question, and of what rules make of it."""
    fit = study.reason().fit
    rows = []
    for model, predicate in KINDS.items():
        hidden = study.test.hidden[predicate]
        local = hidden["a0"].to_numpy().astype(np.int64)
        truth = hidden["value"].to_numpy() == 1
        (output,) = (output for output in study.now if output.model == model)
        scores = {
            "model": output.llr[local].astype(np.float64),
            "rules": study.believed(study.program, fit, of=(predicate, local)),
        }
        days = study.day[local]
        found = evaluate(truth, scores, ("average_precision", "roc_auc"), blocks=days)
        rows.append({"model": model, "asked": predicate, "true": int(truth.sum())})
        for name, figures in found.items():
            rows[-1] |= {
                f"AP, {name}": str(figures["average_precision"]),
                f"AUC, {name}": f"{figures['roc_auc'].value:.3f}",
            }
    return rows


def secondary_rows(study: Study, world: World) -> Found:
    """The second model of 30 days and of all days before the test, alone and under the rules."""
    larger = _larger_secondary(study, world)
    others = tuple(model for model in study.models if model.name != "secondary")
    over = Study.of(study.program, study.training, study.test, known=(*others, larger))
    return {
        "secondary, the snapshot of the others": study.model_scores("secondary"),
        "secondary, all days before": over.model_scores("secondary"),
        "rules at learned weights over the first": study.reason().scores,
        "rules at learned weights over the other": over.reason().scores,
    }


def _larger_secondary(study: Study, world: World) -> FittedModel:
    """The model fitted on days 0-39; out of fold for the training part's transactions."""
    data = world.days(0, TEST)
    declared = tuple(model for model in study.program.models if model.name == "secondary")
    program = replace(study.program, models=declared)
    options = {"folds": "random", "fold_count": 4, "seed": 0, "device": "cpu"}
    (model,) = fit_models(program, data, {}, **options)
    names = study.training.vocabularies["Transaction"].names
    rows = pc.index_in(names, value_set=data.vocabularies["Transaction"].names).to_numpy()
    fitted = model.fitted
    part = replace(
        fitted,
        output=replace(fitted.output, llr=fitted.output.llr[rows]),
        out_of_fold=fitted.out_of_fold[rows],
        silent=fitted.silent[rows],
        scores=None,
    )
    return replace(model, fitted=part)


def item_rows(seed: int, transactions: int, prevalence: float) -> tuple[Yard, Found]:
    """Rules at learned weights with and without those over items, where rings pump items."""
    world = World.draw(seed, transactions, prevalence, pumped=PUMPED)
    program = without_embedding(kr.load(str(ITEMS)))
    study = Study.of(program, *replace(world, program=program).inductive())
    kept = [rule.name for rule in program.rules if rule.name not in ITEM_RULES]
    alone = [rule.name for rule in program.rules if rule.name in ITEM_RULES]
    found = {
        "models without rules": study.reason(rules=[]).scores,
        "only the rules over items": study.reason(rules=alone).scores,
        "all rules but those over items": study.reason(rules=kept).scores,
        "all rules": study.reason().scores,
    }
    return study.yard, found
