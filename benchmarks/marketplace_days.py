"""What one new day does to whom, in the generated marketplace (KnowGraph's Introduction).

Everything is learned from 60 % of the transactions of days 10-39. The other 40 % of these days
are the usual, transductive test. Then one day is added to the snapshot, and only its transactions
are asked about: day 40, or 41 and so on, each as the only day that nobody has labelled. The answer,
its parts, a GCN, Infomax and trees are asked the same. Labels that were learned from stay known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import knowreason as kr
from benchmarks.answer_parts import answer_parts
from benchmarks.marketplace_answer import SETTINGS, without_embedding
from benchmarks.marketplace_graphs import GCN
from benchmarks.marketplace_noise import FEATURES
from benchmarks.marketplace_study import ASKED, DERIVED, TEST, TUNED, WINDOW, Scores, World, days_of
from knowreason.data import Dataset
from knowreason.metrics.metrics import evaluate
from knowreason.models import KnowledgeModel, make, predicted
from knowreason.reasoner.labels.asked_labels import hidden_truth

HELD = 0.4
NEW_DAYS = tuple(range(TEST, TEST + 5))
SAME, NEW = "days learned from", "one new day"
ROWS = {
    "P": "rules over models, stated weights",
    "L": "rules over models, learned weights",
    "answer": "the answer",
}


@dataclass(frozen=True)
class Day:
    """Truth and scores by row of one snapshot's asked transactions; ``days`` of them."""

    truth: NDArray[np.bool_]
    days: NDArray[np.int64]
    scores: Mapping[str, Scores]


def new_day(seed: int, transactions: int, prevalence: float) -> list[dict[str, Any]]:
    """AP and AUC on the days learned from and on new ones, a row a way of scoring."""
    world = World.draw(seed, transactions, prevalence)
    whole = World(world.tables, without_embedding(world.program))
    first = TEST - WINDOW
    data = whole.days(first, TEST)
    held = np.random.default_rng(0).random(data.count("Transaction")) < HELD
    training, same = data.split_by_key("Transaction", held)
    known = data.vocabularies["Transaction"].names.filter(~held)
    reasoner = kr.Reasoner(whole.program, settings=SETTINGS, device="cpu").fit(training)
    (main,) = (model for model in world.program.models if model.name == "main")
    signs = dict(dict(main.call.options)["classifier"].options)["features"]
    gcn = make("gnn", {"features": FEATURES, "device": "cpu"} | GCN)
    trees = {"hops": 0, **TUNED}
    models = {
        "GCN": gcn,
        "DGI, signs, trees": make(
            "infomax", {"classifier": make("trees", {"features": signs, **trees}), "hidden": 16}
        ),
        "trees, all signs and history": make("trees", {"features": ("*", *DERIVED), **trees}),
    }
    for model in models.values():
        model.fit(training, ASKED)
    later = []
    for day in NEW_DAYS:
        snapshot = _asked_about(whole.days(first, day + 1), known)
        scored = _scored(reasoner, models, snapshot)
        later.append(_where(scored, scored.days == day))
        print(f"day {day}: {int(later[-1].truth.sum())} collusive", flush=True)
    before = _scored(reasoner, models, same)
    joined = Day(
        np.concatenate([day.truth for day in later]),
        np.concatenate([day.days for day in later]),
        {name: np.concatenate([day.scores[name] for day in later]) for name in before.scores},
    )
    return list(_rows({SAME: before, NEW: joined}))


def _asked_about(data: Dataset, known: Any) -> Dataset:
    """The data with labels of the known transactions only; the others are hidden."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = data.vocabularies["Transaction"].names
    asked = ~pc.is_in(names, value_set=pa.array(known)).to_numpy(zero_copy_only=False)
    for predicate, table in data.labels.items():
        data = data.hide(predicate, asked[table["a0"].to_numpy()])
    return data


def _scored(reasoner: kr.Reasoner, models: Mapping[str, KnowledgeModel], data: Dataset) -> Day:
    beliefs = reasoner.infer(data)
    atoms, truth = hidden_truth(beliefs, ASKED)
    local = atoms - beliefs.grounding.span(ASKED).start
    scores = {
        name: np.asarray(predicted(model, data, ASKED, name).llr, np.float64)[local]
        for name, model in models.items()
    }
    parts = answer_parts(reasoner, beliefs, ASKED, atoms)
    scores |= {shown: parts[part] for part, shown in ROWS.items() if part in parts}
    return Day(truth, days_of(data)[local], scores)


def _where(one: Day, mask: NDArray[np.bool_]) -> Day:
    scores = {name: score[mask] for name, score in one.scores.items()}
    return Day(one.truth[mask], one.days[mask], scores)


def _rows(parts: Mapping[str, Day]) -> Sequence[dict[str, Any]]:
    metrics = ("average_precision", "roc_auc")
    rows = []
    for name in parts[SAME].scores:
        row: dict[str, Any] = {"": name}
        for part, day in parts.items():
            found = evaluate(day.truth, {"": day.scores[name]}, metrics, blocks=day.days)[""]
            row[f"AP, {part}"] = str(found["average_precision"])
            row[f"AUC, {part}"] = f"{found['roc_auc'].value:.3f}"
            row[f"collusive, {part}"] = int(day.truth.sum())
        rows.append(row)
    return rows
