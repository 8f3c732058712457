"""Alarms against every set of alarms, and intervals against what comes true."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from knowreason.errors import KnowreasonError
from knowreason.metrics.alarms import (
    Decision,
    alarm_rows,
    expected_figures,
    loss_sentence,
    measured_alarms,
    ranks,
)

COSTS = Decision(cost_of_miss=9.0, cost_of_alarm=2.0)


def expected_loss(alarm, probability, miss, false):
    return (np.where(alarm, false * (1 - probability), miss * probability)).sum()


@given(
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=7),
    st.floats(0.1, 100),
    st.floats(0.1, 100),
)
def test_no_set_of_alarms_is_expected_to_lose_less(probabilities, miss, false):
    probability = np.array(probabilities)
    decision = Decision(miss, false)
    alarm = decision.alarms(logit(probability))
    ours = expected_loss(alarm, probability, miss, false)
    sets = [np.array(bits) for bits in product([False, True], repeat=len(probability))]
    assert ours <= min(expected_loss(one, probability, miss, false) for one in sets) + 1e-9
    assert decision.threshold == pytest.approx(false / (false + miss))


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.integers(0, 2)), min_size=1, max_size=7),
    st.integers(1, 3),
)
def test_no_queue_within_capacity_is_expected_to_miss_fewer(rows, places):
    log_odds, period = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    alarm = Decision(capacity=f"{places} a step").alarms(log_odds, period)
    sets = [np.array(bits) for bits in product([False, True], repeat=len(rows))]
    allowed = [one for one in sets if np.bincount(period[one], minlength=3).max() <= places]
    caught = [expit(log_odds)[one].sum() for one in allowed]
    assert np.bincount(period[alarm], minlength=3).max() <= places
    assert expit(log_odds)[alarm].sum() == pytest.approx(max(caught))


def test_the_threshold_loses_least_where_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.5, 3, 200_000)
    truth = rng.random(200_000) < probability
    losses = {
        t: np.where(truth, 9.0 * (probability <= t), 2.0 * (probability > t)).sum()
        for t in np.linspace(0.02, 0.9, 45)
    }
    ours = np.where(truth, 9.0, 2.0)[COSTS.alarms(logit(probability)) != truth].sum()
    assert ours <= min(losses.values()) * 1.005
    assert min(losses, key=losses.get) == pytest.approx(COSTS.threshold, abs=0.04)


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 3)), max_size=12))
def test_ranks_are_those_of_sorting_each_period(rows):
    log_odds, period = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows], int)
    found = ranks(log_odds, period)
    for which in range(4):
        inside = np.flatnonzero(period == which)
        order = sorted(inside, key=lambda i: (-log_odds[i], i))
        assert found[order].tolist() == list(range(1, len(inside) + 1))


def test_expected_figures_hold_what_comes_true():
    rng = np.random.default_rng(1)
    log_odds = rng.normal(-1, 2, 300)
    alarm = COSTS.alarms(log_odds)
    figures = expected_figures(COSTS, log_odds, alarm)
    truth = rng.random((500, 300)) < expit(log_odds)
    loss = np.where(truth, 9.0 * ~alarm, 2.0 * alarm).sum(axis=1)
    precision = truth[:, alarm].mean(axis=1)
    recall = truth[:, alarm].sum(axis=1) / truth.sum(axis=1)
    for figure, came in (
        (figures.loss, loss),
        (figures.precision, precision),
        (figures.recall, recall),
    ):
        assert figure.value == pytest.approx(came.mean(), rel=0.05)
        assert ((figure.low <= came) & (came <= figure.high)).mean() > 0.94
    assert figures.loss.high - figures.loss.low < 1.5 * (
        np.percentile(loss, 97.5) - np.percentile(loss, 2.5)
    )


def test_measured_intervals_cover_where_clusters_are_true_together():
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(60), 5)
    covered, alone = [], []
    for _ in range(60):
        log_odds = np.repeat(rng.normal(-1, 2, 60), 5)
        truth = np.repeat(rng.random(60), 5) < expit(log_odds)
        wanted = expected_loss(log_odds > np.log(2 / 9), expit(log_odds), 9.0, 2.0)
        for found, groups in ((covered, clusters), (alone, np.arange(300))):
            loss = measured_alarms(COSTS, truth, {"reasoner": log_odds}, groups).rows["reasoner"]
            found.append(loss.loss.low <= wanted <= loss.loss.high)
    assert np.mean(covered) > 0.85
    assert np.mean(alone) < np.mean(covered) - 0.1


def test_rows_stand_beside_none_all_and_chance():
    truth, clusters = np.array([1, 0, 1, 0]) > 0, np.arange(4)
    scores = {"reasoner": np.array([2.0, -2.0, 1.0, -3.0]), "worse": -np.ones(4)}
    found = measured_alarms(COSTS, truth, scores, clusters)
    losses = {name: row.loss.value for name, row in found.rows.items()}
    assert losses == {"reasoner": 0.0, "worse": 4.0, "no alarm": 18.0, "all alarms": 4.0}
    assert found.against == "worse"
    assert found.difference.value == -4.0
    assert loss_sentence(found).startswith("loss: -4.0 against worse")
    head, rows = alarm_rows(found)
    assert all(len(row) == len(head) for row in rows)
    queue = measured_alarms(Decision(capacity=1), truth, scores, clusters)
    assert {name: row.loss.value for name, row in queue.rows.items()} == {
        "reasoner": 1.0,
        "worse": 1.0,
        "no alarm": 2.0,
        "drawn by chance": 1.5,
    }
    assert str(queue).startswith("precision 100.0% (100.0% to 100.0%) at 1 in all: 1 of 1 alarms")
    high = measured_alarms(Decision(1.0, 1e6), truth, scores, clusters)
    assert str(high) == "no alarm where the probability is above 100.00%; 2 of 4 are true"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs `cost_of_miss` and `cost_of_alarm`, or `capacity`"),
        ({"cost_of_miss": 2.0}, "needs"),
        ({"cost_of_miss": 2.0, "capacity": 5}, "takes no `cost_of_miss`"),
        ({"cost_of_miss": 2.0, "cost_of_alarm": 0.0}, "`cost_of_alarm` is a number above 0"),
        ({"cost_of_miss": float("nan"), "cost_of_alarm": 1.0}, "`cost_of_miss` is a number"),
        ({"capacity": "many"}, "`capacity` cannot be `many`"),
        ({"capacity": "5 a year"}, "`capacity` cannot be `5 a year`"),
        ({"capacity": 0}, "`capacity` cannot be `0`"),
    ],
)
def test_what_is_no_decision_is_refused(given, said):
    with pytest.raises(KnowreasonError, match="KR943") as error:
        Decision(**given)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("capacity", "places", "per", "text"),
    [
        (200, 200, "", "at 200 in all"),
        ("1,000", 1000, "", "at 1,000 in all"),
        ("50 a day", 50, "day", "at 50 a day"),
        ("3 per week", 3, "week", "at 3 a week"),
        (" 4 an hour ", 4, "hour", "at 4 an hour"),
    ],
)
def test_capacities_as_people_write_them(capacity, places, per, text):
    decision = Decision(capacity=capacity)
    assert (decision.places, decision.per, str(decision)) == (places, per, text)
