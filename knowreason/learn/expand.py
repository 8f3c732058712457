"""A parameter vector of its own for each cluster of components.

Parameter ``r`` of cluster ``g`` becomes ``r * clusters + g``; the expectations of any
engine are then those of every cluster at once, from which scores a cluster follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors import ClauseList, FactorGraph, FactorGroup, UnitGroup

Ids = NDArray[np.int64]
_Wider = Callable[[int | Tensor, Tensor], Tensor]


def by_cluster(graph: FactorGraph, cluster: Ids, clusters: int) -> FactorGraph:
    """The graph with ``p * clusters`` parameters.

    Args:
        graph: a conditioned graph without decided groundings.
        cluster: ``int64[n]``, the same for all atoms of a component.
        clusters: their number.
    """
    of_atom = torch.from_numpy(cluster)

    def wider(parameter: int | Tensor, first: Tensor) -> Tensor:
        return parameter * clusters + of_atom[first.long()]

    return replace(
        graph,
        theta=graph.theta.repeat_interleave(clusters),
        groups=tuple(_group(group, wider) for group in graph.groups),
        clause_lists=tuple(_clauses(clauses, wider) for clauses in graph.clause_lists),
        units=tuple(_unit(unit, wider) for unit in graph.units),
    )


def _group(group: FactorGroup, wider: _Wider) -> FactorGroup:
    if group.parameter is None:
        return group
    return replace(group, parameter=wider(group.parameter, group.atoms[:, 0]))


def _clauses(clauses: ClauseList, wider: _Wider) -> ClauseList:
    if clauses.parameter is None:
        return clauses
    first = clauses.atoms[clauses.offsets[:-1]]
    return replace(clauses, parameter=wider(clauses.parameter, first))


def _unit(unit: UnitGroup, wider: _Wider) -> UnitGroup:
    return replace(unit, parameter=wider(unit.parameter, unit.atoms))
