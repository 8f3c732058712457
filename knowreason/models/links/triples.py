"""Triples (head, relation, tail) of a data set as arrays, and negatives that are not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.data.id_tables import id_matrix
from knowreason.errors import ModelError
from knowreason.models.base.feature_columns import relation

if TYPE_CHECKING:
    from knowreason.data import Dataset

DRAWS = 8
TABLE_LIMIT = 1 << 26  # a byte a possible triple
UNSEEN = -1


@dataclass(frozen=True)
class TripleArguments:
    """Which argument of a predicate is what.

    Attributes:
        head, tail: positions of the two entities.
        relation: position of the relation; ``None`` where the predicate itself is one.
    """

    head: int
    tail: int
    relation: int | None = None

    @staticmethod
    def of(data: Dataset, predicate: str) -> TripleArguments:
        """Two arguments are head and tail; of three the relation is the one named so, else the
        one whose domain the other two do not share, else the middle one.

        Raises:
            ModelError: KR880 for another number of arguments.
        """
        sorts = data.program.sorts_of(predicate)
        if len(sorts) == 2:
            return TripleArguments(0, 1)
        if len(sorts) != 3:
            raise ModelError(
                f"`{predicate}` has {len(sorts)} arguments; a link has two, or three with"
                " its relation",
                code="KR880",
            )
        names = [p.arguments for p in data.program.predicates if p.name == predicate]
        named = [
            i for i, argument in enumerate(names[0] if names else ()) if _is_relation(argument)
        ]
        odd = [i for i in range(3) if sorts.count(sorts[i]) == 1]
        middle = named[0] if named else odd[0] if len(odd) == 1 else 1
        head, tail = (i for i in range(3) if i != middle)
        return TripleArguments(head, tail, middle)


@dataclass(frozen=True)
class TripleIndex:
    """Numbers of entities and relations, by name, so that they outlive a data set.

    Attributes:
        domains: of the entities.
        entities: names by domain; the domains' entities follow one another.
        relations: names.
        ranges: ``int64[R, 2, 2]``: first and last + 1 entity that may be a relation's head,
            and its tail.
    """

    domains: tuple[str, ...]
    entities: tuple[tuple[str, ...], ...]
    relations: tuple[str, ...]
    ranges: NDArray[np.int64]

    @staticmethod
    def of(data: Dataset, predicates: Sequence[str]) -> TripleIndex:
        """All things of the domains that the predicates connect, and all relations."""
        places = {name: TripleArguments.of(data, name) for name in predicates}
        sorts = {name: data.program.sorts_of(name) for name in predicates}
        ends = {name: (sorts[name][p.head], sorts[name][p.tail]) for name, p in places.items()}
        domains = tuple(dict.fromkeys(domain for pair in ends.values() for domain in pair))
        entities = tuple(tuple(data.vocabularies[domain]) for domain in domains)
        stops = np.cumsum([len(names) for names in entities])
        span = {
            domain: (int(stop) - len(names), int(stop))
            for domain, names, stop in zip(domains, entities, stops, strict=True)
        }
        ends_of: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {}
        for name, (head, tail) in ends.items():
            at = places[name].relation
            own = [name] if at is None else list(data.vocabularies[sorts[name][at]])
            ends_of |= {each: (span[head], span[tail]) for each in own if each not in ends_of}
        ranges = np.array(list(ends_of.values()), np.int64).reshape(-1, 2, 2)
        return TripleIndex(domains, entities, tuple(ends_of), ranges)

    @property
    def entity_count(self) -> int:
        """Number of entities."""
        return sum(map(len, self.entities))

    def triples(
        self, data: Dataset, predicate: str, arguments: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """Atoms as triples ``int64[n, 3]``, ``-1`` for a thing that has no number here."""
        places, sorts = TripleArguments.of(data, predicate), data.program.sorts_of(predicate)
        columns = [
            self._entity_numbers(data, sorts[places.head])[arguments[:, places.head]],
            np.full(len(arguments), _position(self.relations, predicate), np.int64),
            self._entity_numbers(data, sorts[places.tail])[arguments[:, places.tail]],
        ]
        if places.relation is not None:
            names = pa.array(self.relations, pa.string())
            numbers = _numbers(data, sorts[places.relation], names, 0)
            columns[1] = numbers[arguments[:, places.relation]]
        return np.stack(columns, axis=1)

    def keys(self, triples: NDArray[np.int64]) -> NDArray[np.int64]:
        """One integer a triple."""
        head, middle, tail = triples.T
        keys: NDArray[np.int64] = (head * len(self.relations) + middle) * self.entity_count + tail
        return keys

    def _entity_numbers(self, data: Dataset, domain: str) -> NDArray[np.int64]:
        if domain not in self.domains:
            return np.full(len(data.vocabularies[domain]), UNSEEN, np.int64)
        at = self.domains.index(domain)
        first = sum(len(names) for names in self.entities[:at])
        return _numbers(data, domain, pa.array(self.entities[at], pa.string()), first)


@dataclass(frozen=True)
class Negatives:
    """Draws corrupted triples that are not known to be true.

    Attributes:
        known: keys of the known triples: sorted, ``int64[m]``, or in small graphs
            ``bool[E * R * E]`` by key.
        ranges: ``int64[R, 2, 2]``, see :class:`TripleIndex`.
        entities: number of entities.
        count: how many are drawn a triple; with as many entities or fewer each one is taken.
    """

    known: Tensor
    ranges: Tensor
    entities: int
    count: int

    @staticmethod
    def of(
        index: TripleIndex, known: NDArray[np.int64], count: int, device: torch.device
    ) -> Negatives:
        """From the triples known to be true, ``int64[m, 3]``."""
        keys = torch.from_numpy(np.unique(index.keys(known)))
        possible = index.entity_count**2 * len(index.relations)
        if possible <= TABLE_LIMIT:
            keys = torch.zeros(possible, dtype=torch.bool).index_fill(0, keys, True)
        ranges = torch.from_numpy(index.ranges).to(device)
        return Negatives(keys.to(device), ranges, index.entity_count, count)

    def draw(self, triples: Tensor, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Other heads (``side`` 0) or tails (1) for each triple.

        Args:
            triples: ``int64[b, 3]``.
            side: which end is replaced.
            generator: of random numbers, on the CPU.

        Returns:
            Entities ``int64[b, count]`` (``int64[1, count]`` where all are taken), and
            ``bool[b, count]``, false where a triple is known after all (some ends have no other
            candidate) or of the wrong domain.
        """
        low, high = self.ranges[triples[:, 1], side].unbind(1)
        low, high = low[:, None], high[:, None]
        if self.entities <= self.count:
            every = torch.arange(self.entities, device=triples.device)[None]
            return every, (every >= low) & (every < high) & ~self._known(triples, side, every)
        drawn = self._uniform(low, high, generator)
        wrong = self._known(triples, side, drawn)
        for _ in range(DRAWS):
            if not wrong.any():
                break
            drawn = torch.where(wrong, self._uniform(low, high, generator), drawn)
            wrong = self._known(triples, side, drawn)
        return drawn, ~wrong

    def _uniform(self, low: Tensor, high: Tensor, generator: torch.Generator) -> Tensor:
        share = torch.rand(len(low), self.count, generator=generator).to(low.device)
        return low + (share * (high - low)).long().clamp(max=self.entities - 1)

    def _known(self, triples: Tensor, side: int, others: Tensor) -> Tensor:
        head, middle, tail = (column[:, None] for column in triples.unbind(1))
        if side == 0:
            head = others
        else:
            tail = others
        keys = (head * len(self.ranges) + middle) * self.entities + tail
        if self.known.dtype == torch.bool:
            return self.known[keys]
        at = torch.searchsorted(self.known, keys).clamp(max=len(self.known) - 1)
        return self.known[at] == keys


def known_triples(data: Dataset, index: TripleIndex, predicate: str) -> NDArray[np.int64]:
    """Triples of an observed or defined predicate, ``int64[n, 3]``."""
    table = relation(data, predicate)
    return index.triples(data, predicate, id_matrix(table))


def _is_relation(argument: object) -> bool:
    return getattr(argument, "name", None) == "relation"


def _position(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else UNSEEN


def _numbers(data: Dataset, domain: str, names: pa.StringArray, first: int) -> NDArray[np.int64]:
    """Number of each thing of a domain: its place among ``names`` plus ``first``, or -1."""
    vocabulary = data.vocabularies[domain]
    numbers = np.full(len(vocabulary), UNSEEN, np.int64)
    of_names = vocabulary.ids(names)
    there = of_names >= 0
    numbers[of_names[there]] = first + np.flatnonzero(there)
    return numbers
