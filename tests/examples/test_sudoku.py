"""The Sudoku example: one rule repairs what a weak reader misreads."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sudoku.py"


@pytest.fixture(scope="module")
def sudoku():
    spec = importlib.util.spec_from_file_location("sudoku_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["sudoku_example"] = module
    spec.loader.exec_module(module)
    return module


def test_boards_are_solved_sudokus(sudoku):
    boards = sudoku.solved_boards(3, np.random.default_rng(0))
    pairs = np.array(sudoku.peers())
    assert len(pairs) == 81 * 20
    assert (boards[:, pairs[:, 0]] != boards[:, pairs[:, 1]]).all()
    assert ((boards >= 1) & (boards <= 9)).all()


def test_a_rule_repairs_the_reading(sudoku, tmp_path):
    reading = sudoku.read_boards(2, 60)
    assert reading.cells_read < 0.95
    assert reading.cells_reasoned > reading.cells_read + 0.05
    pairs = np.array(sudoku.peers())
    assert (reading.reasoned[:, pairs[:, 0]] != reading.reasoned[:, pairs[:, 1]]).all()
    sudoku.draw(reading, 0, tmp_path / "board.png")
    assert (tmp_path / "board.png").stat().st_size > 10_000
    assert len(sudoku.text_board(reading.read[0], reading.truth[0])) == 11
