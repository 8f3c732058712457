"""Link prediction on nations, umls and kinships: an embedding, rules, and both.

    python -m benchmarks.knowledge_graph [--quick] [--seeds N] [--graphs nations ...]
        [--scorers complex ...] [--out DIR]

Needs the graphs that PyKEEN carries (`pip install --no-deps pykeen`; nothing of it is imported).
Weights are learned from triples that are neither known to the rules nor to the embedding that
scores them: `Known` are the training triples, the validation triples are labels beside 20
corruptions of each end, and the embedding is cross-fitted on these. For the test all training and
validation triples are known, and every other triple is a candidate. Ranks are filtered, ties count
by their mean rank. One seed is one draw of corruptions, folds and initial vectors.

Prints a table; keeps every run in `runs.json` of --out, and does not repeat one that is there.
"""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

import knowreason as kr
from benchmarks.reporting import parser, show, spread, write
from knowreason.metrics.ranking import Ranks, link_ranks
from knowreason.models.links.triples import Negatives, TripleIndex
from knowreason.row_keys import locate

RULES = Path(__file__).resolve().parents[1] / "rulesets"
GRAPHS = ("nations", "umls", "kinships")
OPTIONS: dict[str, dict[str, Any]] = {
    "complex": {"regularisation": 0.1},
    "distmult": {"regularisation": 0.1},
    "transe": {"regularisation": 0.001},
    "rotate": {"regularisation": 0.001, "dimension": 32},
}
CORRUPTIONS = 20
FOLDS = 3


def graph_folder() -> Path:
    """Where PyKEEN keeps its graphs.

    Raises:
        SystemExit: where it is not installed.
    """
    found = importlib.util.find_spec("pykeen")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("the graphs come with PyKEEN: pip install --no-deps pykeen")
    return Path(found.submodule_search_locations[0]) / "datasets"


@dataclass(frozen=True)
class Graph:
    """A knowledge graph in three parts.

    Attributes:
        index: names of its entities and relations.
        train, valid, test: ``int64[n, 3]``.
    """

    index: TripleIndex
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]

    @staticmethod
    def load(folder: Path) -> Graph:
        """Read ``train.txt``, ``valid.txt`` and ``test.txt``."""
        parts = [
            np.loadtxt(folder / f"{part}.txt", dtype=str, delimiter="\t")
            for part in ("train", "valid", "test")
        ]
        every = np.concatenate(parts)
        entities, relations = np.unique(every[:, [0, 2]]), np.unique(every[:, 1])
        ends = [[0, len(entities)], [0, len(entities)]]
        ranges = np.tile(np.array(ends), (len(relations), 1, 1))
        index = TripleIndex(
            ("Entity",), (tuple(entities.tolist()),), tuple(relations.tolist()), ranges
        )
        codes = (
            np.column_stack(
                [
                    np.searchsorted(names, part[:, i])
                    for i, names in enumerate((entities, relations, entities))
                ]
            )
            for part in parts
        )
        return Graph(index, *codes)

    @property
    def known(self) -> NDArray[np.int64]:
        """All triples that may be looked at."""
        return np.concatenate([self.train, self.valid])

    def columns(self, triples: NDArray[np.int64]) -> dict[str, pa.Array]:
        """Triples by name."""
        entities, relations = np.array(self.index.entities[0]), np.array(self.index.relations)
        return {
            "head": pa.array(entities[triples[:, 0]]),
            "relation": pa.array(relations[triples[:, 1]]),
            "tail": pa.array(entities[triples[:, 2]]),
        }

    def unknown(self) -> NDArray[np.int64]:
        """Every triple that is not known."""
        entities, relations = range(self.index.entity_count), range(len(self.index.relations))
        axes = np.meshgrid(entities, relations, entities, indexing="ij")
        grid = np.stack(axes, axis=-1).reshape(-1, 3)
        return grid[~np.isin(self.index.keys(grid), self.index.keys(self.known))]

    def corrupted(self, triples: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """Corruptions of both ends that are not known to be true."""
        negatives = Negatives.of(self.index, self.known, CORRUPTIONS, torch.device("cpu"))
        generator = torch.Generator().manual_seed(seed)
        found = []
        for side in (0, 2):
            others, allowed = negatives.draw(torch.from_numpy(triples), side // 2, generator)
            wrong = np.repeat(triples[:, None], others.shape[1], 1)
            wrong[:, :, side] = others.expand(len(triples), -1).numpy()
            found.append(wrong[allowed.numpy()])
        return np.unique(np.concatenate(found), axis=0)

    def to_learn(self, program: kr.Program, seed: int) -> kr.Dataset:
        """Training triples known, validation triples labelled."""
        false = self.corrupted(self.valid, seed)
        judged = self.columns(np.concatenate([self.valid, false]))
        truth = np.repeat([1, 0], [len(self.valid), len(false)])
        return kr.Dataset.from_frames(
            program,
            facts={"Known": self.columns(self.train), "Candidate": judged},
            labels={"Holds": {**judged, "truth": pa.array(truth)}},
        )

    def to_ask(self, program: kr.Program) -> kr.Dataset:
        """All other triples are candidates."""
        return kr.Dataset.from_frames(
            program,
            facts={"Known": self.columns(self.known), "Candidate": self.columns(self.unknown())},
        )

    def ranks(self, data: kr.Dataset, scores: NDArray[np.floating]) -> Ranks:
        """Ranks of the test triples among the candidates of ``data``, both ends."""
        arguments = kr.models.atoms_of(data, "Holds").arguments
        sorts = ("Entity", "Relation", "Entity")
        columns = self.columns(self.test).values()
        ids = [data.vocabularies[s].ids(c) for s, c in zip(sorts, columns, strict=True)]
        asked = locate(arguments, np.column_stack(ids))
        known = np.zeros(len(arguments), bool)
        known[asked] = True
        return link_ranks(arguments, scores, known, asked, (0, 2))


def run(graph: Graph, scorer: str, seed: int) -> dict[str, dict[str, Any]]:
    """Figures of the rules (``scorer`` empty), or of an embedding alone and with the rules; and of
    the answer, in which trees over the definitions have a part."""
    start = time.perf_counter()
    file = "knowledge_graph.kr" if scorer else "knowledge_graph_rules.kr"
    program = kr.load(RULES / file)
    options = {"links": {"scorer": scorer, **OPTIONS[scorer]}} if scorer else {}
    reasoner = kr.Reasoner(
        program, models=options, settings=kr.Settings(fold_count=FOLDS), seed=seed
    ).fit(graph.to_learn(program, seed))
    asked = graph.to_ask(program)
    beliefs = reasoner.infer(asked)
    span = beliefs.grounding.atoms.spans["Holds"]
    inside = slice(span.start, span.stop)
    of_rules = beliefs.posterior.log_odds.numpy()[inside]
    found = {
        "both" if scorer else "rules": figures(graph.ranks(asked, of_rules)),
        "answer": figures(graph.ranks(asked, beliefs.log_odds[inside])),
    }
    for model in reasoner.models_:
        ratios = model.fitted.predict(asked).llr
        found["embedding"] = figures(graph.ranks(asked, ratios))
    weights = {weight.name: weight.value for weight in reasoner.weights_}
    seconds = time.perf_counter() - start
    return {name: {**row, "weights": weights, "seconds": seconds} for name, row in found.items()}


def figures(ranks: Ranks) -> dict[str, float]:
    """The usual three."""
    return {
        "MRR": ranks.mean_reciprocal_rank,
        "Hits@1": ranks.hits(1),
        "Hits@10": ranks.hits(10),
    }


def table(runs: dict[str, Any]) -> list[dict[str, str]]:
    """Mean and spread over seeds of each graph, scorer and kind."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for key, found in runs.items():
        graph, scorer, _ = key.split("/")
        for kind, row in found.items():
            groups.setdefault((graph, kind, scorer), []).append(row)
    return [
        {
            "graph": graph,
            "what": " ".join(filter(None, (scorer, kind))),
            "seeds": str(len(rows)),
            **{name: spread(row[name] for row in rows) for name in ("MRR", "Hits@1", "Hits@10")},
        }
        for (graph, kind, scorer), rows in sorted(groups.items())
    ]


def draw(runs: dict[str, Any], out: Path) -> None:
    """MRR of embedding, rules and both, a panel a graph."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found: dict[tuple[str, str, str], list[float]] = {}
    for key, kinds in runs.items():
        graph, scorer, _ = key.split("/")
        for kind, row in kinds.items():
            found.setdefault((graph, kind, scorer), []).append(row["MRR"])
    graphs = [name for name in GRAPHS if any(name == graph for graph, _, _ in found)]
    size = (3.2 * len(graphs), 3)
    figure, axes = pyplot.subplots(1, len(graphs), figsize=size, sharey=True, squeeze=False)
    for axis, graph in zip(axes[0], graphs, strict=True):
        scorers = [scorer for scorer in OPTIONS if (graph, "both", scorer) in found]
        for shift, kind, label in ((-0.2, "embedding", "embedding"), (0.2, "both", "and rules")):
            values = [found[graph, kind, scorer] for scorer in scorers]
            mean, deviation = [np.mean(v) for v in values], [np.std(v) for v in values]
            axis.bar(np.arange(len(scorers)) + shift, mean, 0.4, yerr=deviation, label=label)
        if (graph, "rules", "") in found:
            level = np.mean(found[graph, "rules", ""])
            axis.axhline(level, color="black", ls="--", lw=1, label="rules alone")
        axis.set_xticks(range(len(scorers)), scorers)
        axis.set_title(graph)
    axes[0][0].set_ylabel("filtered MRR")
    axes[0][0].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(out / "knowledge_graph_mrr.svg")
    figure.savefig(out / "knowledge_graph_mrr.png", dpi=110)


def check_no_leak(graph: Graph) -> None:
    """Raises ValueError where a triple that is asked for is known, or a false one is true."""
    known, asked = graph.index.keys(graph.known), graph.index.keys(graph.test)
    false = graph.index.keys(graph.corrupted(graph.valid, 0))
    if np.isin(asked, known).any() or np.isin(false, known).any():
        raise ValueError("a known triple is asked for, or is labelled false")
    if not np.isin(asked, graph.index.keys(graph.unknown())).all():
        raise ValueError("a triple that is asked for is no candidate")


def main() -> None:
    """Run what is missing, print the table, draw."""
    arguments = parser(__doc__, "knowledge_graph")
    arguments.add_argument("--graphs", nargs="+", choices=GRAPHS, default=list(GRAPHS))
    arguments.add_argument("--scorers", nargs="*", choices=list(OPTIONS), default=list(OPTIONS))
    chosen = arguments.parse_args()
    graphs = ["nations"] if chosen.quick else chosen.graphs
    seeds = 2 if chosen.quick else chosen.seeds
    stored = chosen.out / "runs.json"
    folder = graph_folder()
    for name in graphs:
        graph = Graph.load(folder / name)
        check_no_leak(graph)
        for scorer in ("", *chosen.scorers):
            for seed in range(seeds):
                key = f"{name}/{scorer}/{seed}"
                if key in (json.loads(stored.read_text()) if stored.exists() else {}):
                    continue
                found = run(graph, scorer, seed)
                runs = json.loads(stored.read_text()) if stored.exists() else {}
                write(chosen.out, "runs", {**runs, key: found})
                shown = ", ".join(f"{kind} {row['MRR']:.3f}" for kind, row in found.items())
                print(key, shown, flush=True)
    runs = json.loads(stored.read_text())
    show("Filtered ranks on the test triples", table(runs))
    draw(runs, chosen.out)


if __name__ == "__main__":
    main()
