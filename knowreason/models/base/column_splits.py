"""What a model says of atoms, split over the columns of their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.factors.model_output import ColumnSplit
from knowreason.logic import Program
from knowreason.logic.value_texts import feature_texts
from knowreason.models.base.calibration import Calibration
from knowreason.models.base.model_protocol import KnowledgeModel
from knowreason.models.base.predicate_rows import PredicateRows, logit, rows_of

if TYPE_CHECKING:
    from knowreason.data import Dataset

Doubles = NDArray[np.float64]
NO_YES = ("no", "yes")


def ratio_columns(
    model: KnowledgeModel,
    data: Dataset,
    predicate: str,
    calibration: Calibration,
    ratios: NDArray[np.floating],
) -> Callable[[NDArray[np.int64]], ColumnSplit | None]:
    """How calibrated log-likelihood ratios split over columns, when somebody asks.

    A linear calibration multiplies the parts by its slope. One that is not is taken as the line
    from the average row to the row itself, so that the parts still add up.

    Args:
        model: fitted.
        data, predicate: of the ratios.
        calibration: what the model's own ratios went through.
        ratios: ``[n]`` after it.
    """
    return partial(_split, model, data, predicate, calibration, np.asarray(ratios, np.float64))


def _split(
    model: KnowledgeModel,
    data: Dataset,
    predicate: str,
    calibration: Calibration,
    ratios: Doubles,
    atoms: NDArray[np.int64],
) -> ColumnSplit | None:
    if ratios.ndim > 1 or data.program.is_number(predicate):
        return None
    split = model.split_columns(data, predicate, atoms)
    if split is None:
        return None
    base = float(logit(np.asarray(model.base_rate_)))
    moved = split.parts.sum(axis=1)
    start = calibration(split.average - base)
    far = np.abs(moved) > 1e-9
    slope = np.where(far, (ratios[atoms] - start) / np.where(far, moved, 1.0), 0.0)
    parts = split.parts * slope[:, None]
    return ColumnSplit(split.names, split.texts, parts, ratios[atoms] - parts.sum(axis=1))


def mean_split(splits: Sequence[ColumnSplit | None]) -> ColumnSplit | None:
    """The split of a mean of models; ``None`` where one of them has none."""
    every = [split for split in splits if split is not None]
    if not every or len(every) < len(splits):
        return None
    names = list(dict.fromkeys(name for split in every for name in split.names))
    rows = len(every[0].average)
    parts = np.zeros((rows, len(names)))
    texts = [[""] * len(names) for _ in range(rows)]
    for split in every:
        place = [names.index(name) for name in split.names]
        parts[:, place] += split.parts / len(every)
        for row, own in enumerate(split.texts):
            for at, text in zip(place, own, strict=True):
                texts[row][at] = text
    average = np.mean([split.average for split in every], axis=0)
    return ColumnSplit(tuple(names), tuple(map(tuple, texts)), parts, average)


def sample_of(rows: PredicateRows, most: int) -> NDArray[np.int64]:
    """Places of at most so many rows, evenly spread: what a row is compared with."""
    return np.unique(np.linspace(0, rows.count - 1, min(most, rows.count)).astype(np.int64))


def row_texts(
    program: Program, columns: FeatureTable, names: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """By row, the values of some columns as people write them."""
    chosen = columns.select(list(names))
    truths = {a.name for a in program.attributes if a.sort == "bool"}
    truths |= {p.name for p in program.predicates}
    truths |= {d.name for d in program.definitions if d.is_predicate or d.sort == "bool"}
    texts = []
    for name, values, categories in zip(names, chosen.values.T, chosen.categories, strict=True):
        categories = NO_YES if name in truths and categories is None else categories
        found = feature_texts(values, categories)
        texts.append(["missing" if text is None else text for text in found])
    return tuple(zip(*texts, strict=True)) if texts else tuple(() for _ in range(len(columns)))


def atom_rows(data: Dataset, predicate: str, atoms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of some atoms."""
    return rows_of(data, predicate).row_of_atom[atoms]
