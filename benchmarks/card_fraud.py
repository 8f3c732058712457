"""Card fraud in s_ffsd: trained on slices before 34, tested on the rest.

    KNOWREASON_DATA=DIR python benchmarks/card_fraud.py [--quick] [--only PART ...] [--out DIR]

Prints tables; writes `card_fraud.json` and pictures to --out. 75 % of the test frauds lie in
slices 43-44, so AP on slices 34-42 and the mean AUC of the slices come first, the pooled
figures after them; intervals are 95 % by bootstrap over whole slices. --quick leaves out the
walk through the slices and takes one seed of few labels.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import knowreason as kr
from knowreason.beliefs.reasons import explain_index
from knowreason.data import Dataset
from knowreason.data.id_tables import id_matrix
from knowreason.evaluate.evaluation import evaluate_reasoner
from knowreason.evaluate.prequential import RefitSchedule, prequential
from knowreason.metrics.metrics import Estimate, by_block, evaluate, paired_difference
from knowreason.models import atoms_of, make
from knowreason.models.base.feature_columns import evaluated
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_data
from knowreason.row_keys import locate

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "rulesets"
CUT, CALM_UNTIL = 34, 42
SETTINGS = kr.Settings(clusters="target")  # frauds come in bursts at a merchant
HISTORY = tuple(
    f"{what}_{key}" for what in ("n", "mean") for key in ("source", "target", "place", "kind")
)
VIEWS = """
model newcomer for Fraud = trees(features=["NewSource", "n_source", "new_share", "recent_new"],
  hops=0)
model burst for Fraud = trees(features=["burst_target", "burst_source", "burst_place",
  "burst_kind", "same_amount"], hops=0)
"""
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Yard:
    """What every score is measured against.

    Attributes:
        data: the test part, its labels hidden.
        local: ``int64[n]`` atoms with a hidden label, within the span of ``Fraud``.
        truth: ``bool[n]``.
        slices: ``int64[n]``.
    """

    data: Dataset
    local: NDArray[np.int64]
    truth: NDArray[np.bool_]
    slices: NDArray[np.int64]

    @staticmethod
    def of(future: Dataset) -> Yard:
        """From the later part of the split."""
        table = future.hidden["Fraud"]
        things = id_matrix(table)
        clock = future.attributes["slice"]
        of_thing = np.zeros(future.count("Payment"), dtype=np.int64)
        of_thing[clock["a0"].to_numpy()] = clock["value"].to_numpy()
        return Yard(
            future,
            locate(atoms_of(future, "Fraud").arguments, things),
            table["value"].to_numpy() == 1,
            of_thing[things[:, 0]],
        )

    def measure(self, score: Scores) -> dict[str, Estimate]:
        """The four figures with intervals by whole slices."""
        calm = self.slices <= CALM_UNTIL
        pooled = evaluate(
            self.truth, {"": score}, ("roc_auc", "average_precision"), blocks=self.slices
        )[""]
        first = evaluate(
            self.truth[calm], {"": score[calm]}, ("average_precision",), blocks=self.slices[calm]
        )[""]
        return {
            "AP 34-42": first["average_precision"],
            "slice AUC": mean_of_slices(self.truth, score, self.slices),
            "AUC": pooled["roc_auc"],
            "AP": pooled["average_precision"],
        }

    def difference(self, one: Scores, two: Scores) -> Estimate:
        """AP on the calm slices, paired."""
        calm = self.slices <= CALM_UNTIL
        return paired_difference(
            self.truth[calm], one[calm], two[calm], "average_precision", blocks=self.slices[calm]
        )


def mean_of_slices(truth: NDArray[np.bool_], score: Scores, slices: NDArray[np.int64]) -> Estimate:
    """Mean AUC of the slices that hold both classes; slices are resampled."""
    each = np.array(list(by_block(truth, score, slices, "roc_auc").values()))
    each = each[np.isfinite(each)]
    draws = np.random.default_rng(0).choice(each, (1000, len(each))).mean(axis=1)
    return Estimate(float(each.mean()), *(float(q) for q in np.percentile(draws, [2.5, 97.5])))


@dataclass
class Bench:
    """Tables of the benchmark, and the values they share."""

    whole: Dataset
    past: Dataset
    future: Dataset
    yard: Yard
    rows: list[dict[str, Any]]
    scores: dict[str, Scores]

    @staticmethod
    def load(rule_file: Path = RULES / "card_fraud.kr", more: str = "") -> Bench:
        """Data under the program of a rule file, split by time."""
        os.environ.setdefault("KNOWREASON_DATA", str(ROOT.parent / "shared" / "data"))
        project = load_project(ROOT / "examples" / "card_fraud")
        program = kr.loads(rule_file.read_text() + more, str(rule_file))
        whole = load_data(project, program)
        past, future = whole.split_by("slice", before=CUT)
        return Bench(whole, past, future, Yard.of(future), [], {})

    def add(self, name: str, score: Scores, seconds: float = float("nan"), part: str = "") -> None:
        """Measure and print one row."""
        figures = self.yard.measure(score)
        self.scores[name] = score
        self.rows.append(
            {"part": part, "name": name, "seconds": seconds}
            | {key: asdict(estimate) for key, estimate in figures.items()}
        )
        text = "  ".join(f"{key} {estimate}" for key, estimate in figures.items())
        print(f"{name:44} {text}  {seconds:6.1f} s", flush=True)

    def reasoner_scores(self, reasoner: kr.Reasoner) -> Scores:
        """Log-odds of the asked atoms by a fitted reasoner."""
        beliefs = reasoner.infer(self.future)
        start = beliefs.grounding.span("Fraud").start
        return beliefs.log_odds[start + self.yard.local]


def frozen(bench: Bench, quick: bool) -> None:
    """Fitted once, on slices before 34."""
    for name, features in (
        ("trees, own columns", ("amount", "place", "kind")),
        ("trees, history", ("amount", *HISTORY)),
    ):
        start = time.perf_counter()
        model = make("trees", {"features": features, "hops": 0, "max_iter": 300, "l2": 1.0})
        score = model.fit(bench.past, "Fraud").log_odds(bench.future, "Fraud")
        bench.add(
            name, score[bench.yard.local].astype(float), time.perf_counter() - start, "frozen"
        )
    views = Bench.load(more=VIEWS)
    for title, one in (("one model", bench), ("main + two views", views)):
        start = time.perf_counter()
        reasoner = kr.Reasoner(one.past.program, settings=SETTINGS).fit(one.past)
        seconds = time.perf_counter() - start
        beliefs = reasoner.infer(one.future)
        found = evaluate_reasoner(
            reasoner, one.past, beliefs, "Fraud", metrics=("roc_auc",), by="slice", ablate=False
        )
        order = found.atoms - beliefs.grounding.span("Fraud").start
        place = np.argsort(order)[np.searchsorted(np.sort(order), one.yard.local)]
        for name, score in found.scores.items():
            if title != "one model" or name in ("reasoner", "model main"):
                spent = seconds if name == "reasoner" else float("nan")
                bench.add(f"{name} ({title})", score[place], spent, "frozen")
        print(reasoner.weights_, flush=True)
    against(bench, "reasoner (one model)", "model main (one model)")
    against(bench, "reasoner (one model)", "stacking (logistic) (main + two views)")


def against(bench: Bench, one: str, two: str) -> None:
    """A paired difference on the calm slices."""
    difference = bench.yard.difference(bench.scores[one], bench.scores[two])
    tie = "a tie" if difference.low <= 0 <= difference.high else "beyond chance"
    print(f"AP 34-42, {one} less {two}: {difference}: {tie}", flush=True)
    bench.rows.append({"part": "difference", "name": f"{one} - {two}", **asdict(difference)})


def few_labels(bench: Bench, quick: bool) -> None:
    """No, 100 and 1,000 labels of the past, drawn at random."""
    rules = Bench.load(RULES / "card_fraud_rules.kr")
    start = time.perf_counter()
    settings = kr.Settings(labels="none")
    reasoner = kr.Reasoner(rules.past.program, settings=settings).fit(rules.past)
    spent = time.perf_counter() - start
    bench.add(
        "no labels: rules at their prior weights", rules.reasoner_scores(reasoner), spent, "few"
    )
    for count in (100, 1000):
        for seed in range(1 if quick else 3):
            rows = np.random.default_rng(seed).permutation(rules.past.labels["Fraud"].num_rows)
            for name, one in (("rules", rules), ("model + rules", bench)):
                start = time.perf_counter()
                past = one.past.labels_only("Fraud", rows[:count])
                reasoner = kr.Reasoner(one.past.program, settings=SETTINGS, seed=seed).fit(past)
                spent = time.perf_counter() - start
                bench.add(
                    f"{count} labels, seed {seed}: {name}",
                    one.reasoner_scores(reasoner),
                    spent,
                    "few",
                )
                if reasoner.models_:
                    score = reasoner.models_[0].fitted.predict(one.future).llr[one.yard.local]
                    bench.add(
                        f"{count} labels, seed {seed}: model alone", score.astype(float), part="few"
                    )


def walk(bench: Bench, quick: bool) -> None:
    """Slice after slice; the model is fitted again every third slice on labels known then."""
    if quick:
        return
    reasoner = kr.Reasoner(bench.past.program, settings=SETTINGS).fit(bench.past)
    span = atoms_of(bench.future, "Fraud")
    for delay in (0, 2):
        start = time.perf_counter()
        found = prequential(
            reasoner,
            bench.whole,
            "slice",
            CUT,
            delay=delay,
            schedule=RefitSchedule(weights=0, models=3),
            looks_back=True,
            progress=lambda done, total, message: print(".", end="", flush=True),
        )
        print()
        spent = time.perf_counter() - start
        arguments = span.arguments[bench.yard.local]
        bench.add(
            f"prequential, delay {delay}: reasoner",
            found.aligned(bench.future, arguments),
            spent,
            "walk",
        )
        model = replace(found, log_odds=found.models["main"].astype(float))
        bench.add(
            f"prequential, delay {delay}: model main",
            model.aligned(bench.future, arguments),
            part="walk",
        )


def speed(bench: Bench, quick: bool) -> None:
    """Training, scoring one slice, explaining twenty payments."""
    for name, seconds in timings(bench):
        print(f"{name:44} {seconds:.2f} s", flush=True)
        bench.rows.append({"part": "speed", "name": name, "seconds": seconds})


def timings(bench: Bench) -> Iterator[tuple[str, float]]:
    """Names and seconds."""
    fresh = Bench.load()
    start = time.perf_counter()
    names = [definition.name for definition in fresh.past.program.definitions]
    evaluated(fresh.past, names)
    yield "definitions of the past (29)", time.perf_counter() - start
    start = time.perf_counter()
    reasoner = kr.Reasoner(fresh.past.program, settings=SETTINGS).fit(fresh.past)
    yield "train, definitions known", time.perf_counter() - start
    upto, _ = fresh.whole.split_by("slice", before=CUT + 1)
    _, today = upto.split_by("slice", before=CUT)
    start = time.perf_counter()
    evaluated(today, names)
    yield "definitions with slice 34", time.perf_counter() - start
    start = time.perf_counter()
    beliefs = reasoner.infer(today)
    yield "score slice 34, definitions known", time.perf_counter() - start
    asked = beliefs.asked("Fraud")
    top = asked[np.argsort(-beliefs.log_odds[asked])[:20]]
    start = time.perf_counter()
    for atom in top:
        explain_index(beliefs, int(atom))
    yield "20 explanations", time.perf_counter() - start


def draw(bench: Bench, folder: Path) -> None:
    """AUC and AP by slice of the main rows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [
        name
        for name in bench.scores
        if name.startswith(
            ("reasoner (one", "model main (one", "no labels", "prequential, delay 0: r")
        )
    ]
    figure, axes = pyplot.subplots(2, 1, figsize=(8, 6), sharex=True)
    for axis, metric in zip(axes, ("roc_auc", "average_precision"), strict=True):
        for name in shown:
            values = by_block(bench.yard.truth, bench.scores[name], bench.yard.slices, metric)
            axis.plot(list(values), list(values.values()), marker="o", label=name)
        axis.set_ylabel(metric)
    axes[0].legend(fontsize=7)
    axes[1].set_xlabel("slice")
    figure.tight_layout()
    figure.savefig(folder / "card_fraud.svg")
    figure.savefig(folder / "card_fraud.png", dpi=110)


PARTS = {"frozen": frozen, "few": few_labels, "walk": walk, "speed": speed}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args(arguments)
    bench = Bench.load()
    for name in chosen.only:
        print(f"-- {name}", flush=True)
        PARTS[name](bench, chosen.quick)
    chosen.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(bench.rows, indent=1)
    (chosen.out / "card_fraud.json").write_text(text + "\n")
    if bench.scores:
        draw(bench, chosen.out)


if __name__ == "__main__":
    main()
