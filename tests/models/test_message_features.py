"""Features of single messages: which layers read them, from where, and what they are worth."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import roc_auc_score

from knowreason import lang
from knowreason.data import Dataset, EdgeList
from knowreason.errors import ModelError
from knowreason.models import make, rows_of
from knowreason.models.graph.convolution import PAIRS
from knowreason.models.graph.message_features import message_columns, message_values, messages_of
from knowreason.models.graph.node_graph import node_graph
from knowreason.testing.example_world import example_data

PROGRAM = """
domain Box, Link
attribute hue(Box): float
attribute angle(Box, Box): float
attribute width(Link): float
observed Touches(Box, Box)
define shift(a, b) := hue(b) - hue(a) if Touches(a, b)
query Red(Box)
"""


def boxes(count=400, seed=0):
    """Each box has a near and a far neighbour, and is red where the *near* one has a great hue:
    means of neighbours, and of distances, do not tell."""
    random = np.random.default_rng(seed)
    names = np.array([f"b{i}" for i in range(count)])
    hue = random.normal(size=count)
    source = (np.arange(count)[:, None] + random.integers(1, count, (count, 2))).ravel() % count
    target = np.repeat(np.arange(count), 2)
    distance = np.tile([0.2, 1.0], count) + random.normal(0, 0.05, 2 * count)
    red = hue[source[::2]] > 0
    pairs = {"s": names[source], "t": names[target]}
    edges = pa.table({**pairs, "distance": distance, "id": [f"l{i}" for i in range(2 * count)]})
    half = count // 2
    data = Dataset.from_frames(
        lang.loads(PROGRAM.replace(" if Touches(a, b)", "")),
        facts={
            "hue": {"b": names, "hue": hue},
            "angle": pa.table({**pairs, "angle": -distance})
            .group_by(["s", "t"])
            .aggregate([("angle", "mean")]),
            "width": {"l": edges["id"], "width": distance},
            "Touches": pa.table(pairs).slice(0, 10),
        },
        labels={"Red": {"b": names[:half], "red": red[:half]}},
        features={"Box": {"b": names, "hue": hue}},
        graph=EdgeList(edges, "s:Box", "t:Box", key="id:Link", features=["distance"], name="near"),
    )
    order = [int(name[1:]) for name in data.vocabularies["Box"]]
    return data, red[order], np.array(order) >= half


@pytest.fixture(scope="module")
def world():
    return boxes()


def auc(world, **options):
    data, truth, asked = world
    fixed = {"hidden": 16, "layers": 1, "epochs": 60, "learning_rate": 0.02, "dropout": 0.0}
    model = make("gnn", {**fixed, **options})
    return roc_auc_score(truth[asked], model.fit(data, "Red").log_odds(data, "Red")[asked])


@pytest.mark.parametrize("convolution", PAIRS)
def test_near_neighbours_are_told_from_far_ones(world, convolution):
    assert auc(world, convolution=convolution, message_features=("distance",)) > 0.9


def test_without_features_of_messages_they_are_not(world):
    assert auc(world, convolution="gatv2", edge_features="all") < 0.85
    assert auc(world, convolution="sage", edge_features="all") < 0.85


@pytest.mark.parametrize(
    "options",
    [
        {"convolution": kind, "message_features": ("distance",)}
        for kind in ("gcn", "sage", "gin", "hgt")
    ]
    + [{"convolution": kind} for kind in ("gine", "nnconv")],
)
def test_layers_that_cannot_use_them_are_refused(world, options):
    with pytest.raises(ModelError) as caught:
        make("gnn", options).fit(world[0], "Red")
    assert caught.value.code == "KR873"


def test_drawn_sums_are_refused(world):
    options = {"convolution": "gine", "message_features": ("distance",), "epochs": 1, "hidden": 8}
    with pytest.raises(ModelError, match="neighbours=0"):
        make("gnn", {**options, "batch_size": 16}).fit(world[0], "Red")
    make("gnn", {**options, "batch_size": 64, "neighbours": 0}).fit(world[0], "Red")


def test_columns_come_from_edges_things_and_pairs(world):
    data = world[0]
    graph = node_graph(data)
    found = message_columns(data, graph, ("distance", "width", "angle", "Touches"), "gnn")
    assert found.names == ("distance", "width", "angle", "Touches")
    distance, width, _, touches = found.values.T
    np.testing.assert_allclose(distance, width, rtol=1e-6)
    assert 10 <= touches.sum() < 20
    assert message_columns(data, graph, ("*",), "gnn").names == ("distance",)
    with pytest.raises(ModelError) as caught:
        message_columns(data, graph, ("distanse",), "gnn")
    assert caught.value.code == "KR810"
    assert "`distance`" in str(caught.value)


def test_several_relations_are_told_apart(world):
    data = world[0]
    near = data.graph.relations[0]
    far = replace(near, name="far", features=near.features.select([]), key=None, key_domain=None)
    both = replace(data, graph=replace(data.graph, relations=(near, far)))
    found = message_columns(both, node_graph(both), ("distance", "angle"), "gnn")
    assert found.names == ("near.distance", "near.angle", "far.angle", "relation")
    own, other = np.split(found.values, 2)
    assert np.isnan(own[:, 2]).all()
    assert np.isnan(other[:, :2]).all()
    assert found.categories[3] == ("near", "far")


def test_every_edge_is_a_message_each_way(world):
    data = world[0]
    graph = node_graph(data)
    source, target, edge = messages_of(graph)
    assert (np.diff(target) >= 0).all()
    back = edge >= len(graph.source)
    one = np.where(
        back, graph.target[edge % len(graph.source)], graph.source[edge % len(graph.source)]
    )
    np.testing.assert_array_equal(source, one)
    assert len(np.unique(edge)) == len(edge) == 2 * (graph.source != graph.target).sum()
    values = message_values(np.array([[2.0, 3.0], [4.0, 5.0]], np.float32), np.array([1, 2]))
    np.testing.assert_array_equal(values, [[4, 5, 0, 0, 0], [0, 0, 2, 3, 1]])


def test_scales_are_those_of_edges_that_reach_labelled_rows(world):
    data = world[0]
    options = {"convolution": "gatv2", "message_features": ("distance",), "epochs": 0, "layers": 1}
    edges, graph, rows = data.graph.relations[0], node_graph(data), rows_of(data, "Red")
    known = np.isin(np.arange(graph.node_count), rows.things[rows.labelled, 0])
    away = ~(known[graph.source] | known[graph.target])
    assert away.any()

    def scales(changed, by):
        values = np.where(changed[:, None], by, edges.features.values).astype(np.float32)
        other = replace(edges, features=replace(edges.features, values=values))
        there = replace(data, graph=replace(data.graph, relations=(other,)))
        return make("gnn", options).fit(there, "Red").message_encoder_

    half = ~away & (np.arange(len(away)) % 2 == 0)
    assert scales(away, 100) == scales(away, 0)
    assert scales(half, 100) != scales(half, 0)
    assert scales(away, np.nan)["indicators"] == (False,)
    assert scales(half, np.nan)["indicators"] == (True,)


@pytest.mark.parametrize("convolution", PAIRS)
@pytest.mark.parametrize("predicate", ["Bad", "Fraud", "Ring"])
def test_a_sample_of_everything_is_the_whole(convolution, predicate):
    data = example_data(nodes=80, payments=160)
    options = {"convolution": convolution, "hidden": 8, "heads": 2, "dropout": 0.0, "epochs": 1}
    options |= {"message_features": ("amount",), "batch_size": 64, "neighbours": 0}
    if predicate == "Ring":
        options["pool"] = "Holds"
    model = make("gnn", options).fit(data, predicate)
    inputs, rows = model.inputs(data, rows_of(data, predicate)), torch.tensor([3, 1, 4])
    whole = model.logits(model.module_.eval(), inputs, rows)
    drawn = model.logits(model.module_.train(), inputs, rows)
    torch.testing.assert_close(drawn, whole, atol=1e-5, rtol=1e-4)


def test_enclosing_subgraphs_carry_features_of_pairs():
    names = ["a", "b", "c", "d"]
    ratings = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    ends = np.array([[0, 2], [2, 0], [2, 1], [2, 1], [0, 1]])
    table = {"s": [names[i] for i in ends[:, 0]], "t": [names[i] for i in ends[:, 1]]}
    data = Dataset.from_frames(
        lang.loads(
            "domain User\nobserved Asked(one: User, two: User)\n"
            "query Bad(one: User, two: User) within Asked\n"
        ),
        facts={"Asked": {"one": ["a", "c"], "two": ["b", "d"]}},
        labels={"Bad": {"one": ["a", "c"], "two": ["b", "d"], "bad": [True, False]}},
        graph=EdgeList({**table, "rating": ratings}, "s:User", "t:User", features=["rating"]),
        things={"User": {"u": names}},
    )
    options = {"convolution": "gine", "message_features": True, "hidden": 8, "epochs": 1}
    model = make("enclosing_subgraph", options).fit(data, "Bad")
    rows = rows_of(data, "Bad")
    row = rows.things.tolist().index([data.vocabularies["User"].id(name) for name in "ab"])
    inputs = model.inputs(data, rows)
    edges = model._batch(inputs["own"][[row]], np.array([row])).edges
    scaled = (ratings - ratings.mean()) / ratings.std()
    there_and_back = {  # log counts and means there, and back; the pair's own link is not seen
        ("a", "c"): [np.log(2), scaled[0], np.log(2), scaled[1]],
        ("c", "b"): [np.log(3), scaled[[2, 3]].mean(), 0, 0],
    }
    for (one, two), expected in list(there_and_back.items()):
        there_and_back[two, one] = expected[2:] + expected[:2]
    assert edges.pairs.shape == (2, 4)
    found = {}
    place = dict(enumerate("abc"))
    for pair, values in zip(edges.pairs.T.tolist(), edges.values.tolist(), strict=True):
        found[tuple(place[end] for end in pair)] = values
    for pair, expected in there_and_back.items():
        np.testing.assert_allclose(found[pair], expected, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"convolution": "sage", "message_features": True}, {"convolution": "gine"}]
)
def test_enclosing_subgraphs_refuse_what_layers_cannot_use(options):
    with pytest.raises(ModelError) as caught:
        make("enclosing_subgraph", options).fit(example_data(), "Fraud")
    assert caught.value.code == "KR873"


def test_links_in_time_have_none():
    with pytest.raises(ModelError) as caught:
        make("temporal_link", {"encoder": "gine", "window": "6h"}).fit(example_data(), "Fraud")
    assert caught.value.code == "KR873"
