"""The most probable world: the best of all worlds, by programs and by search."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.errors import InferenceError
from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.energy import log_score
from knowreason.inference.map import most_probable_world as map_module
from knowreason.inference.map.most_probable_world import map_
from knowreason.testing.oracle import enumerate_worlds
from tests.inference.test_exact import renamed
from tests.inference.test_junction import grid
from tests.strategies import factor_graphs, random_graph

NO_TREES = {"exact_memory": 0}


def shortfall(graph: FactorGraph, world: torch.Tensor) -> float:
    truth = enumerate_worlds(graph)
    best = truth.log_probability.max() + truth.log_z
    return float(best - log_score(graph, world[None])[0])


@settings(max_examples=60)
@given(factor_graphs(8))
def test_programs_find_the_best_of_all_worlds(graph):
    found = map_(graph, **NO_TREES)
    assert shortfall(graph, found.world) == pytest.approx(0, abs=1e-5)
    assert found.converged


@settings(max_examples=60)
@given(factor_graphs(9))
def test_junction_trees_find_the_best_of_all_worlds(graph):
    found = map_(graph, seconds=0)
    assert shortfall(graph, found.world) == pytest.approx(0, abs=1e-9)
    assert found.converged


@pytest.mark.parametrize("seed", range(6))
def test_junction_trees_alone_are_proven_best(seed, monkeypatch):
    monkeypatch.setattr(map_module, "linear_program", None)
    graph = random_graph(seed, 13, factors=18, hard=seed % 3, blocks=2, counts=2, evidence=0.1)
    found = map_(graph)
    assert shortfall(graph, found.world) == pytest.approx(0, abs=1e-9)
    assert found.converged


def test_the_best_world_of_a_long_grid_is_its_transfer_matrix_s():
    height, width = 5, 40
    graph = grid(height, width)
    u = graph.log_odds.double().numpy().reshape(height, width)
    states = (np.arange(1 << height)[:, None] >> np.arange(height)) & 1
    within = 0.8 * (states[:, 1:] == states[:, :-1]).sum(1)
    between = 0.8 * (states[:, None] == states[None]).sum(2)
    column = states @ u[:, 0] + within
    for x in range(1, width):
        column = (column[:, None] + between).max(0) + states @ u[:, x] + within
    found = map_(graph, seconds=0)
    assert float(log_score(graph, found.world[None])[0]) == pytest.approx(column.max(), rel=1e-12)


@settings(max_examples=25)
@given(factor_graphs(8), st.randoms(use_true_random=False))
def test_names_of_atoms_do_not_change_the_best_score(graph, random):
    order = list(range(graph.atom_count))
    random.shuffle(order)
    number = torch.tensor(order)
    before, after = map_(graph).world, map_(renamed(graph, number)).world
    scores = log_score(graph, torch.stack([before, after[number]]))
    assert float(scores[0]) == pytest.approx(float(scores[1]), abs=1e-9)


def test_ties_are_broken_alike_each_time():
    ring = torch.tensor([[i, (i + 1) % 9] for i in range(9)]).int()
    graph = FactorGraph(
        torch.zeros(9),
        torch.ones(1).double(),
        torch.full((9,), -1).char(),
        (GroundFactors.of(ring, torch.tensor([1.0, 0.0, 0.0, 1.0]), 0),),
    )
    assert map_(graph, seed=1).world.tolist() == map_(graph, seed=2).world.tolist() == [0] * 9


@pytest.mark.parametrize("seed", range(25))
def test_search_alone_finds_it_on_small_graphs(seed, monkeypatch):
    monkeypatch.setattr(map_module, "LARGEST_PROGRAM", 0)
    graph = random_graph(seed, atoms=9, factors=15, hard=seed % 2, blocks=seed % 3, counts=2)
    found = map_(graph, **NO_TREES)
    assert shortfall(graph, found.world) < 0.5
    assert found.unconfirmed.any()
    assert found.reports[-1].quality == "unconfirmed"


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
    for options in ({}, NO_TREES):
        with pytest.raises(InferenceError) as caught:
            map_(graph, **options)
        assert caught.value.code in ("KR702", "KR703")
