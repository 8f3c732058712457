"""The coupling of a graph against the explicit matrix of a walk that never turns back."""

import numpy as np
import pytest
import torch

from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.components.coupling import Coupling
from knowreason.factors.condition import condition


def graph_of(*factors, atoms, theta=(1.0,), blocks=None, evidence=None):
    known = -np.ones(atoms) if evidence is None else evidence
    return FactorGraph(
        torch.zeros(atoms),
        torch.tensor(theta, dtype=torch.float64),
        torch.tensor(known).char(),
        factors,
        **({"blocks": blocks} if blocks is not None else {}),
    )


def pairs(edges, odds, parameter=0):
    """An equivalence a pair: its log odds ratio is twice its weight."""
    table = torch.tensor([1.0, 0.0, 0.0, 1.0])
    return GroundFactors.of(
        torch.tensor(edges).int(), table, parameter, torch.tensor(odds).double() / 2
    )


def explicit(factors):
    """Radius of the dense matrix: a message of factor F to variable v follows one of G to u."""
    messages = [(f, v) for f, (scope, _) in enumerate(factors) for v in scope]
    matrix = np.array(
        [
            [
                np.tanh(abs(factors[f][1]) / 4) * (f != g and u != v and u in factors[f][0])
                for g, u in messages
            ]
            for f, v in messages
        ]
    )
    return np.abs(np.linalg.eigvals(matrix)).max()


@pytest.mark.parametrize("seed", range(12))
def test_the_radius_is_that_of_the_matrix(seed):
    random = np.random.default_rng(seed)
    n = 9
    every = np.array([(i, j) for i in range(n) for j in range(i)])
    edges = every[random.random(len(every)) < random.uniform(0.2, 0.8)]
    odds = random.normal(0, 4, len(edges))
    triples = np.array([random.choice(n, 3, replace=False) for _ in range(3)])
    triples = triples[np.unique(np.sort(triples, 1), axis=0, return_index=True)[1]]
    inside = [{*e} <= {*t} for e in edges for t in triples]
    edges_out = ~np.array(inside).reshape(len(edges), len(triples)).any(1)
    edges, odds = edges[edges_out], odds[edges_out]
    clauses = GroundFactors.of(torch.tensor(triples).int(), (True, False, False), 1)
    graph = graph_of(pairs(edges, odds), clauses, atoms=n, theta=(1.0, 3.0))
    expected = explicit(
        [*((set(e), w) for e, w in zip(edges.tolist(), odds, strict=True))]
        + [(set(t), 3.0) for t in triples.tolist()]
    )
    assert Coupling.of(graph).radius() == pytest.approx(expected, rel=0.01)


def test_only_a_small_radius_may_be_said_roughly():
    edges = [(i, j) for i in range(8) for j in range(i)]
    graph = graph_of(pairs(edges, [1.0] * len(edges)), atoms=8)
    exact = 6 * np.tanh(0.25)
    assert Coupling.of(graph).radius(enough=1.0) == pytest.approx(exact, rel=0.01)
    weak = Coupling.of(graph.with_theta(torch.tensor([0.1], dtype=torch.float64)))
    assert weak.radius(enough=1.0) < 1


def test_trees_couple_nothing():
    edges = [(0, i) for i in range(1, 50)] + [(i, i + 49) for i in range(1, 50)]
    assert Coupling.of(graph_of(pairs(edges, [20.0] * len(edges)), atoms=99)).radius() == 0
    assert Coupling.of(graph_of(atoms=3)).radius() == 0
    assert Coupling.of(graph_of(atoms=3)).largest() == 0


def test_two_rules_over_one_pair_are_no_circle():
    edges = [(0, 1), (1, 2)]
    graph = graph_of(pairs(edges, [2.0] * 2), pairs(edges, [3.0] * 2), atoms=3)
    assert Coupling.of(graph).radius() == 0
    circle = [(0, 1), (1, 2), (2, 0)]
    graph = graph_of(pairs(circle, [2.0] * 3), pairs(circle, [-2.0] * 3), atoms=3)
    assert Coupling.of(graph).radius() == 0  # they cancel


def test_states_of_a_block_are_one_variable():
    members = torch.tensor([0, 1, 2, 3, 4, 5]).int()
    blocks = Blocks(torch.tensor([0, 3, 6]), members, torch.tensor([False, False]))
    graph = graph_of(pairs([(0, 3), (1, 4), (2, 5)], [4.0] * 3), atoms=6, blocks=blocks)
    assert Coupling.of(graph).radius() == 0
    assert Coupling.of(graph).largest() == 2


def test_a_circle_is_cut_by_evidence():
    graph = graph_of(pairs([(0, 1), (1, 2), (2, 0)], [4.0] * 3), atoms=3)
    assert Coupling.of(graph).radius() == pytest.approx(np.tanh(1.0), rel=1e-3)
    known = condition(graph.with_evidence(torch.tensor([1, -1, -1]).char()))
    assert Coupling.of(known).radius() == 0


def test_hard_and_long_rows():
    hard = GroundFactors.of(torch.tensor([[0, 1], [1, 2], [2, 0]]).int(), (False, True), None)
    assert Coupling.of(graph_of(hard, atoms=3)).radius() == 0
    long = GroundFactors.of(torch.tensor([list(range(15))] * 1).int(), (True,) * 15, 0)
    loop = pairs([(0, 1)], [4.0])
    coupling = Coupling.of(graph_of(long, loop, atoms=15, theta=(1.0,)))
    assert coupling.largest() == 15
    assert coupling.radius() == pytest.approx(
        explicit([(set(range(15)), 1.0), ({0, 1}, 4.0)]), rel=0.01
    )
