"""Gradients and curvature of every likelihood against differences, and what sampling adds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.factors.energy import features
from knowreason.learning import learn
from knowreason.learning.estimators.bethe import WarmPropagation, bethe_likelihood, bethe_solutions
from knowreason.learning.estimators.chains import (
    LONGEST,
    ChainSchedule,
    FeatureChains,
    GradientEstimate,
    StochasticNewton,
    _newton,
    gradient_estimate,
    likelihood_by_chains,
)
from knowreason.learning.estimators.exact_likelihood import exact_likelihood, exact_solution
from knowreason.learning.estimators.pseudo_likelihood import pseudo_likelihood
from knowreason.learning.estimators.sampled_worlds import Look, Rounds, SamplingSchedule, large
from knowreason.learning.fit import Solution
from knowreason.learning.labelled_components import labelled_components
from knowreason.learning.objective import Objective
from knowreason.learning.persistent_chains import chain_count, gibbs_sampler, is_complete
from knowreason.learning.priors import Coordinates, start_values
from knowreason.learning.sites import wire
from knowreason.testing.oracle import enumerate_worlds
from tests.known_weights import instances, people
from tests.strategies import random_graph


def slopes(function, at, step=1e-5):
    """Central differences of a function's value in each coordinate."""
    moves = step * np.eye(len(at))
    return np.array([(function(at + m)[0] - function(at - m)[0]) / (2 * step) for m in moves])


def test_gradient_of_the_bethe_likelihood():
    labelled = labelled_components(people(40, seed=0, sweeps=20).hide(0.3, 0))
    term = bethe_likelihood(labelled)
    assert term.free.run is not None
    assert term.clamped.run is not None
    theta = np.array([0.8, 0.2, -0.4, -0.6, 0.9])
    for _ in range(2):  # from anew, and from the messages before
        value, gradient = term(theta)
        assert gradient == pytest.approx(slopes(term, theta, 1e-3), rel=1e-3, abs=1e-3)
        assert np.isfinite(value)


def test_the_bethe_likelihood_of_trees_is_exact():
    labelled = labelled_components(instances(20, seed=0).hide(0.4, 0))
    theta = np.array([1.0, 2.0, 0.5, 0.3, -1.0, -0.5, 0.2, 1.2])
    one, other = bethe_likelihood(labelled)(theta), exact_likelihood(labelled)(theta)
    assert one[0] == pytest.approx(other[0], abs=1e-4)
    assert one[1] == pytest.approx(other[1], abs=1e-3)


def test_messages_are_taken_up_and_dropped_where_they_did_not_settle():
    labelled = labelled_components(people(60, seed=0, sweeps=20).hide(0.3, 0))
    warm = WarmPropagation.of(labelled.graph)
    assert warm.messages is None
    mild = torch.tensor([0.5, 0.1, 0.0, 0.0, 1.0], dtype=torch.float64)
    first = warm(mild)
    assert warm.messages is not None
    again = warm(mild)
    assert again.log_z == pytest.approx(first.log_z, abs=1e-4)
    assert again.log_z_kind == "estimate"
    alone = WarmPropagation.of(labelled_components(instances(3, seed=0).hide(0, 0)).graph)
    assert alone.run is None
    assert alone(torch.zeros(8, dtype=torch.float64)).log_z == pytest.approx(12 * np.log(2))


def test_starts_that_end_at_one_optimum_are_one_solution():
    problem = people(60, seed=0, sweeps=50).hide(0.2, 0)
    labelled = labelled_components(problem)
    coordinates = Coordinates.of(problem.parameters)
    objective = Objective(coordinates, (bethe_likelihood(labelled),))
    start = start_values(problem)
    ends = bethe_solutions(objective, labelled, [start, start + 0.1], seed=0, max_iterations=100)
    assert len(ends) == 2
    np.testing.assert_array_equal(ends[0].eta, ends[1].eta)
    assert "belief propagation served" in ends[0].notes[0]
    gradient = objective(ends[0].eta)[1]
    assert np.abs(gradient).max() < 0.2


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), hard=st.integers(0, 1), blocks=st.integers(0, 2))
def test_curvature_and_scores_of_the_pseudo_likelihood(seed, hard, blocks):
    graph = random_graph(seed, atoms=7, hard=hard, blocks=blocks, counts=seed % 2)
    wiring, everything = wire(graph), enumerate_worlds(graph)
    picks = np.random.default_rng(seed).integers(len(everything.worlds), size=3)
    term = pseudo_likelihood(wiring, everything.worlds.numpy()[picks])
    theta = graph.theta.numpy()
    gradient = term(theta)[1]
    information = term.information(theta)
    for index, row in enumerate(information):
        step = np.zeros(len(theta))
        step[index] = 1e-5
        change = (term(theta + step)[1] - term(theta - step)[1]) / 2e-5
        assert -change == pytest.approx(row, abs=1e-5)
    clusters = np.arange(len(wiring.site_start)) % 3
    scores = term.cluster_scores(theta, clusters, 3)
    assert scores.shape == (3, 3, len(theta))
    assert scores.mean(0).sum(0) == pytest.approx(gradient, abs=1e-8)


def test_features_of_chains_are_the_expectations():
    """Mean and covariance of feature totals against enumeration, within Monte-Carlo error."""
    graph = random_graph(5, atoms=6, parameters=3)
    everything = enumerate_worlds(graph)
    totals = features(graph, everything.worlds).numpy()
    chance = everything.log_probability.exp().numpy()
    mean = chance @ totals
    covariance = (totals - mean).T @ (chance[:, None] * (totals - mean))
    schedule = ChainSchedule(draws=200, thin=3)
    theta = graph.theta.numpy()
    side = FeatureChains.of(graph, theta, 12, seed=3)
    side.advance(theta, 60)
    moments = side.moments(theta, schedule)
    error = np.sqrt(np.diag(moments.error))
    assert (np.abs(moments.mean - mean) <= 5 * error + 1e-9).all()
    assert error.max() < 0.15 * np.sqrt(np.diag(covariance)).max()
    np.testing.assert_allclose(moments.covariance, covariance, atol=0.15 * covariance.max())


def test_chains_agree_with_the_exact_likelihood():
    problem = instances(150, seed=3).hide(0.3, 3)
    labelled = labelled_components(problem)
    coordinates = Coordinates.of(problem.parameters)
    exact = Objective(coordinates, (exact_likelihood(labelled),))
    best = exact_solution(exact, start_values(problem), 1e-4, 100, None)
    calls = []
    end = likelihood_by_chains(
        Objective(coordinates, ()),
        labelled,
        coordinates.eta(start_values(problem)),
        seed=0,
        progress=lambda *step: calls.append(step),
    )
    error = np.sqrt(np.diag(np.linalg.inv(best.information)))
    assert np.abs((end.eta - best.eta) / error).max() < 0.6
    ratio = np.sqrt(np.diag(end.covariance)) / error
    assert ratio.min() > 0.8
    assert ratio.max() < 1.6
    assert len(calls) == end.iterations == len(end.history) >= ChainSchedule().batches
    trusted = likelihood_by_chains(Objective(coordinates, ()), labelled, best, seed=0)
    assert np.abs((trusted.eta - best.eta) / error).max() < 0.6


def test_a_batch_is_in_free_coordinates():
    """One weight is given and the scale is 3: what is of ``log 3`` is 3 (or 9) times as much."""
    problem = instances(20, seed=3).hide(0.3, 3)
    table = replace(problem.parameters, learned=np.arange(8) != 1)
    labelled = labelled_components(problem)
    objective = Objective(Coordinates.of(table), ())
    theta = np.array([1.0, 2.0, 0.5, 0.3, -1.0, -0.5, 0.2, 3.0])
    eta = objective.coordinates.eta(theta)
    schedule, information = ChainSchedule(draws=4), 2 * np.eye(7)

    def sides():
        graphs = labelled.clamped, labelled.graph
        return [FeatureChains.of(graph, theta, 8, seed) for seed, graph in enumerate(graphs)]

    batch = gradient_estimate(objective, sides(), eta, information, schedule)
    clamped, loose = (side.moments(theta, schedule) for side in sides())
    slope = np.array([1.0] * 6 + [3.0])
    free = np.array([0, 2, 3, 4, 5, 6, 7])
    for i in range(7):
        gap = (clamped.mean - loose.mean)[free[i]] * slope[i]
        assert batch.gradient[i] == pytest.approx(objective(eta)[1][i] + gap)
        for j in range(7):
            chain, pair = slope[i] * slope[j], (free[i], free[j])
            error = (clamped.error[pair] + loose.error[pair]) * chain
            complete = loose.covariance[pair] * chain + information[i, j]
            assert batch.error[i, j] == pytest.approx(error)
            assert batch.complete[i, j] == pytest.approx(complete)
            seen = complete - clamped.covariance[pair] * chain
            assert batch.information[i, j] == pytest.approx(seen)


def test_godambe_covariance_is_in_free_coordinates():
    """Complete labels at a scale of about 3: errors of the pseudo-likelihood, per component.

    Where components are many the variance of the summed scores is that between components.
    """
    drawn = instances(600, seed=3)
    *biases, sensor = drawn.graph.units
    third = replace(sensor, value=sensor.value / 3)
    graph = replace(drawn.graph, factors=(*drawn.graph.couplings, *biases, third))
    problem = replace(drawn, graph=graph).hide(0.0, 0)
    mean = problem.parameters.prior_mean + np.log(3) * (np.arange(8) == 7)
    problem = replace(problem, parameters=replace(problem.parameters, prior_mean=mean))
    fit = learn(problem, "pseudo_likelihood")
    exact = learn(problem, "likelihood")
    assert exact.theta[7] > 2.4
    assert fit.theta == pytest.approx(exact.theta, abs=1.5 * exact.standard_errors.max())
    assert fit.standard_errors == pytest.approx(exact.standard_errors, rel=0.35)


def newton(ends, errors=None, exact=1.0):
    one = np.eye(2)
    batches = [
        GradientEstimate(np.zeros(2), np.zeros(2), error * one, 4 * one, 8 * one)
        for error in (errors or [0.04] * len(ends))
    ]
    return StochasticNewton(exact * one, np.ones(2), None, batches, [np.array(e) for e in ends])


def test_the_later_two_thirds_are_averaged():
    state = newton([[90.0, 90], [1.0, 2], [3.0, 4]])
    assert state.average().tolist() == [2.0, 3.0]
    assert newton([[1.0, 2]]).average().tolist() == [1.0, 2.0]
    assert np.diag(state.information()).tolist() == [4.0, 4.0]
    bread = 1 / 4
    assert state.monte_carlo() == pytest.approx(np.eye(2) * bread**2 * 0.04 / 2)
    assert state.noise() == pytest.approx(np.sqrt(bread**2 * 0.02) / 0.5)
    assert state.gap() == pytest.approx(2 / 0.5)
    assert newton([[1.0, 2]]).gap() == np.inf


def test_it_has_settled_when_noise_and_gap_are_small():
    schedule = ChainSchedule(noise=0.3)
    near = newton([[0.0, 0], [1.0, 2], [1.1, 2.1]])
    assert near.noise() <= 0.3
    assert near.settled(schedule)
    assert not newton([[0.0, 0], [1.0, 2], [3.0, 2]]).settled(schedule)
    assert not newton([[0.0, 0], [1.0, 2], [1.1, 2.1]], [9.0] * 3).settled(schedule)


def test_information_is_never_below_the_priors():
    state = newton([[0.0, 0]])
    state.batches[0] = replace(state.batches[0], information=np.diag([-3.0, 4.0]))
    assert np.diag(state.information()).tolist() == pytest.approx([1.0, 4.0])
    step = np.diag(state.step_information())
    assert step == pytest.approx([1.0, 4.0])
    trusted = replace(state, trusted=np.diag([0.1, 7.0]))
    assert np.diag(trusted.information()).tolist() == pytest.approx([0.2, 7.0])
    np.testing.assert_array_equal(trusted.step_information(), trusted.information())


def test_steps_are_of_limited_length_and_within_bounds():
    table = people(4, seed=0, sweeps=1).parameters
    objective = Objective(Coordinates.of(table), ())
    one = np.eye(5)
    here = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    batch = GradientEstimate(here, np.array([0.0, -3, 1, 0, 0]), one, one, one)
    assert _newton(objective, batch, one).tolist() == [1, 0, 1, 0, 0]  # `peers` stays at 0
    far = replace(batch, gradient=np.array([-400.0, 0, 0, 0, 0]))
    assert _newton(objective, far, one)[0] == 0.0
    far = replace(batch, gradient=np.array([0.0, 0, 400, 300, 0]))
    assert _newton(objective, far, one) == pytest.approx([1, 0, LONGEST, LONGEST * 0.75, 0])


def test_gains_fall_after_the_newton_rounds():
    schedule = SamplingSchedule(em_rounds=3, newton_rounds=5)
    assert schedule.averaged_from == 8
    assert [schedule.gain(step) for step in (0, 3, 8)] == [1.0, 1.0, 1.0]
    assert schedule.gain(9) == pytest.approx(2**-0.7)
    assert schedule.gain(17) == pytest.approx(10**-0.7)
    assert schedule.free_rounds(1000, 20) == 2
    assert schedule.free_rounds(1, 20) == 10
    assert schedule.free_rounds(40, 20) == 5


def test_rounds_average_what_was_visited():
    state = Rounds(np.array([5.0, 5.0]))
    assert state.average().tolist() == [5.0, 5.0]
    assert state.errors() == (np.inf, np.inf)
    state.visited += [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    state.gradients += [np.array([0.2, 0.9]), np.array([0.6, 0.9])]
    assert state.average().tolist() == [2.0, 3.0]
    scores = np.diag([40.0, 18.0])
    look = Look(0.0, np.zeros(2), np.diag([5.0, 9.0]), np.diag([1.0, 0]), scores, 20)
    state.looks += [
        replace(look, hidden=np.diag([0.5, 0])),
        replace(look, hidden=np.diag([1.5, 0])),
    ]
    np.testing.assert_allclose(state.curvature(), np.diag([4.0, 9.0]))
    size, error = state.errors()
    assert size == pytest.approx(np.sqrt((0.4**2 / 4 + 0.9**2 / 9) / 2))
    assert error == pytest.approx(np.sqrt(40 / 20 / 2 / 4))
    hidden = replace(look, hidden=np.diag([4.99, 0]))
    state.looks[:] = [hidden]
    assert np.diag(state.curvature()) == pytest.approx([0.5, 9.0])  # a tenth of the complete
    assert np.diag(state.left(np.array([2.0, 1.0]))) == pytest.approx([2.0, 9.0])


def test_a_component_is_complete_without_its_auxiliary_atoms():
    evidence = np.array([0, 1, -1], np.int8)
    assert not is_complete(evidence, None)
    assert is_complete(evidence, torch.tensor([False, False, True]))
    assert not is_complete(evidence, torch.tensor([False, True, False]))
    assert is_complete(np.array([1], np.int8), None)


def test_chains_are_fewer_where_a_graph_averages_by_itself():
    graph = instances(5, seed=0).graph
    assert chain_count(graph) == 20
    unit = graph.units[0]
    many = replace(unit, atoms=unit.atoms.repeat(60_000, 1))
    assert chain_count(replace(graph, factors=(*graph.couplings, many))) == 13
    more = replace(unit, atoms=unit.atoms.repeat(400_000, 1))
    assert chain_count(replace(graph, factors=(*graph.couplings, more))) == 8


def test_clusters_of_sampled_components():
    labelled = labelled_components(instances(30, seed=0).hide(0.4, 0))
    part = large(labelled, gibbs_sampler(labelled.clamped), gibbs_sampler(labelled.graph))
    assert part.clusters == labelled.count
    assert not part.complete
    assert (part.known_world()[0] == np.maximum(labelled.evidence, 0)).all()
    worlds = np.random.default_rng(0).integers(2, size=(2, len(labelled.atoms))).astype(np.int8)
    assert part.features(worlds).shape == (2, labelled.count, 8)
    theta = np.zeros(8)
    term = pseudo_likelihood(part.wiring, worlds)
    assert part.scores(term, theta).mean(0).sum(0) == pytest.approx(term(theta)[1])
    known = labelled_components(instances(30, seed=0).hide(0.0, 0))
    assert large(known, gibbs_sampler(known.clamped), gibbs_sampler(known.graph)).complete


def test_solutions_are_ranked_by_their_objective_unless_told_otherwise():
    one = Solution(np.zeros(1), -3.0, -2.0, np.zeros(1), np.eye(1), 1, True)
    assert one.goodness == -3.0
    assert replace(one, rank=0.0).goodness == 0.0
