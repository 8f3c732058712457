"""The registered model on a small world."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch_geometric.data import Data

from knowreason.data import Dataset, EdgeList
from knowreason.errors import ModelError
from knowreason.lang import load, loads
from knowreason.models import make, predicted
from knowreason.models.energy import energy_of
from knowreason.reasoner.reasoner import Reasoner
from knowreason.resources import rulesets_path
from knowreason.testing.example_world import example_data

FAST = {"steps": 20, "nets": 1, "hidden": 8}


def test_labels_only_calibrate():
    data = example_data()
    blind = replace(data, labels={})
    seen = make("gad_ebm", FAST).fit(data, "Bad")
    unseen = make("gad_ebm", FAST).fit(blind, "Bad")
    np.testing.assert_array_equal(seen.energies(data, "Bad"), unseen.energies(blind, "Bad"))
    assert "Platt" in seen.report_[-1]
    assert "assumed that 0.05" in unseen.report_[-1]
    assert unseen.base_rate_ == 0.05
    probability = 1 / (1 + np.exp(-unseen.log_odds(blind, "Bad")))
    assert probability.mean() == pytest.approx(0.05, abs=0.005)


def test_folds_share_one_energy():
    data = example_data()
    fewer = replace(data, labels={"Bad": data.labels["Bad"].slice(0, 20)})
    one, other = (make("gad_ebm", FAST).fit(d, "Bad") for d in (data, fewer))
    assert one.energy_ is other.energy_


def test_shares_by_atom_add_up_to_the_energy():
    data = example_data()
    model = make("gad_ebm", FAST).fit(data, "Bad")
    shares = model.shares(data, "Bad")
    assert set(shares) == {"difference", "edge", "degree", "triangles", "net"}
    np.testing.assert_allclose(
        sum(shares.values()), model.energies(data, "Bad"), rtol=1e-5, atol=1e-6
    )
    output = predicted(model, data, "Bad", "odd")
    np.testing.assert_array_equal(output.parts["edge"], shares["edge"])


def test_presets_and_terms():
    data = example_data()
    density = make("gad_ebm", {"preset": "density"}).fit(data, "Bad")
    assert "net" not in density.shares(data, "Bad")
    assert density.history is None
    chosen = make("gad_ebm", {"terms": ("degree",)}).fit(data, "Bad")
    assert list(chosen.shares(data, "Bad")) == ["degree"]


def test_wrong_options_are_told():
    data = example_data()
    for options, code in (
        ({"terms": ("degrees",)}, "KR860"),
        ({"terms": ()}, "KR860"),
        ({"share": 10.0}, "KR861"),
        ({"samples": 0}, "KR861"),
        ({"encoder": "gat"}, "KR803"),
        ({"weight_decay": -1.0}, "KR861"),
    ):
        with pytest.raises(ModelError) as caught:
            make("gad_ebm", options).fit(data, "Bad")
        assert caught.value.code == code
    with pytest.raises(ModelError) as caught:
        make("gad_ebm", FAST).fit(data, "Has")
    assert caught.value.code == "KR825"


def test_things_that_are_edges_have_the_mean_of_their_ends():
    data = example_data()
    model = make("gad_ebm", {"preset": "density"}).fit(data, "Fraud")
    of_node = make("gad_ebm", {"preset": "density"}).fit(data, "Bad").energies(data, "Bad")
    edges = data.graph.relations[0]
    expected = (of_node[edges.source] + of_node[edges.target]) / 2
    spread = np.abs(model.energies(data, "Fraud") - expected[np.argsort(edges.key)])
    assert np.median(spread) < 0.05  # nodes without an edge are not learned here


def test_units_of_columns_count_as_in_arrays():
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 4)) * [1, 2, 1, 3]
    edges = random.integers(0, 80, (2, 300))
    data = Dataset.from_pyg(
        load(rulesets_path() / "outliers.kr"),
        Data(x=torch.from_numpy(x.astype(np.float32)), edge_index=torch.from_numpy(edges)),
        edges={"Linked": None},
    )
    model = make("gad_ebm", {"terms": ("difference",)}).fit(data, "Outlier")
    expected = energy_of(x, edges, terms=("difference",))
    np.testing.assert_allclose(
        np.sort(model.energies(data, "Outlier")), np.sort(expected), rtol=1e-3, atol=1e-3
    )


def test_only_the_predicates_own_nodes_are_learned():
    random = np.random.default_rng(0)
    pairs = {"card": random.integers(0, 50, 200), "shop": random.integers(0, 8, 200)}
    data = Dataset.from_frames(
        loads("domain Card, Shop\nquery Odd(Card)\n"),
        features={"Card": pa.table({"card": np.arange(50), "x": random.normal(size=50)})},
        graph=EdgeList(pa.table(pairs), source="card:Card", target="shop:Shop"),
    )
    model = make("gad_ebm", FAST).fit(data, "Odd")
    assert model.energies(data, "Odd").shape == (50,)
    assert np.isfinite(model.log_odds(data, "Odd")).all()


def test_rules_for_outliers_from_pyg():
    random = np.random.default_rng(0)
    graph = Data(
        x=torch.from_numpy(random.normal(size=(80, 4)).astype(np.float32)),
        edge_index=torch.from_numpy(random.integers(0, 80, (2, 300))),
    )
    graph.x[7] += 9
    program = load(rulesets_path() / "outliers.kr")
    data = Dataset.from_pyg(program, graph, edges={"Linked": None})
    reasoner = Reasoner(program, models={"strange": {"preset": "density"}}).fit(data)
    beliefs = reasoner.infer(data)
    log_odds = beliefs.posterior.log_odds.numpy()
    assert int(log_odds.argmax()) == beliefs.grounding.atom_index("Outlier", "7")
    explained = reasoner.explain(beliefs, 'Outlier("7")')
    assert any("score of strange" in note and "difference" in note for note in explained.notes)
