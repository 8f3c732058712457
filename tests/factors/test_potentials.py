"""A potential of one's own, in one place, through every engine; soft counts; expectations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.condition import condition
from knowreason.factors.energy import row_truth
from knowreason.factors.potentials import POTENTIALS, Potential, potential_of
from knowreason.inference import infer
from knowreason.testing.oracle import all_worlds, enumerate_worlds
from tests.strategies import factor_graphs, random_graph


@POTENTIALS.register("hinge")
class Hinge(Potential):
    """How far the number of true literals exceeds ``lower``."""

    def of_score(self, factors, score, rows):
        return np.maximum(score - np.asarray(factors.bounds()[0])[rows], 0).astype(np.float64)


def hinges(rows, signs, lower, parameter=0, value=None) -> GroundFactors:
    """Hinges over rows of any length."""
    return GroundFactors(
        "hinge",
        torch.tensor([a for row in rows for a in row], dtype=torch.int32),
        parameter,
        value,
        offsets=torch.tensor(np.cumsum([0, *map(len, rows)])),
        signs=torch.tensor([s for row in signs for s in row]),
        lower=torch.tensor(lower, dtype=torch.int32),
    )


def graph_of(atoms: int, *factors: GroundFactors) -> FactorGraph:
    rng = np.random.default_rng(atoms)
    return FactorGraph(
        log_odds=torch.tensor(rng.normal(0, 1, atoms), dtype=torch.float32),
        theta=torch.tensor([0.8, -0.6], dtype=torch.float64),
        evidence=torch.full((atoms,), -1, dtype=torch.int8),
        factors=factors,
    )


def a_tree() -> FactorGraph:
    rows = ([0, 1, 2], [2, 3, 4, 5, 6], [6, 7])
    signs = ([True, False, True], [True, True, False, True, True], [False, True])
    value = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    implies = GroundFactors.of(torch.tensor([[7, 8]]).int(), (False, True), 1)
    return graph_of(9, hinges(rows, signs, [1, 2, 0], value=value), implies)


def a_net() -> FactorGraph:
    rows = [[0, 1, 2], [1, 2, 3], [3, 4, 0]]
    return graph_of(5, hinges(rows, [[True] * 3] * 3, [1, 1, 0]))


@pytest.mark.parametrize("graph", [a_tree(), a_net()], ids=["tree", "net"])
def test_exact_knows_a_new_potential(graph):
    answer, found = enumerate_worlds(graph), infer(graph, "exact")
    torch.testing.assert_close(found.log_odds, answer.log_odds, atol=1e-8, rtol=1e-8)
    assert found.log_z == pytest.approx(answer.log_z)
    torch.testing.assert_close(found.expectations, answer.expectations)


def test_belief_propagation_knows_it():
    graph = a_tree()
    answer, found = enumerate_worlds(graph), infer(graph, "bp", tolerance=1e-10)
    torch.testing.assert_close(found.log_odds, answer.log_odds, atol=1e-7, rtol=1e-7)
    assert found.log_z == pytest.approx(answer.log_z, abs=1e-7)
    torch.testing.assert_close(found.expectations, answer.expectations, atol=1e-7, rtol=1e-7)


def test_mean_field_knows_it():
    linear = graph_of(4, hinges([[0, 1], [1, 2, 3]], [[True, False], [True] * 3], [0, 0]))
    answer, found = enumerate_worlds(linear), infer(linear, "mean_field", tolerance=1e-9)
    torch.testing.assert_close(found.log_odds, answer.log_odds, atol=1e-6, rtol=0)
    assert found.log_z == pytest.approx(answer.log_z, abs=1e-8)
    found = infer(a_net(), "mean_field")
    answer = enumerate_worlds(a_net())
    assert found.log_z <= answer.log_z + 1e-9
    assert (found.probabilities - answer.marginals).abs().max() < 0.05


def test_gibbs_knows_it():
    graph = a_net()
    found = infer(graph, "gibbs", chains=4, updates=20_000_000, seed=1)
    answer = enumerate_worlds(graph)
    assert (found.probabilities - answer.marginals).abs().max() < 0.02
    torch.testing.assert_close(found.expectations, answer.expectations, atol=0.05, rtol=0)


def test_evidence_folds_it():
    graph = a_tree().with_evidence(torch.tensor([-1, 1, -1, 0, -1, -1, 1, -1, -1]).to(torch.int8))
    answer, folded = enumerate_worlds(graph), enumerate_worlds(condition(graph))
    torch.testing.assert_close(answer.marginals, folded.marginals)
    assert answer.log_z == pytest.approx(folded.log_z)


def soft_count(size: int, lower: int, upper: int) -> GroundFactors:
    return GroundFactors(
        "interval",
        torch.arange(size, dtype=torch.int32)[None],
        0,
        signs=torch.arange(size) % 3 > 0,
        lower=lower,
        upper=upper,
    )


@pytest.mark.parametrize("size", [2, 4, 7, 9])
def test_a_soft_count_is_a_factor_like_any_other(size):
    graph = graph_of(size, soft_count(size, 1, max(1, size - 2)))
    answer = enumerate_worlds(graph)
    for engine, options in (("exact", {}), ("exact", {"states": 1}), ("bp", {"tolerance": 1e-10})):
        found = infer(graph, engine, **options)
        torch.testing.assert_close(found.log_odds, answer.log_odds, atol=1e-7, rtol=1e-7)
        assert found.log_z == pytest.approx(answer.log_z, abs=1e-7)
        torch.testing.assert_close(found.expectations, answer.expectations, atol=1e-6, rtol=0)
    sampled = infer(graph, "gibbs", updates=20_000_000)
    torch.testing.assert_close(sampled.expectations, answer.expectations, atol=0.05, rtol=0)
    best = infer(graph, "map").world
    assert best.tolist() == answer.world.tolist()


@settings(max_examples=30, deadline=None)
@given(factor_graphs(6, evidence=False))
def test_expected_potential_is_the_mean_over_independent_worlds(graph):
    p = np.random.default_rng(0).uniform(0.05, 0.95, graph.atom_count)
    worlds = all_worlds(graph.evidence)
    chance = np.where(worlds.numpy() == 1, p, 1 - p).prod(1)
    for part in graph.factors:
        if part.target is None:
            mean = chance @ row_truth(part, worlds).numpy()
            np.testing.assert_allclose(potential_of(part).expected(part, p), mean, atol=1e-9)


def test_a_wide_new_potential_is_refused():
    graph = random_graph(0, 14)
    wide = hinges([list(range(14))], [[True] * 14], [2])
    with pytest.raises(Exception, match="KR705"):
        infer(FactorGraph(graph.log_odds, graph.theta, graph.evidence, (wide,)), "exact")


@pytest.mark.parametrize("kind", ["pair", "clause", "count"])
def test_odds_beyond_all_floats_are_added_up(kind):
    """Forty rows say 25 each for the first atom, whose own log-odds take most of it away."""
    rows = torch.tensor([[0, 2 * i + 1, 2 * i + 2] for i in range(40)], dtype=torch.int32)
    part = {
        "pair": GroundFactors.of(rows[:, :2], (True, False), 0),
        "clause": GroundFactors.of(rows, (True, False, False), 0),
        "count": GroundFactors("interval", rows, 0, signs=torch.ones(3).bool(), lower=3, upper=3),
    }[kind]
    graph = FactorGraph(
        log_odds=torch.tensor([-985.0] + [40.0] * 80),
        theta=torch.tensor([25.0], dtype=torch.float64),
        evidence=torch.full((81,), -1, dtype=torch.int8),
        factors=(part,),
    )
    found = infer(graph, "bp", tolerance=1e-10).log_odds
    expected = infer(graph, "exact").log_odds
    assert 0 < float(expected[0]) < 30
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-6)
