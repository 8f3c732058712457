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
