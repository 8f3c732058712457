"""Anomaly scores without labels on the outlier sets of BOND: gad_ebm, its terms, and others.

    python -m benchmarks.gad [--only disney,inj_cora] [--seeds 3] [--quick] [--dominant]

Reads KNOWREASON_DATA. Everything is fitted without labels; labels only measure. One default of
`gad_ebm` for all sets. Results of parts run one after the other are gathered in --out; `--only
pairs` tests the scores of seed 0 that lie there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from benchmarks.energy_figure import energies_figure
from benchmarks.gad_cost import cost_table, dominant
from benchmarks.gad_weights import by_agreement, by_contrast, paired
from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason.models.energy import TERMS, Training, fit_energy
from knowreason.models.energy.additive_energy import PARTS, held_out
from knowreason.models.energy.ego_subgraphs import Egos, symmetric_adjacency
from knowreason.models.energy.energy_scaling import PrincipalParts
from knowreason.models.energy.energy_terms import InputMaps
from knowreason.models.energy.neural_energy import EnergyNets, summaries, train_net
from knowreason.report import save_svg

SETS = ("disney", "enron", "reddit", "inj_cora", "gen_500", "gen_5000")
BIG = ("enron", "reddit")  # on which the network has one setting, and half the seeds
LARGE = 1_000  # nodes beyond which DOMINANT gets one seed
QUICK = ("disney", "gen_500", "inj_cora")
QUOTED = {  # not measured here
    "GAD-EBM as published, tuned a set": {"disney": 0.745, "enron": 0.809, "reddit": 0.585},
    "best of PyGOD's detectors a set": {"disney": 0.689, "reddit": 0.566, "inj_cora": 0.768},
}
VARIANTS: Mapping[str, Mapping[str, Any]] = {  # of the network
    "as it is": {},
    "encoder sage": {"encoder": "sage"},
    "encoder gin": {"encoder": "gin"},
    "edges or features": {"together": False},
    "edges or features, encoder sage": {"together": False, "encoder": "sage"},
    "weight decay 0": {"weight_decay": 0.0},
    "weight decay .01": {"weight_decay": 1e-2},
    "one network": {"nets": 1},
    "loss cnce": {"loss": "cnce"},
    "loss ssm (the paper's)": {"loss": "ssm"},
}
Array = NDArray[np.float64]


def load(name: str) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Features, edges and 0/1 labels of a set."""
    arrays = np.load(data_folder() / "gad" / f"{name}.npz")
    return arrays["x"], arrays["edge_index"], (arrays["y"] > 0).astype(np.int64)


def standardised(x: NDArray[np.floating]) -> Array:
    """Columns with mean 0 and deviation 1."""
    deviation = x.std(axis=0, dtype=np.float64)
    return (x - x.mean(axis=0, dtype=np.float64)) / np.where(deviation > 1e-9, deviation, 1)


def anchors(
    x: NDArray[np.float32], edges: NDArray[np.int64], seed: int
) -> Iterator[tuple[str, Array]]:
    """Simple detectors; those without chance only for seed 0."""
    own = standardised(x).astype(np.float32)
    around = Egos.of(symmetric_adjacency(edges, len(x))).mean(own)
    both = np.concatenate([own, around], axis=1)
    forest = IsolationForest(n_estimators=200, random_state=seed).fit(both)
    yield "isolation forest on x and mean neighbour", -forest.score_samples(both)
    if seed:
        return
    neighbours = min(20, len(x) - 1)
    factor = LocalOutlierFactor(n_neighbors=neighbours).fit(both)
    yield "local outlier factor on x and mean neighbour", -factor.negative_outlier_factor_
    near = NearestNeighbors(n_neighbors=5).fit(both)
    yield "k-NN distance on x and mean neighbour", near.kneighbors()[0].mean(axis=1)
    yield "COPOD-like tails of x", _tails(x)
    yield "PCA residual of x - mean neighbour", _residual(own - around)


def _tails(x: NDArray[np.float32]) -> Array:
    """Sum over columns of -log of the empirical tail, the larger of left and right sums."""
    ranks = rankdata(x, axis=0) / (len(x) + 1)
    return np.maximum(-np.log(ranks).sum(axis=1), -np.log1p(-ranks).sum(axis=1))


def _residual(x: NDArray[np.floating]) -> Array:
    """Squared distance from the plane of the leading half of the components."""
    parts = PrincipalParts.fit(x, x.shape[1] // 2)
    centred = x - parts.mean
    return (centred**2).sum(axis=1) - ((centred @ parts.directions) ** 2).sum(axis=1)


def own_scores(
    x: NDArray[np.float32], edges: NDArray[np.int64], seed: int
) -> Iterator[tuple[str, Array, dict[str, object]]]:
    """Scores of the default and of its parts from one fit, and what is to be known of it."""
    start, training = time.process_time(), Training(seed=seed)
    energy = fit_energy(x, edges, training=training)
    default = energy(x, edges)
    yield "gad_ebm", default, {"CPU s": time.process_time() - start, "report": energy.report}
    surprise = {name: len(TERMS) * share for name, share in energy.shares(x, edges).items()}
    egos = Egos.of(symmetric_adjacency(edges, len(x)))
    for how, weights in (
        ("contrast", by_contrast(energy, x, egos, training)),
        ("agreement", by_agreement(surprise)),
    ):
        score = sum(weights[name] * column for name, column in surprise.items())
        yield f"gad_ebm, weights by {how}", score, {"weights": weights}
    for left in TERMS:
        score = np.sum([surprise[name] for name in TERMS if name != left], axis=0)
        yield f"gad_ebm without {left}", score, {}
    for name, column in surprise.items():
        yield f"{name} alone", column, {}


def variants(name: str, seed: int) -> Iterator[dict[str, object]]:
    """The network in other ways, alone and with the other terms."""
    x, edges, y = load(name)
    others = fit_energy(x, edges, terms=TERMS[:-1])(x, edges) * (len(TERMS) - 1)
    for variant, options in VARIANTS.items():
        start = time.process_time()
        energy = fit_energy(
            x, edges, terms=("net",), training=replace(Training(seed=seed), **options)
        )
        alone = energy(x, edges)
        more = {"CPU s": time.process_time() - start, "note": energy.report[0]}
        for what, score in (("net alone", alone), ("gad_ebm", alone + others)):
            known = {"set": name, "seed": seed, "method": f"{variant}: {what}"}
            yield known | measures(y, score) | more


def half_width(y: NDArray[np.int64], score: Array) -> float:
    """95 % half-width of an AUC (DeLong et al. 1988)."""
    ranks, positive = rankdata(score), y == 1
    m, n = positive.sum(), (~positive).sum()
    over = (ranks[positive] - rankdata(score[positive])) / n
    under = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    return 1.96 * float(np.sqrt(over.var(ddof=1) / m + under.var(ddof=1) / n))


def measures(y: NDArray[np.int64], score: Array) -> dict[str, float]:
    """AUC and average precision; the half-width is of the AUC."""
    return {
        "auc": roc_auc_score(y, score),
        "ap": average_precision_score(y, score),
        "half_width": half_width(y, score),
    }


def measure(name: str, seeds: range, with_dominant: bool, out: Path) -> Iterator[dict[str, object]]:
    """One record a set, method and seed; the scores of the first seed are kept in ``out``."""
    x, edges, y = load(name)

    def scored(seed: int) -> Iterator[tuple[str, Array, dict[str, object]]]:
        if with_dominant:
            start = time.process_time()
            score = dominant(x, edges, seed)
            yield "DOMINANT of PyGOD", score, {"CPU s": time.process_time() - start}
            return
        yield from own_scores(x, edges, seed)
        for method, score in anchors(x, edges, seed):
            yield method, score, {}

    most = 1 if with_dominant and len(x) > LARGE else (len(seeds) + 1) // 2 if name in BIG else None
    for seed in seeds[:most]:
        kept = {}
        for method, score, more in scored(seed):
            kept[method] = np.asarray(score, np.float32)
            yield {"set": name, "method": method, "seed": seed, **measures(y, score), **more}
        if not seed:
            np.savez(out / f"scores_{name}{'_dominant' if with_dominant else ''}.npz", **kept)


def pairs(out: Path) -> list[dict[str, object]]:
    """The default less others, paired over nodes, from the scores kept in ``out``."""
    labels, scores = {}, {}
    for name in SETS:
        for file in sorted(out.glob(f"scores_{name}*.npz")):
            if file.stem in (f"scores_{name}", f"scores_{name}_dominant"):
                scores[name] = scores.get(name, {}) | dict(np.load(file))
                labels[name] = load(name)[2]
    weights = ("gad_ebm, weights by contrast", "gad_ebm, weights by agreement")
    others = (*weights, "gad_ebm without net", "degree alone", "DOMINANT of PyGOD")
    return list(paired(labels, scores, "gad_ebm", others))


def inductive(seeds: range) -> Iterator[dict[str, object]]:
    """Fitted on one graph, measured on another (or on nodes that were not there)."""
    for seed in seeds:
        training = Training(seed=seed)
        for first, second in (("gen_500", "gen_5000"), ("gen_5000", "gen_500")):
            x, edges, _ = load(first)
            other, other_edges, y = load(second)
            energy = fit_energy(x, edges, training=training)
            found = measures(y, energy(other, other_edges))
            yield {"fitted on": first, "scored": second, "seed": seed, **found}
        x, edges, y = load("inj_cora")
        there = np.random.default_rng(seed).random(len(x)) < 0.5
        kept = there[edges].all(axis=0)
        place = np.cumsum(there) - 1
        energy = fit_energy(x[there], place[edges[:, kept]], training=training)
        whole = fit_energy(x, edges, training=training)
        for what, fitted in (("half of inj_cora", energy), ("all of inj_cora", whole)):
            found = measures(y[~there], fitted(x, edges)[~there])
            yield {"fitted on": what, "scored": "the other half", "seed": seed, **found}


def picture(out: Path, names: tuple[str, ...] = ("inj_cora", "disney")) -> None:
    """Energies over training of nodes with and without the label, which nothing else sees."""
    for name in names:
        x, edges, y = load(name)
        inputs = InputMaps.fit(x, PARTS)(x)
        egos = Egos.of(symmetric_adjacency(edges, len(x)))
        logs = np.log1p(egos.degree)
        rows = torch.from_numpy(summaries(egos, inputs, (float(logs.mean()), float(logs.std()))))
        steps: list[int] = []
        seen: list[Array] = []

        def look(step: int, module: EnergyNets, rows=rows, steps=steps, seen=seen) -> None:
            energy = module(rows).numpy()
            spread = energy.std(axis=1, keepdims=True)
            energy = (energy - energy.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-12)
            steps.append(step)
            seen.append(energy.mean(axis=0))

        net = train_net(egos, inputs, held_out(len(egos), 0), Training(), look=look)
        levels = [0.05, 0.25, 0.5, 0.75, 0.95]
        groups = {
            "anomalous": np.array([np.quantile(e[y == 1], levels) for e in seen]),
            "normal": np.array([np.quantile(e[y == 0], levels) for e in seen]),
        }
        kept = net.history.steps[np.argmax(net.history.contrast)]
        auc = np.array([roc_auc_score(y, e) for e in seen])
        figure = energies_figure(
            np.array(steps), groups, {"AUC": auc, "told apart": net.history.contrast}, kept, name
        )
        save_svg(figure, out / f"gad_energies_{name}.svg")


def table(records: list[dict], measured: str) -> list[dict[str, object]]:
    """Mean and deviation over seeds by method and set, in percent; the mean over all sets."""
    sets = [name for name in SETS if any(r["set"] == name for r in records)]
    rows: list[dict[str, object]] = []
    for method in dict.fromkeys(r["method"] for r in records):
        row: dict[str, object] = {"method": method}
        means = []
        for name in sets:
            known = [r for r in records if r["set"] == name and r["method"] == method]
            figures = [100 * r[measured] for r in known]
            row[name] = spread(figures, 1)
            means.append(np.mean(figures) if figures else np.nan)
        row["mean"] = f"{np.mean(means):.1f}" if not np.isnan(means).any() else None
        rows.append(row)
    return rows


def gathered(out: Path, name: str, fresh: Callable[[], Iterator[dict]], keys: tuple[str, ...]):
    """Records of earlier parts with the fresh ones in their place, written after each."""
    file = out / f"{name}.json"
    known = json.loads(file.read_text()) if file.is_file() else []
    by_key = {tuple(r[k] for k in keys): r for r in known}
    for record in fresh():
        by_key[tuple(record[k] for k in keys)] = record
        write(out, name, list(by_key.values()))
    return list(by_key.values())


def main() -> None:
    """Measure what is asked for and print the tables."""
    options = parser(__doc__, "gad")
    options.add_argument(
        "--only", default="", help="sets, divided by commas; or variants, inductive, cost, pairs"
    )
    options.add_argument(
        "--dominant", action="store_true", help="of sets PyGOD's DOMINANT only (n x n)"
    )
    chosen = options.parse_args()
    torch.set_num_threads(1)
    sets = QUICK if chosen.quick else SETS
    parts = tuple(filter(None, chosen.only.split(",")))
    parts = parts or (*sets, "variants", "inductive", "cost", "pairs")
    seeds = range(2 if chosen.quick else chosen.seeds)
    out: Path = chosen.out
    out.mkdir(parents=True, exist_ok=True)

    def fresh() -> Iterator[dict]:
        for name in (name for name in SETS if name in parts):
            yield from measure(name, seeds, chosen.dominant, out)

    def shown(title: str, records: list[dict]) -> None:
        for measured, words in (("auc", "AUC"), ("ap", "average precision")):
            show(f"{title}: {words}, percent, over seeds", table(records, measured))

    keys = ("set", "method", "seed")
    records = gathered(out, "gad", fresh, keys)
    shown("Sets", records)
    widths = {r["set"]: 100 * r["half_width"] for r in records if r["method"] == "gad_ebm"}
    show("95 % half-width of the AUC of gad_ebm", [widths])
    if "variants" in parts:
        smaller = [name for name in sets if name not in BIG]
        each = (record for name in smaller for record in variants(name, 0))
        shown("The network", gathered(out, "gad_variants", lambda: each, keys))
    if "inductive" in parts:
        keys = ("fitted on", "scored", "seed")
        found = gathered(out, "gad_inductive", lambda: inductive(seeds), keys)
        rows = []
        for which in dict.fromkeys((r["fitted on"], r["scored"]) for r in found):
            known = [r for r in found if (r["fitted on"], r["scored"]) == which]
            aucs, aps = ([100 * r[m] for r in known] for m in ("auc", "ap"))
            ends = {"fitted on": which[0], "scored": which[1]}
            rows.append({**ends, "AUC": spread(aucs, 1), "AP": spread(aps, 1)})
        show("Fitted on one graph, scored on another", rows)
    if "cost" in parts:
        costs = gathered(out, "gad_cost", lambda: cost_table(chosen.dominant), ("nodes", "method"))
        show("Cost on a generated graph, ten edges a node, one thread", costs)
        picture(out)
    if "pairs" in parts:
        rows = pairs(out)
        write(out, "gad_pairs", rows)
        show("gad_ebm less others, points, [95 %, paired over nodes]", rows)


if __name__ == "__main__":
    main()
