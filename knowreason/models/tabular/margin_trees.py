"""Boosted trees that start from given log-odds instead of the base rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn._loss.loss import HalfBinomialLoss

from knowreason.models.base.predicate_rows import logit
from knowreason.models.tabular.boosting import Trees

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from knowreason.data import Dataset
    from knowreason.models.base.model_protocol import Progress
    from knowreason.models.base.predicate_rows import PredicateRows


@dataclass(eq=False, repr=False)
class MarginTrees(Trees):
    """Trees whose boosting starts from a base margin (Schapire et al. 2002): of a Boolean
    predicate.

    As a ratio they say what is to be *added* to the margin, which the caller knows of any row.

    Attributes:
        margin: ``float64[n_rows]`` log-odds from which the fit starts; no option, since it belongs
            to the rows of one data set. Only labelled rows' values are read.
    """

    registered_as = ""

    margin: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), init=False)

    def fit_rows(self, data: Dataset, rows: PredicateRows, progress: Progress | None) -> None:
        """Fit on the labelled rows; their margins are not kept."""
        self._start = self.margin[rows.labelled]
        super().fit_rows(data, rows, progress)
        if self._masks is None:
            self.booster_.set_params(loss="log_loss")
            self.booster_._loss = HalfBinomialLoss()
        del self._start
        self.margin = np.zeros(0)

    def score_rows(self, data: Dataset, rows: PredicateRows) -> NDArray[np.float64]:
        """What is added to the margin, beside the base rate that ratios leave out."""
        return super().score_rows(data, rows) + logit(self.base_rate_)

    def _booster(
        self, rounds: int, categorical: NDArray[np.bool_], count: int
    ) -> HistGradientBoostingClassifier:
        booster = super()._booster(rounds, categorical, count)
        return booster.set_params(loss=LossFromMargin(self._start))


class LossFromMargin(HalfBinomialLoss):  # type: ignore[misc]
    """The logistic loss of raw predictions that are added to a margin.

    Args:
        margin: ``float64[n]`` of the rows in training, in their order.
    """

    def __init__(self, margin: NDArray[np.float64]) -> None:
        super().__init__()
        self.margin = np.asarray(margin, np.float64)

    def fit_intercept_only(self, y_true: object, sample_weight: object) -> NDArray[np.float64]:
        """``float64[1]``, 0: the margin is the start."""
        return np.zeros(1)

    def gradient_hessian(
        self, y_true: object, raw_prediction: NDArray[np.float64], **others: object
    ) -> object:
        """Both at the margin plus the raw predictions (``float64[n, 1]``)."""
        raw = np.ascontiguousarray(raw_prediction.reshape(-1) + self.margin)
        return super().gradient_hessian(y_true=y_true, raw_prediction=raw, **others)
