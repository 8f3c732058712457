"""Boosted trees read in one pass say what scikit-learn's own functions say."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from knowreason.models.tabular.compiled_trees import CompiledTrees


@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("categorical", [None, [1, 3], [0, 1, 2, 3]])
def test_scores_are_those_of_the_library(states, categorical):
    draw = np.random.default_rng(states)
    numbers = draw.normal(size=(400, 4))
    numbers[:, 1] = draw.integers(0, 40, 400)
    numbers[:, 3] = draw.choice([2.0, 5.0, 7.0], 400)
    if categorical == [0, 1, 2, 3]:
        numbers = np.abs(np.round(numbers))
    numbers[draw.random(numbers.shape) < 0.1] = np.nan
    score = np.nan_to_num(numbers[:, 0]) + (np.nan_to_num(numbers[:, 1]) % 3) - 1
    target = np.digitize(score, [0.5, 1.0][: states - 1])
    booster = HistGradientBoostingClassifier(
        max_iter=20, categorical_features=categorical, min_samples_leaf=5
    ).fit(numbers, target)
    other = draw.normal(size=(200, 4)) * 20
    other = np.abs(np.round(other)) if categorical else other
    other[draw.random(other.shape) < 0.1] = np.nan
    other = np.concatenate([other, numbers[:100]])
    ours = CompiledTrees.of(booster).raw_scores(other)
    theirs = booster.decision_function(other)
    np.testing.assert_array_equal(ours[:, 0] if theirs.ndim == 1 else ours, theirs)
