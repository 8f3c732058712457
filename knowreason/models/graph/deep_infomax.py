"""Deep Graph Infomax (Veličković et al. 2019): node embeddings without labels.

An encoder is trained by PyG's ``DeepGraphInfomax`` to tell pairs of a node's state and the whole
graph's summary from pairs of a state in a corrupted graph (features shuffled among nodes) and
that summary: equation 1 of the paper, with its mean readout and bilinear discriminator.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.data import Dataset
from knowreason.data.features import FeatureTable
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.feature_columns import side_by_side
from knowreason.models.base.model_protocol import Progress
from knowreason.models.graph.convolution import convolution, message_edges
from knowreason.models.graph.graph_encoder import GraphEncoder
from knowreason.models.graph.node_graph import (
    EdgeFeatures,
    NodeGraph,
    edge_means,
    node_columns,
    node_inputs,
)
from knowreason.models.nn.gradient_training import TrainingSchedule, torch_device, train

if TYPE_CHECKING:
    from torch_geometric.nn import DeepGraphInfomax

HELD_SHARE = 0.1  # of the nodes, for early stopping on the loss, which needs no labels


@dataclass(frozen=True)
class EncoderOptions:
    """Options of the encoder and its training; see :class:`.InfoMax`."""

    convolution: Literal["gcn", "sage", "gin"]
    hidden: int
    layers: int
    edge_features: EdgeFeatures
    epochs: int
    patience: int
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class NodeEncoder:
    """A trained encoder; models share it, and it encodes any graph with the same features.

    Attributes:
        options: what it was made with.
        columns: the fitted :class:`~knowreason.models.base.encoding.Encoder` as plain values.
        weights: of the network by name, ``float32``.
        report: a sentence on its training.
    """

    options: EncoderOptions
    columns: Mapping[str, Any]
    weights: Mapping[str, NDArray[np.float32]]
    report: str

    @cached_property
    def digest(self) -> str:
        """Equal where columns and weights are, so that stored copies share an embedding."""
        hashed = hashlib.sha256(json.dumps(self.columns, sort_keys=True).encode())
        for name, weight in sorted(self.weights.items()):
            hashed.update(name.encode() + weight.tobytes())
        return hashed.hexdigest()

    def embedding(self, data: Dataset, graph: NodeGraph, device: str) -> NDArray[np.float32]:
        """``float32[node_count, hidden]``, worked out once a data set."""
        return data.computed(
            ("infomax embedding", self.digest, device),
            lambda: self._embedded(data, graph, device),
            data.features,
            data.graph,
        )

    @torch.no_grad()
    def _embedded(self, data: Dataset, graph: NodeGraph, device: str) -> NDArray[np.float32]:
        if not graph.node_count:
            return np.zeros((0, self.options.hidden), np.float32)
        on = torch_device(device)
        columns = Encoder.from_values(self.columns)
        network = infomax_network(columns.width, self.options)
        network.load_state_dict({n: torch.from_numpy(w) for n, w in self.weights.items()})
        x = torch.from_numpy(
            columns.dense_matrix(_inputs(data, graph, self.options.edge_features))
        ).to(on)
        edges = _edges(graph, self.options, on)
        states: Tensor = network.to(on).eval().encoder(x, edges)
        return states.cpu().numpy()


def fitted_encoder(
    data: Dataset,
    graph: NodeGraph,
    options: EncoderOptions,
    device: str,
    progress: Progress | None = None,
) -> NodeEncoder:
    """The encoder of a data set's graph, trained once for all models with these options."""
    return data.computed(
        ("infomax encoder", options, device),
        lambda: _trained(data, graph, options, device, progress),
        data.features,
        data.graph,
    )


def infomax_network(
    inputs: int, options: EncoderOptions, domain: Tensor | None = None
) -> DeepGraphInfomax:
    """Encoder and bilinear discriminator; to be trained it needs the domain of each node."""
    from torch_geometric.nn import DeepGraphInfomax

    def summary(states: Tensor, *_: Tensor) -> Tensor:
        return torch.sigmoid(states.mean(dim=0))

    def corrupted(x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        assert domain is not None
        return x[corruption(domain)], edges

    width = options.hidden
    layers = [convolution(options.convolution, width) for _ in range(options.layers)]
    return DeepGraphInfomax(width, GraphEncoder(inputs, width, layers), summary, corrupted)


def corruption(domain: Tensor) -> Tensor:
    """``int64[n]``: a random permutation of nodes that keeps them in their domain.

    ``domain`` is ascending, ``int64[n]``.
    """
    return torch.argsort(domain + torch.rand(len(domain), dtype=torch.float64).to(domain.device))


def _trained(
    data: Dataset,
    graph: NodeGraph,
    options: EncoderOptions,
    device: str,
    progress: Progress | None,
) -> NodeEncoder:
    on = torch_device(device)
    table = _inputs(data, graph, options.edge_features)
    columns = Encoder.fit(table)
    x = torch.from_numpy(columns.dense_matrix(table)).to(on)
    domain = torch.from_numpy(graph.domain_of_node).to(on)
    edges = _edges(graph, options, on)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = infomax_network(x.shape[1], options, domain).to(on)
        order = torch.randperm(graph.node_count).to(on)
        count = int(HELD_SHARE * graph.node_count) if graph.node_count >= 100 else 0

        def loss(nodes: Tensor) -> Tensor:
            true, false, summary = network(x, edges)
            mean: Tensor = network.loss(true[nodes], false[nodes], summary)
            return mean

        schedule = TrainingSchedule(options.epochs, options.patience, options.learning_rate, 0.0)
        sentence = train(network, loss, order[count:], order[:count], schedule, progress)
    weights = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
    note = sentence.replace(" rows", " nodes")
    return NodeEncoder(options, columns.to_values(), weights, f"infomax encoder: {note}")


def _inputs(data: Dataset, graph: NodeGraph, edge_features: EdgeFeatures) -> FeatureTable:
    """Features of nodes and means of those of their edges; degrees where there are none.

    With features, the degree stays out: shuffled away from its node it would give the
    corrupted graph away.
    """
    parts = [node_columns(data, graph), *edge_means(data, graph, edge_features)]
    columns = side_by_side(parts)
    return columns if columns.names else node_inputs(data, graph)


def _edges(graph: NodeGraph, options: EncoderOptions, device: torch.device) -> Tensor:
    pairs = torch.from_numpy(graph.both_ways).to(device)
    return message_edges(options.convolution, pairs, graph.node_count)
