"""Graph encoders: from node inputs and edges to node states."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from knowreason.models.graph.convolution import FeaturedPairs
from knowreason.models.graph.hgt import TypedEdges

MessageEdges = Tensor | FeaturedPairs | TypedEdges


class GraphEncoder(nn.Module):
    """Residual message passing with layer norm (Platonov et al. 2023).

    Args:
        inputs: width of the node inputs.
        hidden: width of the states.
        convolutions: one a layer, from :func:`knowreason.models.graph.convolution.convolution`.
        dropout: share of hidden units left out in training.
    """

    def __init__(
        self, inputs: int, hidden: int, convolutions: Sequence[nn.Module], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.convolutions = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in convolutions)
        self.mixers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in convolutions)
        self.last_norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edges: MessageEdges) -> Tensor:
        """States ``[n, hidden]`` of all nodes."""
        state: Tensor = self.first(x)
        along: tuple[Tensor | TypedEdges, ...] = (
            (edges.pairs, edges.values) if isinstance(edges, FeaturedPairs) else (edges,)
        )
        for norm, convolution, mixer in zip(
            self.norms, self.convolutions, self.mixers, strict=True
        ):
            message = torch.relu(convolution(norm(state), *along))
            state = state + self.dropout(mixer(message))
        normed: Tensor = self.last_norm(state)
        return normed
