"""How sure a fit is: observed information, sandwich, and the edge of the bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix, identity
from scipy.stats import truncnorm

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
PART = 1e-6  # least squared share of a parameter in a direction
LARGE = 200  # parameters from which curvatures are factored before they are decomposed
FEW = 40  # coordinates that are moved one by one, and ties of one that is not tied to most
STEP = 1e-4  # of finite differences: a relative error of about 1e-4


def observed_information(
    objective: Callable[[Vector], tuple[float, Vector]],
    eta: Vector,
    gradient: Vector | None = None,
    tied: csr_matrix | None = None,
) -> Matrix:
    """``float64[f, f]``: minus the derivative of the gradient, by forward differences.

    Args:
        objective: value and gradient at ``eta``.
        eta: ``float64[f]``.
        gradient: ``float64[f]`` at ``eta``, worked out where it is not given.
        tied: sparse ``[f, f]``, symmetric: which coordinates occur together; all by default.
            Those that change nothing in common are moved at once (Curtis, Powell & Reid 1974).
    """
    size = len(eta)
    here = objective(eta)[1] if gradient is None else gradient
    hessian = np.zeros((size, size))
    steps = STEP * np.maximum(1.0, np.abs(eta))
    together, everywhere = moved_together(tied, size)
    for chosen in together:
        ahead = eta.copy()
        ahead[chosen] += steps[chosen]
        bent = objective(ahead)[1] - here
        for index in chosen.tolist():
            if tied is None or everywhere[index]:
                hessian[index] = bent / steps[index]
            else:
                own = tied.indices[tied.indptr[index] : tied.indptr[index + 1]]
                hessian[index, own] = bent[own] / steps[index]
    # what moves everywhere is known from its own step alone
    hessian[np.ix_(~everywhere, everywhere)] = hessian[np.ix_(everywhere, ~everywhere)].T
    return -(hessian + hessian.T) / 2


def moved_together(
    tied: csr_matrix | None, size: int
) -> tuple[list[NDArray[np.int64]], NDArray[np.bool_]]:
    """Coordinates to be moved at once, and which are tied to so many that each moves alone.

    Two may move at once where they are not tied, and nothing but these is tied to both (Powell &
    Toint 1979).
    """
    alone = np.ones(size, np.bool_)
    if tied is None or size <= FEW:
        return [np.array([index]) for index in range(size)], alone
    pattern = (tied != 0).astype(np.int64).tocsr()
    degree = np.asarray(pattern.sum(axis=1)).ravel()
    alone = degree > max(FEW, np.sqrt(size))
    inner = pattern[~alone][:, ~alone] + identity(int((~alone).sum()), np.int64, "csr")
    conflicts = (inner @ inner).tocsr()
    colour = np.full(inner.shape[0], -1)
    for index in np.argsort(-np.diff(conflicts.indptr), kind="stable").tolist():
        near = conflicts.indices[conflicts.indptr[index] : conflicts.indptr[index + 1]]
        taken = colour[near]
        colour[index] = int(np.setdiff1d(np.arange(len(near) + 1), taken)[0])
    members, others = np.flatnonzero(~alone), np.flatnonzero(alone)
    groups = [members[colour == one] for one in range(int(colour.max(initial=-1)) + 1)]
    return [*(np.array([index]) for index in others.tolist()), *groups], alone


def inverse(information: Matrix) -> Matrix:
    """Inverse of a symmetric matrix, with curvatures that are not positive left out.

    A direction without curvature gets the variance of the weakest one that has some, times
    10^4: visibly unknown, never negative.
    """
    if information.size == 0:
        return information.copy()
    if _curved_everywhere(information):
        factor = cho_factor((information + information.T) / 2, lower=True)
        return np.asarray(cho_solve(factor, np.eye(len(information))), np.float64)
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
    if _curved_everywhere(information):
        return np.zeros(len(information), np.bool_)
    values, vectors = np.linalg.eigh((information + information.T) / 2)
    flat = vectors[:, ~_curved(values)]
    return np.asarray(np.square(flat).sum(axis=1) > PART)


def _curved_everywhere(information: Matrix) -> bool:
    """Whether a large matrix has no eigenvalue that :func:`_curved` would call rounding.

    A factor of Cholesky tells, in a fraction of the time that eigenvectors take.
    """
    if len(information) < LARGE:
        return False
    symmetric = (information + information.T) / 2
    most = float(np.abs(symmetric).sum(axis=1).max())  # no eigenvalue is greater
    symmetric[np.diag_indices_from(symmetric)] -= 1e-10 * max(1.0, most)
    try:
        cho_factor(symmetric, lower=True, overwrite_a=True)
    except np.linalg.LinAlgError:
        return False
    return True


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
