"""A school of pupils with friends and foes, and who joins the choir: tables for the project.

    python examples/pupils/make_school.py [--pupils 5000] [--output examples/pupils/tables]

Classes of 25; each pupil names two friends and a foe, mostly of the own class, so that all are one
component full of loops. Who joins is drawn from the rules of `pupils.kr` at the weights of
:data:`TRUTH` by Gibbs sweeps cooled down from none; three in ten never say whether they do.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

TRUTH = {"usual": 0.3, "survey": 1.0, "friends": 0.75, "foes": 1.5}
CLASS, ELSEWHERE, HIDDEN, SWEEPS = 25, 0.1, 0.3, 300


def ties(pupils: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of friends and of foes (`int64[k, 2]`), each once."""
    one = np.tile(np.arange(pupils), 3)
    mate = one - one % CLASS + rng.integers(CLASS, size=len(one))
    other = np.where(rng.random(len(one)) < ELSEWHERE, rng.integers(pupils, size=len(one)), mate)
    pairs = np.sort(np.stack([one, other % pupils], 1), 1)
    foe = np.arange(len(one)) >= 2 * pupils
    real = pairs[:, 0] != pairs[:, 1]
    _, first = np.unique(pairs, axis=0, return_index=True)
    once = np.isin(np.arange(len(pairs)), first) & real
    return pairs[once & ~foe], pairs[once & foe]


def joins(
    friends: np.ndarray, foes: np.ndarray, keen: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """`bool[n]`: a world drawn at the weights of :data:`TRUTH`."""
    near = [[[] for _ in keen] for _ in range(2)]
    for kind, pairs in enumerate((friends, foes)):
        for x, y in pairs.tolist():
            near[kind][x].append(y)
            near[kind][y].append(x)
    alone = TRUTH["usual"] + TRUTH["survey"] * keen
    world = rng.random(len(keen)) < 0.5
    for sweep in range(SWEEPS):
        warm, noise = min(1.0, 2 * sweep / SWEEPS), rng.logistic(size=len(keen))
        for x in range(len(keen)):
            alike = sum(2 * world[y] - 1.0 for y in near[0][x])
            hostile = sum(1.0 * world[y] for y in near[1][x])
            pull = 2 * TRUTH["friends"] * alike - 2 * TRUTH["foes"] * hostile
            world[x] = alone[x] + warm * pull + noise[x] > 0
    return world


def write(folder: Path, pupils: int, seed: int = 0) -> None:
    """The tables `pupils`, `friends` and `foes` as csv."""
    rng = np.random.default_rng(seed)
    friends, foes = ties(pupils, rng)
    keen = rng.normal(0, 1.5, pupils).round(3)
    said = joins(friends, foes, keen, rng).astype(int).tolist()
    hidden = rng.random(pupils) < HIDDEN
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(f"p{x}", keen[x], "" if hidden[x] else said[x], said[x]) for x in range(pupils)]
    for name, head, lines in (
        ("pupils", ("pupil", "keen", "joins", "truth"), rows),
        ("friends", ("one", "other"), [(f"p{x}", f"p{y}") for x, y in friends.tolist()]),
        ("foes", ("one", "other"), [(f"p{x}", f"p{y}") for x, y in foes.tolist()]),
    ):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([head, *lines])


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pupils", type=int, default=5000)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("tables"))
    chosen = parser.parse_args()
    write(chosen.output, chosen.pupils)
    print(f"{chosen.pupils:,} pupils in {chosen.output}; weights {TRUTH}")


if __name__ == "__main__":
    main()
