"""Cutting enclosing subgraphs: compiled batches against a loop over pairs in Python.

    python -m benchmarks.enclosing_subgraphs [--quick] [--out DIR]

A generated graph of 10^5 edges with heavy-tailed degrees; a 2-hop subgraph with labels for
every edge, cut by knowreason in batches of 1,024, against PyG's `k_hop_subgraph` and SEAL's
labelling by scipy's shortest paths, and against networkx, on a sample of the same pairs in the
same run. All three see the same subgraphs (no cap on neighbours or nodes; checked by counts
and sums of labels). The first line is knowreason with the caps of the model.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from torch_geometric.utils import k_hop_subgraph

from benchmarks.reporting import parser, show, write
from knowreason.models.links.enclosing_kernels import LABELS
from knowreason.models.links.enclosing_pairs import enclosing_subgraphs, pair_graph
from knowreason.models.links.timed_links import Links

BATCH = 1024
Ints = NDArray[np.int64]


def generated(nodes: int, edges: int, seed: int = 0) -> Links:
    """Distinct undirected pairs; node i is drawn with weight (i + 10) ** -0.6."""
    random = np.random.default_rng(seed)
    weight = (np.arange(nodes) + 10.0) ** -0.6
    drawn = random.choice(nodes, (2, 2 * edges), p=weight / weight.sum())
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    keys = np.unique((low * nodes + high)[low != high])
    low, high = np.divmod(random.permutation(keys)[:edges], nodes)
    return Links(low, high, np.zeros(edges))


def ours(links: Links, nodes: int, rows: Ints, **caps: int) -> tuple[int, int, int]:
    """Nodes, edges, and sum of the labels of all subgraphs."""
    graph = pair_graph(links, nodes)
    total = np.zeros(3, np.int64)
    for at in range(0, len(rows), BATCH):
        some = rows[at : at + BATCH]
        every = np.full(len(some), np.inf)
        cut = enclosing_subgraphs(graph, links.source[some], links.target[some], every, 2, **caps)
        total += len(cut.node), cut.edges.shape[1], cut.label.sum()
    return tuple(total.tolist())


def labels(adjacency: csr_array) -> Ints:
    """Double-radius labels of a subgraph whose first two nodes are the pair (SEAL's own way)."""
    without_second = adjacency[[0, *range(2, adjacency.shape[0])]][
        :, [0, *range(2, adjacency.shape[0])]
    ]
    without_first = adjacency[1:][:, 1:]
    x = shortest_path(without_second, unweighted=True, indices=0)[1:]
    y = shortest_path(without_first, unweighted=True, indices=0)[1:]
    reached = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(reached, x, 0).astype(int), np.where(reached, y, 0).astype(int)
    half, odd = np.divmod(x + y, 2)
    label = np.minimum(1 + np.minimum(x, y) + half * (half + odd - 1), LABELS - 1)
    return np.concatenate([[1, 1], np.where(reached, label, 0)])


def by_pyg(links: Links, nodes: int, rows: Ints) -> tuple[int, int, int]:
    """A loop over `k_hop_subgraph`."""
    ends = torch.from_numpy(np.stack([links.source, links.target]))
    both = torch.cat([ends, ends.flip(0)], dim=1)
    total = np.zeros(3, np.int64)
    for row in rows:
        u, v = int(links.source[row]), int(links.target[row])
        own = ((both[0] == u) & (both[1] == v)) | ((both[0] == v) & (both[1] == u))
        found, edges, place, _ = k_hop_subgraph(
            [u, v], 2, both[:, ~own], relabel_nodes=True, num_nodes=nodes
        )
        total += _counted(len(found), edges.numpy(), place.tolist())
    return tuple(total.tolist())


def by_networkx(links: Links, nodes: int, rows: Ints) -> tuple[int, int, int]:
    """A loop over ego graphs."""
    graph = nx.Graph(zip(links.source.tolist(), links.target.tolist(), strict=True))
    total = np.zeros(3, np.int64)
    for row in rows:
        u, v = int(links.source[row]), int(links.target[row])
        graph.remove_edge(u, v)
        near = {u, v}
        edge: set[int] = near
        for _ in range(2):
            edge = {y for x in edge for y in graph[x]} - near
            near = near | edge
        order = [u, v, *(near - {u, v})]
        place = {node: i for i, node in enumerate(order)}
        pairs = np.array([(place[a], place[b]) for a, b in graph.subgraph(near).edges]).T
        both = np.concatenate([pairs, pairs[::-1]], axis=1)
        total += _counted(len(order), both, [0, 1])
        graph.add_edge(u, v)
    return tuple(total.tolist())


def _counted(count: int, both: Ints, ends: list[int]) -> tuple[int, int, int]:
    order = np.concatenate([ends, np.setdiff1d(np.arange(count), ends)])
    place = np.empty(count, int)
    place[order] = np.arange(count)
    ones = np.ones(both.shape[1])
    adjacency = csr_array((ones, (place[both[0]], place[both[1]])), shape=(count, count))
    return count, both.shape[1] // 2, int(labels(adjacency).sum())


def timed(
    name: str, run: Callable[..., tuple[int, int, int]], rows: Ints, *given: Any, **caps: int
) -> dict[str, Any]:
    """One line of the table."""
    start = time.perf_counter()
    found = run(*given, rows, **caps)
    seconds = time.perf_counter() - start
    return {
        "by": name,
        "pairs": len(rows),
        "seconds": seconds,
        "microseconds a pair": 1e6 * seconds / len(rows),
        "nodes a pair": found[0] / len(rows),
        "edges a pair": found[1] / len(rows),
        "found": found,
        "peak MB so far": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Run and print."""
    options = parser(__doc__, "enclosing_subgraphs")
    asked = options.parse_args()
    edges = 20_000 if asked.quick else 100_000
    nodes, sample = edges // 5, 50 if asked.quick else 100
    links = generated(nodes, edges)
    rows = np.arange(edges)
    some = np.random.default_rng(1).choice(edges, sample, replace=False)
    uncapped = {"max_nodes": nodes, "max_neighbours": nodes}
    capped = {"max_nodes": 32, "max_neighbours": 12}
    ours(links, nodes, some[:5], **capped)  # compiles
    lines = [
        timed("knowreason, capped as the model", ours, rows, links, nodes, **capped),
        timed("knowreason, whole subgraphs", ours, some, links, nodes, **uncapped),
        timed("PyG in a loop", by_pyg, some, links, nodes),
        timed("networkx in a loop", by_networkx, some, links, nodes),
    ]
    same = len({line["found"] for line in lines[1:]}) == 1
    shown = [{k: v for k, v in line.items() if k != "found"} for line in lines]
    show(f"{edges:,} edges; whole subgraphs alike: {'yes' if same else 'NO'}", shown)
    write(asked.out, "enclosing_subgraphs", {"edges": edges, "alike": same, "rows": lines})


if __name__ == "__main__":
    main()
