"""Enclosing subgraphs and their labels against networkx."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.models.links.enclosing_kernels import LABELS
from knowreason.models.links.enclosing_pairs import (
    enclosing_subgraphs,
    pair_graph,
    pairs_of,
)
from knowreason.models.links.timed_links import Links

NODES = 9
MANY = 1000


@st.composite
def worlds(draw):
    """Timed links and rows that ask about pairs at times."""
    node, moment = st.integers(0, NODES - 1), st.integers(0, 6)
    links = draw(st.lists(st.tuples(node, node, moment), max_size=30))
    rows = draw(st.lists(st.tuples(node, node, st.integers(0, 8)), min_size=1, max_size=6))
    tables = [np.array(found, np.int64).reshape(-1, 3) for found in (links, rows)]
    return [Links(t[:, 0], t[:, 1], t[:, 2].astype(float)) for t in tables]


def graph_before(links, time, without=None):
    graph = nx.Graph()
    graph.add_nodes_from(range(NODES))
    seen = (links.time < time) & (links.source != links.target)
    graph.add_edges_from(zip(links.source[seen].tolist(), links.target[seen].tolist(), strict=True))
    if without is not None and graph.has_edge(*without):
        graph.remove_edge(*without)
    return graph


def parts(cut, row):
    nodes = slice(cut.offsets[row], cut.offsets[row + 1])
    edges = cut.edges[:, cut.edge_offsets[row] : cut.edge_offsets[row + 1]]
    return cut.node[nodes].tolist(), cut.label[nodes], cut.degree[nodes], cut.node[edges].T.tolist()


@given(worlds(), st.integers(1, 3))
@settings(max_examples=150)
def test_subgraphs_are_the_ego_graphs_without_the_link(world, hops):
    links, rows = world
    graph = pair_graph(links, NODES)
    cut = enclosing_subgraphs(graph, rows.source, rows.target, rows.time, hops, MANY, MANY)
    for row, (u, v, time) in enumerate(zip(rows.source, rows.target, rows.time, strict=True)):
        whole = graph_before(links, time)
        open_pair = graph_before(links, time, (u, v) if u != v else None)
        near = set(nx.ego_graph(open_pair, u, hops)) | set(nx.ego_graph(open_pair, v, hops))
        nodes, _, degree, edges = parts(cut, row)
        assert nodes[: 2 - (u == v)] == ([u, v] if u != v else [u])
        assert len(nodes) == len(near)
        assert set(nodes) == near
        wanted = {frozenset(edge) for edge in open_pair.subgraph(near).edges}
        assert {frozenset(edge) for edge in edges} == wanted
        assert len(edges) == len(wanted)
        assert degree.tolist() == [whole.degree(node) for node in nodes]


@given(worlds())
@settings(max_examples=150)
def test_labels_are_those_of_shortest_paths(world):
    links, rows = world
    cut = enclosing_subgraphs(
        pair_graph(links, NODES), rows.source, rows.target, rows.time, 2, MANY, MANY
    )
    for row, (u, v) in enumerate(zip(rows.source, rows.target, strict=True)):
        if u == v:
            continue
        nodes, labels, _, edges = parts(cut, row)
        graph = nx.Graph(edges)
        graph.add_nodes_from(nodes)
        to_u = nx.single_source_shortest_path_length(graph.subgraph(set(nodes) - {v}), u)
        to_v = nx.single_source_shortest_path_length(graph.subgraph(set(nodes) - {u}), v)
        for node, label in zip(nodes, labels, strict=True):
            if node in (u, v):
                assert label == 1
            elif node not in to_u or node not in to_v:
                assert label == 0
            else:
                x, y = to_u[node], to_v[node]
                total = x + y
                expected = 1 + min(x, y) + (total // 2) * (total // 2 + total % 2 - 1)
                assert label == min(expected, LABELS - 1)


def test_a_node_behind_one_end_is_not_reached_from_the_other():
    line = Links(np.arange(4), np.arange(1, 5), np.zeros(4))
    cut = enclosing_subgraphs(
        pair_graph(line, 5), np.array([1]), np.array([3]), np.array([np.inf]), 2, MANY, MANY
    )
    # 0 - [1] - 2 - [3] - 4: only node 2 is reached from both ends
    assert dict(zip(cut.node.tolist(), cut.label.tolist(), strict=True)) == {
        1: 1,
        3: 1,
        2: 2,
        0: 0,
        4: 0,
    }


@given(worlds())
@settings(max_examples=60)
def test_histories_count_and_sum_each_way(world):
    links, rows = world
    features = np.arange(2.0 * len(links)).reshape(-1, 2)
    graph = pair_graph(links, NODES, features)
    found = graph.of_pairs.before(pairs_of(graph, rows.source, rows.target), rows.time)
    for row, (u, v, time) in enumerate(zip(rows.source, rows.target, rows.time, strict=True)):
        for side, (one, two) in enumerate(((min(u, v), max(u, v)), (max(u, v), min(u, v)))):
            mine = (links.source == one) & (links.target == two) & (links.time < time) & (u != v)
            expected = [mine.sum(), *features[mine].sum(axis=0)]
            assert found[row, side] == pytest.approx(expected)
    of_nodes = graph.of_nodes.before(rows.source, rows.time)
    for row, (u, time) in enumerate(zip(rows.source, rows.time, strict=True)):
        for side, end in enumerate((links.source, links.target)):
            mine = (end == u) & (links.time < time) & (links.source != links.target)
            expected = [mine.sum(), *features[mine].sum(axis=0)]
            assert of_nodes[row, side] == pytest.approx(expected)


def hubs(seed=0):
    random = np.random.default_rng(seed)
    source, target = random.zipf(1.6, (2, 4000)) % 500
    return Links(source, target, random.random(4000))


def test_caps_hold_and_samples_depend_on_the_seed_only():
    links = hubs()
    graph = pair_graph(links, 500)
    rows = links.source[:200], links.target[:200], np.full(200, np.inf)
    whole = enclosing_subgraphs(graph, *rows, hops=2, max_nodes=MANY, max_neighbours=MANY)
    cut = enclosing_subgraphs(graph, *rows, hops=2, max_nodes=30, max_neighbours=5)
    again = enclosing_subgraphs(graph, *rows, hops=2, max_nodes=30, max_neighbours=5)
    other = enclosing_subgraphs(graph, *rows, hops=2, max_nodes=30, max_neighbours=5, seed=1)
    assert np.diff(cut.offsets).max() == 30
    assert np.diff(whole.offsets).max() > 100
    np.testing.assert_array_equal(cut.node, again.node)
    assert cut.node.shape != other.node.shape or (cut.node != other.node).any()
    for row in (0, 50, 199):
        assert set(parts(cut, row)[0]) <= set(parts(whole, row)[0])
        one = [column[row : row + 1] for column in rows]
        alone = enclosing_subgraphs(graph, *one, hops=2, max_nodes=30, max_neighbours=5)
        assert alone.node.tolist() == parts(cut, row)[0]


def test_sampled_neighbours_are_even():
    star = Links(np.zeros(100, np.int64), np.arange(1, 101), np.zeros(100))
    graph = pair_graph(star, 301)
    count = 200
    source, target = np.zeros(count, np.int64), np.arange(101, 101 + count)
    cut = enclosing_subgraphs(graph, source, target, np.full(count, 1.0), 1, 50, 10)
    assert (np.diff(cut.offsets) == 12).all()
    taken = np.bincount(cut.node, minlength=301)[1:101]
    assert taken.sum() == count * 10
    assert taken.min() > 5


def test_rows_that_are_no_links_have_nothing_around_them():
    links = hubs()
    cut = enclosing_subgraphs(
        pair_graph(links, 500),
        np.array([-1, 3, 3]),
        np.array([4, -1, 4]),
        np.full(3, np.inf),
    )
    assert np.diff(cut.offsets)[:2].tolist() == [0, 0]
    assert cut.ends[:2].tolist() == [[-1, -1], [-1, -1]]
    assert cut.ends[2].tolist() == [0, 1]


def test_no_links_at_all():
    none = np.zeros(0, np.int64)
    graph = pair_graph(Links(none, none, np.zeros(0)), 4)
    ends = np.array([0, 2])
    cut = enclosing_subgraphs(graph, ends, ends + 1, np.full(2, np.inf))
    assert cut.node.tolist() == [0, 1, 2, 3]
    assert graph.of_pairs.before(pairs_of(graph, ends, ends + 1), np.ones(2)).shape == (2, 2, 1)
