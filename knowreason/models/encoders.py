"""Graph encoders: from node inputs and edges to node states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from knowreason.models.hgt import TypedEdges
from knowreason.models.sampling import SampledLinks

Links = Tensor | SampledLinks | TypedEdges


def links_of(inputs: Mapping[str, Tensor], sample: SampledLinks | None = None) -> Links:
    """Links as layers take them, of the whole graph or of a sample of it.

    Args:
        inputs: ``edges``, and with several sorts of edge ``spans``: ``int64[domains, 3]``,
            domain, first node and end.
        sample: drawn from these edges.
    """
    if "spans" not in inputs:
        return inputs["edges"] if sample is None else sample
    (source, target, relation), spans = inputs["edges"], inputs["spans"]
    if sample is not None:
        source, target, relation = sample.source, sample.target, relation[sample.link]
        spans = spans.clone()
        spans[:, 1:] = torch.searchsorted(sample.nodes, spans[:, 1:].contiguous())
    runs = tuple((domain, start, end) for domain, start, end in spans.tolist())
    return TypedEdges(source, target, relation, runs)


class GraphEncoder(nn.Module):
    """Residual message passing with layer norm (Platonov et al. 2023).

    Args:
        inputs: width of the node inputs.
        hidden: width of the states.
        convolutions: one a layer, from :func:`knowreason.models.convolution.layer`.
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

    def forward(self, x: Tensor, edges: Links, degree: Tensor) -> Tensor:
        """States ``[n, hidden]`` of all nodes."""
        state: Tensor = self.first(x)
        for norm, convolution, mixer in zip(
            self.norms, self.convolutions, self.mixers, strict=True
        ):
            message = torch.relu(convolution(norm(state), edges, degree))
            state = state + self.dropout(mixer(message))
        normed: Tensor = self.last_norm(state)
        return normed
