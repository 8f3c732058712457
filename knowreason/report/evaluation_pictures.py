"""Pictures of an evaluation by file name, each with a text for those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.evaluate.evaluation import REASONER, Evaluation, expected_note
from knowreason.metrics.metrics import CalibrationCurve, metric
from knowreason.report.curves import (
    calibration_figure,
    precision_recall_figure,
    scores_figure,
    slices_figure,
)
from knowreason.report.svg import described, svg_text

MOST_SCORES = 4  # beside the reasoner


def pictures_of(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    """SVG text of every picture by file name, the predicate's name last."""
    return {
        name: svg for evaluation in evaluations for name, svg in _pictures_of(evaluation).items()
    }


def belong_to(evaluation: Evaluation, names: Sequence[str]) -> list[str]:
    """Those of the file names that are pictures of an evaluation."""
    own = {f"{kind}_{evaluation.predicate}.svg" for kind in KINDS}
    return [name for name in names if name in own]


KINDS = ("calibration", "precision_recall", "scores", "slices")


def _pictures_of(evaluation: Evaluation) -> dict[str, str]:
    name, truth = evaluation.predicate, evaluation.truth
    said = log_odds = evaluation.scores[REASONER]
    found = {
        "calibration": described(
            svg_text(calibration_figure(evaluation.curve)),
            f"Calibration of {name}",
            f"{calibration_text(evaluation.curve)} {expected_note(truth, log_odds)}.",
        )
    }
    if truth.any():
        found["precision_recall"] = described(
            svg_text(precision_recall_figure(truth, _shown(evaluation), REASONER)),
            f"Precision and recall of {name}",
            _precision_text(truth, said),
        )
    if len(truth):
        found["scores"] = described(
            svg_text(scores_figure(truth, log_odds)),
            f"Probabilities of {name}, the true and the false",
            _scores_text(truth, log_odds),
        )
    ranking = [
        key
        for key in (evaluation.slices[0] if evaluation.slices else ())
        if key in evaluation.table[REASONER]
    ]
    if ranking:
        key = ranking[0]
        title = metric(key).title or key
        rows = "; ".join(f"{row['slice']:g}: {row[key]:.2f}" for row in evaluation.slices)
        found["slices"] = described(
            svg_text(slices_figure(evaluation.slices, key, title)),
            f"{title} of {name} by slice",
            f"By slice: {rows}.",
        )
    return {f"{kind}_{name}.svg": svg for kind, svg in found.items()}


def calibration_text(curve: CalibrationCurve) -> str:
    """How many bins' intervals hold the diagonal.

    >>> from knowreason.metrics import calibration_curve
    >>> calibration_text(calibration_curve([1, 0, 1], [2.0, -1.0, 0.5]))
    'Of 3 bins of probabilities, the 95 % intervals of 3 hold the prediction.'
    """
    holds = int(((curve.low <= curve.predicted) & (curve.predicted <= curve.high)).sum())
    bins = len(curve.count)
    return f"Of {bins} bins of probabilities, the 95 % intervals of {holds} hold the prediction."


def _shown(evaluation: Evaluation) -> dict[str, NDArray[np.float64]]:
    """The reasoner and the best others."""
    first = next(iter(evaluation.table[REASONER]))
    others = [name for name in evaluation.scores if name != REASONER]
    others.sort(key=lambda name: -np.nan_to_num(evaluation.table[name][first].value))
    return {name: evaluation.scores[name] for name in (*others[:MOST_SCORES], REASONER)}


def _precision_text(truth: NDArray[np.bool_], log_odds: NDArray[np.float64]) -> str:
    order = np.argsort(-log_odds, kind="stable")
    found, total = np.cumsum(truth[order]), int(truth.sum())
    parts = []
    for share in (0.25, 0.5, 0.75):
        taken = int(np.searchsorted(found, np.ceil(share * total))) + 1
        parts.append(f"{found[taken - 1] / taken:.0%} where {share:.0%} of the true are found")
    return f"Precision of the reasoner: {', '.join(parts)}; by chance {truth.mean():.1%}."


def _scores_text(truth: NDArray[np.bool_], log_odds: NDArray[np.float64]) -> str:
    parts = [
        f"half of the {int(chosen.sum()):,} {name} have a probability above "
        f"{expit(np.median(log_odds[chosen])):.1%}"
        for name, chosen in (("true", truth), ("false", ~truth))
        if chosen.any()
    ]
    return f"{'; '.join(parts).capitalize()}."
