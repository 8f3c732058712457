"""The parts of the most probable world: programs, cliques of exclusions, local search."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from knowreason.errors import InferenceError
from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.arrays import array
from knowreason.factors.components.connected import components
from knowreason.factors.condition import condition
from knowreason.factors.energy import holds, log_score
from knowreason.inference.gibbs.gibbs import prepare_gibbs
from knowreason.inference.map import exclusion_cliques
from knowreason.inference.map import most_probable_world as map_module
from knowreason.inference.map.annealing import anneal, component_scores
from knowreason.inference.map.exclusion_cliques import clique_cover
from knowreason.inference.map.linear_program import LinearProgram, linear_program
from knowreason.inference.map.most_probable_world import map_ as most_probable
from knowreason.inference.messages.message_graph import layout
from knowreason.inference.posterior import Posterior
from knowreason.testing.oracle import all_worlds, enumerate_worlds
from tests.strategies import random_graph


def map_(graph: FactorGraph, **options) -> Posterior:
    """The most probable world without junction trees."""
    return most_probable(graph, exact_memory=0, **options)


def program_of(graph: FactorGraph) -> LinearProgram:
    plan = layout(graph, merge=False)
    weights = [None if mine is None else array(mine) for mine in plan.weights(graph.theta)]
    return linear_program(plan, weights, array(graph.unary_log_odds()))


def rich(seed: int) -> FactorGraph:
    return condition(
        random_graph(seed, 7, hard=seed % 3, blocks=seed % 3, counts=seed % 4, evidence=0.1)
    )


def score_of_best(graph: FactorGraph) -> float:
    truth = enumerate_worlds(graph)
    return float(truth.log_probability.max()) + truth.log_z


@pytest.mark.parametrize("seed", range(12))
def test_the_integral_optimum_is_the_best_world_and_the_linear_one_is_no_less(seed):
    graph = rich(seed)
    program = program_of(graph)
    whole = program.solve(integral=True, seconds=10)
    truths = np.round(whole.x[: graph.atom_count])
    decided = array(graph.evidence) >= 0
    truths[decided] = array(graph.evidence)[decided]
    world = torch.from_numpy(truths.astype(np.int8))
    best = score_of_best(graph)
    assert float(log_score(graph, world[None])[0]) == pytest.approx(best, abs=1e-6)
    zero = replace(graph, theta=torch.zeros_like(graph.theta))
    assert holds(zero, world[None]).all()
    assert program.solve(integral=False, seconds=10).fun <= whole.fun + 1e-7


@pytest.mark.parametrize("seed", range(6))
def test_programs_of_components_are_parts_of_the_whole(seed):
    graph = condition(random_graph(seed, 12, factors=5, tables=1, hard=1, blocks=1, counts=1))
    program = program_of(graph)
    label, count = components(graph)
    total, seen = 0.0, []
    for component in range(count):
        part, columns = program.part(label == component)
        total += part.solve(integral=True, seconds=10).fun
        seen += columns.tolist()
        assert (label[part.owner] == component).all()
        assert (part.objective == program.objective[columns]).all()
    assert sorted(seen) == np.flatnonzero(label[program.owner] >= 0).tolist()
    assert total == pytest.approx(program.solve(integral=True, seconds=10).fun, abs=1e-6)


def test_a_program_without_columns_is_solved():
    found = program_of(condition(random_graph(0, 3, evidence=1.0))).part(np.zeros(3, bool))[0]
    result = found.solve(integral=True, seconds=1)
    assert (len(result.x), result.status) == (0, 0)


def covered(pairs, given, literals: int) -> list[list[int]]:
    def shaped(found):
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    offsets, members = clique_cover(shaped(pairs), shaped(given), literals)
    return [part.tolist() for part in np.split(members, offsets[1:-1])]


@pytest.mark.parametrize("seed", range(8))
def test_cliques_cover_every_pair_and_hold_no_other(seed):
    rng = np.random.default_rng(seed)
    every = [pair for pair in combinations(range(9), 2) if rng.random() < 0.6]
    pairs, given = every[::2], every[1::2]
    cliques = covered([pair[:: rng.choice([-1, 1])] for pair in pairs], given, 9)
    inside = {frozenset(p) for clique in cliques for p in combinations(clique, 2)}
    assert {frozenset(pair) for pair in pairs} <= inside
    assert inside <= {frozenset(pair) for pair in every}
    for clique in cliques:  # none could grow by a common neighbour
        for other in set(range(9)) - set(clique):
            assert any(frozenset((other, member)) not in inside.union(map(frozenset, every))
                       for member in clique)  # fmt: skip


def test_cliques_by_hand():
    triangle = [(0, 1), (2, 1), (0, 2)]
    assert sorted(map(sorted, covered([*triangle, (3, 4)], [], 5))) == [[0, 1, 2], [3, 4]]
    assert sorted(map(sorted, covered([(0, 1)], [(1, 2), (0, 2), (3, 4)], 5))) == [[0, 1, 2]]
    assert covered([(0, 1), (1, 0)], [], 2) == [[0, 1]]
    path = [(0, 1), (1, 2)]
    assert sorted(map(sorted, covered(path, [], 3))) == [[0, 1], [1, 2]]


def test_too_many_neighbours_leave_pairs(monkeypatch):
    triangle = [(0, 1), (1, 2), (0, 2)]  # three degrees of two: squares add up to 12
    monkeypatch.setattr(exclusion_cliques, "WORK_LIMIT", 12)
    assert len(covered(triangle, [], 3)) == 1
    assert len(covered(triangle * 2, triangle, 3)) == 1  # said again: no more work
    monkeypatch.setattr(exclusion_cliques, "WORK_LIMIT", 11)
    assert covered(triangle, [], 3) == [[0, 1], [1, 2], [0, 2]]


def three_values_for_four() -> FactorGraph:
    """Four blocks of three values that must differ pairwise: a pigeon too many."""
    rows = [(3 * i + v, 3 * j + v) for v in range(3) for i in range(4) for j in range(i)]
    return FactorGraph(
        torch.zeros(12),
        torch.zeros(0, dtype=torch.float64),
        torch.full((12,), -1, dtype=torch.int8),
        (GroundFactors.of(torch.tensor(rows).int(), (False, False), None, rule=0),),
        Blocks(torch.arange(0, 13, 3), torch.arange(12).int(), torch.zeros(4, dtype=torch.bool)),
    )


def test_exclusions_as_cliques_are_refuted_without_branching():
    result = program_of(three_values_for_four()).solve(integral=False, seconds=10)
    assert result.status == map_module.INFEASIBLE  # pairs would leave one third each
    with pytest.raises(InferenceError, match="blocks and counts together") as caught:
        map_(three_values_for_four())
    assert caught.value.code == "KR702"


def test_no_world_found_in_time(monkeypatch):
    monkeypatch.setattr(map_module, "LARGEST_PROGRAM", 0)
    with pytest.raises(InferenceError, match="in time") as caught:
        map_(three_values_for_four())
    assert caught.value.code == "KR742"


@pytest.mark.parametrize("seed", range(6))
def test_scores_of_components_add_up_to_the_score_of_the_world(seed):
    graph = rich(seed)
    sampler = prepare_gibbs(graph)
    label, count = components(sampler.graph)
    worlds = enumerate_worlds(graph).worlds[:50]
    weights, unary = sampler.numbers(sampler.graph)
    scores = component_scores(sampler.wiring, weights, unary, array(worlds), label, count)
    assert scores.shape == (len(worlds), count)
    decided = float(sampler.graph.constants @ sampler.graph.theta) + sampler.graph.offset
    np.testing.assert_allclose(scores.sum(1) + decided, log_score(graph, worlds), atol=1e-6)


def test_scores_are_of_each_component_alone_and_a_broken_row_costs_a_million():
    clause = GroundFactors.of(torch.tensor([[0, 1]]).int(), (True, True), None)
    soft = GroundFactors.of(torch.tensor([[2, 3]]).int(), (True, False), 0)
    graph = FactorGraph(
        torch.tensor([1.0, 2.0, 3.0, -0.5]),
        torch.tensor([4.0], dtype=torch.float64),
        torch.full((4,), -1, dtype=torch.int8),
        (clause, soft),
    )
    sampler = prepare_gibbs(graph)
    label, count = components(sampler.graph)
    worlds = np.array([[1, 1, 1, 1], [0, 0, 0, 1], [0, 1, 0, 0]], dtype=np.int8)
    weights, unary = sampler.numbers(sampler.graph)
    scores = component_scores(sampler.wiring, weights, unary, worlds, label, count)
    np.testing.assert_allclose(scores, [[3, 6.5], [-1e6, -0.5], [2, 4]])


@pytest.mark.parametrize("seed", range(4))
def test_annealing_ends_where_no_single_change_helps(seed):
    graph = random_graph(seed, 10, factors=20, counts=0)
    sampler = prepare_gibbs(graph)
    weights, unary = sampler.numbers(sampler.graph)
    worlds = np.random.default_rng(seed).integers(0, 2, (3, 10)).astype(np.int8)
    anneal(sampler.wiring, weights, unary, worlds, seed)
    for world in torch.from_numpy(worlds):
        flips = world ^ torch.eye(10, dtype=torch.int8)
        assert (log_score(graph, flips) <= log_score(graph, world[None]) + 1e-6).all()


@pytest.mark.parametrize("seed", range(8))
def test_search_keeps_the_best_of_every_component(seed, monkeypatch):
    """Small components by search alone: each is solved, and none is called proven."""
    monkeypatch.setattr(map_module, "LARGEST_PROGRAM", 0)
    graph = random_graph(seed, 12, factors=6, tables=1, hard=1, blocks=1, counts=1)
    found = map_(graph, seed=seed)
    score = float(log_score(graph, found.world[None])[0])
    assert score == pytest.approx(score_of_best(graph), abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_the_report_gives_score_and_proofs(seed):
    graph = random_graph(seed, 9, factors=6, hard=1, blocks=1, counts=1, evidence=0.2)
    found, folded = map_(graph), condition(graph)
    label, count = components(folded)
    report = found.reports[0]
    score = float(log_score(graph, found.world[None])[0])
    assert report.notes == (f"log-score {score:.6g}; {count} components proven best",)
    assert (report.engine, report.components, report.converged) == ("map", count, count)
    assert report.atoms == int((label >= 0).sum())
    assert report.seconds > 0
    assert found.component.tolist() == label.tolist()
    assert (found.log_z, found.log_z_kind, found.expectations) == (None, "", None)
    decided = folded.evidence >= 0
    assert (found.world[decided] == folded.evidence[decided]).all()
    assert (found.log_odds[decided].abs() == 700).all()


def frustrated(weight: float = 2.0) -> FactorGraph:
    """Three atoms of which every two should differ."""
    pairs = torch.tensor([[0, 1], [1, 2], [0, 2]]).int()
    return FactorGraph(
        torch.tensor([0.0, 0.0, 0.1, 1.0, -1.0]),
        torch.tensor([weight], dtype=torch.float64),
        torch.tensor([-1, -1, -1, -1, -1], dtype=torch.int8),
        (GroundFactors.of(pairs, torch.tensor([0.0, 1.0, 1.0, 0.0]), 0),),
    )


def test_the_relaxation_of_what_is_frustrated_is_one_half():
    soft = map_(frustrated(), relax=True)
    np.testing.assert_allclose(soft.probabilities[:3], 0.5, atol=1e-6)
    assert soft.log_odds[3:].tolist() == pytest.approx([690.775527898, -690.775527898])
    assert soft.world[3:].tolist() == [1, 0]
    assert [(r.quality, r.components) for r in soft.reports] == [("exact", 2), ("unconfirmed", 1)]
    assert soft.unconfirmed.tolist() == [True] * 3 + [False] * 2
    assert "2 components proven best" in soft.reports[0].notes[0]


def test_what_the_relaxation_leaves_open_is_branched_on(monkeypatch):
    best = ([1, 0, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 0])
    found = map_(frustrated())
    assert found.world.tolist() in best
    assert found.converged
    monkeypatch.setattr(map_module, "BATCH", 1)
    assert map_(frustrated()).converged
    late = map_(frustrated(), seconds=-1.0)  # the relaxation still gets a hundredth
    assert late.world.tolist() in best
    assert late.reports[0].converged == 2


def test_margins_of_blocks_are_to_the_next_best_state():
    blocks = Blocks(torch.tensor([0, 3, 5]), torch.arange(5).int(), torch.tensor([False, True]))
    graph = FactorGraph(
        torch.tensor([1.0, 3.0, 2.5, -1.0, -2.0]),
        torch.zeros(0, dtype=torch.float64),
        torch.full((5,), -1, dtype=torch.int8),
        blocks=blocks,
    )
    found = map_(graph)
    assert found.world.tolist() == [0, 1, 0, 0, 0]
    assert found.log_odds.tolist() == pytest.approx([-2.0, 0.5, -0.5, -1.0, -2.0])


def test_margins_under_a_count_say_what_the_count_changes():
    """Two of three are enough; ``enough`` is worth 4."""
    count = GroundFactors.counts(
        torch.tensor([0, 3]), torch.arange(3).int(), torch.ones(3, dtype=torch.bool),
        torch.tensor([2]).int(), torch.tensor([3]).int(), torch.tensor([3]).int(),
    )  # fmt: skip
    graph = FactorGraph(
        torch.tensor([-1.0, -1.5, -3.0, 0.0]),
        torch.tensor([4.0], dtype=torch.float64),
        torch.full((4,), -1, dtype=torch.int8),
        (count, GroundFactors.units(torch.tensor([3]).int(), 0)),
    )
    found = map_(graph)
    assert found.world.tolist() == [1, 1, 0, 1]
    assert found.log_odds.tolist() == pytest.approx([3.0, 2.5, -3.0, 700.0])


def test_every_world_of_a_tiny_graph_has_its_margin():
    graph = random_graph(11, 4, factors=6)
    worlds = all_worlds(graph.evidence)
    scores = log_score(graph, worlds)
    found = map_(graph)
    best = int((worlds == found.world).all(1).nonzero()[0, 0])
    for atom in range(4):
        other = found.world.clone()
        other[atom] ^= 1
        cost = scores[best] - scores[int((worlds == other).all(1).nonzero()[0, 0])]
        sign = 1 if found.world[atom] else -1
        assert float(found.log_odds[atom]) == pytest.approx(sign * float(cost), abs=1e-6)
