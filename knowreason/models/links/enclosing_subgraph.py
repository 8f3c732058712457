"""What the surroundings of a link say about it (SEAL)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from knowreason.data.features import FeatureTable
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.feature_columns import no_columns
from knowreason.models.base.labelled_model import ClassWeight
from knowreason.models.base.model_options import AtLeastOne, AtLeastZero, Share, Within
from knowreason.models.base.model_protocol import Level
from knowreason.models.base.predicate_rows import PredicateRows
from knowreason.models.graph.convolution import (
    Convolution,
    FeaturedPairs,
    check_message_features,
    convolution,
    message_edges,
)
from knowreason.models.graph.node_graph import typed_columns
from knowreason.models.links.enclosing_net import EnclosingNet, SubgraphBatch
from knowreason.models.links.enclosing_pairs import (
    PairGraph,
    Subgraphs,
    enclosing_subgraphs,
    pair_graph,
    pairs_of,
)
from knowreason.models.links.timed_links import (
    LinkData,
    Links,
    edge_columns,
    link_data,
    without_edges,
)
from knowreason.models.nn.neural_model import NeuralModel

if TYPE_CHECKING:
    from knowreason.data import Dataset

HEADS = 4
EDGE_CATEGORIES = 8
SCORED_AT_ONCE = 2048


@dataclass(frozen=True)
class Surroundings:
    """What subgraphs are cut from.

    Attributes:
        graph: pairs of linked nodes.
        rows: link of each row; ``time`` is the moment before which links are seen, ``inf`` for
            all of them.
        repeated: ``bool[n]``, rows that may see earlier links of their own pair.
        features: ``float32[nodes, d]``.
    """

    graph: PairGraph
    rows: Links
    repeated: NDArray[np.bool_]
    features: NDArray[np.float32]


@dataclass(eq=False, repr=False)
class EnclosingSubgraph(NeuralModel):
    """The enclosing subgraph of a link, without the link, read by a graph network.

    Nodes within ``hops`` of either end carry double-radius labels (their distances to both
    ends, each with the other end taken out), their features, and how often and with which
    edge features they link. The pair's own link is never in its subgraph. With
    times and ``past_only`` a row sees only links before it, and how often its own pair was
    linked before goes to the head; without, the whole pair is taken out.

    Rows are things that are edges or pairs of nodes, see :class:`TemporalLink
    <knowreason.models.links.temporal_link.TemporalLink>`; learned from labels in mini-batches.
    Subgraphs are cut a batch at a time by compiled code: memory does not grow with the rows.

    Zhang & Chen, "Link Prediction Based on Graph Neural Networks", NeurIPS 2018.

    Args:
        hops: how far nodes may be from the nearer end.
        max_nodes: most nodes of a subgraph, nearer ones first.
        max_neighbours: most neighbours a node brings in, an even sample where it has more.
        convolution: ``"gcn"``, ``"sage"``, ``"gin"``, or one that can read ``message_features``:
            ``"gat"``, ``"gatv2"``, ``"transformer"``, ``"gine"``, ``"nnconv"``.
        pooling: ``"ends"``, ``"mean"`` or ``"sort"``, see
            :class:`~knowreason.models.links.enclosing_net.EnclosingNet`.
        past_only: whether a row with a time sees only earlier links.
        edge_features: whether features of the edges (of ``EdgeList``, never of the row's own
            link) enter.
        message_features: whether each message carries how often and with which edge features
            its two nodes link, each way, before the row's time.
        features: columns of each row for the head; by default all of things that are edges,
            none of pairs, whose features are in the subgraph.
        hidden: width of the states.
        layers: rounds of messages.
        dropout: share of the head's hidden units left out in training.
        epochs, patience, learning_rate, weight_decay, batch_size: of training.
        class_weight: ``"balanced"`` weighs rows inversely to their state's frequency.
        relation: relation whose edges the rows are; by default the first that fits.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of weights, dropout, batches, sampled neighbours and the validation slice.
    """

    registered_as = "enclosing_subgraph"
    reads = "named"
    level: ClassVar[Level | Literal["any"]] = "edge"

    hops: AtLeastOne = 2
    max_nodes: Annotated[int, Within(3)] = 32
    max_neighbours: AtLeastOne = 12
    convolution: Convolution = "sage"
    pooling: Literal["ends", "mean", "sort"] = "ends"
    past_only: bool = True
    edge_features: bool = True
    message_features: bool = False
    features: tuple[str, ...] | None = None
    hidden: AtLeastOne = 32
    layers: AtLeastZero = 2
    dropout: Share = 0.1
    batch_size: AtLeastZero = 256
    class_weight: ClassWeight = "none"
    relation: str | None = None
    _: KW_ONLY
    epochs: AtLeastZero = 20
    patience: AtLeastOne = 4

    def fit_encoders(self, data: Dataset, rows: PredicateRows) -> None:
        """Means, deviations and categories of nodes, edges and the labelled rows.

        Raises:
            ModelError: KR812 without a graph, KR876 for rows that are no links, KR873 where
                messages cannot have features, or must.
        """
        check_message_features(self.convolution, self.message_features, self.name)
        links = link_data(data, rows, self.name, self.relation)
        self.node_encoder_ = Encoder.fit(typed_columns(data, links.graph)).to_values()
        self.edge_encoder_ = Encoder.fit(self._edge_columns(data), EDGE_CATEGORIES).to_values()
        own = self._own(data, rows, links).take(rows.labelled)
        self.row_encoder_ = Encoder.fit(own).to_values()

    def inputs(self, data: Dataset, rows: PredicateRows) -> dict[str, Tensor]:
        """``own``: columns of each row; ``width``: whose last dimension is a node's inputs.

        The surroundings themselves stay where the walks are, on the CPU.
        """
        links = link_data(data, rows, self.name, self.relation)
        of_edges = Encoder.from_values(self.edge_encoder_).dense_matrix(self._edge_columns(data))
        x = Encoder.from_values(self.node_encoder_).dense_matrix(typed_columns(data, links.graph))
        timed = ~np.isnan(links.rows.time) & self.past_only
        time = np.where(timed, links.rows.time, np.inf)
        seen = Links(links.rows.source, links.rows.target, time)
        graph = pair_graph(links.edges, links.graph.node_count, of_edges)
        self._surroundings = Surroundings(graph, seen, timed, x)
        own = Encoder.from_values(self.row_encoder_).dense_matrix(self._own(data, rows, links))
        width = x.shape[1] + 1 + 2 * (of_edges.shape[1] + 1)
        return {"own": torch.from_numpy(own), "width": torch.zeros(0, width)}

    def build(self, sizes: Mapping[str, int], outputs: int) -> nn.Module:
        """The network."""
        of_edges = 2 * (Encoder.from_values(self.edge_encoder_).width + 1)
        return EnclosingNet(
            sizes["width"],
            sizes["own"] + of_edges,
            outputs,
            self.hidden,
            [
                convolution(self.convolution, self.hidden, HEADS, of_edges)
                for _ in range(self.layers)
            ],
            self.pooling,
            self.dropout,
        )

    def logits(self, module: nn.Module, inputs: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Cut the rows' subgraphs and read them, some at a time where no gradient is wanted."""
        at_once = len(rows) if torch.is_grad_enabled() else SCORED_AT_ONCE
        parts = [
            module(self._batch(inputs["own"][piece], piece.cpu().numpy()))
            for piece in torch.split(rows, max(at_once, 1))
        ]
        return torch.cat(parts) if parts else inputs["own"].new_zeros(0, 1)

    def _batch(self, own: Tensor, rows: NDArray[np.int64]) -> SubgraphBatch:
        world = self._surroundings
        links = world.rows.take(rows)
        cut = enclosing_subgraphs(
            world.graph,
            links.source,
            links.target,
            links.time,
            self.hops,
            self.max_nodes,
            self.max_neighbours,
            self.seed,
        )
        sizes = np.diff(cut.offsets)
        graph = np.repeat(np.arange(len(rows)), sizes)
        of_pair = self._of_pair(links)
        history = world.graph.of_nodes.before(cut.node, links.time[graph])
        repeated = world.repeated[rows]
        inputs = _node_inputs(world.features[cut.node], cut, history, of_pair, ~repeated)
        earlier = _means(of_pair * repeated[:, None, None]).reshape(len(rows), -1)
        device = own.device
        pairs = torch.from_numpy(np.concatenate([cut.edges, cut.edges[::-1]], axis=1)).to(device)
        edges: Tensor | FeaturedPairs = message_edges(self.convolution, pairs, len(cut.node))
        if self.message_features:
            carried = torch.from_numpy(self._carried(cut, links.time[graph])).to(device)
            edges = FeaturedPairs(pairs, carried)
        return SubgraphBatch(
            torch.from_numpy(cut.label.astype(np.int64)).to(device),
            torch.from_numpy(inputs).to(device),
            edges,
            torch.from_numpy(graph).to(device),
            torch.from_numpy(cut.ends).to(device),
            torch.cat([own, torch.from_numpy(earlier).to(device)], dim=1),
        )

    def _carried(self, cut: Subgraphs, time: NDArray[np.float64]) -> NDArray[np.float32]:
        """``float32[2 e, 2 (d + 1)]``: links before the time of each edge's row, those from the
        message's source to its target first."""
        source, target = cut.edges
        before = self._surroundings.graph.of_pairs.before(cut.pair, time[source])
        up = (cut.node[source] < cut.node[target])[:, None, None]
        there = np.where(up, before, before[:, ::-1])
        both = np.concatenate([there, there[:, ::-1]])
        return _means(both).reshape(len(both), -1)

    def _of_pair(self, links: Links) -> NDArray[np.float32]:
        """``float32[b, 2, d + 1]``: earlier links from source to target, and back."""
        graph = self._surroundings.graph
        pair = pairs_of(graph, links.source, links.target)
        links_before = graph.of_pairs.before(pair, links.time)
        return np.where(
            (links.source > links.target)[:, None, None], links_before[:, ::-1], links_before
        )

    def _edge_columns(self, data: Dataset) -> FeatureTable:
        return edge_columns(data) if self.edge_features else without_edges(data)

    def _own(self, data: Dataset, rows: PredicateRows, links: LinkData) -> FeatureTable:
        if self.features is None and all(sort in links.graph.offsets for sort in rows.sorts):
            return no_columns(rows.count)
        return self.columns(data, rows, self.features, empty=True)


def _means(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log counts and feature means from counts and feature sums (last axis)."""
    count = sums[..., :1]
    return np.concatenate([np.log1p(count), sums[..., 1:] / np.maximum(count, 1)], axis=-1)


def _node_inputs(
    features: NDArray[np.float32],
    cut: Subgraphs,
    history: NDArray[np.float32],
    of_pair: NDArray[np.float32],
    without: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Features, log number of neighbours, and what a node's links say, from it and to it.

    Args:
        features: ``[k, f]`` of the nodes.
        cut: subgraphs.
        history: ``[k, 2, d + 1]`` counts and feature sums of each node's links.
        of_pair: ``[b, 2, d + 1]`` those of each row's own pair.
        without: ``bool[b]``, rows whose own pair is taken out of its ends' links.
    """
    degree = cut.degree.copy()
    rows = np.flatnonzero(without & (cut.ends[:, 0] != cut.ends[:, 1]))
    degree[cut.ends[rows]] -= (of_pair[rows, :, 0].sum(axis=1) > 0)[:, None]
    history[cut.ends[rows, 0]] -= of_pair[rows]
    history[cut.ends[rows, 1]] -= of_pair[rows][:, ::-1]
    of_links = _means(history).reshape(len(history), -1)
    return np.concatenate([features, np.log1p(degree)[:, None], of_links], axis=1, dtype=np.float32)
