"""Models judged only on rows they were not fitted on.

An overconfident model on its own training rows teaches the rules nothing, so the
reasoner learns from out-of-fold log-odds; where the split is by time the folds go
forward, because random folds overstate every model that knows the past.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from knowreason.data.id_tables import id_matrix
from knowreason.factors.model_output import ModelOutput
from knowreason.models.base.calibration import Calibration, Method, calibrate
from knowreason.models.base.model_protocol import KnowledgeModel, Progress, fit_model
from knowreason.models.base.predicate_rows import (
    UNKNOWN,
    PredicateRows,
    atoms_of,
    logit,
    rows_of,
)
from knowreason.row_keys import locate

if TYPE_CHECKING:
    from knowreason.data import Dataset

NO_FOLD = -1
NOT_CALIBRATED = (
    "not calibrated: the models of forward folds saw less than the final one, and a step that "
    "corrects theirs would inflate its log-odds"
)


@dataclass(frozen=True)
class CrossFit:
    """A model fitted on all labels, and what it would have said without each row's own.

    Attributes:
        output: out-of-fold ratios at labelled rows, the final model's elsewhere; 0 where
            a labelled row has no out-of-fold score. Where folds go forward, unlabelled rows
            are scored by the model of their time too: the final one has seen labels of their
            neighbours, and would make rules trust it more than it deserves. Those older than
            any fold's model are left to the final one: 0 would deny what is known of them.
        model: the final model, fitted on all visible labels.
        calibration: what the final model's log-odds go through.
        out_of_fold: ``bool[n_atoms]``, atoms whose ratio is out of fold.
        silent: ``bool[n_atoms]``, labelled atoms without an out-of-fold score: the rows of
            the first fold where folds go forward.
        report: sentences about folds, calibration and the fit.
        refitting: Kolmogorov distance of the final model's ratios from the out-of-fold ones
            on the same rows: scores move that far by fitting on other labels alone.

    >>> import knowreason as kr
    >>> data = kr.testing.example_data()
    >>> found = cross_fit(lambda: kr.models.make("column", {"column": "p"}), data, "Bad")
    >>> int(found.out_of_fold.sum()), found.predict(data).llr.shape
    (60, (120,))
    """

    output: ModelOutput
    model: KnowledgeModel
    calibration: Calibration
    out_of_fold: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    report: tuple[str, ...]
    refitting: float = 0.0

    def predict(self, data: Dataset) -> ModelOutput:
        """The final model's ratios on other data."""
        return predicted(
            self.model, data, self.output.predicate, self.output.model, self.calibration
        )


def cross_fit(
    make: Callable[[], KnowledgeModel],
    data: Dataset,
    predicate: str,
    *,
    name: str = "model",
    folds: int = 5,
    kind: str = "random",
    calibration: Method = "platt",
    seed: int = 0,
    progress: Progress | None = None,
) -> CrossFit:
    """A model fitted on all labels, and out-of-fold log-likelihood ratios of one a fold.

    Args:
        make: gives a new, unfitted model.
        data: with visible labels of the predicate; hidden ones are never read.
        predicate: what the model speaks of.
        name: the model's name in the program.
        folds: how many; fewer where there are fewer labelled rows.
        kind: ``"random"``, ``"forward"`` (in time: a fold's model sees earlier folds only,
            and the first fold has none) or ``"group:ATTRIBUTE"``.
        calibration: how log-odds are calibrated on out-of-fold rows; each fold by the other
            folds, the final model by all. Where folds go forward nothing is calibrated: their
            models saw less than the final one, so that an intercept which corrects them would
            inflate what it says.
        seed: of random folds.
        progress: called with fits done, fits to do, and a message.

    Returns:
        Everything the reasoner and ``predict`` need. Without labels there are no folds,
        and the model must need none.

    >>> import knowreason as kr
    >>> data = kr.testing.example_data()
    >>> cross_fit(lambda: kr.models.make("column", {"column": "p"}), data, "Bad").calibration.method
    'platt'
    """
    rows = rows_of(data, predicate)
    labels = LabelRows.of(data, rows, folds, kind, seed)
    forward = kind == "forward"
    tested = labels.order[1:] if forward or len(labels.order) == 1 else labels.order
    ratios, spreads = np.full(shape_of(rows), np.nan), np.full(shape_of(rows), np.nan)
    for done, fold in enumerate(tested):
        if progress is not None:
            progress(done, len(tested) + 1, f"{name}: fold {done + 1} of {len(tested)}")
        seen = labels.fold < fold if forward else labels.fold != fold
        model = fit_model(make(), labels.restricted(data, predicate, seen), predicate)
        in_fold = labels.scored_with == fold
        log_odds, spread = model.log_odds_and_spread(data, predicate)
        ratios[in_fold] = (log_odds - base_log_odds(model.base_rate_))[in_fold]
        if spread is not None:
            spreads[in_fold] = spread[in_fold]
    if progress is not None:
        progress(len(tested), len(tested) + 1, f"{name}: on all labels")
    final = fit_model(make(), data, predicate)
    if progress is not None:
        progress(len(tested) + 1, len(tested) + 1, f"{name}: done")
    held_out = HeldOutScores(
        rows, labels.fold_of_row, labels.scored_with, tested, forward, ratios, spreads
    )
    return _assembled(held_out, final, data, "none" if forward else calibration, name)


def predicted(
    model: KnowledgeModel,
    data: Dataset,
    predicate: str,
    name: str,
    calibration: Calibration | None = None,
) -> ModelOutput:
    """Log-likelihood ratios of a fitted model on any data, calibrated.

    >>> import knowreason as kr
    >>> data = kr.testing.example_data()
    >>> model = kr.models.make("column", {"column": "p"}).fit(data, "Bad")
    >>> predicted(model, data, "Bad", name="column").llr.shape
    (120,)
    """
    rows = rows_of(data, predicate)
    log_odds, spread = model.log_odds_and_spread(data, predicate)
    ratios = calibrated(
        log_odds - base_log_odds(model.base_rate_), model.base_rate_, calibration or Calibration()
    )
    parts = model.parts(data, predicate)
    return rows.output(name, ratios, model.base_rate_, spread, parts)


def calibrated(
    ratios: NDArray[np.floating],
    base_rate: float | NDArray[np.float64],
    calibration: Calibration,
) -> NDArray[np.float64]:
    """Ratios through a calibration; those of states still belong to probabilities after it."""
    changed = calibration(ratios)
    if changed.ndim == 1:
        return changed
    offset = base_log_odds(base_rate)
    total = np.logaddexp.reduce(changed + offset, axis=1, keepdims=True)
    return changed - total


def base_log_odds(base_rate: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of a base rate, or log-probabilities of the states' shares."""
    return np.log(base_rate) if np.ndim(base_rate) else logit(base_rate)


def shape_of(rows: PredicateRows) -> tuple[int, ...]:
    """Shape of a model's output."""
    return (rows.count,) if rows.classes is None else (rows.count, rows.states)


@dataclass(frozen=True)
class LabelRows:
    """Visible labels of a predicate and the fold of each.

    Attributes:
        fold: ``int32[n_labels]`` by row of the label table.
        fold_of_row: ``int32[n_rows]``, ``-1`` for a row without a label.
        scored_with: ``int32[n_rows]``, the fold whose model speaks of the row: its own, or
            where folds go forward that of its time; ``-1`` for the final model.
        order: folds that hold a labelled row, ascending.
    """

    fold: NDArray[np.int32]
    fold_of_row: NDArray[np.int32]
    scored_with: NDArray[np.int32]
    order: list[int]

    @staticmethod
    def of(data: Dataset, rows: PredicateRows, count: int, kind: str, seed: int) -> LabelRows:
        """Folds of the labels; a row of a functional predicate is never cut."""
        from knowreason.data.splits.holdout import folds

        fold_of_row = np.full(rows.count, NO_FOLD, np.int32)
        table = data.labels.get(rows.predicate)
        if table is None or not table.num_rows:
            return LabelRows(np.zeros(0, np.int32), fold_of_row, fold_of_row, [])
        span = atoms_of(data, rows.predicate)
        atoms = locate(span.arguments, id_matrix(table))
        fold = np.asarray(folds(data, rows.predicate, count, kind=kind, seed=seed), np.int32)
        row = np.where(atoms >= 0, rows.row_of_atom[atoms], -1)
        fold_of_row[row[row >= 0]] = fold[row >= 0]
        fold_of_row[rows.labels == UNKNOWN] = NO_FOLD
        fold = np.where(row >= 0, fold_of_row[row], fold)
        scored_with = by_time(rows, fold_of_row) if kind == "forward" else fold_of_row
        order = np.unique(fold_of_row[fold_of_row >= 0]).tolist()
        return LabelRows(fold, fold_of_row, scored_with, order)

    def restricted(self, data: Dataset, predicate: str, seen: NDArray[np.bool_]) -> Dataset:
        """The data with only the labels of the rows ``seen``.

        Definitions go on reading all of them: each reads labels from before its own time.
        """
        table = data.labels[predicate].filter(pa.array(seen))
        readable = data.labels if data.readable is None else data.readable
        return replace(data, labels={**data.labels, predicate: table}, readable=readable)


def by_time(rows: PredicateRows, fold_of_row: NDArray[np.int32]) -> NDArray[np.int32]:
    """``int32[n_rows]``: the fold of each row, for unlabelled ones the fold of their time."""
    if rows.time is None or len(np.unique(fold_of_row[fold_of_row >= 0])) < 2:
        return fold_of_row
    folds_seen = np.unique(fold_of_row[fold_of_row >= 0])
    starts = np.array([rows.time[fold_of_row == fold].min() for fold in folds_seen])
    latest_start = np.searchsorted(starts, rows.time, side="right") - 1
    return np.where(fold_of_row >= 0, fold_of_row, folds_seen[np.maximum(latest_start, 0)])


@dataclass(frozen=True)
class HeldOutScores:
    """What the fold models said of the rows they had not seen.

    Attributes:
        rows: the rows.
        fold_of_row: ``int32[n]`` of labelled rows, else ``-1``.
        scored_with: ``int32[n]``, see :class:`LabelRows`.
        tested: folds with out-of-fold scores, in order.
        forward: whether folds go forward in time.
        ratios, spreads: ``float64[n]`` or ``[n, K]``, NaN where there is none.
    """

    rows: PredicateRows
    fold_of_row: NDArray[np.int32]
    scored_with: NDArray[np.int32]
    tested: list[int]
    forward: bool
    ratios: NDArray[np.float64]
    spreads: NDArray[np.float64]

    def calibrations(
        self, method: Method, offset: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Calibration]:
        """Ratios, each fold calibrated by the others, and the calibration by all folds."""
        in_fold = np.isin(self.fold_of_row, self.tested)
        changed = self.ratios.copy()
        base = np.exp(offset) if offset.ndim else 1 / (1 + np.exp(-offset))
        for fold in self.tested:
            own = self.scored_with == fold
            by_others = self._fitted(in_fold & ~own, method, offset)
            changed[own] = calibrated(self.ratios[own], base, by_others)
        return changed, self._fitted(in_fold, method, offset)

    def _fitted(
        self, rows: NDArray[np.bool_], method: Method, offset: NDArray[np.float64]
    ) -> Calibration:
        return calibrate(self.ratios[rows], self.rows.labels[rows], method, offset)


def _assembled(
    held: HeldOutScores, final: KnowledgeModel, data: Dataset, method: Method, name: str
) -> CrossFit:
    rows, base = held.rows, final.base_rate_
    changed, calibration = held.calibrations(method, base_log_odds(base))
    log_odds, spread = final.log_odds_and_spread(data, rows.predicate)
    ratios = calibrated(log_odds - base_log_odds(base), base, calibration)
    labelled = rows.labels != UNKNOWN
    tested = np.isin(held.fold_of_row, held.tested)
    silent = labelled & ~tested
    scored = np.isin(held.scored_with, held.tested)
    refitting = 0.0
    if scored.any():
        refitting = float(ks_2samp(ratios[scored].ravel(), changed[scored].ravel()).statistic)
    ratios[scored] = changed[scored]
    ratios[silent] = 0.0
    if spread is not None:
        spread = np.where(np.isnan(held.spreads), spread, held.spreads)
    note = NOT_CALIBRATED if held.forward and held.tested else calibration.note
    report = [*final.report_, *([note] if note else [])]
    report.append(
        f"{int(tested.sum())} labelled rows scored out of {len(held.tested)} folds"
        + (", forward in time" if held.forward else "")
        + (f"; {int(silent.sum())} without such a score say nothing" if silent.any() else "")
    )
    return CrossFit(
        rows.output(name, ratios, base, spread, final.parts(data, rows.predicate)),
        final,
        calibration,
        tested[rows.row_of_atom],
        silent[rows.row_of_atom],
        tuple(report),
        refitting,
    )
