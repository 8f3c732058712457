import json

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from knowreason.errors import ModelError
from knowreason.models import load_model, make, save_model
from knowreason.testing.example_world import example_data, example_scores


class Odd(ClassifierMixin, BaseEstimator):
    def fit(self, x, y, sample_weight=None):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, x):
        return x[:, 0]


@pytest.fixture(scope="module")
def data():
    return example_data()


def test_folders_hold_no_pickle(data, tmp_path):
    save_model(make("trees", {"max_iter": 5}).fit(data, "Bad"), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "arrays.safetensors",
        "model.json",
    ]
    document = json.loads((tmp_path / "model.json").read_text())
    assert document["model"]["options"]["max_iter"] == 5


def test_nested_models_keep_their_options(data, tmp_path):
    inner = make("gnn", {"hidden": 8, "epochs": 2})
    save_model(make("noisy", {"model": inner, "passes": 2}).fit(data, "Bad"), tmp_path)
    again = load_model(tmp_path)
    assert (again.passes, again.model.hidden) == (2, 8)


def test_functions_cannot_be_stored(data, tmp_path):
    model = make("callable", {"function": example_scores}).fit(data, "Bad")
    with pytest.raises(ModelError) as caught:
        save_model(model, tmp_path)
    assert caught.value.code == "KR840"


def test_unknown_types_are_not_loaded(data, tmp_path):
    model = make("sklearn", {"estimator": f"{__name__}:Odd"})
    model.estimator_ = Odd()
    model.base_rate_, model.encoder_, model.weights_ = 0.5, {}, (1.0, 1.0)
    save_model(model, tmp_path)
    with pytest.raises(ModelError) as caught:
        load_model(tmp_path)
    assert caught.value.code == "KR842"
    assert load_model(tmp_path, trusted=(f"{__name__}.Odd",)).base_rate_ == 0.5


@pytest.mark.parametrize("text", [None, "{", '{"format": 99}'])
def test_other_folders_are_refused(tmp_path, data, text):
    if text is not None:
        save_model(make("column", {"column": "p"}).fit(data, "Bad"), tmp_path)
        (tmp_path / "model.json").write_text(text)
    with pytest.raises(ModelError) as caught:
        load_model(tmp_path)
    assert caught.value.code == "KR841"
