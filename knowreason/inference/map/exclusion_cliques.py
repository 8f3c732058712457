"""Cliques of literals of which at most one may hold, from pairs that exclude each other.

A linear program over cliques is far tighter than one over their pairs: "at most one peer
holds a value" instead of one half each.

Source: Atamtürk, Nemhauser & Savelsbergh 2000 (conflict graphs in integer programming).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import offsets_of
from knowreason.factors.kernel_decorators import kernel

WORK_LIMIT = 200_000_000  # sum of squared degrees; above it pairs stay pairs


def clique_cover(
    pairs: NDArray[np.int64], given: NDArray[np.int64], literals: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cliques that cover all pairs, as CSR offsets and literals.

    Args:
        pairs: ``int64[m, 2]`` literals that exclude each other.
        given: ``int64[g, 2]`` more such pairs, which need not be covered (blocks).
        literals: number of literals.
    """
    every = np.concatenate([pairs, given])
    every = np.concatenate([every, every[:, ::-1]])
    needed = np.tile(np.arange(len(every) // 2) < len(pairs), 2)
    order = np.lexsort((~needed, every[:, 1], every[:, 0]))
    every, needed = every[order], needed[order]
    first = np.ones(len(every), np.bool_)
    first[1:] = (every[1:] != every[:-1]).any(1)
    every, needed = every[first], needed[first]
    degree = np.bincount(every[:, 0], minlength=literals).astype(np.int64)
    if (degree**2).sum() > WORK_LIMIT:
        return offsets_of(np.full(len(pairs), 2)), pairs.reshape(-1)
    sizes, members = _grow(offsets_of(degree), every[:, 1], needed, literals)
    return offsets_of(sizes), members


@kernel(cache=True)
def _grow(
    offsets: NDArray[np.int64],
    neighbours: NDArray[np.int64],
    needed: NDArray[np.bool_],
    literals: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Grows each pair not covered yet by common neighbours, greedily."""
    common = np.zeros(literals, np.int64)
    inside = np.zeros(literals, np.bool_)
    sizes = [np.int64(0) for _ in range(0)]
    members = [np.int64(0) for _ in range(0)]
    for u in range(literals):
        for at in range(offsets[u], offsets[u + 1]):
            if not needed[at]:
                continue
            clique = [u, neighbours[at]]
            for member in clique:
                for i in range(offsets[member], offsets[member + 1]):
                    common[neighbours[i]] += 1
            for i in range(offsets[u], offsets[u + 1]):
                other = neighbours[i]
                if other != neighbours[at] and common[other] == len(clique):
                    clique.append(other)
                    for j in range(offsets[other], offsets[other + 1]):
                        common[neighbours[j]] += 1
            for member in clique:
                inside[member] = True
            for member in clique:
                for i in range(offsets[member], offsets[member + 1]):
                    common[neighbours[i]] = 0
                    if inside[neighbours[i]]:
                        needed[i] = False
            for member in clique:
                inside[member] = False
                members.append(member)
            sizes.append(np.int64(len(clique)))
    return np.array(sizes, dtype=np.int64), np.array(members, dtype=np.int64)
