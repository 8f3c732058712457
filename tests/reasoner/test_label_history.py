"""Definitions over labels from a split to predictions: nothing later is seen, all ages alike."""

import numpy as np
import polars as pl
import pytest

from knowreason import Dataset, Reasoner, lang
from knowreason.evaluate.prequential import RefitSchedule, prequential
from knowreason.models.base.feature_columns import evaluated
from knowreason.models.base.label_rows import LabelRows
from knowreason.models.base.predicate_rows import rows_of

PROGRAM = lang.loads("""
domain Pay, Acc
observed Pays(Pay, Acc)
attribute at(Pay): int clock
attribute acc(Pay): Acc
query Bad(Pay)
define risk(e) := rate { Bad(f) for f : Pays(f, acc(e)) prior 0.3 of 2 }
model m for Bad = sklearn("logistic", features=["risk"])
rule risky [? * risk(e)] : Bad(e)
""")
N, CUT = 600, 20


def world(seed=0, flip_from=None, **how):
    """Accounts differ in how bad they are; labels from ``flip_from`` on are turned round."""
    rng = np.random.default_rng(seed)
    account = rng.integers(0, 12, N)
    at = np.sort(rng.integers(0, 24, N))
    bad = rng.random(N) < account / 15
    if flip_from is not None:
        bad = np.where(at >= flip_from, ~bad, bad)
    frame = pl.DataFrame(
        {"id": [f"p{i}" for i in range(N)], "acc": [f"a{i}" for i in account], "at": at}
    )
    return Dataset.from_frames(
        PROGRAM,
        facts={"Pays": frame["id", "acc"], "acc": frame["id", "acc"], "at": frame["id", "at"]},
        labels={"Bad": frame.select("id", pl.Series(bad.astype(int)))},
        **how,
    )


def asked(beliefs):
    return beliefs.posterior.log_odds.numpy()[beliefs.asked("Bad")]


@pytest.fixture(scope="module")
def fitted():
    past, future = world().split_by("at", before=CUT)
    return Reasoner(PROGRAM).fit(past), past, future


def test_the_rates_help(fitted):
    reasoner, _, future = fitted
    assert reasoner.score(future, metrics=["roc_auc"])["roc_auc"].value > 0.65
    assert not any(w.code == "KR665" for w in reasoner.grounding_.warnings)


def test_labels_held_back_are_not_read(fitted):
    reasoner, past, future = fitted
    other_past, other = world(flip_from=CUT).split_by("at", before=CUT)
    assert asked(reasoner.infer(other)).tolist() == asked(reasoner.infer(future)).tolist()
    assert evaluated(other_past, ["risk"])["risk"].equals(evaluated(past, ["risk"])["risk"])


def test_labels_known_when_predicting_are_read(fitted):
    reasoner, _, future = fitted
    _, other = world(flip_from=CUT - 6).split_by("at", before=CUT)
    assert asked(reasoner.infer(other)).tolist() != asked(reasoner.infer(future)).tolist()


def test_training_reads_labels_as_old_as_use_does(fitted):
    _, past, future = fitted
    asked_at = future.attributes["at"]["value"].to_numpy()[future.scope["Pay"]]
    in_use = (asked_at - (CUT - 1)).mean()
    rows = past.attributes["at"]["value"].to_numpy()
    from knowreason.data.splits.label_history import as_of

    in_training = (rows - as_of(past, "at")["value"].to_numpy()).mean()
    assert in_training == pytest.approx(in_use, abs=0.5)


def test_folds_share_what_definitions_read(fitted):
    _, past, _ = fitted
    labels = LabelRows.of(past, rows_of(past, "Bad"), 3, "forward", 0)
    part = labels.restricted(past, "Bad", labels.fold < 1)
    assert evaluated(part, ["risk"])["risk"] is evaluated(past, ["risk"])["risk"]
    fewer = past.labels_only("Bad", labels.fold < 1)
    assert not evaluated(fewer, ["risk"])["risk"].equals(evaluated(past, ["risk"])["risk"])


def test_fresh_labels_are_warned_of():
    reasoner = Reasoner(PROGRAM).fit(world())
    assert [w.code for w in reasoner.grounding_.warnings] == ["KR665", "KR836"]


@pytest.mark.parametrize("delay", [0, 2])
def test_a_walk_sees_nothing_later(delay):
    turn = 21
    both = [
        prequential(
            Reasoner(PROGRAM),
            world(flip_from=flip),
            "at",
            CUT,
            delay=delay,
            schedule=RefitSchedule(weights=2, models=2),
        )
        for flip in (None, turn)
    ]
    first = turn + max(delay, 1) - CUT  # the slice at which a turned label is known
    same = both[0].blocks < first
    np.testing.assert_array_equal(both[0].log_odds[same], both[1].log_odds[same])
    assert (both[0].log_odds[~same] != both[1].log_odds[~same]).any()


def test_a_walk_fits_again_what_was_fitted_for_older_labels(fitted):
    reasoner, _, _ = fitted
    never = RefitSchedule(weights=0, models=0)
    walked = prequential(reasoner, world(), "at", CUT, schedule=never)
    anew = prequential(Reasoner(PROGRAM), world(), "at", CUT, schedule=never)
    np.testing.assert_array_equal(walked.log_odds, anew.log_odds)
    assert reasoner.grounding_.data.label_refresh == 4
