"""How often factors lie in random spanning forests."""

from itertools import combinations

import numpy as np
import pytest
import torch

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.arrays import array
from knowreason.factors.condition import condition
from knowreason.inference.messages.message_graph import layout
from knowreason.inference.messages.spanning_forests import appearance_probabilities
from tests.strategies import random_graph


def shares(atoms: int, *scopes) -> list[float]:
    """Of each factor; scopes of one length together."""
    factors = tuple(
        GroundFactors.of(torch.tensor(scope).int(), (True,) * len(scope[0]), 0) for scope in scopes
    )
    open_ = torch.full((atoms,), -1, dtype=torch.int8)
    plan = layout(condition(FactorGraph(torch.zeros(atoms), torch.ones(1), open_, factors)))
    return array(appearance_probabilities(plan))[plan.incidence[0][:-1]].tolist()


@pytest.mark.parametrize("size", [3, 7, 10])
def test_a_ring_leaves_out_one_factor(size):
    ring = [[i, (i + 1) % size] for i in range(size)]
    assert shares(size, ring) == pytest.approx([1 - 1 / size] * size)


def test_all_pairs_of_five_hold_trees_of_four():
    assert shares(5, list(combinations(range(5), 2))) == pytest.approx([0.4] * 10)


def test_a_tree_is_taken_whole():
    assert shares(6, [[0, 1], [1, 2]], [[2, 3, 4]], [[4, 5]]) == [1.0] * 4


def test_two_triples_on_a_pair_take_turns():
    assert shares(4, [[0, 1, 2], [0, 1, 3]]) == pytest.approx([0.5, 0.5], abs=0.26)


@pytest.mark.parametrize("seed", range(5))
def test_other_numbers_change_nothing(seed):
    graph = condition(random_graph(seed, 9, factors=14, tables=3))
    number = np.random.default_rng(seed).permutation(graph.atom_count).astype(np.int32)
    back = torch.from_numpy(np.argsort(number))
    other = FactorGraph(
        graph.log_odds[back],
        graph.theta,
        graph.evidence[back],
        tuple(part.renumbered(number) for part in reversed(graph.factors)),
    )
    found = []
    for one, name in ((graph, number), (other, np.arange(graph.atom_count))):
        plan = layout(one)
        offsets, atoms = plan.incidence
        share = array(appearance_probabilities(plan))
        scopes = [tuple(sorted(name[part].tolist())) for part in np.split(atoms, offsets[1:-1])]
        found.append(sorted(zip(scopes, share[offsets[:-1]].round(9).tolist(), strict=True)))
    assert found[0] == found[1]


GRAPHS = {
    "wheel": [[i, (i + 1) % 5] for i in range(5)] + [[i, 5] for i in range(5)],
    "ring with a path across": [[0, 1], [1, 2], [2, 3], [3, 0], [0, 4], [4, 5], [5, 2]],
    "ladder": [[0, 1], [1, 2], [2, 3], [4, 5], [5, 6], [6, 7], [0, 4], [1, 5], [2, 6], [3, 7]],
    "bow tie": [[0, 1], [1, 2], [0, 2], [2, 3], [3, 4], [2, 4]],
    "all pairs of two and three": [[a, b] for a in (0, 1) for b in (2, 3, 4)],
    "ring with a tail": [[0, 1], [1, 2], [2, 0], [2, 3], [3, 4]],
}


@pytest.mark.parametrize("name", GRAPHS)
def test_shares_of_pairs_lie_in_the_polytope_of_spanning_trees(name):
    """``n - 1`` edges in all, at most ``|S| - 1`` within any atoms S (Edmonds 1971)."""
    edges = GRAPHS[name]
    atoms = max(max(edge) for edge in edges) + 1
    share = shares(atoms, edges)
    assert sum(share) == pytest.approx(atoms - 1)
    for size in range(2, atoms):
        for part in combinations(range(atoms), size):
            inside = [s for s, edge in zip(share, edges, strict=True) if {*edge} <= {*part}]
            assert sum(inside) <= size - 1 + 1e-9
    bridges = [s for s, edge in zip(share, edges, strict=True) if edge[1] > 2 and "tail" in name]
    assert bridges == [1.0] * len(bridges)


def test_components_do_not_touch_each_other():
    rings = [
        [first + i, first + (i + 1) % size] for first, size in ((0, 3), (3, 5)) for i in range(size)
    ]
    assert shares(8, rings) == pytest.approx([2 / 3] * 3 + [4 / 5] * 5)
