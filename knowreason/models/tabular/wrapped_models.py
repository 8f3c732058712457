"""Models that users already have: scikit-learn estimators and Python functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import clone, is_regressor

from knowreason.errors import ModelError, did_you_mean
from knowreason.factors.model_output import LLR_LIMIT, ColumnSplit
from knowreason.models.base.column_splits import atom_rows, row_texts, sample_of
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.labelled_model import (
    ClassWeight,
    LabelledModel,
    label_index,
    numbers_to_learn,
    probability_log_odds,
    state_weights,
    undo_weights,
)
from knowreason.models.base.model_protocol import KnowledgeModel, ModelState, Progress
from knowreason.models.base.model_registry import imported
from knowreason.models.base.predicate_rows import PredicateRows, rows_of

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset

SAMPLE = 1_000  # rows of the training data whose mean is the average row
PARTS = "estimator"  # of the state of a model whose estimator is stored as arrays
SHORT_NAMES = {
    "logistic": "sklearn.linear_model.LogisticRegression",
    "naive_bayes": "sklearn.naive_bayes.GaussianNB",
    "nearest": "sklearn.neighbors.KNeighborsClassifier",
    "random_forest": "sklearn.ensemble.RandomForestClassifier",
    "extra_trees": "sklearn.ensemble.ExtraTreesClassifier",
    "boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
    "mlp": "sklearn.neural_network.MLPClassifier",
    "svm": "sklearn.svm.SVC",
    "ridge": "sklearn.linear_model.RidgeCV",
    "random_forest_regressor": "sklearn.ensemble.RandomForestRegressor",
    "nearest_regressor": "sklearn.neighbors.KNeighborsRegressor",
}
DEFAULTS: dict[str, dict[str, object]] = {
    "logistic": {"max_iter": 1000},
    "svm": {"probability": True},
}


class Sklearn(LabelledModel):
    """Any scikit-learn classifier (or regressor, for a numeric query), one row an atom.

    For a functional predicate it is one row a setting.

    Args:
        estimator: a short name (``logistic``, ``random_forest`` ...) or the path of a class.
        features: what it sees; see :func:`knowreason.models.base.feature_columns.columns_of`.
        class_weight: ``"balanced"`` weighs rows inversely to their state's frequency; the
            log-odds are moved back to the true base rate.
        missing: ``"impute"`` (medians and indicators), ``"refuse"``.
        seed: random state, where the estimator has one.
        params: options of the estimator.
    """

    registered_as = "sklearn"
    reads = "named"
    of_one_row = True
    regresses = True

    def __init__(
        self,
        estimator: str = "logistic",
        features: tuple[str, ...] | None = None,
        class_weight: ClassWeight = "none",
        missing: Literal["impute", "refuse"] = "impute",
        seed: int = 0,
        **params: object,
    ) -> None:
        self.estimator = estimator
        self.features = features
        self.class_weight = class_weight
        self.missing = missing
        self.seed = seed
        self.params = params

    @property
    def takes_missing(self) -> bool:
        """Whether missing values are imputed."""
        return self.missing == "impute"

    def visits(self, data: Dataset, predicate: str) -> int:
        """See :meth:`KnowledgeModel.visits`; as often as a forest of a hundred trees might."""
        labels = data.labels.get(predicate)
        return 0 if labels is None else 100 * labels.num_rows

    def fit_rows(self, data: Dataset, rows: PredicateRows, progress: Progress | None) -> None:
        """Encode the labelled rows and fit the estimator.

        Raises:
            ModelError: KR821 where the estimator refuses the rows, in its own words; KR884 for a
                classifier of numbers or a regressor of truths.
        """
        inputs = self.columns(data, rows, self.features)
        columns = inputs.take(rows.labelled)
        encoder = Encoder.fit(columns)
        estimator = estimator_named(self.estimator, self.seed, self.params)
        if is_regressor(estimator) != (rows.numbers is not None):
            raise wrong_kind(self.estimator, rows)
        target: NDArray[np.generic]
        if rows.numbers is not None:
            target, weights = numbers_to_learn(rows), np.zeros(0)
        else:
            states = label_index(rows.labels[rows.labelled], self.states_)
            target, weights = states, state_weights(states, self.class_weight)
        weighted = self.class_weight != "none" and rows.numbers is None
        extra = {"sample_weight": weights[target]} if weighted else {}
        try:
            estimator.fit(encoder.dense_matrix(columns), target, **extra)
        except (ValueError, TypeError) as error:
            raise ModelError(f"{self.estimator} refuses to fit: {error}", code="KR821") from error
        self.encoder_ = encoder.to_values()
        some = encoder.dense_matrix(inputs.take(sample_of(rows, SAMPLE)))
        self.means_ = some.astype(np.float64).mean(axis=0)
        self.weights_ = tuple(weights.tolist())
        self.estimator_ = estimator
        if progress is not None:
            progress(1, 1, f"{self.estimator} fitted on {len(target)} rows")

    def score_rows(self, data: Dataset, rows: PredicateRows) -> NDArray[np.float64]:
        """Log-odds from ``predict_proba``, else from ``decision_function``."""
        matrix = Encoder.from_values(self.encoder_).dense_matrix(
            self.columns(data, rows, self.features)
        )
        if rows.numbers is not None:
            return np.asarray(self.estimator_.predict(matrix), np.float64)
        if self.estimator == "logistic" and len(self.states_) == 2 and not self.params:
            # what `predict_proba` comes to, without looking at the rows five times
            linear = matrix @ self.estimator_.coef_[0] + self.estimator_.intercept_[0]
            scores = np.clip(linear, -LLR_LIMIT, LLR_LIMIT)
        elif hasattr(self.estimator_, "predict_proba"):
            scores = probability_log_odds(self.estimator_.predict_proba(matrix))
        else:
            scores = np.asarray(self.estimator_.decision_function(matrix), np.float64)
        if rows.classes is not None and scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        return undo_weights(scores, np.array(self.weights_))

    def split_columns(
        self, data: Dataset, predicate: str, atoms: NDArray[np.int64]
    ) -> ColumnSplit | None:
        """Coefficients times what each column is above its mean in the training data, where the
        log-odds are linear in the columns: found out by comparing, not by the estimator's name."""
        coefficients = np.asarray(getattr(getattr(self, "estimator_", None), "coef_", ()))
        if coefficients.size == 0 or len(np.atleast_2d(coefficients)) != 1 or len(self.states_) < 2:
            return None
        every = rows_of(data, predicate)
        rows = every.take(atom_rows(data, predicate, atoms))
        means = getattr(self, "means_", None)
        if every.classes is not None or every.numbers is not None or means is None:
            return None
        encoder = Encoder.from_values(self.encoder_)
        columns = self.columns(data, rows, self.features)
        weights = coefficients.ravel().astype(np.float64)
        moved = (encoder.dense_matrix(columns) - means) * weights
        average = np.asarray(self.score_rows(data, rows), np.float64) - moved.sum(axis=1)
        if len(average) and not np.allclose(average, average[0], atol=1e-3):
            return None
        parts = np.stack([moved[:, own].sum(axis=1) for own in encoder.places()], axis=1)
        texts = row_texts(data.program, columns, encoder.names)
        return ColumnSplit(encoder.names, texts, parts, average)

    def state(self) -> ModelState:
        """The fitted attributes; of an estimator with a short name that has only arrays and plain
        values, such as a logistic regression, these in its place."""
        state = super().state()
        estimator = self.estimator_
        found = {n: v for n, v in vars(estimator).items() if n not in estimator.get_params()}
        arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
        plain = {name: value for name, value in found.items() if name not in arrays}
        known = self.estimator in SHORT_NAMES and all(name.endswith("_") for name in found)
        kept = all(array.dtype.kind in "biuf" for array in arrays.values())
        if not (known and kept and all(isinstance(v, int | float) for v in plain.values())):
            return state
        parts = {f"{PARTS}.{name}": array for name, array in arrays.items()}
        return ModelState({**state.arrays, **parts}, {**state.values, PARTS: plain}, {})

    def load_state(self, state: ModelState) -> Self:
        """Take over what :meth:`state` gave; returns the model."""
        plain = state.values.get(PARTS)
        if not isinstance(plain, dict):
            return super().load_state(state)
        values = {name: value for name, value in state.values.items() if name != PARTS}
        parts = {n: v for n, v in state.arrays.items() if n.startswith(f"{PARTS}.")}
        arrays = {n: v for n, v in state.arrays.items() if n not in parts}
        super().load_state(ModelState(arrays, values, {}))
        self.estimator_ = estimator_named(self.estimator, self.seed, self.params)
        given = {name.removeprefix(f"{PARTS}."): value for name, value in parts.items()}
        for name, value in (*plain.items(), *given.items()):
            setattr(self.estimator_, name, value)
        return self


@dataclass(eq=False, repr=False)
class CallableModel(KnowledgeModel):
    """A Python function ``function(data, predicate)`` that gives log-odds or probabilities.

    Args:
        function: ``"package.module:function"``, or the function itself in Python.
        output: ``"log_odds"`` or ``"probability"``.
        base_rate: base rate of whatever is behind the function; by default the share in
            the visible labels, and where there is none the mean of what it says.
    """

    registered_as = "callable"
    needs_labels = False

    function: str | Callable[..., object]
    output: Literal["log_odds", "probability"] = "log_odds"
    base_rate: float | None = None

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Find the base rate; the function itself is not trained."""
        rows = rows_of(data, predicate)
        if self.base_rate is not None:
            self.base_rate_ = self.base_rate
        elif len(rows.labelled):
            self.base_rate_ = rows.base_rate()
        else:
            self.base_rate_ = mean_rate(self.log_odds(data, predicate), rows)
            self.report_ = ("assumed: the base rate is the mean of what the function says",)
        return self

    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """What the function says of every row."""
        rows = rows_of(data, predicate)
        function = imported(self.function) if isinstance(self.function, str) else self.function
        given = np.asarray(function(data, predicate), np.float64)
        if self.output == "probability":
            given = as_log_odds(given, f"`{self.function}`", rows)
        return rows.checked(given, str(self.function))


def wrong_kind(estimator: str, rows: PredicateRows) -> ModelError:
    """A classifier is given numbers, or a regressor truths."""
    if rows.numbers is None:
        return ModelError(
            f"`{estimator}` is a regressor, and `{rows.predicate}` is true or false",
            code="KR884",
            help=f"take a classifier, or ask for a number: `query {rows.predicate.lower()}"
            f"({', '.join(rows.sorts)}): float`",
        )
    return ModelError(
        f"`{estimator}` is no regressor, and `{rows.predicate}` is a number",
        code="KR884",
        help="take a regressor: `ridge`, `random_forest_regressor`, or the path of a class",
    )


def as_log_odds(
    given: NDArray[np.float64], source: str, rows: PredicateRows
) -> NDArray[np.float64]:
    """Probabilities as log-odds, or as log-probabilities of the states; NaN stays.

    Raises:
        ModelError: KR809 for a value outside 0 to 1.
    """
    wrong = np.argwhere((given < 0) | (given > 1))
    if len(wrong):
        raise ModelError(
            f"{source} says {given[tuple(wrong[0])]:g} in row {wrong[0][0] + 1}; a probability"
            " lies between 0 and 1",
            code="KR809",
        )
    if rows.classes is None:
        from knowreason.models.base.predicate_rows import logit

        return logit(given)
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(given, 1e-6))


def mean_rate(log_odds: NDArray[np.floating], rows: PredicateRows) -> float | NDArray[np.float64]:
    """Mean probability, which a calibrated model's base rate equals; NaN is left out."""
    missing = np.isnan(log_odds)
    present = log_odds.astype(np.float64)[
        ~(missing if rows.classes is None else missing.any(axis=1))
    ]
    if rows.classes is None:
        return float(np.clip(expit(present).mean(), 1e-6, 1 - 1e-6)) if len(present) else 0.5
    mass = np.exp(present).sum(axis=0) + 1e-6
    share: NDArray[np.float64] = mass / mass.sum()
    return share


def estimator_named(name: str | Any, seed: int, params: dict[str, object]) -> Any:
    """An unfitted scikit-learn estimator, by a short name or the path of its class; of an
    estimator a copy.

    Raises:
        ModelError: KR823 for no such estimator, KR802 for an option it does not have.
    """
    if not isinstance(name, str):
        return clone(name)
    path = SHORT_NAMES.get(name, name)
    if "." not in path:
        raise ModelError(
            f"no estimator is called `{name}`",
            code="KR823",
            help=did_you_mean(name, SHORT_NAMES)
            or f"one of {', '.join(SHORT_NAMES)}, or the path of a class",
        )
    estimator_class = imported(path)
    options = estimator_class().get_params()
    for option in params:
        if option not in options:
            raise ModelError(
                f"`{name}` has no option `{option}`",
                code="KR802",
                help=did_you_mean(option, options) or f"its options: {', '.join(sorted(options))}",
            )
    seeded = {"random_state": seed} if "random_state" in options else {}
    return estimator_class(**{**DEFAULTS.get(name, {}), **seeded, **params})
