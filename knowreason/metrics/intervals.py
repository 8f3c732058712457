"""Bootstrap resamples as multiplicities, and figures with the interval they give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DENSE = 8  # times what a table of blocks and groups holds, above which it is kept sparse
CELLS = 4_000_000  # weights in memory at a time
Z = 1.96  # standard deviations to either side that hold 95 %
LEAST_RESAMPLES = 20  # with a finite figure, for an interval


@dataclass(frozen=True)
class Draws:
    """Resamples of atoms, whole blocks together.

    Attributes:
        counts: ``int32[resamples, blocks]`` how often each block was drawn.
        block: ``int64[n]`` block of each atom.
    """

    counts: NDArray[np.int32]
    block: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    def weights(self) -> Iterator[NDArray[np.float64]]:
        """``float64[some resamples, n]`` at a time: how often each atom was drawn."""
        step = max(1, CELLS // max(len(self.block), 1))
        for start in range(0, len(self.counts), step):
            yield self.counts[start : start + step][:, self.block].astype(np.float64)

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``float64[resamples]``: mean of values of atoms (``float64[n]``) in each resample.

        >>> Draws(np.array([[2, 0], [1, 1]], np.int32), np.array([0, 1, 1])).mean(np.arange(3.0))
        array([0., 1.])
        """
        blocks = self.counts.shape[1]
        total = np.bincount(self.block, values, blocks)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(
                self.counts @ total / (self.counts @ np.bincount(self.block, minlength=blocks))
            )

    def sums(
        self, atoms: NDArray[np.int64], group: NDArray[np.int64], groups: int = 0
    ) -> Iterator[NDArray[np.float64]]:
        """``float64[some resamples, groups]`` at a time: how often atoms of each group were drawn.

        Args:
            atoms: ``int64[m]`` some atoms.
            group: ``int64[m]`` of each, from 0.
            groups: their number, by default up to the greatest.
        """
        from scipy.sparse import coo_matrix

        groups = groups or int(group.max(initial=-1)) + 1
        blocks, of_block = self.counts.shape[1], self.block[atoms]
        held = coo_matrix((np.ones(len(atoms)), (of_block, group)), (blocks, groups)).tocsr()
        dense = held.toarray() if DENSE * held.nnz > blocks * groups else None
        step = max(1, CELLS // max(groups, 1))
        for start in range(0, len(self.counts), step):
            counts = self.counts[start : start + step]
            if dense is not None:
                yield counts.astype(np.float64) @ dense
            else:
                yield np.asarray((held.T @ counts.T).T, np.float64)


def draw(size: int, blocks: ArrayLike | None, resamples: int, seed: int) -> Draws:
    """Bootstrap resamples of atoms, or of whole blocks where ``blocks`` are given."""
    rng = np.random.default_rng(seed)
    block = np.arange(size)
    if blocks is not None:
        block = np.unique(np.asarray(blocks), return_inverse=True)[1].reshape(-1)
    count = int(block.max(initial=-1)) + 1
    counts = np.zeros((resamples, count), dtype=np.int32)
    for resample in counts:
        resample += np.bincount(rng.integers(0, count, count), minlength=count).astype(np.int32)
    return Draws(counts, block)


def share_interval(
    true: ArrayLike, count: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the 95 % interval of a share of which ``true`` in ``count`` were seen (Wilson 1927).

    >>> [float(end.round(3)) for end in share_interval(0, 10)]
    [0.0, 0.278]
    """
    k, n = np.asarray(true, np.float64), np.asarray(count, np.float64)
    centre = (k + Z**2 / 2) / (n + Z**2)
    half = Z / (n + Z**2) * np.sqrt(k * (n - k) / n + Z**2 / 4)
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval (``nan`` ends where none can be had).

    >>> print(Estimate.of(0.5, np.linspace(0.0, 1.0, 41)))
    0.500 [0.025, 0.975]
    """

    value: float
    low: float
    high: float

    @staticmethod
    def of(value: float, resampled: NDArray[np.float64]) -> Estimate:
        """A figure with the percentile interval of its resamples, ``float64[resamples]``."""
        finite = resampled[np.isfinite(resampled)]
        if len(finite) < LEAST_RESAMPLES:
            return Estimate(value, float("nan"), float("nan"))
        low, high = np.percentile(finite, [2.5, 97.5])
        return Estimate(value, float(low), float(high))

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
