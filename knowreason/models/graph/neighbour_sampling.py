"""Neighbourhoods drawn for a batch: training on graphs whose states do not fit in memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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


def _drawn(pointers: Tensor, nodes: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Target, link and weight of the links drawn for some nodes."""
    start, degree = pointers[nodes], pointers[nodes + 1] - pointers[nodes]
    taken = degree.clamp(max=limit) if limit else degree
    row = torch.repeat_interleave(torch.arange(len(nodes), device=nodes.device), taken)
    rank = torch.arange(len(row), device=nodes.device) - (taken.cumsum(0) - taken)[row]
    chance = (torch.rand(len(row), dtype=torch.float64).to(nodes.device) * degree[row]).long()
    rank = torch.where(degree[row] > taken[row], chance, rank)
    return nodes[row], start[row] + rank, (degree[row] / taken[row]).float()
