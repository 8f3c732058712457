"""Means over the atoms that share a ground factor or an unknown with an atom."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.atom_table import AtomSpan
from knowreason.factors.factor_graph import FactorGraph
from knowreason.row_keys import ordered_rows


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
    one, two = tied_atoms(graph)
    inside = (one >= span.start) & (one < span.stop)
    one, two = one[inside] - span.start, two[inside]
    own = np.zeros(graph.atom_count, dtype=bool)
    hub = np.ones(graph.atom_count, dtype=bool)
    own[span.start : span.stop] = True
    for spared in (span, *views):
        hub[spared.start : spared.stop] = False
    direct, to_hub = own[two], hub[two]
    atom, of_hub = one[to_hub], two[to_hub]
    atoms_of_hub = np.bincount(of_hub, minlength=graph.atom_count)
    hub_mean = _sums(of_hub, values[atom], graph.atom_count)
    hub_mean /= np.maximum(atoms_of_hub, 1)[:, None]
    total = _sums(one[direct], values[two[direct] - span.start], span.count)
    total += _sums(atom, hub_mean[of_hub], span.count)
    count = np.bincount(one[direct | to_hub], minlength=span.count)
    return np.asarray(total / np.maximum(count, 1)[:, None])


def _sums(owner: NDArray[np.int64], values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """``float64[size, m]``: rows of values added up by owner."""
    width = values.shape[1]
    place = owner[:, None] * width + np.arange(width)
    added = np.bincount(place.ravel(), values.ravel(), size * width)
    return added.astype(np.float64, copy=False).reshape(size, width)  # of nothing: integers


def tied_atoms(graph: FactorGraph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each pair of atoms that stand in one ground factor, in both orders, once."""
    rows, columns = [], []
    for part in graph.couplings:
        if part.offsets is not None:
            continue
        atoms = part.atoms.numpy()
        for i in range(atoms.shape[1]):
            for j in range(atoms.shape[1]):
                if i != j:
                    rows.append(atoms[:, i])
                    columns.append(atoms[:, j])
    if not rows:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    pairs = np.concatenate(rows).astype(np.int64), np.concatenate(columns).astype(np.int64)
    distinct = ordered_rows(pairs, (graph.atom_count,) * 2, distinct=True)
    if distinct is None:
        return pairs
    one, two = distinct
    return np.asarray(one, np.int64), np.asarray(two, np.int64)
