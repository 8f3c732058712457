"""Enlarged data sets and the model around a classifier."""

from dataclasses import replace

import numpy as np
import pytest

import knowreason as kr
from knowreason.errors import ModelError
from knowreason.models import make, rows_of
from knowreason.models.base.labelled_model import validation_slice
from knowreason.models.diffusion import Diffusion, enlarged, mirrored
from knowreason.models.diffusion.augmented_model import moved_back
from knowreason.models.diffusion.synthesis import wanted
from knowreason.models.graph.node_graph import node_graph
from knowreason.testing.example_world import example_data
from tests.models.diffusion.worlds import two_groups

QUICK = {"epochs": 20, "denoiser_steps": 30, "steps": 5, "width": 4, "hidden": 16}


def model(classifier="trees", options=None, **more):
    return make("diffusion", {"classifier": make(classifier, options), **QUICK, **more})


@pytest.fixture(scope="module")
def data():
    return two_groups(shops=10)


@pytest.fixture(scope="module")
def synthetic(data):
    return model(options={"features": ("*", "joined", "Listed", "Odd")}).synthetic(data, "Bad")


@pytest.fixture(scope="module")
def world(data, synthetic):
    return enlarged(data, synthetic)


def test_new_things_come_after_the_real_ones(data, synthetic, world):
    assert len(synthetic) == 40
    assert world.count("Node") == 240
    assert list(world.vocabularies["Node"])[:200] == list(data.vocabularies["Node"])
    assert list(world.vocabularies["Node"])[200] == "synthetic 0"
    np.testing.assert_array_equal(world.features["Node"].values[:200], data.features["Node"].values)
    assert data.count("Node") == 200, "the data set itself is as it was"


def test_labels_and_rows_are_those_of_the_real_things_and_positives(world):
    rows = rows_of(world, "Bad")
    assert rows.count == 240
    assert (rows.labels[200:] == 1).all()
    assert rows.labels[:200].sum() == 40


def test_synthetic_things_are_connected(data, world):
    graph = node_graph(world)
    degree = graph.degree[graph.offsets["Node"] :][:240]
    assert (degree[200:] > 0).mean() > 0.9
    real = node_graph(data)
    before = real.adjacency[: real.offsets["Shop"]].sum() if "Shop" in real.offsets else 0
    assert graph.adjacency.sum() > before
    assert 0.3 < degree[200:].mean() / degree[:40].mean() < 3


def test_synthetic_things_are_out_of_scope_and_never_held_out(world):
    assert world.in_scope("Node")[:200].all()
    assert not world.in_scope("Node")[200:].any()
    rows = rows_of(world, "Bad")
    held = validation_slice(rows, 0)
    assert held.any()
    assert rows.labelled[held].max() < 200


def test_named_attributes_and_definitions_have_values_for_new_things(data, world):
    columns = make("trees").columns(world, rows_of(world, "Bad"), ("joined", "Listed", "Odd"))
    before = make("trees").columns(data, rows_of(data, "Bad"), ("joined", "Listed", "Odd"))
    np.testing.assert_array_equal(columns.values[:200], before.values)
    assert not np.isnan(columns.values[200:]).any()
    assert set(np.unique(columns.values[200:, 1:])) <= {0.0, 1.0}


def test_edges_that_are_things_make_new_things_with_times():
    data = example_data()
    world = enlarged(data, model().synthetic(data, "Bad"))
    (edges,) = world.graph.relations
    new = np.arange(240, len(edges))
    assert len(new) == world.count("Pay") - 240
    np.testing.assert_array_equal(edges.key[new], new)
    assert len(world.features["Pay"]) == world.count("Pay")
    clock = world.attributes["at"]
    of_thing = dict(zip(clock["a0"].to_pylist(), clock["value"].to_pylist(), strict=True))
    assert [of_thing[key] for key in new] == edges.time[new].tolist()


@pytest.mark.parametrize("classifier", ["gnn", "sklearn", "torch", "noisy"])
def test_any_classifier_is_fitted_on_it(data, classifier):
    inner = {"noisy": {"model": make("torch", {"epochs": 3})}, "sklearn": {}}
    options = inner.get(classifier, {"epochs": 3})
    fitted = model(classifier, options, keep="always").fit(data, "Bad")
    assert fitted.kept_
    assert len(fitted.log_odds(data, "Bad")) == 200
    assert "40 synthetic Node" in fitted.report_[0]


def test_the_same_things_are_drawn_again(data):
    first, second = (model().synthetic(data, "Bad") for _ in "12")
    np.testing.assert_array_equal(first.columns.values, second.columns.values)
    for one, two in zip(first.edges, second.edges, strict=True):
        np.testing.assert_array_equal(one.source, two.source)


def test_without_classes_latents_know_no_label(data):
    fewer = data.labels_only("Bad", np.arange(200) < 60)
    blind, blinder = (model(classes=False).latents(d, "Bad") for d in (data, fewer))
    np.testing.assert_array_equal(blind.mean, blinder.mean)
    for decoder in blind.module.columns:
        weight = decoder.label.weight
        assert (weight == weight[-1]).all(), "no class is decoded otherwise than another"
    seen, less = (model().latents(d, "Bad") for d in (data, fewer))
    assert not np.array_equal(seen.mean, less.mean)


def test_the_base_rate_is_moved_back(data):
    """Twice as many positives must not double the odds that come out."""
    plain = make("trees").fit(data, "Bad").log_odds(data, "Bad")
    shifted = model(keep="always").fit(data, "Bad")
    assert shifted.shift_ == pytest.approx((0.0, np.log(2)))
    unsure = np.abs(plain) < 1.0
    ours = shifted.log_odds(data, "Bad")
    raw = shifted.classifier_.log_odds(data, "Bad")
    np.testing.assert_allclose(raw - ours, np.log(2), atol=1e-5)
    assert unsure.sum() < len(plain)


def test_states_are_moved_back_too():
    scores = np.log(np.array([[0.5, 0.25, 0.25]]))
    moved = np.exp(moved_back(scores, (0.0, np.log(2), 0.0)))
    np.testing.assert_allclose(moved, [[4 / 7, 1 / 7, 2 / 7]])


def test_wanted_multiplies_rare_states_only_and_never_past_the_commonest():
    labels = np.repeat([0, 1, 2], [50, 30, 4])
    assert wanted(labels, 4, 2.0).tolist() == [0, 0, 8, 0]
    assert wanted(np.repeat([0, 1], [50, 30]), 2, 3.0).tolist() == [0, 20]
    assert wanted(np.repeat([0, 1], [50, 1]), 2, 3.0).tolist() == [0, 0]


class Harmful(Diffusion):
    """Calls what is generated by the wrong name."""

    registered_as = ""

    def synthetic(self, data, predicate, latents=None, progress=None):
        made = super().synthetic(data, predicate, latents, progress)
        commonest = data.features["Node"].take(np.full(len(made), 150))
        return replace(made, columns=commonest)


def test_best_falls_back_when_augmentation_hurts():
    data = two_groups(nodes=400, bad=100)
    classifier = make("sklearn", {"estimator": "logistic"})
    options = {"classifier": classifier, "ratio": 3.0, **QUICK}
    kept = Harmful(**options).fit(data, "Bad")
    assert not kept.kept_
    assert "not clearly better" in kept.report_[0]
    assert kept.report_[1] == "the plain classifier is kept"
    plain = make(classifier).fit(data, "Bad")
    np.testing.assert_array_equal(kept.log_odds(data, "Bad"), plain.log_odds(data, "Bad"))
    assert Harmful(**options, keep="always").fit(data, "Bad").kept_


def test_too_few_labels_keep_the_plain_classifier(data):
    few = data.labels_only("Bad", np.r_[0:6, 100:110])
    fitted = model().fit(few, "Bad")
    assert not fitted.kept_
    assert "too few" in fitted.report_[0]


def test_tables_without_a_graph_are_served():
    data = replace(two_groups(), graph=None)
    fitted = model(keep="always").fit(data, "Bad")
    assert "with 0 edges" in fitted.report_[0]


def test_edges_and_pairs_are_refused():
    for predicate in ("Fraud", "Linked"):
        with pytest.raises(ModelError) as caught:
            model().fit(example_data(), predicate)
        assert caught.value.code == "KR865"


def test_copies_leave_the_surroundings_of_real_things_alone(data, synthetic):
    """What trees and graph networks see of a real row is the same with synthetic things."""
    world = enlarged(data, mirrored(data, synthetic))
    before = make("trees")._inputs(data, rows_of(data, "Bad")).values
    after = make("trees")._inputs(world, rows_of(world, "Bad")).values
    np.testing.assert_allclose(after[:200], before, rtol=1e-5)
    shared = enlarged(data, synthetic)
    mixed = make("trees")._inputs(shared, rows_of(shared, "Bad")).values
    assert not np.allclose(mixed[:200], before, equal_nan=True)


def test_copies_are_unlabelled_and_placed_as_the_real_ones(data, synthetic):
    copied = mirrored(data, synthetic)
    world = enlarged(data, copied)
    rows = rows_of(world, "Bad")
    assert len(rows.labelled) == 240
    assert (rows.labels[240:] == -1).all()
    real = copied.copies["Node"]
    np.testing.assert_array_equal(
        world.features["Node"].values[240:], data.features["Node"].values[real]
    )
    ends = world.graph.relations[0]
    new = (ends.source >= 200) | (ends.target >= 200)
    assert (ends.source[new] >= 200).all()
    assert (ends.target[new] >= 200).all()
    degree = node_graph(world).degree
    assert (degree[200:240] > 0).mean() > 0.9


RULES = """
domain Node, Shop
domain Colour = { "red", "green", "blue" }
attribute joined(Node): int
observed Listed(Node)
query Bad(Node)
query Has(Node, Colour!)
model record for Bad = diffusion(classifier=trees(max_iter=10), epochs=5, width=4, hidden=8,
    denoiser_steps=10, steps=4, keep="always")
rule seldom : Listed(n) => !Bad(n)
"""


def test_a_rule_file_uses_it():
    program = kr.loads(RULES)
    data = replace(two_groups(), program=program)
    train, test = data.split_random("Bad", test=0.3)
    reasoner = kr.Reasoner(program).fit(train)
    beliefs = reasoner.infer(test)
    assert len(beliefs.marginals("Bad").to_polars()) == 60
