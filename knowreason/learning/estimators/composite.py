"""Composite likelihood: small blocks of a component, each exact given the labels around it.

``sum over blocks of log P(labels of the block | labels around it)``, everything unlabelled
in the block and near it summed out. A block of one atom gives the pseudo-likelihood, one
block the likelihood; couplings inside blocks are seen as they are. Standard errors are
Godambe's: given the labels around it a block's score has mean 0, so that scores of blocks
that do not see each other's labels are uncorrelated. Source: Lindsay 1988; Varin, Reid &
Firth 2011, sections 2 and 4; Asuncion et al. 2010 (blocks of a Markov random field).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from knowreason.factors import OPEN, FactorGraph, GroundFactors
from knowreason.factors.arrays import array, entries_of
from knowreason.learning.estimators.exact_likelihood import cluster_scores
from knowreason.learning.estimators.site_blocks import (
    CopyMembers,
    Ids,
    SiteRows,
    adjacent_blocks,
    open_sites,
    site_blocks,
    site_rows,
    surroundings,
)
from knowreason.learning.fit import Solution
from knowreason.learning.labelled_components import Labelled, with_labels
from knowreason.learning.objective import Objective
from knowreason.learning.standard_errors import at_least, inverse

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class BlockCopies:
    """A copy of every block with what surrounds it.

    Attributes:
        labelled: the copies as components; labels around a block are evidence in its copy.
        sees: ``bool[b, b]`` sparse: blocks whose scores may depend on each other.
    """

    labelled: Labelled
    sees: csr_matrix


def block_copies(
    labelled: Labelled, *, block_bits: float = 12.0, most_bits: float = 16.0
) -> BlockCopies:
    """Cuts components into blocks and copies each with its surroundings.

    Args:
        labelled: components too large for exact inference.
        block_bits: log2 of the states of a block, at most (more only for one functional site).
        most_bits: of a block with the unlabelled atoms near it that are summed out with it;
            ground factors that reach farther are left out of its copy.
    """
    sites = site_rows(labelled)
    group = site_blocks(sites, block_bits)
    members = open_sites(sites, group, most_bits)
    copy = surroundings(sites, members)
    graph, evidence, block = _copied(labelled, sites, copy, group)
    parts = with_labels(graph, evidence, block)
    used, block = np.unique(parts.component, return_inverse=True)
    sees = adjacent_blocks(copy, group)[used][:, used]
    return BlockCopies(replace(parts, component=block.astype(np.int64)), sees)


def composite_solution(objective: Objective, copies: BlockCopies, solution: Solution) -> Solution:
    """The optimum of a composite likelihood with Godambe's covariance.

    No direction varies less than independent blocks would: few blocks say little about it.

    Args:
        objective: composite and exact terms, and priors.
        copies: the blocks.
        solution: the optimum, with the curvature of the whole objective.
    """
    coordinates = objective.coordinates
    theta = coordinates.theta(solution.eta)
    scores = coordinates.chain(solution.eta, cluster_scores(copies.labelled)(theta))
    alone = scores.T @ scores
    together = alone
    if len(scores) == copies.sees.shape[0]:
        together = scores.T @ (copies.sees @ scores)
    information = (solution.information + solution.information.T) / 2
    meat = at_least(information + (together + together.T) / 2 - alone, information, 1.0)
    bread = inverse(information)
    blocks = copies.labelled.count
    note = f"composite likelihood of {blocks:,} blocks, each exact given the labels around it"
    return replace(solution, covariance=bread @ meat @ bread, notes=(*solution.notes, note))


def _copied(
    labelled: Labelled, sites: SiteRows, copy: CopyMembers, group: Ids
) -> tuple[FactorGraph, NDArray[np.int8], Ids]:
    """Graph of all copies, the labels asked in them, and the block of each of its atoms."""
    graph, n = labelled.graph, labelled.graph.atom_count
    place, offsets = entries_of(sites.first_atom, copy.site)
    atom = sites.atoms[place]
    owner = np.repeat(np.arange(len(copy.site)), np.diff(offsets))
    block = copy.block[owner]
    key = block * n + atom
    order = np.argsort(key)
    key, atom, block = key[order], atom[order], block[order]
    asked = group[sites.site[atom]] == block
    known = labelled.evidence[atom]
    index = torch.from_numpy(atom)
    first = 0
    factors = []
    for part in graph.factors:
        inside = (copy.row >= first) & (copy.row < first + part.rows)
        rows, of = copy.row[inside] - first, copy.row_block[inside]
        first += part.rows
        if len(rows):
            factors.append(_moved(part.take(rows), of, key, n))
    blocks = graph.blocks
    whole = np.flatnonzero(sites.functional[copy.site] >= 0)
    functional = blocks.take(sites.functional[copy.site[whole]])
    moved = np.repeat(copy.block[whole], np.diff(array(functional.offsets))) * n + array(
        functional.atoms
    )
    copied = replace(
        graph,
        log_odds=graph.log_odds[index],
        evidence=torch.from_numpy(np.where(asked, OPEN, known).astype(np.int8)),
        factors=tuple(factors),
        blocks=replace(functional, atoms=_numbers(key, moved)),
        auxiliary=None if graph.auxiliary is None else graph.auxiliary[index],
        constant=None,
        offset=0.0,
    )
    return copied, known, block


def _moved(part: GroundFactors, block: Ids, key: Ids, n: int) -> GroundFactors:
    """Rows over the atoms of their copies."""
    entries = part.entry_atoms.astype(np.int64) + block[part.owners()] * n
    atoms = _numbers(key, entries).reshape(part.atoms.shape)
    if part.target is None:
        return replace(part, atoms=atoms)
    target = part.targets()
    there = _numbers(key, np.where(target >= 0, block * n + target, key[0]))
    return replace(part, atoms=atoms, target=torch.where(torch.from_numpy(target >= 0), there, -1))


def _numbers(key: Ids, wanted: Ids) -> torch.Tensor:
    return torch.from_numpy(np.searchsorted(key, wanted).astype(np.int32))
