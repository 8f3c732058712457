"""What posteriors and reports of the engines say, and what their options change."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowreason.errors import InferenceError
from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import condition
from knowreason.inference import infer
from knowreason.inference.auto import divide
from knowreason.inference.exact.exact import exact, prepare
from knowreason.inference.gibbs.gibbs import gibbs, prepare_gibbs
from knowreason.inference.messages.bp import bp, decode, prepare_bp
from knowreason.inference.messages.message_graph import layout, shared_blocks
from knowreason.inference.messages.trw import trw
from knowreason.inference.posterior import EngineReport, Posterior
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import random_graph

AGREE = torch.tensor([1.0, 0.0, 0.0, 1.0])


def pairs(atoms: int, edges, weight: float = 0.5, table: torch.Tensor = AGREE) -> FactorGraph:
    generator = torch.Generator().manual_seed(atoms)
    return FactorGraph(
        torch.randn(atoms, generator=generator),
        torch.tensor([weight], dtype=torch.float64),
        torch.full((atoms,), -1, dtype=torch.int8),
        (GroundFactors.of(torch.tensor(edges).int(), table, 0),),
    )


def ring_and_pair() -> FactorGraph:
    """A ring of six (which trees and small widths refuse) and a pair; atom 8 is observed."""
    graph = pairs(9, [*((i, (i + 1) % 6) for i in range(6)), (6, 7), (7, 8)])
    return graph.with_evidence(torch.tensor([-1] * 8 + [1], dtype=torch.int8))


TIGHT = {"states": 4, "width": 2}


def frustrated(atoms: int = 7, weight: float = 6.0) -> FactorGraph:
    edges = [(i, j) for i in range(atoms) for j in range(i)]
    graph = pairs(atoms + 2, [*edges, (atoms, atoms + 1)], weight, 1 - AGREE)
    return replace(graph, log_odds=graph.log_odds * 0.1)


def test_a_posterior_has_converged_when_all_its_reports_have():
    def posterior(*reports):
        return Posterior(torch.tensor([0.0, 2.0]), None, "", None, reports=reports)

    good, bad = EngineReport("a", 3, 9, 3), EngineReport("b", 3, 9, 2)
    assert posterior().converged
    assert posterior(good).converged
    assert not posterior(good, bad).converged
    torch.testing.assert_close(posterior().probabilities, torch.tensor([0.5, 0.880797]))


def test_the_parts_of_auto_are_joined():
    graph = ring_and_pair()
    found = infer(graph, "auto", approximate="bp", tolerance=1e-9, **TIGHT)
    alone, truth = bp(graph, tolerance=1e-9), enumerate_worlds(graph)
    torch.testing.assert_close(found.log_odds, alone.log_odds, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.log_odds[6:8], truth.log_odds[6:8], atol=1e-9, rtol=0)
    assert found.log_odds[8] == 700
    assert found.log_z == pytest.approx(alone.log_z, abs=1e-6)
    assert found.log_z_kind == "estimate"
    torch.testing.assert_close(found.expectations, alone.expectations, atol=1e-6, rtol=0)
    shape = [(r.engine, r.components, r.atoms) for r in found.reports]
    assert shape == [("exact: template", 1, 2), ("bp", 1, 6)]
    assert found.component.tolist() == [0] * 6 + [1, 1, -1]
    assert found.quality.tolist() == [2] * 6 + [0, 0, 0]
    assert found.unconfirmed.tolist() == [True] * 6 + [False] * 3
    assert [r.quality for r in found.reports] == ["exact", "unconfirmed"]


def test_auto_has_no_log_z_where_the_other_engine_has_none():
    found = infer(ring_and_pair(), approximate="gibbs", updates=10_000, **TIGHT)
    assert (found.log_z, found.log_z_kind) == (None, "")
    assert found.expectations is not None
    found = infer(ring_and_pair(), approximate="map", **TIGHT)
    assert found.expectations is None
    bound = infer(ring_and_pair(), approximate="mean_field", **TIGHT)
    assert bound.log_z_kind == "lower bound"
    assert bound.log_z < enumerate_worlds(ring_and_pair()).log_z


def test_the_seed_reaches_the_engine():
    graph = condition(ring_and_pair())
    rest, atoms = subgraph(graph, components(graph)[0] == 0)
    for seed in (0, 5):
        found = infer(graph, seed=seed, approximate="gibbs", updates=10_000, **TIGHT)
        alone = gibbs(rest, seed=seed, updates=10_000)
        assert torch.equal(found.log_odds[atoms], alone.log_odds)
    first, second = (infer(rest, "gibbs", updates=10_000, **given) for given in ({}, {"seed": 0}))
    assert torch.equal(first.log_odds, second.log_odds)
    divided = divide(graph, approximate="gibbs", updates=10_000, **TIGHT)
    assert torch.equal(divided().log_odds[atoms], first.log_odds)
    assert divided.graph is divided.exact.graph
    assert divided.atoms.tolist() == atoms.tolist()
    assert divide(graph).rest is None


def test_exact_says_how_much_is_too_large():
    ring = [(i, (i + 1) % 6) for i in range(6)]
    graph = pairs(14, [*ring, *((a + 6, b + 6) for a, b in ring), (5, 12), (12, 13)])
    with pytest.raises(InferenceError, match="KR704") as caught:
        exact(graph, **TIGHT)
    assert "2 components with 14 atoms" in str(caught.value)
    assert "the largest has 8 atoms" in str(caught.value)
    prepared = prepare(graph, **TIGHT)
    assert not prepared.tractable.any()
    assert prepared().log_z == 0.0
    assert not prepared().expectations.any()


def test_exact_serves_up_to_the_states_and_the_width_given():
    ring = pairs(6, [(i, (i + 1) % 6) for i in range(6)])
    assert [r.engine for r in exact(ring, width=3).reports] == ["exact: junction tree"]
    with pytest.raises(InferenceError, match="KR704"):
        exact(ring, width=2, states=63)
    assert [r.engine for r in exact(ring, width=2, states=64).reports] == ["exact: template"]


def test_sixteen_of_a_shape_are_a_template():
    def rings(number: int):
        edges = [(5 * c + i, 5 * c + (i + 1) % 5) for c in range(number) for i in range(5)]
        return exact(pairs(5 * number, edges))

    few, many = rings(15), rings(16)
    assert [(r.engine, r.components, r.atoms) for r in few.reports] == [
        ("exact: junction tree", 15, 75)
    ]
    assert [(r.engine, r.components, r.atoms) for r in many.reports] == [
        ("exact: template", 16, 80)
    ]
    assert few.converged
    assert few.reports[0].sweeps == 0


def test_gibbs_says_how_good_it_is():
    graph = ring_and_pair()
    found = gibbs(graph, chains=3, updates=20_000_000)
    assert [(r.engine, r.quality) for r in found.reports] == [("gibbs", "confirmed")]
    report = found.reports[0]
    assert (report.components, report.atoms, report.converged) == (2, 8, 2)
    assert report.sweeps >= 1600
    assert report.error <= 0.006
    assert "split R-hat at most 1.0" in report.checked
    assert found.component.tolist() == [0] * 6 + [1, 1, -1]
    assert found.quality.tolist() == [1] * 8 + [0]
    assert (found.spread[:8] < 0.02).all()
    truth = enumerate_worlds(graph)
    assert (found.probabilities - truth.marginals).abs().max() < 0.01


def test_what_was_sampled_briefly_is_not_confirmed():
    report = gibbs(ring_and_pair(), updates=0).reports[0]
    assert (report.quality, report.sweeps) == ("unconfirmed", 100)
    assert report.notes == ("in 2 components few worlds came from the hottest replicas",)
    late = gibbs(ring_and_pair(), seconds=0.0).reports[0]
    assert late.notes[-1].startswith("stopped by the wall clock")


def test_gibbs_without_open_atoms():
    graph = ring_and_pair().with_evidence(torch.ones(9, dtype=torch.int8))
    found = gibbs(graph)
    assert found.converged
    assert (found.log_odds == 700).all()
    assert found.expectations.tolist() == enumerate_worlds(graph).expectations.tolist()
    assert found.reports == ()


def test_the_cost_is_said_beforehand():
    told = []
    gibbs(ring_and_pair(), updates=1_000_000_000, progress=lambda *now: told.append(now))
    assert told == [(0, 1_000_000_000, "at most about 7 s of sampling")]


def test_what_hard_rules_hold_still():
    """Every state of two blocks is tied to one of the other: single moves change nothing."""
    same = GroundFactors.of(torch.tensor([[0, 3], [1, 4], [2, 5]]).int(), AGREE, None)
    blocks = Blocks(torch.tensor([0, 3, 6]), torch.arange(6).int(), torch.zeros(2).bool())
    graph = FactorGraph(
        torch.tensor([0.0, 1, 2, 0, 0, 0, 0, 0]),
        torch.ones(1).double(),
        torch.full((8,), -1).to(torch.int8),
        (same,),
        blocks,
    )
    sampler = prepare_gibbs(graph)
    assert sampler.under_hard_rows().tolist() == [True] * 6 + [False] * 2
    still = sampler.sample(chains=4, sweeps=1)
    assert torch.equal(sampler.sample(worlds=still, sweeps=50)[:, :6], still[:, :6])
    found = gibbs(graph, updates=20_000_000)
    assert [r.quality for r in found.reports] == ["confirmed"]
    assert (found.probabilities - enumerate_worlds(graph).marginals).abs().max() < 0.01


def test_mending_worlds():
    blocks = Blocks(torch.tensor([0, 3, 5]), torch.arange(5).int(), torch.tensor([False, True]))
    graph = FactorGraph(
        torch.zeros(7),
        torch.zeros(0).double(),
        torch.tensor([-1, -1, -1, -1, -1, 1, 0], dtype=torch.int8),
        blocks=blocks,
    )
    worlds = [
        [0, 1, 0, 0, 1, 1, 0],  # right as it is
        [0, 1, 1, 1, 1, 0, 1],  # two states in both blocks, evidence forgotten
        [0, 0, 0, 0, 0, 0, 0],  # no state: wrong only where one must be
    ]
    given = torch.tensor(worlds, dtype=torch.int8)
    mended = prepare_gibbs(graph).mend(given)
    assert mended.tolist() == [
        [0, 1, 0, 0, 1, 1, 0],
        [1, 0, 0, 1, 0, 1, 0],
        [1, 0, 0, 0, 0, 1, 0],
    ]
    assert given.tolist() == worlds


def test_chains_start_from_the_unary_log_odds():
    graph = FactorGraph(
        torch.tensor([1.0, -2.0, 0.5, 1.5, -1.0]),
        torch.zeros(0).double(),
        torch.full((5,), -1, dtype=torch.int8),
        blocks=Blocks(torch.tensor([0, 3]), torch.tensor([2, 3, 4]).int(), torch.tensor([False])),
    )
    share = prepare_gibbs(graph).start(graph, 20_000, 3).mean(0)
    np.testing.assert_allclose(share, enumerate_worlds(graph).marginals, atol=0.015)


def test_belief_propagation_reports_sweeps_and_residual():
    graph = ring_and_pair()
    one = bp(graph, sweeps=1, fallback=False)
    report = one.reports[0]
    assert (report.engine, report.sweeps, report.components, report.atoms) == ("bp", 1, 2, 8)
    assert report.residual > 1e-3
    assert not one.converged
    full = bp(graph)
    assert full.reports[0].residual <= 1e-6
    assert 1 < full.reports[0].sweeps <= 40
    assert full.reports[0].notes == ()
    assert full.log_z_kind == "estimate"
    assert full.world is None
    assert bp(graph, tolerance=1e-2).reports[0].sweeps < full.reports[0].sweeps


def test_the_first_sweep_by_hand():
    """Undamped, a factor that favours agreement sends log (e^w p + q) / (p + e^w q)."""
    graph = replace(pairs(2, [(0, 1)], weight=1.2), log_odds=torch.tensor([0.8, -0.3]))
    found = bp(graph, sweeps=1, damping=0.0, fallback=False)

    def message(log_odds):
        return np.log((np.exp(1.2 + log_odds) + 1) / (np.exp(log_odds) + np.exp(1.2)))

    expected = [0.8 + message(-0.3), -0.3 + message(0.8)]
    np.testing.assert_allclose(found.log_odds, expected, atol=1e-6)
    half = bp(graph, sweeps=1, damping=0.5, fallback=False)
    expected = [0.8 + message(-0.3) / 2, -0.3 + message(0.8) / 2]
    np.testing.assert_allclose(half.log_odds, expected, atol=1e-6)


def test_max_product_falls_back_to_strong_damping():
    graph = frustrated()
    found = bp(graph, product="max", sweeps=50, damping=0.0)
    assert [r.engine for r in found.reports] == ["bp", "bp: damping 0.9"]
    assert "1 components did not converge in 50 sweeps" in found.reports[1].notes
    assert [(r.components, r.atoms) for r in found.reports] == [(1, 2), (1, 7)]
    assert (found.log_z, found.log_z_kind, found.expectations) == (None, "", None)
    assert found.world[7:].sum() == 1


def test_the_fallback_leaves_settled_components_alone():
    graph = frustrated()
    found = bp(graph, sweeps=50, damping=0.0)
    assert [r.engine for r in found.reports] == ["bp", "bp: tree-reweighted"]
    assert [(r.components, r.atoms) for r in found.reports] == [(1, 2), (1, 7)]
    assert "1 components did not converge in 50 sweeps" in found.reports[1].notes
    truth, again = enumerate_worlds(graph), trw(graph, damping=0.0, sweeps=50)
    torch.testing.assert_close(found.log_odds[7:], truth.log_odds[7:], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.log_odds[:7], again.log_odds[:7], atol=1e-4, rtol=0)
    assert found.log_z == pytest.approx(again.log_z, abs=1e-3)


def test_random_starts_are_drawn_by_their_seed():
    graph = ring_and_pair()
    options = {"sweeps": 2, "fallback": False}
    still = bp(graph, **options).log_odds
    one, again = (bp(graph, start=2.0, seed=1, **options).log_odds for _ in range(2))
    other = bp(graph, start=2.0, seed=2, **options).log_odds
    assert torch.equal(one, again)
    assert not torch.allclose(one[:6], other[:6], atol=1e-3)
    assert not torch.allclose(one[:6], still[:6], atol=1e-3)
    settled = bp(graph, start=2.0, seed=1, tolerance=1e-9).log_odds
    torch.testing.assert_close(settled, bp(graph, tolerance=1e-9).log_odds, atol=1e-6, rtol=0)


def test_a_prepared_run_moves_with_theta():
    graph = random_graph(3, 9, factors=10, blocks=1, counts=1)
    run = prepare_bp(graph, sweeps=300, tolerance=1e-9)
    moved = graph.theta * 0.5 - 0.2
    there, fresh = run.at(moved).infer(), bp(graph.with_theta(moved), sweeps=300, tolerance=1e-9)
    torch.testing.assert_close(there.log_odds, fresh.log_odds, atol=1e-7, rtol=0)
    assert there.log_z == pytest.approx(fresh.log_z)
    torch.testing.assert_close(there.expectations, fresh.expectations)


def test_decoding_blocks():
    blocks = Blocks(
        torch.tensor([0, 2, 4, 6]), torch.arange(6).int(), torch.tensor([False, True, True])
    )
    graph = FactorGraph(
        torch.zeros(9),
        torch.zeros(0).double(),
        torch.tensor([-1] * 7 + [1, 0], dtype=torch.int8),
        blocks=blocks,
    )
    raw = torch.tensor([-2.0, -1.0, -0.5, -0.1, 0.2, 0.1, 0.3, -5.0, 5.0])
    assert decode(graph, raw).tolist() == [0, 1, 0, 0, 1, 0, 1, 1, 0]
    zeros = decode(replace(graph, blocks=Blocks.none()), torch.zeros(9))
    assert zeros.tolist() == [0] * 7 + [1, 0]


def test_factors_that_hold_two_states_of_a_block_are_counted():
    blocks = Blocks(torch.tensor([0, 2, 4]), torch.arange(4).int(), torch.zeros(2).bool())
    edges = [(0, 1), (0, 2), (3, 2), (4, 5)]
    graph = replace(pairs(6, edges, table=torch.tensor([0.0, 1.0, 2.0, 4.0])), blocks=blocks)
    assert shared_blocks(layout(graph)) == 2
    for found in (bp(graph), trw(graph)):
        assert "2 factors hold two states of one block: treated as apart" in found.reports[0].notes
    assert shared_blocks(layout(replace(graph, blocks=Blocks.none()))) == 0


@pytest.mark.parametrize("seed", range(6))
def test_reweighted_beliefs_of_trees_are_exact(seed):
    graph = random_graph(seed, 8, tree=True, blocks=0, counts=0)
    truth, found = enumerate_worlds(graph), trw(graph, sweeps=2000, tolerance=1e-10)
    torch.testing.assert_close(found.log_odds, truth.log_odds, atol=1e-6, rtol=1e-6)
    assert found.log_z == pytest.approx(truth.log_z, abs=1e-6)
    torch.testing.assert_close(found.expectations, truth.expectations, atol=1e-6, rtol=0)
    assert [r.engine for r in found.reports] == ["trw"]


def test_reweighted_expectations_are_the_gradient_of_the_bound():
    graph = pairs(5, [(i, (i + 1) % 5) for i in range(5)], weight=1.0)
    options = {"sweeps": 3000, "tolerance": 1e-11}
    up, down = (trw(graph.with_theta(graph.theta + h), **options).log_z for h in (1e-4, -1e-4))
    found = trw(graph, **options)
    assert (up - down) / 2e-4 == pytest.approx(float(found.expectations[0]), abs=1e-5)
    assert found.log_z > enumerate_worlds(graph).log_z


def test_log_z_says_what_it_is():
    """An upper bound where the convex sweeps came to rest, an estimate elsewhere."""
    graph = ring_and_pair()
    truth = enumerate_worlds(graph).log_z
    bound = trw(graph)
    assert bound.log_z_kind == "upper bound"
    assert bound.log_z >= truth - 1e-9
    assert trw(graph, sweeps=1).log_z_kind == "estimate"
    assert bp(graph).log_z_kind == "estimate"
    assert exact(graph).log_z_kind == "exact"
