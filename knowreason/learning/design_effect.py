"""How much less labels tell where they depend on each other: one campaign, one customer.

The likelihood takes labelled components as independent. Where clusters of them share a cause
that no rule speaks of, it is too sure of itself; divided by the design effect its curvature is
as large as whole clusters vouch for (magnitude adjustment of a composite likelihood: Pauli,
Racugno & Ventura 2011; Ribatet, Cooley & Davison 2012, equation 3.4). What a cluster says is
taken against a fit without it (the jackknife of Bell & McCaffrey 2002), or one campaign that
holds most of the labels would vouch for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.learning.objective import LikelihoodTerm

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Ids = NDArray[np.int64]
LEAST = 1e-10  # share of the greatest curvature below which there is none
LEFT = 0.05  # least share of the curvature that is left without a cluster


@dataclass(frozen=True)
class DividedTerm:
    """A likelihood term divided by a design effect."""

    term: LikelihoodTerm
    effect: float

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """Value and gradient (``float64[p]``)."""
        value, gradient = self.term(theta)
        return value / self.effect, gradient / self.effect


def design_effect(
    scores: Matrix,
    information: Matrix,
    precision: Vector,
    of_clusters: NDArray[np.float64] | None = None,
) -> float:
    """Variance of what clusters say over what independent labels would vary by, at least 1.

    Args:
        scores: ``float64[c, f]``, gradient of each cluster's log likelihood at the optimum.
        information: ``float64[f, f]``, minus the Hessian of the log likelihood there.
        precision: ``float64[f]``, of the priors.
        of_clusters: ``float64[c, f, f]``, minus the Hessian of each cluster's; ``None``
            leaves their leverage out.

    Returns:
        ``tr(W J W) / tr(W H W)``, where ``W`` whitens the curvature with the priors (what
        the priors settle anyway counts less) and ``J`` is the covariance of the summed
        scores; 1 where there is one cluster or no curvature.
    """
    clusters = len(scores)
    white = _whitening(information + np.diag(precision))
    independent = float(np.trace(white.T @ information @ white))
    if clusters < 2 or independent <= 0:
        return 1.0
    whitened = scores @ white
    if of_clusters is not None:
        share, turn = np.linalg.eigh(white.T @ of_clusters @ white)
        along = np.einsum("cij,ci->cj", turn, whitened) / np.maximum(1 - share, LEFT)
        whitened = np.einsum("cij,cj->ci", turn, along)
    varied = np.square(whitened - whitened.mean(axis=0)).sum() * clusters / (clusters - 1)
    return float(max(1.0, varied / independent))


def _whitening(curvature: Matrix) -> Matrix:
    """``float64[f, r]`` W with ``W' curvature W`` the identity; directions without any left out."""
    size = np.sqrt(np.maximum(np.diag(curvature), 0.0))
    some = np.flatnonzero(size > np.sqrt(LEAST) * size.max(initial=0.0))
    scaled = curvature[np.ix_(some, some)] / np.outer(size[some], size[some])
    values, vectors = np.linalg.eigh(scaled)
    good = values > LEAST * values.max(initial=0.0)
    white = np.zeros((len(curvature), int(good.sum())))
    white[some] = vectors[:, good] / np.sqrt(values[good]) / size[some][:, None]
    return white


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
