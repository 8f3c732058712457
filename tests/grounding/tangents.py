"""What holds of every grounding whose rules are not linear in their weights."""

import numpy as np
import pytest
import torch

from knowreason.factors.condition import clamp
from knowreason.learning import learn
from knowreason.learning.problem import Problem
from knowreason.reasoner.tangent_rounds import settled
from knowreason.testing.oracle import enumerate_worlds


def likelihood(grounding, theta, labels):
    """Worlds that agree with the labels, and all worlds, at some weights."""
    graph = grounding.at(torch.from_numpy(theta))
    return enumerate_worlds(clamp(graph, torch.from_numpy(labels))), enumerate_worlds(graph)


def assert_learning_settles(grounding, labels, tolerance):
    """A fit ends where the gradient of the tables themselves balances the priors."""

    def at(theta):
        graph = grounding.at(torch.from_numpy(theta))
        return learn(Problem(graph, grounding.parameters, labels), "likelihood", tolerance=1e-6)

    start = grounding.graph.theta.numpy()
    fit = settled(at, start, at(start))
    assert not any("settled" in note for note in fit.notes)
    table = grounding.parameters
    clamped, free = likelihood(grounding, fit.theta, labels)
    gradient = (clamped.expectations - free.expectations).numpy()
    learned = np.flatnonzero(table.learned)
    pull = (fit.theta - table.prior_mean)[learned] / table.prior_sd[learned] ** 2
    assert gradient[learned] == pytest.approx(pull, abs=tolerance)
