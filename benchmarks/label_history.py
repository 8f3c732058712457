"""Labels as history in s_ffsd: what shares of known frauds add, and what ageing wrongly costs.

    KNOWREASON_DATA=DIR python -m benchmarks.label_history [--quick] [--only PART ...] [--out DIR]

`rulesets/card_fraud_labels.kr` beside the same file without its six definitions over labels
(`card_fraud.kr`); frozen (fitted once, before slice 34) and prequential (model refitted every
third slice), with labels known at once or two slices after the payment. "wrong" reads labels
that are fresh in training and frozen in the test. AP on slices 34-42 and the mean AUC of the
slices come first: three quarters of the test frauds lie in slices 43 and 44. --quick fits the
model alone, once, at delay 0.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import knowreason as kr
from benchmarks.card_fraud import CUT, RULES, SETTINGS, Bench, Scores, Yard
from benchmarks.reporting import data_folder, parser, show, write
from knowreason.data import Dataset, known_at
from knowreason.evaluate.prequential import RefitSchedule, prequential
from knowreason.metrics.metrics import Estimate, by_block
from knowreason.models import atoms_of, make

WITHOUT, WITH = "without labels", "with labels"
FILES = {WITHOUT: "card_fraud.kr", WITH: "card_fraud_labels.kr"}
WRONG = "wrong: fresh in training"
DELAYS = (0, 2)


def parts(whole: Dataset, delay: int) -> tuple[Dataset, Dataset]:
    """Past and future of a frozen protocol, labels known ``delay`` slices after the payment."""
    past, future = replace(whole, label_delay=delay).split_by("slice", before=CUT)
    return (known_at(past, CUT, delay), known_at(future, CUT, delay)) if delay else (past, future)


def variants(delay: int) -> dict[str, tuple[Dataset, Dataset]]:
    """Past and future without labels, with them, and with labels that age wrongly."""
    found = {name: parts(Bench.load(RULES / file).whole, delay) for name, file in FILES.items()}
    past, future = found[WITH]
    return found | {WRONG: (replace(past, label_refresh=0), future)}


def frozen_models(delay: int) -> dict[str, Scores]:
    """The model alone, fitted on all labels of the past."""
    return {name: alone(*data) for name, data in variants(delay).items()}


def alone(past: Dataset, future: Dataset) -> Scores:
    """Log-odds of ``main`` for every payment."""
    call = past.program.models_for("Fraud")[0].call
    model = make("trees", dict(call.options)).fit(past, "Fraud")
    return model.log_odds(future, "Fraud").astype(np.float64)


def frozen(delay: int) -> dict[str, Scores]:
    """Model and reasoner, fitted once."""
    found = {}
    for name, (past, future) in variants(delay).items():
        reasoner = kr.Reasoner(past.program, settings=SETTINGS).fit(past)
        beliefs = reasoner.infer(future)
        span = beliefs.grounding.span("Fraud")
        found[f"model {name}"] = beliefs.outputs[0].llr.astype(np.float64)
        found[f"reasoner {name}"] = beliefs.log_odds[span.start : span.stop]
        print(f"{name}\n{reasoner.weights_}", flush=True)
    return found


def walked(delay: int, name: str) -> dict[str, Scores]:
    """Model and reasoner, slice after slice."""
    whole = Bench.load(RULES / FILES[name]).whole
    reasoner = kr.Reasoner(whole.program, settings=SETTINGS)
    schedule = RefitSchedule(weights=0, models=3)
    walk = prequential(
        reasoner, whole, "slice", CUT, delay=delay, schedule=schedule, looks_back=True
    )
    _, future = whole.split_by("slice", before=CUT)
    arguments = atoms_of(future, "Fraud").arguments
    model = replace(walk, log_odds=walk.models["main"].astype(np.float64))
    return {
        f"model {name}": model.aligned(future, arguments),
        f"reasoner {name}": walk.aligned(future, arguments),
    }


PARTS = {
    **{f"model-{d}": partial(frozen_models, d) for d in DELAYS},
    **{f"frozen-{d}": partial(frozen, d) for d in DELAYS},
    **{f"walk-{d}-without": partial(walked, d, WITHOUT) for d in DELAYS},
    **{f"walk-{d}-with": partial(walked, d, WITH) for d in DELAYS},
}


def measured(part: str, yard: Yard) -> list[dict[str, Any]]:
    """Rows of one part: figures, their intervals, and AP and AUC by slice."""
    start = time.perf_counter()
    scores = PARTS[part]()
    seconds = time.perf_counter() - start
    rows = []
    for name, whole in scores.items():
        score = whole[yard.local]
        figures = {key: asdict(estimate) for key, estimate in yard.measure(score).items()}
        slices = {
            metric: {int(k): v for k, v in by_block(yard.truth, score, yard.slices, metric).items()}
            for metric in ("roc_auc", "average_precision")
        }
        rows.append({"part": part, "name": name, "seconds": seconds, **figures, "slices": slices})
    reasoner = f"reasoner {WITH}"
    if {reasoner, f"reasoner {WITHOUT}"} <= scores.keys():
        pair = (scores[n][yard.local] for n in (reasoner, f"reasoner {WITHOUT}"))
        rows[-1]["difference"] = asdict(yard.difference(*pair))
    return rows


def table(rows: Sequence[dict[str, Any]]) -> None:
    """Print one line a row."""
    figures = ("AP 34-42", "slice AUC", "AUC", "AP")
    shown = [
        {"part": r["part"], "name": r["name"]}
        | {f: str(Estimate(**r[f])) for f in figures}
        | {"s": round(r["seconds"])}
        for r in rows
    ]
    show("Labels as history, s_ffsd", shown)
    for row in rows:
        if "difference" in row:
            print(f"{row['part']}, AP 34-42, with less without: {Estimate(**row['difference'])}")


def draw(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """AUC by slice at delay 0 of the frozen model: without labels, with, and wrongly aged."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    chosen = [r for r in rows if r["part"] == "model-0"]
    figure, axis = pyplot.subplots(figsize=(8, 3.4))
    for row in chosen:
        values = {int(k): v for k, v in row["slices"]["roc_auc"].items()}
        axis.plot(list(values), list(values.values()), marker="o", label=row["name"])
    axis.set_xlabel("slice (fitted once, before slice 34)")
    axis.set_ylabel("AUC of the model")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(folder / "label_history.svg")
    figure.savefig(folder / "label_history.png", dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts; results of earlier parts in the folder are kept."""
    options = parser(__doc__ or "", "label_history")
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    chosen = options.parse_args(arguments)
    data_folder()
    file = chosen.out / "label_history.json"
    kept = json.loads(file.read_text()) if file.is_file() else []
    bench = Bench.load()
    for part in ["model-0"] if chosen.quick else chosen.only:
        rows = measured(part, bench.yard)
        kept = [row for row in kept if row["part"] != part] + rows
        write(chosen.out, "label_history", kept)
        table(rows)
    table(kept)
    draw(kept, chosen.out)


if __name__ == "__main__":
    main()
