"""CPU seconds and peak memory of `gad_ebm` and of PyGOD's DOMINANT, by size of a graph."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIZES = (1_000, 2_000, 4_000, 10_000)
LARGEST = 4_000  # nodes for DOMINANT, which is n x n


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


def dominant(x: NDArray[np.float32], edges: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Scores of PyGOD's DOMINANT at its defaults; its loader yields the whole graph.

    PyGOD asks PyG's NeighborLoader for all nodes and all neighbours, which needs the compiled
    pyg-lib; the stand-in gives it the same batch.
    """
    import pygod.detector.base as base
    import torch
    from pygod.detector import DOMINANT
    from torch_geometric.data import Data

    from knowreason.models.energy.ego_subgraphs import symmetric_adjacency

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


def cost(method: str, nodes: int) -> dict[str, object]:
    """What a method takes in this process, which should be a fresh one; one thread."""
    import torch

    torch.set_num_threads(1)
    x, edges = generated(nodes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    if method == "DOMINANT":
        dominant(x, edges, 0)
    else:
        from knowreason.models.energy import TERMS, energy_of

        terms = TERMS if method == "gad_ebm" else tuple(t for t in TERMS if t != "net")
        energy_of(x, edges, terms=terms)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "nodes": nodes,
        "method": method,
        "CPU s": round(seconds, 2),
        "peak MB": peak // 1024,
        "MB before": before // 1024,
    }


def cost_table(with_dominant: bool, sizes: tuple[int, ...] = SIZES) -> Iterator[dict[str, object]]:
    """Each method at each size, fitted and scored, in a process of its own."""
    for nodes in sizes:
        for method in ("gad_ebm", "gad_ebm, no net", "DOMINANT"):
            if method == "DOMINANT" and not (with_dominant and nodes <= LARGEST):
                continue
            call = f"print(json.dumps(cost({method!r}, {nodes})))"
            code = f"import json; from benchmarks.gad_cost import cost; {call}"
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            yield json.loads(done.stdout.splitlines()[-1])
