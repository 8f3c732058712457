"""Anomaly scores without labels on the outlier sets of BOND: gad_ebm, its terms, and others.

    python -m benchmarks.gad [--only disney,inj_cora] [--seeds 5] [--quick] [--dominant]

Reads KNOWREASON_DATA. Everything is fitted without labels; labels only measure. One default of
`gad_ebm` for all sets. Results of parts run one after the other are gathered in --out.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from benchmarks.energy_figure import energies_figure
from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason.models.energy import Training, fit_energy
from knowreason.models.energy.additive_energy import weights_of
from knowreason.models.energy.ego_subgraphs import Egos, symmetric_adjacency
from knowreason.models.energy.energy_scaling import PrincipalParts
from knowreason.report import save_svg

SETS = ("disney", "enron", "reddit", "inj_cora", "gen_500", "gen_5000")
DENSE = 4_000  # nodes beyond which DOMINANT and the other losses get one seed
QUICK = ("disney", "gen_500", "inj_cora")
QUOTED = {  # not measured here
    "GAD-EBM as published, tuned a set": {"disney": 0.745, "enron": 0.809, "reddit": 0.585},
    "best of PyGOD's detectors a set": {"disney": 0.689, "reddit": 0.566, "inj_cora": 0.768},
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
) -> tuple[dict[str, Array], Mapping[str, float], float]:
    """Scores of the default and of its parts from one fit, its weights, and seconds."""
    start = time.perf_counter()
    energy = fit_energy(x, edges, training=Training(seed=seed))
    default = energy(x, edges)
    seconds = time.perf_counter() - start
    surprise = replace(energy, weights=dict.fromkeys(energy.terms, 1.0)).shares(x, edges)
    scores: dict[str, Array] = {"gad_ebm": default}
    for how in ("equal", "agreement"):
        chosen = weights_of(how, surprise, energy.contrasts, 0)
        scores[f"gad_ebm, weights {how}"] = sum(chosen[n] * s for n, s in surprise.items())
    density = [surprise[n] for n in ("attributes", "difference", "edge", "degree")]
    scores["gad_ebm, no net, weights equal"] = np.sum(density, axis=0)
    scores |= {f"{name} alone": share for name, share in surprise.items()}
    return scores, energy.weights, seconds


def other_losses(
    x: NDArray[np.float32], edges: NDArray[np.int64], seed: int
) -> Iterator[tuple[str, Array, str]]:
    """The net alone with the other two losses, and with one network."""
    for name, training in (
        ("net alone, cnce", Training(loss="cnce", seed=seed)),
        ("net alone, ssm", Training(loss="ssm", seed=seed)),
        ("net alone, one network", Training(nets=1, seed=seed)),
    ):
        energy = fit_energy(x, edges, terms=("net",), training=training)
        yield name, energy(x, edges), energy.report[0]


def dominant(x: NDArray[np.float32], edges: NDArray[np.int64], seed: int) -> Array:
    """PyGOD's DOMINANT at its defaults; its loader yields the whole graph.

    PyGOD asks PyG's NeighborLoader for all nodes and all neighbours, which needs the compiled
    pyg-lib; the stand-in gives it the same batch.
    """
    import pygod.detector.base as base
    import torch
    from pygod.detector import DOMINANT
    from torch_geometric.data import Data

    def whole(data, *_, **__):
        data.batch_size, data.n_id = data.num_nodes, torch.arange(data.num_nodes)
        return [data]

    base.NeighborLoader = whole
    torch.manual_seed(seed)
    both = symmetric_adjacency(edges, len(x)).tocoo()
    index = torch.from_numpy(np.stack([both.row, both.col]).astype(np.int64))
    model = DOMINANT(gpu=-1)
    model.fit(Data(x=torch.from_numpy(x), edge_index=index))
    return np.asarray(model.decision_score_)


def half_width(y: NDArray[np.int64], score: Array) -> float:
    """95 % half-width of an AUC (DeLong et al. 1988)."""
    ranks, positive = rankdata(score), y == 1
    m, n = positive.sum(), (~positive).sum()
    over = (ranks[positive] - rankdata(score[positive])) / n
    under = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    return 1.96 * float(np.sqrt(over.var(ddof=1) / m + under.var(ddof=1) / n))


def measure(name: str, seeds: range, with_dominant: bool) -> Iterator[dict[str, object]]:
    """One record a set, method and seed."""
    x, edges, y = load(name)

    def record(method: str, seed: int, score: Array, **more: object) -> dict[str, object]:
        known = {"auc": roc_auc_score(y, score), "half_width": half_width(y, score)}
        return {"set": name, "method": method, "seed": seed, **known, **more}

    few = 1 if len(x) > DENSE else 3
    for seed in seeds[: 1 if with_dominant and len(x) > DENSE else None]:
        if with_dominant:
            yield record("DOMINANT of PyGOD", seed, dominant(x, edges, seed))
            continue
        scores, weights, seconds = own_scores(x, edges, seed)
        for method, score in scores.items():
            more = {"weights": weights, "seconds": seconds} if method == "gad_ebm" else {}
            yield record(method, seed, score, **more)
        for method, score, note in other_losses(x, edges, seed) if seed < few else ():
            yield record(method, seed, score, note=note)
        for method, score in anchors(x, edges, seed):
            yield record(method, seed, score)


def inductive(seeds: range) -> Iterator[dict[str, object]]:
    """Fitted on one graph, measured on another (or on nodes that were not there)."""
    for seed in seeds:
        training = Training(seed=seed)
        for first, second in (("gen_500", "gen_5000"), ("gen_5000", "gen_500")):
            x, edges, _ = load(first)
            other, other_edges, y = load(second)
            energy = fit_energy(x, edges, training=training)
            auc = roc_auc_score(y, energy(other, other_edges))
            yield {"fitted on": first, "scored": second, "seed": seed, "auc": auc}
        x, edges, y = load("inj_cora")
        there = np.random.default_rng(seed).random(len(x)) < 0.5
        kept = there[edges].all(axis=0)
        place = np.cumsum(there) - 1
        energy = fit_energy(x[there], place[edges[:, kept]], training=training)
        whole = fit_energy(x, edges, training=training)
        for what, fitted in (("half of inj_cora", energy), ("all of inj_cora", whole)):
            auc = roc_auc_score(y[~there], fitted(x, edges)[~there])
            yield {"fitted on": what, "scored": "the other half", "seed": seed, "auc": auc}


def generated(nodes: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A generated graph: 32 features in 20 groups, ten edges a node, most within groups."""
    random = np.random.default_rng(seed)
    group = random.integers(0, 20, nodes)
    x = random.normal(size=(nodes, 32)) + 2 * random.normal(size=(20, 32))[group]
    source = random.integers(0, nodes, 10 * nodes // 2)
    order = np.argsort(group, kind="stable")
    place = np.empty(nodes, np.int64)
    place[order] = np.arange(nodes)
    near = order[(place[source] + random.integers(1, nodes // 40, len(source))) % nodes]
    far = random.integers(0, nodes, len(source))
    return x.astype(np.float32), np.stack(
        [source, np.where(random.random(len(near)) < 0.8, near, far)]
    )


def cost(nodes: int, steps: int) -> dict[str, float]:
    """CPU seconds and peak memory of a fit with so many steps, in this process."""
    x, edges = generated(nodes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    energy = fit_energy(x, edges, training=Training(steps=steps))
    fitted = time.process_time()
    energy(x, edges)
    scored = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "fit": fitted - start,
        "score": scored - fitted,
        "peak MB": peak / 1024,
        "MB before": before / 1024,
    }


def cost_table(nodes: int) -> dict[str, float]:
    """CPU seconds an epoch (a step for each 1,024 nodes in training), from two fits."""

    def alone(steps: int) -> dict[str, float]:
        call = f"print(json.dumps(cost({nodes}, {steps})))"
        code = f"import json; from benchmarks.gad import cost; {call}"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])

    short, long = alone(20), alone(120)
    epoch = (long["fit"] - short["fit"]) / 100 * (0.8 * nodes / 1024)
    return {
        "nodes": nodes,
        "an epoch, CPU s": epoch,
        "120 steps and all else, CPU s": long["fit"],
        "score, CPU s": long["score"],
        "peak MB": long["peak MB"],
        "MB before": long["MB before"],
    }


def picture(out: Path) -> None:
    """Energies over training on inj_cora, seed 0."""
    x, edges, _ = load("inj_cora")
    history = fit_energy(x, edges, terms=("net",)).history
    figure = energies_figure(
        history.steps,
        history.observed,
        history.perturbed,
        history.contrast,
        "inj_cora: energies of held-out ego-subgraphs",
    )
    save_svg(figure, out / "gad_energies.svg")


def table(records: list[dict]) -> list[dict[str, object]]:
    """Mean and deviation over seeds by method and set, in percent; the mean over all sets."""
    sets = [name for name in SETS if any(r["set"] == name for r in records)]
    rows: list[dict[str, object]] = []
    for method in dict.fromkeys(r["method"] for r in records):
        row: dict[str, object] = {"method": method}
        means = []
        for name in sets:
            aucs = [100 * r["auc"] for r in records if r["set"] == name and r["method"] == method]
            row[name] = spread(aucs, 1)
            means.append(np.mean(aucs) if aucs else np.nan)
        row["mean"] = float(np.mean(means)) if not np.isnan(means).any() else None
        rows.append(row)
    for method, known in QUOTED.items():
        quoted = {name: f"{100 * known[name]:.1f}" if name in known else "-" for name in sets}
        rows.append({"method": f"{method} (quoted)", **quoted})
    width = {"method": "95 % half-width of gad_ebm"}
    for name in sets:
        found = [
            100 * r["half_width"] for r in records if (r["set"], r["method"]) == (name, "gad_ebm")
        ]
        width[name] = f"{np.mean(found):.1f}" if found else "-"
    return [*rows, width]


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
    options.add_argument("--only", default="", help="sets, divided by commas; or inductive, cost")
    options.add_argument("--dominant", action="store_true", help="PyGOD's DOMINANT only (n x n)")
    options.add_argument("--first", type=int, default=0, help="first seed")
    chosen = options.parse_args()
    parts = tuple(filter(None, chosen.only.split(",")))
    parts = parts or (*(QUICK if chosen.quick else SETS), "inductive", "cost")
    seeds = range(chosen.first, chosen.first + (2 if chosen.quick else chosen.seeds))
    chosen.out.mkdir(parents=True, exist_ok=True)

    def fresh() -> Iterator[dict]:
        for name in SETS:
            if name in parts:
                yield from measure(name, seeds, chosen.dominant)

    records = gathered(chosen.out, "gad", fresh, ("set", "method", "seed"))
    show("AUC, percent: mean ± deviation over seeds", table(records))
    if "inductive" in parts:
        keys = ("fitted on", "scored", "seed")
        found = gathered(chosen.out, "gad_inductive", lambda: inductive(seeds), keys)
        groups = dict.fromkeys((r["fitted on"], r["scored"]) for r in found)
        rows = [
            {
                "fitted on": a,
                "scored": b,
                "AUC": spread(
                    [100 * r["auc"] for r in found if (r["fitted on"], r["scored"]) == (a, b)], 1
                ),
            }
            for a, b in groups
        ]
        show("Fitted on one graph, scored on another", rows)
    if "cost" in parts:
        rows = [cost_table(nodes) for nodes in (10_000,)]
        write(chosen.out, "gad_cost", rows)
        show("Cost on a generated graph, ten edges a node", rows)
        picture(chosen.out)


if __name__ == "__main__":
    main()
