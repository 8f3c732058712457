"""Means over the atoms that share a ground factor or an unknown with an atom."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from knowreason.factors.atom_table import AtomSpan
from knowreason.factors.factor_graph import FactorGraph


def neighbour_means(
    graph: FactorGraph,
    span: AtomSpan,
    values: NDArray[np.float64],
    views: Iterable[AtomSpan] = (),
) -> NDArray[np.float64]:
    """``float64[n, m]``: means over atoms of the span that share a factor with each atom.

    Atoms tied through an unknown of another predicate (a hub) are neighbours as well; they
    enter as the mean over the hub's atoms. Atoms of ``views`` are hubs of nothing: each ties an
    atom to itself.
    """
    adjacency = atom_adjacency(graph)
    inside = slice(span.start, span.stop)
    direct = adjacency[inside, inside]
    total = direct @ values
    count = np.asarray(direct.sum(axis=1)).ravel()
    outside = np.ones(graph.atom_count, dtype=bool)
    for one in (span, *views):
        outside[one.start : one.stop] = False
    to_hubs = adjacency[inside][:, np.flatnonzero(outside)]
    of_hub = np.asarray(to_hubs.sum(axis=0)).ravel()
    hub_mean = (to_hubs.T @ values) / np.maximum(of_hub, 1)[:, None]
    total = total + to_hubs @ hub_mean
    count = count + np.asarray(to_hubs.sum(axis=1)).ravel()
    return np.asarray(total / np.maximum(count, 1)[:, None])


def atom_adjacency(graph: FactorGraph) -> sparse.csr_matrix:
    """``[n, n]`` 0/1: atoms that stand in one ground factor."""
    rows, columns = [], []
    for part in graph.couplings:
        if part.offsets is not None:
            continue
        atoms = part.atoms.numpy()
        for one in range(atoms.shape[1]):
            for two in range(atoms.shape[1]):
                if one != two:
                    rows.append(atoms[:, one])
                    columns.append(atoms[:, two])
    if not rows:
        return sparse.csr_matrix((graph.atom_count, graph.atom_count))
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = sparse.coo_matrix(
        (np.ones(len(row), dtype=np.float32), (row, column)), shape=(graph.atom_count,) * 2
    ).tocsr()
    matrix.data[:] = 1.0
    return matrix
