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
from knowreason.models.graph.graph_pooling import membership, pooled
from knowreason.models.graph.hgt import HGTLayer, TypedEdges
from knowreason.models.graph.neighbour_sampling import sampled_links
from knowreason.models.graph.node_graph import edge_means, node_graph, typed_links
from knowreason.testing.example_world import example_data

QUICK = {"hidden": 16, "epochs": 30}


@pytest.fixture(scope="module")
def data():
    return example_data(nodes=200, payments=500)


def test_pooling_by_hand():
    states = torch.tensor([[1.0, -2.0], [3.0, -4.0], [-5.0, 6.0], [7.0, 8.0]])
    thing, node = torch.tensor([2, 0, 2, 2]), torch.tensor([0, 3, 1, 2])
    found = pooled(states, thing, node, 3, size=2.0)
    expected = [
        [7.0, 8.0, 3.5, 4.0, 7.0, 8.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [-1 / 3, 0.0, -0.5, 0.0, 3.0, 6.0],
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize("convolution", ["sage", "gin", "hgt"])
def test_whole_graphs_do_not_depend_on_the_order_of_their_nodes(convolution):
    options = {**QUICK, "convolution": convolution, "pool": "Holds"}
    model = make("gnn", options).fit(example_data(), "Ring")
    data, random = example_data(nodes=60, payments=100, seed=3), np.random.default_rng(0)
    new_id = random.permutation(60).astype(np.int32)
    other = renumbered(data, new_id, random.permutation(60), random.permutation(100))
    np.testing.assert_allclose(
        model.log_odds(other, "Ring"), model.log_odds(data, "Ring"), atol=1e-4
    )


def renumbered(data, new_id, members, edges):
    """Nodes with other ids, members and edges in another order."""
    old_id = np.argsort(new_id)
    features, relation = data.features["Node"], data.graph.relations[0].take(edges)
    relation = replace(relation, source=new_id[relation.source], target=new_id[relation.target])
    holds = data.facts["Holds"].take(pa.array(members))
    ids = pa.array(new_id[holds["a1"].to_numpy()])
    return replace(
        data,
        features={**data.features, "Node": features.take(old_id)},
        graph=replace(data.graph, relations=(relation,)),
        facts={**data.facts, "Holds": holds.set_column(1, "a1", ids)},
    )


def test_whole_graphs_are_learned():
    data = example_data(nodes=640, payments=1500)
    table = data.labels["Ring"]
    seen, asked = table.slice(0, 80), table.slice(80)
    visible = replace(data, labels={**data.labels, "Ring": seen})
    score = make("gnn", {**QUICK, "pool": "Holds"}).fit(visible, "Ring").log_odds(data, "Ring")
    truth = asked["value"].to_numpy()
    assert roc_auc_score(truth, score[80:]) > 0.95


def test_members_come_from_predicates_and_attributes(data):
    program = lang.loads(
        "domain Atom, Molecule\nobserved Contains(Molecule, Atom)\nobserved In(Atom, Molecule)\n"
        "attribute molecule(Atom): Molecule\nattribute size(Molecule): int\n"
        "observed Same(Atom, Atom)\nquery Toxic(Molecule)\n"
    )
    bonds = pa.table({"a": ["x", "z"], "b": ["y", "x"]})
    pairs = {"m": ["M", "M", "N"], "a": ["x", "y", "z"]}
    turned = {"a": pairs["a"], "m": pairs["m"]}
    world = Dataset.from_frames(
        program,
        facts={"Contains": pairs, "In": turned, "molecule": turned, "Same": bonds},
        graph=EdgeList(bonds, source="a:Atom", target="b:Atom"),
    )
    rows, graph = rows_of(world, "Toxic"), node_graph(world)
    expected = {("M", "x"), ("M", "y"), ("N", "z")}
    for pool in ("Contains", "In", "molecule"):
        found = membership(world, rows, graph, pool)
        names = {
            (world.vocabularies["Molecule"].name(t), world.vocabularies["Atom"].name(a))
            for t, a in zip(found.thing, found.node, strict=True)
        }
        assert names == expected
        assert found.typical_size == 1.5
    with pytest.raises(ModelError) as caught:
        membership(world, rows, graph, "Contain")
    assert caught.value.code == "KR870"
    assert "`Contains`" in str(caught.value)
    for wrong in ("Same", "size", "Toxic"):
        with pytest.raises(ModelError, match="can be pooled here: Contains, In, molecule"):
            membership(world, rows, graph, wrong)


def test_a_graph_is_needed_for_pooling(data):
    with pytest.raises(ModelError) as caught:
        make("gnn", {"pool": "Holds"}).fit(replace(data, graph=None), "Ring")
    assert caught.value.code == "KR812"
    with pytest.raises(ModelError) as caught:
        make("gnn").fit(data, "Ring")
    assert caught.value.code == "KR812"
    assert "pool" in str(caught.value)


def test_hgt_on_flat_nodes_is_that_on_dictionaries():
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    layer = HGTLayer(8, 2, domains=3, relations=[(0, 0), (0, 1), (1, 0), (2, 0)])
    pairs = [torch.from_numpy(random.integers(0, 5 if i == 0 else 3, (2, 12))) for i in range(3)]
    x = torch.randn(8, 8)
    kinds = layer.kinds[:3]
    expected = layer.attention({"0": x[:5], "1": x[5:]}, dict(zip(kinds, pairs, strict=True)))
    source = torch.cat([pairs[0][0], pairs[1][0], pairs[2][0] + 5])
    target = torch.cat([pairs[0][1], pairs[1][1] + 5, pairs[2][1]])
    relation = torch.repeat_interleave(torch.arange(3), 12)
    order = torch.randperm(36)
    typed = TypedEdges(source[order], target[order], relation[order], ((0, 0, 5), (1, 5, 8)))
    torch.testing.assert_close(layer(x, typed), torch.cat([expected["0"], expected["1"]]))


def two_relations(count=300, seed=0):
    """People who praise or blame: a person is bad who is blamed by most; nothing else shows it.

    Everyone has as many edges of either relation, in and out, as bad and good people have.
    """
    random = np.random.default_rng(seed)
    bad = random.random(count) < 0.5
    source = random.integers(0, count, 8 * count)
    target = np.repeat(np.arange(count), 8)
    blame = random.random(8 * count) < np.where(bad[target], 0.8, 0.2)
    names = np.array([f"p{i}" for i in range(count)])
    half = count // 2
    data = Dataset.from_frames(
        lang.loads("domain Person\nquery Bad(Person)\n"),
        labels={"Bad": pa.table({"p": names[:half], "bad": bad[:half]})},
        graph=[
            EdgeList(
                pa.table({"s": names[source[mine]], "t": names[target[mine]]}),
                source="s:Person",
                target="t:Person",
                name=name,
            )
            for name, mine in (("blames", blame), ("praises", ~blame))
        ],
        things={"Person": pa.table({"p": names})},
    )
    order = [int(name[1:]) for name in data.vocabularies["Person"]]
    return data, bad[order], np.array(order) >= half


def test_only_relations_tell_and_hgt_is_told():
    data, truth, asked = two_relations()

    def auc(convolution):
        model = make("gnn", {**QUICK, "epochs": 60, "convolution": convolution}).fit(data, "Bad")
        return roc_auc_score(truth[asked], model.log_odds(data, "Bad")[asked])

    assert auc("sage") < 0.65
    assert auc("gin") < 0.65
    assert auc("hgt") > 0.95


def test_typed_links_go_both_ways_and_follow_the_training_relations():
    data, _, _ = two_relations(count=20)
    graph = node_graph(data)
    blames, praises = graph.relations
    links = typed_links(graph, graph.relations)
    assert (np.diff(links[1]) >= 0).all()
    praised = data.graph.edges("praises")
    forwards = {tuple(pair) for pair in links[:2, links[2] == 1].T}
    assert forwards == {
        (int(s), int(t)) for s, t in zip(praised.source, praised.target, strict=True)
    }
    assert {(t, s) for s, t in forwards} == {tuple(pair) for pair in links[:2, links[2] == 3].T}
    turned = typed_links(graph, (praises, blames))
    assert (turned[2] % 2 == 0).sum() == (links[2] % 2 == 1).sum()
    assert set(typed_links(graph, (praises,))[2]) == {0, 1}


def test_a_domain_that_was_not_there_is_refused(data):
    model = make("gnn", {**QUICK, "convolution": "hgt", "epochs": 2}).fit(data, "Bad")
    edges = data.graph.relations[0]
    strange = replace(edges, name="sees", target_domain="Colour", target=edges.target * 0)
    other = replace(data, graph=replace(data.graph, relations=(edges, strange)))
    with pytest.raises(ModelError) as caught:
        model.log_odds(other, "Bad")
    assert caught.value.code == "KR871"
    known = replace(data, graph=replace(data.graph, relations=(edges, replace(edges, name="b"))))
    np.testing.assert_array_equal(model.log_odds(known, "Bad"), model.log_odds(data, "Bad"))


@pytest.mark.parametrize("convolution", ["gcn", "sage", "gin", "gat", "hgt"])
@pytest.mark.parametrize("predicate", ["Bad", "Fraud", "Ring"])
def test_a_sample_of_everything_is_the_whole(data, convolution, predicate):
    options = {"convolution": convolution, "hidden": 8, "heads": 2, "dropout": 0.0, "epochs": 2}
    if predicate == "Ring":
        options["pool"] = "Holds"
    model = make("gnn", {**options, "batch_size": 64, "neighbours": 0}).fit(data, predicate)
    inputs, rows = model.inputs(data, rows_of(data, predicate)), torch.tensor([3, 11, 4])
    whole = model.logits(model.module_.eval(), inputs, rows)
    drawn = model.logits(model.module_.train(), inputs, rows)
    torch.testing.assert_close(drawn, whole, atol=1e-5, rtol=1e-4)
    everything = make("gnn", options).fit(data, predicate).log_odds(data, predicate)
    large = make("gnn", {**options, "batch_size": 10_000, "neighbours": 0}).fit(data, predicate)
    np.testing.assert_allclose(large.log_odds(data, predicate), everything, atol=1e-3)


def test_sums_over_drawn_links_keep_their_expectation():
    pointers, sources = torch.tensor([0, 40, 43, 43]), torch.cat([torch.arange(40) % 3] * 2)[:43]
    x, total = torch.tensor([1.0, 2.0, 6.0]), torch.zeros(3)
    torch.manual_seed(0)
    for _ in range(500):
        found = sampled_links(pointers, sources, torch.tensor([0, 1]), hops=1, limit=8)
        assert torch.bincount(found.target, minlength=2)[:2].tolist() == [8, 3]
        part = found.weight * x[found.nodes[found.source]]
        total += torch.zeros(3).index_add(0, found.nodes[found.target], part)
    exact = torch.tensor([x[sources[:40]].sum(), x[sources[40:]].sum(), 0.0])
    torch.testing.assert_close(total / 500, exact, rtol=0.05, atol=0.1)


def test_sampled_training_learns(data):
    options = {**QUICK, "batch_size": 16, "neighbours": 3}
    truth = data.hidden["Bad"].column("value").to_numpy()
    score = make("gnn", options).fit(data, "Bad").log_odds(data, "Bad")[len(truth) :]
    assert roc_auc_score(truth, score) > 0.95


def test_nodes_see_the_means_of_their_edges(data):
    graph, edges = node_graph(data), data.graph.relations[0]
    untimed = replace(data, graph=replace(data.graph, relations=(replace(edges, time=None),)))
    assert len(edge_means(untimed, graph, "untimed")) == 2
    assert edge_means(data, graph, "none") == edge_means(data, graph, "untimed") == []
    out, into = edge_means(data, graph, "all")
    amount = data.features["Pay"].values[:, 0]
    assert out.names == ("pays out amount",)
    for table, ids in ((out, edges.source), (into, edges.target)):
        for node in (0, 1, 17):
            mine = amount[ids == node]
            expected = mine.mean() if len(mine) else np.nan
            np.testing.assert_allclose(table.values[node, 0], expected, rtol=1e-5)


def blocks(predicate, count=300, seed=0):
    """A stochastic block model of three classes, whose features say little."""
    random = np.random.default_rng(seed)
    block = random.integers(0, 3, count)
    source, target = random.integers(0, count, (2, 100 * count))
    keep = random.random(100 * count) < np.where(block[source] == block[target], 0.3, 0.03)
    x = np.eye(3)[block] + random.normal(0, 1.5, (count, 3))
    names, half = np.array([f"n{i}" for i in range(count)]), count // 2
    colours = np.array(["red", "green", "blue"])
    data = Dataset.from_frames(
        lang.loads(f'domain Node\ndomain Colour = {{"red", "green", "blue"}}\nquery {predicate}\n'),
        labels={"Has": pa.table({"n": names[:half], "c": colours[block[:half]]})},
        features={"Node": pa.table({"n": names, **{f"x{i}": c for i, c in enumerate(x.T)}})},
        graph=EdgeList(
            pa.table({"s": names[source[keep]], "t": names[target[keep]]}),
            source="s:Node",
            target="t:Node",
        ),
        things={"Node": pa.table({"n": names})},
    )
    order = [int(name[1:]) for name in data.vocabularies["Node"]]
    return data, block[order], np.array(order) >= half


@pytest.mark.parametrize("mark", ["!", "?"])
@pytest.mark.parametrize("convolution", ["gcn", "hgt"])
def test_classes_of_functional_predicates(mark, convolution):
    data, block, asked = blocks(f"Has(Node, Colour{mark})")
    model = make("gnn", {**QUICK, "epochs": 60, "convolution": convolution}).fit(data, "Has")
    scores = model.log_odds(data, "Has")
    assert scores.shape[1] == (3 if mark == "!" else 4)
    alone = make("trees", {"hops": 0}).fit(data, "Has").log_odds(data, "Has")
    right = (scores.argmax(axis=1) == block)[asked].mean()
    assert right > 0.9
    assert right > (alone.argmax(axis=1) == block)[asked].mean() + 0.2
