"""Latent diffusion part by part: what each does for a classifier, and for what is generated.

    python -m benchmarks.augmentation_parts [--quick] [--only amazon_upu|s_ffsd] [--parts PART ...]
        [--first SEED] [--seeds N] [--out FOLDER]    # reads KNOWREASON_DATA

`amazon_upu`: a part of the graph (4,000 users, all fraudsters among them and their links), 40 % of
the labels train. `s_ffsd`: times and types; payments of slices 28 to 33 train, 34 to 36
test; payments are nodes linked to their accounts, places and merchants, the last by one relation
for each of the three most frequent payment types and one for the rest; all links have times. Parts
left out: the class in encoder and decoders (the denoiser keeps it), the class in the denoiser (it
is fitted to the rare class alone), time stamps, edge types (one relation a pair of domains), the
diffusion; 1 to 4 rounds of messages. `--quick`: one seed. Runs are added to `runs.json`.

`told`: AUC of trees that tell generated positives from real ones by columns and degrees (.5 is
best). `times`: Kolmogorov-Smirnov distance between times of links of generated and of real
positives. `types`: half the sum of differences of the shares of link types of the two.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy.stats import ks_2samp

from benchmarks.augmentation import FILES, Split, bound, measured
from benchmarks.augmentation_rivals import posterior_points
from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason import lang
from knowreason.data import Dataset, EdgeList
from knowreason.models import make, rows_of
from knowreason.models.diffusion import Synthetic, enlarged
from knowreason.models.diffusion.autoencoder import AutoencoderOptions, Latents, train_autoencoder
from knowreason.models.diffusion.edm import DenoiserOptions
from knowreason.models.diffusion.encoded_world import World, world_of
from knowreason.models.diffusion.synthesis import SynthesisOptions, diffused, synthesised, wanted

EPOCHS, STEPS, HIDDEN = 60, 300, 16
WEIGHTED = "all: nothing generated, weighted classes"
PARTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "class in the autoencoder": {"classes": False},
    "class in the denoiser": {"rare_alone": True},
    "diffusion (vae alone)": {"vae": True},
    "class in the autoencoder, diffusion": {"classes": False, "vae": True},
    "class in the autoencoder, links": {"classes": False, "alone": True},
}
MORE: dict[str, dict[str, dict[str, Any]]] = {
    "amazon_upu": {f"{n} hop{'s' * (n > 1)}": {"layers": n} for n in (1, 3, 4)},
    "s_ffsd": {"time stamps": {"times": False}, "edge types": {"types": False}},
}
SHOWN = ("auc", "ap", "recall@k", "told", "times", "types")


def amazon_upu(folder: Path, seed: int) -> Split:
    """Part of the graph: all fraudsters, other users at random."""
    rng = np.random.default_rng(seed)
    with np.load(folder / FILES["amazon_upu"]) as arrays:
        truth = (arrays["y"] > 0).astype(np.int8)
        normal = rng.permutation(np.flatnonzero(truth == 0))
        chosen = np.sort(np.concatenate([np.flatnonzero(truth), normal[: 4000 - truth.sum()]]))
        place = np.full(len(truth), -1)
        place[chosen] = np.arange(len(chosen))
        ends = place[arrays["edge_index"]]
        part = {"x": arrays["x"][chosen], "edge_index": ends[:, (ends >= 0).all(axis=0)]}
    truth = truth[chosen]
    train = np.zeros(len(truth), bool)
    for state in (0, 1):
        members = rng.permutation(np.flatnonzero(truth == state))
        train[members[: round(0.4 * len(members))]] = True
    return Split(bound(part, truth, train), truth, ~train, train)


def s_ffsd(folder: Path, seed: int) -> Split:
    """Payments as nodes of a graph with times and four ways to pay; the seed draws the labels."""
    table = pq.read_table(folder / "s_ffsd" / "s_ffsd.parquet").to_pandas()
    table = table[table["snapshot"].between(28, 36)].reset_index(drop=True)
    rng = np.random.default_rng(seed)
    known = (table["label"] >= 0).to_numpy()
    train = known & (table["snapshot"] < 34).to_numpy() & (rng.random(len(table)) < 0.8)
    test = known & (table["snapshot"] >= 34).to_numpy()
    names = [f"p{i}" for i in range(len(table))]
    types = table["type"].where(table["type"].isin(table["type"].value_counts().index[:3]), "rest")
    program = lang.loads("domain Node, Account, Place, Merchant\nquery Rare(Node)\n")
    graph = []
    for domain, column in (("Account", "source"), ("Place", "location"), ("Merchant", "target")):
        groups = types.unique() if domain == "Merchant" else [None]
        for group in groups:
            rows = np.flatnonzero(types == group) if group is not None else np.arange(len(table))
            links = {
                "payment": [names[i] for i in rows],
                "other": [f"{column}{table[column][i]}" for i in rows],
                "time": table["time"].to_numpy()[rows],
            }
            name = f"{domain.lower()}{'' if group is None else f'_{group}'}"
            ends = {"source": "payment:Node", "target": f"other:{domain}", "time": "time"}
            graph.append(EdgeList(pa.table(links), **ends, name=name))
    counts = table.groupby("target")["amount"].agg(["size", "mean"]).reset_index()
    truth = (table["label"] == 1).to_numpy().astype(np.int8)
    data = Dataset.from_frames(
        program,
        things={"Node": pa.table({"node": names})},
        labels={"Rare": pa.table({"node": np.array(names)[train], "rare": truth[train]})},
        features={
            "Node": pa.table({"node": names, "amount": table["amount"].to_numpy()}),
            "Merchant": pa.table(
                {
                    "merchant": [f"target{name}" for name in counts["target"]],
                    "payments": np.log1p(counts["size"].to_numpy()),
                    "mean": counts["mean"].to_numpy(),
                }
            ),
        },
        graph=graph,
    )
    return Split(data, truth, test, train)


def latents_of(
    data: Dataset,
    seed: int,
    *,
    classes: bool = True,
    times: bool = True,
    types: bool = True,
    layers: int = 2,
) -> Latents:
    """An autoencoder fitted without some of what there is."""
    world = world_of(data, rows_of(data, "Rare"), make("trees"))
    options = AutoencoderOptions(
        hidden=HIDDEN, epochs=EPOCHS, layers=layers, classes=classes, seed=seed
    )
    return train_autoencoder(_without(world, times, types), options, torch.device("cpu"))


def _without(world: World, times: bool, types: bool) -> World:
    links = []
    for link in world.links:
        stamps = link.time if times else np.full_like(link.time, np.nan)
        link = replace(link, time=stamps)
        if not types:  # all are of the first; features, of which there are none, are its
            first = link.relation.min()
            row = link.row % (link.relation == first).sum()
            link = replace(link, relation=np.full_like(link.relation, first), row=row)
        links.append(link)
    return replace(world, links=tuple(links))


def made_by(data: Dataset, seed: int, part: dict[str, Any], cache: dict[str, Latents]) -> Synthetic:
    """As many positives as are known, drawn without a part."""
    part = dict(part)
    vae, rare_alone = part.pop("vae", False), part.pop("rare_alone", False)
    linked = not part.pop("alone", False)
    key = json.dumps(part)
    if key not in cache:
        cache[key] = latents_of(data, seed, **part)
    latents = cache[key]
    rows = rows_of(data, "Rare")
    counts = wanted(rows.labels[rows.labelled], 2, 1.0)
    labels = np.repeat(np.arange(2), counts)
    denoiser = DenoiserOptions(steps=STEPS, seed=seed)
    options = SynthesisOptions(connect=linked, denoiser=denoiser, seed=seed)
    if vae:
        points = posterior_points(latents, labels, 10, np.random.default_rng(seed))
    elif rare_alone:
        points = diffused(_rare(latents), labels, options)
    else:
        points = diffused(latents, labels, options)
    return synthesised(latents, "Rare", points, labels, options)


def _rare(latents: Latents) -> Latents:
    """The latents with every thing but the rare ones left out, for a denoiser of one class."""
    world = latents.world
    first = world.own.first
    chosen = np.flatnonzero(world.labels == 1)
    own = replace(world.own, first=0, x=world.own.x[chosen])
    small = replace(world, blocks=(own,), labels=world.labels[chosen])
    return replace(latents, world=small, mean=latents.mean[first + chosen])


def told(split: Split, made: Synthetic) -> dict[str, float]:
    """How generated positives differ from real ones, in columns, degrees, times and types."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    assert split.data.graph is not None
    count = len(split.truth)
    rare = np.flatnonzero(split.train & (split.truth == 1))
    real, new, times, types = [], [], [[], []], [[], []]
    for number, edges in enumerate(split.data.graph.relations):
        more = [e for e in made.edges if e.relation == number]
        of_rare = np.isin(edges.source, rare)
        real.append(np.bincount(edges.source, minlength=count)[rare])
        source = more[0].source if more else np.zeros(0, int)
        ours = source >= count
        new.append(np.bincount(source[ours] - count, minlength=len(made)))
        types[0].append(of_rare.sum())
        types[1].append(ours.sum())
        if edges.time is not None:
            times[0].append(edges.time[of_rare])
            if more and more[0].time is not None:
                times[1].append(more[0].time[ours])
            elif more:
                times[1].append(edges.time[more[0].template[ours]])
    columns = split.data.features["Node"].values[rare]
    matrix = np.concatenate(
        [np.column_stack([columns, *real]), np.column_stack([made.columns.values, *new])]
    )
    target = np.repeat([0, 1], [len(rare), len(made)])
    judge = HistGradientBoostingClassifier(max_iter=40, random_state=0)
    found = cross_val_predict(judge, matrix, target, cv=4, method="predict_proba")[:, 1]
    shares = [np.array(side) / max(sum(side), 1) for side in types]
    timed = bool(times[0]) and bool(times[1])
    return {
        "told": float(roc_auc_score(target, found)),
        "times": float(ks_2samp(*map(np.concatenate, times)).statistic) if timed else np.nan,
        "types": float(np.abs(shares[0] - shares[1]).sum() / 2) if len(shares[0]) > 1 else np.nan,
    }


def runs(
    folder: Path, name: str, seed: int, asked: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """A row for each part left out."""
    split = {"amazon_upu": amazon_upu, "s_ffsd": s_ffsd}[name](folder, seed)
    parts = {"all: nothing generated": None, WEIGHTED: None, **PARTS, **MORE[name]}
    cache: dict[str, Latents] = {}
    for part, options in parts.items():
        if asked is not None and options is not None and part not in asked:
            continue
        start = time.perf_counter()
        data, quality = split.data, {}
        if options is not None:
            made = made_by(split.data, seed, options, cache)
            data, quality = enlarged(split.data, made), told(split, made)
        balance = {"class_weight": "balanced"} if part == WEIGHTED else {}
        model = make("trees", {"seed": seed, **balance}).fit(data, "Rare")
        row = {"data": name, "left out": part, "seed": seed, **measured(split, model), **quality}
        yield {**row, "seconds": time.perf_counter() - start}


def tables(record: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means and deviations over seeds, AP paired with nothing generated."""
    rows = []
    for name, part in dict.fromkeys((r["data"], r["left out"]) for r in record):
        mine = {r["seed"]: r for r in record if (r["data"], r["left out"]) == (name, part)}
        plain = {
            r["seed"]: r["ap"]
            for r in record
            if (r["data"], r["left out"]) == (name, "all: nothing generated")
        }
        gains = [r["ap"] - plain[seed] for seed, r in mine.items()]
        shown = {m: spread(r.get(m, np.nan) for r in mine.values()) for m in SHOWN}
        rows.append({"data": name, "left out": part, **shown, "AP - nothing": spread(gains)})
    return rows


def main() -> None:
    """Run what is asked for, print the tables."""
    options = parser(__doc__, "augmentation_parts")
    options.add_argument("--only", choices=("amazon_upu", "s_ffsd"))
    options.add_argument("--parts", nargs="+", help="only these left out")
    options.add_argument("--first", type=int, default=0, help="the first seed")
    chosen = options.parse_args()
    folder, out = data_folder(), chosen.out
    seeds = range(chosen.first, chosen.first + (1 if chosen.quick else chosen.seeds))
    stored = out / "runs.json"
    record: list[dict[str, Any]] = json.loads(stored.read_text()) if stored.exists() else []
    for name in [chosen.only] if chosen.only else ["amazon_upu", "s_ffsd"]:
        for seed in seeds:
            for row in runs(folder, name, seed, chosen.parts):
                same = ("data", "left out", "seed")
                record = [r for r in record if any(r[k] != row[k] for k in same)] + [row]
                write(out, "runs", record)
    for name in dict.fromkeys(r["data"] for r in record):
        show(f"Parts on {name}", [r for r in tables(record) if r["data"] == name])
    write(out, "augmentation_parts", tables(record))


if __name__ == "__main__":
    main()
