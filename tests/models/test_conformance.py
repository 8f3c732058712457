"""Every registered model passes the conformance suite, and none can be registered without it."""

import numpy as np
import pytest

from knowreason.errors import ModelError
from knowreason.logic import ModelCall
from knowreason.models import MODELS, KnowledgeModel, LabelledModel, check_model, make
from knowreason.models.base.model_registry import BUILT_IN

SMALL = {"epochs": 4, "denoiser_steps": 10, "steps": 4, "width": 4, "hidden": 8}
CASES = {
    "callable": [{"function": "knowreason.testing.example_world:example_scores"}],
    "column": [
        {"column": "p"},
        {"column": "z", "kind": "log_odds"},
        {"column": "wild", "kind": "anomaly"},
        {"column": "wild", "kind": "anomaly", "calibrate": "isotonic"},
    ],
    "enclosing_subgraph": [
        {"hidden": 8, "epochs": 2, "convolution": name, "pooling": pooling}
        for name, pooling in (("sage", "ends"), ("gcn", "mean"), ("gin", "sort"), ("gat", "ends"))
    ]
    + [{"hidden": 8, "epochs": 2, "convolution": "gine", "message_features": True}],
    "diffusion": [
        {"classifier": ModelCall("trees", (), (("max_iter", 10),)), "keep": "always", **SMALL},
        {
            "classifier": ModelCall("sklearn", (), (("missing", "refuse"),)),
            **SMALL,
        },
    ],
    "gad_ebm": [
        {"steps": 20, "nets": 2, "hidden": 8},
        {"preset": "density", "calibrate": "isotonic"},
        {"terms": ("net", "degree"), "loss": "ssm", "encoder": "gin", "steps": 20, "nets": 1},
    ],
    "gnn": [
        {"convolution": name, "hidden": 8, "heads": 2, "epochs": 3}
        for name in ("gcn", "sage", "gat", "gin", "hgt")
    ]
    + [{"hidden": 8, "epochs": 3, "batch_size": 32, "neighbours": 2, "edge_features": "all"}]
    + [
        {"convolution": name, "hidden": 8, "epochs": 3, "message_features": ("amount", "Near")}
        for name in ("gatv2", "gine")
    ],
    "infomax": [
        {"hidden": 8, "epochs": 3},
        {"classifier": ModelCall("sklearn"), "convolution": "sage", "hidden": 8, "epochs": 3},
    ],
    "label_functions": [
        {"true": ("Listed",)},
        {"true": ("Listed",), "features": ("one", "two")},
    ],
    "link_embedding": [
        {"epochs": 3, "dimension": 8},
        {"scorer": "distmult", "loss": "logistic", "negatives": 5, "epochs": 3, "facts": ("Near",)},
        {"scorer": "transe", "loss": "margin", "epochs": 3, "dimension": 8},
        {"scorer": "rotate", "loss": "self_adversarial", "inverse": False, "epochs": 3},
    ],
    "noisy": [{"model": ModelCall("torch", (), (("epochs", 3),)), "passes": 3}],
    "sklearn": [
        {},
        {"missing": "refuse"},
        {"estimator": "random_forest", "class_weight": "balanced", "n_estimators": 5},
    ],
    "temporal_link": [
        {"window": "6h", "hidden": 8, "epochs": 2},
        {"window": "1d", "hidden": 8, "epochs": 2, "encoder": "sage", "recurrent": "lstm"}
        | {"ids": True},
    ],
    "torch": [{"epochs": 3}, {"epochs": 3, "batch_size": 16, "class_weight": "balanced"}],
    "trees": [
        {"max_iter": 10},
        {"max_iter": 10, "hops": 0, "early_stopping": True, "class_weight": "balanced"},
    ],
}


# link models speak of pairs and of things that are edges only
SPEAKS_OF = {"enclosing_subgraph": "Fraud", "link_embedding": "Linked", "temporal_link": "Fraud"}


def test_every_built_in_model_has_a_case():
    assert set(CASES) == set(BUILT_IN)


@pytest.mark.parametrize(
    ("name", "options"), [(name, options) for name, cases in CASES.items() for options in cases]
)
def test_conforms(name, options):
    check_model(lambda: make(name, options), SPEAKS_OF.get(name, "Bad"))


@pytest.mark.parametrize("name", ["enclosing_subgraph", "temporal_link"])
def test_link_models_conform_on_pairs(name):
    check_model(lambda: make(name, CASES[name][0]), "Linked")


@pytest.mark.parametrize("predicate", ["Fraud", "Has", "May", "Linked"])
@pytest.mark.parametrize("name", ["gnn", "infomax", "noisy", "sklearn", "trees"])
def test_conforms_on_other_levels(name, predicate):
    check_model(lambda: make(name, CASES[name][0]), predicate)


@pytest.mark.parametrize("convolution", ["gin", "hgt"])
@pytest.mark.parametrize(
    ("batch_size", "whole_graphs"), [(0, "auto"), (16, "union"), (2, "packed")]
)
def test_conforms_on_whole_graphs(convolution, batch_size, whole_graphs):
    options = {"convolution": convolution, "hidden": 8, "epochs": 3, "batch_size": batch_size}
    options |= {"whole_graphs": whole_graphs}
    check_model(lambda: make("gnn", {**options, "pool": "Holds"}), "Ring")


class Forgetful(KnowledgeModel):
    """Sets things before fit, leaks hidden labels and gives float64."""

    def __init__(self):
        self.memory_ = 1

    def fit(self, data, predicate):
        self.base_rate_ = 0.3
        self.memory_ = len(data.hidden)
        return self

    def log_odds(self, data, predicate):
        return np.full(len(data.vocabularies["Node"]), self.memory_, float)


def test_a_careless_model_is_told_everything_at_once():
    with pytest.raises(ModelError) as caught:
        check_model(Forgetful)
    text = str(caught.value)
    assert caught.value.code == "KR845"
    assert "set before fit" in text
    assert "float64" in text
    assert "fit without labels is not refused" in text
    assert "hidden labels" in text
    assert len(caught.value.diagnostics) >= 4


class Mean(LabelledModel):
    """The least a model of one's own needs."""

    def fit_rows(self, data, rows, progress):
        values = data.features["Node"].values[:, 0]
        self.cut_ = float(np.nanmean(values))

    def score_rows(self, data, rows):
        self.columns(data, rows, None)  # refuses infinite features
        return np.nan_to_num(data.features["Node"].values[:, 0]) - self.cut_


def test_a_model_of_ones_own_conforms():
    check_model(Mean)


def test_registered_models_are_all_checked():
    ours = {kind for kind in MODELS if MODELS[kind].__module__.startswith("knowreason.")}
    assert ours - set(CASES) == set(), "give new models a case above"
