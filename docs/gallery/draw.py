"""Draw the pictures of the gallery, by the functions that draw those of a report.

    python docs/gallery/draw.py FOLDER

Scores are generated: `good` are honest log-odds, `bold` the same three times too sure. The two
pictures of one conclusion are of a small program that is reasoned with.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score

import knowreason as kr
from knowreason.explanation import Explanation, Share
from knowreason.metrics import calibration_curve
from knowreason.report import (
    calibration_figure,
    precision_recall_figure,
    save_svg,
    scores_figure,
    slice_shares_figure,
    slices_figure,
    weights_figure,
)
from knowreason.report.explanation_pictures import graph_svg, waterfall_svg
from knowreason.report.weight_figure import WeightBar

WHY = Explanation(
    'Fraud("p1")',
    probability=0.98,
    log_odds=3.89,
    shares=(
        Share("rule", "rare", -2.95),
        Share("rule", "ring", 3.92),
        Share("rule", "burst", 1.53),
        Share("rule", "fresh", 0.82),
        Share("stacked", "auto", 0.57),
    ),
)
PROGRAM = """
domain Payment, Terminal
observed Pays(Payment, terminal: Terminal)
observed Swiped(Payment)
observed Near(Terminal, Terminal)
query Fraud(Payment)
latent Skimmed(Terminal)
rule rare    [-4] : Fraud(p)
rule seldom  [-2] : Skimmed(t)
rule swiped  [2]  : Swiped(p) => Fraud(p)
rule skimmed [4]  : Skimmed(t) & Pays(p, terminal: t) ~> Fraud(p)
rule nearby  [2]  : Near(t, u) & (Skimmed(t) <~> Skimmed(u))
"""
FACTS = """
Pays("p1", "shop") Pays("p2", "shop") Pays("p3", "shop") Pays("p4", "shop") Pays("p5", "shop")
Pays("p6", "kiosk") Pays("p7", "kiosk") Pays("p8", "hotel")
Near("shop", "kiosk") Near("kiosk", "hotel")
Swiped("p1") Swiped("p2") Swiped("p6")
Fraud("p3") Fraud("p4") !Fraud("p8")
"""


def main(folder: Path) -> None:
    """Eight pictures."""
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
    slices = slices_figure(days(truth, good, weak), "average_precision", "average precision")
    save_svg(slices, folder / "slices.svg")
    shares = {
        "night": [0.42, 0.45, 0.38, 0.21, 0.17, 0.15],
        "ring": [float("nan"), float("nan"), 0.81, 0.74, 0.79, 0.83],
        "the file as a whole": [0.61, 0.66, 0.72, 0.7, 0.69, 0.74],
    }
    weeks = [f"2026-0{1 + n // 4}-{1 + 7 * (n % 4):02}" for n in range(6)]
    backtest = slice_shares_figure(weeks, shares, "the file as a whole", "precision")
    save_svg(backtest, folder / "backtest.svg")
    bars = [
        WeightBar("fresh", prior=2.0, value=0.2, low=-0.1, high=0.6),
        WeightBar("burst", prior=1.0, value=3.1, low=1.5, high=4.8),
        WeightBar("odd_hour", prior=1.0, value=1.0, low=-1.9, high=3.9),
    ]
    save_svg(weights_figure(bars), folder / "weights.svg")
    (folder / "waterfall.svg").write_text(waterfall_svg(WHY), encoding="utf-8")
    (folder / "neighbourhood.svg").write_text(neighbourhood(), encoding="utf-8")


def neighbourhood() -> str:
    """What stands around one payment."""
    program = kr.loads(PROGRAM)
    facts = kr.lang.parse_facts(program, FACTS)
    grounding = kr.ground(program, kr.Dataset.from_facts(program, facts))
    beliefs = kr.Beliefs(kr.infer(grounding.graph), grounding)
    return graph_svg(beliefs, beliefs.grounding.atom_index("Fraud", "p1"))


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
