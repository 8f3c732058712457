"""A better score is told from an equal one."""

import numpy as np
import pytest

from knowreason.models.base.predicate_rows import PredicateRows
from knowreason.models.diffusion.score_comparison import SURE, compared


def rows(labels, classes=None):
    count = len(labels)
    return PredicateRows(
        "Bad",
        ("Thing",),
        ("a0",),
        np.arange(count, dtype=np.int32)[:, None],
        np.asarray(labels, np.int32),
        classes,
        False,
        None,
        np.arange(count),
        np.zeros(count, np.int32),
    )


@pytest.mark.parametrize("rare", [0, 1])
def test_a_clear_gain_is_seen_and_noise_is_not(rare):
    rng = np.random.default_rng(0)
    hit = rng.random(800) < 0.1
    labels = np.where(hit, rare, 1 - rare)
    sign = 1 if rare else -1
    bad, good = (sign * (rng.normal(size=800) + gap * hit) for gap in (1.0, 2.5))
    judges = np.arange(0, 800, 2)
    found = compared(rows(labels), judges, good, bad, 0)
    assert found.better > SURE
    assert found.first > found.second
    assert compared(rows(labels), judges, bad + 0.3 * rng.normal(size=800), bad, 0).better < SURE


def test_states_are_compared_by_log_probability():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)
    sure = np.where(labels[:, None] == np.arange(3), np.log(0.8), np.log(0.1))
    blind = np.full((300, 3), -np.log(3))
    found = compared(rows(labels, ("a", "b", "c")), np.arange(300), sure, blind, 0)
    assert found.measure == "mean log-probability"
    assert found.better == 1
    assert found.first == pytest.approx(np.log(0.8))
    assert compared(rows(labels, ("a", "b", "c")), np.arange(300), blind, blind, 0).better == 0
