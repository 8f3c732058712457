"""A handful of known bad accounts: boosted trees, a graph network, rules, and all together.

    KNOWREASON_DATA=DIR python -m benchmarks.accounts [--quick] [--seeds N]
        [--worlds trust ratings transfers] [--known 10 30 100] [--out DIR]

`trust` is Bitcoin-OTC by who rates whom, `ratings` the same with what the ratings say (which gives
the labels away: they were made from ratings), `transfers` AMLSim's 20,000 simulated accounts
(generated data). N accounts are known, half of them bad, drawn anew for each seed; all other
labelled accounts are the test. Prints a table; keeps every run in `runs.json` of --out and does not
repeat one that is there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

import knowreason as kr
from benchmarks.reporting import data_folder, parser, show, spread, write
from knowreason.data.features import FeatureSource
from knowreason.data.id_tables import id_matrix
from knowreason.metrics.metrics import recall_at
from knowreason.models import atoms_of
from knowreason.row_keys import locate

RULES = Path(__file__).resolve().parents[1] / "rulesets"
WORLDS = ("trust", "ratings", "transfers")
KNOWN = (10, 30, 100)
METHOD = "pseudo_likelihood"  # thousands of unlabelled accounts hang together
ENGINE = "bp"  # sampling that checks it costs minutes, and ranks in what is far from any label
METHODS = ("trees", "gnn", "rules, prior weights", "rules, learned", "together")


@dataclass(frozen=True)
class World:
    """A data set and what is asked of it.

    Attributes:
        name: of its rule files.
        predicate: what is asked.
        inputs: what :meth:`kr.Dataset.from_frames` takes beside labels.
        accounts, bad: labelled accounts and their labels.
    """

    name: str
    predicate: str
    inputs: dict[str, Any]
    accounts: NDArray[np.int64]
    bad: NDArray[np.int8]

    def data(self, program: kr.Program) -> kr.Dataset:
        """All labels visible."""
        labels = pl.DataFrame({"account": self.accounts, "bad": self.bad})
        facts = {name: frame for name, frame in self.inputs["facts"].items() if _has(program, name)}
        return kr.Dataset.from_frames(
            program, **{**self.inputs, "facts": facts}, labels={self.predicate: labels}
        )

    def drawn(self, data: kr.Dataset, known: int, seed: int) -> tuple[kr.Dataset, Truth]:
        """The data with ``known`` labels visible, half of them bad, and the others' truth."""
        table = data.labels[self.predicate]
        bad = table.column("value").to_numpy()
        random = np.random.default_rng(seed)
        rows = [random.permutation(np.flatnonzero(bad == side))[: known // 2] for side in (1, 0)]
        seen = np.zeros(len(bad), bool)
        seen[np.concatenate(rows)] = True
        local = locate(atoms_of(data, self.predicate).arguments, id_matrix(table))
        return data.hide(self.predicate, ~seen), Truth(local[~seen], bad[~seen] == 1)


@dataclass(frozen=True)
class Truth:
    """The accounts to be judged: places within the predicate's atoms, and whether bad."""

    local: NDArray[np.int64]
    bad: NDArray[np.bool_]

    def figures(self, scores: NDArray[np.floating]) -> dict[str, float]:
        """AUC, AP, and the share of the bad among as many alerts as there are bad ones."""
        mine = np.asarray(scores, np.float64)[self.local]
        return {
            "AUC": float(roc_auc_score(self.bad, mine)),
            "AP": float(average_precision_score(self.bad, mine)),
            "recall@k": recall_at(self.bad, mine, int(self.bad.sum())),
        }


def users(folder: Path, ratings: bool) -> World:
    """Bitcoin-OTC; features are counts, with ``ratings`` also means of the ratings."""
    edges = pl.read_parquet(folder / "bitcoin_trust" / "otc_edges.parquet")
    labels = pl.read_parquet(folder / "bitcoin_trust" / "otc_users.parquet")
    back = edges.join(edges.select(source="target", target="source"), on=["source", "target"])
    parts = [
        edges.group_by(user="target").agg(raters=pl.len()),
        edges.group_by(user="source").agg(rated=pl.len()),
        back.group_by(user="target").agg(answers=pl.len()),
    ]
    if ratings:
        rating, negative = pl.col("rating").mean(), pl.col("negative").mean()
        parts.append(edges.group_by(user="target").agg(mean_in=rating, negative_in=negative))
        parts.append(edges.group_by(user="source").agg(mean_out=rating, negative_out=negative))
    table = pl.concat([edges["source"], edges["target"]]).unique().sort().alias("user").to_frame()
    for part in parts:
        table = table.join(part, on="user", how="left")
    counts = ("raters", "rated", "answers")
    table = table.with_columns(pl.col(name).fill_null(0) for name in counts)
    pairs = edges.select("source", "target")
    return World(
        "accounts_ratings" if ratings else "accounts_trust",
        "Fraud",
        {
            "facts": {"Rates": pairs, "Distrusts": edges.filter(pl.col("rating") < 0)[:, :2]},
            "features": {"User": FeatureSource(table)},
            "graph": kr.EdgeList(pairs, source="source:User", target="target:User"),
        },
        labels["node"].to_numpy().astype(np.int64),
        labels["fraud"].to_numpy(),
    )


def accounts(folder: Path) -> World:
    """AMLSim by counterparties and steps; amounts and repeats, which give it away, are left out."""
    nodes = pl.read_parquet(folder / "amlsim_20k" / "nodes.parquet")
    moves = pl.read_parquet(folder / "amlsim_20k" / "transactions.parquet").with_row_index("id")
    pairs = moves.select("source", "target").unique(maintain_order=True)
    table = nodes.select(account="node")
    for side, other in (("target", "source"), ("source", "target")):
        found = moves.group_by(account=side).agg(
            pl.col(other).n_unique().alias(f"partners_{side}"),
            (pl.col("time").max() - pl.col("time").min()).alias(f"steps_{side}"),
        )
        table = table.join(found, on="account", how="left")
    table = table.with_columns(pl.col("partners_target", "partners_source").fill_null(0))
    return World(
        "accounts_transfers",
        "Laundering",
        {
            "facts": {
                "Transfer": moves.select("id", "source", "target"),
                "step": moves.select("id", "time"),
            },
            "features": {"Account": FeatureSource(table)},
            "graph": kr.EdgeList(pairs, source="source:Account", target="target:Account"),
        },
        nodes["node"].to_numpy().astype(np.int64),
        nodes["fraud"].to_numpy(),
    )


def load(name: str, folder: Path) -> World:
    """A world by name."""
    return accounts(folder) if name == "transfers" else users(folder, name == "ratings")


def run(world: World, sources: Callable[[str], kr.Dataset], known: int, seed: int) -> dict:
    """Figures of each method on one draw."""
    found, start = {}, time.perf_counter()
    plain, truth = world.drawn(sources(f"{world.name}_rules.kr"), known, seed)
    for name, settings in (
        ("rules, prior weights", kr.Settings(labels="none")),
        ("rules, learned", kr.Settings()),
    ):
        reasoner = kr.Reasoner(
            plain.program, method=METHOD, engine=ENGINE, settings=settings, seed=seed
        )
        reasoner.fit(plain)
        found[name] = truth.figures(_scores(reasoner, plain, world.predicate))
    whole, truth = world.drawn(sources(f"{world.name}.kr"), known, seed)
    folds = kr.Settings(fold_count=2 if known < 30 else 3)
    reasoner = kr.Reasoner(
        whole.program, method=METHOD, engine=ENGINE, settings=folds, seed=seed
    ).fit(whole)
    found["together"] = truth.figures(_scores(reasoner, whole, world.predicate))
    for model, name in zip(reasoner.models_, ("trees", "gnn"), strict=True):
        found[name] = truth.figures(model.fitted.predict(whole).llr)
    weights = {weight.name: weight.value for weight in reasoner.weights_}
    return {"figures": found, "weights": weights, "seconds": time.perf_counter() - start}


def _reasoner(data: kr.Dataset, settings: kr.Settings, seed: int) -> kr.Reasoner:
    made = kr.Reasoner(data.program, method=METHOD, engine=ENGINE, settings=settings, seed=seed)
    return made.fit(data)


def _scores(reasoner: kr.Reasoner, data: kr.Dataset, predicate: str) -> NDArray[np.float32]:
    beliefs = reasoner.infer(data)
    span = beliefs.grounding.atoms.spans[predicate]
    return beliefs.log_odds[span.start : span.stop]


def _has(program: kr.Program, name: str) -> bool:
    return name in {p.name for p in program.predicates} | {a.name for a in program.attributes}


def table(runs: dict[str, Any]) -> list[dict[str, str]]:
    """Mean and spread over the draws."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for key, found in runs.items():
        world, known, _ = key.split("/")
        groups.setdefault((world, int(known)), []).append(found["figures"])
    return [
        {
            "world": world,
            "known": str(known),
            "method": method,
            **{
                name: spread(draw[method][name] for draw in draws)
                for name in ("AUC", "AP", "recall@k")
            },
        }
        for (world, known), draws in sorted(groups.items(), key=lambda item: str(item[0]))
        for method in METHODS
    ]


def draw(runs: dict[str, Any], out: Path) -> None:
    """AUC over the number of known accounts, a panel a world."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    worlds = [world for world in WORLDS if any(key.startswith(world + "/") for key in runs)]
    figure, axes = pyplot.subplots(1, len(worlds), figsize=(3.6 * len(worlds), 3.2), squeeze=False)
    for axis, world in zip(axes[0], worlds, strict=True):
        numbers = sorted({int(k.split("/")[1]) for k in runs if k.startswith(world + "/")})
        for method in METHODS:
            each = [
                [
                    found["figures"][method]["AUC"]
                    for key, found in runs.items()
                    if key.startswith(f"{world}/{number}/")
                ]
                for number in numbers
            ]
            mean, deviation = [np.mean(e) for e in each], [np.std(e) for e in each]
            axis.errorbar(numbers, mean, deviation, marker="o", capsize=2, lw=1, label=method)
        axis.set_xscale("log")
        axis.set_xticks(numbers, [str(number) for number in numbers])
        axis.minorticks_off()
        axis.set_title(world)
        axis.set_xlabel("known accounts, half of them bad")
    axes[0][0].set_ylabel("AUC of all others")
    lines, names = axes[0][0].get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.legend(lines, names, loc="lower center", ncols=len(METHODS), fontsize=8)
    figure.savefig(out / "accounts_auc.svg")
    figure.savefig(out / "accounts_auc.png", dpi=110)


def main() -> None:
    """Run what is missing, print the table, draw."""
    arguments = parser(__doc__, "accounts")
    arguments.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    arguments.add_argument("--known", nargs="+", type=int, default=list(KNOWN))
    chosen = arguments.parse_args()
    folder = data_folder()
    stored = chosen.out / "runs.json"
    seeds, known = (2, [30]) if chosen.quick else (chosen.seeds, chosen.known)
    for name in ["trust"] if chosen.quick else chosen.worlds:
        world, made = load(name, folder), {}

        def sources(
            file: str, world: World = world, made: dict[str, kr.Dataset] = made
        ) -> kr.Dataset:
            if file not in made:
                made[file] = world.data(kr.load(RULES / file))
            return made[file]

        for number in known:
            for seed in range(seeds):
                key = f"{name}/{number}/{seed}"
                if key in (json.loads(stored.read_text()) if stored.exists() else {}):
                    continue
                found = run(world, sources, number, seed)
                runs = json.loads(stored.read_text()) if stored.exists() else {}
                write(chosen.out, "runs", {**runs, key: found})
                shown = ", ".join(f"{m} {row['AUC']:.3f}" for m, row in found["figures"].items())
                print(f"{key} {found['seconds']:.0f} s: {shown}", flush=True)
    runs = json.loads(stored.read_text())
    show("Accounts that were not known", table(runs))
    draw(runs, chosen.out)


if __name__ == "__main__":
    main()
