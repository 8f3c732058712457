"""Enclosing subgraphs of pairs of nodes, and their double-radius labels, in batches.

Zhang & Chen, "Link Prediction Based on Graph Neural Networks" (SEAL), NeurIPS 2018. A row
costs a walk over the neighbours of at most ``max_nodes`` nodes; nothing grows with the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.models.enclosing_kernels import counts_before, extract, find_pairs
from knowreason.models.links import Links


@dataclass(frozen=True)
class PairGraph:
    """Distinct undirected pairs of linked nodes, and when and how they were linked.

    Attributes:
        start: ``int64[n + 1]`` into the neighbours of each node.
        neighbour, first, pair: ``[2P]`` neighbour, time of the first link with it and number
            of the pair, by time within a node.
        sorted_neighbour, sorted_first, sorted_pair: the same by neighbour within a node.
        half_start: ``int64[2P + 1]`` into the links of each pair: those from the lesser node to
            the greater (half ``2p``), then those back (``2p + 1``).
        time: ``float64[m]`` of each link, ascending within a half.
        sums: ``float64[m + 1, d]``, sum of the features of the links before each.
    """

    start: NDArray[np.int64]
    neighbour: NDArray[np.int32]
    first: NDArray[np.float64]
    pair: NDArray[np.int32]
    sorted_neighbour: NDArray[np.int32]
    sorted_first: NDArray[np.float64]
    sorted_pair: NDArray[np.int32]
    half_start: NDArray[np.int64]
    time: NDArray[np.float64]
    sums: NDArray[np.float64]

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
    low, high = np.minimum(source, target), np.maximum(source, target)
    order = np.lexsort((time, source > target, high, low))
    low, high, time, back = low[order], high[order], time[order], (source > target)[order]
    new = np.ones(len(low), bool)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    begin, pair = np.flatnonzero(new), np.arange(new.sum())
    half = 2 * (np.cumsum(new) - 1) + back
    earliest = np.minimum.reduceat(time, begin) if len(begin) else time
    ends = np.concatenate([low[begin], high[begin]])
    others = np.concatenate([high[begin], low[begin]])
    first, pairs = np.tile(earliest, 2), np.tile(pair, 2)
    by_time, by_id = np.lexsort((first, ends)), np.lexsort((others, ends))
    values = np.zeros((len(time), 0)) if features is None else features[keep][order]
    return PairGraph(
        np.searchsorted(ends[by_time], np.arange(nodes + 1)),
        others[by_time].astype(np.int32),
        first[by_time],
        pairs[by_time].astype(np.int32),
        others[by_id].astype(np.int32),
        first[by_id],
        pairs[by_id].astype(np.int32),
        np.searchsorted(half, np.arange(2 * len(pair) + 1)),
        time,
        np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=float)]),
    )


def enclosing_subgraphs(
    graph: PairGraph,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    before: NDArray[np.float64],
    hops: int = 2,
    max_nodes: int = 64,
    max_neighbours: int = 32,
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


def links_before(
    graph: PairGraph, pair: NDArray[np.int32], before: NDArray[np.float64]
) -> NDArray[np.float32]:
    """What a pair's links before a time say, each way.

    Args:
        graph: from :func:`pair_graph`.
        pair: ``int32[k]``, ``-1`` for no pair.
        before: ``float64[k]``.

    Returns:
        ``float32[k, 2, d + 1]``: number of links and sums of their features, from the lesser
        node to the greater, and back.
    """
    half = 2 * np.maximum(pair, 0)[:, None].astype(np.int64) + np.arange(2)
    if not len(graph.time):
        return np.zeros((len(pair), 2, graph.sums.shape[1] + 1), np.float32)
    begin = graph.half_start[half]
    count = counts_before(graph.half_start, graph.time, pair, before)
    sums = graph.sums[begin + count] - graph.sums[begin]
    return np.concatenate([count[:, :, None], sums], axis=2).astype(np.float32)


def pairs_of(
    graph: PairGraph, source: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.int32]:
    """``int32[b]``: number of the pair of two nodes, ``-1`` where they are not linked."""
    return find_pairs(graph.start, graph.sorted_neighbour, graph.sorted_pair, source, target)
