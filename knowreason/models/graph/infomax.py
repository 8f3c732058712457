"""Deep Graph Infomax embeddings in front of any classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.models.base.feature_columns import (
    feature_table,
    renamed,
    rows_or_missing,
    side_by_side,
)
from knowreason.models.base.model_protocol import KnowledgeModel, ModelState, Progress, options_of
from knowreason.models.base.model_registry import make
from knowreason.models.base.predicate_rows import rows_of
from knowreason.models.graph.deep_infomax import EncoderOptions, NodeEncoder, fitted_encoder
from knowreason.models.graph.node_graph import EdgeFeatures, NodeGraph, needed_graph, node_graph

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset

T = TypeVar("T")
CLASSIFIER, WEIGHTS = "classifier_", "encoder/"


@dataclass(eq=False, repr=False)
class InfoMax(KnowledgeModel):
    """Node embeddings learned without labels, then a classifier on features and embedding.

    The encoder is trained by Deep Graph Infomax (Veličković et al. 2019) on the bound graph,
    taken as undirected. It sees no label and no predicate, so all models with the same
    encoder options on the same data share one, trained once; cross-fitting folds do too. A
    graph not seen in training is encoded by the stored encoder.

    The classifier sees, beside what it would see anyway, the embedding and log degree of the
    things that are nodes, and those of both ends for things that are edges.

    Args:
        classifier: any model, such as ``sklearn()``; by default ``trees()``.
        convolution: ``"gcn"``, ``"sage"`` or ``"gin"``.
        hidden: width of the embedding.
        layers: rounds of messages.
        edge_features: of which edges the encoder sees the means of their features at nodes:
            ``"untimed"``, ``"all"`` or ``"none"``; see ``gnn``.
        epochs, patience, learning_rate: of full-batch training; it stops by the loss of a
            tenth of the nodes.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
        seed: of initial weights and corruptions.
    """

    registered_as = "infomax"
    reads = "named"

    classifier: KnowledgeModel | None = None
    convolution: Literal["gcn", "sage", "gin"] = "gcn"
    hidden: int = 64
    layers: int = 2
    edge_features: EdgeFeatures = "untimed"
    epochs: int = 200
    patience: int = 20
    learning_rate: float = 3e-3
    device: str = "auto"
    seed: int = 0

    @property
    def regresses(self) -> bool:  # type: ignore[override]  # by its classifier
        """Whether the classifier estimates numbers."""
        return self._unfitted().regresses

    @property
    def takes_missing(self) -> bool:
        """Whether the classifier takes missing features; the encoder imputes medians."""
        inner = self._unfitted()
        return bool(getattr(inner, "takes_missing", inner.handles_missing))

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Train the encoder, unless it has been on this data, and the classifier.

        Raises:
            ModelError: KR812 where the data has no graph with the predicate's things, and
                whatever the classifier raises.
        """
        rows = rows_of(data, predicate)
        graph, _ = needed_graph(data, rows, self.name)
        options = EncoderOptions(
            self.convolution,
            self.hidden,
            self.layers,
            self.edge_features,
            self.epochs,
            self.patience,
            self.learning_rate,
            self.seed,
        )
        self.encoder_ = fitted_encoder(data, graph, options, self.device, progress)
        seen = self._seen(data)
        added = [added_names(data, seen, sort) for sort in rows.sorts]
        self.added_ = tuple(dict.fromkeys(name for names in added for name in names))
        self.fitted_ = self._unfitted(self.added_).fit(seen, predicate)
        self.base_rate_ = self.fitted_.base_rate_
        self.report_ = (self.encoder_.report, *self.fitted_.report_)
        return self

    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """What the classifier says of features and embedding."""
        return self.fitted_.log_odds(self._seen(data), predicate)

    def state(self) -> ModelState:
        """The state of the classifier, and the encoder's."""
        inner, encoder = self.fitted_.state(), self.encoder_
        weights = {WEIGHTS + name: weight for name, weight in encoder.weights.items()}
        values = {
            "options": asdict(encoder.options),
            "columns": encoder.columns,
            "report": encoder.report,
            "added": self.added_,
            "classifier": inner.values,
        }
        return ModelState(_prefixed(inner.arrays) | weights, values, _prefixed(inner.estimators))

    def load_state(self, state: ModelState) -> Self:
        """Take over encoder and classifier."""
        values = state.values
        weights = {
            name.removeprefix(WEIGHTS): np.array(array)
            for name, array in state.arrays.items()
            if name.startswith(WEIGHTS)
        }
        options = EncoderOptions(**values["options"])
        self.encoder_ = NodeEncoder(options, values["columns"], weights, values["report"])
        self.added_ = tuple(values["added"])
        inner = ModelState(
            _stripped(state.arrays), values["classifier"], _stripped(state.estimators)
        )
        self.fitted_ = self._unfitted(self.added_).load_state(inner)
        self.report_ = (self.encoder_.report, *self.fitted_.report_)
        return self

    def _unfitted(self, added: tuple[str, ...] = ()) -> KnowledgeModel:
        """A new classifier; one that lists its features sees the embedding as well."""
        model = make(self.classifier) if self.classifier is not None else make("trees")
        features = options_of(model).get("features")
        if not isinstance(features, tuple):
            return model
        return make(model, {"features": (*features, *added)})

    def _seen(self, data: Dataset) -> Dataset:
        """The data with embeddings among the features of nodes and of things that are edges."""
        graph = node_graph(data)
        if graph is None:
            return data
        values = self.encoder_.embedding(data, graph, self.device)
        names = ("log degree", *(f"embedding {i}" for i in range(values.shape[1])))
        columns = np.column_stack([np.log1p(graph.degree), values]).astype(np.float32)
        every = FeatureTable(names, columns, (None,) * len(names))
        return with_node_columns(data, graph, every)


def with_node_columns(data: Dataset, graph: NodeGraph, every: FeatureTable) -> Dataset:
    """The data with further features of every node of its graph.

    Things that are edges get those of both ends, named ``source ...`` and ``target ...``;
    missing where a thing is no edge.
    """
    tables = dict(data.features)
    for domain, start in graph.offsets.items():
        of_domain = every.take(np.arange(start, start + len(data.vocabularies[domain])))
        tables[domain] = side_by_side([feature_table(data, domain), of_domain])
    for domain, ends in graph.ends.items():
        tables[domain] = side_by_side(
            [
                tables.get(domain, feature_table(data, domain)),
                renamed(rows_or_missing(every, ends[:, 0]), "source "),
                renamed(rows_or_missing(every, ends[:, 1]), "target "),
            ]
        )
    return replace(data, features=tables)


def added_names(before: Dataset, after: Dataset, domain: str) -> list[str]:
    """Names of the features a domain has gained."""
    names = feature_table(before, domain).names
    return [name for name in feature_table(after, domain).names if name not in names]


def _prefixed(parts: Mapping[str, T]) -> dict[str, T]:
    return {CLASSIFIER + name: value for name, value in parts.items()}


def _stripped(parts: Mapping[str, T]) -> dict[str, T]:
    return {
        name.removeprefix(CLASSIFIER): value
        for name, value in parts.items()
        if name.startswith(CLASSIFIER)
    }
