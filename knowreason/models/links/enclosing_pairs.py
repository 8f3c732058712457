"""Enclosing subgraphs of pairs of nodes, and their double-radius labels, in batches.

Zhang & Chen, "Link Prediction Based on Graph Neural Networks" (SEAL), NeurIPS 2018. A row
costs a walk over the neighbours of at most ``max_nodes`` nodes; nothing grows with the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.models.links.enclosing_kernels import counts_before, extract, find_pairs
from knowreason.models.links.timed_links import Links


@dataclass(frozen=True)
class LinkHistory:
    """Links of some things (pairs, nodes) in two halves each, by time.

    Attributes:
        start: ``int64[2k + 1]`` into the links of each half.
        time: ``float64[m]``, ascending within a half.
        sums: ``float64[m + 1, d]``, sum of the features of the links before each.
    """

    start: NDArray[np.int64]
    time: NDArray[np.float64]
    sums: NDArray[np.float64]

    @staticmethod
    def of(
        half: NDArray[np.int64],
        time: NDArray[np.float64],
        features: NDArray[np.floating],
        count: int,
    ) -> LinkHistory:
        """From links in any order; ``half`` is twice the thing, and one more for the second."""
        order = np.lexsort((time, half))
        total = np.cumsum(features[order], axis=0, dtype=np.float64)
        return LinkHistory(
            np.searchsorted(half[order], np.arange(2 * count + 1)),
            time[order],
            np.concatenate([np.zeros((1, features.shape[1])), total]),
        )

    def before(self, which: NDArray[np.integer], time: NDArray[np.float64]) -> NDArray[np.float32]:
        """Number of links before a time and sums of their features.

        Args:
            which: ``int[k]`` things, ``-1`` for none.
            time: ``float64[k]``.

        Returns:
            ``float32[k, 2, d + 1]``, the two halves one after the other.
        """
        if not len(self.time):
            return np.zeros((len(which), 2, self.sums.shape[1] + 1), np.float32)
        count = counts_before(self.start, self.time, which.astype(np.int32), time)
        half = 2 * np.maximum(which, 0)[:, None].astype(np.int64) + np.arange(2)
        begin = self.start[half]
        sums = self.sums[begin + count] - self.sums[begin]
        return np.concatenate([count[:, :, None], sums], axis=2).astype(np.float32)


@dataclass(frozen=True)
class PairGraph:
    """Distinct undirected pairs of linked nodes, and when and how they were linked.

    Attributes:
        start: ``int64[n + 1]`` into the neighbours of each node.
        neighbour, first: ``[2P]`` neighbour and time of the first link with it, by time within
            a node.
        sorted_neighbour, sorted_first, sorted_pair: the same, and the number of the pair, by
            neighbour within a node.
        of_pairs: links of each pair from the lesser node to the greater, and back.
        of_nodes: links from each node, and to it.
    """

    start: NDArray[np.int64]
    neighbour: NDArray[np.int32]
    first: NDArray[np.float64]
    sorted_neighbour: NDArray[np.int32]
    sorted_first: NDArray[np.float64]
    sorted_pair: NDArray[np.int32]
    of_pairs: LinkHistory
    of_nodes: LinkHistory

    @property
    def node_count(self) -> int:
        """Number of nodes."""
        return len(self.start) - 1


@dataclass(frozen=True)
class Subgraphs:
    """The enclosing subgraphs of some rows, side by side.

    Attributes:
        offsets: ``int64[b + 1]`` into the nodes; a row's source comes first, then its target.
        node: ``int32[k]`` nodes of the whole graph.
        label: ``int32[k]`` in ``0 .. LABELS - 1``.
        degree: ``int32[k]``, neighbours in the whole graph before the row's time.
        ends: ``int64[b, 2]``, positions of source and target among the nodes, ``-1`` for a
            row that is no link.
        edge_offsets: ``int64[b + 1]`` into the edges.
        edges: ``int64[2, e]``, positions of the ends, each pair once.
        pair: ``int32[e]``, the pair each edge is.
    """

    offsets: NDArray[np.int64]
    node: NDArray[np.int32]
    label: NDArray[np.int32]
    degree: NDArray[np.int32]
    ends: NDArray[np.int64]
    edge_offsets: NDArray[np.int64]
    edges: NDArray[np.int64]
    pair: NDArray[np.int32]


def pair_graph(links: Links, nodes: int, features: NDArray[np.floating] | None = None) -> PairGraph:
    """Sort links by pair and time.

    Args:
        links: self loops are left out; a link without a time was always there.
        nodes: number of nodes.
        features: ``[m, d]`` of the links.
    """
    keep = links.there & (links.source != links.target)
    source, target = links.source[keep], links.target[keep]
    time = np.where(np.isnan(links.time[keep]), -np.inf, links.time[keep])
    values = np.zeros((len(time), 0)) if features is None else features[keep]
    keys, pair = np.unique(
        np.minimum(source, target) * nodes + np.maximum(source, target), return_inverse=True
    )
    low, high = np.divmod(keys, max(nodes, 1))
    earliest = np.full(len(keys), np.inf)
    np.minimum.at(earliest, pair, time)
    ends, others = np.concatenate([low, high]), np.concatenate([high, low])
    first, pairs = np.tile(earliest, 2), np.tile(np.arange(len(keys)), 2)
    by_time, by_id = np.lexsort((first, ends)), np.lexsort((others, ends))
    of_nodes = np.concatenate([2 * source, 2 * target + 1])
    return PairGraph(
        np.searchsorted(ends[by_time], np.arange(nodes + 1)),
        others[by_time].astype(np.int32),
        first[by_time],
        others[by_id].astype(np.int32),
        first[by_id],
        pairs[by_id].astype(np.int32),
        LinkHistory.of(2 * pair + (source > target), time, values, len(keys)),
        LinkHistory.of(of_nodes, np.tile(time, 2), np.tile(values, (2, 1)), nodes),
    )


def enclosing_subgraphs(
    graph: PairGraph,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    before: NDArray[np.float64],
    hops: int = 2,
    max_nodes: int = 32,
    max_neighbours: int = 12,
    seed: int = 0,
) -> Subgraphs:
    """Nodes within ``hops`` of either end and all links among them but the pair's own.

    Args:
        graph: from :func:`pair_graph`.
        source, target: ``int64[b]`` ends of each row, ``-1`` for none.
        before: ``float64[b]``, only links before this time are seen; ``inf`` for all.
        hops: how far nodes may be from the nearer end.
        max_nodes: most nodes of a subgraph, the nearer ones first; at least 2.
        max_neighbours: most neighbours a node brings in; where it has more, an even sample
            that depends on the seed, the pair and the node.
        seed: of that sample.
    """
    neighbours = (graph.start, graph.neighbour, graph.first)
    by_id = (graph.sorted_neighbour, graph.sorted_first, graph.sorted_pair)
    options = np.array([hops, max(max_nodes, 2), max_neighbours, seed], np.int64)
    offsets, nodes, ends, edge_offsets, edges = extract(
        neighbours, by_id, source, target, before, options
    )
    return Subgraphs(
        offsets,
        nodes[:, 0],
        nodes[:, 1],
        nodes[:, 2],
        ends,
        edge_offsets,
        edges[:, :2].T,
        edges[:, 2].astype(np.int32),
    )


def pairs_of(
    graph: PairGraph, source: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.int32]:
    """``int32[b]``: number of the pair of two nodes, ``-1`` where they are not linked."""
    return find_pairs(graph.start, graph.sorted_neighbour, graph.sorted_pair, source, target)
