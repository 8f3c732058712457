"""Parts of a graph for a batch, where the states of all nodes do not fit in memory.

Neighbourhoods that are drawn, or whole components, packed side by side as PyG's ``Batch`` has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor

PACK = 2**15  # nodes and messages a batch of whole graphs aims at
LARGE = 2**18  # and those of a union that is not taken at once


@dataclass(frozen=True)
class SampledLinks:
    """The links into the nodes that a batch needs.

    Attributes:
        nodes: ``int64[k]``, the nodes that take part, ascending.
        source, target: ``int64[m]``, positions in ``nodes``.
        link: ``int64[m]``, which link of the whole graph each is.
        weight: ``float32[m]``, links each stands for: weighted sums over them are unbiased.
    """

    nodes: Tensor
    source: Tensor
    target: Tensor
    link: Tensor
    weight: Tensor

    def places(self, nodes: Tensor) -> Tensor:
        """Position of each of some nodes, all of which take part; ``-1`` stays."""
        return torch.where(nodes < 0, nodes, torch.searchsorted(self.nodes, nodes.clamp(min=0)))


def sampled_links(
    pointers: Tensor, neighbours: Tensor, seeds: Tensor, hops: int, limit: int
) -> SampledLinks:
    """Links over which messages reach ``seeds`` in ``hops`` rounds.

    All links of a node with at most ``limit`` of them, else ``limit`` drawn with replacement
    (Hamilton et al. 2017, but weighted, so that sums keep their expectation).

    Args:
        pointers: ``int64[n + 1]``; the links into node i are ``pointers[i]:pointers[i + 1]``.
        neighbours: ``int64[m]``, source of each link.
        seeds: ``int64[s]``, nodes whose states are wanted.
        hops: rounds of messages.
        limit: most links drawn a node; 0 for all, and then states are exact.
    """
    reached = torch.zeros(len(pointers) - 1, dtype=torch.bool, device=pointers.device)
    frontier = torch.unique(seeds)
    reached[frontier] = True
    targets, links, weights = [], [], []
    for _ in range(hops):
        target, link, weight = _drawn(pointers, frontier, limit)
        targets.append(target)
        links.append(link)
        weights.append(weight)
        source = neighbours[link]
        frontier = torch.unique(source[~reached[source]])
        reached[frontier] = True
    nodes = torch.nonzero(reached).flatten()
    link = torch.cat(links) if links else seeds.new_zeros(0)
    target = torch.cat(targets) if targets else seeds.new_zeros(0)
    weight = torch.cat(weights) if weights else torch.zeros(0, device=seeds.device)
    position = torch.searchsorted
    return SampledLinks(
        nodes, position(nodes, neighbours[link]), position(nodes, target), link, weight
    )


def components_of(pointers: NDArray[np.int64], neighbours: NDArray[np.int64]) -> NDArray[np.int64]:
    """``int64[n]``: number of each node's connected component; links are given both ways."""
    count = len(pointers) - 1
    matrix = sparse.csr_array(
        (np.ones(len(neighbours), np.int8), neighbours, pointers), (count,) * 2
    )
    component: NDArray[np.int64] = connected_components(matrix, directed=False)[1].astype(np.int64)
    return component


def worth_packing(pointers: NDArray[np.int64], component: NDArray[np.int64]) -> bool:
    """Whether a graph is large, and each of its components small."""
    load = np.bincount(component, 1 + np.diff(pointers))
    return bool(load.sum() > LARGE and load.max() <= PACK)


def packed_links(
    pointers: Tensor, neighbours: Tensor, component: Tensor, packs: Tensor, seeds: Tensor
) -> SampledLinks:
    """All nodes and links of the components of some nodes: their states are exact.

    Args:
        pointers, neighbours: as :func:`sampled_links` has them.
        component: ``int64[n]`` of each node.
        packs: ``int64[2, n]``, the components in ascending order, and the node each is of.
        seeds: ``int64[s]``, nodes whose states are wanted.
    """
    asked, (ordered, node) = torch.unique(component[seeds]), packs
    start, end = (torch.searchsorted(ordered, asked, right=right) for right in (False, True))
    nodes = node[ranges(start, end)].sort().values
    target, link, weight = _drawn(pointers, nodes, 0)
    position = torch.searchsorted
    return SampledLinks(
        nodes, position(nodes, neighbours[link]), position(nodes, target), link, weight
    )


def ranges(start: Tensor, end: Tensor) -> Tensor:
    """``start[0], ..., end[0] - 1, start[1], ...``, one after the other."""
    length = end - start
    first = start - (length.cumsum(0) - length)
    return torch.repeat_interleave(first, length) + torch.arange(
        int(length.sum()), device=start.device
    )


def _drawn(pointers: Tensor, nodes: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Target, link and weight of the links drawn for some nodes."""
    start, degree = pointers[nodes], pointers[nodes + 1] - pointers[nodes]
    taken = degree.clamp(max=limit) if limit else degree
    row = torch.repeat_interleave(torch.arange(len(nodes), device=nodes.device), taken)
    rank = torch.arange(len(row), device=nodes.device) - (taken.cumsum(0) - taken)[row]
    chance = (torch.rand(len(row), dtype=torch.float64).to(nodes.device) * degree[row]).long()
    rank = torch.where(degree[row] > taken[row], chance, rank)
    return nodes[row], start[row] + rank, (degree[row] / taken[row]).float()
