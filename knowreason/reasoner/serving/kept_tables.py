"""A history kept ready: tables of ids that are found by what stands in them, and grow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data import Dataset, Vocabulary
from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.logic import Program
from knowreason.reasoner.serving.stored_names import FoundNames, StoredNames
from knowreason.row_keys import sorting_order

Ids = NDArray[Any]  # of integers
Key = tuple[str, str]  # which tables of a data set, and of what
TABLES = ("facts", "attributes", "evidence", "labels")
SPARSE = 4  # ids a row, up to which the rows of each are found without a search
COMBINATIONS = 256  # of values of two places that are looked up together
LATE = 4096  # rows that are scanned until they are sorted with the others, and at least 1 in 32
NOTHING = np.zeros(0, np.int64)


@dataclass(frozen=True)
class RowsByValue:
    """Rows by the values of a place, or of two in one number.

    Attributes:
        rows: in the order of their values.
        values: ascending; where they are not ``starts``.
        starts: first place of each id in ``rows``, and the end: nothing is searched for.
    """

    rows: Ids
    values: Ids
    starts: Ids | None

    @staticmethod
    def of(values: Ids, *, are_ids: bool) -> RowsByValue:
        """That of the values of all rows."""
        order = sorting_order(values)
        rows = np.arange(len(values)) if order is None else order.astype(np.int64)
        if are_ids and len(values) and int(values.max()) < SPARSE * len(values):
            starts = np.zeros(int(values.max()) + 2, np.int64)
            np.cumsum(np.bincount(values), out=starts[1:])
            return RowsByValue(rows, values[:0], starts)
        return RowsByValue(rows, values if order is None else values[order], None)

    def bounds(self, wanted: Ids) -> tuple[Ids, Ids]:
        """First place of each wanted value in ``rows``, and the end."""
        if self.starts is None:
            return self.values.searchsorted(wanted), self.values.searchsorted(wanted, "right")
        top = len(self.starts) - 1
        return self.starts[np.minimum(wanted, top)], self.starts[np.minimum(wanted + 1, top)]


@dataclass
class _Indexes:
    """Indexes of the places of a table; made when first asked for."""

    columns: list[Ids]
    made: dict[tuple[int, ...], RowsByValue] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def of(self, places: tuple[int, ...]) -> RowsByValue:
        """That of one place, or of two: the first in the upper 32 bits."""
        if places not in self.made:
            with self.lock:
                if places not in self.made:
                    values = self.columns[places[0]].astype(np.int64)
                    if len(places) > 1:
                        values = (values << 32) | self.columns[places[1]]
                    self.made[places] = RowsByValue.of(values, are_ids=len(places) == 1)
        return self.made[places]


@dataclass(frozen=True)
class KeptTable:
    """A table of ids whose rows are found by the ids in them.

    Attributes:
        early: most rows; sorted by a place once somebody asks by it.
        late: rows that came since.
        columns: their ids, the value's too where it is a thing.
        indexes: of ``early``.
    """

    early: pa.Table
    late: pa.Table
    columns: list[Ids]
    indexes: _Indexes
    of_things: bool

    @staticmethod
    def of(table: pa.Table, of_things: bool) -> KeptTable:
        """The table, nothing of it late."""
        indexes = _Indexes(_columns(table, of_things))
        late = table.slice(0, 0)
        return KeptTable(table, late, _columns(late, of_things), indexes, of_things)

    def plus(self, more: pa.Table) -> KeptTable:
        """With more rows."""
        if more.schema != self.late.schema:
            more = more.cast(self.late.schema)
        late = pa.concat_tables([self.late, more]) if self.late.num_rows else more
        if late.column(0).num_chunks > 8 if late.num_columns else False:
            late = late.combine_chunks()
        columns = [
            np.concatenate([own, more.column(place).to_numpy()])
            for place, own in enumerate(self.columns)
        ]
        return replace(self, late=late, columns=columns)

    def tidied(self) -> KeptTable:
        """With the late rows among the others, once they are many."""
        if self.late.num_rows <= max(LATE, self.early.num_rows // 32):
            return self
        whole = pa.concat_tables([self.early, self.late]).combine_chunks()
        made = KeptTable.of(whole, self.of_things)
        for places in list(self.indexes.made):
            made.indexes.of(places)
        return made

    def rows(self, wanted: Mapping[int, Ids]) -> Ids:
        """Rows (ascending, distinct) that have one of the wanted ids at each of the places."""
        count = self.early.num_rows
        if not wanted:
            return np.arange(count + self.late.num_rows)
        for ids in wanted.values():
            if not len(ids):
                return NOTHING
        found = self._early(wanted)
        there: NDArray[np.bool_] | None = None
        for place, ids in wanted.items():
            column = self.columns[place]
            if not len(column):
                return found
            own = among(column, ids)
            there = own if there is None else there & own
        assert there is not None
        later = there.nonzero()[0]
        return np.concatenate([found, later + count]) if len(later) else found

    def count(self, wanted: Mapping[int, Ids]) -> float:
        """At most so many rows of the early ones :meth:`rows` finds."""
        least = float(self.early.num_rows)
        for place, ids in wanted.items():
            low, high = self.indexes.of((place,)).bounds(ids)
            least = min(least, float((high - low).sum()))
        return least

    def _early(self, wanted: Mapping[int, Ids]) -> Ids:
        places = tuple(wanted)
        if len(places) > 1:
            order = sorted(wanted, key=lambda place: len(wanted[place]))
            places = tuple(sorted(order[:2]))
        if len(places) == 1:
            keys = wanted[places[0]]
        elif len(wanted[places[0]]) * len(wanted[places[1]]) <= COMBINATIONS:
            one, two = (wanted[place].astype(np.int64) for place in places)
            keys = ((one << 32)[:, None] | two).ravel()
        else:
            places = (min(places, key=lambda p: self.count({p: wanted[p]})),)
            keys = wanted[places[0]]
        index = self.indexes.of(places)
        rows, (low, high) = index.rows, index.bounds(keys)
        if len(low) == 1:
            found = rows[low[0] : high[0]].copy()
        else:
            counts = high - low
            start = (low - counts.cumsum() + counts).repeat(counts)
            found = rows[start + np.arange(len(start))]
        found.sort()
        for place, ids in wanted.items():
            if place not in places and len(found):
                found = found[among(self.indexes.columns[place][found], ids)]
        return found

    def ids(self, place: int, rows: Ids) -> Ids:
        """Ids at a place of some rows (ascending)."""
        count = self.early.num_rows
        if not len(rows) or rows[-1] < count:
            return self.indexes.columns[place][rows].astype(np.int64)
        cut = int(rows.searchsorted(count))
        early = self.indexes.columns[place][rows[:cut]]
        late = self.columns[place][rows[cut:] - self.early.num_rows]
        return np.concatenate([early, late]).astype(np.int64)

    def take(self, rows: Ids) -> pa.Table:
        """Some rows (ascending)."""
        cut = int(rows.searchsorted(self.early.num_rows))
        parts = [self.early.take(pa.array(rows[:cut]))] if cut else []
        if cut < len(rows):
            parts.append(self.late.take(pa.array(rows[cut:] - self.early.num_rows)))
        return pa.concat_tables(parts).combine_chunks() if parts else self.early.slice(0, 0)

    def values(self, rows: Ids) -> dict[str, pa.Array | pa.ChunkedArray]:
        """What some rows (ascending) hold besides ids, by column."""
        count = self.early.num_rows
        cut = int(rows.searchsorted(count))
        early, late = pa.array(rows[:cut]), pa.array(rows[cut:] - count)
        found = {}
        for name in self.early.column_names[len(self.columns) :]:
            own = self.early.column(name).take(early)
            if cut < len(rows):
                more = self.late.column(name).take(late)
                own = pa.chunked_array([*own.chunks, *more.chunks]).combine_chunks()
            found[name] = own
        return found


def _columns(table: pa.Table, of_things: bool) -> list[Ids]:
    columns = id_columns(table)
    return [*columns, table.column(VALUE).to_numpy()] if of_things else columns


def among(values: Ids, ids: Ids) -> NDArray[np.bool_]:
    """Whether each value is one of some ids, which are ascending and not none."""
    if len(ids) == 1:
        return np.asarray(values == ids[0])
    place = ids.searchsorted(values)
    place[place == len(ids)] = 0
    return np.asarray(ids[place] == values)


def ascending(ids: Ids) -> Ids:
    """The distinct ids in order."""
    if len(ids) < 2:
        return ids
    ordered = ids.copy()
    ordered.sort()
    kept = np.empty(len(ordered), bool)
    kept[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=kept[1:])
    return ordered if kept.all() else ordered[kept]


def without(ids: Ids, others: Ids) -> Ids:
    """The ids that are not among others, which are ascending."""
    return ids[~among(ids, others)] if len(others) else ids


@dataclass
class ThingNames:
    """ThingNames of a domain's things; ids are theirs for good.

    A snapshot of the history knows those whose id is below its own count.
    """

    first: pa.StringArray
    more: list[str]
    ids: dict[str, int] | StoredNames | FoundNames

    @staticmethod
    def of(vocabulary: Vocabulary, *, asked_often: bool = True) -> ThingNames:
        """Those of a vocabulary."""
        names = vocabulary.names
        if not asked_often:
            return ThingNames(names, [], FoundNames(vocabulary))
        return ThingNames(names, [], dict(zip(names.to_pylist(), range(len(names)), strict=True)))

    def whole(self, count: int) -> pa.StringArray:
        """The first ones, so many."""
        more = pa.array(self.more[: count - len(self.first)], pa.string())
        return pa.concat_arrays([self.first, more])

    def taken(self, ids: Ids, new: Sequence[str], count: int) -> pa.StringArray:
        """ThingNames of ids (ascending); ``new`` are those from ``count`` on."""
        cut, far = np.searchsorted(ids, [len(self.first), count]).tolist()
        late = [self.more[i - len(self.first)] for i in ids[cut:far].tolist()]
        late += [new[i - count] for i in ids[far:].tolist()]
        early = self.first.take(pa.array(ids[:cut]))
        return pa.concat_arrays([early, pa.array(late, pa.string())])


@dataclass(frozen=True)
class Kept:
    """A history at one moment; never changed.

    Attributes:
        program: what its tables are about.
        tables: by their keys.
        counts: number of things by domain.
        data: what it began with: options, features, members of enumerated domains.
        names: by domain that is not enumerated.
        new: names of things that only this moment knows.
        sizes: by domain, how many are not ``new``.
    """

    program: Program
    tables: Mapping[Key, KeptTable]
    counts: Mapping[str, int]
    data: Dataset
    names: Mapping[str, ThingNames]
    new: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @staticmethod
    def of(data: Dataset, *, asked_often: bool = True) -> Kept:
        """A history of a data set.

        Args:
            data: the data set.
            asked_often: whether names are looked up all the time, or now and then.
        """
        things = {a.name for a in data.program.attributes if a.sort in data.vocabularies}
        tables = {
            key: KeptTable.of(table.combine_chunks(), key[1] in things and key[0] == "attributes")
            for key, table in _tables(data)
        }
        names = {
            domain: ThingNames.of(vocabulary, asked_often=asked_often)
            for domain, vocabulary in data.vocabularies.items()
            if not vocabulary.enumerated
        }
        counts = {domain: len(v) for domain, v in data.vocabularies.items()}
        return Kept(data.program, tables, counts, data, names)

    def table(self, name: str) -> KeptTable | None:
        """That of an observed predicate or an attribute."""
        return self.tables.get(("facts", name)) or self.tables.get(("attributes", name))

    def plus(self, data: EncodedTables) -> tuple[Kept, dict[str, Ids]]:
        """The history with the rows of another data set, and the ids of that one's things."""
        ids: dict[str, Ids] = {}
        counts, new = dict(self.counts), {}
        for domain, vocabulary in data.vocabularies.items():
            if domain not in self.names:
                ids[domain] = np.arange(len(vocabulary))
                continue
            known, count = self.names[domain].ids, self.counts[domain]
            names = vocabulary.names.to_pylist()
            added: list[str] = []
            own: list[int] = []
            for name in names:
                id = known.get(name, count)
                own.append(id if id < count else count + len(added))
                if id >= count:
                    added.append(name)
            ids[domain] = np.array(own, np.int64)
            counts[domain], new[domain] = count + len(added), added
        tables = dict(self.tables)
        for key, table in _tables(data):
            if table.num_rows:
                tables[key] = tables[key].plus(_renamed(self.program, key[1], table, ids))
        return replace(self, tables=tables, counts=counts, new=new), ids

    def settled(self) -> Kept:
        """The same as a history that others may grow from."""
        for domain, names in self.new.items():
            kept = self.names[domain]
            for name in names:
                kept.more.append(name)
                kept.ids[name] = len(kept.first) + len(kept.more) - 1
        return replace(self, tables={k: t.tidied() for k, t in self.tables.items()}, new={})


def _tables(data: EncodedTables) -> Iterable[tuple[Key, pa.Table]]:
    for kind in TABLES:
        for name, table in getattr(data, kind).items():
            yield (kind, name), table
    for name, scores in data.scores.items():
        columns = {f"a{i}": pa.array(ids, pa.int32()) for i, ids in enumerate(scores.arguments.T)}
        yield ("scores", name), pa.table({**columns, **scores.values})


def _renamed(program: Program, name: str, table: pa.Table, ids: Mapping[str, Ids]) -> pa.Table:
    """The table with other ids."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    sorts = dict(zip(columns, program.sorts_of(name), strict=False))
    of_value = next((a.sort for a in program.attributes if a.name == name), "")
    if of_value in ids:
        sorts[VALUE] = of_value
    for title, sort in sorts.items():
        columns[title] = pa.array(ids[sort][columns[title].to_numpy()], pa.int32())
    return pa.table(columns)
