"""Learning from sampled worlds: against the exact likelihood, and on one large component."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowreason.errors import LearningError
from knowreason.learning import Problem, learn
from knowreason.learning.estimators.bethe import has_one_fixed_point
from knowreason.learning.estimators.chains import (
    ChainSchedule,
    FeatureChains,
    likelihood_by_chains,
)
from knowreason.learning.estimators.sampled_worlds import SamplingSchedule, large
from knowreason.learning.labelled_components import labelled_components, split
from knowreason.learning.learners import learner_options
from knowreason.learning.objective import Objective
from knowreason.learning.persistent_chains import Chains, chain_count, gibbs_sampler
from knowreason.learning.priors import Coordinates
from knowreason.learning.sites import wire
from knowreason.learning.standard_errors import at_least
from tests.known_weights import hubs, instances, people


@pytest.mark.parametrize("hidden", [0.0, 0.3])
def test_pseudo_likelihood_agrees_with_likelihood(hidden):
    problem = instances(700, seed=1).hide(hidden, 1)
    exact = learn(problem, "likelihood")
    fit = learn(problem, "pseudo_likelihood", seed=3)
    assert fit.converged
    assert np.abs((fit.theta - exact.theta) / exact.standard_errors).max() < 1.5
    ratio = fit.standard_errors / exact.standard_errors
    assert (ratio > 0.85).all()
    assert (ratio < 1.35).all()
    assert fit.iterations < SamplingSchedule().max_rounds  # it has settled, and ends
    prior = Coordinates.of(problem.parameters)
    log_prior = prior.log_prior(prior.eta(fit.theta))[0]
    assert fit.objective - fit.log_likelihood == pytest.approx(log_prior)


@pytest.mark.parametrize("hidden", [0.0, 0.3])
def test_recovers_weights_of_a_large_component(hidden):
    z = []
    for seed in range(3):
        world = people(200, seed=seed, sweeps=100)
        problem = world.hide(hidden, seed)
        parts = split(labelled_components(problem))
        assert parts.large is not None
        fit = learn(problem, seed=seed)
        assert fit.converged
        z.append((fit.theta - world.truth) / fit.standard_errors)
    assert np.abs(z).max() < 4
    assert 0.5 < np.std(z) < 1.5


def test_same_seed_same_fit():
    problem = people(100, seed=0, sweeps=50).hide(0.3, 0)
    one, other = learn(problem, seed=5), learn(problem, seed=5)
    assert one.theta.tolist() == other.theta.tolist()
    assert one.standard_errors.tolist() == other.standard_errors.tolist()


def test_exact_and_large_components_together():
    """Two worlds under one parameter vector: the small one by exact likelihood."""
    small, big = instances(800, seed=2), people(150, seed=2)
    both, table = _side_by_side(small, big)
    parts = split(labelled_components(both))
    assert len(parts.tractable.atoms) >= 3200
    assert len(parts.large.atoms) > 200
    fit = learn(both, seed=1)
    alone = learn(small.hide(0, 2), seed=1)
    assert fit.converged
    assert fit.theta[:8] == pytest.approx(alone.theta, abs=0.01)
    assert "worlds sampled" not in " ".join(alone.notes)
    assert len(table) == 13


def _side_by_side(small, big):
    from knowreason.factors import FactorGraph, ParameterTable

    shift, atoms = 8, small.graph.atom_count
    factors = [
        replace(part, atoms=part.atoms + atoms, parameter=part.parameter + shift)
        for part in big.graph.factors
    ]
    total = atoms + big.graph.atom_count
    graph = FactorGraph(
        log_odds=torch.zeros(total),
        theta=torch.zeros(13, dtype=torch.float64),
        evidence=torch.full((total,), -1, dtype=torch.int8),
        factors=(*small.graph.factors, *factors),
    )
    columns = []
    for name in ParameterTable.__dataclass_fields__:
        one, other = getattr(small.parameters, name), getattr(big.parameters, name)
        columns.append((*one, *other) if isinstance(one, tuple) else np.append(one, other))
    table = ParameterTable(*columns)
    labels = np.concatenate([small.world, big.hide(0.3, 2).labels])
    return Problem(graph, table, labels), table


def test_exact_is_refused_where_it_cannot_be():
    problem = people(200, seed=0).hide(0.3, 0)
    for method, options in (("likelihood", {}), ("variational_em", {"posterior": "exact"})):
        with pytest.raises(LearningError, match="too large") as caught:
            learn(problem, method, **options)
        assert caught.value.code == "KR853"
    with pytest.raises(LearningError, match="posterior") as caught:
        learn(problem, posterior="guess")
    assert caught.value.code == "KR856"
    with pytest.raises(LearningError, match="gibs") as caught:  # a project file, before any model
        learner_options("variational_em", {"posterior": "gibs"})
    assert caught.value.code == "KR856"
    assert "gibbs" in str(caught.value)


def test_chains_keep_labels_and_persist():
    labelled = labelled_components(people(100, seed=1).hide(0.5, 1))
    part = large(labelled, gibbs_sampler(labelled.clamped), gibbs_sampler(labelled.graph))
    chains = Chains(part.clamped, seed=0)
    worlds = chains.advance(np.array([1.0, 0.3, 0, 0, 1]), 5)
    known = labelled.evidence >= 0
    assert (worlds[:, known] == labelled.evidence[known]).all()
    assert worlds[:, ~known].std(0).max() > 0
    assert (chains.advance(np.array([1.0, 0.3, 0, 0, 1]), 5) != worlds).any()
    assert chain_count(labelled.graph) == 20


def test_belief_propagation_where_it_has_one_fixed_point():
    world = people(200, seed=0, sweeps=100)
    problem = world.hide(0.2, 0)
    assert split(labelled_components(problem)).large is not None
    fit = learn(problem, posterior="bp")
    assert any("one fixed point" in note for note in fit.notes)
    drawn = learn(problem, seed=1)
    assert np.abs((fit.theta - drawn.theta) / drawn.standard_errors).max() < 1.0


def test_worlds_are_drawn_where_it_has_several():
    graph = people(150, seed=3, sweeps=1).graph
    strong = graph.with_theta(torch.tensor([0.0, 3.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    assert not has_one_fixed_point(strong, seed=0)
    weak = graph.with_theta(torch.tensor([1.0, 0.2, 0.0, 0.0, 1.0], dtype=torch.float64))
    assert has_one_fixed_point(weak, seed=0)


def test_features_by_cluster_add_up():
    from knowreason.factors.energy import features

    labelled = labelled_components(instances(50, seed=0).hide(0.2, 0))
    wiring = wire(labelled.graph)
    world = np.random.default_rng(0).integers(2, size=len(labelled.atoms)).astype(np.int8)
    by_cluster = wiring.features(world, labelled.component, labelled.component.max() + 1)
    expected = features(labelled.graph, torch.from_numpy(world[None]))[0].numpy()
    assert by_cluster.sum(0) == pytest.approx(expected, rel=1e-9)


def test_at_least_keeps_what_is_enough():
    reference = np.array([[4.0, 1.0], [1.0, 3.0]])
    assert at_least(reference * 0.5, reference, 0.1) == pytest.approx(reference * 0.5)
    assert at_least(-reference, reference, 0.1) == pytest.approx(reference * 0.1)


def test_biases_of_latent_hubs_are_found():
    """Two kinds of hubs cross, none of them labelled: belief propagation, checked by chains."""
    world = hubs(2000, seed=0)
    problem = world.hide(0.3, 0)
    assert split(labelled_components(problem), width=12).large is not None
    fit = learn(problem, seed=0)
    assert fit.converged
    z = (fit.theta - world.truth) / fit.standard_errors
    assert np.abs(z).max() < 3
    assert (fit.standard_errors < 1.5).all()
    assert any("Gibbs chains" in note for note in fit.notes)


def test_chains_find_latent_hubs_by_themselves():
    """Where belief propagation is not trusted the errors are those of the chains."""
    world = hubs(1000, seed=1)
    problem = world.hide(0.2, 1)
    labelled = labelled_components(problem)
    objective = Objective(Coordinates.of(problem.parameters), ())
    solution = likelihood_by_chains(
        objective, labelled, world.parameters.start, seed=0, plan=ChainSchedule(draws=8)
    )
    error = np.sqrt(np.diag(solution.covariance))
    trusted = learn(problem, posterior="bp")
    assert np.abs(objective.coordinates.theta(solution.eta) - trusted.theta).max() < 3 * error.max()
    assert (error > 0.6 * trusted.standard_errors).all()


def test_chains_that_have_not_settled_are_less_sure():
    """The estimates' drift comes on top of the inverse of the curvature."""
    world = people(60, seed=0, sweeps=50)
    labelled = labelled_components(world.hide(0.3, 0))
    objective = Objective(Coordinates.of(world.parameters), ())
    hasty = ChainSchedule(warm_up=1, draws=3, thin=1, batches=2, max_batches=2, noise=1e-9)
    start = world.truth + np.array([2.0, 1.0, -1.0, 1.0, 0.5])
    solution = likelihood_by_chains(objective, labelled, start, seed=0, plan=hasty)
    assert not solution.converged
    added = solution.covariance - np.linalg.inv(solution.information)
    assert np.linalg.eigvalsh(added).min() > -1e-12


def test_chains_start_far_apart_in_possible_worlds():
    labelled = labelled_components(people(60, seed=0, sweeps=5).hide(0.3, 0))
    chains = FeatureChains.of(labelled.graph, np.array([1.0, 0.3, 0, 0, 1]), 8, 0)
    assert chains.worlds[1::4].all()
    assert not chains.worlds[3::4].any()
    assert set(np.unique(chains.worlds)) == {0, 1}
