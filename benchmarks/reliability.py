"""Does reliability EM help when a sensor breaks, and leave the rest alone?

A world made for this: cases of a rare kind, three models that each see their own noisy
measurement of a case. Two arrangements:

- *one predicate*: ``main``, ``first`` and ``second`` all speak of ``Bad(Case)``;
- *knowledge*: ``main`` speaks of ``Bad``, ``first`` of ``Odd`` and ``second`` of ``Fake``,
  which hold of bad cases mostly, and rules tie them (``Bad(x) <=> Odd(x)``).

Trained on 20,000 or 300 labels in which all is well; tested on 20,000 unlabelled cases in
which the main model breaks, a knowledge model breaks, all fade, nothing happens, or errors
have a common cause. A broken model sees 28 % of the true atoms that it saw in training.
Average precision, log loss and ECE without and with ``adapt="reliability"``, over seeds.

    python benchmarks/reliability.py [--quick] [--out reliability.json]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from knowreason import Dataset, Reasoner, lang
from knowreason.data.features import FeatureSource
from knowreason.metrics.metrics import evaluate
from knowreason.reasoner.labels.asked_labels import hidden_truth

ONE = """
domain Case
query Bad(Case)
model main for Bad = sklearn("logistic", features=["x0"])
model first for Bad = sklearn("logistic", features=["x1"])
model second for Bad = sklearn("logistic", features=["x2"])
"""
KNOWLEDGE = """
domain Case
query Bad(Case)
query Odd(Case)
query Fake(Case)
model main for Bad = sklearn("logistic", features=["x0"])
model first for Odd = sklearn("logistic", features=["x1"])
model second for Fake = sklearn("logistic", features=["x2"])
rule odd: Bad(x) <=> Odd(x)
rule fake: Bad(x) <=> Fake(x)
"""
RATE = 0.02
DISTANCES = (3.0, 2.5, 2.5)  # of the measurement of a true atom from that of a false one
AGREE = (0.9, 0.9)  # share of bad cases that are odd, that are fake
STRAY = 0.004  # share of other cases that are
LEFT = 0.28  # what a broken model still sees
FADED = 0.6
MODELS = ("main", "first", "second")
METRICS = ("average_precision", "log_loss", "ece")


@dataclass(frozen=True)
class Change:
    """What happens at test time: share of true atoms each model still sees; shared noise."""

    name: str
    left: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shared: float = 0.0  # standard deviation of noise common to all, in training too
    new_shared: float = 0.0  # the same, from test time on


CHANGES = (
    Change("nothing"),
    Change("main breaks", (LEFT, 1.0, 1.0)),
    Change("a knowledge model breaks", (1.0, LEFT, 1.0)),
    Change("all fade", (FADED, FADED, FADED)),
    Change("shared cause of error, nothing else", shared=0.8),
    Change("shared cause of error, main breaks", (LEFT, 1.0, 1.0), 0.8),
    Change("a new cause of error shared by all", new_shared=0.8),
)


def cases(n: int, change: Change, knowledge: bool, rng: np.random.Generator) -> pl.DataFrame:
    """Truth and measurements of ``n`` cases."""
    bad = rng.random(n) < RATE
    atoms = [bad, bad, bad]
    if knowledge:
        atoms = [bad] + [np.where(bad, rng.random(n) < a, rng.random(n) < STRAY) for a in AGREE]
    common = (change.shared + change.new_shared) * rng.normal(size=n)
    columns = {"id": [f"c{i}" for i in range(n)], "Bad": bad}
    for place, (atom, distance, left) in enumerate(zip(atoms, DISTANCES, change.left, strict=True)):
        seen = atom & (rng.random(n) < left)
        columns[f"x{place}"] = rng.normal(size=n) + distance * seen + common
        columns[("Bad", "Odd", "Fake")[place]] = atom
    return pl.DataFrame(columns)


def dataset(frame: pl.DataFrame, knowledge: bool, labelled: np.ndarray) -> Dataset:
    """Labels of the cases ``labelled``; all cases are in it."""
    predicates = ("Bad", "Odd", "Fake") if knowledge else ("Bad",)
    labels = {
        p: frame.filter(pl.Series(labelled)).select("id", pl.col(p).cast(pl.Int8))
        for p in predicates
    }
    return Dataset.from_frames(
        lang.loads(KNOWLEDGE if knowledge else ONE),
        labels=labels,
        features={"Case": FeatureSource(frame.select("id", "x0", "x1", "x2"))},
        things={"Case": frame["id"]},
    )


def chosen_labels(frame: pl.DataFrame, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` cases at random, at least six bad ones among them."""
    bad = frame["Bad"].to_numpy()
    labelled = np.zeros(len(frame), bool)
    labelled[rng.choice(len(frame), count, replace=False)] = True
    labelled[rng.choice(np.flatnonzero(bad), 6, replace=False)] = True
    return labelled


def run(change: Change, knowledge: bool, labels: int, seed: int, n: int) -> dict[str, object]:
    """One seed: average precision of Bad without and with adaptation; what is said."""
    rng = np.random.default_rng([seed, labels])
    usual = Change("", shared=change.shared)
    past = cases(max(labels, 5000), usual, knowledge, rng)
    labelled = chosen_labels(past, labels, rng) if labels < len(past) else np.ones(len(past), bool)
    training = dataset(past, knowledge, labelled)
    reasoner = Reasoner(training.program, folds="random", seed=seed).fit(training)
    today = cases(n, change, knowledge, rng)
    test = dataset(today, knowledge, np.ones(n, bool))
    for predicate in list(test.labels):
        test = test.hide(predicate, np.ones(n, dtype=bool))
    start = time.perf_counter()
    beliefs = reasoner.infer(test, adapt="reliability")
    seconds = time.perf_counter() - start
    atoms, truth = hidden_truth(beliefs, "Bad")
    plain = beliefs.unadapted
    scores = {"before": plain.log_odds[atoms], "after": beliefs.log_odds[atoms]}
    figures = evaluate(truth, scores, METRICS, resamples=0)
    named = [m for m in MODELS if any(f"model `{m}` sees" in note for note in beliefs.notes)]
    return {
        **{key: {m: e.value for m, e in found.items()} for key, found in figures.items()},
        "named": named,
        "warned": any("err together" in note for note in beliefs.notes),
        "notes": list(plain.notes),
        "diagnosis": list(beliefs.diagnosis),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, 5,000 cases")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    seeds, n = (1, 5000) if given.quick else (given.seeds, 20000)
    rows = []
    print(f"{'world':14} {'labels':>6} {'change':36} AP, log loss and ECE; adapted; named")
    for knowledge in (False, True):
        for labels in (n, 300):
            for change in CHANGES:
                found = [run(change, knowledge, labels, seed, n) for seed in range(seeds)]
                shown = "  ->  ".join(
                    "  ".join(f"{np.mean([f[key][m] for f in found]):.3f}" for m in METRICS)
                    for key in ("before", "after")
                )
                counts = {m: sum(m in f["named"] for f in found) for m in MODELS}
                named = ", ".join(f"{m} {c}/{seeds}" for m, c in counts.items() if c) or "none"
                warned = sum(bool(f["warned"]) for f in found)
                world = "knowledge" if knowledge else "one predicate"
                print(
                    f"{world:14} {labels:6,} {change.name:36} {shown}  {named}"
                    + (f"; warned {warned}/{seeds}" if warned else ""),
                    flush=True,
                )
                rows.append(
                    {"world": world, "labels": labels, "change": change.name, "runs": found}
                )
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
