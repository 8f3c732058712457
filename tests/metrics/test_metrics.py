"""Metrics against hand counts and properties."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binomtest
from sklearn import metrics as sk

from knowreason.errors import KnowreasonError, UnknownNameError
from knowreason.metrics import intervals, metrics

TRUTH = np.array([1, 0, 1, 0, 0], dtype=bool)
SCORES = np.array([4.0, 3.0, 2.0, 1.0, 0.0])


def test_hand_counted():
    assert metrics.average_precision(TRUTH, SCORES) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.roc_auc(TRUTH, SCORES) == pytest.approx(5 / 6)
    assert metrics.true_positive_rate(TRUTH, SCORES, 0.0) == pytest.approx(0.5)
    assert metrics.true_positive_rate(TRUTH, SCORES, 0.34) == pytest.approx(1.0)
    assert metrics.precision_at(TRUTH, SCORES, 2) == pytest.approx(0.5)
    assert metrics.recall_at(TRUTH, SCORES, 3) == pytest.approx(1.0)


@given(st.integers(1, 500), st.floats(0, 1))
def test_intervals_of_shares_are_wilsons(count, share):
    true = round(share * count)
    low, high = intervals.share_interval(true, count)
    theirs = binomtest(true, count).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-4)


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
    inside = (curve.low <= curve.predicted) & (curve.predicted <= curve.high)
    assert inside.mean() > 0.8


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
    counts = np.concatenate(list(draws.weights())).astype(int)
    assert (counts.sum(axis=1) == 60).all() or blocked
    resamples = [np.repeat(np.arange(60), count) for count in counts]
    alone = [function(truth[rows], log_odds[rows]) for rows in resamples]
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


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(-3, 3), st.integers(0, 4)), min_size=4, max_size=40
    )
)
def test_figures_and_weights_are_those_of_scikit_learn(atoms):
    truth = np.array([atom[0] for atom in atoms])
    scores = np.array([atom[1] for atom in atoms], dtype=float)
    weights = np.array([atom[2] for atom in atoms], dtype=float)
    heavy = truth[weights > 0]
    assume(heavy.any() and not heavy.all())
    probability = expit(scores)
    for ours, theirs in [
        (
            metrics.average_precision,
            sk.average_precision_score(truth, scores, sample_weight=weights),
        ),
        (metrics.roc_auc, sk.roc_auc_score(truth, scores, sample_weight=weights)),
        (metrics.log_loss, sk.log_loss(truth, probability, sample_weight=weights)),
        (metrics.brier, sk.brier_score_loss(truth, probability, sample_weight=weights)),
        (metrics.accuracy, sk.accuracy_score(truth, scores > 0, sample_weight=weights)),
    ]:
        assert ours(truth, scores, weights) == pytest.approx(theirs, abs=1e-9)
    false_rate, true_rate, _ = sk.roc_curve(truth, scores, drop_intermediate=False)
    if truth.any() and not truth.all():
        best = true_rate[false_rate <= 0.3].max()
        assert metrics.true_positive_rate(truth, scores, 0.3) == pytest.approx(best)


def test_one_class_gives_no_figure():
    for name in ("roc_auc", "tpr@fpr=0.1"):
        for truth in (np.zeros(4, bool), np.ones(4, bool)):
            assert np.isnan(metrics.metric(name)(truth, np.arange(4.0)))
    assert np.isnan(metrics.average_precision(np.zeros(4, bool), np.arange(4.0)))
    assert np.isnan(metrics.average_precision([], []))
    assert metrics.evaluate([], {"a": []}, ["brier"])["a"]["brier"].low != 0


@pytest.fixture
def own():
    """Registers metrics of one's own for a test."""
    names = []

    def register(name, thing):
        names.append(name)
        metrics.METRICS.register(name)(thing)

    yield register
    for name in names:
        metrics.METRICS._things.pop(name)


def test_a_metric_of_ones_own_is_like_ours(own):
    """The same metric in each of the ways it can be written gives the same estimate."""

    def share(truth, weights):
        return weights @ truth / weights.sum(axis=1)

    own("plain", lambda truth, log_odds: float(truth.mean()))
    own("mean", metrics.averaged()(lambda truth, log_odds: truth.astype(float)))
    own("general", metrics.weighted()(lambda truth, log_odds, weights: share(truth, weights)))
    own("bare", lambda truth, log_odds, weights: share(truth, weights))
    own("cumulative", metrics.ranked()(lambda t, f: t[:, -1] / (t[:, -1] + f[:, -1])))
    names = ["plain", "mean", "general", "bare", "cumulative"]
    for blocks in (None, [0, 0, 1, 1, 2]):
        rows = metrics.evaluate(TRUTH, {"a": SCORES}, names, blocks=blocks)["a"]
        for name in names:
            assert rows[name].value == pytest.approx(0.4)
            assert rows[name].low == pytest.approx(rows["plain"].low)
            assert rows[name].high == pytest.approx(rows["plain"].high)
            assert rows[name].low < 0.4 < rows[name].high
    heavy = np.array([3.0, 1.0, 3.0, 1.0, 1.0])
    assert [metrics.metric(name)(TRUTH, SCORES, heavy) for name in names] == pytest.approx(
        [2 / 3] * 5
    )
    with pytest.raises(KnowreasonError, match="KR931"):
        metrics.metric("plain")(TRUTH, SCORES, heavy / 2)
    own("loss", metrics.averaged(lower_is_better=True)(lambda truth, log_odds: log_odds))
    assert metrics.metric("loss").lower_is_better


def test_metrics_share_what_a_resample_ranks():
    rng = np.random.default_rng(0)
    truth, scores = rng.random(60) < 0.3, rng.integers(0, 9, 60).astype(float)
    names = ["average_precision", "roc_auc", "log_loss", "tpr@fpr=0.1", "precision@5", "accuracy"]
    draws = intervals.draw(60, rng.integers(0, 20, 60), 40, 0)
    found = metrics.resampled_each(names, truth, scores, draws)
    weights = np.concatenate(list(draws.weights()))
    for name in names:
        alone = metrics.metric(name).each(truth, scores, weights)
        np.testing.assert_allclose(found[name], alone, rtol=1e-12)
