"""Gradient-boosted trees on own and neighbours' features: the baseline that is hard to beat."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.factors.model_output import ColumnSplit
from knowreason.models.base.column_splits import atom_rows, row_texts, sample_of
from knowreason.models.base.encoding import TREE_CATEGORIES, Encoder
from knowreason.models.base.feature_columns import (
    one_column,
    renamed,
    rows_or_missing,
    side_by_side,
)
from knowreason.models.base.labelled_model import (
    ClassWeight,
    LabelledModel,
    label_index,
    log_softmax,
    numbers_to_learn,
    state_weights,
    undersampled,
    undo_weights,
    validation_slice,
)
from knowreason.models.base.model_options import Share
from knowreason.models.base.model_protocol import ModelState, Progress
from knowreason.models.base.predicate_rows import PredicateRows, rows_of
from knowreason.models.graph.edge_history import history
from knowreason.models.graph.node_graph import (
    NodeGraph,
    node_columns,
    node_graph,
    nodes_of_rows,
    one_hot,
    time_of_rows,
)
from knowreason.models.tabular.leaf_masks import LeafMasks
from knowreason.models.tabular.leaf_shapley import shapley_values

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from knowreason.data import Dataset
    from knowreason.models.tabular.leaf_masks import Booster

TREES = "trees."  # before the names of their arrays in a state
BACKGROUND = 64  # rows of the training data that a row's columns are compared with
MANY_ROWS = 100_000  # from which trees are grown and read on several threads


@dataclass(eq=False, repr=False)
class Trees(LabelledModel):
    """Histogram gradient boosting (scikit-learn) for any level of predicate.

    It sees the columns of the row's own things, the attributes and definitions named in
    ``features`` and, where the data has a graph with the row's things, their degree and
    the means of their neighbours' features over one and two hops (GADBench, Tang et al.
    2023: this beats most graph networks on tabular node features). Rows that are edges with
    times get their ends' past instead (:mod:`.edge_history`): a degree or mean
    over all time would know the future, and would not age in training as it does in use.

    Missing values are handled by the trees themselves: no imputation. A numeric query is learned by
    squared error; weights and samples of states do not apply.

    Args:
        features: what it sees; ``None`` is every column of the feature tables.
        hops: hops of neighbour means; 0 leaves the graph (and the past) out.
        max_iter: most boosting rounds.
        early_stopping: choose the number of rounds on a slice of the labelled rows (the
            latest, where there is a clock), then fit all rows with that number.
        learning_rate, max_leaf_nodes, min_samples_leaf, l2: as in scikit-learn, but with
            smaller steps and trees (they hold up better where data drift) and some shrinkage
            of leaves: without, a leaf of nearly pure rows has next to no curvature and steps
            far too wide where positives are rare.
        max_features: share of the columns that each node chooses among, drawn at random: half
            of them holds up better where data drift or labels are few.
        class_weight: ``"balanced"`` weighs rows inversely to their state's frequency; the
            log-odds are moved back to the true base rate.
        undersample: how many rows of a state are learned from for each row of the rarest one,
            drawn at random; 0 takes all. The log-odds are moved back to the true base rate.
        seed: random state.
    """

    registered_as = "trees"
    reads = "named"
    of_one_row = True
    regresses = True

    features: tuple[str, ...] | None = None
    hops: int = 2
    max_iter: int = 150
    early_stopping: bool = False
    learning_rate: float = 0.05
    max_leaf_nodes: int = 15
    min_samples_leaf: int = 20
    l2: float = 1.0
    max_features: Share = 0.5
    class_weight: ClassWeight = "none"
    undersample: float = 0.0
    seed: int = 0

    def fit_rows(self, data: Dataset, rows: PredicateRows, progress: Progress | None) -> None:
        """Fit on the labelled rows, after choosing the number of rounds if asked to."""
        if rows.numbers is not None:
            self._fit_numbers(data, rows)
            return
        every = label_index(rows.labels[rows.labelled], self.states_)
        sampled = undersampled(every, self.undersample, self.seed)
        inputs = self._inputs(data, rows)
        columns = inputs.take(rows.labelled[sampled])
        encoder = Encoder.fit(columns, TREE_CATEGORIES)
        matrix, categorical = encoder.tree_matrix(columns)
        target = every[sampled]
        weights = state_weights(target, self.class_weight)
        rounds = self.max_iter
        held = (
            validation_slice(rows, self.seed)[sampled] if self.early_stopping else np.zeros(0, bool)
        )
        if held.any():
            trial = self._booster(rounds, categorical, int((~held).sum()))
            seen = target[~held]
            with threads_for(len(seen)):
                trial.fit(matrix[~held], seen, sample_weight=self._weights(weights, seen))
                rounds = best_round(trial, matrix[held], target[held], weights)
            self.report_ = (f"{rounds} of {self.max_iter} rounds, chosen on {held.sum()} rows",)
            if progress is not None:
                progress(1, 2, f"{rounds} rounds chosen")
        booster = self._booster(rounds, categorical, len(target))
        with threads_for(len(target)):
            booster.fit(matrix, target, sample_weight=self._weights(weights, target))
        self.encoder_ = encoder.to_values()
        self.background_ = encoder.tree_matrix(inputs.take(sample_of(rows, BACKGROUND)))[0]
        self.weights_ = tuple((weights * np.bincount(target) / np.bincount(every)).tolist())
        self._keep(booster)
        if progress is not None:
            progress(2, 2, f"trees fitted on {len(target)} rows")

    def score_rows(self, data: Dataset, rows: PredicateRows) -> NDArray[np.float64]:
        """Raw scores of the ensemble, which are log-odds already."""
        matrix, _ = Encoder.from_values(self.encoder_).tree_matrix(self._inputs(data, rows))
        scores = self._raw_scores(matrix)  # of numbers the link is the identity
        if scores.shape[1] == 1:
            scores = scores[:, 0]
        if rows.classes is not None and scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        if rows.numbers is not None:
            return scores
        return undo_weights(scores, np.array(self.weights_))

    def split_columns(
        self, data: Dataset, predicate: str, atoms: NDArray[np.int64]
    ) -> ColumnSplit | None:
        """Shapley values against :data:`BACKGROUND` rows of the training data; ``None`` of several
        states, and of trees with more leaves than :class:`.LeafMasks` takes."""
        every = rows_of(data, predicate)
        masks, background = getattr(self, "_masks", None), getattr(self, "background_", None)
        if masks is None or background is None:
            return None
        if len(masks.baseline) > 1 or every.classes is not None:
            return None
        encoder = Encoder.from_values(self.encoder_)
        columns = self._gathered(data, every.take(atom_rows(data, predicate, atoms)))
        matrix, _ = encoder.tree_matrix(columns)
        parts, average = shapley_values(masks, matrix, background)
        average = np.asarray(undo_weights(average, np.array(self.weights_)), np.float64)
        return ColumnSplit(
            encoder.names, row_texts(data.program, columns, encoder.names), parts, average
        )

    def _fit_numbers(self, data: Dataset, rows: PredicateRows) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        columns = self._inputs(data, rows).take(rows.labelled)
        encoder = Encoder.fit(columns, TREE_CATEGORIES)
        matrix, categorical = encoder.tree_matrix(columns)
        target = numbers_to_learn(rows)
        rounds, held = self.max_iter, np.zeros(0, bool)
        if self.early_stopping:
            held = validation_slice(rows, self.seed)
        options = self._options(rounds, categorical, len(target))
        if held.any():
            trial = HistGradientBoostingRegressor(**options)
            with threads_for(len(target)):
                trial.fit(matrix[~held], target[~held])
                staged = trial.staged_predict(matrix[held])
                losses = [np.mean((said - target[held]) ** 2) for said in staged]
            rounds = max(5, int(np.argmin(losses)) + 1)
            self.report_ = (f"{rounds} of {self.max_iter} rounds, chosen on {held.sum()} rows",)
        booster = HistGradientBoostingRegressor(**{**options, "max_iter": rounds})
        with threads_for(len(target)):
            self._keep(booster.fit(matrix, target))
        self.encoder_ = encoder.to_values()

    def _keep(self, booster: Booster) -> None:
        """Keeps what scores need of it: scikit-learn's own object only where trees are large."""
        self._masks = LeafMasks.of(booster)
        if self._masks is None:
            self.booster_ = booster

    def _raw_scores(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        if self._masks is not None:
            return self._masks(matrix)
        with threads_for(len(matrix)):
            return np.asarray(self.booster_._raw_predict(matrix), np.float64)

    def state(self) -> ModelState:
        """The fitted attributes, trees as arrays."""
        state = super().state()
        if self._masks is None:
            return state
        trees = {f"{TREES}{name}": array for name, array in vars(self._masks).items()}
        return replace(state, arrays={**state.arrays, **trees})

    def load_state(self, state: ModelState) -> Trees:
        """Take over what :meth:`state` gave, or an earlier version's; returns the model."""
        trees: dict[str, Any] = {n: v for n, v in state.arrays.items() if n.startswith(TREES)}
        others = {n: v for n, v in state.arrays.items() if n not in trees}
        super().load_state(replace(state, arrays=others, estimators={}))
        if trees:
            self._masks = LeafMasks(**{n.removeprefix(TREES): v for n, v in trees.items()})
        elif "booster_" in state.estimators:
            self._keep(state.estimators["booster_"])
        return self

    def _inputs(self, data: Dataset, rows: PredicateRows) -> FeatureTable:
        """Gathered once for all folds, unless definitions read labels."""
        if data.program.label_readers:
            return self._gathered(data, rows)
        key = ("inputs of trees", rows.predicate, rows.count, self.features, self.hops)
        return data.computed(key, lambda: self._gathered(data, rows), data.features, data.graph)

    def _gathered(self, data: Dataset, rows: PredicateRows) -> FeatureTable:
        graph = node_graph(data) if self.hops > 0 else None
        nodes = nodes_of_rows(graph, rows) if graph is not None else None
        own = self.columns(data, rows, self.features, empty=nodes is not None)
        if graph is None or nodes is None:
            return own
        time = time_of_rows(graph, rows)
        if time is None:
            return side_by_side([own, neighbourhood(data, graph, nodes, self.hops, rows)])
        of_ends = at_places(node_columns(data, graph), nodes)
        return side_by_side([own, history(nodes, time, own), of_ends])

    def _weights(
        self, weights: NDArray[np.float64], target: NDArray[np.int64]
    ) -> NDArray[np.float64] | None:
        """Weights of rows; ``None`` where all are 1, because scikit-learn bins weighted rows
        many times more slowly."""
        return None if self.class_weight == "none" else weights[target]

    def _booster(
        self, rounds: int, categorical: NDArray[np.bool_], count: int
    ) -> HistGradientBoostingClassifier:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(**self._options(rounds, categorical, count))

    def _options(
        self, rounds: int, categorical: NDArray[np.bool_], count: int
    ) -> dict[str, object]:
        """Of either booster, for ``count`` rows."""
        return {
            "max_iter": rounds,
            "learning_rate": self.learning_rate,
            "max_leaf_nodes": self.max_leaf_nodes,
            "min_samples_leaf": max(1, min(self.min_samples_leaf, count // 10)),
            "l2_regularization": self.l2,
            "max_features": self.max_features,
            "categorical_features": categorical if categorical.any() else None,
            "early_stopping": False,
            "random_state": self.seed,
        }


def threads_for(rows: int) -> AbstractContextManager[object]:
    """Within it trees of so many rows are grown and read on one thread, or on all.

    scikit-learn opens a parallel section for every node and every tree. Of few rows, threads
    wait for each other far longer than they compute, and OpenMP waits at full load: on a busy
    machine two took 15 times the CPU time of one for 10,000 rows.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(
        1 if rows < MANY_ROWS else None, user_api="openmp"
    )
    return limits


def neighbourhood(
    data: Dataset, graph: NodeGraph, nodes: NDArray[np.int64], hops: int, rows: PredicateRows
) -> FeatureTable:
    """Degree and neighbour means over ``hops`` of each node of a row.

    For a row that is an edge the ends' own features come too. Categories enter the means
    as their most frequent values, one-hot.
    """
    own = node_columns(data, graph)
    is_end = not (nodes.shape[1] == len(rows.sorts) and set(rows.sorts) <= set(graph.offsets))
    parts = [one_column("degree", graph.degree)]
    if is_end:
        parts.append(own)
    means = one_hot(own)
    for hop in range(1, hops + 1):
        means = replace(means, values=graph.neighbour_means(means.values))
        parts.append(renamed(means, f"mean{hop} "))
    return at_places(side_by_side(parts), nodes)


def at_places(every: FeatureTable, nodes: NDArray[np.int64]) -> FeatureTable:
    """Columns of each node of a row, side by side."""
    places = range(nodes.shape[1])
    prefixes = [f"end{end} " if len(places) > 1 else "" for end in places]
    return side_by_side([renamed(rows_or_missing(every, nodes[:, i]), prefixes[i]) for i in places])


def best_round(
    booster: HistGradientBoostingClassifier,
    matrix: NDArray[np.float32],
    target: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> int:
    """Number of rounds of least weighted log-loss on held-out rows, at least 5."""
    losses = []
    for raw in booster.staged_decision_function(matrix):
        raw = np.asarray(raw).reshape(len(target), -1)
        scores = np.concatenate([np.zeros_like(raw), raw], 1) if raw.shape[1] == 1 else raw
        losses.append(
            -(weights[target] * log_softmax(scores)[np.arange(len(target)), target]).mean()
        )
    return max(5, int(np.argmin(losses)) + 1)
