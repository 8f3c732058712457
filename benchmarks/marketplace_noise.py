"""Calibration with and without noise on weights, in the generated marketplace.

Noise can only be put on networks, so the main model is a graph network here; ``knowgraph``
has one for its posterior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import expit

import knowreason as kr
from benchmarks.marketplace_study import (
    ASKED,
    Scores,
    Study,
    Yard,
    mean_over_worlds,
)
from benchmarks.reporting import show
from knowreason.models import make

SCALE, PASSES = 0.1, 10
FEATURES = ("markup", "coupon", "same_network", "seconds", "express", "seller_age", "n_pair")
FEATURES += ("n_seller", "n_device", "n_tool", "mean_markup", "networks")
NETWORK = {"convolution": "sage", "layers": 1, "hidden": 32, "epochs": 60, "patience": 15}
NETWORK |= {"learning_rate": 0.01, "class_weight": "balanced"}
METRICS = ("average_precision", "roc_auc", "ece", "log_loss", "brier")


def network_rows(study: Study) -> dict[str, Scores]:
    """A graph network as main model, plain and noisy, alone and under the rules."""
    found: dict[str, Scores] = {}
    gnn = make("gnn", {"features": FEATURES, "device": "cpu", **NETWORK})
    for name, model in (
        ("network", gnn),
        ("noisy network", make("noisy", {"model": gnn, "scale": SCALE, "passes": PASSES})),
    ):
        others = tuple(m for m in study.models if m.name != "main")
        changed = Study.of(
            study.program,
            study.training,
            study.test,
            folds=3,
            options={"main": model},
            known=others,
        )
        raw = changed.models[-1].fitted.model.log_odds(study.test, ASKED)[study.local]
        found[f"{name} alone, as it is"] = raw.astype(np.float64)
        found[f"{name} alone, calibrated"] = changed.model_scores("main")
        found[f"reasoner over the {name}"] = changed.reason().scores
    return found


def knowgraph_rows(study: Study) -> dict[str, Scores]:
    """The posterior network of method `knowgraph`, with and without noise; its weights, exact."""
    published = study.reason(method="knowgraph").fit
    without = study.reason(method="knowgraph", settings=kr.Settings(learn={"noise": 0.0}))
    return {
        "knowgraph's network, noise in training and when asked": study.by_network(published),
        "knowgraph's network, noise in training": study.by_network(published, 0.0),
        "knowgraph's network without noise": study.by_network(without.fit),
        "knowgraph's network, noise when asked": study.by_network(without.fit, SCALE),
        "knowgraph's weights, exact inference": study.believed(study.program, published),
        "variational_em, exact inference": study.reason().scores,
    }


def calibration_table(
    title: str, yards: Sequence[Yard], found: Sequence[Mapping[str, Scores]]
) -> list[dict[str, Any]]:
    """Print and return one row a way of scoring."""
    rows = []
    for name in found[0]:
        scores = [of_world[name] for of_world in found]
        figures = {m: mean_over_worlds(yards, scores, m) for m in METRICS}
        expected = sum(float(expit(s).sum()) for s in scores) / sum(
            int(y.truth.sum()) for y in yards
        )
        rows.append(
            {"name": name, "expected/observed": expected}
            | {m: asdict(figure) for m, figure in figures.items()}
        )
    shown = [
        {
            "": row["name"],
            "AP": row["average_precision"]["value"],
            "AUC": row["roc_auc"]["value"],
            **{
                f"{m} x 1000": f"{row[m]['value'] * 1000:.3f} "
                f"[{row[m]['low'] * 1000:.3f}, {row[m]['high'] * 1000:.3f}]"
                for m in ("ece", "log_loss")
            },
            "expected/observed": row["expected/observed"],
        }
        for row in rows
    ]
    show(title, shown)
    return rows
