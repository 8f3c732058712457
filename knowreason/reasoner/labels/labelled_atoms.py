"""Labelled atoms of a query predicate: what answers are compared on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, logit

from knowreason.factors import OPEN
from knowreason.grounding import Grounding
from knowreason.models.base.calibration import Calibration, calibrate
from knowreason.models.base.label_rows import LabelRows, row_groups
from knowreason.models.base.predicate_rows import rows_of
from knowreason.models.base.stored_models import FittedModel
from knowreason.project.settings import Settings
from knowreason.reasoner.labels.fold_groups import FoldGroups
from knowreason.reasoner.labels.label_selection import Selection

Vector = NDArray[np.float64]
FEWEST_CLUSTERS = 2


@dataclass(frozen=True)
class LabelledAtoms:
    """The labelled atoms of a Boolean query predicate, and what is known about their folds.

    Attributes:
        predicate: which.
        atoms: ``int64[n]`` in the grounding.
        labels: ``int[n]``, 0 or 1.
        fold, cluster: ``int[n]``.
        clusterings: ``int[n]`` by what a cluster is called: what has to tell candidates apart. The
            clusters, and unless the user named these each argument of which several rows share a
            value.
        base: log-odds of the base rate in the population.
        drawn: log-odds that labelled atoms have more than others by how they were drawn.
        matched: whether out-of-fold scores come from models as strong as the deployed ones.
        models: all that speak of it.
    """

    predicate: str
    atoms: NDArray[np.int64]
    labels: NDArray[np.int8]
    fold: NDArray[np.int32]
    cluster: NDArray[np.int64]
    clusterings: Mapping[str, NDArray[np.int64]]
    base: float
    drawn: float
    matched: bool
    models: tuple[FittedModel, ...]

    @property
    def folds(self) -> list[int]:
        """The folds that hold a label."""
        return [int(fold) for fold in np.unique(self.fold)]

    def calibration(self, log_odds: Vector, rows: NDArray[np.bool_] | slice) -> Calibration:
        """Of log-odds (``float64[n]``), learned on some of the atoms."""
        ratios, labels = log_odds[rows] - self.base, self.labels[rows]
        return calibrate(ratios, labels, "platt", self.base + self.drawn, self.cluster[rows])

    def losses(self, log_odds: Vector, *, calibrated: bool = False) -> Vector:
        """``float64[n]``: surprise of each label, minus its log probability.

        Args:
            log_odds: ``float64[n]`` in the population.
            calibrated: whether they are already; else each fold is calibrated by the others.
        """
        if not calibrated:
            changed = np.empty(len(log_odds))
            for fold in self.folds:
                own = self.fold == fold
                change = self.calibration(log_odds, ~own)
                changed[own] = change(log_odds[own] - self.base) + self.base
            log_odds = changed
        drawn = log_odds + self.drawn
        return np.asarray(-np.where(self.labels == 1, log_expit(drawn), log_expit(-drawn)))


def labelled_atoms(
    grounding: Grounding,
    predicate: str,
    models: tuple[FittedModel, ...],
    groups: FoldGroups,
    kind: str,
    settings: Settings,
    seed: int,
    selection: Selection | None = None,
) -> LabelledAtoms | None:
    """The labelled atoms of a predicate, ``None`` without both kinds in two folds and clusters."""
    data, span = grounding.data, grounding.span(predicate)
    rows = rows_of(data, predicate)
    question = grounding.program.question_of  # models of views answer the same
    speaking = tuple(model for model in models if question(model.predicate) == predicate)
    labels = grounding.labels[span.start : span.stop].copy()
    open_atoms = grounding.graph.evidence.numpy()[span.start : span.stop] == OPEN
    labels[~open_atoms] = OPEN
    for model in speaking:
        labels[model.fitted.silent] = OPEN
    chosen = np.flatnonzero(labels != OPEN)
    if len(np.unique(labels[chosen])) < 2 or settings.labels == "none":
        return None
    group, groups_are = groups.of(data, predicate)
    dealt = LabelRows.of(data, rows, settings.fold_count, kind, seed, group)
    known = kind == "random" and group is not None
    of_rows = row_groups(data, rows, "grouped" if known or kind == "forward" else kind, group)
    cluster = of_rows[chosen].astype(np.int64)
    clusterings = {groups_are: cluster}
    if not groups.named:
        clusterings |= _by_argument(grounding, predicate, chosen)
    if len(dealt.order) < 2 or len(np.unique(cluster)) < FEWEST_CLUSTERS:
        return None
    rates = [model.fitted.output.base_rate for model in speaking]
    share = labels[chosen].mean() if selection is None else selection.prevalence
    base = float(np.mean(logit(np.asarray(rates)))) if rates else float(logit(share))
    matched = all(model.fitted.matched for model in speaking)
    fold = np.searchsorted(dealt.order, dealt.fold_of_row[chosen]).astype(np.int32)
    return LabelledAtoms(
        predicate,
        chosen + span.start,
        labels[chosen],
        fold,
        cluster,
        clusterings,
        base,
        0.0 if selection is None else selection.shift,
        matched,
        speaking,
    )


def _by_argument(
    grounding: Grounding, predicate: str, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """The values of each argument that some but not all of the rows share, by what they are."""
    arguments = grounding.program.predicate(predicate).arguments
    found = {}
    for argument, values in zip(
        arguments, grounding.span(predicate).arguments[rows].T, strict=True
    ):
        if 1 < len(np.unique(values)) < len(rows):
            found[f"values of `{argument.name or argument.sort}`"] = values.astype(np.int64)
    return found
