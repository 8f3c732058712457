"""Whether whole clusters of rows tell two candidates apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

LEVEL = 0.95


@dataclass(frozen=True)
class ClusterTest:
    """A one-sided t test of a sum of differences over clusters.

    Attributes:
        total: the sum.
        clusters: how many there are.
        effective: how many of equal size would decide as much: ``(sum d^2)^2 / sum d^4``.
        statistic: the sum over its standard error; 0 where there is none.
        needed: what the statistic has to exceed; of ``effective - 1`` degrees of freedom, at
            least 1 (Carter, Schnepel & Steigerwald 2017 count clusters alike).

    >>> cluster_test(np.array([3.0, 0.1, 0.1]), np.arange(3)).wins
    False
    >>> cluster_test(np.ones(30) + np.arange(30) / 100, np.arange(30)).wins
    True
    """

    total: float
    clusters: int
    effective: float
    statistic: float
    needed: float

    @property
    def wins(self) -> bool:
        """Whether the sum is above 0 beyond chance."""
        return self.statistic > self.needed


def cluster_test(difference: NDArray[np.float64], clusters: NDArray[np.integer]) -> ClusterTest:
    """Tests whether the differences (``float64[n]``) sum to more than 0, rows of one cluster
    (``int[n]``) counted as one."""
    _, cluster = np.unique(clusters, return_inverse=True)
    d = np.bincount(cluster, difference) if len(cluster) else np.zeros(0)
    count, total, fourth = len(d), float(d.sum()), float((d**4).sum())
    effective = float((d**2).sum() ** 2 / fourth) if fourth > 0 else 0.0
    needed = float(t.ppf(LEVEL, max(1.0, effective - 1)))
    error = np.sqrt(count / (count - 1) * ((d - d.mean()) ** 2).sum()) if count > 1 else 0.0
    statistic = float(total / error) if error > 0 else 0.0
    return ClusterTest(total, count, effective, statistic, needed)
