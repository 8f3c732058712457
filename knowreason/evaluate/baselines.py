"""What anyone would try first: the rows that stand beside the reasoner in every table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from knowreason.beliefs.beliefs import Beliefs, said
from knowreason.data import Dataset
from knowreason.errors import KnowreasonError
from knowreason.factors import OPEN, AtomSpan
from knowreason.factors.model_output import ModelOutput
from knowreason.factors.neighbours import neighbour_means
from knowreason.grounding import Grounding
from knowreason.models import make, predicted
from knowreason.models.base.feature_columns import derived_features

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class SplitSide:
    """Models' ratios and truth of a predicate's atoms on one side of a split.

    Attributes:
        ratios: ``float64[n, m]``, one column a model.
        neighbours: ``float64[n, m]``, means over atoms that share a factor or an unknown.
        atoms: ``int64[n]`` within the span of the predicate.
        truth: ``bool[n]``.
    """

    ratios: NDArray[np.float64]
    neighbours: NDArray[np.float64]
    atoms: NDArray[np.int64]
    truth: NDArray[np.bool_]


def baseline_scores(
    predicate: str,
    training: Grounding,
    training_labels: NDArray[np.int8],
    training_outputs: tuple[ModelOutput, ...],
    beliefs: Beliefs,
    asked: NDArray[np.int64],
    drawn: float = 0.0,
) -> tuple[dict[str, Scores], tuple[str, ...]]:
    """Log-odds of each baseline for the asked atoms.

    Args:
        predicate: query predicate; of a functional one each state is an atom.
        training: grounding that was learned from.
        training_labels: ``int8[n]`` labels that were learned from.
        training_outputs: out-of-fold outputs on the training data.
        beliefs: about the test data.
        asked: atoms to score.
        drawn: log-odds that labelled atoms have more than others by how they were drawn; taken
            off baselines that learn from them.

    Returns:
        Scores by name, and notes about baselines that could not be made.
    """
    span = beliefs.grounding.span(predicate)
    question = training.program.question_of  # models of views answer the same
    outputs = [output for output in beliefs.outputs if question(output.predicate) == predicate]
    fitted = [output for output in training_outputs if question(output.predicate) == predicate]
    local = asked - span.start
    scores = {
        f"model {output.model}" + f" ({output.predicate})" * (output.predicate != predicate): (
            log_odds_of(output, span)[local]
        )
        for output in outputs
    }
    if len(outputs) > 1:
        ratios = np.stack([output.llr for output in outputs], axis=1).astype(np.float64)
        scores["average of models"] = ratios.mean(axis=1)[local]
    labels = training_labels[training.span(predicate).start : training.span(predicate).stop]
    labelled = np.flatnonzero(labels != OPEN)
    notes: list[str] = []
    learned: dict[str, Scores] = {}
    if len(np.unique(labels[labelled])) == 2:
        if fitted:
            past = side(training, predicate, fitted, labelled, labels[labelled] == 1)
            none = np.zeros(len(local), bool)
            now = side(beliefs.grounding, predicate, outputs, local, none)
            learned |= stacked(past, now)
        learned |= _trees(training.data, beliefs.grounding.data, span, local, notes)
    scores |= {name: score - drawn for name, score in learned.items()}
    return scores, tuple(notes)


def log_odds_of(output: ModelOutput, span: AtomSpan) -> Scores:
    """``float64[n]``: log-odds of each atom alone, of a functional predicate's states too."""
    values = said(output, span)
    if span.functional_position is None:
        return values
    return np.asarray(values - np.log1p(-np.exp(np.minimum(values, -1e-6))))


def side(
    grounding: Grounding,
    predicate: str,
    outputs: list[ModelOutput],
    atoms: NDArray[np.int64],
    truth: NDArray[np.bool_],
) -> SplitSide:
    """Ratios and neighbour means of some atoms."""
    ratios = np.stack([output.llr for output in outputs], axis=1).astype(np.float64)
    views = map(grounding.span, grounding.program.views_of(predicate))
    means = neighbour_means(grounding.graph, grounding.span(predicate), ratios, views)
    return SplitSide(ratios[atoms], means[atoms], atoms, truth)


def stacked(past: SplitSide, now: SplitSide) -> dict[str, Scores]:
    """Logistic regression on the ratios, without and with neighbours' means."""
    both = (
        np.concatenate([past.ratios, past.neighbours], axis=1),
        np.concatenate([now.ratios, now.neighbours], axis=1),
    )
    return {
        "stacking (logistic)": _logistic(past.ratios, past.truth, now.ratios),
        "stacking + neighbours' mean": _logistic(both[0], past.truth, both[1]),
    }


def _logistic(
    past: NDArray[np.float64], truth: NDArray[np.bool_], now: NDArray[np.float64]
) -> Scores:
    model = LogisticRegression(max_iter=1000).fit(past, truth)
    return np.asarray(model.decision_function(now), dtype=np.float64)


def _trees(
    training: Dataset,
    test: Dataset,
    span: AtomSpan,
    local: NDArray[np.int64],
    notes: list[str],
) -> dict[str, Scores]:
    wanted: Mapping[str, tuple[str, ...] | None] = {
        "boosted trees (own features)": None,
        "boosted trees (+ definitions)": derived_features(training, span.predicate),
    }
    scores: dict[str, Scores] = {}
    for name, features in wanted.items():
        try:
            model = make("trees", {"features": features, "hops": 0})
            model.fit(training, span.predicate)
            output = predicted(model, test, span.predicate, "trees")
            scores[name] = log_odds_of(output, span)[local]
        except KnowreasonError as error:
            notes.append(f"{name}: not made, {error.diagnostics[0].message}")
    return scores
