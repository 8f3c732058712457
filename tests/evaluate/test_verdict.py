"""The verdict on cases whose answer is known because they were made so."""

import numpy as np
import pytest
from scipy.special import expit, logit

from knowreason.evaluate.verdict import verdict

COUNT, CLUSTERS = 4000, 200


def world(seed=0, count=COUNT, clusters=CLUSTERS):
    """Log-odds that are right, truth drawn from them, and clusters of equal size."""
    rng = np.random.default_rng(seed)
    log_odds = -3 + 2 * rng.standard_normal(count)
    return rng, rng.random(count) < expit(log_odds), log_odds, np.arange(count) % clusters


def test_an_answer_that_is_right_is_used():
    rng, truth, right, cluster = world()
    found = verdict(truth, right, {"model lin": right + 2 * rng.standard_normal(COUNT)}, cluster)
    assert found.kind == "use"
    assert "better than `lin`" in str(found)
    assert found.row == "model lin"
    assert found.difference.low > 0
    assert found.factor == pytest.approx(1, abs=0.1)
    assert (found.labels, found.true, found.clusters) == (COUNT, truth.sum(), CLUSTERS)


def test_a_part_that_is_better_beyond_chance_is_named_with_what_is_lost():
    rng, truth, right, cluster = world()
    noise = {f"model {i}": right + 3 * rng.standard_normal(COUNT) for i in range(5)}
    answer = right + 2 * rng.standard_normal(COUNT)
    found = verdict(truth, answer, {**noise, "model lin": right}, cluster)
    assert found.kind == "use another"
    assert str(found).startswith("use `lin` alone: what is combined with it takes away")
    low, high = found.difference.low, found.difference.high
    assert low < found.difference.value < high < 0
    assert f"{-high:.2f} to {-low:.2f} average precision" in str(found)
    found = verdict(truth, answer, {**noise, "stacking (logistic)": right}, cluster)
    assert str(found).startswith("use `stacking (logistic)` instead: it is")


def test_the_best_of_many_equals_is_no_better():
    """Thirty rows as good as the answer: the best of them leads, and by chance."""
    wrong = 0
    for seed in range(20):
        rng, truth, right, cluster = world(seed, 600, 600)
        rows = {f"model {i}": right + rng.standard_normal(600) for i in range(30)}
        found = verdict(truth, right + rng.standard_normal(600), rows, cluster)
        assert found.difference.value < 0
        wrong += found.kind == "use another"
    assert wrong <= 3


@pytest.mark.parametrize("moved", [-1.5, 1.5])
def test_probabilities_that_are_off_leave_the_ranking(moved):
    _, truth, right, cluster = world()
    found = verdict(truth, right + moved, {}, cluster)
    assert found.kind == "ranking only"
    assert ("too high" in str(found)) == (moved > 0)
    assert f"{expit(right + moved).sum():,.1f} are expected to be true, {truth.sum()} are" in str(
        found
    )
    expected, true = expit(right + moved).mean(), truth.mean()
    assert np.log(found.factor) == pytest.approx(logit(expected) - logit(true), abs=0.01)


def test_overconfidence_is_found_where_the_sum_is_right():
    rng = np.random.default_rng(0)
    side = np.where(np.arange(COUNT) % 2 == 1, 1.0, -1.0)
    truth = rng.random(COUNT) < expit(side)
    found = verdict(truth, 4 * side + rng.normal(0, 0.01, COUNT), {}, np.arange(COUNT))
    assert found.kind == "ranking only"
    assert "of the likeliest" in str(found)
    kept = verdict(truth, side + rng.normal(0, 0.01, COUNT), {}, np.arange(COUNT))
    assert kept.kind == "use"


def test_calibrated_answers_are_rarely_said_to_be_off():
    off = 0
    for seed in range(40):
        _, truth, right, cluster = world(seed, 1000, 100)
        off += verdict(truth, right, {}, cluster).kind == "ranking only"
    assert off <= 4


def test_what_few_labels_or_clusters_cannot_tell():
    _, truth, right, cluster = world()
    few = np.concatenate([np.flatnonzero(truth)[:9], np.flatnonzero(~truth)[:50]])
    found = verdict(truth[few], right[few], {}, cluster[few])
    assert found.kind == "cannot be told"
    assert "59 labels, 9 of them true, in" in str(found)
    found = verdict(truth, right, {}, np.where(truth, cluster % 2, cluster))
    assert found.kind == "cannot be told"


def test_dependence_widens_what_cannot_be_told():
    """The same rows, each copied ten times, say as much as before and no more."""
    rng, truth, right, _ = world(2, 150, 150)
    answer, other = right + 2 * rng.standard_normal(150), right + 2 * rng.standard_normal(150)
    ten = np.repeat(np.arange(150), 10)
    one = verdict(truth, answer, {"model lin": other}, np.arange(150))
    copied = verdict(truth[ten], answer[ten], {"model lin": other[ten]}, ten)
    as_many = verdict(truth[ten], answer[ten], {"model lin": other[ten]}, np.arange(1500))
    assert one.kind == copied.kind == "cannot be told"
    assert copied.difference.low == pytest.approx(one.difference.low, abs=0.02)
    assert as_many.difference.low > one.difference.low + 0.05


def test_a_ranking_by_chance_is_not_used():
    rng, truth, _, cluster = world()
    found = verdict(truth, logit(truth.mean()) + rng.normal(0, 0.05, COUNT), {}, cluster)
    assert found.kind == "cannot be told"
    assert "chance" in str(found)
