import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from knowreason.errors import ModelError
from knowreason.models.base.calibration import (
    Calibration,
    calibrate,
    fit_contamination,
    fit_platt,
    fit_scores,
)


def sample(n, slope=1.0, intercept=0.0, offset=0.0, seed=0):
    random = np.random.default_rng(seed)
    truth = random.normal(size=n) * 2
    labels = (random.random(n) < expit(offset + truth)).astype(int)
    return (truth - intercept) / slope, labels


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_distorted_ratios_are_straightened(method):
    offset = -1.0
    ratios, labels = sample(20_000, slope=0.4, intercept=0.8, offset=offset)
    found = calibrate(ratios, labels, method, offset)
    probabilities = expit(offset + found(ratios))
    for low, high in ((0.0, 0.1), (0.2, 0.4), (0.6, 0.9)):
        inside = (probabilities > low) & (probabilities <= high)
        assert labels[inside].mean() == pytest.approx(probabilities[inside].mean(), abs=0.02)


def test_platt_finds_the_distortion():
    ratios, labels = sample(20_000, slope=0.4, intercept=0.8)
    found = fit_platt(ratios, labels)
    assert (found.slope, found.intercept) == pytest.approx((0.4, 0.8), abs=0.05)


def test_temperature_moves_no_intercept():
    ratios, labels = sample(5_000, slope=3.0)
    found = calibrate(ratios, labels, "temperature", 0.0)
    assert found.slope == pytest.approx(3.0, rel=0.1)
    assert found.intercept == pytest.approx(0.0, abs=1e-6)


def test_states_get_a_temperature():
    random = np.random.default_rng(0)
    logits = random.normal(size=(5_000, 3)) * 2
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    found = calibrate(3 * logits, labels, "platt", np.zeros(3))
    assert found.slope == pytest.approx(1 / 3, rel=0.1)


def test_few_labels_change_little_and_separation_is_no_certainty():
    found = fit_platt(np.array([-9.0, 9.0]), np.array([0, 1]))
    assert 0.1 < found.slope < 1
    assert abs(found.intercept) < 0.1


def test_labels_alike_change_nothing():
    assert calibrate(np.ones(5), np.ones(5, int), "platt", 0.0) == Calibration()


def test_scores_without_unit_become_log_odds():
    truth, labels = sample(20_000, offset=-2.0)
    found = fit_scores(1e4 + 300 * truth, labels, "platt")
    assert expit(found(1e4 + 300 * truth)).mean() == pytest.approx(labels.mean(), abs=0.01)
    assert found.slope == pytest.approx(1 / 300, rel=0.1)


@given(st.floats(0.01, 0.5), st.integers(2, 300), st.integers(0, 5))
@settings(max_examples=40)
def test_without_labels_the_mean_is_the_assumed_share(share, n, seed):
    scores = np.random.default_rng(seed).lognormal(size=n) ** 3
    found = fit_contamination(scores, share)
    log_odds = found(scores)
    assert expit(log_odds).mean() == pytest.approx(share, abs=0.02)
    assert (np.diff(log_odds[np.argsort(scores)]) >= 0).all()
    assert f"assumed that {share:.3g}" in found.note


def test_well_separated_scores_are_seen_to_be():
    random = np.random.default_rng(0)
    near = np.concatenate([random.normal(size=950), random.normal(1.0, 1, size=50)])
    far = np.concatenate([random.normal(size=950), random.normal(9.0, 1, size=50)])
    assert "separation 3.00" in fit_contamination(far, 0.05).note
    assert "separation 3.00" not in fit_contamination(near, 0.05).note
    labels = np.arange(1000) >= 950
    assert roc_auc_score(labels, fit_contamination(near, 0.05)(near)) == pytest.approx(
        roc_auc_score(labels, near)
    )


@pytest.mark.parametrize("share", [0.0, -1.0, 0.7])
def test_contamination_has_a_range(share):
    with pytest.raises(ModelError) as caught:
        fit_contamination(np.arange(5.0), share)
    assert caught.value.code == "KR830"


def test_scores_alike_are_refused():
    with pytest.raises(ModelError) as caught:
        fit_contamination(np.ones(5), 0.1)
    assert caught.value.code == "KR831"


def test_survives_json():
    found = fit_contamination(np.arange(5.0), 0.2)
    assert Calibration.from_values(found.to_values()) == found
    assert np.isnan(found(np.array([np.nan]))).all()


def test_the_gradients_agree_with_differences_and_temperature_with_a_grid():
    random = np.random.default_rng(1)
    logits = random.normal(size=(300, 3)) * 2
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    found = calibrate(2 * logits, labels, "platt", np.zeros(3))

    def loss(log_slope):
        margin = np.exp(log_slope) * 2 * logits
        margin -= np.logaddexp.reduce(margin, axis=1, keepdims=True)
        return -margin[np.arange(300), labels].sum() + 0.5 * (log_slope / 0.5) ** 2

    grid = np.linspace(-2, 1, 3001)
    assert np.log(found.slope) == pytest.approx(grid[np.argmin([*map(loss, grid)])], abs=2e-3)


def test_a_label_repeated_in_its_cluster_counts_once():
    """Ten copies of every row in a cluster tell what one row tells."""
    ratios, labels = sample(40, slope=0.3, intercept=2.0, seed=4)
    once = fit_platt(ratios, labels)
    copied = [np.repeat(values, 10) for values in (ratios, labels)]
    clusters = np.repeat(np.arange(40), 10)
    counted, naive = fit_platt(*copied, clusters=clusters), fit_platt(*copied)
    assert abs(counted.intercept - once.intercept) < 0.4 * abs(naive.intercept - once.intercept)
    assert "count as" in counted.note


def test_one_cluster_that_differs_does_not_move_the_others():
    ratios, labels = sample(400, seed=2)
    odd, ones = np.full(300, -3.0), np.ones(300, int)
    ratios, labels = np.concatenate([ratios, odd]), np.concatenate([labels, ones])
    clusters = np.concatenate([np.arange(400), np.full(300, 400)])
    counted, naive = fit_platt(ratios, labels, clusters=clusters), fit_platt(ratios, labels)
    assert abs(np.log(counted.slope)) < 0.3 * abs(np.log(naive.slope))
    assert abs(counted.intercept) < 0.6 * abs(naive.intercept)


def test_rows_of_their_own_are_independent():
    ratios, labels = sample(300, slope=0.4, intercept=0.8)
    assert fit_platt(ratios, labels, clusters=np.arange(300)) == fit_platt(ratios, labels)
