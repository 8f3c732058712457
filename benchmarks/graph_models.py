"""Graph models on real and simulated graphs: embeddings, relations, samples.

    KNOWREASON_DATA=DIR python -m benchmarks.graph_models [--quick] [--seeds N] [--only DATA ...]

tolokers: the official splits; amazon_upu: half of the labels, drawn by the seed. Trees on own
features and over two hops, networks, and `infomax` in front of trees. amlsim_20k (simulated) and
bitcoin_trust (ratings to and from a user nearly tell the label): networks that know relations
and directions (hgt) and such that do not. amlsim_columns is amlsim_20k with the number of each
account's transfers and the sums and means of their features, out and in, as columns of the
account, so that trees are told of amounts too. Figures are of the labels held back. --quick is
one seed with networks of at most 60 epochs.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason import lang
from knowreason.data import Dataset, EdgeList
from knowreason.models import make

PROGRAM = lang.loads("domain Node\nquery Bad(Node)\n")
ENDS = {"source": "source:Node", "target": "target:Node"}
Way = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """One split of one graph.

    Attributes:
        data: with the labels of the training part.
        test: ids of the held-back nodes.
        truth: their labels.
        order: name of each thing of the data set, as a number.
    """

    data: Dataset
    test: NDArray[np.int64]
    truth: NDArray[np.int64]
    order: NDArray[np.int64]

    def measure(self, kind: str, options: dict[str, Any]) -> dict[str, float]:
        """AUC and average precision on the held-back nodes, and seconds."""
        start = time.perf_counter()
        log_odds = make(kind, options).fit(self.data, "Bad").log_odds(self.data, "Bad")
        score = np.empty(len(self.order))
        score[self.order] = log_odds
        return {
            "auc": float(roc_auc_score(self.truth, score[self.test])),
            "ap": float(average_precision_score(self.truth, score[self.test])),
            "seconds": time.perf_counter() - start,
        }


def task(
    labels: NDArray[np.int64],
    train: NDArray[np.bool_],
    features: NDArray[np.float64] | None,
    graph: list[EdgeList] | EdgeList,
) -> Task:
    """A task; labels below 0 are unknown."""
    ids = np.arange(len(labels))
    columns = {} if features is None else {f"x{i}": column for i, column in enumerate(features.T)}
    known = train & (labels >= 0)
    data = Dataset.from_frames(
        PROGRAM,
        labels={"Bad": pl.DataFrame({"node": ids[known], "bad": labels[known]})},
        features={"Node": pl.DataFrame({"node": ids, **columns})} if columns else None,
        graph=graph,
        things={"Node": pl.DataFrame({"node": ids})},
    )
    order = np.array([int(name) for name in data.vocabularies["Node"]])
    test = np.flatnonzero(~train & (labels >= 0))
    return Task(data, test, labels[test], order)


def drawn(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """A share of the labelled nodes."""
    return (np.random.default_rng(seed).random(len(labels)) < share) & (labels >= 0)


def arrays(name: str) -> Callable[[Path, int], Task]:
    """tolokers or amazon_upu."""

    def made(folder: Path, seed: int) -> Task:
        found = np.load(folder / name / f"{name}.npz")
        labels = found["y"].astype(np.int64)
        masks = found.get("train_masks", None)
        train = drawn(labels, 0.5, seed) if masks is None else masks[seed]
        if masks is not None:  # neither trained nor judged on: the official validation part
            labels = np.where(train | found["test_masks"][seed], labels, -1)
        source, target = found["edge_index"]
        table = pl.DataFrame({"source": source, "target": target})
        return task(labels, train, found["x"], EdgeList(table, **ENDS))

    return made


def amlsim(columns: bool = False) -> Callable[[Path, int], Task]:
    """Accounts; transfers with amount and step, all steps at once; ``columns`` of them too."""

    def made(folder: Path, seed: int) -> Task:
        nodes = pl.read_parquet(folder / "amlsim_20k" / "nodes.parquet").sort("node")
        edges = pl.read_parquet(folder / "amlsim_20k" / "transactions.parquet")
        edges = edges.with_columns(pl.col("value").log1p(), pl.col("time").cast(float))
        labels = nodes["fraud"].to_numpy().astype(np.int64)
        features = nodes.select("node", "init_balance")
        if columns:
            features = with_edges(features, edges, ["value", "time"])
        graph = EdgeList(edges, **ENDS, features=["value", "time"], name="pays")
        x = features.drop("node").to_numpy().astype(np.float64)
        return task(labels, drawn(labels, 0.6, seed), x, graph)

    return made


def with_edges(nodes: pl.DataFrame, edges: pl.DataFrame, features: list[str]) -> pl.DataFrame:
    """Nodes with the number of their edges, out and in, and the sums and means of features."""
    for end in ("source", "target"):
        told = edges.group_by(pl.col(end).alias("node")).agg(
            pl.len().alias(f"{end} edges"),
            pl.col(features).sum().name.suffix(f" {end} sum"),
            pl.col(features).mean().name.suffix(f" {end} mean"),
        )
        nodes = nodes.join(told, on="node", how="left", maintain_order="left")
        totals = [name for name in told.columns if name.endswith((" edges", " sum"))]
        nodes = nodes.with_columns(pl.col(totals).fill_null(0))
    return nodes


def bitcoin(folder: Path, seed: int) -> Task:
    """Users; ratings above and below 0 as two relations, without their size."""
    edges = pl.read_parquet(folder / "bitcoin_trust" / "otc_edges.parquet")
    users = pl.read_parquet(folder / "bitcoin_trust" / "otc_users.parquet")
    count = int(max(edges["source"].max(), edges["target"].max(), users["node"].max())) + 1
    labels = np.full(count, -1)
    labels[users["node"].to_numpy()] = users["fraud"].to_numpy()
    graph = [
        EdgeList(edges.filter(pl.col("negative") == way), **ENDS, name=name)
        for name, way in (("trusts", 0), ("distrusts", 1))
    ]
    return task(labels, drawn(labels, 0.5, seed), None, graph)


TREES: tuple[Way, ...] = (
    ("trees, own features", "trees", {"hops": 0}),
    ("trees, two hops", "trees", {}),
)
EMBEDDED: tuple[Way, ...] = (
    *TREES,
    ("gnn (sage)", "gnn", {}),
    ("gnn (gcn)", "gnn", {"convolution": "gcn"}),
    ("gnn (sage), sampled", "gnn", {"batch_size": 1024, "neighbours": 10}),
    ("infomax, own features", "infomax", {"classifier": make("trees", {"hops": 0})}),
    ("infomax, two hops", "infomax", {}),
)
RELATIONS: tuple[Way, ...] = (
    ("trees, two hops", "trees", {}),
    ("gnn (sage)", "gnn", {}),
    ("gnn (gin)", "gnn", {"convolution": "gin"}),
    ("gnn (hgt)", "gnn", {"convolution": "hgt"}),
)
AMOUNTS: tuple[Way, ...] = (
    *RELATIONS,
    ("gnn (sage), no amounts", "gnn", {"edge_features": "none"}),
    ("gnn (hgt), no amounts", "gnn", {"convolution": "hgt", "edge_features": "none"}),
)
COLUMNS: tuple[Way, ...] = (*TREES, ("gnn (sage)", "gnn", {}))
STUDIES: dict[str, tuple[Callable[[Path, int], Task], tuple[Way, ...]]] = {
    "tolokers": (arrays("tolokers"), EMBEDDED),
    "amazon_upu": (arrays("amazon_upu"), EMBEDDED),
    "amlsim_20k": (amlsim(), AMOUNTS),
    "amlsim_columns": (amlsim(columns=True), COLUMNS),
    "bitcoin_trust": (bitcoin, RELATIONS),
}


def rows(name: str, folder: Path, seed: int, chosen: Namespace) -> Iterator[dict[str, Any]]:
    """Figures of every model on one split."""
    make_task, ways = STUDIES[name]
    found = make_task(folder, seed)
    for title, kind, options in ways:
        if chosen.models and title not in chosen.models:
            continue
        more: dict[str, Any] = {"seed": seed}
        if chosen.quick and kind != "trees":
            more["epochs"] = 60
        yield {
            "data": name,
            "model": title,
            "seed": seed,
            **found.measure(kind, options | more),
        }


def summary(records: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """A row a model: mean and deviation over seeds."""
    titles = dict.fromkeys(r["model"] for r in records if r["data"] == name)
    table = []
    for title in titles:
        mine = [r for r in records if r["data"] == name and r["model"] == title]
        figures = {key: spread((r[key] for r in mine), 4) for key in ("auc", "ap")}
        seconds = float(np.mean([r["seconds"] for r in mine]))
        table.append({"": title, "seeds": len(mine), **figures, "seconds": seconds})
    return table


def main() -> None:
    """Print a table a data set; write every figure."""
    options = parser(__doc__, "graph_models")
    options.add_argument("--only", nargs="*", choices=tuple(STUDIES), help="data sets")
    options.add_argument("--models", nargs="*", help="rows of the tables")
    options.add_argument("--first-seed", type=int, default=0)
    chosen = options.parse_args()
    folder = data_folder()
    records: list[dict[str, Any]] = []
    for name in chosen.only or STUDIES:
        for seed in range(1 if chosen.quick else chosen.seeds):
            for row in rows(name, folder, chosen.first_seed + seed, chosen):
                records.append(row)
                print(row, flush=True)
        show(name, summary(records, name))
        write(chosen.out, "graph_models", records)


if __name__ == "__main__":
    main()
