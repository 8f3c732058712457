"""Several fitted models as one: the mean of what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.factors.model_output import ColumnSplit
from knowreason.models.base.column_splits import mean_split
from knowreason.models.base.label_rows import LabelRows
from knowreason.models.base.labelled_model import log_softmax
from knowreason.models.base.model_protocol import KnowledgeModel, Progress, fit_model
from knowreason.models.base.model_registry import make
from knowreason.models.base.predicate_rows import logit, rows_of

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset


class FoldMean(KnowledgeModel):
    """The mean of models fitted each without one fold, in log-odds (the geometric pool).

    It is as strong as what the folds' scores were made with, so that what is learned from
    those (a calibration, the weights of rules) fits what is deployed; one model fitted on all
    labels would be stronger (cross-fitted bagging; Breiman 1996).

    Args:
        models: the models; fitted, or all alike and not.

    >>> import knowreason as kr
    >>> data = kr.testing.example_data()
    >>> found = kr.models.cross_fit(lambda: kr.models.make("sklearn"), data, "Bad")
    >>> found.model.name, len(found.model.models)
    ('mean of sklearn', 6)
    """

    def __init__(self, models: tuple[KnowledgeModel, ...]) -> None:
        self.models = models
        self.regresses = models[0].regresses
        if all(hasattr(model, "base_rate_") for model in models):
            self._adopt(models)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"mean of {self.models[0].name}"

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Fit each model without a fold of the labelled rows."""
        return self.fit_in_groups(data, predicate, None, progress=progress)

    def fit_in_groups(
        self,
        data: Dataset,
        predicate: str,
        groups: NDArray[np.integer] | None,
        *,
        progress: Progress | None = None,
    ) -> Self:
        """Fit each model without a fold of whole groups (``int[n_rows]``) of rows."""
        labels = LabelRows.of(
            data, rows_of(data, predicate), len(self.models), "grouped", 0, groups
        )
        if len(labels.order) < 2:
            return self._adopt((fit_model(make(self.models[0]), data, predicate),))
        fitted = []
        for done, fold in enumerate(labels.order):
            part = labels.restricted(data, predicate, labels.fold != fold)
            fitted.append(fit_model(make(self.models[0]), part, predicate))
            if progress is not None:
                progress(done + 1, len(labels.order), f"{self.name}: {done + 1} fitted")
        return self._adopt(tuple(fitted))

    def _adopt(self, fitted: tuple[KnowledgeModel, ...]) -> Self:
        self.models = fitted
        self.base_rate_ = mean_base_rate(fitted)
        self.report_ = fitted[0].report_
        return self

    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """Mean log-odds; see :meth:`KnowledgeModel.log_odds`."""
        return self.log_odds_and_spread(data, predicate)[0]

    def log_odds_and_spread(
        self, data: Dataset, predicate: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Mean log-odds and the root of the mean variance the models speak of."""
        return mean_scores([m.log_odds_and_spread(data, predicate) for m in self.models])

    def parts(self, data: Dataset, predicate: str) -> Mapping[str, NDArray[np.float32]]:
        """Mean of each named part; one that a model lacks is 0 there."""
        every = [model.parts(data, predicate) for model in self.models]
        names = dict.fromkeys(name for parts in every for name in parts)
        return {
            name: np.sum([p[name] for p in every if name in p], axis=0) / np.float32(len(every))
            for name in names
        }

    def split_columns(
        self, data: Dataset, predicate: str, atoms: NDArray[np.int64]
    ) -> ColumnSplit | None:
        """See :meth:`KnowledgeModel.split_columns`."""
        return mean_split([model.split_columns(data, predicate, atoms) for model in self.models])


def mean_scores(
    scores: Sequence[tuple[NDArray[np.floating], NDArray[np.floating] | None]],
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Mean of log-odds (``[n]``) or of log-probabilities (``[n, K]``, normalised again), and the
    root mean square of the spreads where every model has one."""
    stacked = np.stack([log_odds for log_odds, _ in scores]).astype(np.float64)
    mean: NDArray[np.float64] = stacked.mean(axis=0)
    if mean.ndim == 2 and len(mean):
        mean = log_softmax(mean)
    spreads = [spread for _, spread in scores if spread is not None]
    if len(spreads) < len(scores):
        return mean.astype(np.float32), None
    square = np.square(np.stack(spreads).astype(np.float64)).mean(axis=0)
    return mean.astype(np.float32), np.asarray(np.sqrt(square), np.float32)


def mean_base_rate(models: Sequence[KnowledgeModel]) -> float | NDArray[np.float64]:
    """The base rate whose log-odds are the mean of theirs."""
    rates = np.stack([np.asarray(model.base_rate_) for model in models])
    if rates.ndim == 2:
        shares = np.exp(np.mean(np.log(rates), axis=0))
        return np.asarray(shares / shares.sum(), np.float64)
    return float(expit(np.mean(logit(rates))))
