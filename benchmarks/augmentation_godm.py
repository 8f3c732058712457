"""GODM's protocol (Liu et al., LoG 2025): detectors with more outliers, and rivals for imbalance.

    python -m benchmarks.augmentation_godm [--quick] [--only tolokers|amazon_upu|reddit]
        [--detectors gcn sgc gin sage gat bwgnn] [--methods none weights ...] [--epochs N]
        [--first SEED] [--seeds N] [--out FOLDER]    # reads KNOWREASON_DATA

As many outliers are generated as are known. A fifth of the training labels chooses the epoch of a
detector and is unknown to the generators. The test labels measure: AUC, average precision, recall
among the k highest (k the number of test outliers). Rivals: weighted classes, duplicates,
GraphSMOTE (Zhao et al. 2021; here between the latents of our autoencoder, edges by its decoder),
GraphENS (Park et al. 2022; without saliency masks) and DAGAD (Liu et al. 2022; its permuted states
and class-wise loss). `vae` is GODM without diffusion, `diffusion, own graph` links outliers to each
other only, as GODM's public code does. `--quick`: one seed of amazon_upu. Runs are added to
`runs.json`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.augmentation import FILES, bound, drawn, split_of
from benchmarks.augmentation_detectors import DETECTORS, Graph, both_ways, detected
from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason.data import Dataset
from knowreason.models import make
from knowreason.models.diffusion import Diffusion, Synthetic

METHODS = (
    "none",
    "weights",
    "duplicates",
    "GraphSMOTE",
    "GraphENS",
    "DAGAD",
    "vae",
    "diffusion",
    "diffusion, own graph",
)
SMALL = {"hidden": 32, "epochs": 100, "denoiser_steps": 400}
MEASURES = ("auc", "ap", "recall@k")


def task(folder: Path, name: str, seed: int) -> tuple[Dataset, Graph, NDArray[np.bool_]]:
    """A data set as the generators see it, the graph as the detectors do, and the test nodes."""
    split = split_of(folder, name, "full", seed)
    rng = np.random.default_rng(seed)
    valid = np.zeros(len(split.truth), bool)
    for state in (0, 1):
        members = rng.permutation(np.flatnonzero(split.train & (split.truth == state)))
        valid[members[: len(members) // 5]] = True
    train = split.train & ~valid
    with np.load(folder / FILES[name]) as arrays:
        data = bound(arrays, split.truth, train)
        x, pairs = arrays["x"].astype(np.float64), both_ways(arrays["edge_index"])
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)
    graph = Graph(
        x.astype(np.float32),
        pairs,
        split.truth.astype(np.int64),
        np.flatnonzero(train),
        np.flatnonzero(valid),
    )
    return data, graph, split.test


def worlds(data: Dataset, graph: Graph, seed: int) -> Iterator[tuple[str, Graph]]:
    """The graph of each method that adds outliers."""
    options = {**SMALL, "seed": seed, "edges": "shared", "classifier": make("trees")}
    model = make("diffusion", options)
    assert isinstance(model, Diffusion)
    latents = model.latents(data, "Rare")
    raw = data.features["Node"].values.astype(np.float64)
    mean, sd = raw.mean(0), np.maximum(raw.std(0), 1e-9)

    def with_things(made: Synthetic, own: bool = False) -> Graph:
        x = (made.columns.values - mean) / sd
        links = [np.stack([e.source, e.target]).astype(np.int64) for e in made.edges]
        pairs = np.concatenate(links, axis=1) if links else np.zeros((2, 0), np.int64)
        if own:
            pairs = pairs[:, (pairs >= len(graph.y)).all(axis=0)]
        return graph.with_positives(x, pairs)

    yield "duplicates", duplicated(graph)
    yield "GraphSMOTE", with_things(drawn(data, latents, "smote", model))
    yield "GraphENS", ego_networks(graph, seed)
    yield "vae", with_things(drawn(data, latents, "vae", model))
    made = model.synthetic(data, "Rare", latents)
    yield "diffusion", with_things(made)
    yield "diffusion, own graph", with_things(made, own=True)


def duplicated(graph: Graph) -> Graph:
    """Each known outlier once more, with the same links."""
    rare = graph.train[graph.y[graph.train] == 1]
    place = np.full(len(graph.y), -1)
    place[rare] = np.arange(len(rare))
    links = graph.pairs[:, place[graph.pairs[0]] >= 0]
    new = np.stack([len(graph.y) + place[links[0]], links[1]])
    return graph.with_positives(graph.x[rare], new)


def ego_networks(graph: Graph, seed: int) -> Graph:
    """Outliers mixed with any known node (GraphENS): columns on the line between the two, nearer
    to the outlier, and as many neighbours as the outlier has, drawn from those of both in the same
    proportion."""
    rng = np.random.default_rng(seed)
    rare = graph.train[graph.y[graph.train] == 1]
    other = rng.choice(graph.train, len(rare))
    share = rng.beta(2, 2, len(rare))
    share = np.maximum(share, 1 - share)
    x = share[:, None] * graph.x[rare] + (1 - share)[:, None] * graph.x[other]
    starts = np.searchsorted(graph.pairs[0], np.arange(len(graph.y) + 1))
    links = []
    for number, (one, two, of_one) in enumerate(zip(rare, other, share, strict=True)):
        mine = graph.pairs[1, starts[one] : starts[one + 1]]
        theirs = graph.pairs[1, starts[two] : starts[two + 1]]
        both = np.concatenate([mine, theirs])
        if len(both) == 0:
            continue
        odds = np.concatenate(
            [
                np.full(len(mine), of_one / max(len(mine), 1)),
                np.full(len(theirs), (1 - of_one) / max(len(theirs), 1)),
            ]
        )
        drawn = rng.choice(
            both, min(max(len(mine), 1), len(both)), replace=False, p=odds / odds.sum()
        )
        links.append(np.stack([np.full(len(drawn), len(graph.y) + number), drawn]))
    return graph.with_positives(x, np.concatenate(links, axis=1))


def measured(
    score: NDArray[np.float64], truth: NDArray[np.int64], test: NDArray[np.bool_]
) -> dict[str, float]:
    """AUC, average precision and recall among the k highest, k the number of outliers."""
    score, truth = score[test], truth[test]
    top = np.argsort(-score, kind="stable")[: truth.sum()]
    return {
        "auc": float(roc_auc_score(truth, score)),
        "ap": float(average_precision_score(truth, score)),
        "recall@k": float(truth[top].mean()),
    }


def runs(
    folder: Path, name: str, seed: int, kinds: list[str], methods: list[str], epochs: int
) -> Iterator[dict[str, Any]]:
    """A row for each detector and method."""
    data, graph, test = task(folder, name, seed)
    start = time.perf_counter()
    made = {"none": graph, "weights": graph, "DAGAD": graph}
    if set(methods) - set(made):
        made |= dict(worlds(data, graph, seed))
    generated = time.perf_counter() - start
    count = len(graph.y)
    for kind in kinds:
        for method in methods:
            start = time.perf_counter()
            score = detected(
                kind,
                made[method],
                seed,
                weighted=method == "weights",
                permuted=method == "DAGAD",
                epochs=epochs,
            )
            yield {
                "data": name,
                "detector": kind,
                "method": method,
                "seed": seed,
                **measured(score[:count], graph.y, test),
                "seconds": time.perf_counter() - start,
                "seconds of generators": generated,
            }


def tables(record: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By data set and method: means over detectors and seeds, AP paired with ``none``."""
    rows = []
    for name in dict.fromkeys(r["data"] for r in record):
        mine = {(r["detector"], r["seed"], r["method"]): r for r in record if r["data"] == name}
        plain = {key[:2]: r["ap"] for key, r in mine.items() if key[2] == "none"}
        for method in dict.fromkeys(method for _, _, method in mine):
            here = {key[:2]: r for key, r in mine.items() if key[2] == method}
            gains = {key: r["ap"] - plain[key] for key, r in here.items()}
            kinds = list(dict.fromkeys(kind for kind, _ in here))
            of_kind = {
                kind: float(np.mean([g for (k, _), g in gains.items() if k == kind]))
                for kind in kinds
            }
            rows.append(
                {
                    "data": name,
                    "method": method,
                    **{m: float(np.mean([r[m] for r in here.values()])) for m in MEASURES},
                    "AP - none": spread(gains.values()) if method != "none" else "",
                    "better": f"{sum(g > 0 for g in gains.values())}/{len(gains)}",
                    **{kind: f"{gain:+.3f}" for kind, gain in of_kind.items()},
                }
            )
    return rows


def main() -> None:
    """Run what is asked for, print the tables."""
    options = parser(__doc__, "augmentation_godm")
    options.add_argument("--only", choices=tuple(FILES), nargs="+")
    options.add_argument("--detectors", choices=DETECTORS, nargs="+", default=list(DETECTORS))
    options.add_argument("--methods", choices=METHODS, nargs="+", default=list(METHODS))
    options.add_argument("--epochs", type=int, default=60, help="of a detector")
    options.add_argument("--first", type=int, default=0, help="the first seed")
    chosen = options.parse_args()
    folder, out = data_folder(), chosen.out
    names = chosen.only or (["amazon_upu"] if chosen.quick else list(FILES))
    seeds = range(chosen.first, chosen.first + (1 if chosen.quick else chosen.seeds))
    out.mkdir(parents=True, exist_ok=True)
    stored = out / "runs.json"
    record: list[dict[str, Any]] = json.loads(stored.read_text()) if stored.exists() else []
    for seed in seeds:
        for name in names:
            done = {r["detector"] for r in record if (r["data"], r["seed"]) == (name, seed)}
            left = [kind for kind in chosen.detectors if kind not in done]
            asked = (chosen.methods, chosen.epochs)
            for row in runs(folder, name, seed, left, *asked) if left else ():
                record.append(row)
                if row["method"] == chosen.methods[-1]:
                    write(out, "runs", record)
    rows = tables(record)
    for name in dict.fromkeys(r["data"] for r in rows):
        show(f"GODM's protocol on {name}", [r for r in rows if r["data"] == name])
    write(out, "augmentation_godm", rows)


if __name__ == "__main__":
    main()
