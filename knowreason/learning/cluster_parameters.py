"""A parameter vector of its own for each cluster of components.

Parameter ``r`` of cluster ``g`` becomes ``r * clusters + g``; the expectations of any
engine are then those of every cluster at once, from which scores a cluster follow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors import FactorGraph, GroundFactors

Ids = NDArray[np.int64]


def by_cluster(graph: FactorGraph, cluster: Ids, clusters: int) -> FactorGraph:
    """The graph with ``p * clusters`` parameters.

    Args:
        graph: a conditioned graph without decided groundings.
        cluster: ``int64[n]``, the same for all atoms of a component.
        clusters: their number.
    """

    def wider(part: GroundFactors) -> GroundFactors:
        if part.is_hard:
            return part
        parameter = part.parameters() * clusters + cluster[part.first_atoms()]
        return replace(part, parameter=torch.from_numpy(parameter))

    return replace(
        graph,
        theta=graph.theta.repeat_interleave(clusters),
        factors=tuple(wider(part) for part in graph.factors),
    )
