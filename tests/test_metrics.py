"""Metrics against hand counts and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit

from knowreason import intervals, metrics
from knowreason.errors import KnowreasonError, UnknownNameError

TRUTH = np.array([1, 0, 1, 0, 0], dtype=bool)
SCORES = np.array([4.0, 3.0, 2.0, 1.0, 0.0])


def test_hand_counted():
    assert metrics.average_precision(TRUTH, SCORES) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.roc_auc(TRUTH, SCORES) == pytest.approx(5 / 6)
    assert metrics.true_positive_rate(TRUTH, SCORES, 0.0) == pytest.approx(0.5)
    assert metrics.true_positive_rate(TRUTH, SCORES, 0.34) == pytest.approx(1.0)
    assert metrics.precision_at(TRUTH, SCORES, 2) == pytest.approx(0.5)
    assert metrics.recall_at(TRUTH, SCORES, 3) == pytest.approx(1.0)


def test_ties_share_the_last_places():
    assert metrics.precision_at(TRUTH, np.zeros(5), 2) == pytest.approx(0.4)


def test_calibrated_scores_have_small_error():
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.01, 0.99, 200_000)
    truth = rng.random(200_000) < probability
    assert metrics.expected_calibration_error(truth, logit(probability)) < 0.005
    assert metrics.expected_calibration_error(truth, logit(probability) + 1) > 0.1
    curve = metrics.calibration_curve(truth, logit(probability))
    assert np.abs(curve.predicted - curve.observed).max() < 0.02
    assert curve.count.sum() == 200_000


def test_log_loss_of_saturated_log_odds_is_finite():
    truth = np.array([True, False])
    assert metrics.log_loss(truth, np.array([-700.0, -700.0])) == pytest.approx(350.0)


@pytest.mark.parametrize("name", ["tpr@fpr=0.01", "precision@3", "recall@3", "ece", "brier"])
def test_metrics_by_name(name):
    assert 0 <= metrics.metric(name)(TRUTH, SCORES) <= 1


def test_unknown_metric_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="roc_auc"):
        metrics.metric("rocauc")
    with pytest.raises(KnowreasonError, match="tpr@fpr"):
        metrics.metric("tpr@five")


def test_block_intervals_are_wider_than_independent_ones():
    rng = np.random.default_rng(1)
    blocks = np.repeat(np.arange(10), 100)
    shift = np.repeat(rng.normal(0, 3, 10), 100)
    truth = rng.random(1000) < 0.3
    scores = truth * 1.0 + shift * (blocks % 2) + rng.normal(0, 1, 1000)
    free = metrics.evaluate(truth, {"m": scores}, ["roc_auc"])["m"]["roc_auc"]
    tied = metrics.evaluate(truth, {"m": scores}, ["roc_auc"], blocks=blocks)["m"]["roc_auc"]
    assert tied.high - tied.low > free.high - free.low
    assert free.low < free.value < free.high


def test_a_score_against_itself_differs_by_nothing():
    difference = metrics.paired_difference(TRUTH, SCORES, SCORES, "roc_auc", resamples=50)
    assert difference == metrics.Estimate(0.0, 0.0, 0.0)


def test_metric_by_block():
    by = metrics.by_block(TRUTH, SCORES, [0, 0, 1, 1, 1], "roc_auc")
    assert by == {0: 1.0, 1: 1.0}


@given(st.lists(st.tuples(st.booleans(), st.floats(-20, 20)), min_size=4, max_size=30))
def test_ranking_metrics_ignore_monotone_maps(pairs):
    truth = np.array([p[0] for p in pairs])
    scores = np.round(np.array([p[1] for p in pairs]), 3)
    for function in (metrics.average_precision, metrics.roc_auc):
        assert function(truth, scores) == pytest.approx(
            function(truth, 3 * scores + 1), nan_ok=True
        )


ALL_METRICS = [
    "average_precision",
    "roc_auc",
    "tpr@fpr=0.1",
    "precision@7",
    "recall@7",
    "log_loss",
    "brier",
    "ece",
    "accuracy",
]


@pytest.mark.parametrize("name", ALL_METRICS)
@pytest.mark.parametrize("blocked", [False, True])
def test_all_resamples_at_once_are_each_resample_alone(name, blocked):
    rng = np.random.default_rng(3)
    truth = rng.random(60) < 0.3
    log_odds = np.round(rng.normal(size=60), 1)
    blocks = rng.integers(0, 8, 60) if blocked else None
    draws = intervals.draw(60, blocks, 40, seed=1)
    together = metrics.resampled(name, truth, log_odds, draws)
    function = metrics.metric(name)
    alone = [function(truth[rows], log_odds[rows]) for rows in draws.rows()]
    np.testing.assert_allclose(together, alone, atol=1e-9)


def test_intervals_are_the_same_for_the_same_seed_and_wider_over_blocks():
    rng = np.random.default_rng(0)
    blocks = np.repeat(np.arange(12), 50)
    truth = rng.random(600) < np.where(blocks < 3, 0.8, 0.05)
    scores = {"one": rng.normal(size=600) + truth}
    loose = metrics.evaluate(truth, scores, ["average_precision"], blocks=blocks)
    again = metrics.evaluate(truth, scores, ["average_precision"], blocks=blocks)
    tight = metrics.evaluate(truth, scores, ["average_precision"])
    assert loose == again
    one, other = loose["one"]["average_precision"], tight["one"]["average_precision"]
    assert one.high - one.low > other.high - other.low


def test_a_metric_of_ones_own_is_resampled_too():
    metrics.METRICS.register("share_true")(lambda truth, log_odds: float(truth.mean()))
    try:
        found = metrics.evaluate(TRUTH, {"a": SCORES}, ["share_true"])["a"]["share_true"]
    finally:
        metrics.METRICS._things.pop("share_true", None)
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.4 < found.high
