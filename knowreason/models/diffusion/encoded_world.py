"""What the autoencoder sees of a data set: columns, degrees, labels and links as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from knowreason.data.features import FeatureTable
from knowreason.models.base.feature_columns import (
    columns_of,
    feature_table,
    one_column,
    side_by_side,
)
from knowreason.models.base.model_protocol import KnowledgeModel, options_of
from knowreason.models.base.predicate_rows import UNKNOWN, PredicateRows
from knowreason.models.diffusion.column_marginals import Marginals

if TYPE_CHECKING:
    from knowreason.data import Dataset
    from knowreason.data.edges import Edges

DEGREE = "(degree) "


@dataclass(frozen=True, eq=False)
class DomainLinks:
    """Edges between two domains, of one relation or several.

    Attributes:
        source_domain, target_domain: of the ends.
        source, target: ``int64[m]`` ids within the domains.
        relation: ``int64[m]``, position in ``data.graph.relations``.
        row: ``int64[m]``, row of that relation.
        time: ``float32[m]``, as a share of the span of all times, NaN where there is none.
        symmetric: whether each pair is listed both ways.
    """

    source_domain: str
    target_domain: str
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    relation: NDArray[np.int64]
    row: NDArray[np.int64]
    time: NDArray[np.float32]
    symmetric: bool

    @property
    def relations(self) -> NDArray[np.int64]:
        """The relations in it, in order."""
        return np.unique(self.relation)

    def degree(self, domain: str, count: int) -> NDArray[np.float64]:
        """``float64[count]``, edges of each thing of a domain at either end."""
        total = np.zeros(count)
        if domain == self.source_domain:
            total += np.bincount(self.source, minlength=count)
        if domain == self.target_domain and not self.symmetric:
            total += np.bincount(self.target, minlength=count)
        return total

    def partner(self, domain: str) -> str:
        """The domain at the other end."""
        return self.target_domain if domain == self.source_domain else self.source_domain

    def neighbours(self, domain: str, count: int, partners: int) -> sparse.csr_array:
        """0/1 matrix ``[count, partners]`` of the things of a domain and their partners."""
        ends = self.source, self.target
        if domain != self.source_domain:
            ends = ends[1], ends[0]
        elif self.source_domain == self.target_domain:
            ends = np.concatenate(ends), np.concatenate(ends[::-1])
        shape = (count, partners)
        matrix = sparse.csr_array((np.ones(len(ends[0]), np.float32), ends), shape=shape)
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix


@dataclass(frozen=True, eq=False)
class Block:
    """The things of one domain: their columns and the inputs made of them.

    Attributes:
        domain: its name.
        first: number of its first node among all nodes.
        columns: as decoded: own columns and the log degree in each kind of link.
        marginals: how they become inputs.
        x: ``float32[n, width]``.
    """

    domain: str
    first: int
    columns: FeatureTable
    marginals: Marginals
    x: NDArray[np.float32]

    @property
    def nodes(self) -> slice:
        """Its nodes among all nodes."""
        return slice(self.first, self.first + len(self.x))


@dataclass(frozen=True, eq=False)
class World:
    """Everything the autoencoder is trained on.

    Attributes:
        domain: domain of the predicate's things.
        blocks: one a domain; that of ``domain`` is among them.
        links: one a pair of domains.
        labels: ``int64[n]`` state of each thing of ``domain``, ``states`` where unknown.
        states: number of states.
        span: earliest time of all edges, and how far the latest is from it.
    """

    domain: str
    blocks: tuple[Block, ...]
    links: tuple[DomainLinks, ...]
    labels: NDArray[np.int64]
    states: int
    span: tuple[float, float] = (0.0, 1.0)

    @property
    def own(self) -> Block:
        """The block of ``domain``."""
        return self.block(self.domain)

    def block(self, domain: str) -> Block:
        """The block of a domain."""
        return next(block for block in self.blocks if block.domain == domain)

    @property
    def node_count(self) -> int:
        """Number of nodes of all domains."""
        return sum(len(block.x) for block in self.blocks)

    @property
    def own_links(self) -> tuple[DomainLinks, ...]:
        """Links with an end in ``domain``."""
        return tuple(
            link for link in self.links if self.domain in (link.source_domain, link.target_domain)
        )

    @cached_property
    def heterogeneous(self) -> bool:
        """Whether there are several domains, kinds of link, or times."""
        timed = any(not np.isnan(link.time).all() for link in self.links)
        relations = sum(len(link.relations) for link in self.links)
        return len(self.blocks) > 1 or relations > 1 or timed


def world_of(data: Dataset, rows: PredicateRows, classifier: KnowledgeModel | None = None) -> World:
    """The world of a predicate of one thing.

    Args:
        data: with a graph or without.
        rows: of the predicate, with the labels that may be seen.
        classifier: what it names as ``features`` is decoded too.
    """
    domain = rows.sorts[0]
    links = tuple(_links(data))
    graph_domains = data.graph.domains if data.graph is not None else ()
    blocks: list[Block] = []
    first = 0
    for name in graph_domains if domain in graph_domains else (domain,):
        columns = own_columns(data, rows, classifier) if name == domain else None
        blocks.append(_block(data, name, first, links, columns))
        first += len(blocks[-1].x)
    labels = np.full(len(data.vocabularies[domain]), rows.states, np.int64)
    labelled = rows.labels != UNKNOWN
    labels[rows.things[labelled, 0]] = rows.labels[labelled]
    here = {block.domain for block in blocks}
    inside = tuple(link for link in links if link.source_domain in here)
    return World(domain, tuple(blocks), inside, labels, rows.states, time_span(data))


def own_columns(
    data: Dataset, rows: PredicateRows, classifier: KnowledgeModel | None
) -> FeatureTable:
    """Columns of every thing of the domain: its table, and what the classifier names."""
    count = len(data.vocabularies[rows.sorts[0]])
    every = replace(
        rows,
        things=np.arange(count, dtype=np.int32)[:, None],
        labels=np.full(count, UNKNOWN, np.int32),
        time=None,
    )
    return columns_of(data, every, ("*", *named_features(classifier)))


def named_features(model: KnowledgeModel | None) -> tuple[str, ...]:
    """What a model, or a model inside it, names as ``features``."""
    if model is None:
        return ()
    options = options_of(model)
    inside = [value for value in options.values() if isinstance(value, KnowledgeModel)]
    features = options.get("features")
    names = list(features) if isinstance(features, tuple) else []
    names += [name for one in inside for name in named_features(one)]
    return tuple(dict.fromkeys(name for name in names if name != "*"))


def _block(
    data: Dataset,
    domain: str,
    first: int,
    links: tuple[DomainLinks, ...],
    columns: FeatureTable | None,
) -> Block:
    own = feature_table(data, domain) if columns is None else columns
    count = len(data.vocabularies[domain])
    degrees = [
        one_column(degree_name(link), np.log1p(link.degree(domain, count)))
        for link in links
        if domain in (link.source_domain, link.target_domain)
    ]
    table = side_by_side([own, *degrees])
    marginals = Marginals.fit(table)
    return Block(domain, first, table, marginals, marginals.encode(table))


def degree_name(link: DomainLinks) -> str:
    """Name of the column of a log degree."""
    return f"{DEGREE}{link.source_domain} {link.target_domain}"


def time_span(data: Dataset) -> tuple[float, float]:
    """Earliest time of all edges, and how far the latest is from it (at least 1)."""
    times = [
        np.asarray(edges.time, np.float64)
        for edges in (data.graph.relations if data.graph is not None else ())
        if edges.time is not None and len(edges)
    ]
    if not times:
        return 0.0, 1.0
    low, high = min(t.min() for t in times), max(t.max() for t in times)
    return float(low), float(max(high - low, 1e-9))


def _links(data: Dataset) -> Iterator[DomainLinks]:
    relations = data.graph.relations if data.graph is not None else ()
    low, width = time_span(data)
    pairs = dict.fromkeys((e.source_domain, e.target_domain) for e in relations)
    for pair in pairs:
        chosen = [
            (number, edges)
            for number, edges in enumerate(relations)
            if (edges.source_domain, edges.target_domain) == pair
        ]
        source = np.concatenate([edges.source for _, edges in chosen]).astype(np.int64)
        target = np.concatenate([edges.target for _, edges in chosen]).astype(np.int64)
        yield DomainLinks(
            *pair,
            source,
            target,
            np.concatenate([np.full(len(edges), number) for number, edges in chosen]),
            np.concatenate([np.arange(len(edges)) for _, edges in chosen]),
            np.concatenate([_times(edges, low, width) for _, edges in chosen]),
            pair[0] == pair[1] and _both_ways(source, target),
        )


def _times(edges: Edges, low: float, width: float) -> NDArray[np.float32]:
    if edges.time is None:
        return np.full(len(edges), np.nan, np.float32)
    return ((np.asarray(edges.time, np.float64) - low) / width).astype(np.float32)


def _both_ways(source: NDArray[np.int64], target: NDArray[np.int64]) -> bool:
    size = int(max(source.max(initial=0), target.max(initial=0))) + 1
    there, back = np.unique(source * size + target), np.unique(target * size + source)
    return len(there) > 0 and np.array_equal(there, back)
