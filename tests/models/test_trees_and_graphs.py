from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_info, threadpool_limits

from knowreason.errors import ModelError
from knowreason.models import cross_fit, make, rows_of
from knowreason.models.base.predicate_rows import logit
from knowreason.models.graph.node_graph import NodeGraph, node_columns, node_graph, nodes_of_rows
from knowreason.models.tabular.boosting import MANY_ROWS, Trees, threads_for
from knowreason.testing.example_world import example_data


@pytest.fixture(scope="module")
def data():
    return example_data(nodes=200, payments=500)


def hidden_auc(data, model):
    truth = data.hidden["Bad"].column("value").to_numpy()
    return roc_auc_score(truth, model.log_odds(data, "Bad")[len(truth) :])


def test_neighbour_means_match_a_loop():
    edges = np.array([[0, 1, 1, 3, 0], [1, 2, 2, 3, 2]])
    graph = NodeGraph({"Node": 0}, 5, edges[0], edges[1], {})
    values = np.array([[1.0], [np.nan], [4.0], [7.0], [9.0]], np.float32)
    neighbours = {0: {1, 2}, 1: {0, 2}, 2: {0, 1}, 3: set(), 4: set()}
    means = graph.neighbour_means(values)[:, 0]
    for node, others in neighbours.items():
        present = [values[o, 0] for o in others if not np.isnan(values[o, 0])]
        expected = np.mean(present) if present else np.nan
        np.testing.assert_equal(means[node], np.float32(expected))
    assert graph.degree.tolist() == [2, 2, 2, 0, 0]


def test_things_that_are_edges_stand_for_their_ends(data):
    graph = node_graph(data)
    nodes = nodes_of_rows(graph, rows_of(data, "Fraud"))
    edges = data.graph.relations[0]
    np.testing.assert_array_equal(nodes, np.stack([edges.source, edges.target], 1))
    assert nodes_of_rows(graph, rows_of(data, "Linked")).shape[1] == 2
    assert node_columns(data, graph).names == ("one", "two", "hue", "sort")


def test_trees_use_the_neighbours(data):
    blind = replace(data, features={})
    noise = np.random.default_rng(0).normal(size=(200, 1)).astype(np.float32)
    table = replace(data.features["Node"], names=("noise",), values=noise, categories=(None,))
    noisy = replace(data, features={"Node": table, "Pay": data.features["Pay"]})
    assert hidden_auc(noisy, Trees(hops=2).fit(noisy, "Bad")) < 0.8
    assert hidden_auc(data, Trees(hops=2).fit(data, "Bad")) > 0.97
    own_only = Trees(hops=0, features=("two",)).fit(data, "Bad")
    both = Trees(hops=2, features=("two",)).fit(data, "Bad")
    assert hidden_auc(data, both) > hidden_auc(data, own_only)
    assert Trees().fit(blind, "Bad").log_odds(blind, "Bad").shape == (200,)
    with pytest.raises(ModelError) as caught:
        Trees(hops=0).fit(blind, "Bad")
    assert caught.value.code == "KR813"


def test_class_weights_leave_the_base_rate(data):
    for weight in ("none", "balanced"):
        model = make("sklearn", {"class_weight": weight}).fit(data, "Bad")
        mean = 1 / (1 + np.exp(-model.log_odds(data, "Bad")))
        assert mean.mean() == pytest.approx(0.25, abs=0.04)


def test_undersampling_keeps_the_rarest_state_and_the_base_rate(data):
    from knowreason.models.base.labelled_model import undersampled

    labels = np.repeat([0, 1, 0, 2], [50, 5, 30, 8])
    kept = undersampled(labels, 2.0, seed=0)
    assert np.bincount(labels[kept]).tolist() == [10, 5, 8]
    assert (np.diff(kept) > 0).all()
    assert undersampled(labels, 0.0, seed=0).tolist() == list(range(93))
    model = Trees(hops=0, max_iter=30, undersample=1.0).fit(data, "Bad")
    mean = 1 / (1 + np.exp(-model.log_odds(data, "Bad")))
    assert mean.mean() == pytest.approx(0.25, abs=0.08)
    assert hidden_auc(data, model) > 0.7


def test_early_stopping_reports_its_rounds(data):
    model = Trees(early_stopping=True, max_iter=60).fit(data, "Fraud")
    assert "of 60 rounds, chosen on 75 rows" in model.report_[0]


def test_validation_is_the_latest_slice_where_there_is_a_clock(data):
    from knowreason.models.base.labelled_model import validation_slice

    held = validation_slice(rows_of(data, "Fraud"), seed=0)
    assert held[-75:].all()
    assert held.sum() == 75


@pytest.mark.parametrize("convolution", ["gcn", "sage", "gat", "gin"])
def test_gnn_learns_nodes(data, convolution):
    model = make("gnn", {"convolution": convolution, "hidden": 16, "epochs": 40})
    assert hidden_auc(data, model.fit(data, "Bad")) > 0.95


def test_gnn_learns_edges_pairs_and_states(data):
    options = {"hidden": 16, "epochs": 40}
    for predicate in ("Fraud", "Linked"):
        found = cross_fit(lambda: make("gnn", options), data, predicate, folds=2)
        truth = rows_of(data, predicate).labels
        assert roc_auc_score(truth, found.output.llr) > 0.95
    states = make("gnn", options).fit(data, "Has").log_odds(data, "Has")
    assert (states.argmax(axis=1) == rows_of(data, "Has").labels).mean() > 0.8


def test_gnn_without_a_graph_says_so(data):
    for graph in (None, replace(data.graph, relations=())):
        with pytest.raises(ModelError) as caught:
            make("gnn").fit(replace(data, graph=graph), "Bad")
        assert caught.value.code == "KR812"


def test_noise_gives_mean_and_spread(data):
    inner = make("torch", {"epochs": 40})
    found = cross_fit(lambda: make("noisy", {"model": inner, "passes": 5}), data, "Bad", folds=2)
    assert found.output.spread.shape == (200,)
    assert (found.output.spread > 0).all()
    assert hidden_auc(data, found.model) > 0.95
    silent = make("noisy", {"model": inner, "scale": 0.0, "passes": 2}).fit(data, "Bad")
    alone = make("torch", {"epochs": 40}).fit(data, "Bad")
    np.testing.assert_allclose(silent.log_odds(data, "Bad"), alone.log_odds(data, "Bad"), atol=1e-5)


def test_noise_needs_torch_weights(data):
    with pytest.raises(ModelError) as caught:
        make("noisy", {"model": make("trees")}).fit(data, "Bad")
    assert caught.value.code == "KR827"


def test_modules_of_ones_own(data):
    from torch import nn

    class Linear(nn.Linear):
        pass

    class Wrong(nn.Linear):
        def __init__(self, inputs, outputs):
            super().__init__(inputs, outputs + 1)

    model = make("torch", {"module": Linear, "epochs": 100, "learning_rate": 0.05})
    assert hidden_auc(data, model.fit(data, "Bad")) > 0.95
    with pytest.raises(ModelError) as caught:
        make("torch", {"module": Wrong}).fit(data, "Bad")
    assert caught.value.code == "KR826"
    with pytest.raises(ModelError, match="cannot be imported"):
        make("torch", {"module": "knowreason.models.nn.neural_model:Nothing"}).fit(data, "Bad")
    with pytest.raises(ModelError) as caught:
        make("torch", {"device": "cuda:99"}).fit(data, "Bad")
    assert caught.value.code == "KR828"


def test_columns_speak_by_kind(data):
    probability = make("column", {"column": "p"}).fit(data, "Bad")
    log_odds = make("column", {"column": "z", "kind": "log_odds"}).fit(data, "Bad")
    np.testing.assert_allclose(
        probability.log_odds(data, "Bad"), log_odds.log_odds(data, "Bad"), atol=1e-4
    )
    anomaly = make("column", {"column": "wild", "kind": "anomaly"})
    assert "calibrated on" in anomaly.fit(data, "Bad").report_[0]
    blind = anomaly.fit(replace(data, labels={}), "Bad")
    assert "assumed that 0.05" in blind.report_[0]
    assert blind.base_rate_ == 0.05


def test_an_atom_without_a_score_is_said_nothing_about(data):
    scores = data.scores["Bad"]
    few = replace(scores, arguments=scores.arguments[5:], values={"p": scores.values["p"][5:]})
    part = replace(data, scores={"Bad": few})
    model = make("column", {"column": "p"}).fit(part, "Bad")
    np.testing.assert_allclose(model.log_odds(part, "Bad")[:5], logit(model.base_rate_), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "predicate", "code"),
    [
        ({"column": "q"}, "Bad", "KR824"),
        ({"column": "p"}, "Fraud", "KR824"),
        ({"column": "wild"}, "Bad", "KR809"),
        ({"column": "p", "kind": "anomaly"}, "Has", "KR825"),
    ],
)
def test_wrong_columns_are_refused(data, options, predicate, code):
    with pytest.raises(ModelError) as caught:
        make("column", options).fit(data, predicate)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("estimator", "params", "code"),
    [
        ("logistik", {}, "KR823"),
        ("sklearn.nothing.Here", {}, "KR822"),
        ("logistic", {"CC": 1.0}, "KR802"),
        ("logistic", {"C": -1.0}, "KR821"),
    ],
)
def test_wrong_estimators_are_refused(data, estimator, params, code):
    with pytest.raises(ModelError) as caught:
        make("sklearn", {"estimator": estimator, **params}).fit(data, "Bad")
    assert caught.value.code == code


def test_estimators_without_probabilities_give_decisions(data):
    model = make("sklearn", {"estimator": "sklearn.svm.LinearSVC"}).fit(data, "Bad")
    assert hidden_auc(data, model) > 0.9


def test_columns_are_gathered_once_for_all_folds(monkeypatch):
    """And again for other data, other features and other hops."""
    gathered = []
    plain = Trees._gathered
    monkeypatch.setattr(Trees, "_gathered", lambda *given: (gathered.append(1), plain(*given))[1])
    fresh = example_data()
    found = cross_fit(lambda: make("trees", {"max_iter": 3}), fresh, "Bad")
    found.predict(fresh)
    assert len(gathered) == 1
    make("trees", {"max_iter": 3, "hops": 1}).fit(fresh, "Bad")
    found.predict(example_data(nodes=40, payments=60, seed=3, first=500))
    assert len(gathered) == 3


def openmp_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"}


def test_few_rows_are_for_one_thread():
    with threadpool_limits(2, user_api="openmp"):
        with threads_for(MANY_ROWS - 1):
            assert openmp_threads() == {1}
        with threads_for(MANY_ROWS):
            assert openmp_threads() == {2}
        assert openmp_threads() == {2}
