"""What a knowledge model is."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowTable
from knowreason.errors import ModelError
from knowreason.factors.model_output import ColumnSplit
from knowreason.progress import Progress as Progress

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset

PASSES = ("epochs", "steps", "max_iter")  # options that say how often a model goes through its data
EPOCH = 1_000  # visits in the time that an epoch takes however little there is
Level = Literal["node", "edge", "graph", "tuple"]


@dataclass(frozen=True)
class ModelState:
    """The fitted attributes of a model, ready for safetensors, JSON and skops.

    Attributes:
        arrays: by name, any numpy dtype safetensors knows.
        values: plain JSON values by name.
        estimators: scikit-learn estimators by name.

    >>> import knowreason as kr
    >>> data = kr.testing.example_data()
    >>> model = kr.models.make("column", {"column": "p"}).fit(data, "Bad")
    >>> sorted(model.state().values)
    ['base_rate_', 'calibration_', 'report_']
    """

    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    estimators: Mapping[str, object] = field(default_factory=dict)


class KnowledgeModel(ABC):
    """A model that gives log-odds for the ground atoms of a predicate.

    The constructor stores its options under their own names and does nothing else, as in
    scikit-learn (``@dataclass(eq=False, repr=False)`` writes one); what ``fit`` learns ends in
    an underscore. A subclass writes ``fit`` and
    ``log_odds``; :meth:`state` and :meth:`load_state` then work by themselves when all
    fitted attributes are arrays, scikit-learn estimators or plain values.

    Attributes:
        registered_as: name in rule files.
        level: what one atom of the predicate is.
        handles_missing: whether missing feature values are accepted; if not, ``fit`` and
            ``log_odds`` refuse them by row and column.
        needs_labels: whether ``fit`` refuses data without visible labels.
        learns: whether what it says depends on labels; one that does not is fitted once.
        heavy: whether one fit is kept instead of the mean of those of the folds.
        regresses: whether it can be fitted to a numeric query, with ``log_odds`` its estimates.
        reads: ``named``: a fit reads the rows and labels of its predicate, columns of features
            and scores, edges, clocks, and of facts, attributes and definitions those that its
            options name; it stays good while these do. ``everything``: whatever is in the data.
        of_one_row: whether what it says of an atom rests on nothing but this atom's own columns of
            features, attributes and definitions (and, of ``trees``, on a graph where there is one).
        base_rate_: share of true atoms in the training data, ``float64[K]`` over the
            states of a functional predicate.
        report_: sentences about the fit (assumptions, early stopping ...).

    >>> import knowreason as kr
    >>> class Half(KnowledgeModel):
    ...     def fit(self, data, predicate, *, progress=None):
    ...         return self
    ...     def log_odds(self, data, predicate):
    ...         return np.zeros(kr.models.atoms_of(data, predicate).count, np.float32)
    >>> data = kr.testing.example_data()
    >>> Half().fit(data, "Bad").log_odds(data, "Bad").shape
    (120,)
    """

    registered_as: ClassVar[str] = ""
    level: ClassVar[Level | Literal["any"]] = "any"
    handles_missing: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    learns: bool = True
    heavy: ClassVar[bool] = False
    regresses: bool = False
    reads: ClassVar[Literal["named", "everything"]] = "everything"
    of_one_row: ClassVar[bool] = False
    base_rate_: float | NDArray[np.float64]
    report_: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.registered_as or type(self).__name__

    @abstractmethod
    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Learn from the labels of ``predicate`` that ``data`` lets be seen."""

    @abstractmethod
    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """Posterior log-odds of every atom.

        Returns:
            ``float32[n_atoms]`` in the order of :func:`knowreason.models.atoms_of`; for a
            functional predicate log-probabilities ``float32[n_settings, K]`` in the order
            of :func:`knowreason.models.rows_of` (``K + 1`` columns with "none" last where
            at most one state holds). For a numeric query, where the model ``regresses``, the
            expected values.
        """

    def log_odds_and_spread(
        self, data: Dataset, predicate: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """:meth:`log_odds` and its standard deviation (same shape) where the model has one."""
        return self.log_odds(data, predicate), None

    def parts(self, data: Dataset, predicate: str) -> Mapping[str, NDArray[np.float32]]:
        """Named parts of the score of every row, ``float32[n]``, where the score is a sum of
        them; explanations name the largest."""
        return {}

    def split_columns(
        self, data: Dataset, predicate: str, atoms: NDArray[np.int64]
    ) -> ColumnSplit | None:
        """Log-odds of some atoms (places among :func:`knowreason.models.atoms_of`) split over the
        columns of their rows; ``None`` where the model cannot be split."""
        return None

    def visits(self, data: Dataset, predicate: str) -> int:
        """How often a fit goes through a label or an edge, roughly: what says whether it is worth
        a process of its own.

        Once an epoch, step or round, as the option of that name says, of this model and of those
        among its options; 0 without one: a fit of moments.
        """
        options = options_of(self)
        passes = [value for name, value in options.items() if name in PASSES]
        labels = data.labels.get(predicate)
        edges = 0 if data.graph is None else sum(map(len, data.graph.relations))
        rows = EPOCH + edges + (0 if labels is None else labels.num_rows)
        inner = [value for value in options.values() if isinstance(value, KnowledgeModel)]
        own = max((n for n in passes if isinstance(n, int)), default=0) * rows
        return own + sum(model.visits(data, predicate) for model in inner)

    @property
    def headline(self) -> str:
        """What ``train`` says before anything else; empty where there is nothing."""
        return ""

    def tables(self) -> Mapping[str, ArrowTable]:
        """Tables about the fit, by title, that ``train`` and the report show."""
        return {}

    def state(self) -> ModelState:
        """The fitted attributes (those whose names end in ``_``)."""
        return state_of(self)

    def load_state(self, state: ModelState) -> Self:
        """Take over what :meth:`state` gave; returns the model."""
        for name, value in (*state.arrays.items(), *state.estimators.items()):
            setattr(self, name, value)
        for name, value in state.values.items():
            setattr(self, name, _frozen(value))
        return self

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in options_of(self).items())
        return f"{type(self).__name__}({options})"


def state_of(model: object) -> ModelState:
    """Fitted attributes of any object that follows the manners of :class:`KnowledgeModel`.

    Raises:
        TypeError: for a fitted attribute that is no array, estimator or plain value.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    values: dict[str, object] = {}
    estimators: dict[str, object] = {}
    for name, value in vars(model).items():
        if not name.endswith("_"):
            continue
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif hasattr(value, "get_params"):
            estimators[name] = value
        elif _is_plain(value):
            values[name] = value
        else:
            raise TypeError(f"`{name}` of {type(model).__name__} is a {type(value).__name__}")
    return ModelState(arrays, values, estimators)


def options_of(model: KnowledgeModel) -> dict[str, object]:
    """Constructor options of a model and their values, ``**params`` spread out."""
    options: dict[str, object] = {}
    for parameter in inspect.signature(type(model)).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            options |= getattr(model, parameter.name)
        else:
            options[parameter.name] = getattr(model, parameter.name)
    return options


def fit_model(
    model: KnowledgeModel, data: Dataset, predicate: str, progress: Progress | None = None
) -> KnowledgeModel:
    """Fit, handing ``progress`` only to models that take it.

    A model that learns no base rate gets that of the visible labels.
    """
    refuse_numbers(model, data, predicate)
    takes = "progress" in inspect.signature(model.fit).parameters
    fitted = model.fit(data, predicate, **({"progress": progress} if takes else {})) or model
    if not hasattr(fitted, "base_rate_"):
        from knowreason.models.base.predicate_rows import rows_of

        fitted.base_rate_ = rows_of(data, predicate).base_rate()
    return fitted


def refuse_numbers(model: KnowledgeModel, data: Dataset, predicate: str) -> None:
    """Raise where a model of truths is asked for numbers.

    Raises:
        ModelError: KR883.
    """
    if data.program.is_number(predicate) and not model.regresses:
        raise ModelError(
            f"`{predicate}` is a number, and `{model.name}` says how likely things are",
            code="KR883",
            help="`trees()`, `gnn()`, `torch()`, `enclosing_subgraph()` and "
            '`sklearn(estimator="ridge")` estimate numbers',
        )


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _frozen(value: object) -> object:
    """Lists as tuples: JSON knows only lists, fitted attributes hold only tuples."""
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return value
