"""Training from scratch, stored states, weight noise."""

import numpy as np
import torch

from knowreason.factors.components.connected import components
from knowreason.inference.exact.exact import exact
from knowreason.inference.gcn import gcn_training
from knowreason.inference.gcn.gcn import gcn
from knowreason.inference.gcn.gcn_graphs import Family, potentials_of, random_components
from knowreason.inference.gcn.gcn_training import load_gcn, save_gcn, train_gcn
from knowreason.inference.gcn.weight_noise import weight_noise

SMALL = {"batches": 3, "components_each": 15, "families": (Family(atoms=(4, 8)),), "steps": 40}


def test_a_short_training_beats_the_rounds_it_starts_from(tmp_path):
    network = train_gcn(**SMALL)
    graph = random_components(40, Family(atoms=(5, 8)), np.random.default_rng(9), batches=6)
    truth = exact(graph).probabilities
    trained = (gcn(graph, network=network).probabilities - truth).abs().mean()
    untrained = (gcn(graph, network=type(network)()).probabilities - truth).abs().mean()
    assert trained < 0.8 * untrained
    save_gcn(network, tmp_path / "mine.safetensors")
    again = load_gcn(tmp_path / "mine.safetensors")
    torch.testing.assert_close(
        gcn(graph, network=again).log_odds, gcn(graph, network=network).log_odds
    )


def test_training_is_deterministic_and_reads_graphs_of_ones_own():
    own = random_components(5, Family(atoms=(5, 6)), np.random.default_rng(1), batches=1)
    first, second = (
        train_gcn([own], **{**SMALL, "steps": 3, "batches": 1}, seed=4) for _ in range(2)
    )
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_noise_comes_and_goes():
    network = load_gcn()
    generator = torch.Generator().manual_seed(0)
    before = network.edge[0].weight.detach().clone()
    with weight_noise(network, 0.1, generator):
        moved = network.edge[0].weight.detach() - before
    assert 0.09 < float(moved.std()) < 0.11
    with weight_noise(network, 0.1, generator, relative=True):
        change = (network.edge[0].weight.detach() / before - 1)[before.abs() > 1e-3]
    assert 0.09 < float(change.std()) < 0.11
    assert torch.equal(network.edge[0].weight, before)


def test_random_components_have_the_sizes_asked_for():
    graph = random_components(12, Family(atoms=(6, 6), blocks=1.0), np.random.default_rng(0))
    assert graph.atom_count == 72
    assert graph.blocks.count == 12
    assert len(potentials_of(2)) == 7
    for group in graph.factors:
        assert (group.atoms // 6 == group.atoms[:, :1] // 6).all()


def test_random_components_are_as_many_and_as_large_as_asked():
    for count in (40, 43):
        graph = random_components(count, Family(atoms=(6, 6)), np.random.default_rng(2), batches=7)
        assert graph.atom_count == 6 * count


def test_factors_stay_within_their_window():
    family = Family(atoms=(60, 60), window=7, blocks=1.0)
    graph = random_components(3, family, np.random.default_rng(2), batches=1)
    for group in graph.factors:
        assert int((group.atoms.amax(1) - group.atoms.amin(1)).max()) < 7
    assert int((group.atoms // 60 != group.atoms[:, :1] // 60).sum()) == 0


def test_cut_outs_to_train_on_are_small(monkeypatch):
    monkeypatch.setattr(gcn_training, "LARGE", ())
    family = Family(atoms=(90, 90), window=8)
    network = random_components(1, family, np.random.default_rng(3), batches=1)
    first, again = (gcn_training.training_cut_outs([network], seed=5) for _ in range(2))
    assert len(first) == len(gcn_training.CUT_OUT_SIZES)
    for graph, same, most in zip(first, again, gcn_training.CUT_OUT_SIZES, strict=True):
        assert torch.equal(graph.log_odds, same.log_odds)
        assert int(np.bincount(components(graph)[0]).max()) <= most
        assert exact(graph).probabilities.shape == graph.log_odds.shape
