"""Numeric queries: models cross-fitted to numbers, and data sets that hold what they estimate.

A numeric query is no random variable of the factor graph. Its model is fitted first and its
estimates become the values of an attribute, which rules, definitions and models of predicates
read like any other: those of labelled rows are out of fold, so that rules are not learned on
values that have seen the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import argument_columns
from knowreason.data import Dataset
from knowreason.data.id_tables import VALUE, id_matrix, id_table
from knowreason.errors import ModelError
from knowreason.factors.model_output import ModelOutput
from knowreason.logic import Program
from knowreason.models import Calibration, KnowledgeModel
from knowreason.models.base.crossfit import FOLDS, SHARES, CrossFit, Deploy
from knowreason.models.base.feature_columns import looked_up
from knowreason.models.base.fold_mean import FoldMean
from knowreason.models.base.label_rows import LabelRows
from knowreason.models.base.model_protocol import fit_model
from knowreason.models.base.predicate_rows import UNKNOWN, atoms_of, rows_of
from knowreason.models.base.stored_models import FittedModel
from knowreason.progress import Progress
from knowreason.row_keys import locate


def cross_fit_numbers(
    make: Callable[[], KnowledgeModel],
    data: Dataset,
    query: str,
    *,
    name: str = "model",
    folds: int = FOLDS,
    kind: str = "grouped",
    groups: NDArray[np.integer] | None = None,
    groups_are: str = "rows",
    deploy: Deploy = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> CrossFit:
    """A model fitted to a numeric query, and its out-of-fold estimates.

    Arguments are those of :func:`knowreason.models.cross_fit`. Nothing is calibrated, and however
    few labels there are the mean of the fold models is deployed (unless folds go forward or
    ``deploy`` or the model's size ask for one fit): errors out of fold are then those of models
    no stronger than it.

    Returns:
        ``output.llr`` are estimates, NaN (missing) where a labelled row has none out of fold;
        ``error`` is their root mean squared error out of fold.

    Raises:
        ModelError: KR820 for fewer than two labels or groups, KR883 for a model of truths.
    """
    rows = rows_of(data, query)
    assert rows.numbers is not None
    labels = LabelRows.of(data, rows, folds, kind, seed, groups)
    if len(labels.order) < 2:
        raise ModelError(
            f"`{name}` has {len(rows.labelled)} labels of `{query}`"
            + f" in one of the {groups_are}" * (len(rows.labelled) > 1),
            code="KR820",
            help="bind more labels: each is estimated by a model that has not seen it",
        )
    forward = kind == "forward"
    tested = labels.order[1:] if forward else labels.order
    blank = make()
    refit = forward or deploy == "refit" or (deploy == "auto" and blank.heavy)
    models, values = [], np.full(rows.count, np.nan)
    for done, fold in enumerate(tested):
        seen = labels.fold < fold if forward else labels.fold != fold
        model = fit_model(make(), labels.restricted(data, query, seen), query)
        in_fold = labels.scored_with == fold
        values[in_fold] = model.log_odds(data, query)[in_fold]
        models.append(model)
        if progress is not None:
            progress(done + 1, len(tested) + refit, f"{name} for {query}: fold {done + 1}")
    final = fit_model(blank, data, query) if refit else FoldMean(tuple(models))
    scored = np.isin(labels.fold_of_row, tested)
    silent = np.isin(np.arange(rows.count), rows.labelled) & ~scored
    values = np.where(np.isnan(values), final.log_odds(data, query), values)
    values[silent] = np.nan
    error = float(np.sqrt(np.mean((values - rows.numbers)[scored] ** 2)))
    share = SHARES.get(len(models), f"1/{len(models)}")
    report = [
        *final.report_,
        "final model: fitted on all labels"
        if refit
        else f"final model: mean of {len(models)}, each without {share} of the {groups_are}",
        f"{int(scored.sum())} labelled rows estimated out of {len(tested)} folds"
        + (", forward in time" if forward else "")
        + f": off by {error:.3g} (standard deviation of labels {np.nanstd(rows.numbers):.3g})",
    ]
    lost = data.labels[query].num_rows - len(rows.labelled)
    if lost:
        report.append(f"{lost} labels are outside of `within` and not seen")
    if silent.any():
        report.append(f"{int(silent.sum())} without such an estimate have no value for rules")
    said = ModelOutput(name, query, values.astype(np.float32), float("nan"))
    return CrossFit(said, final, Calibration(), scored, silent, tuple(report), error=error)


def only_numbers(program: Program, wanted: bool) -> Program:
    """The program with the models of numeric queries only, or of predicates only."""
    models = (
        replace(
            model, predicates=tuple(p for p in model.predicates if program.is_number(p) is wanted)
        )
        for model in program.models
    )
    return replace(program, models=tuple(model for model in models if model.predicates))


def with_estimates(
    data: Dataset, models: Sequence[FittedModel], *, training: bool = False
) -> Dataset:
    """The data with the values of numeric queries, which rules, definitions and models read.

    Args:
        data: what is estimated about; the ``training`` data give what was said out of fold.
        models: fitted to numeric queries.
        training: whether ``data`` are those the models were fitted on.
    """
    tables = {}
    for model in models:
        output = model.fitted.output if training else model.fitted.predict(data)
        values = output.llr.astype(np.float64)
        known = ~np.isnan(values)
        arguments = atoms_of(data, model.predicate).arguments[known]
        tables[model.predicate] = id_table(list(arguments.T), pa.array(values[known]))
    return replace(data, attributes={**data.attributes, **tables}) if tables else data


def hidden_numbers(
    data: Dataset, query: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Rows of a numeric query that are asked and have a held-back label, the labels, and what the
    data say is estimated (:func:`with_estimates`)."""
    rows = rows_of(data, query)
    table = data.hidden[query]
    at = locate(rows.things, id_matrix(table))
    inside = (at >= 0) if rows.asked is None else (at >= 0) & rows.asked[at]
    at, truth = at[inside], table.column(VALUE).to_numpy()[inside].astype(np.float64)
    said = looked_up(data, query, rows.things[at]).values[:, 0].astype(np.float64)
    return at, truth, said


def estimates_table(data: Dataset, model: FittedModel) -> pa.Table:
    """What a model estimates of a numeric query where no label is known: its arguments by name,
    ``value``, and ``sd``, the standard deviation of its errors out of fold; highest first."""
    rows = rows_of(data, model.predicate)
    wanted = rows.labels == UNKNOWN if rows.asked is None else (rows.labels == UNKNOWN) & rows.asked
    columns = argument_columns(data, model.predicate, rows.things[wanted])
    values = model.fitted.predict(data).llr[wanted].astype(np.float64)
    columns["value"] = pa.array(values)
    columns["sd"] = pa.array(np.full(len(values), model.fitted.error))
    return pa.table(columns).sort_by([("value", "descending")])
