"""Heterogeneous graph transformer: attention with parameters of its own for each relation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TypedEdges:
    """Edges among nodes of several domains.

    Attributes:
        source, target: ``int64[m]``, nodes.
        relation: ``int64[m]``, position of each edge's relation.
        spans: domain, first node and end of each run of nodes; together all nodes in order.
    """

    source: Tensor
    target: Tensor
    relation: Tensor
    spans: tuple[tuple[int, int, int], ...]


class HGTLayer(nn.Module):
    """PyG's ``HGTConv`` (Hu et al. 2020) on nodes of all domains in one matrix.

    Args:
        width: of node states.
        heads: attention heads, a divisor of ``width``.
        domains: how many domains there are.
        relations: domain of the sources and of the targets of each relation.
    """

    def __init__(
        self, width: int, heads: int, domains: int, relations: Sequence[tuple[int, int]]
    ) -> None:
        super().__init__()
        from torch_geometric.nn import HGTConv

        self.kinds = [(str(s), str(number), str(t)) for number, (s, t) in enumerate(relations)]
        names = [str(domain) for domain in range(domains)]
        self.attention = HGTConv(width, width, (names, self.kinds), heads=heads)

    def forward(self, x: Tensor, edges: TypedEdges) -> Tensor:
        """New node states ``[n, width]``; those of domains that no relation leads to stay."""
        first = {str(domain): start for domain, start, _ in edges.spans}
        states = {str(domain): x[start:end] for domain, start, end in edges.spans}
        pairs = {}
        for number, kind in enumerate(self.kinds):
            of_kind = edges.relation == number
            if kind[0] in first and kind[2] in first:
                source, target = edges.source[of_kind], edges.target[of_kind]
                pairs[kind] = torch.stack([source - first[kind[0]], target - first[kind[2]]])
        if pairs:
            states |= self.attention(states, pairs)
        return torch.cat([states[domain] for domain in first])
