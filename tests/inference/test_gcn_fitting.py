"""The GCN posterior fitted to one graph: nearer to exact on what it was not fitted to."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowreason.factors import OPEN, FactorGraph, GroundFactors
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import exact
from knowreason.inference.gcn import gcn_fitting
from knowreason.inference.gcn.gcn import network_beliefs
from knowreason.inference.gcn.gcn_fitting import (
    GcnErrors,
    GcnRecipe,
    fit_gcn,
    gcn_errors,
    marginals,
    updates_of,
)
from knowreason.inference.gcn.gcn_network import Corrections
from knowreason.inference.gcn.gcn_training import load_gcn
from knowreason.inference.gcn.weight_noise import Noise
from knowreason.inference.messages.bp import bp
from knowreason.inference.messages.cut_outs import CutOutSource

QUICK = GcnRecipe(batches=4, cut_outs=12, held_out=20, steps=60)


def grid(side: int, coupling: float, seed: int = 0) -> FactorGraph:
    """Neighbours on a square agree or differ; couplings and log-odds are normal."""
    rng = np.random.default_rng(seed)
    place = np.arange(side * side, dtype=np.int32).reshape(side, side)
    pairs = [np.stack([place[:, :-1], place[:, 1:]], 2), np.stack([place[:-1], place[1:]], 2)]
    atoms = torch.from_numpy(np.concatenate([pair.reshape(-1, 2) for pair in pairs]))
    return FactorGraph(
        log_odds=torch.from_numpy(rng.normal(0, 0.5, side * side)).float(),
        theta=torch.ones(1, dtype=torch.float64),
        evidence=torch.full((side * side,), OPEN, dtype=torch.int8),
        factors=(
            GroundFactors.of(
                atoms,
                torch.tensor([1.0, 0.0, 0.0, 1.0]),
                0,
                torch.from_numpy(rng.normal(0, coupling, len(atoms))),
            ),
        ),
    )


def test_fitted_to_a_graph_it_is_nearer_to_exact_than_before_and_than_bp():
    graph = grid(9, 1.8)
    before = gcn_errors([graph], load_gcn(), recipe=QUICK)
    fitted = fit_gcn([graph], recipe=QUICK)
    network, after = fitted.network, fitted.errors
    assert after == gcn_errors([graph], network, recipe=QUICK)
    assert after.network < before.network
    assert (after.bp, after.chains, after.cut_outs) == (before.bp, before.chains, 20)
    assert after.network < after.bp
    truth = exact(graph).probabilities

    def error(log_odds: torch.Tensor) -> float:
        return float((log_odds.sigmoid() - truth).abs().mean())

    assert error(network_beliefs(graph, network)[0]) < error(bp(graph).log_odds)


def test_fitting_is_deterministic_and_leaves_the_network_it_starts_from():
    shipped = [weight.clone() for weight in load_gcn().parameters()]
    recipe = replace(QUICK, batches=1, steps=3, held_out=4)
    one, other = (fit_gcn([grid(5, 2.0)], recipe=recipe) for _ in range(2))
    assert one.errors == other.errors
    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(shipped, load_gcn().parameters(), strict=True))


def test_hidden_labels_are_learned_from():
    graph = grid(6, 2.0)
    labels = np.where(np.arange(36) % 2, 1, OPEN).astype(np.int8)

    def loss(eta: float) -> float:
        network = fit_gcn([graph], labels=labels, recipe=replace(QUICK, eta=eta)).network
        said = network_beliefs(graph, network)[0][labels == 1]
        return float(-torch.nn.functional.logsigmoid(said).mean())

    assert loss(20.0) < loss(0.0)


def test_untrained_it_says_what_belief_propagation_says():
    graph = grid(7, 0.5)
    found, spread = network_beliefs(graph, Corrections())
    torch.testing.assert_close(found, bp(graph).log_odds, atol=1e-3, rtol=0)
    assert float(spread.max()) == 0.0


def test_an_ensemble_has_a_spread():
    _, spread = network_beliefs(grid(4, 2.0), load_gcn(), noise=Noise(0.1, True, 3, 0))
    assert float(spread.max()) > 0


@pytest.mark.parametrize("most_told", [1, 8])
def test_a_cover_tells_every_atom_once(most_told):
    around = CutOutSource.of(condition(grid(13, 1.0)))
    told = np.zeros(169, np.int64)
    for centres, copy, atoms in around.cover(around.looped, most_told, np.random.default_rng(0)):
        assert np.bincount(copy).max() <= most_told
        cut = around.cut(centres, 12)
        places = cut.places(copy, atoms, 169)
        assert (cut.atoms[places] == atoms).all()
        assert (cut.component[places] == copy).all()
        told[atoms] += 1
    assert (told == 1).all()


def test_chains_tell_what_is_too_tangled(monkeypatch):
    graph = condition(grid(4, 1.0))
    truth, *_ = marginals(graph)
    monkeypatch.setattr(gcn_fitting, "prepare", narrow(gcn_fitting.prepare))
    drawn, asked, exact = marginals(graph)
    assert asked.all()
    assert not exact.any()
    assert 0 < float((drawn - truth).abs().max()) < 0.02


def test_errors_say_what_they_were_measured_against(monkeypatch):
    measured = gcn_errors([grid(4, 1.0)], load_gcn(), recipe=QUICK)
    assert measured.long_chains == 0
    assert "chains of equal time" in str(measured)
    assert "long chains" not in str(measured)
    monkeypatch.setattr(gcn_fitting, "prepare", narrow(gcn_fitting.prepare))
    again = gcn_errors([grid(4, 1.0)], load_gcn(), recipe=QUICK)
    assert again.long_chains == again.cut_outs > 0
    assert f"{again.cut_outs} against long chains" in str(again)


def narrow(prepare):
    return lambda graph, **options: prepare(graph, states=4, width=1)


def test_without_loops_nothing_is_fitted():
    chain = grid(1, 1.0)
    fitted = fit_gcn([chain], recipe=QUICK)
    assert fitted.errors == GcnErrors(0, 0.0, 0.0, 0.0, 0)
    assert not fitted.errors.wins
    for a, b in zip(fitted.network.parameters(), load_gcn().parameters(), strict=True):
        assert torch.equal(a, b)


def test_equal_time_grows_with_the_graph():
    small, large = updates_of(grid(3, 1.0)), updates_of(grid(6, 1.0))
    assert 4 * small < large < 20 * small
