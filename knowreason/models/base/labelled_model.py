"""What all learners of labelled rows share: labels, weights, a validation slice."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.data.id_tables import id_matrix
from knowreason.errors import ModelError
from knowreason.factors.model_output import LLR_LIMIT
from knowreason.models.base.feature_columns import columns_of, refuse, row_name
from knowreason.models.base.model_protocol import KnowledgeModel, Progress, refuse_numbers
from knowreason.models.base.predicate_rows import UNKNOWN, PredicateRows, logit, rows_of
from knowreason.row_keys import locate

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset

ClassWeight = Literal["none", "balanced"]
VALIDATION_SHARE = 0.15


class LabelledModel(KnowledgeModel):
    """A model that learns from labelled rows; a subclass writes the two row functions.

    Labels of one kind only make a constant model, which says the base rate and so, as a
    ratio, nothing. States without a label keep their smoothed base rate. A model that
    ``regresses`` learns ``rows.numbers`` of a numeric query, and its scores are estimates.

    >>> import knowreason as kr
    >>> model = kr.models.make("sklearn", {"estimator": "logistic"})
    >>> model.fit(kr.testing.example_data(), "Bad").states_
    (0, 1)
    """

    states_: tuple[int, ...] = ()
    classes_: tuple[str, ...] | None = None

    @abstractmethod
    def fit_rows(self, data: Dataset, rows: PredicateRows, progress: Progress | None) -> None:
        """Learn from ``rows.labelled``; there are at least two kinds of label, or numbers."""

    @abstractmethod
    def score_rows(self, data: Dataset, rows: PredicateRows) -> NDArray[np.floating]:
        """Log-odds ``[n]``, or log-probabilities ``[n, len(self.states_)]`` of the states
        seen in training where the predicate is functional."""

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Learn from the visible labels of ``predicate``.

        Raises:
            ModelError: KR820 when there is no visible label, KR883 for a numeric query where the
                model does not regress.
        """
        refuse_numbers(self, data, predicate)
        rows = rows_of(data, predicate)
        if not len(rows.labelled):
            raise ModelError(
                f"`{self.name}` has no label of `{predicate}` to learn from",
                code="KR820",
                help="bind labels, or use a model without labels: `column`, `callable`",
            )
        self.base_rate_ = rows.base_rate()
        self.classes_ = rows.classes
        self.states_ = tuple(np.unique(rows.labels[rows.labelled]).tolist())
        self.report_ = ()
        if len(self.states_) > 1 or rows.numbers is not None:
            self.fit_rows(data, rows, progress)
        else:
            self.report_ = ("all labels are alike: the model says nothing",)
        return self

    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """Log-odds of every row; see :meth:`KnowledgeModel.log_odds`."""
        rows = rows_of(data, predicate)
        if rows.classes != self.classes_:
            raise ModelError(
                f"the states of `{predicate}` are not those `{self.name}` was fitted on",
                code="KR815",
                help="declare the domain with its members",
            )
        if not rows.count or (len(self.states_) <= 1 and rows.numbers is None):
            return rows.constant(self.base_rate_)
        open_rows = undecided_rows(data, rows)
        if open_rows is None:
            scores = self.score_rows(data, rows)
        else:
            scores = np.zeros(rows.count)
            if len(open_rows):
                scores[open_rows] = self.score_rows(data, rows.take(open_rows))
        if rows.classes is not None:
            scores = over_all_states(scores, self.states_, np.asarray(self.base_rate_))
        return rows.checked(scores, self.name)

    def columns(
        self,
        data: Dataset,
        rows: PredicateRows,
        features: tuple[str, ...] | None,
        empty: bool = False,
    ) -> FeatureTable:
        """Feature columns; refused where there is none (unless ``empty``), or where a value
        is missing and the model does not take missing values.

        Raises:
            ModelError: KR813 for no column, KR814 for a missing value.
        """
        columns = columns_of(data, rows, features)
        if not columns.names and not empty:
            raise ModelError(
                f"`{self.name}` for `{rows.predicate}` sees no column:"
                f" {' and '.join(rows.sorts)} {'has' if len(rows.sorts) == 1 else 'have'}"
                " no feature table",
                code="KR813",
                help='bind features, or name attributes and definitions: `features=["amount"]`',
            )
        if not self.takes_missing:
            refuse(columns, np.isnan, "KR814", "missing", lambda row: row_name(data, rows, row))
        return columns

    @property
    def takes_missing(self) -> bool:
        """Whether missing feature values are accepted under the model's options."""
        return self.handles_missing


def undecided_rows(data: Dataset, rows: PredicateRows) -> NDArray[np.int64] | None:
    """Rows whose truth is not known, where nobody looks at what models say of others; else all,
    ``None``."""
    from knowreason.grounding.arrays.array_context import only_open

    if rows.classes is not None or rows.numbers is not None or not only_open():
        return None

    def found() -> NDArray[np.int64]:
        known = rows.labels != UNKNOWN
        evidence = data.evidence.get(rows.predicate)
        if evidence is not None and evidence.num_rows:
            own = locate(rows.things, id_matrix(evidence))
            known[own[own >= 0]] = True
        return np.flatnonzero(~known)

    return data.computed(("undecided rows", rows.predicate), found, data.labels, data.evidence)


def over_all_states(
    scores: NDArray[np.floating], seen: tuple[int, ...], base_rate: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log-probabilities of all K states from those of the states seen in training.

    States never seen keep their smoothed base rate; the others share the rest.
    """
    full = np.tile(np.log(base_rate), (scores.shape[0], 1))
    share = np.log(base_rate[list(seen)].sum())
    full[:, list(seen)] = log_softmax(scores) + share
    return full


def log_softmax(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Normalised log-probabilities along the last axis."""
    shifted = scores.astype(np.float64) - scores.max(axis=-1, keepdims=True)
    log_probability: NDArray[np.float64] = shifted - np.log(
        np.exp(shifted).sum(axis=-1, keepdims=True)
    )
    return log_probability


def numbers_to_learn(rows: PredicateRows) -> NDArray[np.float64]:
    """``float64[len(rows.labelled)]``: the labels of a numeric query."""
    assert rows.numbers is not None
    return rows.numbers[rows.labelled]


def label_index(labels: NDArray[np.int32], seen: tuple[int, ...]) -> NDArray[np.int64]:
    """Position of each label among the states seen."""
    return np.searchsorted(np.array(seen), labels)


def state_weights(labels: NDArray[np.int64], scheme: ClassWeight) -> NDArray[np.float64]:
    """Weight of each state in training: 1, or inverse to its frequency with mean 1 a row."""
    counts = np.bincount(labels)
    if scheme == "none":
        return np.ones(len(counts))
    return len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))


def undersampled(labels: NDArray[np.int64], most: float, seed: int) -> NDArray[np.int64]:
    """Rows to learn from: at most ``most`` of a state for each row of the rarest, ascending.

    Args:
        labels: ``int64[n]`` states, each with a row.
        most: 0 keeps all rows; a value below 1 counts as 1.
        seed: of the draw.
    """
    if not most or not len(labels):
        return np.arange(len(labels))
    counts = np.bincount(labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    rank = np.arange(len(labels)) - (np.cumsum(counts) - counts)[labels[order]]
    return np.sort(order[rank < max(most, 1.0) * counts.min()])


def undo_weights(scores: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds at the true base rate from those learned under state weights.

    Weights multiply the odds of training; dividing them out keeps the ranking and gives
    back the base rate of the data.
    """
    shift = np.log(weights[1:] / weights[:1]) if scores.ndim == 1 else np.log(weights)
    return np.asarray(scores - shift, np.float64)


def probability_log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-odds ``[n]`` from two columns, log-probabilities ``[n, K]`` from more."""
    p = np.asarray(probabilities, np.float64)
    if p.shape[1] == 2:
        return logit(p[:, 1])
    with np.errstate(divide="ignore"):
        return np.clip(np.log(p), -LLR_LIMIT, 0.0)


def validation_slice(
    rows: PredicateRows, seed: int, share: float = VALIDATION_SHARE
) -> NDArray[np.bool_]:
    """``bool[len(rows.labelled)]``: which labelled rows are held out for early stopping.

    The latest ones where the rows have a clock, else a random share; of rows asked about only
    (:attr:`PredicateRows.asked`) where any of those is labelled. All false where either side would
    lack a state or the slice would hold under ten rows.
    """
    labelled = rows.labelled
    asked = np.arange(len(labelled))
    if rows.asked is not None and rows.asked[labelled].any():
        asked = np.flatnonzero(rows.asked[labelled])
    if rows.time is not None:
        order = asked[np.argsort(rows.time[labelled[asked]], kind="stable")]
    else:
        order = np.random.default_rng(seed).permutation(asked)
    held = np.zeros(len(labelled), bool)
    held[order[len(order) - int(share * len(order)) :]] = True
    labels = rows.labels[labelled]
    alike = set(labels[held].tolist()) == set(labels[~held].tolist())
    return held if held.sum() >= 10 and alike else np.zeros(len(labelled), bool)
