"""How sure a fit is: observed information, sandwich, and the edge of the bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import truncnorm

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
PART = 1e-6  # least squared share of a parameter in a direction
STEP = 1e-4  # of finite differences: a relative error of about 1e-4


def observed_information(
    objective: Callable[[Vector], tuple[float, Vector]], eta: Vector, gradient: Vector | None = None
) -> Matrix:
    """``float64[f, f]``: minus the derivative of the gradient, by forward differences.

    Args:
        objective: value and gradient at ``eta``.
        eta: ``float64[f]``.
        gradient: ``float64[f]`` at ``eta``, worked out where it is not given.
    """
    size = len(eta)
    here = objective(eta)[1] if gradient is None else gradient
    hessian = np.zeros((size, size))
    for index in range(size):
        step = STEP * max(1.0, abs(float(eta[index])))
        ahead = eta.copy()
        ahead[index] += step
        hessian[index] = (objective(ahead)[1] - here) / step
    return -(hessian + hessian.T) / 2


def inverse(information: Matrix) -> Matrix:
    """Inverse of a symmetric matrix, with curvatures that are not positive left out.

    A direction without curvature gets the variance of the weakest one that has some, times
    10^4: visibly unknown, never negative.
    """
    if information.size == 0:
        return information.copy()
    values, vectors = np.linalg.eigh((information + information.T) / 2)
    good = _curved(values)
    weakest = float(values[good].min()) if good.any() else 1.0
    values = np.where(good, values, weakest * 1e-4)
    covariance: Matrix = (vectors / values) @ vectors.T
    return covariance


def inverse_of_any(curvature: Matrix) -> Matrix:
    """Inverse of a curvature that need not be symmetric; of a singular one as :func:`inverse`."""
    try:
        return np.asarray(np.linalg.inv(curvature), dtype=np.float64)
    except np.linalg.LinAlgError:
        return inverse(curvature)


def without_curvature(information: Matrix) -> NDArray[np.bool_]:
    """``bool[f]``: parameters that have a part in a direction without curvature.

    Neither data nor priors say anything about them, so they have no standard error.
    """
    if information.size == 0:
        return np.zeros(0, dtype=np.bool_)
    values, vectors = np.linalg.eigh((information + information.T) / 2)
    flat = vectors[:, ~_curved(values)]
    return np.asarray(np.square(flat).sum(axis=1) > PART)


def _curved(values: Vector) -> NDArray[np.bool_]:
    """``bool[f]``: eigenvalues of a curvature that are more than rounding."""
    return values > 1e-10 * max(1.0, float(values.max(initial=0.0)))


def edge_deviation(slope: float, curvature: float) -> float:
    """Standard deviation of a log-concave density that falls from its bound.

    Args:
        slope: size of the gradient towards the bound.
        curvature: minus the second derivative.
    """
    curvature = max(curvature, 1e-12)
    start = slope / np.sqrt(curvature)
    if start > 20:
        return float(1.0 / slope)
    return float(truncnorm.std(start, np.inf) / np.sqrt(curvature))


def at_least(matrix: Matrix, reference: Matrix, share: float) -> Matrix:
    """``matrix`` with no direction below ``share`` of ``reference`` (both ``float64[f, f]``)."""
    if not matrix.size:
        return matrix
    values, vectors = np.linalg.eigh(reference)
    root = vectors * np.sqrt(np.maximum(values, 1e-12))
    back = vectors / np.sqrt(np.maximum(values, 1e-12))
    whitened, turn = np.linalg.eigh(back.T @ matrix @ back)
    raised: Matrix = root @ (turn * np.maximum(whitened, share)) @ turn.T @ root.T
    return raised
