"""``eval`` of a numeric query: the model's estimates beside the mean of the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.inference.quality_summary import QualitySummary
from knowreason.metrics.intervals import Estimate
from knowreason.metrics.numeric_metrics import evaluate_numbers
from knowreason.models.base.predicate_rows import rows_of
from knowreason.reasoner.fitting.numeric_fits import hidden_numbers
from knowreason.reasoner.labels.fold_groups import FoldGroups
from knowreason.reasoner.reasoner import Reasoner

MEAN = "mean of the training labels"


@dataclass(frozen=True)
class NumericEvaluation:
    """Errors of a model's estimates of a numeric query, and of the mean.

    Attributes:
        predicate: the numeric query.
        truth: ``float64[n]`` held-back labels.
        estimates: ``float64[n]`` by name.
        table: ``table[name][metric]``.
        blocks: ``int64[n]`` block of each label, where intervals are by block.
        notes: what the reader must know.
    """

    predicate: str
    truth: NDArray[np.float64]
    estimates: Mapping[str, NDArray[np.float64]]
    table: Mapping[str, Mapping[str, Estimate]]
    blocks: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def quality(self) -> QualitySummary:
        """Of marginals: there are none."""
        return QualitySummary()


def evaluate_query(
    reasoner: Reasoner,
    training: Dataset,
    beliefs: Beliefs,
    query: str,
    *,
    by: str = "",
    seed: int = 0,
) -> NumericEvaluation | None:
    """Figures of a numeric query on a test part; ``None`` where no label of it is held back.

    Args:
        reasoner: fitted.
        training: what it was fitted on.
        beliefs: its beliefs about the test part.
        query: the numeric query.
        by: attribute whose values are the blocks of the bootstrap; else ``clusters``.
        seed: of the bootstrap.
    """
    model = next(m for m in reasoner.estimates_ if m.predicate == query)
    data = beliefs.grounding.data
    rows, truth, said = hidden_numbers(data, query)
    if not len(rows):
        return None
    labels = rows_of(training, query).numbers
    assert labels is not None
    estimates = {MEAN: np.full(len(rows), np.nanmean(labels)), model.name: said}
    groups = FoldGroups.of_numbers(data, by or reasoner.settings.clusters).atoms.get(query)
    blocks = None if groups is None else groups[rows]
    expected = (
        f"off by {model.fitted.error:.3g} was expected: the error out of fold on training labels"
    )
    table = evaluate_numbers(truth, estimates, blocks=blocks, seed=seed)
    return NumericEvaluation(query, truth, estimates, table, blocks, (expected,))
