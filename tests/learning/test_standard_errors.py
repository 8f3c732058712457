"""Curvature, its inverse, and the spread of a posterior cut off by a bound."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.sparse import csr_matrix

from knowreason.learning import standard_errors
from knowreason.learning.standard_errors import (
    at_least,
    edge_deviation,
    inverse,
    inverse_of_any,
    moved_together,
    observed_information,
    without_curvature,
)


def quartic(eta):
    """A function whose Hessian is known: ``-(x^2 + x y + 2 y^2 + x^4)``."""
    x, y = eta
    value = -(x**2 + x * y + 2 * y**2 + x**4)
    return value, np.array([-2 * x - y - 4 * x**3, -x - 4 * y])


@pytest.mark.parametrize("eta", [(0.0, 0.0), (0.5, -1.0), (-30.0, 2.0)])
def test_observed_information_is_minus_the_hessian(eta):
    point = np.array(eta)
    expected = np.array([[2 + 12 * point[0] ** 2, 1], [1, 4]])
    found = observed_information(quartic, point)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(found, found.T)
    again = observed_information(quartic, point, quartic(point)[1])
    np.testing.assert_array_equal(found, again)


def test_a_given_gradient_is_used():
    point = np.array([1.0, 1.0])
    shifted = observed_information(quartic, point, quartic(point)[1] + 1e-4)
    assert not np.allclose(shifted, observed_information(quartic, point), atol=0.1)


def test_inverse_of_what_is_curved_everywhere():
    matrix = np.array([[4.0, 1.0], [1.0, 3.0]])
    np.testing.assert_allclose(inverse(matrix), np.linalg.inv(matrix))
    assert inverse(np.zeros((0, 0))).shape == (0, 0)
    half = np.array([[4.0, 1.4], [0.6, 3.0]])  # rounding: the symmetric part counts
    np.testing.assert_allclose(inverse(half), np.linalg.inv(matrix))


def test_a_direction_without_curvature_is_visibly_unknown():
    """Along (1, -1) there is none: its variance is 10^4 times the greatest other one."""
    one = np.array([[2.0, 2.0], [2.0, 2.0]])  # curvature 4 along (1, 1)
    variance = inverse(one)
    along, across = np.array([1, 1]) / 2**0.5, np.array([1, -1]) / 2**0.5
    assert along @ variance @ along == pytest.approx(1 / 4)
    assert across @ variance @ across == pytest.approx(1e4 / 4)
    negative = np.diag([2.0, -3.0])
    assert np.diag(inverse(negative)) == pytest.approx([0.5, 5e3])
    assert np.diag(inverse(np.zeros((2, 2)))) == pytest.approx([1e4, 1e4])
    tiny = np.diag([1e3, 1e-6])  # small, yet more than rounding
    assert np.diag(inverse(tiny)) == pytest.approx([1e-3, 1e6])
    rounding = np.diag([1e3, 1e-8])
    assert inverse(rounding)[1, 1] == pytest.approx(1e4 / 1e3)


def test_without_curvature_names_what_has_a_part_in_it():
    assert without_curvature(np.diag([1.0, 0.0, 2.0])).tolist() == [False, True, False]
    assert without_curvature(np.ones((2, 2))).tolist() == [True, True]
    assert without_curvature(np.diag([1.0, 1e-3])).tolist() == [False, False]
    assert without_curvature(np.zeros((0, 0))).shape == (0,)
    nearly = np.array([1.0, 1e-4]) / np.hypot(1, 1e-4)  # a part of 10^-8: rounding
    flat = np.outer([-nearly[1], nearly[0]], [-nearly[1], nearly[0]])
    assert without_curvature(flat).tolist() == [True, False]


def test_inverse_of_any_keeps_what_is_not_symmetric():
    matrix = np.array([[3.0, 1.0], [-1.0, 2.0]])
    np.testing.assert_allclose(inverse_of_any(matrix) @ matrix, np.eye(2), atol=1e-12)
    assert np.diag(inverse_of_any(np.diag([2.0, 0.0]))) == pytest.approx([0.5, 5e3])


@pytest.mark.parametrize(("slope", "curvature"), [(0.0, 4.0), (1.0, 4.0), (3.0, 1.0), (30.0, 1.0)])
def test_spread_at_a_bound_is_that_of_the_density_that_falls_from_it(slope, curvature):
    def density(x):
        return np.exp(-slope * x - curvature * x**2 / 2)

    total, first, second = (
        quad(lambda x, p=power: x**p * density(x), 0, np.inf)[0] for power in range(3)
    )
    expected = np.sqrt(second / total - (first / total) ** 2)
    assert edge_deviation(slope, curvature) == pytest.approx(expected, rel=4e-3)


def test_spread_at_a_bound_without_curvature():
    assert edge_deviation(5.0, 0.0) == pytest.approx(0.2)
    assert edge_deviation(5.0, -1.0) == pytest.approx(0.2)


def test_at_least_is_a_share_of_the_reference_in_every_direction():
    reference = np.array([[4.0, 1.0], [1.0, 3.0]])
    matrix = np.array([[5.0, 0.0], [0.0, -1.0]])
    raised = at_least(matrix, reference, 0.25)
    assert np.linalg.eigvalsh(raised - 0.25 * reference).min() > -1e-9
    whitened = np.linalg.eigvals(np.linalg.solve(reference, raised)).real.min()
    assert whitened == pytest.approx(0.25)
    np.testing.assert_allclose(at_least(reference, reference, 1.0), reference)
    assert at_least(np.zeros((0, 0)), np.zeros((0, 0)), 1.0).shape == (0, 0)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_at_least_does_not_depend_on_units(scale):
    reference = np.array([[4.0, 1.0], [1.0, 3.0]])
    matrix = np.array([[5.0, 0.0], [0.0, -1.0]])
    raised = at_least(scale * matrix, scale * reference, 0.25)
    np.testing.assert_allclose(raised, scale * at_least(matrix, reference, 0.25))


def blocks(size, seed):
    """Minus a quadratic of small blocks and one coordinate tied to all, and which are tied."""
    rng = np.random.default_rng(seed)
    tied = np.eye(size, dtype=bool)
    for _ in range(size):
        chosen = rng.integers(1, size, 2)
        tied[np.ix_(chosen, chosen)] = True
    tied[0] = tied[:, 0] = True
    curvature = np.where(tied, rng.standard_normal((size, size)), 0)
    curvature = curvature + curvature.T + size * np.eye(size)

    def value(eta):
        value.calls += 1
        return -0.5 * float(eta @ curvature @ eta), -curvature @ eta

    value.calls = 0
    return curvature, csr_matrix(tied.astype(float)), value


def test_coordinates_with_nothing_in_common_are_moved_at_once():
    curvature, tied, value = blocks(300, 0)
    eta = np.random.default_rng(1).standard_normal(300)
    found = observed_information(value, eta, tied=tied)
    np.testing.assert_allclose(found, curvature, atol=1e-6)
    assert value.calls < 60
    np.testing.assert_allclose(found, observed_information(value, eta), atol=1e-6)


def test_every_coordinate_is_moved_once():
    _, tied, _ = blocks(300, 2)
    groups, alone = moved_together(tied, 300)
    assert np.sort(np.concatenate(groups)).tolist() == list(range(300))
    assert np.flatnonzero(alone).tolist() == [0]


def test_large_curvatures_are_inverted_as_small_ones(monkeypatch):
    draw = np.random.default_rng(0)
    size = standard_errors.LARGE + 20
    arrow = np.diag(0.5 + draw.random(size))
    arrow[0, 1:] = arrow[1:, 0] = 0.02 * draw.random(size - 1)
    flat = arrow.copy()
    flat[7] = flat[:, 7] = 0
    found = [(inverse(matrix), without_curvature(matrix)) for matrix in (arrow, flat)]
    monkeypatch.setattr(standard_errors, "LARGE", 10**9)
    for (covariance, unseen), matrix in zip(found, (arrow, flat), strict=True):
        assert np.allclose(covariance, inverse(matrix), rtol=1e-9)
        assert np.array_equal(unseen, without_curvature(matrix))
    assert found[1][1].sum() == 1
