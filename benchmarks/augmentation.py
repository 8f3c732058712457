"""Rare classes multiplied: class weights, SMOTE on latents, VAE and latent diffusion.

    python -m benchmarks.augmentation [--quick] [--only tolokers|amazon_upu|reddit]
        [--setting full|100] [--classifier trees|gnn] [--first SEED] [--seeds N]
        [--out FOLDER]    # reads KNOWREASON_DATA

Each method in front of `trees` and `gnn`, on tolokers (official splits), amazon_upu and
reddit (40 % of the labels, drawn evenly by class, train; the rest test), with all training
labels and with 20 positives and 80 negatives of them. One autoencoder a split serves SMOTE,
VAE and diffusion. Runs are added to `runs.json`, what is there is not run again, and the
tables are of all runs in it, so that a study may be made in parts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import cross_val_predict

from benchmarks.augmentation_figure import augmentation_figure
from benchmarks.augmentation_rivals import RIVALS
from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason import lang
from knowreason.data import Dataset, EdgeList
from knowreason.models import KnowledgeModel, make, rows_of
from knowreason.models.diffusion import Diffusion, Synthetic, enlarged, mirrored
from knowreason.models.diffusion.autoencoder import Latents
from knowreason.models.diffusion.synthesis import SynthesisOptions, synthesised, wanted
from knowreason.report.svg import save_svg

PROGRAM = "domain Node\nquery Rare(Node)\n"
FILES = {
    "tolokers": "tolokers/tolokers.npz",
    "amazon_upu": "amazon_upu/amazon_upu.npz",
    "reddit": "gad/reddit.npz",
}
SETTINGS = {"full": 1.0, "100": 2.0}  # synthetic things for each labelled positive
SCARCE = {1: 20, 0: 80}
METHODS = ("none", "weights", "smote", "vae", "diffusion", "diffusion, shared", "diffusion, alone")
KEPT = "diffusion, if better on held-out rows"
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "trees": {},
    "gnn": {"hidden": 32, "epochs": 60, "patience": 15},
}
SMALL = {"hidden": 32, "epochs": 150, "denoiser_steps": 500}
MEASURES = ("auc", "ap", "recall@k")


@dataclass(frozen=True)
class Split:
    """One data set with its training labels visible.

    Attributes:
        data: the bound data set.
        truth: ``int8[n]``.
        test: ``bool[n]``.
        train: ``bool[n]``, things with a visible label.
    """

    data: Dataset
    truth: NDArray[np.int8]
    test: NDArray[np.bool_]
    train: NDArray[np.bool_]


def split_of(folder: Path, name: str, setting: str, seed: int) -> Split:
    """A data set and one of its splits."""
    arrays = np.load(folder / FILES[name])
    truth = (arrays["y"] > 0).astype(np.int8)
    rng = np.random.default_rng(seed)
    if name == "tolokers":
        train, test = arrays["train_masks"][seed], arrays["test_masks"][seed]
    else:
        train = np.zeros(len(truth), bool)
        for state in (0, 1):
            members = rng.permutation(np.flatnonzero(truth == state))
            train[members[: round(0.4 * len(members))]] = True
        test = ~train
    if setting == "100":
        chosen = [
            rng.choice(np.flatnonzero(train & (truth == state)), count, replace=False)
            for state, count in SCARCE.items()
        ]
        train = np.isin(np.arange(len(truth)), np.concatenate(chosen))
    return Split(bound(arrays, truth, train), truth, test, train)


def bound(arrays: Any, truth: NDArray[np.int8], train: NDArray[np.bool_]) -> Dataset:
    """Features and edges as tables; things are numbered as in the file."""
    ids = np.arange(len(truth))
    columns = {f"x{i}": column for i, column in enumerate(arrays["x"].T)}
    source, target = arrays["edge_index"]
    return Dataset.from_frames(
        lang.loads(PROGRAM),
        things={"Node": pa.table({"node": ids})},
        labels={"Rare": pa.table({"node": ids[train], "rare": truth[train]})},
        features={"Node": pa.table({"node": ids, **columns})},
        graph=EdgeList(
            pa.table({"source": source, "target": target}),
            source="source:Node",
            target="target:Node",
        ),
    )


def runs(
    split: Split, setting: str, seed: int, classifiers: list[str], options: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """A row for each classifier and method."""
    augment = _augmentation(setting, seed, options)
    start = time.perf_counter()
    latents = augment.latents(split.data, "Rare")
    training = time.perf_counter() - start
    worlds: dict[str, tuple[Dataset, float | None]] = {}
    for method in ("smote", "vae", "diffusion"):
        if method == "diffusion":
            made = augment.synthetic(split.data, "Rare", latents)
        else:
            made = drawn(split.data, latents, method, augment)
        copied = enlarged(split.data, mirrored(split.data, made))
        worlds[method] = copied, told_from_real(split, made)
    for name, edges in (("diffusion, shared", made.edges), ("diffusion, alone", ())):
        worlds[name] = enlarged(split.data, replace(made, edges=edges)), worlds["diffusion"][1]
    for kind in classifiers:
        for method in METHODS:
            data, told = worlds.get(method, (split.data, None))
            more = {"class_weight": "balanced"} if method == "weights" else {}
            start = time.perf_counter()
            model = make(kind, {**CLASSIFIERS[kind], "seed": seed, **more}).fit(data, "Rare")
            yield {
                "classifier": kind,
                "method": method,
                **measured(split, model),
                "told": told,
                "seconds": time.perf_counter() - start,
                "seconds of the autoencoder": training,
            }


def drawn(data: Dataset, latents: Latents, method: str, like: Diffusion) -> Synthetic:
    """As many things as ``like`` would make, their latents drawn by a rival of diffusion."""
    rows = rows_of(data, "Rare")
    counts = wanted(rows.labels[rows.labelled], rows.states, like.ratio)
    labels = np.repeat(np.arange(len(counts)), counts)
    points = RIVALS[method](latents, labels, like.nearest, np.random.default_rng(like.seed))
    options = SynthesisOptions(nearest=like.nearest, seed=like.seed)
    return synthesised(latents, "Rare", points, labels, options)


def kept(split: Split, setting: str, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """The model as a rule file has it: diffusion before trees where held-out rows say so."""
    chosen = {**options, "ratio": SETTINGS[setting], "seed": seed, "classifier": make("trees")}
    model = make("diffusion", chosen).fit(split.data, "Rare")
    row = {"classifier": "trees", "method": KEPT}
    return {**row, **measured(split, model), "kept": bool(model.kept_), "told": None}


def measured(split: Split, model: KnowledgeModel) -> dict[str, float]:
    """AUC, average precision and recall among the k highest, k the number of positives."""
    score = model.log_odds(split.data, "Rare")[split.test]
    truth = split.truth[split.test]
    top = np.argsort(-score, kind="stable")[: truth.sum()]
    return {
        "auc": float(roc_auc_score(truth, score)),
        "ap": float(average_precision_score(truth, score)),
        "recall@k": float(truth[top].mean()),
    }


def told_from_real(split: Split, made: Synthetic) -> float:
    """AUC of boosted trees that tell generated positives from real ones by their columns.

    Real are all positives of the data set: 0.5 is a generator whose columns cannot be told.
    """
    real = split.data.features["Node"].values[split.truth == 1]
    matrix = np.concatenate([real, made.columns.values])
    target = np.repeat([0, 1], [len(real), len(made)])
    judge = HistGradientBoostingClassifier(max_iter=40, random_state=0)
    found = cross_val_predict(judge, matrix, target, cv=4, method="predict_proba")[:, 1]
    return float(roc_auc_score(target, found))


def tables(record: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means and deviations over seeds, and paired differences to ``none``."""
    rows = []
    keys = dict.fromkeys((r["data"], r["setting"], r["classifier"], r["method"]) for r in record)
    for key in keys:
        mine = {r["seed"]: r for r in record if _key(r) == key}
        plain = {r["seed"]: r for r in record if _key(r) == (*key[:3], "none")}
        both = sorted(set(mine) & set(plain))
        gain = [mine[seed]["ap"] - plain[seed]["ap"] for seed in both]
        told = [r["told"] for r in mine.values() if r["told"] is not None]
        rows.append(
            {
                "data": key[0],
                "labels": key[1],
                "classifier": key[2],
                "method": key[3],
                "seeds": len(mine),
                **{m: spread(r[m] for r in mine.values()) for m in MEASURES},
                "AP against none": "" if key[3] == "none" else spread(gain),
                "better": "" if key[3] == "none" else f"{sum(g > 0 for g in gain)}/{len(gain)}",
                "told from real": spread(told) if told else "",
            }
        )
    return rows


def picture(split: Split, setting: str, options: dict[str, Any], file: Path) -> None:
    """Generated positives beside real ones: the columns that tell classes apart, and degrees."""
    augment = _augmentation(setting, 0, options)
    made = augment.synthetic(split.data, "Rare")
    assert split.data.graph is not None
    table = split.data.features["Node"]
    rare, others = table.values[split.truth == 1], table.values[split.truth == 0]
    apart = np.abs(rare.mean(axis=0) - others.mean(axis=0)) / (table.values.std(axis=0) + 1e-9)
    names = [table.names[place] for place in np.argsort(-apart)[:5]]
    save_svg(augmentation_figure(split.data, made, split.truth == 1, names), file)


def _augmentation(setting: str, seed: int, options: dict[str, Any]) -> Diffusion:
    model = make(
        "diffusion",
        {
            **options,
            "classifier": make("trees"),
            "ratio": SETTINGS[setting],
            "seed": seed,
        },
    )
    assert isinstance(model, Diffusion)
    return model


def _key(row: dict[str, Any]) -> tuple[str, str, str, str]:
    return row["data"], row["setting"], row["classifier"], row["method"]


def _complete(record: list[dict[str, Any]], classifier: str) -> bool:
    return {r["method"] for r in record if r["classifier"] == classifier} >= set(METHODS)


def _add(out: Path, old: list[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """The record with a run added, replacing one of the same kind; written at once."""
    same: Callable[[dict[str, Any]], bool] = lambda r: (  # noqa: E731
        _key(r) == _key(new) and r["seed"] == new["seed"]
    )
    record = [*(r for r in old if not same(r)), new]
    write(out, "runs", record)
    return record


def main() -> None:
    """Run what is asked for, print the tables, write JSON and pictures."""
    options = parser(__doc__, "augmentation")
    options.add_argument("--only", choices=tuple(FILES))
    options.add_argument("--setting", choices=tuple(SETTINGS))
    options.add_argument("--classifier", choices=tuple(CLASSIFIERS))
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--kept", action="store_true", help="also with keep='best' (slower)")
    options.add_argument("--picture", action="store_true", help="only the picture")
    chosen = options.parse_args()
    folder, out = data_folder(), chosen.out
    names = [chosen.only] if chosen.only else ["amazon_upu"] if chosen.quick else list(FILES)
    settings = [chosen.setting] if chosen.setting else list(SETTINGS)
    classifiers = [chosen.classifier] if chosen.classifier else list(CLASSIFIERS)
    seeds = range(chosen.first, chosen.first + (1 if chosen.quick else chosen.seeds))
    small = {**SMALL, "epochs": 40, "denoiser_steps": 300} if chosen.quick else SMALL
    out.mkdir(parents=True, exist_ok=True)
    if chosen.picture:
        for name in names:
            split = split_of(folder, name, "full", 0)
            picture(split, "full", small, out / f"augmentation_{name}.svg")
        return
    stored = out / "runs.json"
    record = json.loads(stored.read_text()) if stored.exists() else []
    for name in names:
        for setting in settings:
            for seed in seeds:
                head = {"data": name, "setting": setting, "seed": seed}
                mine = [r for r in record if {**r, **head} == r]
                left = [kind for kind in classifiers if not _complete(mine, kind)]
                split = split_of(folder, name, setting, seed)
                for row in runs(split, setting, seed, left, small) if left else ():
                    record = _add(out, record, {**head, **row})
                if chosen.kept and not any(row["method"] == KEPT for row in mine):
                    record = _add(out, record, {**head, **kept(split, setting, seed, small)})
    rows = tables(record)
    for name in names:
        show(f"Augmentation on {name}", [r for r in rows if r["data"] == name])
    write(out, "augmentation", rows)


if __name__ == "__main__":
    main()
