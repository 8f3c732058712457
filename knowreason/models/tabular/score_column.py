"""Scores that are in the data already: somebody else's model, a blacklist, an anomaly score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from knowreason.errors import ModelError, did_you_mean
from knowreason.models.base.calibration import Calibration, calibrated, fit_anomaly
from knowreason.models.base.model_protocol import KnowledgeModel, Progress
from knowreason.models.base.predicate_rows import PredicateRows, atoms_of, rows_of
from knowreason.models.tabular.wrapped_models import as_log_odds, mean_rate
from knowreason.row_keys import locate

if TYPE_CHECKING:
    from typing import Self

    from knowreason.data import Dataset


@dataclass(eq=False, repr=False)
class ColumnModel(KnowledgeModel):
    """A column of scores of the data; an atom without a score is said nothing about.

    Args:
        column: name of the column.
        kind: ``"probability"``, ``"log_odds"``, or ``"anomaly"``: unbounded, higher is
            more likely true, calibrated on the visible labels, or without labels on
            ``contamination``.
        contamination: assumed share of positives among unlabelled anomaly scores.
        separation: assumed distance, in standard deviations, between the anomaly scores
            of positives and negatives; by default estimated from the scores.
        calibrate: how anomaly scores meet labels.
        base_rate: base rate of the model behind the column; by default the mean of its
            probabilities, which for a calibrated model is the same.
    """

    registered_as = "column"
    reads = "named"
    of_one_row = True
    needs_labels = False

    column: str
    kind: Literal["probability", "log_odds", "anomaly"] = "probability"
    contamination: float = 0.05
    separation: float | None = None
    calibrate: Literal["platt", "isotonic"] = "platt"
    base_rate: float | None = None

    @property
    def learns(self) -> bool:  # type: ignore[override]  # of each model its own
        """Whether labels change what it says: only where they calibrate an anomaly score."""
        return self.kind == "anomaly"

    def fit(self, data: Dataset, predicate: str, *, progress: Progress | None = None) -> Self:
        """Calibrate an anomaly score and find the base rate.

        Raises:
            ModelError: KR824 for no such column, KR825 for an anomaly score of a
                functional predicate, KR809 for a probability outside 0 to 1.
        """
        rows = rows_of(data, predicate)
        self.calibration_ = Calibration().to_values()
        self.report_ = ()
        if self.kind == "anomaly":
            self._calibrate(data, rows)
        elif self.base_rate is not None:
            self.base_rate_ = self.base_rate
        else:
            self.base_rate_ = mean_rate(self._given(data, rows), rows)
            self.report_ = (f"base rate of `{self.column}` taken from its own mean",)
        return self

    def log_odds(self, data: Dataset, predicate: str) -> NDArray[np.float32]:
        """The column as log-odds; the base rate where an atom has no score."""
        rows = rows_of(data, predicate)
        given = self._given(data, rows)
        scores = calibrated(self.calibration_, given, rows, self.base_rate_)
        return rows.checked(scores, f"column {self.column}")

    def _calibrate(self, data: Dataset, rows: PredicateRows) -> None:
        if rows.classes is not None:
            raise ModelError(
                f"`{rows.predicate}` is functional: an anomaly score cannot choose a state",
                code="KR825",
                help='give probabilities of the states: `kind="probability"`',
            )
        calibration, self.base_rate_ = fit_anomaly(
            self._given(data, rows), rows, self.calibrate, self.contamination, self.separation
        )
        self.calibration_, self.report_ = calibration.to_values(), (calibration.note,)

    def _given(self, data: Dataset, rows: PredicateRows) -> NDArray[np.float64]:
        """The column by row (and state), in log-odds unless it is an anomaly score."""
        scores = _by_atom(data, rows.predicate, self.column)
        if rows.classes is None:
            given = scores
        else:
            given = np.full((rows.count, rows.states), np.nan)
            given[rows.row_of_atom, rows.state_of_atom] = scores
        if self.kind == "probability":
            given = as_log_odds(given, f"column `{self.column}`", rows)
        if rows.classes is not None:
            given = _completed(given, rows)
        return given


def _by_atom(data: Dataset, predicate: str, column: str) -> NDArray[np.float64]:
    """The column in the order of the atoms, NaN where an atom has no score."""
    span = atoms_of(data, predicate)
    given = data.scores.get(predicate)
    columns = {} if given is None else given.values
    if given is None or column not in columns:
        raise ModelError(
            f"`{predicate}` has no column of scores `{column}`",
            code="KR824",
            help=did_you_mean(column, columns) or f"it has: {', '.join(columns) or 'none'}",
        )
    if np.array_equal(span.arguments, given.arguments):
        return columns[column]
    scores = np.full(span.count, np.nan)
    atoms = locate(span.arguments, given.arguments)
    scores[atoms[atoms >= 0]] = columns[column][atoms >= 0]
    return scores


def _completed(given: NDArray[np.float64], rows: PredicateRows) -> NDArray[np.float64]:
    """Log-probabilities of all states: absent ones share what the given ones leave."""
    absent = np.isnan(given)
    left = np.clip(1.0 - np.nansum(np.exp(np.where(absent, -np.inf, given)), axis=1), 1e-6, 1.0)
    share = np.log(left / np.maximum(absent.sum(axis=1), 1))
    filled = np.where(absent, share[:, None], given)
    filled -= np.logaddexp.reduce(filled, axis=1, keepdims=True) if rows.states else 0.0
    filled[absent.all(axis=1)] = np.nan
    return filled
