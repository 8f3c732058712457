"""Filtered ranks of links: where the true end of a triple stands among all candidates.

The protocol of Bordes et al. 2013 (section 4.2): each end of a test triple is replaced by every
candidate, other triples known to be true are left out, and the rank of the true end is taken.
Ties are counted as Berrendorf et al. 2020 propose: the realistic rank is the mean of the
optimistic and the pessimistic one, so that a constant score gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.errors import KnowreasonError
from knowreason.row_keys import distinct_rows

CHUNK = 1 << 22


@dataclass(frozen=True)
class Ranks:
    """Ranks of true answers among their candidates, one a query.

    Attributes:
        optimistic: ``float64[q]``, from 1; ties are won.
        pessimistic: ``float64[q]``; ties are lost.
        candidates: ``int64[q]``, how many were ranked, the true one included.

    >>> ranks = Ranks(np.array([1.0, 2.0]), np.array([1.0, 4.0]), np.array([5, 5]))
    >>> ranks.mean_rank, ranks.hits(1)
    (2.0, 0.5)
    """

    optimistic: NDArray[np.float64]
    pessimistic: NDArray[np.float64]
    candidates: NDArray[np.int64]

    @property
    def realistic(self) -> NDArray[np.float64]:
        """Mean of the optimistic and the pessimistic rank, ``float64[q]``."""
        return (self.optimistic + self.pessimistic) / 2

    @property
    def mean_rank(self) -> float:
        """Mean realistic rank; lower is better."""
        return float(self.realistic.mean())

    @property
    def mean_reciprocal_rank(self) -> float:
        """Mean of one over the realistic rank, in 0 to 1."""
        return float((1 / self.realistic).mean())

    def hits(self, k: int) -> float:
        """Share of queries whose realistic rank is at most ``k``."""
        return float((self.realistic <= k).mean())

    def of(self, queries: NDArray[np.bool_] | slice) -> Ranks:
        """Some of the queries."""
        return Ranks(self.optimistic[queries], self.pessimistic[queries], self.candidates[queries])


def link_ranks(
    arguments: NDArray[np.int32],
    scores: NDArray[np.floating],
    known: NDArray[np.bool_],
    asked: NDArray[np.integer],
    positions: Sequence[int],
) -> Ranks:
    """Filtered ranks of atoms among those that differ from them in one argument.

    Args:
        arguments: ``int32[n, k]``, arguments of every candidate atom
            (``models.atoms_of(data, predicate).arguments``).
        scores: ``[n]``, log-odds; higher is more likely.
        known: ``bool[n]``, atoms known to be true, in training, validation or test: they are
            left out where they are not the one asked about.
        asked: ``int64[q]``, indices of the true atoms asked about.
        positions: arguments that are replaced in turn: ``(0, 2)`` for (head, relation, tail),
            ``(0, 1)`` for (head, tail).

    Returns:
        Ranks of all queries: those of the first position, then those of the next.

    Raises:
        KnowreasonError: KR882 where a score is not a number.

    >>> pairs = np.array([[0, 1], [0, 2], [0, 3]], np.int32)  # (head, tail)
    >>> scores, known = np.array([3.0, 2.0, 1.0]), np.array([False, True, False])
    >>> link_ranks(pairs, scores, known, asked=np.array([1]), positions=(1,)).realistic
    array([2.])
    """
    values = np.asarray(scores, np.float64)
    if np.isnan(values).any():
        raise KnowreasonError("a score to be ranked is not a number", code="KR882")
    parts = [_ranks(arguments, values, known, np.asarray(asked), p) for p in positions]
    return Ranks(
        np.concatenate([ranks.optimistic for ranks in parts]),
        np.concatenate([ranks.pessimistic for ranks in parts]),
        np.concatenate([ranks.candidates for ranks in parts]),
    )


def _ranks(
    arguments: NDArray[np.int32],
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    asked: NDArray[np.integer],
    position: int,
) -> Ranks:
    """Ranks among the atoms that share all arguments but one."""
    others = np.delete(arguments, position, axis=1)
    _, group = distinct_rows(others.T, rows=len(others))
    size = np.bincount(group)
    start = np.cumsum(size) - size
    member = np.argsort(group, kind="stable")
    of_query = size[group[asked]]
    pieces = np.searchsorted(np.cumsum(of_query), np.arange(CHUNK, of_query.sum(), CHUNK))
    counts = [
        _counted(member, start[group[queries]], size[group[queries]], scores, known, queries)
        for queries in np.split(asked, np.unique(pieces))
    ]
    better, level, candidates = (np.concatenate(column) for column in zip(*counts, strict=True))
    return Ranks(1.0 + better, 1.0 + better + level, candidates + 1)


def _counted(
    member: NDArray[np.int64],
    start: NDArray[np.int64],
    size: NDArray[np.int64],
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    asked: NDArray[np.integer],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """By query: candidates above the asked atom, level with it, and in all, it left out."""
    query = np.repeat(np.arange(len(asked)), size)
    within = np.arange(len(query)) - np.repeat(np.cumsum(size) - size, size)
    atom = member[start[query] + within]
    counts = ~known[atom] & (atom != asked[query])
    query, gap = query[counts], scores[atom[counts]] - scores[asked[query[counts]]]

    def number(which: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(query[which], minlength=len(asked))

    return number(gap > 0), number(gap == 0), number(np.ones(len(query), bool))
