"""Knowledge models alone, on real data: boosted trees and graph networks.

    python benchmarks/models.py [--json FILE] [--only s_ffsd|tolokers]   # reads KNOWREASON_DATA

s_ffsd: trained on slices before 34, tested on the rest; pooled AUC and AP, AP over slices
34-42 (75 % of the test frauds lie in 43-44) and mean AUC a slice. tolokers: the first of the
official splits. Deterministic; one run of each model.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from sklearn.metrics import average_precision_score, roc_auc_score

from knowreason import lang
from knowreason.data import Dataset, EdgeList
from knowreason.data.features import FeatureSource
from knowreason.data.id_tables import id_matrix
from knowreason.models import atoms_of, make
from knowreason.row_keys import locate

PAYMENTS = """
domain Payment, Account, Merchant
attribute slice(Payment): int clock
query Fraud(Payment)
"""
OWN = ("amount", "location", "type")
CUT = 34


def payments(folder: Path) -> tuple[Dataset, Dataset]:
    """Past and future of s_ffsd, with history columns made by hand."""
    frame = pl.read_parquet(folder / "s_ffsd" / "s_ffsd.parquet").with_row_index("id").sort("time")
    amount, time_ = pl.col("amount"), pl.col("time")
    columns = []
    for key in ("source", "target"):
        before = time_.cum_count().over(key) - 1
        columns += [
            before.alias(f"n_{key}"),
            ((amount.cum_sum().over(key) - amount) / before).fill_nan(None).alias(f"mean_{key}"),
            (time_ - time_.shift(1).over(key)).alias(f"gap_{key}"),
        ]
    frame = frame.with_columns(columns)
    ratios = [
        (amount / pl.col(f"mean_{key}")).alias(f"ratio_{key}") for key in ("source", "target")
    ]
    frame = frame.with_columns(ratios)
    finite = [
        pl.when(pl.col(f"ratio_{key}").is_finite()).then(pl.col(f"ratio_{key}"))
        for key in ("source", "target")
    ]
    frame = frame.with_columns(finite)
    seen = frame.drop("time", "source", "target", "label", "snapshot")
    label = pl.when(pl.col("label") >= 0).then(pl.col("label"))
    data = Dataset.from_frames(
        lang.loads(PAYMENTS),
        facts={"slice": frame.select("id", "snapshot")},
        labels={"Fraud": frame.select("id", label)},
        features={"Payment": FeatureSource(seen, categorical=("location", "type"))},
        graph=EdgeList(
            frame.select("id", "source", "target", "time"),
            source="source:Account",
            target="target:Merchant",
            key="id:Payment",
            time="time",
        ),
    )
    return data.split_by("slice", before=CUT)


def s_ffsd(folder: Path) -> Iterator[dict[str, object]]:
    """Rows of the table for s_ffsd."""
    past, future = payments(folder)
    table = future.hidden["Fraud"]
    at = locate(atoms_of(future, "Fraud").arguments, id_matrix(table))
    truth = table["value"].to_numpy()
    slices = future.attributes["slice"]
    of_thing = np.zeros(len(future.vocabularies["Payment"]), int)
    of_thing[slices["a0"].to_numpy()] = slices["value"].to_numpy()
    where = of_thing[table["a0"].to_numpy()]
    mixed = [s for s in np.unique(where) if 0 < truth[where == s].mean() < 1]
    for name, kind, options in (
        ("trees, no history", "trees", {"features": OWN, "hops": 0}),
        ("trees, history by hand", "trees", {"hops": 0}),
        (
            "trees, history by hand, steps and leaves of scikit-learn",
            "trees",
            {"hops": 0, "learning_rate": 0.1, "max_leaf_nodes": 31, "max_iter": 100},
        ),
        (
            "trees, history by hand, early stopping",
            "trees",
            {"hops": 0, "max_iter": 300, "early_stopping": True},
        ),
        ("trees, own history", "trees", {"features": OWN}),
        ("gnn, own history", "gnn", {"features": OWN, "hidden": 32, "epochs": 60}),
        (
            "gnn without messages, own history",
            "gnn",
            {"features": OWN, "hidden": 32, "epochs": 60, "layers": 0},
        ),
    ):
        start = time.perf_counter()
        model = make(kind, options).fit(past, "Fraud")
        score = model.log_odds(future, "Fraud")[at]
        early = where <= 42
        yield {
            "data": "s_ffsd",
            "model": name,
            "auc": roc_auc_score(truth, score),
            "ap": average_precision_score(truth, score),
            "ap 34-42": average_precision_score(truth[early], score[early]),
            "slice auc": np.mean(
                [roc_auc_score(truth[where == s], score[where == s]) for s in mixed]
            ),
            "seconds": time.perf_counter() - start,
        }


def tolokers(folder: Path) -> Iterator[dict[str, object]]:
    """Rows of the table for tolokers."""
    arrays = np.load(folder / "tolokers" / "tolokers.npz")
    ids, truth = np.arange(len(arrays["y"])), arrays["y"]
    train, test = arrays["train_masks"][0], arrays["test_masks"][0]
    features = {f"x{i}": column for i, column in enumerate(arrays["x"].T)}
    source, target = arrays["edge_index"]
    data = Dataset.from_frames(
        lang.loads("domain Worker\nquery Banned(Worker)\n"),
        labels={"Banned": pa.table({"worker": ids[train], "banned": truth[train]})},
        features={"Worker": pa.table({"worker": ids, **features})},
        graph=EdgeList(
            pa.table({"source": source, "target": target}),
            source="source:Worker",
            target="target:Worker",
        ),
    )
    names = np.array([int(name) for name in data.vocabularies["Worker"]])
    for name, kind, options in (
        ("trees, own features", "trees", {"hops": 0}),
        ("trees, two hops", "trees", {}),
        ("gnn (sage)", "gnn", {}),
        ("gnn (gcn)", "gnn", {"convolution": "gcn"}),
    ):
        start = time.perf_counter()
        score = np.empty(len(ids))
        score[names] = make(kind, options).fit(data, "Banned").log_odds(data, "Banned")
        yield {
            "data": "tolokers",
            "model": name,
            "auc": roc_auc_score(truth[test], score[test]),
            "ap": average_precision_score(truth[test], score[test]),
            "seconds": time.perf_counter() - start,
        }


def main() -> None:
    """Print the table; write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=("s_ffsd", "tolokers"))
    chosen = parser.parse_args()
    folder = Path(os.environ["KNOWREASON_DATA"])
    rows = []
    for name, table in (("s_ffsd", s_ffsd), ("tolokers", tolokers)):
        for row in table(folder) if chosen.only in (None, name) else ():
            rows.append(row)
            numbers = ", ".join(f"{k} {v:.3f}" for k, v in row.items() if isinstance(v, float))
            print(f"{row['data']:9} {row['model']:58} {numbers}", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
