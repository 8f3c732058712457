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
from knowreason.models.graph.convolution import (
    Convolution,
    FeaturedPairs,
    check_message_features,
    convolution,
    message_edges,
)
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
from knowreason.models.graph.message_features import (
    edges_that_reach,
    message_columns,
    message_values,
    messages_of,
)
from knowreason.models.graph.neighbour_sampling import (
    PACK,
    SampledLinks,
    components_of,
    packed_links,
    sampled_links,
    worth_packing,
)
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
        convolution: ``"gcn"``, ``"sage"`` (GraphSAGE, mean), ``"gin"``, ``"hgt"`` (heterogeneous
            graph transformer), or one whose messages can have features of their own: ``"gat"``,
            ``"gatv2"``, ``"transformer"``, ``"gine"`` and ``"nnconv"`` (dear in memory).
        hidden: width of the node states.
        layers: rounds of messages.
        heads: attention heads of ``"gat"``, ``"gatv2"``, ``"transformer"`` and ``"hgt"``.
        dropout: share of hidden units left out in training.
        pool: name of the observed predicate or attribute that says which nodes a thing
            holds, where the predicate is about whole graphs.
        edge_features: of which edges nodes see the means of their features: ``"untimed"``,
            because a mean over all time would know the future, ``"all"`` or ``"none"``.
        features: columns of each row that go to the head beside the node states; by default
            the features and the past of things that are edges, the features of things that
            hold nodes, and nothing for nodes, whose feature tables are the graph's inputs.
        epochs, patience, learning_rate, weight_decay: of training.
        batch_size: rows a step, each with a drawn neighbourhood (or its whole graphs, see
            ``whole_graphs``); 0 is all rows at once.
        neighbours: most neighbours drawn a node and hop; 0 for all. Sums over messages with
            features (``"gine"``) are not weighted, so it has to be 0 there.
        whole_graphs: with ``pool``, ``"packed"`` takes in training and scoring some rows at a time,
            with all of their components and nothing else, so that memory is bounded by those
            (``batch_size`` rows, or as many as have some 30,000 nodes and messages). ``"union"``
            takes the graph of all in scoring. ``"auto"`` packs where the union is large and its
            components are small.
        class_weight: ``"balanced"`` weighs rows inversely to their state's frequency.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of initial weights, dropout, samples and the validation slice.
    """

    registered_as = "gnn"
    reads = "named"

    convolution: Convolution | Literal["hgt"] = "sage"
    hidden: AtLeastOne = 64
    layers: AtLeastZero = 2
    heads: AtLeastOne = 4
    dropout: Share = 0.2
    pool: str | None = None
    edge_features: EdgeFeatures = "untimed"
    message_features: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    batch_size: AtLeastZero = 0
    neighbours: AtLeastZero = 10
    whole_graphs: Literal["auto", "packed", "union"] = "auto"
    class_weight: ClassWeight = "none"
    _: KW_ONLY
    epochs: AtLeastZero = 300
    patience: AtLeastOne = 30
    learning_rate: NotNegative = 5e-3

    def fit_encoders(self, data: Dataset, rows: PredicateRows) -> None:
        """Means, deviations and categories of all nodes, of the labelled rows and of messages.

        Raises:
            ModelError: KR873 where messages cannot have features, or must.
        """
        check_message_features(self.convolution, bool(self.message_features), self.name)
        graph, nodes, members = self._places(data, rows)
        columns = node_inputs(data, graph, self.edge_features)
        self.node_encoder_ = Encoder.fit(columns).to_values()
        own = self._own(data, rows, graph, nodes).take(rows.labelled)
        self.row_encoder_ = Encoder.fit(own).to_values()
        self.domains_, self.relations_ = tuple(graph.offsets), graph.relations
        self.typical_size_ = members.typical_size if members is not None else 1.0
        if self.message_features:
            seeds = nodes[rows.labelled].ravel()
            if members is not None:
                things = rows.things[rows.labelled][:, pooled_places(rows, members)]
                seeds = np.append(seeds, members.node[np.isin(members.thing, things)])
            reach = edges_that_reach(graph, seeds, self.layers)
            carried = message_columns(data, graph, self.message_features, self.name).take(reach)
            self.message_encoder_ = Encoder.fit(carried).to_values()

    def inputs(self, data: Dataset, rows: PredicateRows) -> dict[str, Tensor]:
        """Tensors of the graph and of each row.

        ``x`` and ``edges`` of the graph (see :func:`.message_edges`;
        with relations ``int64[3, m]``, and ``spans``, for ``"hgt"``; with ``carried``, the
        features of messages), ``members`` of what is pooled; ``nodes``, ``pooled`` and ``own`` of
        rows. For samples and packs ``pointers``, ``sources`` and ``degree``, and for packs
        ``component`` and ``packs``.
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
        links = self._links(data, graph, members is not None)
        return {name: torch.from_numpy(a) for name, a in arrays.items()} | links

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

        In training with a batch size the states are those of a drawn neighbourhood. Packs are
        taken some at a time where no gradient is wanted.
        """
        at_once = len(rows)
        if "packs" in inputs and not torch.is_grad_enabled():
            at_once = self.rows_a_step(inputs)
        pieces = torch.split(rows, max(at_once, 1))
        return torch.cat([self._scores_of(module, inputs, piece) for piece in pieces])

    def rows_a_step(self, inputs: Mapping[str, Tensor]) -> int:
        """``batch_size``; for packs without one, rows of some :data:`.PACK` nodes and messages."""
        if self.batch_size or "packs" not in inputs:
            return self.batch_size
        load = len(inputs["x"]) + len(inputs["sources"])
        return max(1, PACK * len(inputs["own"]) // max(load, 1))

    def _scores_of(self, module: nn.Module, inputs: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        assert isinstance(module, GraphNet)
        nodes, members = inputs["nodes"][rows], inputs.get("members")
        pools, asked = None, None
        if members is not None:
            asked, pools = torch.unique(inputs["pooled"][rows], return_inverse=True)
            members = members_of(members, asked)
        sample = None
        if "packs" in inputs or (module.training and self.batch_size):
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
        if "packs" in inputs:
            return packed_links(pointers, sources, inputs["component"], inputs["packs"], seeds)
        if self.convolution == "gine" and self.neighbours:
            raise ModelError(
                f"`{self.name}`: sums of drawn messages with features cannot be weighted,"
                " so `gine` takes all neighbours or none",
                code="KR873",
                help="`neighbours=0`, or a convolution that averages: gat, gatv2, transformer",
            )
        return sampled_links(pointers, sources, seeds, self.layers, self.neighbours)

    def _messages(self, inputs: Mapping[str, Tensor], sample: SampledLinks | None) -> MessageEdges:
        """Edges as the layers take them, of the whole graph or of a sample of it."""
        if self.convolution != "hgt":
            edges, carried = inputs.get("edges"), inputs.get("carried")
            if sample is not None:
                degree, count = inputs["degree"][sample.nodes], len(sample.nodes)
                pairs = torch.stack([sample.source, sample.target])
                edges = message_edges(self.convolution, pairs, count, sample.weight, degree)
                carried = None if carried is None else carried[sample.link]
            assert edges is not None
            return edges if carried is None else FeaturedPairs(edges, carried)
        (source, target, relation), spans = inputs["edges"], inputs["spans"]
        if sample is not None:
            source, target, relation = sample.source, sample.target, relation[sample.link]
            spans = spans.clone()
            spans[:, 1:] = torch.searchsorted(sample.nodes, spans[:, 1:].contiguous())
        runs = tuple((domain, start, end) for domain, start, end in spans.tolist())
        return TypedEdges(source, target, relation, runs)

    @property
    def _message_width(self) -> int:
        if not self.message_features:
            return 0
        return 2 * Encoder.from_values(self.message_encoder_).width + 1

    def _layer(self) -> nn.Module:
        if self.convolution != "hgt":
            return convolution(self.convolution, self.hidden, self.heads, self._message_width)
        number = {domain: i for i, domain in enumerate(self.domains_)}
        forwards = [(number[source], number[target]) for source, _, target in self.relations_]
        backwards = [(target, source) for source, target in forwards]
        return HGTLayer(self.hidden, self.heads, len(number), [*forwards, *backwards])

    def _links(self, data: Dataset, graph: NodeGraph, pools: bool) -> dict[str, Tensor]:
        """``edges`` and what goes with them, see :meth:`inputs`."""
        arrays: dict[str, NDArray[np.generic]] = {}
        if self.convolution == "hgt":
            links = typed_links(graph, self.relations_)
            arrays |= {"edges": links, "spans": self._spans(data, graph)}
        elif self.message_features:
            links = messages_of(graph)
            columns = message_columns(data, graph, self.message_features, self.name)
            of_edges = Encoder.from_values(self.message_encoder_).dense_matrix(columns)
            arrays |= {"edges": links[:2], "carried": message_values(of_edges, links[2])}
        else:
            links = graph.both_ways[::-1]
        targets = np.bincount(links[1], minlength=graph.node_count)
        pointers = np.append(0, np.cumsum(targets)).astype(np.int64)
        packed = pools and self.whole_graphs != "union"
        if packed:
            component = components_of(pointers, links[0])
            packed = self.whole_graphs == "packed" or worth_packing(pointers, component)
        if packed:
            order = np.argsort(component, kind="stable")
            arrays |= {"component": component, "packs": np.stack([component[order], order])}
        if packed or self.batch_size:
            arrays |= {"pointers": pointers, "sources": links[0], "degree": graph.degree}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
        if "edges" not in tensors and not packed:
            pairs = torch.from_numpy(graph.both_ways)
            kind = self.convolution
            assert kind != "hgt"
            tensors["edges"] = message_edges(kind, pairs, graph.node_count)
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
