import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

from knowreason.models.stacked.pool import Pool, PooledAtoms
from knowreason.models.stacked.stacking import Stacking, fit_stacking


def drawn(n, seed=0, weights=(0.8, 0.3)):
    rng = np.random.default_rng(seed)
    ratios = rng.normal(0, 2, (n, 2))
    labels = (rng.random(n) < expit(-1 + ratios @ np.array(weights))).astype(int)
    return ratios, labels


def fitted(ratios, labels, clusters=None, means=None):
    none = np.zeros_like(ratios)
    return fit_stacking(
        ("a", "b"), ratios, none if means is None else means, labels, -1.0, clusters
    )


def test_many_labels_give_logistic_regression():
    ratios, labels = drawn(50_000)
    found = fitted(ratios, labels)
    peer = LogisticRegression(C=np.inf).fit(ratios, labels)
    np.testing.assert_allclose(found.own, peer.coef_[0], atol=0.01)
    assert found.base + found.intercept == pytest.approx(peer.intercept_[0], abs=0.01)
    assert found.around == (0.0, 0.0)  # columns of zeros get no coefficient


def test_few_labels_leave_the_mean_of_the_models():
    ratios, labels = drawn(6)
    np.testing.assert_allclose(fitted(ratios, labels).own, 0.5, atol=0.3)
    nothing = fitted(np.zeros((4, 2)), np.array([0, 1, 0, 1]))
    assert nothing.own == (0.0, 0.0)


def test_copies_of_rows_in_one_cluster_tell_nothing_new():
    ratios, labels = drawn(60)
    once = fitted(ratios, labels, np.arange(60))
    copied = fitted(np.repeat(ratios, 20, 0), np.repeat(labels, 20), np.repeat(np.arange(60), 20))
    alone = fitted(np.repeat(ratios, 20, 0), np.repeat(labels, 20))
    np.testing.assert_allclose(copied.own, once.own, atol=0.05)
    assert np.abs(np.subtract(alone.own, once.own)).max() > 0.05


def test_a_model_that_is_wrong_is_left_out_and_not_turned_around():
    ratios, labels = drawn(2000, weights=(0.8, -0.5))
    assert fitted(ratios, labels).own[1] == 0.0


def test_models_of_other_predicates_start_at_nothing_and_may_tell_against():
    ratios, labels = drawn(2000, weights=(0.8, -0.5))
    none = np.zeros_like(ratios)
    found = fit_stacking(("a", "b of B"), ratios, none, labels, -1.0, of_others=1)
    np.testing.assert_allclose(found.own, [0.8, -0.5], atol=0.1)
    few = fit_stacking(("a", "b of B"), ratios[:4], none[:4], labels[:4], -1.0, of_others=1)
    np.testing.assert_allclose(few.own, [1.0, 0.0], atol=0.3)


def test_neighbours_count_where_they_tell():
    rng = np.random.default_rng(3)
    ratios, means = rng.normal(0, 2, (4000, 2)), rng.normal(0, 2, (4000, 2))
    labels = (rng.random(4000) < expit(-1 + ratios[:, 0] + 0.7 * means[:, 1])).astype(int)
    found = fitted(ratios, labels, means=means)
    np.testing.assert_allclose(found.around, [0, 0.7], atol=0.1)


@given(st.floats(-20, 20), st.floats(-20, 20), st.booleans())
def test_the_mean_loses_at_most_half_of_what_lies_between(of_models, of_rules, truth):
    stacking = Stacking(("a",), (1.0,), (0.0,), of_models)
    pooled = PooledAtoms(Pool("P", "mean", 0.0, stacking=stacking), *np.zeros((2, 1, 1)))
    answer = float(pooled.answer(slice(None), np.array([of_rules]))[0])
    assert answer == pytest.approx((of_models + of_rules) / 2)
    sign = 1 if truth else -1
    half = (-log_expit(sign * of_models) - log_expit(sign * of_rules)) / 2
    assert -log_expit(sign * answer) <= half + 1e-12


def test_what_rules_decide_stays_decided():
    pooled = PooledAtoms(
        Pool("P", "mean", 0.0, stacking=Stacking(("a",), (1.0,), (0.0,), 0.0)),
        np.array([[3.0], [3.0], [3.0]]),
        np.zeros((3, 1)),
    )
    found = pooled.answer(slice(None), np.array([-np.inf, np.inf, 1.0]))
    np.testing.assert_array_equal(found, [-np.inf, np.inf, 2.0])


def test_pools_round_trip_through_plain_values():
    pool = Pool(
        "P", "mean", -2.0, 0.9, 0.1, Stacking(("a", "b"), (0.5, 0.2), (0.0, 0.1), -2.0), 0.3
    )
    assert Pool.from_values(pool.to_values()) == pool
    rules = Pool("P", "rules", -2.0)
    assert Pool.from_values(rules.to_values()) == rules
