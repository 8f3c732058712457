"""Ego-subgraphs and what perturbations change in them."""

import numpy as np
import pytest
import torch

from knowreason.models.energy.ego_subgraphs import Egos, perturbed, symmetric_adjacency
from knowreason.models.graph.convolution import message_edges


def graph(nodes=400, edges=4000, seed=0):
    random = np.random.default_rng(seed)
    return symmetric_adjacency(random.integers(0, nodes, (2, edges)), nodes)


def test_direction_repeats_and_loops_count_for_nothing():
    once = symmetric_adjacency(np.array([[0, 1], [1, 2]]), 4)
    again = symmetric_adjacency(np.array([[1, 0, 2, 2, 3], [0, 1, 1, 1, 3]]), 4)
    np.testing.assert_array_equal(once.toarray(), again.toarray())
    np.testing.assert_array_equal(once.toarray()[1], [1, 0, 1, 0])
    assert once.toarray()[3].sum() == 0


def test_means_over_neighbours():
    egos = Egos.of(symmetric_adjacency(np.array([[0, 0], [1, 2]]), 4))
    values = np.array([[1.0], [2.0], [6.0], [9.0]], np.float32)
    np.testing.assert_array_equal(egos.mean(values)[:, 0], [4, 1, 1, 0])
    np.testing.assert_array_equal(egos.degree, [2, 1, 1, 0])


def test_some_centres_in_any_order():
    adjacency = graph()
    chosen = np.array([7, 3])
    egos = Egos.of(adjacency, chosen)
    np.testing.assert_array_equal(egos.neighbours.toarray(), adjacency.toarray()[chosen])


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_share_of_edges_changed(share):
    egos = Egos.of(graph())
    random = np.random.default_rng(1)
    before = egos.neighbours.toarray()
    wanted = np.maximum(share * egos.degree, 1).mean()
    more = perturbed(egos, "add", share, random).neighbours.toarray() - before
    less = before - perturbed(egos, "delete", share, random).neighbours.toarray()
    assert more.min() == 0
    assert less.min() == 0
    assert less.sum(axis=1).mean() == pytest.approx(wanted, rel=0.08)
    # some of the new neighbours are old ones
    assert 0.9 * wanted < more.sum(axis=1).mean() < 1.08 * wanted
    assert np.diag(more).sum() == 0
    assert (less.sum(axis=1)[egos.degree > 0] >= 1).all()


def test_every_edge_is_as_likely_to_go():
    egos = Egos.of(symmetric_adjacency(np.array([[0] * 10, range(1, 11)]), 11), np.array([0]))
    random = np.random.default_rng(0)
    left = sum(perturbed(egos, "delete", 0.3, random).neighbours.toarray() for _ in range(2000))
    np.testing.assert_allclose(left[0, 1:] / 2000, 0.7, atol=0.05)


def test_shuffle_changes_features_only():
    egos = Egos.of(graph())
    after = perturbed(egos, "shuffle", 0.1, np.random.default_rng(0))
    assert after.neighbours is egos.neighbours
    np.testing.assert_array_equal(np.sort(after.own), np.sort(egos.own))
    assert (after.own != egos.own).mean() > 0.95
    np.testing.assert_array_equal(after.centres, egos.centres)


def test_lonely_nodes_and_single_ones():
    random = np.random.default_rng(0)
    alone = Egos.of(symmetric_adjacency(np.zeros((2, 0), int), 3))
    assert perturbed(alone, "delete", 0.1, random).degree.sum() == 0
    assert (perturbed(alone, "add", 0.1, random).degree == 1).all()
    single = Egos.of(symmetric_adjacency(np.zeros((2, 0), int), 1))
    assert perturbed(single, "add", 0.1, random).degree.sum() == 0


def test_triangles_and_hubs():
    star = np.array([[0] * 30, range(1, 31)])
    wheel = np.concatenate([star, [range(1, 31), [*range(2, 31), 1]]], axis=1)
    assert Egos.of(symmetric_adjacency(star, 31)).triangles.tolist() == [0] * 31
    assert Egos.of(symmetric_adjacency(wheel, 31)).triangles.tolist() == [30, *[2] * 30]
    adjacency = graph(nodes=100, edges=1500)
    dense = adjacency.toarray().astype(int)
    expected = np.diag(dense @ dense @ dense) // 2
    np.testing.assert_array_equal(Egos.of(adjacency).triangles, expected)
    np.testing.assert_array_equal(
        Egos.of(adjacency).take(np.array([9, 4])).triangles, expected[[9, 4]]
    )


def test_messages_are_those_of_pyg():
    adjacency = graph(nodes=40, edges=100)
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    ends = adjacency.tocoo()
    pairs = torch.from_numpy(np.stack([ends.col, ends.row]).astype(np.int64))
    for encoder in ("sage", "gcn", "gin"):
        matrix = message_edges(encoder, pairs, 40).to_dense().numpy()
        received = Egos.of(adjacency).messages(values, encoder)
        np.testing.assert_allclose(received, matrix @ values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["add", "delete"])
def test_edges_and_features_together(kind):
    egos = Egos.of(graph())
    after = perturbed(egos, f"{kind} and shuffle", 0.1, np.random.default_rng(0))
    assert (after.own != egos.own).mean() > 0.95
    more = (after.degree > egos.degree).mean()
    assert more > 0.9 if kind == "add" else more == 0
    assert (after.degree != egos.degree).mean() > 0.9
