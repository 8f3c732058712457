"""Probabilities from labels that were chosen by their outcome: do they sum to the truth?

    python -m benchmarks.prevalence [--quick] [--seeds N] [--labels N ...] [--out DIR]

The starter project (`knowreason new`) on worlds of its generator, in which half of the labels
are fraud. Rows: the labels as a fair sample; the true share of the past declared; 2 % declared;
the share estimated from unlabelled scores; sampling weights of the labels. Two parts are
measured: payments of the past, where nothing has changed, and those of the future, where one of
the two models has gone blind. --quick: one seed, 24 labels.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit

from benchmarks.reporting import parser, show, write
from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.data.worlds import skimming
from knowreason.metrics.metrics import metric
from knowreason.project.partition import Parts
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_parts
from knowreason.project.settings import Prevalence, Settings
from knowreason.reasoner.labels.label_selection import label_selections
from knowreason.reasoner.reasoner import Reasoner
from knowreason.run.starters import new_project

FIGURES = ("average_precision", "log_loss", "ece")


def starter(seed: int, labels: int) -> tuple[Parts, dict[str, bool], Settings]:
    """The parts of a starter project, whether each payment is fraud, and its settings."""
    world = skimming(seed, drift=0.5, labels=labels)
    with tempfile.TemporaryDirectory() as folder:
        new_project(Path(folder) / "project", "fraud")
        for name, table in world.items():
            if name not in ("truth", "compromised"):
                pq.write_table(table, Path(folder) / "project" / "data" / f"{name}.parquet")
        project = load_project(Path(folder) / "project")
        parts = load_parts(project)
    fraud = {str(row["id"]): bool(row["fraud"]) for row in world["truth"].to_pylist()}
    return parts, fraud, replace(project.settings(), prevalence=None)


def measured(beliefs: Beliefs, fraud: dict[str, bool]) -> dict[str, float]:
    """Counts and figures of all asked payments."""
    atoms = beliefs.asked("Fraud")
    span = beliefs.grounding.span("Fraud")
    names = beliefs.grounding.data.vocabularies["Payment"].names.to_pylist()
    truth = np.array([fraud[names[i]] for i in span.arguments[atoms - span.start, 0]])
    log_odds = beliefs.log_odds[atoms]
    figures = {name: metric(name)(truth, log_odds) for name in FIGURES}
    return {"true": float(truth.sum()), "expected": float(expit(log_odds).sum()), **figures}


def study(seed: int, labels: int) -> list[dict[str, object]]:
    """A record a row and part."""
    parts, fraud, settings = starter(seed, labels)
    past, future = parts.train, parts.test
    assert future is not None
    names = past.vocabularies["Payment"].names.to_pylist()
    share = sum(fraud[name] for name in names) / len(names)
    table = past.labels["Fraud"]
    true = table.column("value").to_numpy() == 1
    weight = np.where(true, share / true.mean(), (1 - share) / (1 - true.mean()))
    weights = pa.table({"a0": table.column("a0"), "value": pa.array(weight)})
    weighted = replace(past, label_weights={"Fraud": weights})
    ways: dict[str, tuple[Dataset, Prevalence | None]] = {
        "labels as a fair sample": (past, None),
        "true share declared": (past, share),
        "2 % declared": (past, 0.02),
        "estimate": (past, "estimate"),
        "weights": (weighted, None),
    }
    records: list[dict[str, object]] = []
    for name, (data, prevalence) in ways.items():
        chosen = replace(settings, prevalence=prevalence)
        reasoner = Reasoner(past.program, folds="random", settings=chosen).fit(data)
        used = label_selections(data, reasoner.models_, chosen).get("Fraud")
        told = [w.code for w in reasoner.grounding_.warnings if w.code in ("KR844", "KR846")]
        hidden = past.hide("Fraud", np.ones(table.num_rows, dtype=bool))
        for part, asked in (("past", hidden), ("future", future)):
            records.append(
                {
                    "labels": labels,
                    "seed": seed,
                    "part": part,
                    "way": name,
                    "prevalence": None if used is None else used.prevalence,
                    "interval": "" if used is None else "{:.2g} to {:.2g}".format(*used.interval),
                    "warned": ", ".join(told),
                    **measured(reasoner.infer(asked), fraud),
                }
            )
    return records


def main() -> None:
    """Run, print, write."""
    assert __doc__ is not None
    options = parser(__doc__, "prevalence")
    options.add_argument("--labels", type=int, nargs="+", default=[24, 200])
    chosen = options.parse_args()
    records: list[dict[str, object]] = []
    for labels in [24] if chosen.quick else chosen.labels:
        for seed in range(1 if chosen.quick else chosen.seeds):
            records += study(seed, labels)
    show("Probabilities from labels chosen by their outcome", records)
    write(chosen.out, "prevalence", records)


if __name__ == "__main__":
    main()
