"""A graph network over a batch of enclosing subgraphs, and how a subgraph becomes one vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from knowreason.models.graph.convolution import FeaturedPairs
from knowreason.models.graph.graph_encoder import GraphEncoder
from knowreason.models.links.enclosing_kernels import LABELS

Pooling = Literal["ends", "mean", "sort"]
LABEL_WIDTH = 16
SORTED_NODES = 20
SORT_CHANNELS = 16


@dataclass(frozen=True)
class SubgraphBatch:
    """Subgraphs side by side.

    Attributes:
        label: ``int64[k]`` of each node.
        inputs: ``float32[k, d]``.
        edges: from :func:`~knowreason.models.graph.convolution.message_edges`, or with features.
        graph: ``int64[k]``, subgraph of each node, ascending.
        ends: ``int64[b, 2]``, positions of source and target, -1 for none.
        own: ``float32[b, h]``, what goes to the head beside the pool.
    """

    label: Tensor
    inputs: Tensor
    edges: Tensor | FeaturedPairs
    graph: Tensor
    ends: Tensor
    own: Tensor


class EnclosingNet(nn.Module):
    """Label embeddings and inputs, residual messages, a pool and a head.

    Args:
        inputs: width of a node's inputs.
        own: width of what goes to the head beside the pool.
        outputs: number of logits.
        hidden: width of the states.
        convolutions: one a layer.
        pooling: ``"ends"`` the states of source and target, their product and the mean;
            ``"mean"`` mean and maximum; ``"sort"`` the sorted nodes under a convolution
            (Zhang et al., DGCNN, AAAI 2018, as in SEAL).
        dropout: share of the head's hidden units left out in training.
    """

    def __init__(
        self,
        inputs: int,
        own: int,
        outputs: int,
        hidden: int,
        convolutions: Sequence[nn.Module],
        pooling: Pooling,
        dropout: float,
    ) -> None:
        super().__init__()
        self.labels = nn.Embedding(LABELS, LABEL_WIDTH)
        self.encoder = GraphEncoder(LABEL_WIDTH + inputs, hidden, convolutions)
        self.pooling = pooling
        channels = SORT_CHANNELS
        self.sorted = nn.Sequential(
            nn.Conv1d(hidden, channels, 1),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(channels, 2 * channels, 5),
            nn.ReLU(),
            nn.Flatten(),
        )
        if pooling != "sort":
            self.sorted = nn.Sequential()
        after = 2 * channels * (SORTED_NODES // 2 - 4)
        width = {"ends": 4 * hidden, "mean": 2 * hidden, "sort": after}[pooling]
        self.head = nn.Sequential(
            nn.Linear(width + own, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )

    def forward(self, batch: SubgraphBatch) -> Tensor:
        """Logits ``[b, outputs]``."""
        inputs = torch.cat([self.labels(batch.label), batch.inputs], dim=1)
        states = self.encoder(inputs, batch.edges)
        pooled = self._pooled(states, batch)
        logits: Tensor = self.head(torch.cat([pooled, batch.own], dim=1))
        return logits

    def _pooled(self, states: Tensor, batch: SubgraphBatch) -> Tensor:
        from torch_geometric.nn import SortAggregation
        from torch_geometric.utils import scatter

        count = len(batch.ends)
        if self.pooling == "sort":
            ordered = SortAggregation(SORTED_NODES)(states, batch.graph, dim_size=count)
            read: Tensor = self.sorted(ordered.view(count, SORTED_NODES, -1).transpose(1, 2))
            return read
        mean = scatter(states, batch.graph, dim_size=count, reduce="mean")
        if self.pooling == "mean":
            greatest = scatter(states, batch.graph, dim_size=count, reduce="max")
            return torch.cat([mean, greatest], dim=1)
        there = (batch.ends >= 0).to(states.dtype)
        padded = torch.cat([states, states.new_zeros(1, states.shape[1])])  # -1 is the last row
        u, v = (padded[batch.ends[:, side]] * there[:, [side]] for side in (0, 1))
        return torch.cat([u, v, u * v, mean], dim=1)
