"""Many small graphs: the union of all of them, drawn neighbourhoods, and packs of whole graphs.

    python -m benchmarks.whole_graphs [--quick] [--epochs N] [--out DIR]

Generated molecules of 26 atoms and 28 bonds on average, half of them bad: two atoms of kind 0 are
a short bond apart. A third are labelled, `gnn` trains for some epochs and scores all. Each way
runs in a process of its own: its peak memory less that of a process that only makes the data (and
imports PyG), seconds of CPU in fit and in scoring, and AUC on the rest. Packs are chosen where the
union is large: not at 2,000. --quick: up to 8,000 molecules, else up to 32,000.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.metrics import roc_auc_score

import knowreason as kr
from benchmarks.reporting import parser, show, write
from knowreason.data import Dataset, EdgeList
from knowreason.models import make

PROGRAM = """
domain Molecule, Atom
observed Contains(Molecule, Atom)
query Bad(Molecule)
"""
NET = {"pool": "Contains", "patience": 1000}
CARRIED = {"convolution": "gine", "message_features": ("length",)}
WAYS: dict[str, dict[str, Any]] = {
    "nothing but the data": {},
    "union": {"whole_graphs": "union"},
    "256 drawn neighbourhoods a step": {
        "whole_graphs": "union",
        "batch_size": 256,
        "neighbours": 0,
    },
    "packs, chosen by itself": {},
    "union, lengths in messages (gine)": {"whole_graphs": "union", **CARRIED},
    "packs, lengths in messages (gine)": CARRIED,
}


def molecules(count: int, seed: int = 0) -> Dataset:
    """Random trees of atoms with two or so bonds more, and lengths of the bonds."""
    random = np.random.default_rng(seed)
    sizes = random.integers(16, 37, count)
    molecule, first = np.repeat(np.arange(count), sizes), np.cumsum(sizes) - sizes
    place = np.arange(len(molecule)) - first[molecule]
    tree = np.flatnonzero(place > 0)
    back = np.minimum(random.integers(1, 4, len(tree)), place[tree])
    extra = np.repeat(np.arange(count), 3)
    ends = first[extra] + random.integers(0, sizes[extra], (2, len(extra)))
    ends = ends[:, ends[0] != ends[1]]
    source, target = np.concatenate([[tree, tree - back], ends], axis=1)
    kind = random.integers(0, 4, len(molecule))
    length = random.gamma(4, 0.25, len(source))
    both = (kind[source] == 0) & (kind[target] == 0)
    shortest = np.full(count, np.inf)
    np.minimum.at(shortest, molecule[source[both]], length[both])
    bad = shortest < np.median(shortest)
    atoms = pa.array(np.arange(len(molecule))).cast(pa.string())
    names = pa.array(np.arange(count)).cast(pa.string())
    data = Dataset.from_frames(
        kr.loads(PROGRAM),
        facts={"Contains": pa.table({"m": names.take(pa.array(molecule)), "a": atoms})},
        labels={"Bad": pa.table({"m": names, "bad": bad})},
        features={"Atom": pa.table({"a": atoms, "kind": pa.array(kind).cast(pa.string())})},
        graph=EdgeList(
            pa.table({"a": atoms.take(pa.array(source)), "b": atoms.take(pa.array(target)),
                      "length": length}),
            "a:Atom", "b:Atom", features=["length"],
        ),
    )  # fmt: skip
    return data.hide("Bad", np.arange(count) >= count // 3)


def one(count: int, way: str, epochs: int) -> dict[str, float]:
    """What one way costs and finds, in this process."""
    import torch_geometric.nn  # noqa: F401  # part of every way's memory

    data = molecules(count)
    found = {}
    if way != "nothing but the data":
        start = time.process_time()
        model = make("gnn", {**NET, "epochs": epochs, **WAYS[way]}).fit(data, "Bad")
        fitted = time.process_time()
        scores = model.log_odds(data, "Bad")
        found = {"fit_s": fitted - start, "score_s": time.process_time() - fitted}
        table = data.hidden["Bad"]
        truth = table["value"].to_numpy()
        found["auc"] = float(roc_auc_score(truth, scores[table["a0"].to_numpy()]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**found, "mib": peak}


def main() -> None:
    """Print the table; one process a way."""
    made = parser(__doc__ or "", "whole_graphs")
    made.add_argument("--epochs", type=int, default=10)
    made.add_argument("--one", nargs=2, help="used by itself: molecules and way")
    chosen = made.parse_args()
    if chosen.one:
        print(json.dumps(one(int(chosen.one[0]), chosen.one[1], chosen.epochs)))
        return
    rows: list[dict[str, Any]] = []
    for count in (2_000, 8_000) if chosen.quick else (2_000, 8_000, 32_000):
        base = 0.0
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.whole_graphs", "--one", str(count), way]
            command += ["--epochs", str(chosen.epochs)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            base = base or found["mib"]
            found["mib above data"] = found.pop("mib") - base
            rows.append({"molecules": count, "way": way, **found})
            print(rows[-1], file=sys.stderr, flush=True)
    show("Whole graphs", rows)
    write(chosen.out, "whole_graphs", rows)


if __name__ == "__main__":
    main()
