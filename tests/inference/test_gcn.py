"""The GCN posterior: rounds of bp when untrained, better than bp on loops, bp elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from knowreason.factors.components.connected import components
from knowreason.factors.condition import condition
from knowreason.inference import infer
from knowreason.inference.exact.exact import exact
from knowreason.inference.gcn.gcn import corrected, gcn
from knowreason.inference.gcn.gcn_graphs import Family, random_components
from knowreason.inference.gcn.gcn_network import DAMPING, ROUNDS, SETTLING, Corrections
from knowreason.inference.gcn.gcn_training import load_gcn
from knowreason.inference.gcn.weight_noise import Noise
from knowreason.inference.messages.bp import bp
from knowreason.inference.messages.cut_outs import corrected_by_cut_outs
from knowreason.inference.messages.rounds_of_bp import bp_rounds
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph


def labelled(graph):
    known = condition(graph)
    return known, torch.from_numpy(components(known)[0]).long()


def clip(log_odds: torch.Tensor) -> torch.Tensor:
    return log_odds.clamp(-40, 40)


@settings(max_examples=25)
@given(factor_graphs(8))
def test_untrained_it_is_rounds_of_belief_propagation(graph):
    known, component = labelled(graph)
    if (component < 0).all():
        return
    found, _ = corrected(known, component, Corrections())
    rounds = bp_rounds(graph, SETTLING + ROUNDS, DAMPING)
    assert torch.allclose(clip(found), clip(rounds), atol=1e-5)


@settings(max_examples=25)
@given(factor_graphs(9, tree=True))
def test_trees_are_left_to_bp(graph):
    found = gcn(graph)
    truth = enumerate_worlds(graph)
    assert all(report.engine.startswith("bp") for report in found.reports)
    assert (found.probabilities - truth.marginals).abs().max() < 1e-5


@pytest.mark.parametrize(
    "family",
    [
        Family(atoms=(4, 8), density=(0.8, 1.6)),
        Family(atoms=(12, 16)),
        Family(atoms=(18, 20)),
        Family(atoms=(14, 16), density=(3, 5), weight=0.6),
    ],
    ids=["template", "12-16", "18-20", "dense"],
)
def test_a_fifth_better_than_belief_propagation_on_loops(family):
    graph = random_components(40, family, np.random.default_rng(7), batches=10)
    truth = exact(graph).probabilities

    def error(log_odds: torch.Tensor) -> float:
        return float((log_odds.sigmoid() - truth).abs().mean())

    best = min(error(bp(graph).log_odds), error(bp_rounds(graph, SETTLING + ROUNDS, DAMPING)))
    assert error(gcn(graph).log_odds) < 0.8 * best


def test_better_on_graphs_of_other_making():
    errors = []
    for seed in range(8):
        graph = random_graph(seed, atoms=10, factors=14, hard=1, blocks=1, counts=1)
        truth = enumerate_worlds(graph).marginals
        errors.append(
            [float((p.probabilities - truth).abs().mean()) for p in (gcn(graph), bp(graph))]
        )
    mine, theirs = np.mean(errors, axis=0)
    assert mine < 0.8 * theirs


def test_large_components_are_left_to_bp_and_cut_outs():
    graph = random_graph(3, atoms=60, factors=90, clause_lists=0)
    found, swept = gcn(graph), corrected_by_cut_outs(graph, bp(graph).log_odds)
    label = found.component.numpy()
    large = np.bincount(label[label >= 0]).argmax()
    here = torch.from_numpy(label == large)
    torch.testing.assert_close(found.log_odds[here], swept[here], atol=1e-4, rtol=0)
    assert any("more than" in note for report in found.reports for note in report.notes)
    assert sum(report.atoms for report in found.reports) == int((label >= 0).sum())


@pytest.mark.parametrize("seed", range(6))
def test_log_z_and_expectations_are_those_of_bp(seed):
    graph = random_graph(seed, atoms=10, hard=1, blocks=1, counts=1, evidence=0.2)
    found, swept = gcn(graph), bp(graph)
    assert found.log_z == pytest.approx(swept.log_z, abs=1e-4)
    assert torch.allclose(found.expectations, swept.expectations, atol=1e-3)


def test_evidence_and_blocks_are_respected():
    for seed in range(6):
        graph = random_graph(seed, atoms=10, hard=1, blocks=2, evidence=0.3)
        found = gcn(graph)
        known = graph.evidence >= 0
        assert (found.log_odds[known].abs() == 700).all()
        blocks = graph.blocks
        owner = torch.repeat_interleave(torch.arange(blocks.count), blocks.offsets.diff())
        total = torch.zeros(blocks.count, dtype=torch.float64)
        total.index_add_(0, owner, found.probabilities[blocks.atoms.long()])
        assert (total <= 1 + 1e-5).all()
        assert (total[~blocks.at_most_one] >= 1 - 1e-5).all()


def test_renumbering_atoms_changes_nothing():
    family = Family(atoms=(9, 9), blocks=0.0)
    graph = random_components(1, family, np.random.default_rng(2), batches=1)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    moved = replace(
        graph,
        log_odds=graph.log_odds[order],
        factors=tuple(part.renumbered(place.int().numpy()) for part in graph.factors),
    )
    torch.testing.assert_close(gcn(moved).log_odds, gcn(graph).log_odds[order], atol=1e-4, rtol=0)


def test_ensemble_has_a_spread_and_leaves_the_network_as_it_was():
    graph = random_components(10, Family(atoms=(8, 12)), np.random.default_rng(5), batches=2)
    before = [weight.clone() for weight in load_gcn().parameters()]
    first, again = (gcn(graph, noise=Noise(0.05, seed=3)) for _ in range(2))
    assert torch.equal(first.log_odds, again.log_odds)
    assert torch.equal(first.spread, again.spread)
    assert first.spread.max() > 0
    assert gcn(graph).spread is None
    after = list(load_gcn().parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_noiseless_ensemble_is_one_pass():
    known, component = labelled(random_graph(1, atoms=8))
    single, _ = corrected(known, component, load_gcn())
    mean, spread = corrected(known, component, load_gcn(), Noise(0.0, False, 3, 0))
    torch.testing.assert_close(mean, single)
    assert float(spread.max()) < 1e-9


def test_by_name():
    graph = random_graph(2, atoms=9, factors=14)
    torch.testing.assert_close(infer(graph, "gcn").log_odds, gcn(graph).log_odds)
