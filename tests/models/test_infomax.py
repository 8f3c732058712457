from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from knowreason.errors import ModelError
from knowreason.logic import ModelCall
from knowreason.models import load_model, make, save_model
from knowreason.models.graph import deep_infomax
from knowreason.models.graph.deep_infomax import corruption
from knowreason.models.graph.infomax import with_node_columns
from knowreason.testing.example_world import example_data

QUICK = {"hidden": 8, "epochs": 20}


@pytest.fixture
def data():
    return example_data(nodes=200, payments=500)


@pytest.fixture
def trainings(monkeypatch):
    """Counts how often an encoder is trained and a graph encoded."""
    counts = {"trained": 0, "encoded": 0}
    trained, embedded = deep_infomax._trained, deep_infomax.NodeEncoder._embedded

    def count_training(*arguments):
        counts["trained"] += 1
        return trained(*arguments)

    def count_encoding(*arguments):
        counts["encoded"] += 1
        return embedded(*arguments)

    monkeypatch.setattr(deep_infomax, "_trained", count_training)
    monkeypatch.setattr(deep_infomax.NodeEncoder, "_embedded", count_encoding)
    return counts


def test_one_encoder_serves_all_predicates_and_folds(data, trainings):
    models = [make("infomax", QUICK).fit(data, name) for name in ("Bad", "Fraud", "Has", "Linked")]
    for model, name in zip(models, ("Bad", "Fraud", "Has", "Linked"), strict=True):
        model.log_odds(data, name)
    fold = replace(data, labels={"Bad": data.labels["Bad"].slice(10)})
    make("infomax", {**QUICK, "classifier": make("sklearn")}).fit(fold, "Bad")
    assert trainings == {"trained": 1, "encoded": 1}
    make("infomax", {**QUICK, "seed": 1}).fit(data, "Bad")
    assert trainings["trained"] == 2
    other = replace(data, features={"Node": data.features["Node"]})
    make("infomax", QUICK).fit(other, "Bad")
    assert trainings["trained"] == 3


def test_stored_models_score_again_and_share_an_embedding(data, trainings, tmp_path):
    new = example_data(nodes=50, payments=90, seed=1, first=1000)
    expected = {}
    for name in ("Bad", "Has"):
        model = make("infomax", QUICK).fit(data, name)
        expected[name] = model.log_odds(new, name)
        save_model(model, tmp_path / name)
    again = example_data(nodes=50, payments=90, seed=1, first=1000)
    before = trainings["encoded"]
    for name in ("Bad", "Has"):
        model = load_model(tmp_path / name)
        np.testing.assert_array_equal(model.log_odds(again, name), expected[name])
        assert "infomax encoder" in model.report_[0]
    assert trainings == {"trained": 1, "encoded": before + 1}


def test_it_finds_what_neighbours_show(data):
    table = data.features["Node"]
    noise = np.random.default_rng(0).normal(0, 4, len(table)).astype(np.float32)
    values = np.column_stack([table.values[:, 0] + noise, table.values[:, 1] + noise[::-1]])
    blurred = replace(
        data,
        features={
            "Node": replace(table, names=("one", "two"), values=values, categories=(None,) * 2)
        },
    )
    truth = data.hidden["Bad"].column("value").to_numpy()

    def auc(kind, options):
        score = make(kind, options).fit(blurred, "Bad").log_odds(blurred, "Bad")
        return roc_auc_score(truth, score[len(truth) :])

    alone = auc("trees", {"hops": 0})
    assert auc("infomax", {"hidden": 16, "epochs": 100}) > alone + 0.05


def test_a_classifier_that_lists_features_sees_the_embedding_too(data):
    classifier = ModelCall("trees", (), (("features", ["two"]), ("hops", 0)))
    for name in ("Bad", "Linked"):
        model = make("infomax", {**QUICK, "classifier": classifier}).fit(data, name)
        seen = model.fitted_.encoder_["names"]
        assert len(seen) == (1 + 1 + 8) * (2 if name == "Linked" else 1)
    amount = ModelCall("trees", (), (("features", ["amount"]), ("hops", 0)))
    model = make("infomax", {**QUICK, "classifier": amount}).fit(data, "Fraud")
    assert model.fitted_.features[:2] == ("amount", "source log degree")
    assert "target embedding 7" in model.fitted_.features


def test_columns_of_nodes_reach_things_that_are_edges(data):
    from knowreason.data.features import FeatureTable
    from knowreason.models.graph.node_graph import node_graph

    numbers = np.arange(200, dtype=np.float32)[:, None]
    seen = with_node_columns(data, node_graph(data), FeatureTable(("id",), numbers, (None,)))
    edges = data.graph.relations[0]
    pay = seen.features["Pay"].select(["source id", "target id"]).values
    np.testing.assert_array_equal(pay, np.stack([edges.source, edges.target], axis=1))
    np.testing.assert_array_equal(seen.features["Node"].values[:, -1], numbers[:, 0])


def test_corruption_keeps_nodes_in_their_domain():
    domain = torch.tensor([0] * 5 + [1] * 7)
    torch.manual_seed(0)
    order = corruption(domain)
    assert sorted(order.tolist()) == list(range(12))
    assert (domain[order] == domain).all()
    assert order.tolist() != list(range(12))


def test_a_graph_is_needed_and_features_are_not(data):
    with pytest.raises(ModelError) as caught:
        make("infomax", QUICK).fit(replace(data, graph=None), "Bad")
    assert caught.value.code == "KR812"
    blind = replace(data, features={})
    for which in ("none", "all"):
        model = make("infomax", {**QUICK, "edge_features": which}).fit(data, "Bad")
        seen = "pays out amount" in model.encoder_.columns["names"]
        assert seen == (which == "all")
    assert make("infomax", QUICK).fit(blind, "Bad").log_odds(blind, "Bad").shape == (200,)
