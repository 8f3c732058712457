"""Heterogeneous graph transformer: attention with parameters of its own for each relation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from knowreason.models.sparse_attention import Pattern


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
    """Hu et al. 2020, equations 1 to 5, without their relative times.

    Keys, queries and values are linear in the node's domain, keys and values then in the
    relation; attention is over all edges into a node, whatever their relation. What PyG's
    ``HGTConv`` computes (a test compares them), on flat arrays: nodes of all domains in one
    matrix, so that a sample of a graph is the same thing as a graph.

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
        self.heads, self.relations = heads, tuple(relations)
        part = width // heads
        self.project = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(domains))
        self.output = nn.ModuleList(nn.Linear(width, width) for _ in range(domains))
        self.skip = nn.Parameter(torch.ones(domains))
        self.key = nn.Parameter(torch.empty(len(self.relations), heads, part, part))
        self.value = nn.Parameter(torch.empty(len(self.relations), heads, part, part))
        self.prior = nn.Parameter(torch.ones(len(self.relations), heads))
        for matrix in (self.key, self.value):
            nn.init.uniform_(matrix, -1 / math.sqrt(part), 1 / math.sqrt(part))

    def forward(self, x: Tensor, edges: TypedEdges, degree: Tensor) -> Tensor:
        """New node states ``[n, width]``."""
        from torch_geometric.utils import softmax

        keys, queries, values = self._projected(x, edges).unbind(dim=1)
        keys, first = self._by_relation(keys, self.key, edges)
        values, _ = self._by_relation(values, self.value, edges)
        sender = edges.source + first[edges.relation]
        pattern = Pattern(edges.target, sender, len(x), len(keys))
        score = pattern.scores(queries, keys) * self.prior[edges.relation[pattern.order]]
        score = score / math.sqrt(keys.shape[2])
        attention = softmax(score, pattern.receiver, num_nodes=len(x))
        total = pattern.sums(attention, values).flatten(1)
        return self._mixed(x, nn.functional.gelu(total), edges)

    def _projected(self, x: Tensor, edges: TypedEdges) -> Tensor:
        """Keys, queries and values, ``[n, 3, heads, part]``."""
        parts = [self.project[domain](x[start:end]) for domain, start, end in edges.spans]
        return torch.cat(parts).view(len(x), 3, self.heads, -1)

    def _by_relation(
        self, part: Tensor, weight: Tensor, edges: TypedEdges
    ) -> tuple[Tensor, Tensor]:
        """Each relation's view of its sources, one below the other, and what to add to a
        node to find it there, ``int64[relations]``."""
        where = {domain: (start, end) for domain, start, end in edges.spans}
        views, shift, count = [], [], 0
        for relation, (source, _) in enumerate(self.relations):
            start, end = where.get(source, (0, 0))
            views.append(torch.einsum("nhd,hde->nhe", part[start:end], weight[relation]))
            shift.append(count - start)
            count += end - start
        return torch.cat(views), torch.tensor(shift, device=part.device)

    def _mixed(self, x: Tensor, total: Tensor, edges: TypedEdges) -> Tensor:
        """Linear in the domain, and a gated skip."""
        parts = []
        for domain, start, end in edges.spans:
            gate = torch.sigmoid(self.skip[domain])
            new = self.output[domain](total[start:end])
            parts.append(gate * new + (1 - gate) * x[start:end])
        return torch.cat(parts)
