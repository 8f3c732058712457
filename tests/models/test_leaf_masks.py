"""Boosted trees read by leaf masks say what scikit-learn says, to the last bit."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from knowreason.models.tabular.leaf_masks import raw_scores


def columns(rows, seed, categories=12):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 5)).astype(np.float32)
    x[:, 1] = np.round(x[:, 1])  # ties with thresholds
    x[:, 4] = rng.integers(0, categories, rows)
    x[rng.random((rows, 5)) < 0.15] = np.nan
    x[:, 0] = np.nan_to_num(x[:, 0])  # never missing in training
    return x


@pytest.mark.parametrize("leaves", [2, 4, 15, 31, 32, 40])
@pytest.mark.parametrize("by_category", [False, True])
def test_scores_are_those_of_scikit_learn(leaves, by_category):
    x = columns(1500, leaves)
    y = (np.nan_to_num(x[:, 0] * x[:, 1]) + (x[:, 4] % 3 == 1) > 0.4).astype(int)
    booster = HistGradientBoostingClassifier(
        max_iter=12,
        max_leaf_nodes=leaves,
        min_samples_leaf=3,
        categorical_features=[4] if by_category else None,
    ).fit(x, y)
    other = columns(700, 100 + leaves, categories=20)  # unseen categories too
    other[::50] = np.nan
    np.testing.assert_array_equal(raw_scores(booster, other)[:, 0], booster.decision_function(other))


def test_scores_of_several_states_and_of_numbers():
    x = columns(900, 5)
    states = np.digitize(np.nan_to_num(x[:, 0]), [-0.5, 0.5])
    booster = HistGradientBoostingClassifier(max_iter=6, max_leaf_nodes=7).fit(x, states)
    np.testing.assert_array_equal(raw_scores(booster, x), booster.decision_function(x))
    numbers = HistGradientBoostingRegressor(max_iter=6).fit(x, x[:, 0] ** 2)
    np.testing.assert_array_equal(raw_scores(numbers, x)[:, 0], numbers.predict(x))


def test_a_tree_without_splits_and_no_rows():
    x = columns(30, 1)
    booster = HistGradientBoostingClassifier(max_iter=3).fit(x, np.arange(30) % 2)
    np.testing.assert_array_equal(raw_scores(booster, x)[:, 0], booster.decision_function(x))
    assert raw_scores(booster, x[:0]).shape == (0, 1)
