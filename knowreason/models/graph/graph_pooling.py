"""Predicates of things that are whole graphs: which nodes a thing holds, and their pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import ModelError, did_you_mean
from knowreason.models.base.feature_columns import relation
from knowreason.models.base.predicate_rows import PredicateRows
from knowreason.models.graph.neighbour_sampling import ranges
from knowreason.models.graph.node_graph import NodeGraph

if TYPE_CHECKING:
    from knowreason.data import Dataset


@dataclass(frozen=True)
class Membership:
    """The nodes that the things of a domain hold.

    Attributes:
        sort: the things' domain.
        count: how many things there are.
        thing, node: ``int64[m]``, each pair of a thing and a node it holds, by thing.
    """

    sort: str
    count: int
    thing: NDArray[np.int64]
    node: NDArray[np.int64]

    @property
    def typical_size(self) -> float:
        """Mean number of nodes of a thing that holds any, at least 1."""
        return max(1.0, len(self.thing) / max(1, len(np.unique(self.thing))))


def membership(data: Dataset, rows: PredicateRows, graph: NodeGraph, pool: str) -> Membership:
    """What ``pool`` says: nodes of the things of a predicate.

    Args:
        data: with the relation.
        rows: of the predicate.
        graph: whose nodes are pooled.
        pool: an observed predicate of a thing of the predicate and a node of the graph, in
            either order, or an attribute that gives the thing a node belongs to.

    Raises:
        ModelError: KR870 for a name that is none of these.
    """
    relations = poolable(data, rows, graph)
    if pool not in relations:
        choices = f"what can be pooled here: {', '.join(relations) or 'nothing'}"
        raise ModelError(
            f"`{pool}` does not say which nodes of the graph ({', '.join(graph.offsets)}) a thing"
            f" of `{rows.predicate}` ({', '.join(rows.sorts)}) holds",
            code="KR870",
            help=did_you_mean(pool, relations) or choices,
        )
    sort, domain, thing_column, node_column = relations[pool]
    table = relation(data, pool)
    thing = table.column(thing_column).to_numpy().astype(np.int64)
    node = graph.offsets[domain] + table.column(node_column).to_numpy().astype(np.int64)
    order = np.argsort(thing, kind="stable")
    return Membership(sort, len(data.vocabularies[sort]), thing[order], node[order])


def poolable(
    data: Dataset, rows: PredicateRows, graph: NodeGraph
) -> dict[str, tuple[str, str, str, str]]:
    """By name of a relation: domain of things, domain of nodes, and the column of each."""
    program, relations = data.program, {}
    for predicate in program.predicates:
        if predicate.kind != "observed" or predicate.arity != 2:
            continue
        for thing, node in ((0, 1), (1, 0)):
            sort, domain = predicate.sorts[thing], predicate.sorts[node]
            if sort in rows.sorts and domain in graph.offsets and sort != domain:
                relations[predicate.name] = (sort, domain, f"a{thing}", f"a{node}")
    for attribute in program.attributes:
        if len(attribute.sorts) != 1:
            continue
        domain, sort = attribute.sorts[0], str(attribute.sort)
        if domain in graph.offsets and sort in rows.sorts and sort != domain:
            relations[attribute.name] = (sort, domain, "value", "a0")
    return relations


def pooled(states: Tensor, thing: Tensor, node: Tensor, count: int, size: float) -> Tensor:
    """Mean, sum and maximum of the states of each thing's nodes.

    Args:
        states: ``[n, d]``.
        thing, node: ``int64[m]`` pairs.
        count: how many things there are.
        size: what sums are divided by, a typical number of nodes.

    Returns:
        ``[count, 3 d]``; zeros for a thing without nodes.
    """
    from torch_geometric.utils import scatter

    picked = states[node]
    mean, total, greatest = (
        scatter(picked, thing, dim_size=count, reduce=how) for how in ("mean", "sum", "max")
    )
    return torch.cat([mean, total / size, greatest], dim=1)


def pooled_places(rows: PredicateRows, members: Membership) -> list[int]:
    """Argument places of the things that are pooled."""
    return [position for position, sort in enumerate(rows.sorts) if sort == members.sort]


def members_of(members: Tensor, things: Tensor) -> Tensor:
    """``int64[2, m']``: those of ``members`` (thing, node) whose thing is among ``things``
    (both ascending), with the thing's position there."""
    thing = members[0].contiguous()
    start, end = (torch.searchsorted(thing, things, right=right) for right in (False, True))
    position = torch.arange(len(things), device=things.device)
    return torch.stack(
        [torch.repeat_interleave(position, end - start), members[1][ranges(start, end)]]
    )
