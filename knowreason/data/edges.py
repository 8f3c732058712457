"""Edges for graph models: tables of source, target, time and features, with ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.data.id_tables import Ids
from knowreason.data.name_encoding import UNKNOWN


@dataclass(frozen=True)
class EdgeList:
    """A table of edges and what its columns are, before names become ids.

    ``source``, ``target`` and ``key`` are columns, with the domain after a colon where it
    does not follow from the program (``"src:Host"``): a column called as a named argument
    of a predicate has that argument's domain, and one called as a domain is of it.

    Attributes:
        table: anything :func:`~knowreason.data.binding.frames.read_frame` reads.
        source, target: columns of the nodes.
        key: column of the thing the edge is (an event, a payment), if it is one.
        time: column of times (datetimes, ISO texts) or of numbers.
        features: columns of edge features.
        categorical: those of them whose numbers are codes.
        name: name of the relation; predicate-like, used as PyG's edge type.

    >>> import knowreason as kr
    >>> table = {"payer": ["a", "b"], "payee": ["b", "c"]}
    >>> edges = EdgeList(table, "payer:Node", "payee:Node")
    >>> data = kr.Dataset.from_frames(kr.testing.example_program(), graph=edges)
    >>> data.graph.edges().target
    array([1, 2], dtype=int32)
    """

    table: Any
    source: str
    target: str
    key: str | None = None
    time: str | None = None
    features: Sequence[str] = ()
    categorical: Sequence[str] = ()
    name: str = "to"


@dataclass(frozen=True, eq=False)
class Edges:
    """Encoded edges of one relation, in the order of the table.

    Attributes:
        name: of the relation.
        source_domain, target_domain: domains of the nodes.
        source, target: ``int32[m]`` ids.
        key_domain: domain of the thing an edge is, ``None`` if it is none.
        key: ``int32[m]`` ids of those things.
        time: ``int64[m]`` microseconds (``time_sort`` ``"time"``) or numbers as given.
        time_sort: ``time``, ``int``, ``float`` or ``None``.
        features: ``m`` rows.

    >>> import knowreason as kr
    >>> edges = kr.testing.example_data(payments=5).graph.edges("pays")
    >>> edges.edge_type, len(edges)
    (('Node', 'pays', 'Node'), 5)
    """

    name: str
    source_domain: str
    target_domain: str
    source: Ids
    target: Ids
    features: FeatureTable
    key_domain: str | None = None
    key: Ids | None = None
    time: NDArray[np.int64] | NDArray[np.float64] | None = None
    time_sort: str | None = None

    def __len__(self) -> int:
        return len(self.source)

    @property
    def edge_type(self) -> tuple[str, str, str]:
        """``(source domain, name, target domain)``, as PyG has it."""
        return self.source_domain, self.name, self.target_domain

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> Edges:
        """Some of the edges (indices or mask)."""
        return replace(
            self,
            source=self.source[rows],
            target=self.target[rows],
            key=None if self.key is None else self.key[rows],
            time=None if self.time is None else self.time[rows],
            features=self.features.take(rows),
        )

    def renumbered(self, new_ids: Mapping[str, Ids]) -> Edges:
        """Edges among the things that stay, with their new ids.

        ``new_ids`` maps the old ids of a domain to new ones, -1 for a thing that goes.
        """

        def renumber(domain: str | None, ids: Ids | None) -> Ids | None:
            if ids is None or domain is None or domain not in new_ids:
                return ids
            return new_ids[domain][ids]

        source = renumber(self.source_domain, self.source)
        target = renumber(self.target_domain, self.target)
        key = renumber(self.key_domain, self.key)
        assert source is not None
        assert target is not None
        keep = (source != UNKNOWN) & (target != UNKNOWN)
        if key is not None:
            keep &= key != UNKNOWN
        return replace(self, source=source, target=target, key=key).take(keep)


@dataclass(frozen=True, eq=False)
class GraphTables:
    """The edges of a data set, one :class:`Edges` a relation.

    >>> import knowreason as kr
    >>> kr.testing.example_data(payments=5).graph.domains
    ('Node',)
    """

    relations: tuple[Edges, ...]

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains whose things are nodes, in order of appearance."""
        both = [d for e in self.relations for d in (e.source_domain, e.target_domain)]
        return tuple(dict.fromkeys(both))

    def edges(self, name: str | None = None) -> Edges:
        """The relation of that name; the only one when no name is given.

        Raises:
            KeyError: when there is none, or no single one.
        """
        named = [e for e in self.relations if name is None or e.name == name]
        if len(named) != 1:
            raise KeyError(f"{len(named)} relations called {name!r}")
        return named[0]
