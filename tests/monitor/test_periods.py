"""What differs between parts of training is no drift; what differs by more is."""

import numpy as np
import polars as pl
import pytest

from knowreason import Dataset, Reasoner, lang
from knowreason.data.features import FeatureSource

PROGRAM = """
domain Case
attribute day(Case): int clock
observed Sign(Case)
query Bad(Case)
model main for Bad = sklearn("logistic", features=["x"])
rule sign: Sign(x) => Bad(x)
"""
DAYS, A_DAY = 40, 100


def cases(first, days, wander, seed=0, sign=0.02, level=0.0):
    """Cases whose measurement and signs wander from one ten days to the next."""
    rng = np.random.default_rng([seed, first])
    day = np.repeat(np.arange(first, first + days), A_DAY)
    block = np.random.default_rng(seed).normal(size=200)[day // 10]
    bad = rng.random(len(day)) < 0.1
    signs = rng.random(len(day)) < np.where(bad, 0.5, sign + 0.04 * wander * (block > 0))
    frame = pl.DataFrame(
        {
            "id": [f"c{first}_{i}" for i in range(len(day))],
            "day": day,
            "x": rng.normal(size=len(day)) + 3 * bad + wander * block + level,
        }
    )
    return Dataset.from_frames(
        lang.loads(PROGRAM),
        facts={
            "Sign": frame.filter(pl.Series(signs)).select("id"),
            "day": frame.select("id", "day"),
        },
        labels={"Bad": frame.select("id", pl.Series("v", bad.astype(np.int8)))},
        features={"Case": FeatureSource(frame.select("id", "x"))},
    )


def notes(reasoner, data):
    hidden = data.hide("Bad", np.ones(data.labels["Bad"].num_rows, dtype=bool))
    return " ".join(reasoner.infer(hidden).notes)


@pytest.fixture(scope="module", params=[0.0, 0.7])
def reasoner(request):
    data = cases(0, DAYS, request.param)
    made = Reasoner(data.program).fit(data)
    made.wander = request.param
    return made


def test_days_like_those_of_training_are_silent(reasoner):
    said = [notes(reasoner, cases(start, 3, reasoner.wander)) for start in (2, 22, 32)]
    assert not any("have moved" in text or "no longer hold" in text for text in said)
    usual = reasoner.snapshot_.scores[0].usual
    assert usual < 0.13 if reasoner.wander == 0 else usual > 0.13


def test_days_unlike_any_of_training_are_named(reasoner):
    text = notes(reasoner, cases(32, 10, reasoner.wander, level=4.0))
    assert "scores of model `main` for Bad have moved" in text
    assert "at most without drift" in text
    text = notes(reasoner, cases(32, 10, reasoner.wander, sign=0.6))
    assert "rule `sign` may no longer hold" in text
    assert "have moved" not in text
