"""Whether whole clusters of rows tell two candidates apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

LEVEL = 0.95
CHOICE = 0.99  # of two candidates: several pairs are tested, and their mean loses half at most


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
        clusters_are: what a cluster is called.

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
    clusters_are: str = "rows"

    @property
    def wins(self) -> bool:
        """Whether the sum is above 0 beyond chance."""
        return self.statistic > self.needed


def cluster_test(
    difference: NDArray[np.float64], clusters: NDArray[np.integer], level: float = LEVEL
) -> ClusterTest:
    """Tests whether the differences (``float64[n]``) sum to more than 0, rows of one cluster
    (``int[n]``) counted as one."""
    _, cluster = np.unique(clusters, return_inverse=True)
    d = np.bincount(cluster, difference) if len(cluster) else np.zeros(0)
    count, total, fourth = len(d), float(d.sum()), float((d**4).sum())
    effective = float((d**2).sum() ** 2 / fourth) if fourth > 0 else 0.0
    needed = float(stdtrit(max(1.0, effective - 1), level))
    error = np.sqrt(count / (count - 1) * ((d - d.mean()) ** 2).sum()) if count > 1 else 0.0
    statistic = float(total / error) if error > 0 else 0.0
    return ClusterTest(total, count, effective, statistic, needed)


def hardest_test(
    difference: NDArray[np.float64], clusterings: Mapping[str, NDArray[np.integer]]
) -> ClusterTest:
    """The test at 99 % that is farthest from being won, of those by each clustering.

    Rows about pairs or triples depend on each other through every thing they share, and no single
    clustering covers that (Cameron, Gelbach & Miller 2011). A difference that is beyond chance by
    one end and rests on one value of the other is not told apart.

    Args:
        difference: ``float64[n]``.
        clusterings: ``int[n]`` by what a cluster is called; at least one.

    >>> d, pairs = np.repeat([9.0, 0.1, 0.1], 20), {"rows": np.arange(60)}
    >>> hardest_test(d, pairs).wins
    True
    >>> found = hardest_test(d, pairs | {"values of `kind`": np.repeat([0, 1, 2], 20)})
    >>> found.wins, found.clusters_are
    (False, 'values of `kind`')
    """
    tests = [
        replace(cluster_test(difference, clusters, CHOICE), clusters_are=name)
        for name, clusters in clusterings.items()
    ]
    return min(tests, key=lambda test: test.statistic / test.needed)
