"""Graph neural networks for nodes, pairs of nodes, and things that are edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from knowreason.data.features import FeatureTable
from knowreason.models.columns import no_columns, side_by_side
from knowreason.models.convolution import layer, sparse_tensor
from knowreason.models.encoders import GraphEncoder
from knowreason.models.encoding import Encoder
from knowreason.models.fitting import ClassWeight
from knowreason.models.graphs import NodeGraph, needed_graph, node_inputs, time_of_rows
from knowreason.models.history import history
from knowreason.models.neural import NeuralModel
from knowreason.models.rows import Rows

if TYPE_CHECKING:
    from knowreason.data import Dataset

Convolution = Literal["gcn", "sage", "gat", "gin"]


class GNN(NeuralModel):
    """A graph neural network over the bound edges, taken as one undirected graph.

    A predicate of one node is read from the node, one of two nodes from both, one of a
    thing that is an edge from its two ends and its own features. Layers are residual with
    layer norm (Platonov et al. 2023); all but attention are sparse products, see
    :mod:`knowreason.models.convolution`.

    The bound graph is taken whole: a row in time sees the shape of later edges too (never
    their labels). Where that is not known in use, bind the edges known at scoring time.

    Args:
        convolution: ``"gcn"``, ``"sage"`` (GraphSAGE, mean), ``"gat"`` or ``"gin"``.
        hidden: width of the node states.
        layers: rounds of messages.
        heads: attention heads of ``"gat"``.
        dropout: share of hidden units left out in training.
        features: columns of each row that go to the head beside the node states; by default
            the features and the past of things that are edges, and nothing for nodes, whose feature
            tables are the graph's inputs.
        epochs, patience, learning_rate, weight_decay: of full-batch training.
        class_weight: ``"balanced"`` weighs rows inversely to their state's frequency.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of initial weights, dropout and the validation slice.
    """

    registered_as = "gnn"
    batch_size = 0

    def __init__(
        self,
        convolution: Convolution = "sage",
        hidden: int = 64,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.2,
        features: tuple[str, ...] | None = None,
        epochs: int = 300,
        patience: int = 30,
        learning_rate: float = 5e-3,
        weight_decay: float = 1e-4,
        class_weight: ClassWeight = "none",
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.convolution = convolution
        self.hidden = hidden
        self.layers = layers
        self.heads = heads
        self.dropout = dropout
        self.features = features
        self.epochs = epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.device = device
        self.seed = seed

    def fit_encoders(self, data: Dataset, rows: Rows) -> None:
        """Means, deviations and categories of all nodes, and of the labelled rows."""
        graph, nodes = needed_graph(data, rows, self.name)
        self.node_encoder_ = Encoder.fit(node_inputs(data, graph)).to_values()
        own = self._own(data, rows, graph, nodes).take(rows.labelled)
        self.row_encoder_ = Encoder.fit(own).to_values()

    def inputs(self, data: Dataset, rows: Rows) -> dict[str, Tensor]:
        """``x``, ``degree`` and ``edges`` of the graph; ``nodes`` and ``own`` of each row.

        ``edges`` is a sparse adjacency matrix, for ``"gat"`` pairs ``int64[2, m]``.
        """
        graph, nodes = needed_graph(data, rows, self.name)
        own_columns = self._own(data, rows, graph, nodes)
        x = Encoder.from_values(self.node_encoder_).dense_matrix(node_inputs(data, graph))
        own = Encoder.from_values(self.row_encoder_).dense_matrix(own_columns)
        return {
            "x": torch.from_numpy(x),
            "own": torch.from_numpy(own),
            "nodes": torch.from_numpy(nodes),
            "degree": torch.from_numpy(graph.degree[:, None]),
            "edges": (
                torch.from_numpy(graph.both_ways)
                if self.convolution == "gat"
                else sparse_tensor(graph.adjacency)
            ),
        }

    def build(self, sizes: Mapping[str, int], outputs: int) -> nn.Module:
        """Encoder layers and head."""
        return GraphNet(
            inputs=sizes["x"],
            head_inputs=self.hidden * sizes["nodes"] + sizes["own"],
            outputs=outputs,
            hidden=self.hidden,
            convolutions=[
                layer(self.convolution, self.hidden, self.heads) for _ in range(self.layers)
            ],
            dropout=self.dropout,
        )

    def logits(self, module: nn.Module, inputs: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Node states of the whole graph, then the head for the rows asked for."""
        states = module.encoder(inputs["x"], inputs["edges"], inputs["degree"])  # type: ignore[operator]
        scores: Tensor = module(states, inputs["nodes"][rows], inputs["own"][rows])
        return scores

    def _own(
        self, data: Dataset, rows: Rows, graph: NodeGraph, nodes: NDArray[np.int64]
    ) -> FeatureTable:
        """What the head sees of each row beside its nodes: its columns, and its past."""
        if self.features is None and all(sort in graph.offsets for sort in rows.sorts):
            return no_columns(rows.count)
        own = self.columns(data, rows, self.features, empty=True)
        time = time_of_rows(graph, rows)
        return own if time is None else side_by_side([own, history(nodes, time, own)])


class GraphNet(nn.Module):
    """An encoder of the graph and a head over the nodes of each row."""

    def __init__(
        self,
        inputs: int,
        head_inputs: int,
        outputs: int,
        hidden: int,
        convolutions: list[nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        self.encoder = GraphEncoder(inputs, hidden, convolutions, dropout)
        self.head = nn.Sequential(
            nn.Linear(head_inputs, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )

    def forward(self, states: Tensor, nodes: Tensor, own: Tensor) -> Tensor:
        """Scores ``[b, outputs]`` of ``b`` rows about ``nodes[b, j]`` (-1 for none)."""
        there = (nodes >= 0).to(states.dtype)
        picked = states[nodes.clamp(min=0)] * there[:, :, None]
        scores: Tensor = self.head(torch.cat([picked.flatten(1), own], dim=1))
        return scores
