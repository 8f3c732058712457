"""Draw the pictures of the gallery, by the functions that draw those of a report.

    python docs/gallery/draw.py FOLDER

Scores are generated: `good` are honest log-odds, `bold` the same three times too sure.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score

from knowreason.metrics import calibration_curve
from knowreason.report import (
    calibration_figure,
    precision_recall_figure,
    save_svg,
    scores_figure,
    slices_figure,
    weights_figure,
)
from knowreason.report.weight_figure import WeightBar


def main(folder: Path) -> None:
    """Six pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    good = rng.normal(-2.0, 1.8, 4000)
    truth = rng.random(4000) < expit(good)
    weak = good + rng.normal(0.0, 2.0, 4000)
    bold = 3.0 * good + 4.0
    save_svg(calibration_figure(calibration_curve(truth, good)), folder / "calibration.svg")
    save_svg(calibration_figure(calibration_curve(truth, bold)), folder / "overconfident.svg")
    scores = {"reasoner": good[:600], "boosted trees": weak[:600]}
    figure = precision_recall_figure(truth[:600], scores, strong="reasoner")
    save_svg(figure, folder / "precision_recall.svg")
    save_svg(scores_figure(truth, good), folder / "scores.svg")
    save_svg(slices_figure(days(truth, good, weak), "average_precision"), folder / "slices.svg")
    bars = [
        WeightBar("fresh", prior=2.0, value=0.2, low=-0.1, high=0.6),
        WeightBar("burst", prior=1.0, value=3.1, low=1.5, high=4.8),
        WeightBar("odd_hour", prior=1.0, value=1.0, low=-1.9, high=3.9),
    ]
    save_svg(weights_figure(bars), folder / "weights.svg")


def days(truth: np.ndarray, good: np.ndarray, weak: np.ndarray) -> list[dict[str, float]]:
    """A measure by day; from the seventh day on the scores are the weak ones."""
    rows = []
    for day in range(10):
        here = slice(400 * day, 400 * (day + 1))
        scores = good if day < 7 else weak
        figure = average_precision_score(truth[here], scores[here])
        rows.append({"slice": day, "true": int(truth[here].sum()), "average_precision": figure})
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "pictures"))
