"""Numeric queries on real data: does an estimated number help rules about truths?

    KNOWREASON_DATA=DIR python -m benchmarks.numeric_queries [--quick] [--seeds N] [--only f1 cards]

f1 (rel_f1, entries of races from 2000 on, learned before 2016, tested after): the finishing
position of an entry is a numeric query, labelled in all training races; `Podium` (which is made of
the position) and `Retires` are labelled for a few entries only. Columns are known before the race:
grid, and means over the past of driver, constructor and circuit.

cards (s_ffsd, learned before slice 34): the logarithm of a payment's amount is the numeric query,
expected from its columns without the amount; a rule reads how far the amount is from that.

Arms: `trees` for the truth alone; with a rule that reads the estimate; that rule alone, without
trees for the truth; and (f1) that rule alone on estimates that have seen the labels they are of,
which is what numeric queries avoid. Settings are the defaults (the trees that join by themselves
see the estimate too, where there is one), or, answer "rules", `answer = "rules"` and no trees that
join.
--quick: 100 and 400 labels only, and every second payment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import knowreason as kr
from benchmarks.reporting import data_folder, parser, write
from knowreason.data import Dataset
from knowreason.metrics.numeric_metrics import evaluate_numbers

CUT, SLICE = 2016, 34
PLAIN = kr.Settings(answer="rules", auto_trees=False)
Row = dict[str, object]

TREES = "trees(hops=0)"
FOREST = 'sklearn(estimator="random_forest_regressor", n_estimators=50)'  # remembers its labels
F1 = """
domain Entry
attribute year(Entry): int
query position(Entry): float
query Podium(Entry)
query Retires(Entry)
model place for position = trees(hops=0)
"""
CARDS = """
domain Payment
attribute slice(Payment): int
attribute size(Payment): float
query usual(Payment): float
query Fraud(Payment)
model expects for usual = trees(hops=0, features=["location", "type", "n_source", "n_target",
  "n_place", "n_kind", "mean_source", "mean_target", "mean_place", "mean_kind"])
"""


def past_mean(values: pd.Series, by: pd.Series) -> pd.Series:
    """Mean over the earlier rows of the same group; NaN where there is none."""
    total = values.groupby(by).cumsum() - values
    return total / values.groupby(by).cumcount().replace(0, np.nan)


def f1_entries(folder: Path) -> pd.DataFrame:
    """Entries in order of time with columns known before the race."""
    results = pd.read_csv(folder / "rel_f1" / "results.csv.gz")
    races = pd.read_csv(folder / "rel_f1" / "races.csv.gz")[["raceId", "year", "circuitId", "date"]]
    status = pd.read_csv(folder / "rel_f1" / "status.csv.gz").set_index("statusId")["status"]
    rows = results.merge(races, on="raceId").sort_values(["date", "resultId"], ignore_index=True)
    said = rows["statusId"].map(status).astype(str)
    rows["retires"] = ~(said.eq("Finished") | said.str.startswith("+"))
    position = rows["positionOrder"].astype(float)
    columns = pd.DataFrame({"id": rows["resultId"].astype(str), "year": rows["year"]})
    columns["grid"] = rows["grid"].replace(0, 25)
    # no mean holds the race itself, of which a constructor has two entries
    for name, key in (("driver", "driverId"), ("team", "constructorId"), ("here", "circuitId")):
        own = rows[key].astype(str) + ("" if name != "here" else "/" + rows["driverId"].astype(str))
        race = rows["raceId"]
        for what, values in (("place", position), ("out", rows["retires"].astype(float))):
            each = values.groupby([own, race], sort=False).transform("mean")
            first = ~pd.DataFrame({"o": own, "r": race}).duplicated()
            mean = past_mean(each[first], own[first])
            filled = pd.Series(mean, index=rows.index).groupby([own, race], sort=False)
            columns[f"{name}_{what}"] = filled.transform("first")
    columns["position"], columns["podium"] = position, position <= 3
    columns["retires"] = rows["retires"]
    return columns[columns["year"] >= 2000].reset_index(drop=True)


def cards(folder: Path) -> pd.DataFrame:
    """Payments in order of time with counts and means of the past."""
    rows = pd.read_parquet(folder / "s_ffsd" / "s_ffsd.parquet")
    table = pd.DataFrame({"id": "p" + rows["time"].astype(str), "slice": rows["snapshot"]})
    table["size"] = np.log1p(rows["amount"])
    table["location"], table["type"] = rows["location"], rows["type"]
    keys = {"source": "source", "target": "target", "place": "location", "kind": "type"}
    for name, key in keys.items():
        table[f"n_{name}"] = rows.groupby(key).cumcount()
        table[f"mean_{name}"] = past_mean(table["size"], rows[key])
    table["label"] = rows["label"]
    return table


def labels(table: pd.DataFrame, column: str, known: NDArray[np.bool_]) -> dict[str, object]:
    """Labels of the rows ``known``."""
    rows = table[known]
    return {"id": rows["id"].to_numpy(), "value": rows[column].to_numpy()}


def arms(head: str, truth: str, features: str, rule: str) -> dict[str, str]:
    """Programs by arm."""
    trees = f"model direct for {truth} = trees(hops=0{features})\n"
    return {
        "trees": head + trees,
        "trees + rule": head + trees + rule,
        "rule alone": head + rule,
    }


def figures(program: str, data: Dataset, cut: tuple[str, int], truth: str, plain: bool) -> Row:
    """Average precision, AUC and log loss on the later part."""
    start = time.process_time()
    bound = kr.loads(program)
    settings = PLAIN if plain else kr.Settings()
    past, later = replace(data, program=bound).split_by(cut[0], before=cut[1])
    reasoner = kr.Reasoner(bound, settings=settings).fit(past)
    said = reasoner.score(
        later, predicate=truth, metrics=["average_precision", "roc_auc", "log_loss"]
    )
    row: Row = {name: str(figure) for name, figure in said.items()}
    weight = [w.value for w in reasoner.weights_ if w.name == "reads"]
    return row | {"weight": weight[0] if weight else None, "s": time.process_time() - start}


def seen_estimates(table: pd.DataFrame, features: pd.DataFrame, model: str) -> NDArray[np.float64]:
    """By entry what one model says that was fitted to all early positions, their own too."""
    head = F1.replace("query Podium(Entry)\nquery Retires(Entry)\n", "").replace(TREES, model)
    program = kr.loads(head)
    data = Dataset.from_frames(
        program,
        facts={"year": {"id": table["id"].to_numpy(), "value": table["year"].to_numpy()}},
        labels={"position": labels(table, "position", (table["year"] < CUT).to_numpy())},
        features={"Entry": features},
    )
    reasoner = kr.Reasoner(program, settings=kr.Settings(deploy="refit")).fit(data)
    return reasoner.estimates_[0].fitted.model.log_odds(data, "position").astype(np.float64)


def f1(folder: Path, quick: bool, seeds: int) -> Iterator[Row]:
    """Podium and Retires with few labels, beside positions of all."""
    table = f1_entries(folder)
    early = (table["year"] < CUT).to_numpy()
    columns = [c for c in table if c not in ("year", "position", "podium", "retires")]
    facts = {"year": {"id": table["id"].to_numpy(), "value": table["year"].to_numpy()}}
    features = {"Entry": table[columns]}
    seen = {m: seen_estimates(table, table[columns], m) for m in (TREES, FOREST)}
    given = F1.replace("model place for position = trees(hops=0)\n", "")
    given = given.replace("query position", "attribute position")
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(np.flatnonzero(early))
        for count in (100, 400) if quick else (100, 400, len(order)):
            few = ~early
            few[order[:count]] = True
            for truth in ("Podium", "Retires"):
                rule = f"rule reads [? * position(e)] : {truth}(e)\n"
                known = {
                    "position": labels(table, "position", np.ones(len(table), bool)),
                    truth: labels(table, truth.lower(), few),
                }
                for name, model in (("trees", TREES), ("forest", FOREST)):
                    values = {"id": table["id"].to_numpy(), "value": seen[model]}
                    data = Dataset.from_frames(
                        kr.loads(given + rule),
                        facts={**facts, "position": values},
                        labels={truth: known[truth]},
                        features=features,
                    )
                    row = figures(given + rule, data, ("year", CUT), truth, True)
                    arm = f"rule alone, {name} that saw"
                    yield {"truth": truth, "labels": count, "seed": seed, "arm": arm,
                           "answer": "rules", **row}  # fmt: skip
                made = arms(F1, truth, "", rule)
                made["rule alone, forest"] = made["rule alone"].replace(TREES, FOREST)
                for arm, program in made.items():
                    bound = kr.loads(program)
                    data = Dataset.from_frames(bound, facts=facts, labels=known, features=features)
                    for plain in (True,) if "alone" in arm else (False, True):
                        row = figures(program, data, ("year", CUT), truth, plain)
                        asks = "rules" if plain else "default"
                        yield {"truth": truth, "labels": count, "seed": seed, "arm": arm,
                               "answer": asks, **row}  # fmt: skip


def f1_position(folder: Path) -> Row:
    """The numeric query itself."""
    table = f1_entries(folder)
    early = (table["year"] < CUT).to_numpy()
    columns = [c for c in table if c not in ("year", "position", "podium", "retires")]
    program = kr.loads(F1.replace("query Podium(Entry)\nquery Retires(Entry)\n", ""))
    data = Dataset.from_frames(
        program,
        facts={"year": {"id": table["id"].to_numpy(), "value": table["year"].to_numpy()}},
        labels={"position": labels(table, "position", np.ones(len(table), bool))},
        features={"Entry": table[columns]},
    )
    past, later = data.split_by("year", before=CUT)
    reasoner = kr.Reasoner(program).fit(past)
    ours = reasoner.score(later)
    truth = table["position"].to_numpy()[~early]
    mean = np.full(len(truth), table["position"][early].mean())
    grid = table["grid"].to_numpy()[~early]
    others = evaluate_numbers(truth, {"mean": mean, "grid": grid})
    rows = {"trees": ours, **others}
    return {name: {key: str(figure) for key, figure in row.items()} for name, row in rows.items()}


def card_rows(folder: Path, quick: bool) -> Iterator[Row]:
    """Fraud in time, with and without how odd the amount is."""
    table = cards(folder)
    if quick:
        table = table.iloc[::2].reset_index(drop=True)
    columns = [c for c in table if c not in ("slice", "size", "label")]
    ids = table["id"].to_numpy()
    facts = {name: {"id": ids, "value": table[name].to_numpy()} for name in ("slice", "size")}
    features = kr.FeatureSource(table[columns], categorical=("location", "type"))
    known = (table["label"] >= 0).to_numpy()
    rule = "rule reads [? * abs(size(e) - usual(e))] : Fraud(e)\n"
    named = ', features=["*", "size"]'
    for arm, program in arms(CARDS, "Fraud", named, rule).items():
        data = Dataset.from_frames(
            kr.loads(program),
            facts=facts,
            labels={
                "usual": labels(table, "size", np.ones(len(table), bool)),
                "Fraud": labels(table, "label", known),
            },
            features={"Payment": features},
        )
        for plain in (True,) if arm == "rule alone" else (False, True):
            row = figures(program, data, ("slice", SLICE), "Fraud", plain)
            yield {"arm": arm, "answer": "rules" if plain else "default", **row}


def main() -> None:
    """Measure and print."""
    chosen = parser(__doc__ or "", "numeric_queries")
    chosen.add_argument("--only", nargs="*", default=["f1", "cards"])
    asked = chosen.parse_args()
    folder, found = data_folder(), {}
    if "f1" in asked.only:
        found["position"] = f1_position(folder)
        print(found["position"], flush=True)
        found["f1"] = []
        for row in f1(folder, asked.quick, asked.seeds):
            print(row, flush=True)
            found["f1"].append(row)
    if "cards" in asked.only:
        found["cards"] = []
        for row in card_rows(folder, asked.quick):
            print(row, flush=True)
            found["cards"].append(row)
    write(asked.out, "numeric_queries", found)


if __name__ == "__main__":
    main()
