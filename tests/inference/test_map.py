"""The most probable world: the best of all worlds, by programs and by search."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings

from knowreason.errors import InferenceError
from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.energy import log_score
from knowreason.inference.map import most_probable_world as map_module
from knowreason.inference.map.most_probable_world import map_
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph


def shortfall(graph: FactorGraph, world: torch.Tensor) -> float:
    truth = enumerate_worlds(graph)
    best = truth.log_probability.max() + truth.log_z
    return float(best - log_score(graph, world[None])[0])


@settings(max_examples=60)
@given(factor_graphs(8))
def test_best_of_all_worlds(graph):
    found = map_(graph)
    assert shortfall(graph, found.world) == pytest.approx(0, abs=1e-5)
    assert found.converged


@pytest.mark.parametrize("seed", range(25))
def test_search_alone_finds_it_on_small_graphs(seed, monkeypatch):
    monkeypatch.setattr(map_module, "LARGEST_PROGRAM", 0)
    graph = random_graph(seed, atoms=9, factors=15, hard=seed % 2, blocks=seed % 3, counts=2)
    found = map_(graph)
    assert shortfall(graph, found.world) < 0.5
    assert found.reports[0].converged < found.reports[0].components


@pytest.mark.parametrize("seed", range(10))
def test_margins_have_the_sign_of_the_world(seed):
    graph = random_graph(seed, atoms=9, hard=1, blocks=2, counts=1)
    found = map_(graph)
    assert (found.log_odds[found.world > 0] > -1e-9).all()
    assert (found.log_odds[found.world == 0] < 1e-9).all()


def test_a_margin_is_what_flipping_costs():
    graph = random_graph(4, atoms=8)
    found = map_(graph)
    for atom in range(8):
        other = found.world.clone()
        other[atom] = 1 - other[atom]
        scores = log_score(graph, torch.stack([found.world, other]))
        cost = float(scores[0] - scores[1])
        assert abs(float(found.log_odds[atom])) == pytest.approx(cost, abs=1e-6)


def test_relaxation_bounds_and_rounds():
    graph = random_graph(7, atoms=10, factors=25, scale=2.0)
    soft = map_(graph, relax=True)
    assert soft.reports[0].engine == "map: relaxation"
    assert ((soft.probabilities >= 0) & (soft.probabilities <= 1)).all()


def test_contradiction_is_an_error():
    every = [(a, b) for a in (False, True) for b in (False, True)]
    pair = torch.tensor([[0, 1]], dtype=torch.int32)
    graph = replace(
        random_graph(0, atoms=2, factors=0, tables=0, clause_lists=0),
        factors=(*tuple(GroundFactors.of(pair, (signs), None) for signs in every),),
    )
    with pytest.raises(InferenceError) as caught:
        map_(graph)
    assert caught.value.code in ("KR702", "KR703")
