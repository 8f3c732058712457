"""Cut-outs: bp on them is bp on the whole, exact on them is nearer to exact on the whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.components.connected import components
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import exact
from knowreason.inference.gcn.gcn_graphs import Family, random_components
from knowreason.inference.messages import cut_outs
from knowreason.inference.messages.bp import bp
from knowreason.inference.messages.cut_outs import (
    CutOutSource,
    canonical_graph,
    corrected_by_cut_outs,
)
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import factor_graphs, random_graph

LONG = Family(atoms=(80, 120), density=(0.9, 1.5), window=8)


def long_graph(seed: int, family: Family = LONG):
    return random_components(1, family, np.random.default_rng(seed), batches=1)


def opened(graph):
    return np.flatnonzero(graph.evidence.numpy() < 0)


@settings(max_examples=25)
@given(factor_graphs(8))
def test_the_canonical_graph_is_the_same_distribution(graph):
    known = condition(graph)
    truth, found = enumerate_worlds(known), enumerate_worlds(canonical_graph(known))
    torch.testing.assert_close(found.marginals, truth.marginals, atol=1e-6, rtol=0)


@pytest.mark.parametrize("most", [5, 16])
@pytest.mark.parametrize("seed", range(3))
def test_bp_on_a_cut_out_rests_where_it_rests_on_the_whole(seed, most):
    graph = random_graph(seed, atoms=30, factors=34, hard=2, blocks=2, counts=1, evidence=0.1)
    around = CutOutSource.of(condition(graph))
    centres = np.flatnonzero(around.correctable)
    cut = around.cut(centres, most)
    assert len(centres)
    whole = bp(graph, tolerance=1e-9).probabilities[torch.from_numpy(cut.atoms)]
    torch.testing.assert_close(bp(cut.graph).probabilities, whole, atol=1e-4, rtol=0)


def test_cut_outs_hold_their_centre_and_no_more_atoms_than_asked_for():
    graph = condition(random_graph(5, atoms=40, factors=60, blocks=3))
    around = CutOutSource.of(graph)
    centres = opened(graph)
    cut = around.cut(centres, 12)
    sizes = np.bincount(cut.component)
    assert sizes.max() <= 12
    block = graph.blocks.of_atom(graph.atom_count)
    for copy, centre in enumerate(centres):
        mine = cut.component == copy
        same = block == block[centre] if block[centre] >= 0 else np.arange(len(block)) == centre
        assert set(cut.atoms[mine & cut.central]) == set(np.flatnonzero(same))
        held = set(cut.atoms[mine])
        for number in set(block[list(held)]) - {-1}:
            assert set(np.flatnonzero(block == number)) <= held


def test_a_cut_out_of_a_whole_component_is_the_component():
    graph = condition(random_graph(2, atoms=12, factors=18, hard=1, blocks=1))
    around = CutOutSource.of(graph)
    cut = around.cut(opened(graph), graph.atom_count)
    truth = exact(graph).probabilities[torch.from_numpy(cut.atoms)]
    torch.testing.assert_close(exact(cut.graph).probabilities, truth, atol=1e-5, rtol=0)


@settings(max_examples=40)
@given(factor_graphs(9))
def test_small_components_become_exact(graph):
    swept = bp(graph)
    found = corrected_by_cut_outs(graph, swept.log_odds)
    if found is None:
        return
    truth = enumerate_worlds(graph).marginals
    changed = found != swept.log_odds
    torch.testing.assert_close(found.sigmoid()[changed], truth[changed], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "family",
    [
        LONG,
        replace(LONG, rules=2, triples=0.2),
        replace(LONG, weight=2.5),
        replace(LONG, density=(1.5, 2.5), weight=0.7),
    ],
    ids=["own", "rules", "strong", "dense"],
)
def test_at_most_half_the_error_of_belief_propagation(family):
    errors = []
    for seed in range(3):
        graph = long_graph(seed, family)
        truth, swept = exact(graph).probabilities, bp(graph)
        found = corrected_by_cut_outs(graph, swept.log_odds)
        pair = [(p.sigmoid() - truth).abs().mean() for p in (swept.log_odds, found)]
        errors.append([float(error) for error in pair])
    theirs, mine = np.mean(errors, axis=0)
    assert mine < 0.5 * theirs


def test_trees_and_components_that_do_not_come_to_rest_keep_their_beliefs():
    tree = random_components(5, Family(atoms=(2, 2), blocks=0.0), np.random.default_rng(0), 1)
    assert corrected_by_cut_outs(tree, bp(tree).log_odds) is None
    n = 36
    side = np.arange(n).reshape(6, 6)
    pairs = [np.stack([side[:, :-1], side[:, 1:]], 2), np.stack([side[:-1], side[1:]], 2)]
    atoms = np.concatenate([part.reshape(-1, 2) for part in pairs]).astype(np.int32)
    rng = np.random.default_rng(3)
    agree = torch.tensor([1.0, 0.0, 0.0, 1.0]).double()
    weight = torch.from_numpy(rng.choice([-8.0, 8.0], len(atoms)))
    glass = FactorGraph(
        log_odds=torch.from_numpy(rng.normal(0, 0.3, n)).float(),
        theta=torch.ones(1).double(),
        evidence=torch.full((n,), -1, dtype=torch.int8),
        factors=(GroundFactors.of(torch.from_numpy(atoms), agree, 0, weight),),
    )
    assert not CutOutSource.of(glass).correctable.any()
    assert corrected_by_cut_outs(glass, bp(glass).log_odds) is None


def test_small_components_are_served_first(monkeypatch):
    small = random_components(4, Family(atoms=(5, 14), blocks=0.0), np.random.default_rng(1), 4)
    graph = condition(small)
    around = CutOutSource.of(graph)
    label, count = components(graph)
    sizes = np.bincount(label[around.correctable], minlength=count)
    largest = label == sizes.argmax()
    swept = bp(graph)
    assert np.asarray(corrected_by_cut_outs(graph, swept.log_odds) != swept.log_odds)[largest].any()
    monkeypatch.setattr(cut_outs, "MOST_ATOMS", 16 * (int(around.correctable.sum()) - 1))
    changed = np.asarray(corrected_by_cut_outs(graph, swept.log_odds) != swept.log_odds)
    assert changed[~largest].any()
    assert not changed[largest].any()


def test_too_tangled_cut_outs_are_made_smaller(monkeypatch):
    graph = long_graph(4, replace(LONG, density=(2.0, 2.5), weight=0.6))
    truth, swept = exact(graph).probabilities, bp(graph)
    monkeypatch.setattr(cut_outs, "WIDTH", 5)
    found = corrected_by_cut_outs(graph, swept.log_odds, (24, 5))
    assert (found.sigmoid() - truth).abs().mean() < (swept.probabilities - truth).abs().mean()


def test_blocks_stay_distributions():
    graph = random_graph(7, atoms=30, factors=45, blocks=4)
    found = corrected_by_cut_outs(graph, bp(graph).log_odds).sigmoid()
    blocks = graph.blocks
    owner = torch.repeat_interleave(torch.arange(blocks.count), blocks.offsets.diff())
    total = torch.zeros(blocks.count, dtype=torch.float64)
    total.index_add_(0, owner, found[blocks.atoms.long()])
    assert (total <= 1 + 1e-6).all()
    assert (total[~blocks.at_most_one] >= 1 - 1e-6).all()
