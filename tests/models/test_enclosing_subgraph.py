"""The model on enclosing subgraphs: what it may see, and what it finds."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score as auc

import knowreason as kr
from knowreason.data import Dataset, EdgeList
from knowreason.errors import ModelError
from knowreason.models import load_model, make, rows_of, save_model
from knowreason.testing.example_world import example_data

PROGRAM = """
domain Event, User
attribute at(Event): int clock
query Bad(Event)
"""


def world(seed=0, users=120, events=2500):
    """Links within four groups; one in eight goes to another group and is bad. Ratings tell
    about the target, not about the link."""
    random = np.random.default_rng(seed)
    group = np.arange(users) % 4
    source = random.integers(0, users, events)
    bad = random.random(events) < 1 / 8
    shift = 4 * random.integers(1, 6, events) + np.where(bad, random.integers(1, 4, events), 0)
    target = (source + shift) % users
    assert (group[source] != group[target]).mean() == pytest.approx(bad.mean(), abs=0.02)
    columns = {"id": np.arange(events), "at": np.arange(events) // 5, "source": source}
    rating = random.normal(size=events) + (target % 2)
    return pa.table({**columns, "target": target, "rating": rating, "bad": bad.astype(int)})


def dataset(table, features=("rating",)):
    return Dataset.from_frames(
        kr.loads(PROGRAM),
        facts={"at": table.select(["id", "at"])},
        labels={"Bad": table.select(["id", "bad"])},
        graph=EdgeList(
            table,
            source="source:User",
            target="target:User",
            key="id:Event",
            time="at",
            features=list(features),
        ),
    )


@pytest.fixture(scope="module")
def split():
    return dataset(world()).split_by("at", before=350)


@pytest.fixture(scope="module")
def fitted(split):
    return make("enclosing_subgraph", {"hidden": 16, "epochs": 6}).fit(split[0], "Bad")


def test_finds_links_between_groups(split, fitted):
    late = split[1]
    table = late.hidden["Bad"]
    truth = table["value"].to_numpy() == 1
    scores = fitted.log_odds(late, "Bad")[table["a0"].to_numpy()]
    assert auc(truth, scores) > 0.85
    assert fitted.base_rate_ == pytest.approx(1 / 8, abs=0.03)


def with_edges(data, edges):
    return replace(data, graph=replace(data.graph, relations=(edges,)))


def test_a_link_and_later_ones_do_not_show(split, fitted):
    late = split[1]
    edges = late.graph.relations[0]
    cut = 400
    after = edges.time >= cut
    random = np.random.default_rng(0)
    ratings = replace(edges.features, values=np.where(after[:, None], 99.0, edges.features.values))
    other = np.where(after, random.permutation(edges.target), edges.target).astype(np.int32)
    here = edges.time == cut  # rows asked about right at the cut keep their own ends
    changed = replace(edges, features=ratings, target=np.where(here, edges.target, other))
    before = fitted.log_odds(late, "Bad")
    now = fitted.log_odds(with_edges(late, changed), "Bad")
    same = edges.key[edges.time <= cut]
    np.testing.assert_allclose(now[same], before[same], atol=1e-5)
    assert np.abs(now - before).max() > 0.1


def test_the_pair_asked_about_is_taken_out():
    """Whether two nodes are linked does not show in the score of their being linked."""
    data = example_data()
    model = make("enclosing_subgraph", {"hidden": 8, "epochs": 1, "max_neighbours": 1000})
    model.fit(data, "Linked")
    scores = model.log_odds(data, "Linked")
    things = rows_of(data, "Linked").things
    edges = data.graph.relations[0]
    for row in (0, 7, 30):
        pair = set(things[row].tolist())
        own = [{int(s), int(t)} == pair for s, t in zip(edges.source, edges.target, strict=True)]
        assert any(own)
        fewer = with_edges(data, edges.take(~np.array(own)))
        assert model.log_odds(fewer, "Linked")[row] == pytest.approx(scores[row], abs=1e-5)


def test_without_past_only_a_row_sees_all_but_its_pair(split):
    data = split[0]
    model = make("enclosing_subgraph", {"hidden": 8, "epochs": 1, "past_only": False})
    model.fit(data, "Bad")
    edges = data.graph.relations[0]
    again = edges.take(np.append(np.arange(len(edges)), 0))
    before = model.log_odds(data, "Bad")
    after = model.log_odds(with_edges(data, again), "Bad")
    assert after[edges.key[0]] == pytest.approx(before[edges.key[0]], abs=1e-5)


def test_earlier_links_of_the_pair_are_told(split):
    data = split[0]
    model = make("enclosing_subgraph", {"hidden": 8, "epochs": 1})
    model.fit(data, "Bad")
    edges = data.graph.relations[0]
    last = int(np.argmax(edges.time))
    again = edges.take(np.append(np.arange(len(edges)), last))
    again.time[-1] = 0  # the same link once more, at the very beginning
    before = model.log_odds(data, "Bad")[edges.key[last]]
    after = model.log_odds(with_edges(data, again), "Bad")[edges.key[last]]
    assert before != after


def test_scores_do_not_depend_on_how_many_are_read_at_once(split, fitted, monkeypatch):
    late = split[1]
    together = fitted.log_odds(late, "Bad")
    monkeypatch.setattr("knowreason.models.links.enclosing_subgraph.SCORED_AT_ONCE", 37)
    np.testing.assert_allclose(fitted.log_odds(late, "Bad"), together, atol=1e-4)


def test_saved_models_score_the_same(split, fitted, tmp_path):
    save_model(fitted, tmp_path)
    np.testing.assert_array_equal(
        load_model(tmp_path).log_odds(split[1], "Bad"), fitted.log_odds(split[1], "Bad")
    )


def test_new_nodes_are_scored(split, fitted):
    """Nothing in the model knows a node by its name."""
    table = world(seed=1, users=60, events=400)
    other = dataset(table)
    names = {domain: v.names.to_pylist() for domain, v in other.vocabularies.items()}
    assert names
    scores = fitted.log_odds(other, "Bad")
    truth = table["bad"].to_numpy()[[int(name) for name in names["Event"]]] == 1
    late = rows_of(other, "Bad").time > 40
    assert auc(truth[late], scores[late]) > 0.7


def test_edge_features_can_be_left_out(split):
    with_, without = (
        make("enclosing_subgraph", {"hidden": 8, "epochs": 1, "edge_features": use})
        for use in (True, False)
    )
    with_.fit(split[0], "Bad")
    without.fit(split[0], "Bad")
    assert with_.sizes_["width"] == without.sizes_["width"] + 2
    edges = split[0].graph.relations[0]
    bland = replace(edges, features=replace(edges.features, values=edges.features.values * 0))
    bland_data = with_edges(split[0], bland)
    same = without.log_odds(bland_data, "Bad") == without.log_odds(split[0], "Bad")
    assert same.all()
    assert (with_.log_odds(bland_data, "Bad") != with_.log_odds(split[0], "Bad")).any()


@pytest.mark.parametrize(
    ("options", "predicate", "code"),
    [
        ({"hops": 0}, "Fraud", "KR861"),
        ({"max_nodes": 2}, "Fraud", "KR861"),
        ({}, "Bad", "KR876"),
        ({"relation": "owes"}, "Fraud", "KR876"),
    ],
)
def test_refusals(options, predicate, code):
    with pytest.raises(ModelError) as caught:
        make("enclosing_subgraph", {"epochs": 1, **options}).fit(example_data(), predicate)
    assert caught.value.code == code


def test_a_graph_is_needed():
    with pytest.raises(ModelError) as caught:
        make("enclosing_subgraph", {}).fit(replace(example_data(), graph=None), "Fraud")
    assert caught.value.code == "KR812"


def test_relations_beside_each_other():
    """Features of another relation are missing where they do not belong."""
    from knowreason.models.links.timed_links import edge_columns

    data = example_data()
    edges = data.graph.relations[0]
    other = replace(edges, name="owes", key=None, key_domain=None)
    both = replace(data, graph=replace(data.graph, relations=(edges, other)))
    table = edge_columns(both)
    assert table.names == ("relation",)
    assert len(table) == 2 * len(edges)
    make("enclosing_subgraph", {"hidden": 8, "epochs": 1}).fit(both, "Fraud")


def test_infinite_edge_features_are_refused(split):
    edges = split[0].graph.relations[0]
    values = edges.features.values.copy()
    values[3] = np.inf
    wrong = with_edges(split[0], replace(edges, features=replace(edges.features, values=values)))
    with pytest.raises(ModelError, match="row 4") as caught:
        make("enclosing_subgraph", {"epochs": 1}).fit(wrong, "Bad")
    assert caught.value.code == "KR811"
