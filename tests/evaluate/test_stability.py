"""What moves when rules go or weights are resampled."""

import numpy as np

from knowreason.evaluate.stability import stability


def test_nothing_moves_where_nothing_changes():
    log_odds = np.linspace(-3, 3, 50)
    still, removed = stability(log_odds, {"without a": log_odds}, np.stack([log_odds, log_odds]))
    assert (still.kept, still.moved, still.turned) == (10, 0.0, 0)
    assert (removed.kept, removed.moved, removed.turned) == (10, 0.0, 0)


def test_turned_and_kept():
    log_odds = np.linspace(-3, 3, 50)
    wide, turned = stability(
        log_odds, {"without a": -log_odds}, np.stack([log_odds - 10, log_odds + 10])
    )
    assert (wide.kept, wide.turned) == (0, 50)
    assert (turned.kept, turned.turned) == (0, 50)


def test_few_or_no_conclusions():
    (row,) = stability(np.zeros(0), {"without a": np.zeros(0)})
    assert (row.kept, row.moved, row.turned) == (0, 0.0, 0)
