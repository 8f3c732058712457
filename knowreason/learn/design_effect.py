"""How much less labels tell where they depend on each other: one campaign, one customer.

The likelihood takes labelled components as independent. Where clusters of them share a cause
that no rule speaks of, it is too sure of itself; divided by the design effect its curvature is
as large as the scores of whole clusters vouch for (magnitude adjustment of a composite
likelihood: Pauli, Racugno & Ventura 2011; Ribatet, Cooley & Davison 2012, equation 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.learn.objective import Term

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Ids = NDArray[np.int64]
LEAST = 1e-8  # share of the greatest curvature below which a direction tells nothing


@dataclass(frozen=True)
class Divided:
    """A likelihood term divided by a design effect."""

    term: Term
    effect: float

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """Value and gradient (``float64[p]``)."""
        value, gradient = self.term(theta)
        return value / self.effect, gradient / self.effect


def design_effect(scores: Matrix, information: Matrix) -> float:
    """Mean over directions of the variance of cluster scores over the curvature, at least 1.

    Args:
        scores: ``float64[c, f]``, gradient of each cluster's log likelihood at the optimum.
        information: ``float64[f, f]``, minus the Hessian of the log likelihood there.

    Returns:
        ``tr(H^-1 J) / rank H`` with ``J`` the covariance of the sum of the scores; 1 where
        there is one cluster or no curvature.
    """
    clusters = len(scores)
    size = np.sqrt(np.maximum(np.diag(information), 0.0))
    told = size > np.sqrt(LEAST) * size.max(initial=0.0)
    if clusters < 2 or not told.any():
        return 1.0
    centred = (scores - scores.mean(axis=0))[:, told] / size[told]
    variance = centred.T @ centred * (clusters / (clusters - 1))
    curvature = information[np.ix_(told, told)] / np.outer(size[told], size[told])
    values, vectors = np.linalg.eigh(curvature)
    good = values > LEAST * values.max()
    along = np.einsum("ij,ik,kj->j", vectors[:, good], variance, vectors[:, good])
    return float(max(1.0, (along / values[good]).mean()))


def clustered(component: Ids, group: Ids) -> Ids:
    """Clusters of components that share a group, and of groups that share a component.

    Args:
        component: ``int64[m]``, component of each atom, from 0.
        group: ``int64[m]``, group of each atom.

    Returns:
        ``int64[m]``: cluster of each atom, from 0.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = int(component.max()) + 1
    node = count + np.unique(group, return_inverse=True)[1]
    size = int(node.max()) + 1
    joined = coo_matrix((np.ones(len(component)), (component, node)), shape=(size, size))
    cluster = connected_components(joined, directed=False)[1][component]
    return np.unique(cluster, return_inverse=True)[1].astype(np.int64)
