"""Energies and the brute-force oracle against sums written out."""

import math

import pytest
import torch
from hypothesis import given, settings

from knowreason.errors import InferenceError
from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.energy import features, holds, log_score
from knowreason.testing.oracle import all_worlds, enumerate_worlds
from tests.strategies import factor_graphs, random_graph


def tiny(**parts) -> FactorGraph:
    return FactorGraph(
        log_odds=torch.tensor([0.5, -1.0, 0.0]),
        theta=torch.tensor([2.0, 3.0], dtype=torch.float64),
        evidence=torch.full((3,), -1, dtype=torch.int8),
        **parts,
    )


def test_one_clause_by_hand():
    clause = GroundFactors.of(torch.tensor([[0, 1]], dtype=torch.int32), (False, True), 0)
    answer = enumerate_worlds(tiny(factors=(clause,)))
    e = math.exp
    weights = {
        (0, 0): e(2),
        (1, 0): e(0.5),
        (0, 1): e(-1 + 2),
        (1, 1): e(0.5 - 1 + 2),
    }
    z = sum(weights.values())
    assert answer.log_z == pytest.approx(math.log(2 * z))
    p = (weights[1, 0] + weights[1, 1]) / z
    assert float(answer.marginals[0]) == pytest.approx(p)
    assert float(answer.expectations[0]) == pytest.approx(1 - weights[1, 0] / z)
    assert float(answer.log_odds[2]) == pytest.approx(0, abs=1e-12)


def test_tables_read_bit_j_as_column_j():
    values = torch.tensor([0.0, 1.0, 0.0, 0.0])
    table = GroundFactors.of(torch.tensor([[2, 0]], dtype=torch.int32), (values), 1)
    worlds = all_worlds(tiny().evidence)
    score = features(tiny(factors=(table,)), worlds)[:, 1]
    expected = (worlds[:, 2] == 1) & (worlds[:, 0] == 0)
    assert torch.equal(score, expected.double())


def test_features_are_the_gradient_of_the_score():
    graph = random_graph(3, 6, counts=2)
    worlds = all_worlds(graph.evidence)
    step = torch.zeros_like(graph.theta)
    step[1] = 1.0
    up = log_score(graph.with_theta(graph.theta + step), worlds)
    down = log_score(graph.with_theta(graph.theta), worlds)
    possible = down > -torch.inf
    torch.testing.assert_close(
        (up - down)[possible], features(graph, worlds)[possible, 1], atol=1e-9, rtol=0
    )


def test_units_with_values_and_constants():
    unit = GroundFactors.units(torch.tensor([1, 1], dtype=torch.int32), 0, torch.tensor([2.0, 0.5]))
    graph = tiny(factors=(unit,), constant=torch.tensor([10.0, 0.0], dtype=torch.float64))
    world = torch.tensor([[0, 1, 0]], dtype=torch.int8)
    assert float(features(graph, world)[0, 0]) == 12.5
    assert float(log_score(graph, world)[0]) == pytest.approx(-1 + 2 * 12.5)


def test_hard_rows_blocks_and_counts_forbid_worlds():
    blocks = Blocks(
        torch.tensor([0, 2]), torch.tensor([0, 1], dtype=torch.int32), torch.tensor([False])
    )
    one = torch.tensor([1], dtype=torch.int32)
    count = GroundFactors.counts(
        torch.tensor([0, 2]),
        torch.tensor([0, 1], dtype=torch.int32),
        torch.tensor([True, False]),
        one + 1,
        one + 1,
        one + 1,
    )
    hard = GroundFactors.of(torch.tensor([[0]], dtype=torch.int32), (True,), None)
    worlds = all_worlds(tiny().evidence)
    assert holds(tiny(blocks=blocks), worlds).sum() == 4
    both = worlds[holds(tiny(blocks=blocks, factors=(count,)), worlds)]
    assert both.tolist() == [[0, 1, 0], [1, 0, 1]]
    only = worlds[holds(tiny(blocks=blocks, factors=(count, hard)), worlds)]
    assert only.tolist() == [[1, 0, 1]]


def test_oracle_says_when_nothing_is_possible():
    hard = [
        GroundFactors.of(torch.tensor([[0]], dtype=torch.int32), (s,), None) for s in (True, False)
    ]
    with pytest.raises(InferenceError, match="KR702"):
        enumerate_worlds(tiny(factors=tuple(hard)))


def test_oracle_refuses_large_graphs():
    with pytest.raises(InferenceError, match="KR701"):
        enumerate_worlds(random_graph(0, 21))


@settings(max_examples=25)
@given(factor_graphs(6))
def test_planted_worlds_are_possible_and_gradients_agree(graph):
    answer = enumerate_worlds(graph)
    assert math.isfinite(answer.log_z)
    step = 1e-5
    for p in range(graph.parameter_count):
        shift = torch.zeros_like(graph.theta)
        shift[p] = step
        up = enumerate_worlds(graph.with_theta(graph.theta + shift)).log_z
        down = enumerate_worlds(graph.with_theta(graph.theta - shift)).log_z
        assert float(answer.expectations[p]) == pytest.approx((up - down) / 2 / step, abs=1e-6)


@settings(max_examples=30)
@given(factor_graphs(10, tree=True))
def test_tree_graphs_are_possible_too(graph):
    if int((graph.evidence == -1).sum()) <= 16:
        assert math.isfinite(enumerate_worlds(graph).log_z)
