"""Fits at strong couplings end where expected features with labels and without agree."""

from dataclasses import replace

import numpy as np
import pytest

from knowreason.inference.gcn.gcn_fitting import GcnRecipe
from knowreason.learning.estimators import moment_matching
from knowreason.learning.estimators.chains import (
    ChainSchedule,
    feature_chains,
    gradient_estimate,
)
from knowreason.learning.estimators.estimators import ESTIMATORS, EstimationTask
from knowreason.learning.estimators.exact_likelihood import exact_likelihood
from knowreason.learning.estimators.moment_matching import matched, moment_gaps
from knowreason.learning.fit import Solution
from knowreason.learning.labelled_components import labelled_components
from knowreason.learning.objective import Objective
from tests.known_weights import instances, torus

QUICK = GcnRecipe(batches=2, cut_outs=8, held_out=8, steps=20)


def near_critical(seed):
    problem = torus(5, 8, seed=seed, coupling=0.8).hide(0.5, seed)
    return EstimationTask(problem, labelled_components(problem), recipe=QUICK)


def solution(eta):
    size = len(eta)
    return Solution(np.asarray(eta), 0.0, 0.0, np.zeros(size), np.eye(size), 1, True)


@pytest.mark.parametrize("name", ["pseudo_likelihood", "gibbs", "gcn", "composite"])
def test_estimators_end_near_the_exact_fit(name):
    """Pseudo-likelihood alone ends up to seven standard errors away."""
    gaps = []
    for seed in range(2 if name == "gcn" else 4):  # a network is fitted each time
        task = near_critical(seed)
        (found,) = ESTIMATORS[name](task).solutions
        (exact,) = ESTIMATORS["exact"](task).solutions
        deviation = np.sqrt(np.diag(np.linalg.inv(exact.information)))
        gaps.append((found.eta - exact.eta) / deviation)
    assert np.abs(gaps).max() < 1.7


@pytest.mark.parametrize("away", [(1.2, 0.3), (-0.5, 1.0)])
def test_a_wrong_estimate_is_moved_to_the_maximum_with_its_errors(away):
    task = near_critical(1)
    (exact,) = ESTIMATORS["exact"](task).solutions
    wrong = solution(exact.eta + np.array(away))
    moved = matched(task.objective, task.served, wrong, seed=0)
    errors = np.sqrt(np.diag(np.linalg.inv(exact.information)))
    assert np.abs((moved.eta - exact.eta) / errors).max() < 0.5
    ratio = np.sqrt(np.diag(moved.covariance)) / errors
    assert (ratio > 0.75).all()
    assert (ratio < 1.5).all()
    assert moved.converged
    assert "moments did not match" in moved.notes[-1]


def test_the_maximum_stays_where_it_is():
    task = near_critical(2)
    (exact,) = ESTIMATORS["exact"](task).solutions
    assert matched(task.objective, task.served, exact, seed=0) is exact


def test_gaps_are_newton_steps_beyond_the_noise_of_sampling():
    problem = instances(300, seed=0).hide(0.3, 0)
    labelled = labelled_components(problem)
    objective = EstimationTask(problem, labelled).objective
    whole = Objective(objective.coordinates, (exact_likelihood(labelled),))
    eta = objective.coordinates.eta(np.array([0.5, 1.0, 1.5, 0.0, 0.0, 0.0, 0.0, 1.0]))
    plan = ChainSchedule()
    sides = feature_chains(labelled, objective.coordinates.theta(eta), 0, plan)
    exact = np.diag(objective.coordinates.precision())
    batch = gradient_estimate(objective, sides, eta, exact, plan)
    batch = replace(batch, gradient=whole(eta)[1], error=np.zeros_like(batch.error))
    bread = np.linalg.inv(batch.information)
    expected = np.abs(bread @ batch.gradient) / np.sqrt(np.diag(bread))
    assert moment_gaps(objective, batch) == pytest.approx(expected, rel=1e-6)
    loud = replace(batch, error=np.eye(8) * 1e9)
    assert (moment_gaps(objective, loud) == 0).all()
    held = replace(batch, eta=np.where(np.arange(8) == 0, 0.0, eta), gradient=-np.ones(8))
    assert moment_gaps(objective, held)[0] == 0


def test_moments_that_never_match_are_said(monkeypatch):
    monkeypatch.setattr(moment_matching, "BATCHES", 1)
    task = near_critical(1)
    wrong = solution(task.objective.coordinates.eta(np.array([4.0, 3.0])))
    moved = matched(task.objective, task.served, wrong, seed=0)
    assert not moved.converged
    assert "moments do not match (`" in moved.notes[-1]
