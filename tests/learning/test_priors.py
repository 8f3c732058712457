"""Coordinates, priors, bounds, and where learning starts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from knowreason.factors import Blocks, FactorGraph, GroundFactors
from knowreason.learning import Problem
from knowreason.learning.fit import STARTS, starts
from knowreason.learning.priors import SMALLEST_SCALE, Coordinates, start_values
from tests.known_weights import instances
from tests.learning.test_likelihood import flat_table


@pytest.fixture
def coordinates():
    """A weight, a given weight, a scale, a flat prior, a weight of at least -1."""
    return Coordinates.of(
        flat_table(
            5,
            start=np.array([2.0, 0.7, 1.0, 0.0, 0.0]),
            prior_mean=np.array([2.0, 0.0, 0.1, 0.0, -0.5]),
            prior_sd=np.array([1.5, 2.0, 0.5, np.inf, 2.0]),
            lower=np.array([0.0, -np.inf, 0.0, -np.inf, -1.0]),
            upper=np.array([9.0, np.inf, 3.0, np.inf, np.inf]),
            learned=np.array([True, False, True, True, True]),
            log_normal=np.array([False, False, True, False, False]),
        )
    )


def test_there_and_back(coordinates):
    theta = np.array([1.0, 0.7, 2.5, -3.0, 0.5])
    eta = coordinates.eta(theta)
    assert eta == pytest.approx([1.0, np.log(2.5), -3.0, 0.5])
    np.testing.assert_allclose(coordinates.theta(eta), theta)
    moved = coordinates.theta(coordinates.eta(np.array([1.0, 9.0, 2.5, -3.0, 0.5])))
    assert moved[1] == 0.7  # given: whatever is asked
    assert coordinates.eta(np.array([0, 0, 0.0, 0, 0]))[1] == np.log(SMALLEST_SCALE)


def test_slope_is_the_derivative(coordinates):
    eta = np.array([1.0, 0.4, -3.0, 0.5])
    for index in range(4):
        step = 1e-6 * np.eye(4)[index]
        change = (coordinates.theta(eta + step) - coordinates.theta(eta - step)) / 2e-6
        assert change[coordinates.free[index]] == pytest.approx(coordinates.slope(eta)[index])
        assert np.count_nonzero(change) == 1


def test_bounds_are_those_of_theta(coordinates):
    low, high = coordinates.bounds()
    assert low == pytest.approx([0.0, np.log(SMALLEST_SCALE), -np.inf, -1.0])
    assert high == pytest.approx([9.0, np.log(3.0), np.inf, np.inf])


def test_log_prior_is_a_normal_density_of_eta(coordinates):
    eta = np.array([1.0, 0.4, -3.0, 0.5])
    value, gradient = coordinates.log_prior(eta)
    mean, sd = np.array([2.0, 0.1, -0.5]), np.array([1.5, 0.5, 2.0])
    known = [0, 1, 3]
    expected = norm.logpdf(eta[known], mean, sd) - norm.logpdf(mean, mean, sd)
    assert value == pytest.approx(expected.sum())
    assert gradient[known] == pytest.approx(-(eta[known] - mean) / sd**2)
    assert gradient[2] == 0
    assert coordinates.precision() == pytest.approx([1 / 2.25, 4, 0, 1 / 4])


def biased(labels, blocks=None, **changes):
    """One bias an atom kind: atoms 0-2 have kinds a, b, c, atoms 3-5 again ..."""
    n = len(labels)
    kinds = torch.arange(n, dtype=torch.int32) % 3
    graph = FactorGraph(
        log_odds=torch.zeros(n),
        theta=torch.zeros(3, dtype=torch.float64),
        evidence=torch.full((n,), -1, dtype=torch.int8),
        factors=(GroundFactors.units(torch.arange(n, dtype=torch.int32), kinds),),
        blocks=blocks or Blocks.none(),
    )
    names = tuple(f"bias S[{letter}]" for letter in "abc")
    table = flat_table(3, names=names, kinds=("bias",) * 3, **changes)
    return Problem(graph, table, np.array(labels, np.int8))


def test_biases_start_at_the_log_odds_of_their_labels():
    problem = biased([1, 0, -1, 1, 0, -1, 0, 0, -1])
    rate = np.array([(2 + 0.5) / 4, 0.5 / 4])
    assert start_values(problem)[:2] == pytest.approx(np.log(rate / (1 - rate)))
    assert start_values(problem)[2] == 0  # no label: where the table starts
    given = replace(problem.parameters, learned=np.array([False, True, True]))
    assert start_values(replace(problem, parameters=given))[0] == 0
    rules = replace(problem.parameters, kinds=("rule", "bias", "bias"))
    assert start_values(replace(problem, parameters=rules))[0] == 0


def test_starts_stay_within_bounds():
    problem = biased([1, 0, -1, 1, 0, -1], upper=np.array([0.5, 9, 9]), lower=np.full(3, -1.0))
    assert start_values(problem).tolist() == [0.5, -1.0, 0.0]


@pytest.mark.parametrize("at_most_one", [False, True])
def test_biases_of_states_start_at_their_shares(at_most_one):
    """Six settings of three values: 3, 1 and no labels true, two settings without any."""
    world = np.zeros((6, 3), int)
    world[[0, 1, 2], 0] = 1
    world[3, 1] = 1
    if not at_most_one:
        world[4:, 1] = 1
    blocks = Blocks(
        torch.arange(0, 19, 3),
        torch.arange(18, dtype=torch.int32),
        torch.full((6,), at_most_one),
    )
    start = start_values(biased(world.ravel(), blocks))
    rate = (world.sum(0) + 0.5) / 7
    if at_most_one:
        expected = np.log(rate) - np.log(max(1 - rate.sum(), 0.5 / 7))
    else:
        expected = np.log(rate) - np.log(rate).mean()
    assert start == pytest.approx(expected)


def test_one_start_without_latent_rules_and_three_with():
    problem = instances(20, seed=0).hide(0.0, 0)
    (only,) = starts(problem, seed=0)
    np.testing.assert_array_equal(only, start_values(problem))
    latent = np.array([True, False, False, True] + [False] * 4)
    problem = replace(problem, latent_rules=latent)
    found = starts(problem, seed=0)
    assert len(found) == STARTS == 3
    np.testing.assert_array_equal(found[0], start_values(problem))
    for other in found[1:]:
        assert (other[~latent] == found[0][~latent]).all()
        assert (other[latent] != found[0][latent]).all()
        assert (other >= problem.parameters.lower).all()
    assert (found[1][latent] != found[2][latent]).all()
    np.testing.assert_array_equal(found[1], starts(problem, seed=0)[1])
    assert (found[1][latent] != starts(problem, seed=1)[1][latent]).all()


def test_starts_lie_as_far_apart_as_the_priors_are_wide():
    problem = replace(instances(5, seed=0).hide(0.0, 0), latent_rules=np.arange(8) == 3)
    table = problem.parameters
    gaps = {}
    for sd in (0.01, 2.0, np.inf):
        wide = np.where(np.arange(8) == 3, sd, table.prior_sd)
        some = replace(problem, parameters=replace(table, prior_sd=wide))
        gaps[sd] = np.abs(np.diff([s[3] for s in starts(some, 0)])).max()
    assert gaps[0.01] == pytest.approx(gaps[2.0] / 200)
    assert gaps[np.inf] == pytest.approx(gaps[2.0])


def test_a_given_parameter_of_a_latent_rule_is_not_latent():
    problem = replace(instances(5, seed=0).hide(0.0, 0), latent_rules=np.arange(8) < 2)
    table = replace(problem.parameters, learned=np.arange(8) != 1)
    assert replace(problem, parameters=table).latent.tolist() == [True] + [False] * 7
    assert not replace(problem, latent_rules=None).latent.any()
