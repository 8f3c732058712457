"""Blocks of neighbouring sites, and what surrounds each: no loop over atoms or factors.

A site is an atom or a functional setting with all its atoms. It is known where each of its
atoms is labelled, else hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags

from knowreason.factors import OPEN
from knowreason.learning.labelled_components import Labelled

Ids = NDArray[np.int64]
LONGEST = 64  # entries of a row that still says which sites are neighbours
ROUNDS = 60  # of merging; each merges a constant share of the pairs that may be
FULL = 0.75  # share of a block that sites packed by their neighbour may fill


@dataclass(frozen=True)
class SiteRows:
    """Sites of some components and the ground factors over them.

    Attributes:
        site: ``int64[n]``, site of each atom.
        atoms, first_atom: atoms of each site, ``first_atom[s] : first_atom[s + 1]``.
        bits: ``float64[s]``: log2 of its states.
        hidden: ``bool[s]``.
        functional: ``int64[s]``: functional block of the site, ``-1`` for a single atom.
        rows: ``float64[r, s]`` sparse, 1 where a row touches a site; rows are numbered
            through the graph's factors.
        defines: ``int64[r]``: site of the auxiliary atom a row defines, ``-1`` for none.
    """

    site: Ids
    atoms: Ids
    first_atom: Ids
    bits: NDArray[np.float64]
    hidden: NDArray[np.bool_]
    functional: Ids
    rows: csr_matrix
    defines: Ids

    @property
    def count(self) -> int:
        """Number of sites."""
        return len(self.bits)


@dataclass(frozen=True)
class CopyMembers:
    """Copies of blocks.

    Attributes:
        block, site: ``int64[m]``: the sites of each copy, known ones around it included.
        row_block, row: ``int64[k]``: the rows of each copy.
    """

    block: Ids
    site: Ids
    row_block: Ids
    row: Ids


def site_rows(labelled: Labelled) -> SiteRows:
    """Sites and rows of some components."""
    graph, n = labelled.graph, labelled.graph.atom_count
    functional = graph.blocks.of_atom(n)
    named = np.where(functional >= 0, functional, graph.blocks.count + np.arange(n))
    kinds, site = np.unique(named, return_inverse=True)
    site = site.astype(np.int64)
    size = np.bincount(site)
    hidden = np.bincount(site, labelled.evidence == OPEN) > 0
    row, column, defines, first = [], [], [], 0
    for part in graph.factors:
        target = part.targets()
        aimed = np.flatnonzero(target >= 0)
        row += [first + part.owners(), first + aimed]
        column += [site[part.entry_atoms], site[target[aimed]]]
        defines.append(np.where(target >= 0, site[np.maximum(target, 0)], -1))
        first += part.rows
    none = np.zeros(0, dtype=np.int64)
    rows = csr_matrix(
        (
            np.ones(sum(map(len, row))),
            (np.concatenate([none, *row]), np.concatenate([none, *column])),
        ),
        shape=(first, len(size)),
    )
    rows.data[:] = 1.0
    return SiteRows(
        site,
        np.argsort(site, kind="stable"),
        np.append(0, np.cumsum(size)),
        np.log2(size + (size > 1) + (size == 1)),
        hidden,
        np.where(kinds < graph.blocks.count, kinds, -1),
        rows,
        np.concatenate([none, *defines]),
    )


def site_blocks(sites: SiteRows, bits: float) -> Ids:
    """``int64[s]``: a partition into connected blocks of at most ``bits`` (or one site).

    Blocks that touch grow together by mutual choice of the neighbour with most rows in
    common (heavy-edge matching: Karypis & Kumar 1998); what is left over around a site
    that is in a full block is packed together.
    """
    near = sites.rows[np.diff(sites.rows.indptr) <= LONGEST]
    links = (near.T @ near).tocsr()
    group = np.arange(sites.count)
    rng = np.random.default_rng(0)
    for _ in range(ROUNDS):
        size = np.bincount(group, sites.bits)
        left, right, weight = _coarse(links, group)
        may = size[left] + size[right] <= bits
        if not may.any():
            break
        left, right, weight = left[may], right[may], weight[may]
        order = np.argsort(weight + rng.random(len(weight)), kind="stable")
        left, right = left[order], right[order]
        best = np.full(len(size), -1, dtype=np.int64)
        ends = np.stack([left, right], axis=1).ravel()
        best[ends] = np.repeat(np.arange(len(left)), 2)  # the last one stays: the heaviest
        chosen = np.flatnonzero((best[left] == best[right]) & (best[left] == np.arange(len(left))))
        into = np.arange(len(size))
        into[right[chosen]] = left[chosen]
        group = np.unique(into[group], return_inverse=True)[1]
    return _packed(links, group, sites.bits, bits)


def _coarse(links: csr_matrix, group: Ids) -> tuple[Ids, Ids, NDArray[np.float64]]:
    """Pairs of blocks that touch, once each, and the number of rows between them."""
    pairs = links.tocoo()
    one, other = group[pairs.row], group[pairs.col]
    between = one < other
    size = int(group.max(initial=-1)) + 1
    summed = (
        coo_matrix((pairs.data[between], (one[between], other[between])), (size, size))
        .tocsr()
        .tocoo()
    )
    return summed.row.astype(np.int64), summed.col.astype(np.int64), summed.data


def _packed(links: csr_matrix, group: Ids, bits: NDArray[np.float64], most: float) -> Ids:
    """Small blocks with the same neighbour, put together."""
    size = np.bincount(group, bits)
    left, right, weight = _coarse(links, group)
    best = np.full(len(size), -1, dtype=np.int64)
    order = np.argsort(weight, kind="stable")
    best[left[order]], best[right[order]] = right[order], left[order]
    small = np.flatnonzero((size <= most / 4) & (best >= 0))
    small = small[np.argsort(best[small], kind="stable")]
    filled = np.cumsum(size[small]) // (FULL * most)
    into = np.arange(len(size))
    if small.size:
        _, first, which = np.unique(
            np.stack([best[small], filled.astype(np.int64)]),
            axis=1,
            return_index=True,
            return_inverse=True,
        )
        into[small] = small[first][which.ravel()]
    return np.unique(into[group], return_inverse=True)[1].astype(np.int64)


def open_sites(sites: SiteRows, group: Ids, most: float) -> csr_matrix:
    """``float64[b, s]`` sparse, 1 for the sites of a block and the hidden ones near it.

    Hidden sites join by their distance from the block while it has at most ``most`` bits.
    """
    blocks = int(group.max(initial=-1)) + 1
    own = csr_matrix(
        (np.ones(sites.count), (group, np.arange(sites.count))), shape=(blocks, sites.count)
    )
    near = sites.rows[np.diff(sites.rows.indptr) <= LONGEST]
    links = (near.T @ near) @ diags(sites.hidden.astype(np.float64))
    inside = own
    while True:
        reached = (inside @ links).tocoo()
        new = _values(inside, reached.row, reached.col) == 0
        row, column, weight = reached.row[new], reached.col[new], reached.data[new]
        order = np.lexsort((-weight, row))
        row, column = row[order], column[order]
        used = inside @ sites.bits
        total = np.cumsum(sites.bits[column])
        start = np.searchsorted(row, row)
        before = np.append(0.0, total)[start]
        fits = used[row] + total - before <= most
        if not fits.any():
            return inside
        more = csr_matrix((np.ones(int(fits.sum())), (row[fits], column[fits])), own.shape)
        inside = inside + more


def surroundings(sites: SiteRows, inside: csr_matrix) -> CopyMembers:
    """Sites and rows of each copy, known sites around it included.

    A row takes part where no hidden site of it lies outside; an auxiliary atom whose count
    does not take part leaves the copy, and its rows with it.
    """
    hidden = diags(sites.hidden.astype(np.float64))
    unknown = np.asarray((sites.rows @ hidden).sum(axis=1)).ravel()
    while True:
        touched = (inside @ sites.rows.T).tocsr()
        seen = (inside @ hidden @ sites.rows.T).tocsr()
        block, row = touched.nonzero()
        whole = _values(seen, block, row) == unknown[row]
        lost = ~whole & (sites.defines[row] >= 0)
        undefined = np.zeros(0, dtype=np.int64)
        if lost.any():
            there = _values(inside, block[lost], sites.defines[row[lost]]) > 0
            undefined = np.flatnonzero(lost)[there]
        if not undefined.size:
            break
        gone = csr_matrix(
            (np.ones(len(undefined)), (block[undefined], sites.defines[row[undefined]])),
            shape=inside.shape,
        )
        inside = (inside - inside.multiply(gone > 0)).tocsr()
        inside.eliminate_zeros()
    block, row = block[whole].astype(np.int64), row[whole].astype(np.int64)
    taken = csr_matrix((np.ones(len(row)), (block, row)), shape=touched.shape)
    of, site = (taken @ sites.rows + inside).nonzero()
    return CopyMembers(of.astype(np.int64), site.astype(np.int64), block, row)


def adjacent_blocks(copy: CopyMembers, group: Ids) -> csr_matrix:
    """``bool[b, b]`` sparse: blocks one of which has labels of the other in its copy."""
    blocks = int(group.max(initial=-1)) + 1
    seen = csr_matrix((np.ones(len(copy.site)), (copy.block, group[copy.site])), (blocks, blocks))
    return ((seen + seen.T) > 0).tocsr()


def _values(matrix: csr_matrix, row: Ids, column: Ids) -> NDArray[np.float64]:
    """Entries of a sparse matrix at given places."""
    there = matrix.tocoo()
    width = matrix.shape[1]
    key = there.row.astype(np.int64) * width + there.col
    order = np.argsort(key)
    key, data = np.append(key[order], -1), np.append(there.data[order], 0.0)
    wanted = row.astype(np.int64) * width + column
    place = np.searchsorted(key[:-1], wanted)
    return np.where(key[place] == wanted, data[place], 0.0)
