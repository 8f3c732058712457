"""The answer and its parts in the generated marketplace: whole sellers, no embedding.

Folds keep sellers whole, labels of one seller count as dependent, and ``main`` is trees without
the embedding before them, which takes away here. One row each for the answer, its halves S and R,
stated and learned weights (P, L), the models, and what anyone would try: stacking of all nine
models (the eight of the rules and trees over all signs and history) and those trees alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

import knowreason as kr
from benchmarks.answer_parts import answer_parts
from benchmarks.marketplace_study import ASKED, DERIVED, TUNED, Found, Scores, World, Yard
from knowreason.data import Dataset
from knowreason.factors.model_output import ModelOutput
from knowreason.logic import Program
from knowreason.models import make, predicted
from knowreason.models.base.stored_models import FittedModel
from knowreason.reasoner.fit_answers import with_trees
from knowreason.reasoner.fitting.model_fits import fit_models
from knowreason.reasoner.labels.asked_labels import hidden_truth
from knowreason.reasoner.labels.fold_groups import FoldGroups

ANSWER, NINE = "the answer", "stacking of nine"
PARTS = {
    "S": "S: models of Collusion stacked",
    "P": "P: rules, stated weights",
    "L": "L: rules, learned weights",
    "R": "R: rules, the weights in use",
    "answer": ANSWER,
}
TREES = "trees, all signs and history, tuned"
SETTINGS = kr.Settings(clusters="seller")
Said = Mapping[str, Any]


def without_embedding(program: Program) -> Program:
    """The program whose model ``main`` is only the trees that read the embedding."""
    return replace(
        program,
        models=tuple(
            replace(m, call=dict(m.call.options)["classifier"]) if m.name == "main" else m
            for m in program.models
        ),
    )


def answered(world: World, file: Path, models: Path) -> tuple[Yard, Found, Said]:
    """Truth, scores and what the reasoner said; read where an earlier run has left them."""
    told = file.with_suffix(".json")
    if not (file.exists() and told.exists()):
        yard, found, said = answer_rows(world, models)
        yard.save(file, found)
        told.write_text(json.dumps(said, indent=1))
    return *Yard.load(file), json.loads(told.read_text())


def answer_rows(world: World, models: Path) -> tuple[Yard, Found, Said]:
    """The same, made; finished models are kept in the folder ``models``."""
    world = replace(world, program=without_embedding(world.program))
    training, test = world.inductive()
    reasoner = kr.Reasoner(world.program, settings=SETTINGS, device="cpu")
    start = time.process_time()
    reasoner.fit(training, checkpoints=models)
    spent = time.process_time() - start
    beliefs = reasoner.infer(test)
    atoms, truth = hidden_truth(beliefs, ASKED)
    local = atoms - beliefs.grounding.span(ASKED).start
    trees = _trees_beside(reasoner, training, models)
    fitted = (*reasoner.models_, trees)
    past = [model.fitted.output for model in fitted]
    now = [*beliefs.outputs, trees.fitted.predict(test)]
    pools = {pool.predicate: pool for pool in reasoner.answers_.pools}
    found: dict[str, Scores] = {}
    for output in now:
        found[f"model {output.model}"] = output.llr + logit(output.base_rate)
    (base,) = (output.base_rate for output in now if output.model == "main")
    found["average of nine"] = np.mean([output.llr for output in now], axis=0) + logit(base)
    found[NINE] = _stacked(training, past, now)
    tuned = make("trees", {"features": ("*", *DERIVED), "hops": 0, **TUNED})
    tuned.fit(training, ASKED)
    output = predicted(tuned, test, ASKED, "trees")
    found[TREES] = output.llr + logit(output.base_rate)
    scores = {name: np.asarray(score, np.float64)[local] for name, score in found.items()}
    parts = answer_parts(reasoner, beliefs, ASKED, atoms)
    scores |= {shown: parts[name] for name, shown in PARTS.items() if name in parts}
    days = test.attributes["day"]
    day = np.zeros(test.count("Transaction"), dtype=np.int64)
    day[days["a0"].to_numpy()] = days["value"].to_numpy()
    said = {
        "seconds": spent,
        "asked": len(truth),
        "collusive": int(truth.sum()),
        "learned from": int((training.labels[ASKED]["value"].to_numpy() == 1).sum()),
        "expected": {name: float(expit(score).sum()) for name, score in scores.items()},
        "notes": list(reasoner.answers_.notes),
        "diagnosis": list(beliefs.notes),
        "pool": pools[ASKED].to_values() if ASKED in pools else None,
        "calibrations": {
            f"{m.name} of {m.predicate}": [
                m.fitted.calibration.slope,
                m.fitted.calibration.intercept,
            ]
            for m in fitted
        },
        "folds": [f"{m.name}: {line}" for m in fitted for line in m.fitted.report],
    }
    return Yard(truth, day[local]), scores, said


def _trees_beside(reasoner: kr.Reasoner, training: Dataset, models: Path) -> FittedModel:
    """The trees that join by themselves, kept by the fit whether or not they are stacked."""
    fitted = fit_models(
        with_trees(reasoner.program, training, SETTINGS),
        training,
        {},
        folds="",
        fold_count=SETTINGS.fold_count,
        seed=0,
        device="cpu",
        groups=FoldGroups.by(reasoner.grounding_, SETTINGS.clusters),
        checkpoints=models,
    )
    (trees,) = (model for model in fitted if model.predicate == ASKED)
    return trees


def _stacked(training: Dataset, past: list[ModelOutput], now: list[ModelOutput]) -> Scores:
    """Logistic regression on the ratios of models, whatever they speak of."""
    labels = training.labels[ASKED]
    rows, columns = labels["a0"].to_numpy(), np.stack([o.llr for o in past], axis=1)
    regression = LogisticRegression(max_iter=1000)
    regression.fit(columns[rows], labels["value"].to_numpy() == 1)
    asked = np.stack([o.llr for o in now], axis=1)
    return np.asarray(regression.decision_function(asked), np.float64)
