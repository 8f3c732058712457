"""Models of a functional predicate that take one state for another."""

import numpy as np
import polars as pl
import pytest

from knowreason import Dataset, Reasoner, lang
from knowreason.data.features import FeatureSource
from knowreason.monitor.channels import Channels
from knowreason.monitor.readings import Reading, greatest_change
from knowreason.monitor.state_channels import StateChannels

PROGRAM = lang.loads("""
domain Case
domain Kind = { "red", "green", "blue" }
query Is(Case, Kind!)
model one   for Is = sklearn("logistic", features=["x0", "x1", "x2"])
model two   for Is = sklearn("logistic", features=["y0", "y1", "y2"])
model three for Is = sklearn("logistic", features=["z0", "z1", "z2"])
""")
KINDS = np.array(["red", "green", "blue"])


def cases(n, seed, taken=None, labelled=True, shares=(0.5, 0.3, 0.2)):
    """``taken``: kinds that model one sees instead."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=shares)
    said = [kind if taken is None else np.array(taken)[kind], kind, kind]
    columns = {"id": [f"c{i}" for i in range(n)]}
    for letter, state in zip("xyz", said, strict=True):
        seen = 2.2 * np.eye(3)[state] + rng.normal(size=(n, 3))
        columns |= {f"{letter}{i}": seen[:, i] for i in range(3)}
    frame = pl.DataFrame(columns)
    labels = {"Is": frame.select("id", pl.Series(KINDS[kind]))} if labelled else {}
    data = Dataset.from_frames(
        PROGRAM,
        labels=labels,
        features={"Case": FeatureSource(frame)},
        things={"Case": frame["id"]},
    )
    return data, kind


@pytest.fixture(scope="module")
def reasoner():
    return Reasoner(PROGRAM, folds="random").fit(cases(1500, 0)[0])


def right(beliefs, kind):
    span = beliefs.grounding.span("Is")
    state = beliefs.posterior.log_odds.numpy()[span.start : span.stop].reshape(-1, 3)
    return (state.argmax(1) == kind).mean()


def test_it_is_named_and_mended(reasoner):
    data, kind = cases(1500, 1, taken=(0, 2, 2), labelled=False)
    beliefs = reasoner.infer(data, adapt="reliability")
    assert right(beliefs, kind) > right(beliefs.unadapted, kind) + 0.03
    (note,) = [n for n in beliefs.notes if n.startswith("model `one` sees")]
    assert "of `green` (taken for `blue`" in note
    assert not any(n.startswith(("model `two`", "model `three`")) for n in beliefs.notes)


def test_all_is_well(reasoner):
    data, kind = cases(1500, 2, labelled=False)
    beliefs = reasoner.infer(data, adapt="reliability")
    assert not any(n.startswith("model") for n in beliefs.notes)
    assert right(beliefs, kind) == right(beliefs.unadapted, kind)


def test_other_shares_of_kinds(reasoner):
    data, kind = cases(1500, 3, labelled=False, shares=(0.15, 0.25, 0.6))
    beliefs = reasoner.infer(data, adapt="reliability")
    assert not any(n.startswith("model `") for n in beliefs.notes)
    assert right(beliefs, kind) > right(beliefs.unadapted, kind)


def test_readings_are_kept(reasoner):
    (reading,) = reasoner.snapshot_.readings
    again = Reading.from_values(reading.to_values())
    assert again.states == ("red", "green", "blue")
    np.testing.assert_array_equal(again.channels.confusion, reading.channels.confusion)
    np.testing.assert_array_equal(again.channels.errors, reading.channels.errors)


def test_a_predicate_that_one_round_does_not_tell_counts_as_unchanged():
    broken = Channels(np.array([0.4, 1.0]), np.zeros(2), shift=0.1)
    states = StateChannels.identity(2, 3)
    assert greatest_change({"A": broken}, {"A": broken, "Is": states}) == 0
    assert greatest_change({"A": broken, "Is": states}, {"Is": states}) == pytest.approx(0.6)
    assert greatest_change({}, {}) == 0
