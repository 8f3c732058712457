"""Drugs, targets and diseases that are made: how strongly drugs bind, and which trials worked.

    python examples/binding/make_binding.py [--drugs 80] [--output examples/binding/tables]

A drug binds a target by shape and charge (and some noise); a drug works against a disease where it
binds one of the disease's targets strongly and harms where it binds the heart channel. Two in five
bindings were measured, half of the trials were made.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

TARGETS, DISEASES, MEASURED, TRIED = 24, 60, 0.4, 0.5
WORKS, HARMS, ENOUGH = 2.5, 1.5, 7.5


def write(folder: Path, drugs: int, seed: int = 0) -> None:
    """The tables `drugs`, `targets`, `measured`, `involved` and `trials` as csv."""
    rng = np.random.default_rng(seed)
    size, charge, greasy = rng.normal(size=(3, drugs))
    pocket, pole, wet = rng.normal(size=(3, TARGETS))
    fit = 1.2 - np.abs(size[:, None] - pocket) - 0.6 * charge[:, None] * pole
    strength = 6 + fit + 0.4 * greasy[:, None] * (wet < 0) + 0.3 * rng.normal(size=fit.shape)
    involved = [
        rng.choice(np.arange(1, TARGETS), rng.integers(1, 4), False) for _ in range(DISEASES)
    ]
    best = np.stack([strength[:, of].max(axis=1) for of in involved], axis=1)
    harm = np.maximum(strength[:, [0]] - ENOUGH, 0)
    odds = WORKS * (best - ENOUGH) - HARMS * harm + rng.logistic(size=best.shape)
    names = [f"drug{i}" for i in range(drugs)]
    tried = np.argwhere(rng.random(odds.shape) < TRIED)
    seen = np.argwhere(rng.random(strength.shape) < MEASURED)
    tables = {
        "drugs": [
            ("drug", "size", "charge", "greasy"),
            *zip(names, size, charge, greasy, strict=True),
        ],
        "targets": [
            ("target", "pocket", "pole", "wet"),
            *((f"t{j}", pocket[j], pole[j], wet[j]) for j in range(TARGETS)),
        ],
        "measured": [
            ("drug", "target", "pkd"),
            *((names[i], f"t{j}", round(strength[i, j], 2)) for i, j in seen),
        ],
        "involved": [
            ("target", "disease"),
            *((f"t{t}", f"disease{s}") for s, of in enumerate(involved) for t in of),
        ],
        "trials": [
            ("drug", "disease", "works"),
            *((names[i], f"disease{s}", int(odds[i, s] > 0)) for i, s in tried),
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--drugs", type=int, default=80)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "tables")
    chosen = parser.parse_args()
    write(chosen.output, chosen.drugs)
