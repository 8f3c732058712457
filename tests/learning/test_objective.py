"""The optimiser: within bounds, to the tolerance, and never worse for polishing."""

from dataclasses import replace

import numpy as np
import pytest

from knowreason.learning.design_effect import DividedTerm
from knowreason.learning.objective import Objective, maximise, polish, projected
from knowreason.learning.priors import Coordinates
from tests.learning.test_likelihood import flat_table

TARGET = np.array([3.0, -1.0, 0.5])
CURVATURE = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])


def quadratic(theta):
    gap = theta - TARGET
    return -0.5 * float(gap @ CURVATURE @ gap), -CURVATURE @ gap


def objective(*terms, **changes):
    table = flat_table(3, prior_sd=np.full(3, np.inf), **changes)
    return Objective(Coordinates.of(table), terms or (quadratic,))


def test_terms_and_priors_add_up():
    table = flat_table(3, learned=np.array([True, False, True]), start=np.array([0, 5.0, 0]))
    whole = Objective(Coordinates.of(table), (quadratic, DividedTerm(quadratic, 4.0)))
    eta = np.array([1.0, 2.0])
    value, gradient = whole(eta)
    expected = quadratic(np.array([1.0, 5.0, 2.0]))
    assert value == pytest.approx(1.25 * expected[0] - (1 + 4) / 8)
    assert gradient == pytest.approx(1.25 * expected[1][[0, 2]] - eta / 4)


def test_scales_are_chained():
    whole = objective(log_normal=np.array([False, True, False]), start=np.ones(3))
    eta = np.array([1.0, 0.3, 2.0])
    for index in range(3):
        step = 1e-6 * np.eye(3)[index]
        slope = (whole(eta + step)[0] - whole(eta - step)[0]) / 2e-6
        assert whole(eta)[1][index] == pytest.approx(slope, rel=1e-6)


def test_the_maximum_is_found_and_written_down():
    calls = []
    end = maximise(
        objective(), np.zeros(3), tolerance=1e-6, progress=lambda *step: calls.append(step)
    )
    assert end.eta == pytest.approx(TARGET, abs=1e-6)
    assert end.value == pytest.approx(0, abs=1e-9)
    assert end.converged
    assert end.iterations == len(end.history) == len(calls)
    values = [record["objective"] for record in end.history]
    assert values == sorted(values)
    assert [record["step"] for record in end.history] == list(range(1, len(calls) + 1))
    assert end.history[-1]["gradient"] == pytest.approx(np.abs(end.gradient).max())
    assert end.history[-1]["objective"] == pytest.approx(end.value)


def test_the_maximum_within_bounds():
    """With the first at most 1 the others follow; a point outside is clipped first."""
    whole = objective(upper=np.array([1.0, 9, 9]))
    end = maximise(whole, np.array([5.0, 0, 0]), tolerance=1e-6)
    rest = TARGET[1:] - np.linalg.solve(CURVATURE[1:, 1:], CURVATURE[1:, 0] * (1 - TARGET[0]))
    assert end.eta == pytest.approx([1.0, *rest], abs=1e-5)
    assert end.gradient[0] > 0
    assert end.converged


def test_too_few_steps_are_said():
    end = maximise(objective(), np.full(3, 50.0), tolerance=1e-9, max_iterations=1)
    assert not end.converged
    assert end.iterations == 1


def test_nothing_to_learn():
    end = maximise(objective(learned=np.zeros(3, bool)), np.zeros(0))
    assert (end.iterations, end.converged, end.history) == (0, True, ())
    assert end.value == quadratic(np.zeros(3))[0]


def test_newton_steps_reach_the_maximum_from_nearby():
    whole = objective()
    near = maximise(whole, np.zeros(3), max_iterations=1, tolerance=1e-9)
    end = polish(whole, near, CURVATURE, 1e-9)
    assert end.eta == pytest.approx(TARGET, abs=1e-9)
    assert end.converged
    assert end.value >= near.value
    assert end.iterations == near.iterations + 1
    assert end.history[-1]["step"] == len(end.history) == len(near.history) + 1


def test_newton_steps_stay_within_bounds():
    whole = objective(upper=np.array([1.0, 9, 9]))
    near = maximise(whole, np.zeros(3), max_iterations=1, tolerance=1e-9)
    end = polish(whole, near, CURVATURE, 1e-8)
    assert end.eta[0] == 1.0
    assert end.converged
    assert np.abs(end.gradient[1:]).max() < 1e-7


@pytest.mark.parametrize("factor", [0.2, 5.0, -1.0])
def test_wrong_curvature_is_mended_on_the_way(factor):
    """Of the wrong size or sign, it throws the first step too far or the wrong way."""
    whole = objective(upper=np.array([1.0, 9, 9]))
    near = maximise(whole, np.zeros(3), max_iterations=1, tolerance=1e-9)
    end = polish(whole, near, CURVATURE * factor, 1e-8, 30, rising=True)
    rest = TARGET[1:] - np.linalg.solve(CURVATURE[1:, 1:], CURVATURE[1:, 0] * (1 - TARGET[0]))
    assert end.eta == pytest.approx([1.0, *rest], abs=1e-7)
    assert end.converged
    values = [record["objective"] for record in end.history]
    assert values == sorted(values)


def test_steps_that_do_not_help_are_not_taken():
    """Curvature of the wrong size or sign throws the step too far."""
    whole = objective()
    near = maximise(whole, np.zeros(3), max_iterations=1, tolerance=1e-9)
    for wrong in (CURVATURE * 0.2, -CURVATURE):
        end = polish(whole, near, wrong, 1e-9)
        np.testing.assert_array_equal(end.eta, near.eta)
        assert not end.converged
    wall = replace(whole, terms=(lambda theta: (-np.inf, np.full(3, np.nan)),))
    assert polish(wall, near, CURVATURE, 1e-9, rising=True).eta is near.eta
    exact = replace(near, eta=TARGET, gradient=np.zeros(3), converged=False)
    assert polish(whole, exact, -CURVATURE, 1e-9).converged


def test_a_step_over_a_bound_goes_on_along_it():
    """One step of the right curvature: what is held at its bound changes where the rest goes."""
    whole = objective(upper=np.array([1.0, 9, 9]))
    here = replace(maximise(whole, np.zeros(3), max_iterations=1), eta=np.zeros(3))
    value, gradient = whole(np.zeros(3))
    here = replace(here, value=value, gradient=gradient)
    end = polish(whole, here, CURVATURE, 1e-9, rising=True)
    assert end.iterations == here.iterations + 1
    assert end.converged


def test_gradients_that_leave_the_bounds_are_zero():
    eta, low, high = np.array([0.0, 0, 1, 1, 0.5]), np.zeros(5), np.ones(5)
    gradient = np.array([-2.0, 3, 4, -5, 6])
    assert projected(eta, gradient, low, high).tolist() == [0, 3, 0, -5, 6]


def test_one_parameter_is_learned_like_many():
    whole = objective(learned=np.array([False, True, False]), start=np.array([3.0, 0.0, 0.5]))
    end = maximise(whole, np.zeros(1), tolerance=1e-6)
    assert end.eta == pytest.approx(TARGET[1:2], abs=1e-6)
    assert end.converged


def test_a_flat_direction_is_not_followed_beyond_all_numbers(recwarn):
    """A scale is an exponential of its coordinate: a step of a thousand would overflow."""
    whole = objective(log_normal=np.array([True, False, False]), start=np.ones(3))
    value, gradient = whole(np.zeros(3))
    assert gradient[0] > 0
    flat = np.diag([1e-6 * gradient[0], 3.0, 2.0])
    near = maximise(whole, np.zeros(3), max_iterations=1)
    here = replace(near, eta=np.zeros(3), value=value, gradient=gradient)
    found = polish(whole, here, flat, 1e-3)
    assert np.isfinite(found.eta).all()
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]
