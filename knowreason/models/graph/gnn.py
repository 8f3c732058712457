"""Graph neural networks for nodes, pairs of nodes, edges, and whole graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from knowreason.data.features import FeatureTable
from knowreason.errors import ModelError
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.feature_columns import no_columns, side_by_side
from knowreason.models.base.labelled_model import ClassWeight
from knowreason.models.base.model_options import AtLeastOne, AtLeastZero, Share
from knowreason.models.base.predicate_rows import PredicateRows
from knowreason.models.graph.convolution import convolution, message_edges
from knowreason.models.graph.edge_history import history
from knowreason.models.graph.graph_encoder import GraphEncoder, MessageEdges
from knowreason.models.graph.graph_pooling import (
    Membership,
    members_of,
    membership,
    pooled,
    pooled_places,
)
from knowreason.models.graph.hgt import HGTLayer, TypedEdges
from knowreason.models.graph.neighbour_sampling import SampledLinks, sampled_links
from knowreason.models.graph.node_graph import (
    EdgeFeatures,
    NodeGraph,
    needed_graph,
    node_graph,
    node_inputs,
    nodes_of_rows,
    time_of_rows,
    typed_links,
)
from knowreason.models.nn.gradient_training import NotNegative
from knowreason.models.nn.neural_model import NeuralModel

if TYPE_CHECKING:
    from knowreason.data import Dataset


@dataclass(eq=False, repr=False)
class GNN(NeuralModel):
    """A graph neural network over the bound edges.

    A predicate of one node is read from the node, one of two nodes from both, one of a
    thing that is an edge from its two ends and its own features, one of a thing that holds
    nodes (``pool``) from the mean, sum and maximum of their states and its own features.
    Layers are residual with layer norm (Platonov et al. 2023). ``"hgt"`` has parameters of
    its own for each domain, relation and direction; the others take the graph as one
    undirected graph.

    The bound graph is taken whole: a row in time sees the shape of later edges too (never
    their labels). Where that is not known in use, bind the edges known at scoring time.

    Args:
        convolution: ``"gcn"``, ``"sage"`` (GraphSAGE, mean), ``"gat"``, ``"gin"`` or ``"hgt"``
            (heterogeneous graph transformer).
        hidden: width of the node states.
        layers: rounds of messages.
        heads: attention heads of ``"gat"`` and ``"hgt"``.
        dropout: share of hidden units left out in training.
        pool: name of the observed predicate or attribute that says which nodes a thing
            holds, where the predicate is about whole graphs.
        edge_features: of which edges nodes see the means of their features: ``"untimed"``,
            because a mean over all time would know the future, ``"all"`` or ``"none"``.
        features: columns of each row that go to the head beside the node states; by default
            the features and the past of things that are edges, the features of things that
            hold nodes, and nothing for nodes, whose feature tables are the graph's inputs.
        epochs, patience, learning_rate, weight_decay: of training.
        batch_size: rows a step, each with a drawn neighbourhood; 0 is full-batch training.
            Scoring always takes the whole graph.
        neighbours: most neighbours drawn a node and hop; 0 for all.
        class_weight: ``"balanced"`` weighs rows inversely to their state's frequency.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of initial weights, dropout, samples and the validation slice.
    """

    registered_as = "gnn"
    reads = "named"

    convolution: Literal["gcn", "sage", "gat", "gin", "hgt"] = "sage"
    hidden: AtLeastOne = 64
    layers: AtLeastZero = 2
    heads: AtLeastOne = 4
    dropout: Share = 0.2
    pool: str | None = None
    edge_features: EdgeFeatures = "untimed"
    features: tuple[str, ...] | None = None
    batch_size: AtLeastZero = 0
    neighbours: AtLeastZero = 10
    class_weight: ClassWeight = "none"
    _: KW_ONLY
    epochs: AtLeastZero = 300
    patience: AtLeastOne = 30
    learning_rate: NotNegative = 5e-3

    def fit_encoders(self, data: Dataset, rows: PredicateRows) -> None:
        """Means, deviations and categories of all nodes, and of the labelled rows."""
        graph, nodes, members = self._places(data, rows)
        columns = node_inputs(data, graph, self.edge_features)
        self.node_encoder_ = Encoder.fit(columns).to_values()
        own = self._own(data, rows, graph, nodes).take(rows.labelled)
        self.row_encoder_ = Encoder.fit(own).to_values()
        self.domains_, self.relations_ = tuple(graph.offsets), graph.relations
        self.typical_size_ = members.typical_size if members is not None else 1.0

    def inputs(self, data: Dataset, rows: PredicateRows) -> dict[str, Tensor]:
        """Tensors of the graph and of each row.

        ``x`` and ``edges`` of the graph (see :func:`.message_edges`;
        with relations ``int64[3, m]``, and ``spans``, for ``"hgt"``), ``members`` of what is
        pooled; ``nodes``, ``pooled`` and ``own`` of rows.
        """
        graph, nodes, members = self._places(data, rows)
        columns = node_inputs(data, graph, self.edge_features)
        own = Encoder.from_values(self.row_encoder_).dense_matrix(
            self._own(data, rows, graph, nodes)
        )
        x = Encoder.from_values(self.node_encoder_).dense_matrix(columns)
        arrays = {"x": x, "own": own, "nodes": nodes}
        if members is not None:
            arrays["members"] = np.stack([members.thing, members.node])
            arrays["pooled"] = rows.things[:, pooled_places(rows, members)].astype(np.int64)
        return {name: torch.from_numpy(a) for name, a in arrays.items()} | self._links(data, graph)

    def build(self, sizes: Mapping[str, int], outputs: int) -> nn.Module:
        """Encoder layers and head."""
        pools = 3 * self.hidden * sizes.get("pooled", 0)
        layers = [self._layer() for _ in range(self.layers)]
        return GraphNet(
            GraphEncoder(sizes["x"], self.hidden, layers, self.dropout),
            head_inputs=self.hidden * sizes["nodes"] + pools + sizes["own"],
            outputs=outputs,
            hidden=self.hidden,
            dropout=self.dropout,
        )

    def logits(self, module: nn.Module, inputs: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Node states, then the head for the rows asked for.

        In training with a batch size the states are those of a drawn neighbourhood.
        """
        assert isinstance(module, GraphNet)
        nodes, members = inputs["nodes"][rows], inputs.get("members")
        pools, asked = None, None
        if members is not None:
            asked, pools = torch.unique(inputs["pooled"][rows], return_inverse=True)
            members = members_of(members, asked)
        sample = None
        if module.training and self.batch_size:
            sample = self._sample(inputs, nodes, members)
            nodes = sample.places(nodes)
        x = inputs["x"] if sample is None else inputs["x"][sample.nodes]
        states = module.encoder(x, self._messages(inputs, sample))
        parts = [picked_states(states, nodes), inputs["own"][rows]]
        if members is not None and pools is not None and asked is not None:
            thing, node = members
            node = node if sample is None else sample.places(node)
            table = pooled(states, thing, node, len(asked), self.typical_size_)
            parts.append(table[pools].flatten(1))
        scores: Tensor = module(torch.cat(parts, dim=1))
        return scores

    def _sample(
        self, inputs: Mapping[str, Tensor], nodes: Tensor, members: Tensor | None
    ) -> SampledLinks:
        seeds = nodes[nodes >= 0]
        if members is not None:
            seeds = torch.cat([seeds, members[1]])
        pointers, sources = inputs["pointers"], inputs["sources"]
        return sampled_links(pointers, sources, seeds, self.layers, self.neighbours)

    def _messages(self, inputs: Mapping[str, Tensor], sample: SampledLinks | None) -> MessageEdges:
        """Edges as the layers take them, of the whole graph or of a sample of it."""
        if self.convolution != "hgt":
            if sample is None:
                return inputs["edges"]
            degree, count = inputs["degree"][sample.nodes], len(sample.nodes)
            pairs = torch.stack([sample.source, sample.target])
            return message_edges(self.convolution, pairs, count, sample.weight, degree)
        (source, target, relation), spans = inputs["edges"], inputs["spans"]
        if sample is not None:
            source, target, relation = sample.source, sample.target, relation[sample.link]
            spans = spans.clone()
            spans[:, 1:] = torch.searchsorted(sample.nodes, spans[:, 1:].contiguous())
        runs = tuple((domain, start, end) for domain, start, end in spans.tolist())
        return TypedEdges(source, target, relation, runs)

    def _layer(self) -> nn.Module:
        if self.convolution != "hgt":
            return convolution(self.convolution, self.hidden, self.heads)
        number = {domain: i for i, domain in enumerate(self.domains_)}
        forwards = [(number[source], number[target]) for source, _, target in self.relations_]
        backwards = [(target, source) for source, target in forwards]
        return HGTLayer(self.hidden, self.heads, len(number), [*forwards, *backwards])

    def _links(self, data: Dataset, graph: NodeGraph) -> dict[str, Tensor]:
        """``edges`` and ``spans``; for samples ``pointers`` and ``sources``, and ``degree``."""
        tensors: dict[str, Tensor] = {}
        pointers, sources = graph.adjacency.indptr, graph.adjacency.indices
        if self.convolution == "hgt":
            links = typed_links(graph, self.relations_)
            tensors["edges"] = torch.from_numpy(links)
            tensors["spans"] = torch.from_numpy(self._spans(data, graph))
            ends = np.cumsum(np.bincount(links[1], minlength=graph.node_count))
            pointers, sources = np.append(0, ends), links[0]
        else:
            pairs = torch.from_numpy(graph.both_ways)
            tensors["edges"] = message_edges(self.convolution, pairs, graph.node_count)
        if self.batch_size:
            tensors["pointers"] = torch.from_numpy(pointers.astype(np.int64))
            tensors["sources"] = torch.from_numpy(sources.astype(np.int64))
            tensors["degree"] = torch.from_numpy(graph.degree)
        return tensors

    def _spans(self, data: Dataset, graph: NodeGraph) -> NDArray[np.int64]:
        """``int64[domains, 3]``: number of each domain in training, first node and end."""
        unknown = [domain for domain in graph.offsets if domain not in self.domains_]
        if unknown:
            raise ModelError(
                f"the graph has nodes of {unknown[0]}, the one `{self.name}` was fitted on had"
                f" nodes of {', '.join(self.domains_)} only",
                code="KR871",
            )
        return np.array(
            [
                (self.domains_.index(domain), start, start + len(data.vocabularies[domain]))
                for domain, start in graph.offsets.items()
            ]
        )

    def _places(
        self, data: Dataset, rows: PredicateRows
    ) -> tuple[NodeGraph, NDArray[np.int64], Membership | None]:
        """The graph, the nodes of each row, and the nodes of the things that are pooled."""
        if self.pool is None or node_graph(data) is None:
            return *needed_graph(data, rows, self.name), None
        graph = node_graph(data)
        assert graph is not None
        nodes = nodes_of_rows(graph, rows)
        members = membership(data, rows, graph, self.pool)
        return graph, np.zeros((rows.count, 0), np.int64) if nodes is None else nodes, members

    def _own(
        self, data: Dataset, rows: PredicateRows, graph: NodeGraph, nodes: NDArray[np.int64]
    ) -> FeatureTable:
        """What the head sees of each row beside its nodes: its columns, and its past."""
        if self.features is None and all(sort in graph.offsets for sort in rows.sorts):
            return no_columns(rows.count)
        own = self.columns(data, rows, self.features, empty=True)
        time = time_of_rows(graph, rows)
        return own if time is None else side_by_side([own, history(nodes, time, own)])


class GraphNet(nn.Module):
    """An encoder of the graph, and a head over what is known of each row."""

    def __init__(
        self, encoder: nn.Module, head_inputs: int, outputs: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(head_inputs, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Scores ``[b, outputs]`` of rows ``[b, head_inputs]``."""
        scores: Tensor = self.head(rows)
        return scores


def picked_states(states: Tensor, nodes: Tensor) -> Tensor:
    """States of the nodes of each row side by side; zeros for no node (-1)."""
    there = (nodes >= 0).to(states.dtype)
    picked = states[nodes.clamp(min=0)] * there[:, :, None]
    return picked.flatten(1)
