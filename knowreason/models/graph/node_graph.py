"""The graph of a data set as arrays: nodes of all domains side by side, edges, means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from knowreason.data.features import FeatureTable
from knowreason.errors import ModelError
from knowreason.models.base.feature_columns import (
    feature_table,
    in_blocks,
    no_columns,
    one_column,
    refuse,
    renamed,
    side_by_side,
)
from knowreason.models.base.predicate_rows import PredicateRows

if TYPE_CHECKING:
    from knowreason.data import Dataset
    from knowreason.data.edges import Edges

EdgeFeatures = Literal["untimed", "all", "none"]
MAIN_VALUES = 10  # of a category, that get a column of their own where means are taken


@dataclass(frozen=True)
class NodeGraph:
    """A homogeneous view of the edges of a data set.

    Attributes:
        offsets: first node of each domain that has edges.
        node_count: number of nodes.
        source, target: ``int64[m]``, as listed; messages go both ways.
        ends: by a domain whose things are edges: ``int64[n_things, 2]``, the end nodes of
            each thing, ``-1`` where it is no edge.
        times: by such a domain, ``float64[n_things]``, where its edges have times.
        relation: ``int64[m]``, position of each edge's relation in ``relations``.
        relations: source domain, name and target domain of each relation.
    """

    offsets: Mapping[str, int]
    node_count: int
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    ends: Mapping[str, NDArray[np.int64]]
    times: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    relation: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    relations: tuple[tuple[str, str, str], ...] = ()

    @cached_property
    def both_ways(self) -> NDArray[np.int64]:
        """``int64[2, m']``: each pair of neighbours once a direction, no self loops."""
        return both_ways(self.source, self.target, self.node_count)

    @cached_property
    def adjacency(self) -> sparse.csr_array:
        """Symmetric 0/1 matrix of neighbours."""
        rows, columns = self.both_ways
        ones = np.ones(rows.shape[0], np.float32)
        return sparse.csr_array((ones, (rows, columns)), shape=(self.node_count,) * 2)

    @cached_property
    def degree(self) -> NDArray[np.float32]:
        """``float32[node_count]``, number of neighbours."""
        return np.asarray(self.adjacency.sum(axis=1), np.float32)

    @property
    def domain_of_node(self) -> NDArray[np.int64]:
        """``int64[node_count]``, position of each node's domain in ``offsets``."""
        starts = np.array(list(self.offsets.values()), np.int64)
        return np.searchsorted(starts, np.arange(self.node_count), side="right") - 1

    def neighbour_means(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean over neighbours of the present values of each column; NaN over none."""
        present = ~np.isnan(values)
        total = self.adjacency @ np.where(present, values, 0).astype(np.float32)
        count = self.adjacency @ present.astype(np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(count > 0, total / count, np.nan).astype(np.float32)


def both_ways(
    source: NDArray[np.int64], target: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """``int64[2, m']``: each pair of neighbours once a direction, no self loops, sorted."""
    other = source != target
    one, two = source[other], target[other]
    keys = np.unique(np.concatenate([one * count + two, two * count + one]))
    return np.stack(np.divmod(keys, max(count, 1)))


def node_graph(data: Dataset) -> NodeGraph | None:
    """The graph bound to a data set, ``None`` where there is none."""
    if data.graph is None:
        return None
    domains = data.graph.domains
    sizes = [len(data.vocabularies[domain]) for domain in domains]
    offsets = dict(zip(domains, np.cumsum([0, *sizes]).tolist(), strict=False))
    sources, targets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    ends: dict[str, NDArray[np.int64]] = {}
    times: dict[str, NDArray[np.float64]] = {}
    for edges in data.graph.relations:
        source = offsets[edges.source_domain] + np.asarray(edges.source, np.int64)
        target = offsets[edges.target_domain] + np.asarray(edges.target, np.int64)
        sources.append(source)
        targets.append(target)
        if edges.key_domain is not None:
            count = len(data.vocabularies[edges.key_domain])
            table = ends.setdefault(edges.key_domain, np.full((count, 2), -1, np.int64))
            table[edges.key] = np.stack([source, target], axis=1)
            if edges.time is not None:
                moments = times.setdefault(edges.key_domain, np.zeros(count))
                moments[edges.key] = edges.time
    everything = np.concatenate(sources), np.concatenate(targets)
    kinds = [edges.edge_type for edges in data.graph.relations]
    relations = tuple(dict.fromkeys(kinds))
    number = np.array([relations.index(kind) for kind in kinds], np.int64)
    relation = np.repeat(number, [len(edges) for edges in data.graph.relations])
    return NodeGraph(offsets, sum(sizes), *everything, ends, times, relation, relations)


def typed_links(graph: NodeGraph, relations: Sequence[tuple[str, str, str]]) -> NDArray[np.int64]:
    """``int64[3, m]``: source, target and relation of each link, by target.

    Each edge is one link forwards, under the position of its relation in ``relations``, and
    one backwards, under that position and ``len(relations)`` more. Edges of other relations
    are left out.
    """
    number = {relation: i for i, relation in enumerate(relations)}
    of_training = np.array([number.get(relation, -1) for relation in graph.relations], np.int64)
    relation = of_training[graph.relation] if len(of_training) else graph.relation
    keep = relation >= 0
    source, target, relation = graph.source[keep], graph.target[keep], relation[keep]
    source, target = np.concatenate([source, target]), np.concatenate([target, source])
    relation = np.concatenate([relation, relation + len(relations)])
    kinds, count = 2 * max(len(relations), 1), max(graph.node_count, 1)
    keys = np.unique((target * count + source) * kinds + relation)
    pairs, relation = np.divmod(keys, kinds)
    target, source = np.divmod(pairs, count)
    return np.stack([source, target, relation])


def nodes_of_rows(graph: NodeGraph, rows: PredicateRows) -> NDArray[np.int64] | None:
    """``int64[n, j]``: the nodes each row is about, ``-1`` for none.

    A thing that is an edge stands for its two ends. ``None`` where no thing of the
    predicate is in the graph.
    """
    parts = []
    for position, sort in enumerate(rows.sorts):
        things = rows.things[:, position]
        if sort in graph.offsets:
            parts.append((graph.offsets[sort] + things.astype(np.int64))[:, None])
        elif sort in graph.ends:
            parts.append(graph.ends[sort][things])
    return np.concatenate(parts, axis=1) if parts else None


def time_of_rows(graph: NodeGraph, rows: PredicateRows) -> NDArray[np.number] | None:
    """Times of rows that are edges with times, else ``None``.

    The clock of the things is taken where the edges have no times of their own.
    """
    if len(rows.sorts) != 1 or rows.sorts[0] not in graph.ends:
        return None
    times = graph.times.get(rows.sorts[0])
    return rows.time if times is None else times[rows.things[:, 0]]


def needed_graph(
    data: Dataset, rows: PredicateRows, model: str
) -> tuple[NodeGraph, NDArray[np.int64]]:
    """The graph and the nodes of each row.

    Raises:
        ModelError: KR812 where the data has no graph, or none with the predicate's things.
    """
    graph = node_graph(data)
    nodes = nodes_of_rows(graph, rows) if graph is not None else None
    if graph is None or nodes is None:
        missing = (
            "the data has no graph"
            if graph is None
            else (f"no edge of the graph touches {' or '.join(rows.sorts)}")
        )
        raise ModelError(
            f"`{model}` for `{rows.predicate}` needs a graph: {missing}",
            code="KR812",
            help="bind one: `[graph]` in the project file, `graph=EdgeList(...)` in Python"
            if graph is None
            else "bind edges that do; a `gnn` can pool the nodes that a thing holds: `pool=`",
        )
    return graph, nodes


def node_columns(data: Dataset, graph: NodeGraph) -> FeatureTable:
    """Features of every node; columns of other domains are missing.

    Names are prefixed by the domain where there is more than one.

    Raises:
        ModelError: KR811 for an infinite value, naming thing and column.
    """
    tables = {domain: feature_table(data, domain) for domain in graph.offsets}
    for domain, table in tables.items():
        _refuse_infinite(data, domain, table)
    several = len(tables) > 1
    return in_blocks([renamed(t, f"{domain}.") if several else t for domain, t in tables.items()])


def node_inputs(
    data: Dataset, graph: NodeGraph, edge_features: EdgeFeatures = "none"
) -> FeatureTable:
    """Feature tables of the nodes, their log degree, and their domain where several.

    Args:
        data: with a graph.
        graph: of it.
        edge_features: add the means of the features of these edges out of and into each node.
    """
    parts = [node_columns(data, graph), one_column("log degree", np.log1p(graph.degree))]
    return side_by_side([*parts, *_domain(graph), *edge_means(data, graph, edge_features)])


def typed_columns(data: Dataset, graph: NodeGraph) -> FeatureTable:
    """Features of every node, and its domain where there are several; nothing of the edges."""
    return side_by_side([node_columns(data, graph), *_domain(graph)])


def _domain(graph: NodeGraph) -> list[FeatureTable]:
    """The domain of each node as a column, where there are several."""
    if len(graph.offsets) < 2:
        return []
    return [one_column("domain", graph.domain_of_node.astype(float), tuple(graph.offsets))]


def edge_means(data: Dataset, graph: NodeGraph, which: EdgeFeatures) -> list[FeatureTable]:
    """Means over each node's outgoing and incoming edges, a relation at a time.

    A linear message of edge features, averaged, is linear in these means. Categories are
    one-hot over their main values. Missing where a node has no such edge.

    Raises:
        ModelError: KR811 for an infinite value, naming thing and column.
    """
    parts: list[FeatureTable] = []
    for edges in data.graph.relations if data.graph is not None else ():
        if which == "none" or (which == "untimed" and edges.time is not None):
            continue
        table = edge_table(data, edges)
        if not table.names:
            continue
        own = one_hot(table)
        for way, domain, ids in (
            ("out", edges.source_domain, edges.source),
            ("in", edges.target_domain, edges.target),
        ):
            nodes = graph.offsets[domain] + np.asarray(ids, np.int64)
            means = replace(own, values=_means(nodes, own.values, graph.node_count))
            parts.append(renamed(means, f"{edges.name} {way} "))
    return parts


def one_hot(own: FeatureTable) -> FeatureTable:
    """Numeric columns as they are, categorical ones one-hot over their main values."""
    parts = [no_columns(len(own))]
    for name, column, texts in zip(own.names, own.values.T, own.categories, strict=True):
        if texts is None:
            parts.append(one_column(name, column))
            continue
        codes, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        for code in np.sort(codes[np.argsort(-counts, kind="stable")[:MAIN_VALUES]]):
            hot = np.where(np.isnan(column), np.nan, column == code)
            parts.append(one_column(f"{name}={texts[int(code)]}", hot))
    return side_by_side(parts)


def edge_table(data: Dataset, edges: Edges) -> FeatureTable:
    """Features of the edges, and those of the things they are."""
    own = edges.features
    if edges.key_domain is None or edges.key is None:
        return own
    things = feature_table(data, edges.key_domain)
    _refuse_infinite(data, edges.key_domain, things)
    return side_by_side([own, things.take(edges.key)])


def _means(
    group: NDArray[np.int64], values: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """Mean of the present values of each column by group, NaN over none."""
    shape = (count, len(group))
    row = np.arange(len(group))
    of_group = sparse.csr_array((np.ones(len(group), np.float32), (group, row)), shape=shape)
    present = ~np.isnan(values)
    total = of_group @ np.where(present, values, 0).astype(np.float32)
    number = of_group @ present.astype(np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(number > 0, total / number, np.nan).astype(np.float32)


def _refuse_infinite(data: Dataset, domain: str, table: FeatureTable) -> None:
    names = data.vocabularies[domain].name
    refuse(table, np.isinf, "KR811", "infinite", lambda thing: f'{domain} "{names(thing)}"')
