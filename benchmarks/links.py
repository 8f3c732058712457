"""Links in time on Bitcoin-OTC: which ratings come next, and which ratings are negative.

    KNOWREASON_DATA=DIR python -m benchmarks.links [--task future|sign|scale] [--quick] ...

future: everything learned before month 30; each later month's links between users that have
been active, against as many random pairs (and against the same source with another target),
scored by what was known when the month began. sign: is a rating negative, months before 30
for training, later ones for testing; nothing later than a rating is looked at. AUC and AP are
means over the test months weighted by their links; ± is the deviation over seeds. scale: time
and memory of `temporal_link` on a generated log of 10^6 logons among 5,000 computers. --quick
takes one seed, small subgraphs and windows of 30 days (and 10^5 logons).
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import average_precision_score, roc_auc_score

import knowreason as kr
from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason.data import Dataset, EdgeList
from knowreason.data.id_tables import id_matrix
from knowreason.models import KnowledgeModel, atoms_of, make
from knowreason.models.graph.edge_history import past
from knowreason.report.chart import ACCENT, INK, PALETTE, QUIET
from knowreason.report.svg import new_figure, save_svg
from knowreason.row_keys import locate

CUT, LEARN_FROM, MONTHS = 30, 20, 60
FIGURES = ("AUC", "AP", "pooled AP", "seconds", "seconds an epoch", "seconds to score")
FIGURES += ("MB before", "MB peak")
FUTURE = """
domain User
observed Asked(source: User, target: User)
query Link(source: User, target: User) within Asked
"""
SIGN = """
domain Rating, User
attribute month(Rating): int clock
query Negative(Rating)
"""
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """Pairs that are asked about when a month begins; ``truth``: linked in that month."""

    source: Ints
    target: Ints
    truth: NDArray[np.bool_]


def ratings(folder: Path) -> pl.DataFrame:
    """The ratings in order of time."""
    frame = pl.read_parquet(folder / "bitcoin_trust" / "otc_edges.parquet").sort("time")
    return frame.with_row_index("id")


# ---------------------------------------------------------------------------- future links


def candidates(frame: pl.DataFrame, first: int, last: int, kind: str, seed: int) -> Candidates:
    """Links of months ``first <= m < last`` among users active before, and as many non-links.

    ``random``: both ends drawn; ``target``: the source of a link and another target.
    """
    random = np.random.default_rng((seed, first))
    early = frame.filter(pl.col("month") < first)
    known = np.unique(early.select("source", "target").to_numpy())
    now = frame.filter(pl.col("month").is_between(first, last - 1)).select("source", "target")
    pairs = np.unique(now.to_numpy(), axis=0).astype(np.int64)
    pairs = pairs[np.isin(pairs, known).all(axis=1)]
    source = random.choice(known, len(pairs)) if kind == "random" else pairs[:, 0]
    target = random.choice(known, len(pairs))
    width = int(frame["source"].max() + frame["target"].max() + 1)
    other = ~np.isin(source * width + target, pairs[:, 0] * width + pairs[:, 1]) & (
        source != target
    )
    others = np.unique(np.stack([source[other], target[other]], axis=1), axis=0)
    both = np.concatenate([pairs, others])
    return Candidates(both[:, 0], both[:, 1], np.arange(len(both)) < len(pairs))


def user_table(early: pl.DataFrame) -> pa.Table:
    """What is known of users: ratings given and got, their means, and how long ago the last."""
    end = early["time"].max()
    parts = []
    for place, word in (("source", "gave"), ("target", "got")):
        parts.append(
            early.group_by(pl.col(place).alias("user")).agg(
                pl.len().log1p().alias(f"{word} count"),
                pl.col("rating").mean().alias(f"{word} mean"),
                ((end - pl.col("time").max()) / 86400).log1p().alias(f"{word} last"),
            )
        )
    return parts[0].join(parts[1], on="user", how="full", coalesce=True).to_arrow()


def future_data(
    frame: pl.DataFrame, before: int, asked: Candidates, labels: bool, features: bool = True
) -> Dataset:
    """Ratings before a month, and the pairs asked about.

    Features of users are of the moment the month begins: ``temporal_link``, which learns from
    all windows before, must not see them.
    """
    early = frame.filter(pl.col("month") < before)
    pairs = {"source": asked.source, "target": asked.target}
    moment = pl.from_epoch((pl.col("time") * 1e6).cast(pl.Int64), time_unit="us")
    edges = early.select("source", "target", "rating", moment.alias("at"))
    return Dataset.from_frames(
        kr.loads(FUTURE),
        facts={"Asked": pa.table(pairs)},
        labels={"Link": pa.table({**pairs, "link": asked.truth})} if labels else {},
        features={"User": user_table(early)} if features else {},
        graph=EdgeList(
            edges, source="source:User", target="target:User", time="at", features=["rating"]
        ),
    )


def in_order(data: Dataset, asked: Candidates, scores: NDArray[np.floating]) -> Floats:
    """Scores of the atoms in the order of the candidates."""
    users = data.vocabularies["User"]
    ids = np.stack([users.ids(asked.source), users.ids(asked.target)], axis=1)
    return np.asarray(scores, float)[locate(atoms_of(data, "Link").arguments, ids)]


def neighbour_scores(frame: pl.DataFrame, before: int, asked: Candidates) -> dict[str, Floats]:
    """Scores that need no learning, from the undirected graph before a month."""
    early = frame.filter(pl.col("month") < before)
    size = int(max(frame["source"].max(), frame["target"].max())) + 1
    ends = early.select("source", "target").to_numpy().astype(np.int64)
    ones = np.ones(len(ends))
    directed = sparse.csr_array((ones, (ends[:, 0], ends[:, 1])), shape=(size, size))
    both = ((directed + directed.T) > 0).astype(float).tocsr()
    degree = np.asarray(both.sum(axis=1)).ravel()
    weight = 1 / np.log(np.maximum(degree, 2))
    one, two = both[asked.source], both[asked.target]
    shared = one.multiply(two).tocsr()
    return {
        "common neighbours": np.asarray(shared.sum(axis=1)).ravel().astype(float),
        "Adamic-Adar": np.asarray(shared @ weight).ravel(),
        "preferential attachment": degree[asked.source] * degree[asked.target],
        "seen before (either way)": np.asarray(both[asked.source, asked.target]).ravel(),
    }


FUTURE_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "trees, both users": ("trees", {"l2": 1.0}),
    "gnn": ("gnn", {"hidden": 32, "epochs": 150}),
    "enclosing_subgraph": ("enclosing_subgraph", {}),
    "temporal_link": ("temporal_link", {"window": "7d", "score": "link"}),
    "temporal_link, windows of 30 days": ("temporal_link", {"window": "30d", "score": "link"}),
    "temporal_link, ids": ("temporal_link", {"window": "7d", "score": "link", "ids": True}),
    "temporal_link, ids, no memory (Euler)": (
        "temporal_link",
        {"window": "7d", "score": "link", "ids": True, "memory": False},
    ),
    "temporal_link, no recurrence": (
        "temporal_link",
        {"window": "7d", "score": "link", "recurrent": "none"},
    ),
    "temporal_link, memory alone": (
        "temporal_link",
        {"window": "7d", "score": "link", "recurrent": "none", "layers": 0},
    ),
}


def future(frame: pl.DataFrame, names: list[str], seeds: int, months: list[int]) -> Iterator[Any]:
    """A row a method, seed and kind of non-link."""
    asked = {
        kind: {m: candidates(frame, m, m + 1, kind, seed=99) for m in months}
        for kind in ("random", "target")
    }
    for kind, by_month in asked.items():
        found = [neighbour_scores(frame, m, by_month[m]) for m in months]
        for name in found[0]:
            if not names or name in names:
                figures = measured(
                    [(by_month[m].truth, f[name]) for m, f in zip(months, found, strict=True)]
                )
                yield {"task": f"future, {kind}", "model": name, "seed": 0, **figures}
    for name, (model_kind, options) in FUTURE_MODELS.items():
        if names and name not in names:
            continue
        for seed in range(1 if model_kind == "trees" else seeds):
            for kind, by_month in asked.items():
                start = time.perf_counter()
                model = fitted_for_future(frame, model_kind, {**options, "seed": seed}, kind)
                seconds = time.perf_counter() - start
                scored = []
                for m in months:
                    with_features = model_kind != "temporal_link"
                    data = future_data(frame, m, by_month[m], False, with_features)
                    scores = in_order(data, by_month[m], model.log_odds(data, "Link"))
                    scored.append((by_month[m].truth, scores))
                row = {"task": f"future, {kind}", "model": name, "seed": seed}
                yield row | measured(scored) | {"seconds": seconds}


def fitted_for_future(
    frame: pl.DataFrame, kind: str, options: dict[str, Any], others: str
) -> KnowledgeModel:
    """Supervised models learn the links of months 20-29 from the graph before them."""
    if kind == "temporal_link":
        asked = candidates(frame, CUT - 1, CUT, others, seed=1)
        return make(kind, options).fit(future_data(frame, CUT, asked, False, False), "Link")
    asked = candidates(frame, LEARN_FROM, CUT, others, seed=1)
    return make(kind, options).fit(future_data(frame, LEARN_FROM, asked, True), "Link")


# --------------------------------------------------------------------------- negative ratings


def sign_data(frame: pl.DataFrame, by_hand: bool, edge_features: bool) -> tuple[Dataset, Dataset]:
    """Past and future; ``by_hand``: what both ends gave and got before, as features."""
    moment = pl.from_epoch((pl.col("time") * 1e6).cast(pl.Int64), time_unit="us").alias("at")
    features = {}
    if by_hand:
        columns = {"id": frame["id"].to_numpy()}
        time_, rating = frame["time"].to_numpy(), frame["rating"].to_numpy().astype(float)
        for who in ("source", "target"):
            for role in ("source", "target"):
                keys = np.concatenate([frame[role].to_numpy(), frame[who].to_numpy()])
                asked = np.concatenate([time_, time_])
                known = np.concatenate([rating, np.full(len(rating), np.nan)])
                counts = np.isfinite(known).astype(float)
                _, _, means = past(keys.astype(np.int64), asked, np.stack([known, counts], 1))
                columns[f"{who} as {role} mean"] = means[len(rating) :, 0]
        features = {"Rating": pa.table(columns)}
    data = Dataset.from_frames(
        kr.loads(SIGN),
        facts={"month": frame.select("id", "month").to_arrow()},
        labels={"Negative": frame.select("id", "negative").to_arrow()},
        features=features,
        graph=EdgeList(
            frame.select("id", "source", "target", "rating", moment),
            source="source:User",
            target="target:User",
            key="id:Rating",
            time="at",
            features=["rating"] if edge_features else [],
        ),
    )
    return data.split_by("month", before=CUT)


SIGN_MODELS: dict[str, tuple[str, dict[str, Any], bool, bool]] = {
    "trees, past counts": ("trees", {"l2": 1.0}, False, False),
    "trees, past ratings by hand": ("trees", {"l2": 1.0}, True, False),
    "gnn, past counts": ("gnn", {"hidden": 32, "epochs": 150}, False, False),
    "gnn, past ratings by hand": ("gnn", {"hidden": 32, "epochs": 150}, True, False),
    "temporal_link (no label of a rating used but to calibrate)": (
        "temporal_link",
        {"window": "30d"},
        False,
        False,
    ),
    "enclosing_subgraph, links alone": ("enclosing_subgraph", {}, False, False),
    "enclosing_subgraph, past ratings": ("enclosing_subgraph", {}, False, True),
    "enclosing_subgraph, past ratings, one hop": ("enclosing_subgraph", {"hops": 1}, False, True),
    "enclosing_subgraph, past ratings, sort pool": (
        "enclosing_subgraph",
        {"pooling": "sort"},
        False,
        True,
    ),
    "enclosing_subgraph, past ratings, 64 nodes": (
        "enclosing_subgraph",
        {"max_nodes": 64, "max_neighbours": 20},
        False,
        True,
    ),
}


def sign(frame: pl.DataFrame, names: list[str], seeds: int, months: list[int]) -> Iterator[Any]:
    """A row a model and seed."""
    for name, (kind, options, by_hand, edge_features) in SIGN_MODELS.items():
        if names and name not in names:
            continue
        early, late = sign_data(frame, by_hand, edge_features)
        table = late.hidden["Negative"]
        things = id_matrix(table)
        at = locate(atoms_of(late, "Negative").arguments, things)
        truth = table["value"].to_numpy() == 1
        rating = np.array([int(late.vocabularies["Rating"].name(i)) for i in things[:, 0]])
        month = frame["month"].to_numpy()[rating]
        for seed in range(1 if kind == "trees" else seeds):
            start = time.perf_counter()
            model = make(kind, {**options, "seed": seed}).fit(early, "Negative")
            seconds = time.perf_counter() - start
            scores = model.log_odds(late, "Negative")[at]
            pieces = [(truth[month == m], scores[month == m]) for m in months]
            row = {"task": "sign", "model": name, "seed": seed}
            kept = np.isin(month, months)
            pooled = average_precision_score(truth[kept], scores[kept])
            yield row | measured(pieces) | {"pooled AP": pooled, "seconds": seconds}


def measured(pieces: list[tuple[NDArray[np.bool_], Floats]]) -> dict[str, Any]:
    """AUC and AP a month, averaged by the number of positives; AUC by month."""
    mixed = [(t, s) for t, s in pieces if 0 < t.sum() < len(t)]
    weight = np.array([t.sum() for t, _ in mixed], float)
    return {
        "AUC": float(np.average([roc_auc_score(t, s) for t, s in mixed], weights=weight)),
        "AP": float(np.average([average_precision_score(t, s) for t, s in mixed], weights=weight)),
        "months": [roc_auc_score(t, s) if 0 < t.sum() < len(t) else None for t, s in pieces],
    }


# ------------------------------------------------------------------------------------- scale


def scale(frame: pl.DataFrame, names: list[str], seeds: int, months: list[int]) -> Iterator[Any]:
    """Two epochs and one scoring of a generated log: 30 days in windows of 30 minutes."""
    count, hosts = (1_000_000 if seeds > 1 else 100_000), 5_000
    random = np.random.default_rng(0)
    source = random.integers(0, hosts, count)
    target = (source * 7 + random.zipf(1.5, count)) % hosts
    at = np.sort(random.integers(0, 30 * 86_400_000_000, count))
    ids = np.arange(count)
    data = Dataset.from_frames(
        kr.loads("domain Event, Host\nattribute at(Event): time clock\nquery Malicious(Event)\n"),
        facts={"at": pa.table({"id": ids, "at": pa.array(at, pa.timestamp("us"))})},
        graph=EdgeList(
            pa.table({"id": ids, "source": source, "target": target}),
            source="source:Host",
            target="target:Host",
            key="id:Event",
        ),
    )
    before = memory()
    moments = [time.perf_counter()]
    model = make("temporal_link", {"window": "30m", "epochs": 2, "unroll": 32})
    model.fit(
        data, "Malicious", progress=lambda done, total, _: moments.append(time.perf_counter())
    )
    start = time.perf_counter()
    model.log_odds(data, "Malicious")
    yield {
        "task": "scale",
        "model": f"temporal_link, {count:,} links, {hosts:,} nodes, 1,440 windows",
        "seed": 0,
        "seconds an epoch": moments[2] - moments[1],
        "seconds to score": time.perf_counter() - start,
        "MB before": before,
        "MB peak": memory(),
    }


def memory() -> int:
    """Most memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


QUICK: dict[str, dict[str, Any]] = {
    "enclosing_subgraph": {"max_nodes": 16, "max_neighbours": 6, "epochs": 6, "batch_size": 1024},
    "temporal_link": {"window": "30d", "epochs": 40},
    "gnn": {"epochs": 60},
}
TASKS: dict[str, Callable[..., Iterator[Any]]] = {"future": future, "sign": sign, "scale": scale}


def main() -> None:
    """Run, add to what is there, print."""
    options = parser(__doc__, "links")
    options.add_argument("--task", choices=list(TASKS), nargs="*", default=list(TASKS))
    options.add_argument("--only", nargs="*", default=[], help="names of models")
    options.set_defaults(seeds=3)
    asked = options.parse_args()
    frame = ratings(data_folder())
    months = list(range(CUT, MONTHS))
    if asked.quick:
        asked.seeds = 1
        for models in (FUTURE_MODELS, SIGN_MODELS):
            models |= {n: (k, o | QUICK.get(k, {}), *rest) for n, (k, o, *rest) in models.items()}  # type: ignore[misc]
    file = asked.out / "links.json"
    rows = json.loads(file.read_text()) if file.exists() else []
    for task in asked.task:
        for row in TASKS[task](frame, asked.only, asked.seeds, months):
            same = [r for r in rows if all(r[k] == row[k] for k in ("task", "model", "seed"))]
            rows = [r for r in rows if r not in same] + [row]
            write(asked.out, "links", rows)
            print({k: v for k, v in row.items() if k != "months"}, flush=True)
    table(rows)
    picture(rows, asked.out)


DRAWN = {
    "future, target": ("Adamic-Adar", "trees, both users", "temporal_link", "enclosing_subgraph"),
    "sign": (
        "trees, past counts",
        "trees, past ratings by hand",
        "enclosing_subgraph, links alone",
        "enclosing_subgraph, past ratings",
    ),
}


def picture(rows: list[dict[str, Any]], out: Path) -> None:
    """AUC over the months, runs of three averaged, seed 0."""
    titles = ("links to come, among targets", "negative ratings")
    for (task, names), title in zip(DRAWN.items(), titles, strict=True):
        figure, axes = new_figure(6.4, 3.6)
        mine = {r["model"]: r["months"] for r in rows if r["task"] == task and r["seed"] == 0}
        shown = [name for name in names if len(mine.get(name, ())) == MONTHS - CUT]
        if not shown:
            continue
        for colour, name in zip((QUIET, INK, ACCENT, *PALETTE[1:]), shown, strict=False):
            by_month = np.array(mine[name], float).reshape(-1, 3)
            axes.plot(
                np.arange(CUT + 1, MONTHS, 3),
                np.nanmean(by_month, axis=1),
                color=colour,
                label=name,
            )
        axes.set(xlabel="month", ylabel="AUC", ylim=(0.45, 1.0))
        axes.set_title(title, loc="left", fontsize=10)
        axes.legend(frameon=False, fontsize=8, loc="lower left")
        save_svg(figure, out / f"links_{task.split(',')[0]}.svg")


def table(rows: list[dict[str, Any]]) -> None:
    """One line a task and model."""
    for task in dict.fromkeys(row["task"] for row in rows):
        mine = [row for row in rows if row["task"] == task]
        lines = []
        for name in dict.fromkeys(row["model"] for row in mine):
            these = [row for row in mine if row["model"] == name]
            line: dict[str, Any] = {"model": name}
            for key in FIGURES:
                values = [row[key] for row in these if key in row]
                if values:
                    line[key] = spread(values, 3 if key in FIGURES[:3] else 0)
            lines.append(line)
        show(task, lines)


if __name__ == "__main__":
    main()
