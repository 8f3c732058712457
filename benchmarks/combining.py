"""The whole against its parts: is the answer below what it is made of?

    KNOWREASON_DATA=DIR python -m benchmarks.combining [--quick] [--only PART ...]
        [--first N] [--seeds N] [--people N] [--out DIR]

Parts: `full` and `few` (intrusion worlds, labels of all past days or of the first seven), `starter`
(`knowreason new`, 24 labels, one model breaks at the cut) and `cards` (s_ffsd; outside data, left
out without KNOWREASON_DATA). Each row is the answer, its halves S (stacked models) and R (rules),
the learned weights L, and what anyone would try: models alone, stacking, trees over all columns and
definitions. `best` is the best of the latter, chosen with hindsight; differences are paired over
whole days or slices. Prints tables and writes one JSON. --quick takes worlds 0-2 of 160 people, the
starter's seeds 0-2 and s_ffsd with all labels.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

import knowreason as kr
from benchmarks import card_fraud, intrusion
from benchmarks.answer_parts import Scores, answer_parts
from benchmarks.prevalence import starter
from benchmarks.reporting import parser, show, write
from knowreason.beliefs.beliefs import Beliefs
from knowreason.evaluate.baselines import baseline_scores
from knowreason.evaluate.evaluation import block_of
from knowreason.metrics.metrics import evaluate, metric, paired_difference
from knowreason.reasoner.fit_steps import training_labels
from knowreason.reasoner.labels.asked_labels import hidden_truth

PARTS = ("full", "few", "starter", "cards")
METRICS = ("average_precision", "roc_auc", "log_loss", "ece")
OURS = ("answer", "R", "S", "P", "L")
DRAWS = 6  # of few labels of s_ffsd


@dataclass(frozen=True)
class Case:
    """A fitted reasoner on a test part.

    Attributes:
        name: ``full 0``, ``cards, 100 labels 3``.
        reasoner, beliefs: fitted on the past, asked about the future.
        predicate: what is asked.
        by: attribute whose values are resampled whole.
        seconds: CPU time of the fit.
    """

    name: str
    reasoner: kr.Reasoner
    beliefs: Beliefs
    predicate: str
    by: str
    seconds: float


def fitted(name: str, reasoner: kr.Reasoner, parts: tuple[Any, Any], asked: str, by: str) -> Case:
    """A case from an unfitted reasoner, past and future."""
    start = time.process_time()
    reasoner.fit(parts[0])
    spent = time.process_time() - start
    return Case(name, reasoner, reasoner.infer(parts[1]), asked, by, spent)


def worlds(setting: str, seed: int, people: int, out: Path) -> Case:
    """An intrusion world: trees and three models, all rules."""
    one = intrusion.bench({"full": "inductive"}.get(setting, setting), False, out, seed, people)
    kept = intrusion.PAPER + intrusion.LOG + intrusion.HUB
    program = replace(one.program, rules=tuple(r for r in one.program.rules if r.name in kept))
    settings = kr.Settings(clusters=intrusion.CLUSTERS)
    reasoner = kr.Reasoner(program, folds=one.folds, settings=settings)
    return fitted(f"{setting} {seed}", reasoner, (one.past, one.future), "Malicious", "day")


def starters(seed: int) -> Case:
    """The starter project, as it is made."""
    from knowreason.project.project_file import load_project
    from knowreason.run.starters import new_project

    with tempfile.TemporaryDirectory() as folder:
        new_project(Path(folder) / "project", "fraud")
        project = load_project(Path(folder) / "project")
    parts, _, _ = starter(seed, 24)
    settings = project.settings()
    reasoner = kr.Reasoner(parts.train.program, folds=project.learn.folds, settings=settings)
    return fitted(f"starter {seed}", reasoner, (parts.train, parts.test), "Fraud", "day")


def cards(bench: card_fraud.Bench, labels: int, seed: int) -> Case:
    """s_ffsd with all (0) or some labels of the past."""
    past = bench.past
    if labels:
        rows = np.random.default_rng(seed).permutation(past.labels["Fraud"].num_rows)
        past = past.labels_only("Fraud", rows[:labels])
    reasoner = kr.Reasoner(past.program, settings=card_fraud.SETTINGS, seed=seed)
    name = f"cards, {labels:,} labels {seed}" if labels else "cards, all labels"
    return fitted(name, reasoner, (past, bench.future), "Fraud", "slice")


def scored(case: Case) -> tuple[NDArray[np.bool_], NDArray[np.int64] | None, dict[str, Scores]]:
    """Truth, blocks, and log-odds by row."""
    reasoner, beliefs, predicate = case.reasoner, case.beliefs, case.predicate
    atoms, truth = hidden_truth(beliefs, predicate)
    found = answer_parts(reasoner, beliefs, predicate, atoms)
    outputs = tuple(model.fitted.output for model in reasoner.models_)
    labels = training_labels(reasoner.grounding_, reasoner.models_, reasoner.settings)
    others, _ = baseline_scores(predicate, reasoner.grounding_, labels, outputs, beliefs, atoms)
    return truth, block_of(beliefs, predicate, atoms, case.by), found | others


def record(case: Case) -> dict[str, Any]:
    """Figures of every row, and the answer less the best other one."""
    truth, blocks, scores = scored(case)
    found = evaluate(truth, scores, METRICS, resamples=0)
    rows = {
        name: {m: estimate.value for m, estimate in figures.items()}
        | {"expected": float(expit(scores[name]).sum())}
        for name, figures in found.items()
    }
    if case.by == "slice":
        calm = blocks <= card_fraud.CALM_UNTIL
        for name, score in scores.items():
            rows[name]["AP 34-42"] = metric("average_precision")(truth[calm], score[calm])
    others = [name for name in scores if name not in OURS]
    best = max(others, key=lambda name: rows[name]["average_precision"])
    apart = paired_difference(
        truth, scores["answer"], scores[best], "average_precision", blocks=blocks
    )
    pool = {p.predicate: p for p in case.reasoner.answers_.pools}.get(case.predicate)
    return {
        "case": case.name,
        "scored": len(truth),
        "true": int(truth.sum()),
        "seconds": case.seconds,
        "rows": rows,
        "best": best,
        "difference": asdict(apart),
        "slope": None if pool is None else pool.slope,
        "intercept": None if pool is None else pool.intercept,
        "notes": list(case.reasoner.answers_.notes),
        "diagnosis": list(case.beliefs.notes),
    }


def cases(chosen: Any) -> Iterator[Case]:
    """All cases that were asked for."""
    seeds = range(chosen.first, chosen.first + (3 if chosen.quick else chosen.seeds))
    for part in chosen.only:
        if part in ("full", "few"):
            yield from (worlds(part, seed, chosen.people, chosen.out) for seed in seeds)
        elif part == "starter":
            yield from map(starters, seeds)
        elif card_fraud_data():
            bench = card_fraud.Bench.load()
            yield cards(bench, 0, 0)
            if not chosen.quick:
                for labels in (1000, 100):
                    yield from (cards(bench, labels, seed) for seed in range(DRAWS))


def card_fraud_data() -> bool:
    """Whether s_ffsd is there; says so where it is not."""
    import os

    there = (Path(os.environ.get("KNOWREASON_DATA", "")) / "s_ffsd").is_dir()
    if not there:
        print("cards: left out, KNOWREASON_DATA names no folder with s_ffsd")
    return there


def summary(records: Sequence[Mapping[str, Any]]) -> None:
    """Print one line a case."""
    rows = []
    for one in records:
        figures, apart = one["rows"], one["difference"]
        main = "AP 34-42" if "AP 34-42" in figures["answer"] else "average_precision"
        rows.append(
            {
                "case": one["case"],
                **{name: figures[name][main] for name in OURS if name in figures},
                "best other": f"{figures[one['best']][main]:.3f} {one['best']}",
                "AP less best": "{value:+.3f} [{low:+.3f}, {high:+.3f}]".format(**apart),
                "AUC": figures["answer"]["roc_auc"],
                "ECE": figures["answer"]["ece"],
                "log loss": figures["answer"]["log_loss"],
                "expected": f"{figures['answer']['expected']:.0f} of {one['true']}",
                "CPU s": one["seconds"],
            }
        )
    show("The answer and its parts (AP; of s_ffsd AP on slices 34-42)", rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts and write what was found."""
    assert __doc__ is not None
    made = parser(__doc__, "combining")
    made.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    made.add_argument("--first", type=int, default=0, help="the first seed")
    made.add_argument("--people", type=int, default=160, help="of an intrusion world")
    chosen = made.parse_args(arguments)
    records = []
    for case in cases(chosen):
        records.append(record(case))
        print(case.name, *case.reasoner.answers_.notes, sep="\n  ", flush=True)
        write(chosen.out, "combining", records)
    summary(records)


if __name__ == "__main__":
    main()
