"""Ego-subgraphs of a graph as arrays, and their perturbed neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Perturbation = Literal["add", "delete", "shuffle", "add and shuffle", "delete and shuffle"]
Encoding = Literal["sage", "gcn", "gin"]
ONE_AT_A_TIME: tuple[Perturbation, ...] = ("add", "delete", "shuffle")
TOGETHER: tuple[Perturbation, ...] = ("add and shuffle", "delete and shuffle")
BLOCK = 4096


def symmetric_adjacency(edge_index: NDArray[np.integer], nodes: int) -> sparse.csr_array:
    """Each pair of neighbours once a direction, no self loops, ``float32`` ones.

    Args:
        edge_index: ``int[2, m]`` in any direction, repeats and self loops allowed.
        nodes: number of nodes.
    """
    source, target = np.asarray(edge_index, np.int64).reshape(2, -1)
    other = source != target
    rows = np.concatenate([source[other], target[other]])
    columns = np.concatenate([target[other], source[other]])
    matrix = sparse.csr_array(
        (np.ones(len(rows), np.float32), (rows, columns)), shape=(nodes, nodes)
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


@dataclass(frozen=True)
class Egos:
    """Ego-subgraphs of some nodes: whose features the centre has, and its neighbours.

    Attributes:
        centres: ``int64[k]``, the nodes.
        own: ``int64[k]``, the node whose features each centre has: itself, unless perturbed.
        neighbours: ``[k, n]`` sparse 0/1 rows in canonical form.
        once: ``[n, n]`` sparse, each edge of the graph in one direction, away from the end with
            fewer neighbours.
    """

    centres: NDArray[np.int64]
    own: NDArray[np.int64]
    neighbours: sparse.csr_array
    once: sparse.csr_array

    @staticmethod
    def of(adjacency: sparse.csr_array, centres: NDArray[np.integer] | None = None) -> Egos:
        """The observed ego-subgraphs of ``centres``, by default of all nodes."""
        once = _one_way(adjacency)
        if centres is None:
            every = np.arange(adjacency.shape[0], dtype=np.int64)
            return Egos(every, every, adjacency, once)
        nodes = np.asarray(centres).astype(np.int64)
        return Egos(nodes, nodes, adjacency[nodes], once)

    def __len__(self) -> int:
        return len(self.centres)

    def take(self, rows: NDArray[np.int64]) -> Egos:
        """Some of them."""
        return Egos(self.centres[rows], self.own[rows], self.neighbours[rows], self.once)

    @cached_property
    def degree(self) -> NDArray[np.int64]:
        """``int64[k]``, number of neighbours."""
        degree: NDArray[np.int64] = np.diff(self.neighbours.indptr).astype(np.int64)
        return degree

    @cached_property
    def triangles(self) -> NDArray[np.int64]:
        """``int64[k]``, number of edges among the neighbours.

        No node has more than the root of 2 m edges in ``once`` (m edges in all), so that hubs cost
        little (Chiba & Nishizeki 1985).
        """
        counts = [np.zeros(0, np.int64)]
        for start in range(0, len(self), BLOCK):
            rows = self.neighbours[start : start + BLOCK]
            among = (rows @ self.once).multiply(rows).sum(axis=1, dtype=np.float64)
            counts.append(np.asarray(among).ravel().astype(np.int64))
        return np.concatenate(counts)

    def mean(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean of ``values`` ``[n, d]`` over the neighbours of each centre, 0 over none."""
        total = self.neighbours @ values
        mean: NDArray[np.float32] = (total / np.maximum(self.degree, 1)[:, None]).astype(np.float32)
        return mean

    def messages(self, values: NDArray[np.float32], encoder: Encoding) -> NDArray[np.float32]:
        """What each centre receives of ``values`` ``[n, d]`` in one layer.

        Args:
            values: of all nodes.
            encoder: ``"sage"``, the mean over neighbours (Hamilton et al. 2017); ``"gin"``, their
                sum (Xu et al. 2019); ``"gcn"``, the sum over neighbours and itself, each
                divided by the roots of both degrees, itself counted (Kipf & Welling 2017);
                a neighbour's is its degree in the observed graph.
        """
        if encoder == "sage":
            return self.mean(values)
        if encoder == "gin":
            total: NDArray[np.float32] = self.neighbours @ values
            return total
        ends = self.once.sum(axis=0) + self.once.sum(axis=1)
        root = np.sqrt(1 + np.asarray(ends).ravel())[:, None]
        own = np.sqrt(1 + self.degree)[:, None]
        received = (self.neighbours @ (values / root) + values[self.own] / own) / own
        return np.asarray(received, np.float32)


def perturbed(egos: Egos, kind: Perturbation, share: float, random: np.random.Generator) -> Egos:
    """One perturbed neighbour of every ego-subgraph.

    Every ego-subgraph is perturbed by itself: what happens to one leaves the others alone.

    Args:
        egos: observed.
        kind: ``"add"`` draws new neighbours from all nodes, ``"delete"`` drops some,
            ``"shuffle"`` gives the centres each other's features; or two of them at once.
        share: of a centre's edges that is changed, rounded at random, at least one.
        random: source of the draws.
    """
    own, neighbours = egos.own, egos.neighbours
    if kind.endswith("shuffle"):
        own = own[random.permutation(len(egos))]
    if kind != "shuffle":
        count = np.floor(share * egos.degree + random.random(len(egos))).astype(np.int64)
        change = _added if kind.startswith("add") else _deleted
        neighbours = change(egos, np.maximum(count, 1), random)
    return Egos(egos.centres, own, neighbours, egos.once)


def _one_way(adjacency: sparse.csr_array) -> sparse.csr_array:
    rank = np.empty(adjacency.shape[0], np.int64)
    rank[np.argsort(np.diff(adjacency.indptr), kind="stable")] = np.arange(len(rank))
    both = adjacency.tocoo()
    kept = rank[both.row] < rank[both.col]
    ends = (both.row[kept], both.col[kept])
    return sparse.csr_array((both.data[kept], ends), shape=adjacency.shape)


def _added(egos: Egos, count: NDArray[np.int64], random: np.random.Generator) -> sparse.csr_array:
    nodes = egos.neighbours.shape[1]
    if nodes < 2:
        return egos.neighbours
    row = np.repeat(np.arange(len(egos)), count)
    new = (egos.centres[row] + random.integers(1, nodes, len(row))) % nodes  # never itself
    extra = sparse.csr_array(
        (np.ones(len(row), np.float32), (row, new)), shape=egos.neighbours.shape
    )
    joined = sparse.csr_array(egos.neighbours + extra)
    joined.data[:] = 1
    return joined


def _deleted(egos: Egos, count: NDArray[np.int64], random: np.random.Generator) -> sparse.csr_array:
    before = egos.neighbours
    row = np.repeat(np.arange(len(egos)), egos.degree)
    order = np.lexsort((random.random(len(row)), row))
    rank = np.arange(len(row)) - before.indptr[row]
    keep = np.sort(order[rank >= count[row]])
    starts = np.concatenate([[0], np.cumsum(np.bincount(row[keep], minlength=len(egos)))])
    parts = (before.data[keep], before.indices[keep], starts)
    return sparse.csr_array(parts, shape=before.shape)
