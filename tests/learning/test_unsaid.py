"""Where sampled worlds say less than the priors, weights stay at their priors."""

from dataclasses import replace

import numpy as np
import pytest

from knowreason.learning import learn
from knowreason.learning.fit import Solution, summarise
from tests.known_weights import people

TOLD, HALF, NOTHING = 0.01, 0.75, 40.0  # variances, in those of the prior


def _summary(problem, share, eta, converged=True):
    """A sampled solution whose covariance is ``share`` of the priors', parameter by parameter."""
    sd = problem.parameters.prior_sd[problem.parameters.learned]
    solution = Solution(
        eta=np.asarray(eta, float),
        objective=0.0,
        log_likelihood=0.0,
        gradient=np.zeros(len(eta)),
        information=np.diag(1 / (np.asarray(share) * sd**2)),
        iterations=1,
        converged=converged,
        covariance=np.diag(np.asarray(share) * sd**2),
        drawn=True,
    )
    return summarise(problem, [solution])


@pytest.fixture(scope="module")
def problem():
    problem = people(40, seed=0).hide(0.0, 0)
    table = problem.parameters
    sd = np.where(np.isfinite(table.prior_sd) & (table.prior_sd > 0), table.prior_sd, 2.0)
    bounds = {"lower": np.full(len(table), -np.inf), "upper": np.full(len(table), np.inf)}
    plain = {"log_normal": np.zeros(len(table), bool), "learned": np.ones(len(table), bool)}
    return replace(problem, parameters=replace(table, prior_sd=sd, **bounds, **plain))


def test_what_is_told_stays_and_what_is_not_goes_to_the_prior(problem):
    table = problem.parameters
    eta = table.prior_mean + 3.0
    share = np.resize([TOLD, HALF, NOTHING], len(eta))
    fit = _summary(problem, share, eta)
    away = (fit.theta - table.prior_mean) / 3.0
    np.testing.assert_allclose(away[share == TOLD], 1.0)
    np.testing.assert_allclose(away[share == HALF], 1 / HALF - 1)
    np.testing.assert_allclose(away[share == NOTHING], 0.0, atol=1e-9)
    np.testing.assert_allclose(
        fit.standard_errors, np.sqrt(np.minimum(share, 1.0)) * table.prior_sd
    )
    assert "left to the priors" in fit.notes[-1]


def test_nothing_moves_where_all_is_told(problem):
    eta = problem.parameters.prior_mean + 3.0
    fit = _summary(problem, np.full(len(eta), TOLD), eta)
    np.testing.assert_array_equal(fit.theta, eta)
    assert fit.notes == ()


def test_four_labels_among_hundreds_leave_weights_near_their_priors():
    problem = people(150, seed=4).hide(0.0, 4)
    known = np.flatnonzero(problem.labels >= 0)[::75]
    labels = np.full_like(problem.labels, -1)
    labels[known] = problem.labels[known]
    fit = learn(replace(problem, labels=labels), "pseudo_likelihood")
    free = problem.parameters.learned & (problem.parameters.prior_sd > 0)
    sd = problem.parameters.prior_sd[free & ~problem.parameters.log_normal]
    deviation = (fit.theta - problem.parameters.prior_mean)[free & ~problem.parameters.log_normal]
    assert (np.abs(deviation) <= 2.5 * sd).all()
    assert (fit.standard_errors <= problem.parameters.prior_sd * 1.05 + 1e-9)[
        free & ~problem.parameters.log_normal
    ].all()
