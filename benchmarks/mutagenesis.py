"""Mutagenesis: 188 molecules as graphs of atoms, judged by 10-fold cross-validation.

    KNOWREASON_DATA=DIR python -m benchmarks.mutagenesis [--quick] [--seeds N] [--only NAME ...]

Networks on the atoms (with bonds of one kind, and with a relation a kind of bond), trees on
counts derived by rules, rules alone, and rules with both models. A seed draws the folds and
starts the models. "fold auc" is the mean of the folds; the other figures are of all molecules
together, each scored by a model that has not seen its label. --quick: one seed, three folds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

import knowreason as kr
from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason.data import Dataset, EdgeList
from knowreason.logic import Program
from knowreason.metrics.metrics import metric
from knowreason.models import make
from knowreason.report.svg import save_svg
from knowreason.report.weight_figure import WeightBar, weights_figure

RULES = Path(__file__).resolve().parents[1] / "rulesets" / "mutagenesis.kr"
ASKED = "Mutagenic"
KINDS = {"1": "single", "2": "double", "7": "aromatic"}  # the others, 5 in all, are "other"
Score = Callable[[Dataset, int], NDArray[np.float32]]
SHOWN = ("fold auc", "auc", "ap", "accuracy", "log loss", "ece")


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Molecules (name, label), atoms (name, molecule, element), bonds (a, b, kind), each once."""
    lines = (folder / "examples.txt").read_text().splitlines()
    truth = (folder / "queries.txt").read_text().splitlines()
    labels, atoms, bonds = [], [], []
    for line, query in zip(lines, truth, strict=True):
        elements = re.findall(r"\b(c|h|o|n|cl|f|br|i)\((\w+)\)", line)
        molecule = elements[0][1].partition("_")[0]
        labels.append((molecule, int(float(query.split()[0]))))
        atoms += [(atom, molecule, element) for element, atom in elements]
        kind = {number: digit for digit, number in re.findall(r"b_(\d)\((\d+)\)", line)}
        ends = {n: (a, b) for a, b, n in re.findall(r"bond\((\w+), (\w+), (\d+)\)", line)}
        bonds += [(*pair, KINDS.get(kind[n], "other")) for n, pair in ends.items()]
    return (
        pl.DataFrame(labels, ["molecule", "mutagenic"], orient="row"),
        pl.DataFrame(atoms, ["atom", "molecule", "element"], orient="row"),
        pl.DataFrame(bonds, ["a", "b", "kind"], orient="row"),
    )


def bind(folder: Path, program: Program, typed: bool) -> Dataset:
    """The molecules under a program; ``typed`` makes each kind of bond a relation."""
    labels, atoms, bonds = read(folder)
    turned = bonds.select(pl.col("b").alias("a"), pl.col("a").alias("b"), "kind")
    bonds = pl.concat([bonds, turned])  # bonds have no direction
    kinds = {kind: bonds.filter(kind=kind) for kind in (*KINDS.values(), "other")}
    ends = {"source": "a:Atom", "target": "b:Atom"}
    return Dataset.from_frames(
        program,
        facts={
            "Contains": atoms.select("molecule", "atom"),
            "Bond": bonds.select("a", "b"),
            "Aromatic": kinds["aromatic"].select("a", "b"),
            "element": atoms.select("atom", "element"),
        },
        labels={ASKED: labels},
        features={"Atom": atoms.select("atom", "element")},
        graph=[EdgeList(table, **ends, name=kind) for kind, table in kinds.items()]
        if typed
        else EdgeList(bonds, **ends, features=["kind"], name="bond"),
    )


def model(kind: str, **options: Any) -> Score:
    """Scores of one model alone."""

    def score(data: Dataset, seed: int) -> NDArray[np.float32]:
        return make(kind, {**options, "seed": seed}).fit(data, ASKED).log_odds(data, ASKED)

    return score


def reasoner(*models: str, **chosen: Any) -> Score:
    """The answer of the rules with some of the models of the rule file."""

    def score(data: Dataset, seed: int) -> NDArray[np.float32]:
        kept = tuple(m for m in data.program.models if m.name in models)
        program = replace(data.program, models=kept)
        seeds = {name: {"seed": seed} for name in models}
        settings = kr.Settings(fold_count=3, **chosen)
        found = kr.Reasoner(program, models=seeds, settings=settings, seed=seed)
        found.fit(replace(data, program=program))
        beliefs = found.infer(replace(data, program=program))
        span = beliefs.grounding.span(ASKED)
        return beliefs.log_odds[span.start : span.start + span.count]

    return score


def ways(program: Program) -> dict[str, tuple[bool, Score]]:
    """What is compared: whether bonds are relations, and the scores."""
    counts = dict(next(m for m in program.models if m.name == "counts").call.options)
    net = {"pool": "Contains", "layers": 3, "hidden": 32}
    return {
        "trees on counts": (False, model("trees", **counts)),
        "gnn (gin), no kinds of bond": (
            False,
            model("gnn", convolution="gin", edge_features="none", **net),
        ),
        "gnn (gin)": (False, model("gnn", convolution="gin", **net)),
        "gnn (sage)": (False, model("gnn", convolution="sage", **net)),
        "gnn (hgt), bonds as relations": (True, model("gnn", convolution="hgt", **net)),
        "rules alone": (False, reasoner(answer="rules")),
        "rules": (False, reasoner()),
        "rules + counts": (False, reasoner("counts")),
        "rules + gnn": (False, reasoner("graph")),
        "rules + counts + gnn": (False, reasoner("counts", "graph")),
    }


def cross_validated(data: Dataset, score: Score, seed: int, folds: int) -> dict[str, float]:
    """AUC, average precision and accuracy of scores of held-out molecules."""
    table = data.labels[ASKED]
    thing, truth = table["a0"].to_numpy(), table["value"].to_numpy()
    found, by_fold = np.empty(len(truth)), []
    start = time.perf_counter()
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for _, held in splitter.split(thing, truth):
        mask = np.isin(np.arange(len(truth)), held)
        found[held] = score(data.hide(ASKED, mask), seed)[thing[held]]
        by_fold.append(roc_auc_score(truth[held], found[held]))
    return {
        "fold auc": float(np.mean(by_fold)),
        "auc": float(roc_auc_score(truth, found)),
        "ap": float(average_precision_score(truth, found)),
        "accuracy": float(accuracy_score(truth, found > 0)),
        "log loss": metric("log_loss")(truth == 1, found),
        "ece": metric("ece")(truth == 1, found),
        "seconds": time.perf_counter() - start,
    }


def summary(records: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    """A row a way: mean and deviation over seeds."""
    names = dict.fromkeys(record["name"] for record in records)
    mine = {name: [r for r in records if r["name"] == name] for name in names}
    return [
        {"": name, "seeds": len(found)}
        | {key: spread(r[key] for r in found) for key in SHOWN}
        | {"s a seed": float(np.mean([r["seconds"] for r in found]))}
        for name, found in mine.items()
    ]


def main() -> None:
    """Print the table; write every seed's figures, and the rules' weights."""
    options = parser(__doc__, "mutagenesis")
    options.add_argument("--only", nargs="*", help="rows of the table")
    options.add_argument("--first-seed", type=int, default=0)
    chosen = options.parse_args()
    folder, program = data_folder() / "mln" / "mutagenesis", kr.load(RULES)
    worlds = {typed: bind(folder, program, typed) for typed in (False, True)}
    compared = ways(program)
    records = []
    seeds = range(chosen.first_seed, chosen.first_seed + (1 if chosen.quick else chosen.seeds))
    for seed in seeds:
        for name in chosen.only or compared:
            typed, score = compared[name]
            figures = cross_validated(worlds[typed], score, seed, 3 if chosen.quick else 10)
            records.append({"name": name, "seed": seed, **figures})
            print(records[-1], flush=True)
    show("mutagenesis", summary(records))
    alone = replace(program, models=())
    weights = kr.Reasoner(alone).fit(replace(worlds[False], program=alone)).weights_
    print(weights)
    write(chosen.out, "mutagenesis", records)
    bars = [WeightBar(w.name, w.prior_mean, w.value, *w.interval) for w in weights]
    save_svg(weights_figure(bars), chosen.out / "weights.svg")


if __name__ == "__main__":
    main()
