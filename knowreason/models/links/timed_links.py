"""Rows that are links: their two ends and time, and all links of a data set in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.data.splits.clocks import LATEST, thing_values
from knowreason.errors import ModelError
from knowreason.models.base.feature_columns import (
    in_blocks,
    no_columns,
    one_column,
    refuse,
    renamed,
    side_by_side,
)
from knowreason.models.base.predicate_rows import PredicateRows
from knowreason.models.graph.node_graph import NodeGraph, node_graph

if TYPE_CHECKING:
    from knowreason.data import Dataset
    from knowreason.data.edges import Edges

NOWHERE = -1


@dataclass(frozen=True)
class Links:
    """Directed links between nodes of one graph.

    Attributes:
        source, target: ``int64[m]`` nodes, ``-1`` for a row that is no link.
        time: ``float64[m]``, NaN where it is not known.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    time: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def there(self) -> NDArray[np.bool_]:
        """``bool[m]``: which have both ends."""
        return (self.source >= 0) & (self.target >= 0)

    def take(self, rows: NDArray[np.generic]) -> Links:
        """Some of them (indices or mask)."""
        return Links(self.source[rows], self.target[rows], self.time[rows])


@dataclass(frozen=True)
class LinkData:
    """What a link model sees.

    Attributes:
        graph: all nodes and edges.
        edges: every edge of every relation, in the order of the relations.
        rows: one link a row of the predicate.
        moments: whether times are moments (microseconds), not numbers.
    """

    graph: NodeGraph
    edges: Links
    rows: Links
    moments: bool


def link_data(
    data: Dataset, rows: PredicateRows, model: str, relation: str | None = None
) -> LinkData:
    """Edges and rows of a predicate over pairs of nodes, or over things that are edges.

    An edge that has no time of its own has the clock of the thing it is. A pair of nodes has
    the later clock of the two, where they have one.

    Args:
        data: with a graph.
        rows: of the predicate.
        model: name for messages.
        relation: the relation whose edges the rows are; by default the first that fits.

    Raises:
        ModelError: KR812 without a graph, KR876 where a row is no pair and no edge, or the
            relation is not there.
    """
    graph = node_graph(data)
    if graph is None or data.graph is None:
        raise ModelError(
            f"`{model}` for `{rows.predicate}` needs a graph: the data has no graph",
            code="KR812",
            help="bind one: `[graph]` in the project file, `graph=EdgeList(...)` in Python",
        )
    parts = [_links(data, graph, edges) for edges in data.graph.relations]
    edges = Links(
        np.concatenate([links.source for links in parts]),
        np.concatenate([links.target for links in parts]),
        np.concatenate([links.time for links in parts]),
    )
    sorts = {edges.time_sort for edges in data.graph.relations if edges.time is not None}
    of_rows = _rows_as_links(data, graph, rows, model, relation)
    return LinkData(graph, edges, of_rows, sorts == {"time"} or not sorts)


def edge_columns(data: Dataset) -> FeatureTable:
    """Features of every edge, in the order of :func:`link_data`.

    Names are prefixed by the relation, which is a column too, where there are several; columns
    of other relations are missing.

    Raises:
        ModelError: KR811 for an infinite value, naming row and column.
    """
    assert data.graph is not None
    relations = data.graph.relations
    for edges in relations:
        of = f" of the edges `{edges.name}`"
        refuse(edges.features, np.isinf, "KR811", "infinite", of=of)
    if len(relations) == 1:
        return relations[0].features
    values = in_blocks([renamed(edges.features, f"{edges.name}.") for edges in relations])
    which = np.repeat(np.arange(len(relations)), [len(edges) for edges in relations]).astype(float)
    kinds = one_column("relation", which, tuple(edges.name for edges in relations))
    return side_by_side([values, kinds])


def without_edges(data: Dataset) -> FeatureTable:
    """No column of any edge."""
    assert data.graph is not None
    return no_columns(sum(map(len, data.graph.relations)))


def _links(data: Dataset, graph: NodeGraph, edges: Edges) -> Links:
    source = graph.offsets[edges.source_domain] + np.asarray(edges.source, np.int64)
    target = graph.offsets[edges.target_domain] + np.asarray(edges.target, np.int64)
    return Links(source, target, _times(data, edges))


def _times(data: Dataset, edges: Edges) -> NDArray[np.float64]:
    if edges.time is not None:
        return np.asarray(edges.time, np.float64)
    clock = None if edges.key_domain is None else data.program.clock_of(edges.key_domain)
    if clock is None or edges.key is None or clock.name not in data.attributes:
        return np.full(len(edges), np.nan)
    values = thing_values(data, clock.name)[0]
    moments = values[edges.key]
    return np.where(moments < LATEST, moments.astype(np.float64), np.nan)


def _rows_as_links(
    data: Dataset, graph: NodeGraph, rows: PredicateRows, model: str, relation: str | None
) -> Links:
    assert data.graph is not None
    if len(rows.sorts) == 2 and relation is None and set(rows.sorts) <= set(graph.offsets):
        offsets = np.array([graph.offsets[sort] for sort in rows.sorts])
        ends = offsets + rows.things.astype(np.int64)
        time = np.full(rows.count, np.nan) if rows.time is None else rows.time.astype(np.float64)
        return Links(ends[:, 0], ends[:, 1], time)
    fitting = [
        edges
        for edges in data.graph.relations
        if rows.sorts == (edges.key_domain,) and relation in (None, edges.name)
    ]
    if not fitting:
        which = f"the relation `{relation}`" if relation else "the graph"
        raise ModelError(
            f"`{model}` speaks of links, and the things of `{rows.predicate}`"
            f" ({', '.join(rows.sorts)}) are neither pairs of nodes nor edges of {which}",
            code="KR876",
            help='bind edges that are things: `EdgeList(..., key="event:Event")`',
        )
    edges = fitting[0]
    assert edges.key is not None
    count = len(data.vocabularies[rows.sorts[0]])
    ends = np.full((count, 2), NOWHERE, np.int64)
    times = np.full(count, np.nan)
    links = _links(data, graph, edges)
    ends[edges.key] = np.stack([links.source, links.target], axis=1)
    times[edges.key] = links.time
    things = rows.things[:, 0]
    return Links(ends[things, 0], ends[things, 1], times[things])
