"""What holds of every grounding whose rules are not linear in their weights."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from knowreason.factors.condition import clamp
from knowreason.learning import learn
from knowreason.learning.priors import Coordinates
from knowreason.learning.problem import Problem
from knowreason.testing.oracle import enumerate_worlds


def problem_of(grounding, labels):
    graph, curve = grounding.curved()
    return Problem(graph, grounding.parameters, labels, curve=curve)


def log_likelihood(grounding, labels, theta):
    """Of labels, by all worlds of the tables at ``theta``."""
    graph = grounding.at(torch.from_numpy(theta))
    clamped = enumerate_worlds(clamp(graph, torch.from_numpy(labels)))
    return clamped.log_z - enumerate_worlds(graph).log_z


def assert_same_worlds(grounding, theta):
    """What weights are learned from says of every atom what the tables say, and slopes are those
    of finite differences."""
    graph, curve = grounding.curved()
    slopes = curve(theta)[1].toarray()
    for index in range(len(theta)):
        step = np.zeros(len(theta))
        step[index] = 1e-5
        found = (curve(theta + step)[0] - curve(theta - step)[0]) / 2e-5
        assert slopes[:, index] == pytest.approx(found, abs=1e-5)
    both = torch.from_numpy(np.concatenate([theta, curve(theta)[0]]))
    found = enumerate_worlds(graph.with_theta(both)).marginals.numpy()
    tables = enumerate_worlds(grounding.at(torch.from_numpy(theta))).marginals.numpy()
    assert found == pytest.approx(tables, abs=1e-9)


def assert_gradient(grounding, labels, theta):
    """Value and gradient of the likelihood against differences of enumerated tables."""
    problem = problem_of(grounding, labels)
    table = grounding.parameters
    coordinates = Coordinates.of(table, problem.curve)
    eta = coordinates.eta(theta)
    given, free = (
        enumerate_worlds(graph.with_theta(torch.from_numpy(coordinates.theta(eta))))
        for graph in (clamp(problem.graph, torch.from_numpy(labels)), problem.graph)
    )
    assert given.log_z - free.log_z == pytest.approx(
        log_likelihood(grounding, labels, theta), abs=1e-9
    )
    gradient = coordinates.chain(eta, (given.expectations - free.expectations).numpy())
    for index, slope in zip(coordinates.free, gradient, strict=True):
        ends = []
        for step in (1e-4, -1e-4):
            moved = theta.copy()
            moved[index] += step
            ends.append(log_likelihood(grounding, labels, moved))
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-4, abs=1e-5), table.names[index]


def assert_learns_the_optimum(grounding, labels):
    """A fit ends where a generic optimiser of the enumerated tables does."""
    fit = learn(problem_of(grounding, labels), "likelihood", tolerance=1e-7)
    assert fit.converged
    coordinates = Coordinates.of(grounding.parameters)

    def loss(eta):
        prior, _ = coordinates.log_prior(eta)
        return -log_likelihood(grounding, labels, coordinates.parameters(eta)) - prior

    low, high = coordinates.bounds()
    best = minimize(
        loss,
        np.clip(coordinates.eta(grounding.parameters.start), low, high),
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7},
    )
    assert loss(coordinates.eta(fit.theta)) <= best.fun + 1e-6
    assert coordinates.eta(fit.theta) == pytest.approx(best.x, abs=2e-2)
