"""Handwritten Sudoku: a weak digit reader and one rule read whole boards right.

scikit-learn's real handwritten digits are written into solved Sudoku boards without
givens. A digit reader is trained on a handful of labelled digits; it reads each cell by
itself and errs often. One hard rule (no two peers hold the same value) and nothing else
turns its probabilities into the most probable board that is a Sudoku.

    python examples/sudoku.py [--boards 20] [--labels 30 60 150] [--output DIR]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.datasets import load_digits

import knowreason as kr
from knowreason.resources import rulesets_path

SIDE, CELLS = 9, 81


@dataclass(frozen=True)
class Reading:
    """Boards as they are, as read and as reasoned: ``int[boards, 81]`` each."""

    labels: int
    truth: np.ndarray
    read: np.ndarray
    reasoned: np.ndarray
    pictures: np.ndarray
    seconds: float

    @property
    def cells_read(self) -> float:
        """Share of cells the reader alone reads right."""
        return float((self.read == self.truth).mean())

    @property
    def cells_reasoned(self) -> float:
        """Share of cells right after reasoning."""
        return float((self.reasoned == self.truth).mean())

    def boards(self, which: np.ndarray) -> float:
        """Share of boards with every cell right."""
        return float((which == self.truth).all(axis=1).mean())


def solved_boards(count: int, rng: np.random.Generator) -> np.ndarray:
    """``int[count, 81]``: random relabellings and shuffles of one solved board."""
    boards = []
    for _ in range(count):
        rows = [band * 3 + row for band in rng.permutation(3) for row in rng.permutation(3)]
        columns = [stack * 3 + col for stack in rng.permutation(3) for col in rng.permutation(3)]
        digits = rng.permutation(SIDE) + 1
        pattern = [[(3 * (r % 3) + r // 3 + c) % SIDE for c in columns] for r in rows]
        boards.append(digits[np.array(pattern)].ravel())
    return np.array(boards)


def peers() -> list[tuple[int, int]]:
    """Pairs of cells of one row, column or box."""
    place = [(cell // 9, cell % 9, cell // 27 * 3 + cell % 9 // 3) for cell in range(CELLS)]
    return [
        (one, two)
        for one, two in product(range(CELLS), repeat=2)
        if one != two and any(a == b for a, b in zip(place[one], place[two], strict=True))
    ]


def written_boards(
    boards: int, labels: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Solved boards, a picture for each cell, and other pictures with labels to train on."""
    digits = load_digits()
    pictures, values = digits.data[digits.target > 0] / 16.0, digits.target[digits.target > 0]
    order = rng.permutation(len(values))
    turn = np.argsort(
        [(values[order[:i]] == values[order[i]]).sum() for i in range(len(order))], kind="stable"
    )  # the digits take turns: 1 .. 9, 1 .. 9 ...
    training, pool = order[turn[:labels]], order[turn[labels:]]
    truth = solved_boards(boards, rng)
    of_value = {value: pool[values[pool] == value] for value in range(1, 10)}
    chosen = np.array([rng.choice(of_value[value]) for value in truth.ravel()])
    cells = pictures[chosen].reshape(boards, CELLS, 64)
    return truth, cells, pictures[training], values[training]


def read_boards(boards: int, labels: int, seed: int = 0) -> Reading:
    """Train the reader on ``labels`` digits, read ``boards`` boards, reason about them."""
    rng = np.random.default_rng(seed)
    truth, cells, examples, values = written_boards(boards, labels, rng)
    program = kr.load(rulesets_path() / "sudoku.kr")
    names = [f"board{b}/r{c // 9 + 1}c{c % 9 + 1}" for b in range(boards) for c in range(CELLS)]
    shown = [f"example{i}" for i in range(labels)]
    pixels = np.concatenate([cells.reshape(-1, 64), examples]).astype(np.float32)
    features = pl.DataFrame(
        {"cell": names + shown} | {f"pixel{i}": pixels[:, i] for i in range(64)}
    )
    pairs = peers()
    facts = {
        "c": [names[b * CELLS + one] for b in range(boards) for one, _ in pairs],
        "d": [names[b * CELLS + two] for b in range(boards) for _, two in pairs],
    }
    data = kr.Dataset.from_frames(
        program,
        facts={"Peer": pl.DataFrame(facts)},
        labels={"Digit": pl.DataFrame({"cell": shown, "digit": [str(v) for v in values]})},
        features={"Cell": features},
    )
    start = time.perf_counter()
    beliefs = kr.Reasoner(program, seed=seed).fit(data).infer(data, engine="map")
    seconds = time.perf_counter() - start
    table = beliefs.marginals("Digit", models=True).to_polars()
    read = table.sort("reader").group_by("cell").last()
    reasoned = beliefs.most_probable("Digit").to_polars()
    return Reading(
        labels,
        truth,
        _in_order(read, names).reshape(boards, CELLS),
        _in_order(reasoned, names).reshape(boards, CELLS),
        cells,
        seconds,
    )


def _in_order(table: pl.DataFrame, names: list[str]) -> np.ndarray:
    values = dict(zip(table["cell"], table["value"], strict=True))
    return np.array([int(values[name]) for name in names])


def draw(reading: Reading, board: int, path: Path) -> None:
    """One board as written, as read and as reasoned; wrong cells are red."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.7), layout="constrained")
    axes = figure.subplots(1, 3)
    cells = np.pad(reading.pictures[board].reshape(CELLS, 8, 8), ((0, 0), (2, 2), (2, 2)))
    written = cells.reshape(SIDE, SIDE, 12, 12).transpose(0, 2, 1, 3).reshape(108, 108)
    axes[0].imshow(written, cmap="gray_r", extent=(0, 9, 9, 0))
    axes[0].set_title("as written", fontsize=12)
    for axis, values, title in (
        (axes[1], reading.read, f"as read, {reading.labels} labelled digits"),
        (axes[2], reading.reasoned, "as reasoned, one rule"),
    ):
        right = values[board] == reading.truth[board]
        for cell in range(CELLS):
            row, column = divmod(cell, SIDE)
            axis.text(
                column + 0.5,
                row + 0.54,
                str(values[board, cell]),
                ha="center",
                va="center",
                fontsize=14,
                color="#1a1a1a" if right[cell] else "#c1121f",
                weight="normal" if right[cell] else "bold",
            )
            if not right[cell]:
                axis.add_patch(_square(column, row))
        axis.set_title(f"{title}: {right.sum()} of 81 right", fontsize=12)
    for axis in axes:
        _grid(axis)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _square(column: int, row: int):
    from matplotlib.patches import Rectangle

    return Rectangle((column, row), 1, 1, color="#ffd6d9", zorder=0)


def _grid(axis) -> None:
    axis.set(xlim=(0, 9), ylim=(9, 0), xticks=[], yticks=[], aspect="equal")
    for line in range(10):
        width = 1.8 if line % 3 == 0 else 0.5
        axis.axhline(line, color="#444444", linewidth=width)
        axis.axvline(line, color="#444444", linewidth=width)


def text_board(values: np.ndarray, truth: np.ndarray) -> list[str]:
    """A board as lines of text; a wrong cell stands in brackets."""
    lines = []
    for row in range(SIDE):
        cells = []
        for column in range(SIDE):
            cell = row * SIDE + column
            right = values[cell] == truth[cell]
            cells.append(f" {values[cell]} " if right else f"[{values[cell]}]")
            if column in (2, 5):
                cells.append("|")
        lines.append("".join(cells))
        if row in (2, 5):
            lines.append("-" * 9 + "+" + "-" * 9 + "+" + "-" * 9)
    return lines


def show(readings: list[Reading]) -> None:
    """The table of all readings, and one board of the middle one as text."""
    print("digits     cells right        boards right     seconds")
    print("labelled   read   reasoned    read   reasoned")
    for r in readings:
        print(
            f"{r.labels:>8}   {r.cells_read:.3f}  {r.cells_reasoned:.3f}       "
            f"{r.boards(r.read):>4.0%}   {r.boards(r.reasoned):>4.0%}       {r.seconds:.1f}"
        )
    middle = readings[len(readings) // 2]
    print(f"\nthe first board, reader trained on {middle.labels} digits (errors in brackets)\n")
    read = text_board(middle.read[0], middle.truth[0])
    reasoned = text_board(middle.reasoned[0], middle.truth[0])
    print(f"{'as read':<34}as reasoned")
    for left, right in zip(read, reasoned, strict=True):
        print(f"{left:<34}{right}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, default=20)
    parser.add_argument("--labels", type=int, nargs="+", default=[30, 60, 150])
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    options = parser.parse_args()
    readings = [read_boards(options.boards, labels) for labels in options.labels]
    show(readings)
    for reading in readings:
        path = options.output / f"sudoku_{reading.labels}.png"
        draw(reading, 0, path)
        print(path)


if __name__ == "__main__":
    main()
