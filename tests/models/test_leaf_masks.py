"""Boosted trees read by leaf masks say what scikit-learn says, to the last bit."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from knowreason.models import load_model, make, save_model
from knowreason.models.base.encoding import Encoder
from knowreason.models.base.labelled_model import label_index
from knowreason.models.base.model_protocol import ModelState
from knowreason.models.base.predicate_rows import rows_of
from knowreason.models.tabular.leaf_masks import LeafMasks
from knowreason.testing.example_world import example_data


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
    masks = LeafMasks.of(booster)
    if leaves > 32:
        assert masks is None
        return
    np.testing.assert_array_equal(masks(other)[:, 0], booster.decision_function(other))


def test_scores_of_several_states_and_of_numbers():
    x = columns(900, 5)
    states = np.digitize(np.nan_to_num(x[:, 0]), [-0.5, 0.5])
    booster = HistGradientBoostingClassifier(max_iter=6, max_leaf_nodes=7).fit(x, states)
    np.testing.assert_array_equal(LeafMasks.of(booster)(x), booster.decision_function(x))
    numbers = HistGradientBoostingRegressor(max_iter=6).fit(x, x[:, 0] ** 2)
    np.testing.assert_array_equal(LeafMasks.of(numbers)(x)[:, 0], numbers.predict(x))


def test_a_tree_without_splits_and_no_rows():
    x = columns(30, 1)
    booster = HistGradientBoostingClassifier(max_iter=3).fit(x, np.arange(30) % 2)
    np.testing.assert_array_equal(LeafMasks.of(booster)(x)[:, 0], booster.decision_function(x))
    assert LeafMasks.of(booster)(x[:0]).shape == (0, 1)


@pytest.mark.parametrize("leaves", [15, 40])
def test_trees_are_stored_as_arrays_or_by_scikit_learn(tmp_path, leaves):
    data = example_data()
    model = make("trees", {"max_iter": 5, "max_leaf_nodes": leaves}).fit(data, "Bad")
    save_model(model, tmp_path)
    assert (tmp_path / "booster_.skops").exists() == (leaves > 32)
    again = load_model(tmp_path)
    np.testing.assert_array_equal(again.log_odds(data, "Bad"), model.log_odds(data, "Bad"))


def test_trees_of_an_earlier_version_are_read():
    """They were scikit-learn's object."""
    data = example_data()
    model = make("trees", {"max_iter": 5}).fit(data, "Bad")
    rows = rows_of(data, "Bad")
    columns = model._inputs(data, rows)
    matrix, _ = Encoder.from_values(model.encoder_).tree_matrix(columns)
    states = label_index(rows.labels[rows.labelled], model.states_)
    booster = model._booster(5, np.array(_, bool), len(states)).fit(matrix[rows.labelled], states)
    state = ModelState({}, model.state().values, {"booster_": booster})
    again = make("trees", {"max_iter": 5}).load_state(state)
    again.base_rate_ = model.base_rate_
    np.testing.assert_array_equal(again.log_odds(data, "Bad"), model.log_odds(data, "Bad"))


def test_a_logistic_regression_is_stored_as_arrays(tmp_path):
    data = example_data()
    model = make("sklearn", {"estimator": "logistic", "C": 0.5}).fit(data, "Bad")
    save_model(model, tmp_path)
    assert not list(tmp_path.glob("*.skops"))
    again = load_model(tmp_path)
    np.testing.assert_array_equal(again.log_odds(data, "Bad"), model.log_odds(data, "Bad"))
    assert again.estimator_.get_params() == model.estimator_.get_params()


@pytest.mark.parametrize(
    "model", [("trees", {"max_iter": 5}), ("sklearn", {"estimator": "logistic"})], ids=str
)
def test_models_of_states_are_stored_too(tmp_path, model):
    """Their base rates are an array among the others."""
    data = example_data()
    fitted = make(*model).fit(data, "Has")
    save_model(fitted, tmp_path)
    found = load_model(tmp_path).log_odds(data, "Has")
    np.testing.assert_array_equal(found, fitted.log_odds(data, "Has"))
