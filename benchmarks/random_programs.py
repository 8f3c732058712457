"""Is a confirmed belief true? Random rule programs of 30-60 atoms against exact inference.

Every program is loopy: implications, disjunctions and equivalences of two or three atoms with
weights of 0.5-3, unary log-odds, some hard rules, some blocks of mutually exclusive atoms. The
approximate engine (``checked`` by default) sees it with exact inference switched off; a belief
that is called confirmed and is further than .01 from the exact one breaks the bar.

    python benchmarks/random_programs.py                 # 200 programs
    python benchmarks/random_programs.py --count 2000

Prints one table; exit code 1 if the bar is broken.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from knowreason import FactorGraph, infer
from knowreason.errors import InferenceError
from knowreason.factors import Blocks, GroundFactors
from knowreason.inference.posterior import QUALITIES

BAR = 0.01
EXACT = {"width": 23, "states": 1 << 16}


@dataclass(frozen=True)
class Kind:
    """Programs of one kind: strength of soft rules, hard rules and blocks of each."""

    name: str
    weights: tuple[float, float]
    hard: int
    blocks: int


KINDS = (
    Kind("weak", (0.5, 1.0), 0, 0),
    Kind("medium", (0.5, 2.0), 0, 0),
    Kind("strong", (1.0, 3.0), 0, 0),
    Kind("strong, hard rules", (0.5, 3.0), 6, 0),
    Kind("strong, blocks", (0.5, 3.0), 0, 4),
    Kind("all of it", (0.5, 3.0), 6, 4),
)


def program(kind: Kind, seed: int) -> FactorGraph:
    """A random program; a planted world satisfies its hard rules."""
    rng = np.random.default_rng(seed)
    atoms = int(rng.integers(30, 61))
    world = rng.random(atoms) < 0.5
    spare = rng.permutation(atoms)
    blocks = []
    for _ in range(kind.blocks):
        size = int(rng.integers(3, 6))
        members, spare = spare[:size], spare[size:]
        world[members] = False
        world[rng.choice(members)] = True
        blocks.append(members)
    rows = int(atoms * rng.uniform(1.0, 1.6))
    weights = rng.uniform(*kind.weights, rows)
    groups = []
    for rule in range(rows + kind.hard):
        hard = rule >= rows
        size = 2 if rng.random() < 0.7 else 3
        scope = rng.choice(atoms, size, replace=False)
        signs = rng.random(size) < 0.5
        potential: torch.Tensor | tuple[bool, ...]
        if size == 2 and rng.random() < 0.4:
            same = bool(world[scope[0]] == world[scope[1]]) if hard else rng.random() < 0.5
            potential = torch.tensor([1.0, 0.0, 0.0, 1.0] if same else [0.0, 1.0, 1.0, 0.0])
        else:
            if hard:
                signs[0] = world[scope[0]]
            potential = tuple(bool(sign) for sign in signs)
        groups.append(
            GroundFactors.of(
                torch.tensor(scope[None], dtype=torch.int32),
                potential,
                None if hard else rule,
                rule=rule,
            )
        )
    offsets = np.cumsum([0, *map(len, blocks)])
    return FactorGraph(
        torch.tensor(rng.normal(0.0, 1.0, atoms), dtype=torch.float32),
        torch.tensor(weights),
        torch.full((atoms,), -1, dtype=torch.int8),
        tuple(groups),
        Blocks(
            torch.tensor(offsets),
            torch.tensor(np.concatenate([np.zeros(0), *blocks]), dtype=torch.int32),
            torch.zeros(len(blocks), dtype=torch.bool),
        ),
    )


@dataclass
class Line:
    """What became of the programs of one kind."""

    programs: int = 0
    skipped: int = 0
    confirmed: int = 0
    wrong: int = 0
    worst: float = 0.0
    worst_unconfirmed: float = 0.0
    bp: float = 0.0
    seconds: float = 0.0
    exact_seconds: float = 0.0


def measure(kind: Kind, seed: int, engine: str, updates: int, line: Line) -> None:
    """Adds one program to a line."""
    graph = program(kind, seed)
    begin = time.process_time()
    try:
        truth = infer(graph, "exact", **EXACT).probabilities
    except InferenceError as error:
        if error.code != "KR704":
            raise
        line.skipped += 1
        return
    line.exact_seconds += time.process_time() - begin
    begin = time.process_time()
    found = infer(graph, engine, seed=seed, updates=updates)
    line.seconds += time.process_time() - begin
    assert found.quality is not None
    error_of = (found.probabilities - truth).abs()
    confirmed = found.quality != QUALITIES.index("unconfirmed")
    told = float(error_of[confirmed].max()) if confirmed.any() else 0.0
    line.programs += 1
    line.confirmed += bool(confirmed.all())
    line.wrong += told > BAR
    line.worst = max(line.worst, told)
    if not confirmed.all():
        line.worst_unconfirmed = max(line.worst_unconfirmed, float(error_of[~confirmed].max()))
    line.bp = max(line.bp, float((infer(graph, "bp").probabilities - truth).abs().max()))
    if told > BAR:
        print(f"seed {seed} of {kind.name!r}: confirmed and wrong by {told:.4f}", flush=True)


def main() -> int:
    """Prints the table; 1 if a confirmed belief is wrong by more than .01."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default="checked")
    parser.add_argument("--updates", type=float, default=2e8)
    given = parser.parse_args()
    lines = {kind.name: Line() for kind in KINDS}
    for number in range(given.count):
        print(f"{number} of {given.count}", end="\r", file=sys.stderr, flush=True)
        kind = KINDS[number % len(KINDS)]
        measure(kind, given.seed + number, given.engine, int(given.updates), lines[kind.name])
    print(
        f"{'programs':>20} {'n':>5} {'confirmed':>9} {'wrong':>5} {'worst':>7} "
        f"{'unconfirmed worst':>17} {'bp worst':>8} {'CPU s each':>10} {'exact':>6} {'too wide':>8}"
    )
    for name, line in lines.items():
        each = max(line.programs, 1)
        print(
            f"{name:>20} {line.programs:5} {line.confirmed:9} {line.wrong:5} {line.worst:7.4f} "
            f"{line.worst_unconfirmed:17.4f} {line.bp:8.3f} {line.seconds / each:10.2f} "
            f"{line.exact_seconds / each:6.2f} {line.skipped:8}"
        )
    return int(any(line.wrong for line in lines.values()))


if __name__ == "__main__":
    sys.exit(main())
