"""Bootstrap of the weights against refits, and what it falls back to."""

import numpy as np
import pytest

from knowreason.learning import bootstrap, learn
from tests.known_weights import instances, people


def test_intervals_agree_with_standard_errors():
    world = instances(2000, seed=0)
    problem = world.hide(0.3, 0)
    fit = learn(problem)
    found = bootstrap(problem, fit, replicates=400, seed=1)
    assert found.clusters > 1500
    assert found.theta.std(0) == pytest.approx(fit.standard_errors, rel=0.25)
    assert (found.lower < fit.theta).all()
    assert (fit.theta < found.upper).all()


def test_a_replicate_is_close_to_a_refit():
    """Doubling half the components, by one step and by learning again."""
    world = instances(1500, seed=3)
    problem = world.hide(0.0, 3)
    fit = learn(problem)
    groups = np.tile(np.arange(1500) % 2, 4)
    found = bootstrap(problem, fit, groups=groups, replicates=60, seed=2)
    assert found.clusters == 2
    assert found.notes
    labels = np.where(groups == 0, problem.labels, -1).astype(np.int8)
    half = learn(type(problem)(problem.graph, problem.parameters, labels))
    gap = np.abs(found.theta - half.theta).max(1).min()
    assert gap < 0.25 * fit.standard_errors.max()


def test_groups_join_components():
    problem = instances(300, seed=1).hide(0.0, 1)
    fit = learn(problem)
    found = bootstrap(problem, fit, groups=np.tile(np.arange(300) // 10, 4))
    assert found.clusters == 30


def test_large_components_draw_from_the_normal_approximation():
    problem = people(120, seed=0).hide(0.0, 0)
    fit = learn(problem)
    found = bootstrap(problem, fit, replicates=300)
    assert found.clusters == 0
    assert "normal" in found.notes[0]
    assert (found.theta[:, 0] >= 0).all()


def test_same_seed_same_replicates():
    problem = instances(200, seed=1).hide(0.0, 1)
    fit = learn(problem)
    one, other = bootstrap(problem, fit, seed=4), bootstrap(problem, fit, seed=4)
    assert (one.theta == other.theta).all()
