"""Variational EM with the GCN posterior: where chains begin, and what the network follows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import exact
from knowreason.inference.gcn.gcn_fitting import FittedGcn, GcnErrors, GcnRecipe, gcn_errors
from knowreason.inference.gcn.gcn_training import load_gcn
from knowreason.inference.gibbs.gibbs import prepare_gibbs
from knowreason.learning import learn
from knowreason.learning.estimators import estimators, gcn_estimator
from knowreason.learning.estimators.gcn_estimator import MOVED, GcnPosterior
from knowreason.learning.labelled_components import labelled_components
from tests.known_weights import instances, people, pupils

QUICK = GcnRecipe(batches=2, cut_outs=8, held_out=8, steps=20)


def posterior(seed: int = 0) -> GcnPosterior:
    problem = pupils(60, seed=seed, coupling=1.0, sweeps=40).hide(0.5, seed)
    return GcnPosterior(labelled_components(problem), QUICK, seed)


def test_the_network_is_fitted_again_where_weights_have_moved():
    network = posterior()
    theta = np.array([1.0, 0.5, 0.2, 1.0])
    first = network.follow(theta)
    assert network.follow(theta + 0.9 * MOVED) is first
    assert network.fits == 1
    second = network.follow(theta + 1.1 * MOVED)
    assert network.fits == 2
    assert second is not first
    assert (network.theta == theta + 1.1 * MOVED).all()


def test_its_error_is_told_at_the_weights_that_were_learned():
    network = posterior()
    theta = np.array([1.0, 0.5, 0.2, 1.0])
    fitted = network.follow(theta)
    ended = network.ended(theta + 0.1)
    assert ended.network is fitted.network
    graphs = network.graphs(theta + 0.1)
    assert ended.errors == gcn_errors(graphs, fitted.network, recipe=QUICK, seed=0)
    assert ended.errors != fitted.errors


def test_chains_begin_with_its_beliefs_and_keep_the_labels():
    network = posterior()
    theta = np.array([1.5, 0.7, -0.3, 1.0])
    free, clamped = network.graphs(theta)
    worlds = network.worlds(prepare_gibbs(free), free, 4000, seed=1)
    assert (worlds[1::4] == 1).all()
    worlds = worlds[::2]
    truth = exact(free).probabilities.numpy()
    assert np.abs(worlds.mean(0) - truth).max() < 0.1
    alone = torch.sigmoid(free.unary_log_odds()).numpy()
    assert np.abs(worlds.mean(0) - truth).mean() < 0.5 * np.abs(alone - truth).mean()
    evidence = network.labelled.evidence
    sampler = prepare_gibbs(clamped)
    worlds = sampler.mend(torch.from_numpy(network.worlds(sampler, condition(clamped), 8, seed=1)))
    assert (worlds[:, evidence >= 0] == evidence[evidence >= 0]).all()


def test_weights_are_those_of_the_exact_likelihood():
    """200 pupils in classes of 10, whom exact inference can serve; couplings have two phases,
    and plain chains from the priors' means end at 9 instead of 1.5."""
    world = pupils(200, seed=3, coupling=1.5, size=10, sweeps=100)
    problem = world.hide(0.3, 3)
    truth = learn(problem, "likelihood")
    fit = learn(problem, posterior="gcn", steps=20, batches=2)
    assert fit.estimators[-1].estimator == "gcn"
    assert np.abs((fit.theta - truth.theta) / truth.standard_errors).max() < 1.0
    assert fit.gcn is not None
    assert fit.gcn.errors.network < fit.gcn.errors.bp
    assert any(str(fit.gcn.errors) in note for note in fit.notes)


def test_the_same_seed_learns_the_same():
    problem = pupils(100, seed=2, coupling=0.5, sweeps=40).hide(0.3, 2)
    tiny = {"posterior": "gcn", "steps": 2, "batches": 1, "cut_outs": 4, "held_out": 4}
    fit, again = (learn(problem, **tiny) for _ in range(2))
    assert (again.theta == fit.theta).all()
    assert again.gcn.errors == fit.gcn.errors


def test_components_that_exact_inference_serves_need_no_network():
    fit = learn(instances(30, seed=0).hide(0.3, 0), posterior="gcn")
    assert [report.estimator for report in fit.estimators] == ["exact"]
    assert fit.gcn is None


def test_several_starts_share_a_network():
    problem = pupils(100, seed=1, coupling=0.5, sweeps=40).hide(0.3, 1)
    latent = replace(problem, latent_rules=np.array([True, False, False, False]))
    fit = learn(latent, posterior="gcn", steps=2, batches=1, cut_outs=4, held_out=4)
    assert fit.gcn is not None
    assert any("3 starts" in note for note in fit.notes)


@pytest.mark.parametrize(("error", "served"), [(0.01, "gcn"), (0.025, "gibbs")])
def test_auto_takes_it_where_it_beats_belief_propagation_and_chains(monkeypatch, error, served):
    problem = people(60, seed=0, sweeps=50).hide(0.2, 0)
    errors = GcnErrors(8, error, 0.03, 0.02, 1000)
    fitted = FittedGcn(load_gcn(), errors)
    monkeypatch.setattr(estimators, "gcn_errors", lambda *_, **__: errors)
    monkeypatch.setattr(gcn_estimator, "gcn_errors", lambda *_, **__: errors)
    monkeypatch.setattr(gcn_estimator, "fit_gcn", lambda *_, **__: fitted)
    fit = learn(problem)
    assert fit.estimators[-1].estimator == served
    aside = f"the GCN posterior stepped aside: {errors}"
    assert (aside in fit.notes) == (served == "gibbs")
    assert (fit.gcn is None) == (served == "gibbs")


def test_a_network_that_is_given_is_not_fitted_again(monkeypatch):
    problem = people(60, seed=0, sweeps=50).hide(0.2, 0)
    fitted = FittedGcn(load_gcn(), GcnErrors(8, 0.01, 0.03, 0.02, 1000))
    monkeypatch.delattr(gcn_estimator, "fit_gcn")
    fit = learn(problem, posterior="gcn", network=fitted)
    assert fit.gcn is fitted
