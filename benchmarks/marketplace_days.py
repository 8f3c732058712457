"""What one new day does to whom, in the generated marketplace (KnowGraph's Introduction).

Everything is learned from 60 % of the transactions of days 10-39. The other 40 % of these days
are the usual, transductive test. Then one day is added to the snapshot, and only its transactions
are asked about: day 40, or 41 and so on, each as the only day that nobody has labelled. The answer,
its parts, a GCN, Infomax and trees are asked the same. Labels that were learned from stay known.
AP depends on how many are collusive: on both parts honest transactions are weighed so that the
share is that of the days learned from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
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
from knowreason.metrics.intervals import draw
from knowreason.metrics.metrics import Estimate, evaluate, metric
from knowreason.models import KnowledgeModel, make, predicted
from knowreason.reasoner.labels.asked_labels import hidden_truth

HELD = 0.4
RESAMPLES = 200
NEW_DAYS = tuple(range(TEST, TEST + 10))
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


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of :func:`new_day` for the screen."""
    cells: dict[str, Any] = {"": row["name"]}
    for part in (SAME, NEW):
        found = row[part]["average_precision"]
        cells[f"AP, {part}"] = str(Estimate(found["value"], found["low"], found["high"]))
        cells[f"AUC, {part}"] = row[part]["roc_auc"]["value"]
        cells[f"collusive, {part}"] = str(row[part]["collusive"])
    return cells


def _rows(parts: Mapping[str, Day]) -> Iterator[dict[str, Any]]:
    share = float(parts[SAME].truth.mean())
    for name in parts[SAME].scores:
        row: dict[str, Any] = {"name": name}
        for part, day in parts.items():
            score = day.scores[name]
            auc = evaluate(day.truth, {"": score}, ["roc_auc"], blocks=day.days)[""]["roc_auc"]
            row[part] = {
                "average_precision": asdict(_at_prevalence(day, score, share)),
                "roc_auc": asdict(auc),
                "collusive": int(day.truth.sum()),
                "asked": len(day.truth),
            }
        yield row


def _at_prevalence(day: Day, score: Scores, share: float) -> Estimate:
    """AP with honest transactions weighed so that ``share`` is collusive; days resampled."""
    ones = np.ones((1, len(score)))
    weights = np.concatenate([ones, *draw(len(score), day.days, RESAMPLES, 0).weights()])
    with np.errstate(divide="ignore", invalid="ignore"):
        honest = (1 - share) / share * (weights @ day.truth) / (weights @ ~day.truth)
    weights = np.where(day.truth, weights, weights * honest[:, None])
    value, *draws = metric("average_precision").each(day.truth, score, weights)
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))
