"""Collusion in a generated marketplace: models, rules and both (KnowGraph, section 5.2).

    python -m benchmarks.marketplace [--quick] [--only PART ...] [--seeds N] [--out DIR]

All data are generated (knowreason.data.worlds.marketplace); a seed is a world. Prints
tables, writes one JSON a part and pictures to --out. Figures are means over worlds, intervals
95 % by bootstrap over days within each world. Inductive: trained on days 10-39, tested on days
40-69, which hold other actors too; transductive: 40 % of the transactions of days 40-69 held
back at random. --quick takes 150,000 transactions a world and one collusive in 1,000, so that
a test snapshot holds some 60; the full run takes 600,000 and one in 3,000.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import knowreason as kr
from benchmarks.marketplace_answer import ANSWER, TREES, answered
from benchmarks.marketplace_days import new_day, shown
from benchmarks.marketplace_graphs import graph_rows
from benchmarks.marketplace_noise import calibration_table, knowgraph_rows, network_rows
from benchmarks.marketplace_pictures import ALL_DAYS, LATER, draw_days, draw_overlap, draw_weights
from benchmarks.marketplace_study import (
    ASKED,
    DERIVED,
    FAMILIES,
    METRICS,
    TEST,
    TUNED,
    Found,
    Split,
    Study,
    World,
    Yard,
    difference,
    mean_over_worlds,
    measured,
    studied,
    without,
)
from benchmarks.marketplace_tasks import item_rows, secondary_rows, task_rows
from benchmarks.reporting import parser, show, write

OURS = "reasoner (variational_em)"
STACKED = "stacking, all eight models"
QUICK_WORLDS, REPLICATES = 3, 200


@dataclass(frozen=True)
class Run:
    """What is asked of a run.

    Attributes:
        transactions, prevalence: of each world.
        worlds: their seeds.
        out: folder for results; fitted models and scores that are in it are taken over.
        overlaps: days by which training and test snapshots overlap.
        shares: of the collusion, whose kind was written down.
    """

    transactions: int
    prevalence: float
    worlds: tuple[int, ...]
    out: Path
    overlaps: tuple[int, ...]
    shares: tuple[float, ...]

    def study(self, kind: Split, seed: int, overlap: int = 0, annotated: float = 1.0) -> Study:
        """Models of one world, fitted."""
        return studied(
            kind,
            seed,
            overlap,
            transactions=self.transactions,
            prevalence=self.prevalence,
            annotated=annotated,
            out=self.out,
        )

    def measured(
        self,
        name: str,
        rows: Callable[[Study], Found],
        kind: Split = "inductive",
        overlap: int = 0,
        annotated: float = 1.0,
    ) -> tuple[list[Yard], list[Found]]:
        """Truth and scores of all worlds."""
        pairs = [
            measured(
                self.out
                / "scores"
                / f"{name}-{self.transactions}-{self.prevalence:.6f}-{seed}.npz",
                partial(self.study, kind, seed, overlap, annotated),
                rows,
            )
            for seed in self.worlds
        ]
        return [yard for yard, _ in pairs], [found for _, found in pairs]


def everything(study: Study) -> Found:
    """Every row of the main table."""
    names = [model.name for model in study.models]
    of_collusion = [model.name for model in study.models if model.predicate == ASKED]
    nothing = kr.Settings(labels="none")
    published = study.reason(method="knowgraph")
    return {
        **{f"model {name}": study.model_scores(name) for name in names},
        "average of all models": study.average(),
        "stacking, models of Collusion": study.stacked(of_collusion),
        STACKED: study.stacked(names),
        "trees, all signs, defaults": study.trees(("*",)),
        TREES: study.trees(("*", *DERIVED), **TUNED),
        "rules alone, learned weights": study.reason(models=[]).scores,
        "rules and models, prior weights": study.reason(settings=nothing).scores,
        "models without rules": study.reason(rules=[]).scores,
        "knowgraph, its network": study.by_network(published.fit),
        "knowgraph, its weights, exact inference": published.scores,
        OURS: study.reason().scores,
    }


def families(study: Study) -> Found:
    """Each family of rules alone, and left out."""
    found = {"models without rules": study.reason(rules=[]).scores}
    for name, rules in FAMILIES.items():
        found[f"only {name}"] = study.reason(rules=rules).scores
        found[f"without {name}"] = study.reason(rules=without(name)).scores
    found["rules alone, learned weights"] = study.reason(models=[]).scores
    for name in FAMILIES:
        found[f"rules alone, without {name}"] = study.reason(without(name), []).scores
    found[OURS] = study.reason().scores
    return found


def few_rows(study: Study) -> Found:
    """The rows of the picture."""
    return {
        "main": study.model_scores("main"),
        STACKED: study.stacked([model.name for model in study.models]),
        TREES: study.trees(("*", *DERIVED), **TUNED),
        OURS: study.reason().scores,
    }


def annotated_rows(study: Study) -> Found:
    """What may make use of kinds, and what does not need them."""
    return {
        "stacking, models of Collusion": study.stacked(["main", "points", "velocity"]),
        **few_rows(study),
        "models without rules": study.reason(rules=[]).scores,
        "reasoner without hierarchy": study.reason(without("hierarchy")).scores,
    }


def table(
    title: str, yards: Sequence[Yard], found: Sequence[Found], ours: str = OURS
) -> list[dict[str, Any]]:
    """Print and return one row a way of scoring."""
    rows = []
    for name in found[0]:
        scores = [of_world[name] for of_world in found]
        figures = {m: mean_over_worlds(yards, scores, m) for m in METRICS}
        each = [
            mean_over_worlds([y], [s], METRICS[0], 2).value
            for y, s in zip(yards, scores, strict=True)
        ]
        less = None
        if ours in found[0] and name != ours:
            less = difference(yards, [of_world[ours] for of_world in found], scores, METRICS[0])
        rows.append(
            {"name": name, "worlds": each, **{m: asdict(e) for m, e in figures.items()}}
            | {f"{ours} less it": None if less is None else asdict(less)}
        )
        rows[-1]["shown"] = {
            "": name,
            "AP": str(figures[METRICS[0]]),
            "AUC": str(figures["roc_auc"]),
            "TP@0.5%": figures["tpr@fpr=0.005"].value,
            "ECE x 1000": figures["ece"].value * 1000,
            "log loss x 1000": figures["log_loss"].value * 1000,
            f"{ours} less it (AP)": "" if less is None else str(less),
        }
    show(title, [row["shown"] for row in rows])
    return rows


def main_table(kind: Split, run: Run) -> None:
    """Single models, baselines, rules, both."""
    yards, found = run.measured(kind, everything, kind)
    rows = table(f"{kind}, {len(run.worlds)} generated worlds", yards, found)
    write(run.out, f"marketplace_{kind}", rows)


def answer(run: Run) -> None:
    """The answer, its halves, and stacking of nine, each world by itself."""
    record = {}
    for seed in run.worlds:
        key = f"answer-{run.transactions}-{run.prevalence:.6f}-{seed}"
        yard, found, said = answered(
            World.draw(seed, run.transactions, run.prevalence),
            run.out / "scores" / f"{key}.npz",
            run.out / "models" / key,
        )
        title = f"the answer, generated world {seed}: {said['learned from']} to learn from, "
        title += f"{said['collusive']} asked"
        rows = table(title, [yard], [found], ANSWER)
        show("expected", [{"": name, "sum": value} for name, value in said["expected"].items()])
        print(*said["notes"], said["pool"], f"{said['seconds']:.0f} CPU s", sep="\n  ", flush=True)
        record[str(seed)] = {"rows": rows, "said": said}
    write(run.out, "marketplace_answer", record)


def beside(name: str, rows: Callable[[Study, World], Found], run: Run) -> None:
    """A table of ways that need the world again, in another binding or on other days."""
    yards, found = [], []
    for seed in run.worlds:
        study = run.study("inductive", seed)
        yards.append(study.yard)
        found.append(rows(study, World.draw(seed, run.transactions, run.prevalence)))
    title = f"{name}, {len(run.worlds)} generated worlds"
    write(run.out, f"marketplace_{name}", table(title, yards, found))


def tasks(run: Run) -> None:
    """Each model on its own question."""
    record = {seed: task_rows(run.study("inductive", seed)) for seed in run.worlds}
    for seed, rows in record.items():
        show(f"each model's own question, generated world {seed}", rows)
    write(run.out, "marketplace_tasks", {str(seed): rows for seed, rows in record.items()})


def items(run: Run) -> None:
    """Rules over items, where rings sell one again and again."""
    pairs = [item_rows(seed, run.transactions, run.prevalence) for seed in run.worlds]
    yards, found = [yard for yard, _ in pairs], [scores for _, scores in pairs]
    title = f"rules over items, {len(run.worlds)} generated worlds"
    write(run.out, "marketplace_items", table(title, yards, found, "all rules"))


def new_days(run: Run) -> None:
    """The days learned from against one new day."""
    record = {seed: new_day(seed, run.transactions, run.prevalence) for seed in run.worlds}
    for seed, rows in record.items():
        show(f"one new day, generated world {seed}", [shown(row) for row in rows])
    write(run.out, "marketplace_days", {str(seed): rows for seed, rows in record.items()})
    draw_days(record[run.worlds[0]], run.out)


def family_table(run: Run) -> None:
    """Families of rules on and off, inductive."""
    yards, found = run.measured("families", families)
    rows = table(f"families of rules, {len(run.worlds)} generated worlds", yards, found)
    write(run.out, "marketplace_families", rows)


def weights(run: Run) -> None:
    """Weights of the first world with bootstrap intervals, and of all worlds."""
    fits = [
        run.study("inductive", seed).weights(REPLICATES if place == 0 else 0)
        for place, seed in enumerate(run.worlds)
    ]
    rows = [
        {
            "weight": weight.name,
            "prior": weight.prior_mean,
            "learned": weight.value,
            "error": weight.standard_error,
            "low": weight.interval[0],
            "high": weight.interval[1],
            "status": weight.status,
            "worlds": ", ".join(f"{fit[weight.name].value:.2f}" for fit in fits),
        }
        for weight in fits[0]
    ]
    show("weights in the first world, 95 % by bootstrap; and in each world", rows)
    write(run.out, "marketplace_weights", rows)
    draw_weights(rows, run.out)


def overlap(run: Run) -> None:
    """Training snapshots that end 0-20 days into the test snapshot."""
    rows = []
    for days in run.overlaps:
        yards, found = run.measured(f"overlap{days}", few_rows, overlap=days)
        later = [yard.blocks >= TEST + days for yard in yards]
        for name in found[0]:
            scores = [of_world[name] for of_world in found]
            unseen = [y.where(m) for y, m in zip(yards, later, strict=True)]
            fresh = [s[m] for s, m in zip(scores, later, strict=True)]
            for part, ys, ss in ((ALL_DAYS, yards, scores), (LATER, unseen, fresh)):
                rows += [
                    {"overlap": days, "name": name, "part": part, "metric": m}
                    | {"positives": sum(int(y.truth.sum()) for y in ys)}
                    | asdict(mean_over_worlds(ys, ss, m))
                    for m in ("average_precision", "roc_auc")
                ]
    for metric in ("average_precision", "roc_auc"):
        show(f"{metric} by days of overlap", _by_overlap(rows, metric))
    write(run.out, "marketplace_overlap", rows)
    draw_overlap(rows, run.out)


def _by_overlap(rows: Sequence[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    kept = [row for row in rows if row["metric"] == metric]
    names = dict.fromkeys((row["part"], row["name"]) for row in kept)
    return [
        {"tested on": part, "": name}
        | {
            str(row["overlap"]): f"{row['value']:.3f}"
            for row in kept
            if (row["part"], row["name"]) == (part, name)
        }
        for part, name in names
    ]


def annotated(run: Run) -> None:
    """Investigators wrote down the kind of only some of the collusion."""
    record = {}
    for share in run.shares:
        name = f"annotated{share:.0%}".rstrip("%")
        yards, found = run.measured(name, annotated_rows, annotated=share)
        title = f"kind known of {share:.0%} of the collusion, {len(run.worlds)} generated worlds"
        record[str(share)] = table(title, yards, found)
    write(run.out, "marketplace_annotated", record)


def noise(whose: str, rows: Callable[[Study], Found], run: Run) -> None:
    """ECE, log loss and expected over observed positives, without and with noise on weights."""
    yards, found = run.measured(f"noise-{whose}", rows)
    title = f"noise on weights of {whose}, {len(run.worlds)} generated worlds"
    write(run.out, f"marketplace_noise_{whose}", calibration_table(title, yards, found))


PARTS: dict[str, Callable[[Run], None]] = {
    "answer": answer,
    "inductive": partial(main_table, "inductive"),
    "transductive": partial(main_table, "transductive"),
    "tasks": tasks,
    "graphs": partial(beside, "graphs", graph_rows),
    "secondary": partial(beside, "secondary", secondary_rows),
    "items": items,
    "days": new_days,
    "families": family_table,
    "weights": weights,
    "overlap": overlap,
    "annotated": annotated,
    "noise": partial(noise, "main", network_rows),
    "noise-knowgraph": partial(noise, "knowgraph", knowgraph_rows),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that are asked for."""
    options = parser(__doc__, "marketplace")
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--transactions", type=int, help="a world")
    options.add_argument("--prevalence", type=float, help="share of collusion")
    options.add_argument("--world", type=int, help="only this one (a later run takes it over)")
    options.add_argument("--overlaps", nargs="+", type=int, help="days")
    chosen = options.parse_args(arguments)
    count = min(chosen.seeds, QUICK_WORLDS) if chosen.quick else chosen.seeds
    run = Run(
        chosen.transactions or (150_000 if chosen.quick else 600_000),
        chosen.prevalence or (1 / 1000 if chosen.quick else 1 / 3000),
        tuple(range(count)) if chosen.world is None else (chosen.world,),
        chosen.out,
        tuple(chosen.overlaps or ((0, 10, 20) if chosen.quick else (0, 5, 10, 15, 20))),
        (1.0, 0.2, 0.0) if chosen.quick else (1.0, 0.3, 0.1, 0.0),
    )
    for name in chosen.only:
        print(f"-- {name}", flush=True)
        PARTS[name](run)


if __name__ == "__main__":
    main()
