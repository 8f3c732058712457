"""A reasoner beside others: on one split, or on repeated ones with paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from math import nan, sqrt
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from knowreason.data import Dataset
from knowreason.data.arrow_types import ArrowTable
from knowreason.data.splits.holdout import fold_parts
from knowreason.data.splits.holdout import folds as folds_of
from knowreason.data.table_results import TableResult
from knowreason.errors import KnowreasonError, ProjectError
from knowreason.evaluate.baselines import log_odds_of
from knowreason.evaluate.evaluation import REASONER, Evaluation, evaluate_reasoner
from knowreason.logic import Program
from knowreason.metrics.metrics import DEFAULT_METRICS, evaluate
from knowreason.models import atoms_of, predicted
from knowreason.models.base.feature_columns import derived_features
from knowreason.models.tabular.wrapped_models import Sklearn
from knowreason.notebook.cells import first_lines, html_cell, html_lines, html_table, text_table
from knowreason.progress import Progress
from knowreason.reasoner.labels.asked_labels import only_query, with_hidden_labels
from knowreason.reasoner.reasoner import Reasoner

Floats = NDArray[np.float64]
BASELINES = {"logistic regression": "logistic", "random forest": "random_forest"}


@dataclass(frozen=True)
class Lead:
    """What the reasoner has over another row in a metric, over repeated splits.

    Attributes:
        row: the other.
        metric: which.
        mean: mean difference, the reasoner less the row; below 0 is better where lower is.
        low, high: 95 % interval.
        p: of the two-sided test that there is no difference.
        splits: how many have a figure for both.

    Example:
        >>> lead("trees", "roc_auc", np.array([0.1, 0.2, 0.15]), ratio=0.5).splits
        3
    """

    row: str
    metric: str
    mean: float
    low: float
    high: float
    p: float
    splits: int


def lead(row: str, metric: str, differences: Floats, ratio: float) -> Lead:
    """The mean of paired differences with the corrected resampled t test.

    Training parts of several splits share rows, so differences are not independent: their variance
    is counted ``1/n + ratio`` times instead of ``1/n`` (Nadeau & Bengio 2003; for repeated
    cross-validation Bouckaert & Frank 2004).

    Args:
        row, metric: what was compared.
        differences: ``float64[n]``, one a split; those that are not finite are left out.
        ratio: labels of a test part over labels of a training part.

    Example:
        >>> round(lead("trees", "roc_auc", np.array([0.1, 0.2, 0.15]), ratio=0.5).p, 3)
        0.081
    """
    found = differences[np.isfinite(differences)]
    count = len(found)
    mean = float(found.mean()) if count else nan
    if count < 2:
        return Lead(row, metric, mean, nan, nan, nan, count)
    error = sqrt((1 / count + ratio) * float(found.var(ddof=1)))
    reach = float(stdtrit(count - 1, 0.975)) * error
    statistic = abs(mean) / error if error else np.inf if mean else 0.0
    p = float(2 * stdtr(count - 1, -statistic))
    return Lead(row, metric, mean, mean - reach, mean + reach, p, count)


@dataclass(frozen=True, repr=False)
class CrossValidation(TableResult):
    """Metrics of the reasoner and of others on the test part of every split.

    Attributes:
        predicate: which.
        metrics: their names.
        repeat, fold: ``int64[n]`` of each split.
        trained, tested: ``int64[n]`` labels of its parts.
        figures: ``float64[n, metrics]`` by row; NaN where there is none.
        notes: why a row could not be made.

    Example:
        >>> two, half = np.arange(2), np.array([30, 30])
        >>> figures = {"reasoner": np.array([[0.9], [0.8]]), "trees": np.array([[0.7], [0.7]])}
        >>> CrossValidation("Bad", ("roc_auc",), two * 0, two, half, half, figures).leads()[0].row
        'trees'
    """

    predicate: str
    metrics: tuple[str, ...]
    repeat: NDArray[np.int64]
    fold: NDArray[np.int64]
    trained: NDArray[np.int64]
    tested: NDArray[np.int64]
    figures: Mapping[str, Floats]
    notes: tuple[str, ...] = field(default=())

    def leads(self, metric: str = "") -> tuple[Lead, ...]:
        """What the reasoner has over each other row in a metric, by default the first.

        A row that leads by chance is likely among many: ``p`` is of each comparison alone.
        """
        name = metric or self.metrics[0]
        at = self.metrics.index(name)
        ours = self.figures[REASONER][:, at]
        ratio = float(self.tested.sum() / max(self.trained.sum(), 1))
        return tuple(
            lead(row, name, ours - values[:, at], ratio)
            for row, values in self.figures.items()
            if row != REASONER
        )

    def to_arrow(self) -> ArrowTable:
        """One row a split and a row of the table: ``repeat``, ``fold``, ``trained``, ``tested``,
        ``row`` and a column a metric."""
        count, rows = len(self.fold), list(self.figures)
        values = np.concatenate([self.figures[row] for row in rows])
        columns = {
            name: np.tile(getattr(self, name), len(rows))
            for name in ("repeat", "fold", "trained", "tested")
        }
        figures = {name: values[:, at] for at, name in enumerate(self.metrics)}
        table: ArrowTable = pa.table(
            {**columns, "row": [row for row in rows for _ in range(count)], **figures}
        )
        return table

    def __repr__(self) -> str:
        return first_lines("\n".join([self._title(), text_table(*self._summary()), *self.notes]))

    def _repr_html_(self) -> str:
        return html_cell(self._title(), html_table(*self._summary()), html_lines(self.notes))

    def _title(self) -> str:
        return f"CrossValidation({self.predicate}: {len(self.fold)} splits)"

    def _summary(self) -> tuple[list[str], list[list[object]]]:
        """Means over splits, and the lead in the first metric."""
        leads = {one.row: one for one in self.leads()}
        rows: list[list[object]] = []
        for name in (REASONER, *leads):
            values = self.figures[name]
            known = np.isfinite(values)
            count = np.where(known.any(axis=0), known.sum(axis=0), nan)
            shown = (np.where(known, values, 0).sum(axis=0) / count).tolist()
            one = leads.get(name)
            led: list[object] = ["", ""]
            if one is not None:
                led = [f"{one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]", one.p]
            rows.append([name, *shown, *led])
        return ["", *self.metrics, f"lead in {self.metrics[0]}", "p"], rows


def compare(
    reasoner: Reasoner | Program,
    training: Dataset,
    test: Dataset,
    predicate: str | None = None,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    by: str = "",
    ablate: bool = True,
    seed: int = 0,
) -> Evaluation:
    """What ``knowreason eval`` tells of one split: the reasoner beside models alone, stacking,
    boosted trees and itself with a rule left out, and a verdict.

    Args:
        reasoner: fitted on ``training``, or unfitted, or a program (then a copy is fitted).
        training: what is learned from.
        test: with labels held back; where none are, all are.
        predicate: which; may be left out where only one is asked.
        metrics: names for :func:`knowreason.metrics.metrics.metric`.
        by: attribute whose values are the blocks of the bootstrap and the slices.
        ablate: also leave each rule out.
        seed: of the bootstrap.

    Raises:
        ProjectError: KR919 where there is no label to measure by, KR912 for a numeric query.

    Example:
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=20, payments=0)
        >>> training, test = data.split_random("Bad", test=0.5)
        >>> found = compare(data.program, training, test, "Bad", metrics=["brier"])
        >>> [row for row in found.table if row != "reasoner"]
        ['boosted trees (own features)', 'boosted trees (+ definitions)']
    """
    fitted = _own(reasoner)
    name = _truths(fitted.program, predicate)
    test = with_hidden_labels(test)
    if not test.hidden[name].num_rows:
        raise ProjectError("no label is held back, so nothing can be measured", code="KR919")
    if not hasattr(fitted, "fit_"):
        fitted.fit(training)
    beliefs = fitted.infer(test)
    return evaluate_reasoner(
        fitted, training, beliefs, name, metrics=metrics, by=by, ablate=ablate, seed=seed
    )


def cross_validate(
    reasoner: Reasoner | Program,
    data: Dataset,
    predicate: str | None = None,
    *,
    folds: int = 5,
    repeats: int = 1,
    groups: str = "",
    metrics: Sequence[str] = DEFAULT_METRICS,
    baselines: Mapping[str, Any] = BASELINES,
    ablate: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> CrossValidation:
    """Metrics over folds of the visible labels, each held back in turn, repeated with other folds.

    The rows of :func:`compare` and scikit-learn baselines see the same parts, so their figures are
    paired. Facts and the other labels stay visible, as they are in use. Where time matters,
    ``Dataset.split_by`` and :func:`compare`, or :func:`.prequential`, measure what use will be.

    Args:
        reasoner: its settings count; it is fitted anew for every split, on a copy.
        data: with labels; those that are held back already take no part.
        predicate: which; may be left out where only one is asked.
        folds: how many.
        repeats: how often folds are drawn.
        groups: attribute; labels of things with one value of it stay in one fold.
        metrics: names for :func:`knowreason.metrics.metrics.metric`.
        baselines: by name, a scikit-learn classifier or its short name, which sees features,
            attributes and definitions of the predicate's things.
        ablate: also leave each rule out.
        seed: of folds and of baselines named.
        progress: called as ``progress(done, total, message)``.

    Raises:
        ProjectError: KR912 for a numeric query.
        DataError: KR519 for fewer than two folds or an attribute that makes no groups.

    Example:
        >>> from knowreason.testing import example_data
        >>> data = example_data(nodes=40, payments=0)
        >>> baselines = {"naive Bayes": "naive_bayes"}
        >>> found = cross_validate(data.program, data, "Bad", folds=2, baselines=baselines)
        >>> [one.row for one in found.leads()][-1]
        'naive Bayes'
    """
    fitted = _own(reasoner)
    name = _truths(fitted.program, predicate)
    kind = f"group:{groups}" if groups else "random"
    splits: list[tuple[int, int, int, int]] = []
    found: list[dict[str, list[float]]] = []
    notes: dict[str, None] = {}
    for repeat in range(repeats):
        fold = folds_of(data, name, folds, kind, seed + repeat)
        for one in range(folds):
            if progress is not None:
                progress(len(splits), folds * repeats, f"fold {one + 1} of repeat {repeat + 1}")
            training, test = fold_parts(data, name, fold == one)
            fitted.fit(training)
            ran = compare(fitted, training, test, name, metrics=metrics, ablate=ablate, seed=seed)
            rows = {**ran.table, **ran.ablation}
            rows |= _baselines(baselines, training, test, ran, metrics, seed, notes)
            found.append({row: [e.value for e in got.values()] for row, got in rows.items()})
            notes |= dict.fromkeys(note for note in ran.notes if "not made" in note)
            splits.append((repeat, one, int((fold != one).sum()), len(ran.truth)))
    if progress is not None:
        progress(len(splits), len(splits), "done")
    drawn, parts, trained, tested = np.array(splits, dtype=np.int64).reshape(-1, 4).T
    unknown = [nan] * len(metrics)
    figures = {
        row: np.array([got.get(row, unknown) for got in found])
        for row in dict.fromkeys(row for got in found for row in got)
    }
    return CrossValidation(
        name, tuple(metrics), drawn, parts, trained, tested, figures, tuple(notes)
    )


def _own(reasoner: Reasoner | Program) -> Reasoner:
    """One that may be fitted."""
    return Reasoner(reasoner) if isinstance(reasoner, Program) else copy(reasoner)


def _truths(program: Program, predicate: str | None) -> str:
    name = predicate or only_query(program)
    if program.is_number(name):
        raise ProjectError(
            f"`{name}` is a number",
            code="KR912",
            help="`Reasoner.score` measures what is estimated of it",
        )
    return name


def _baselines(
    baselines: Mapping[str, Any],
    training: Dataset,
    test: Dataset,
    ran: Evaluation,
    metrics: Sequence[str],
    seed: int,
    notes: dict[str, None],
) -> dict[str, Mapping[str, Any]]:
    """A row a baseline, for the atoms of an evaluation."""
    scores = {}
    span = atoms_of(test, ran.predicate)
    for name, estimator in baselines.items():
        try:
            model = Sklearn(estimator, derived_features(training, ran.predicate), seed=seed)
            model.fit(training, ran.predicate)
            output = predicted(model, test, ran.predicate, name)
        except KnowreasonError as error:
            notes[f"{name}: not made, {error.diagnostics[0].message}"] = None
            continue
        scores[name] = log_odds_of(output, span)[ran.atoms - span.start]
    return dict(evaluate(ran.truth, scores, metrics, resamples=0))
