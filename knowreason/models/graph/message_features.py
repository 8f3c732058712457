"""What each message of a graph has of its own: distances, angles, kinds of links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.errors import ModelError, did_you_mean
from knowreason.models.base.feature_columns import (
    EVERYTHING,
    evaluated,
    in_blocks,
    looked_up,
    no_columns,
    one_column,
    refuse,
    renamed,
    side_by_side,
)
from knowreason.models.graph.node_graph import NodeGraph, edge_table

if TYPE_CHECKING:
    from knowreason.data import Dataset
    from knowreason.data.edges import Edges


def messages_of(graph: NodeGraph) -> NDArray[np.int64]:
    """``int64[3, m]``: source, target and edge of each message, by target.

    Every edge but self loops is one message forwards and one backwards; the edge of the latter
    is its number and ``len(graph.source)`` more. Parallel edges are messages of their own.
    """
    edges = len(graph.source)
    other = np.flatnonzero(graph.source != graph.target)
    one, two = graph.source[other], graph.target[other]
    messages = np.stack(
        [
            np.concatenate([one, two]),
            np.concatenate([two, one]),
            np.concatenate([other, other + edges]),
        ]
    )
    return messages[:, np.lexsort(messages[[2, 0, 1]])]


def message_values(of_edges: NDArray[np.float32], edge: NDArray[np.int64]) -> NDArray[np.float32]:
    """``float32[m, 2 d + 1]``: an edge's columns for a message forwards, beside those for one
    backwards and which it is, so that a linear layer has weights of its own for each.

    Args:
        of_edges: ``[k, d]``.
        edge: of each message, as :func:`messages_of` has it.
    """
    count = len(of_edges)
    back = (edge >= count).astype(np.float32)[:, None]
    own = of_edges[edge % max(count, 1)]
    return np.concatenate([own * (1 - back), own * back, back], axis=1)


def edges_that_reach(graph: NodeGraph, nodes: NDArray[np.int64], hops: int) -> NDArray[np.bool_]:
    """``bool[k]``: edges whose messages come to some nodes within ``hops`` rounds."""
    near = np.zeros(graph.node_count, np.bool_)
    near[nodes[nodes >= 0]] = True
    reached = np.zeros(len(graph.source), np.bool_)
    for _ in range(hops):
        reached = near[graph.source] | near[graph.target]
        near[graph.source[reached]] = near[graph.target[reached]] = True
    return reached


def message_columns(
    data: Dataset, graph: NodeGraph, names: tuple[str, ...], model: str
) -> FeatureTable:
    """Columns of every edge, in the order of the relations.

    A name is a column of the edges or of the things that are edges, or an attribute, definition
    or observed predicate over these things or over source and target. ``"*"`` is every column.
    Where there are several relations, columns begin with the relation's name,
    those of the others are missing, and the relation is a column too.

    Args:
        data: with a graph.
        graph: of it.
        names: what messages carry.
        model: name for messages.

    Raises:
        ModelError: KR810 for a name that is nothing of any edge, KR811 for an infinite value.
    """
    assert data.graph is not None
    relations = data.graph.relations
    readable = [_readable(data, edges) for edges in relations]
    known = {name: None for by_name in readable for name in by_name}
    for name in names:
        if name != EVERYTHING and name not in known:
            raise ModelError(
                f"`{model}`: the edges have no feature `{name}`",
                code="KR810",
                help=did_you_mean(name, known) or f"they have: {', '.join(known) or 'none'}",
            )
    defined = {definition.name for definition in data.program.definitions}
    evaluated(data, [name for name in names if name in defined])
    tables = []
    for edges, by_name in zip(relations, readable, strict=True):
        wanted = [
            chosen
            for name in names
            for chosen in (by_name if name == EVERYTHING else (name,))
            if by_name.get(chosen) == "column" or chosen == name in by_name
        ]
        table = side_by_side(
            [no_columns(len(edges))]
            + [_column(data, edges, name, by_name[name]) for name in dict.fromkeys(wanted)]
        )
        refuse(table, np.isinf, "KR811", "infinite", of=f" of the edges `{edges.name}`")
        tables.append(table)
    if len(relations) == 1:
        return tables[0]
    named = zip(tables, relations, strict=True)
    which = np.repeat(np.arange(len(relations)), [len(edges) for edges in relations]).astype(float)
    kinds = one_column("relation", which, tuple(edges.name for edges in relations))
    return side_by_side(
        [in_blocks([renamed(table, f"{edges.name}.") for table, edges in named]), kinds]
    )


def _readable(data: Dataset, edges: Edges) -> dict[str, str]:
    """Names of what can be read of an edge, and where: ``column``, ``thing`` or ``pair``."""
    program, columns = data.program, edge_table(data, edges).names
    places: dict[tuple[str, ...], str] = {(edges.source_domain, edges.target_domain): "pair"}
    if edges.key_domain is not None:
        places[(edges.key_domain,)] = "thing"
    sorts = {p.name: p.sorts for p in program.predicates if p.kind == "observed"}
    sorts |= {attribute.name: attribute.sorts for attribute in program.attributes}
    sorts |= {definition.name: definition.sorts for definition in program.definitions}
    found = {name: places[own] for name, own in sorts.items() if own in places}
    return found | dict.fromkeys(columns, "column")


def _column(data: Dataset, edges: Edges, name: str, where: str) -> FeatureTable:
    if where == "column":
        return edge_table(data, edges).select([name])
    if where == "pair":
        return looked_up(data, name, np.stack([edges.source, edges.target], axis=1))
    assert edges.key is not None
    return looked_up(data, name, np.asarray(edges.key)[:, None])
