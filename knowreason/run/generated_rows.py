"""Rows of generated things and links, in the columns of the tables a project binds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.data.binding.column_reading import ColumnReading, holds_any
from knowreason.data.edges import Edges
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.data.name_encoding import UNKNOWN, one_chunk
from knowreason.data.wall_clocks import wall_clock
from knowreason.logic import Program
from knowreason.models import rows_of
from knowreason.models.diffusion import Synthetic, enlarged
from knowreason.models.diffusion.enlarged_data import Ids, new_names, templates_of_added
from knowreason.project.schema import EdgeBinding, Project, TableBinding

GENERATED = "generated"
PART = "part"
TRAIN, HELD_BACK = "train", "held back"


class GeneratedRows:
    """What each table of a project gains by generated things.

    Args:
        project: whose tables; what they are bound to says what a row is.
        whole: all of its data: no generated thing has a name that is in it.
        train: the part that was learned from.
        synthetic: things and links, in ids of ``train``.
    """

    def __init__(
        self, project: Project, whole: Dataset, train: Dataset, synthetic: Synthetic
    ) -> None:
        self.project, self.train, self.synthetic = project, train, synthetic
        self.program = train.program
        self.world = enlarged(train, synthetic)
        self.added = templates_of_added(train, synthetic)
        self.names = {
            domain: pa.concat_arrays(
                [
                    train.vocabularies[domain].names.cast(pa.string()),
                    new_names(whole.vocabularies[domain], len(templates)),
                ]
            )
            for domain, templates in self.added.items()
        }

    def enlarged(self, name: str, table: pa.Table) -> tuple[str, int, pa.Table]:
        """What a table holds (empty where nothing is bound to it), how many rows are new, and the
        table with them at its end and a column that marks them."""
        edges = self._edges_of(name)
        holds, parts = "", [table]
        if edges:
            holds = "links"
            parts += [self._link_rows(table, name, number, edge) for number, edge in edges]
        elif (key := self._key_of(name)) is not None:
            holds = "labels" if self._only_labels(name) else "things"
            parts.append(self._thing_rows(table, name, *key))
        elif name in self._bound:
            holds = "facts"
        grown = pa.concat_tables(parts)
        new = np.arange(grown.num_rows) >= table.num_rows
        grown = grown.append_column(_free(GENERATED, table), pa.array(new))
        if binding := self._own_labels(name):
            grown = grown.append_column(_free(PART, table), self._part(grown, binding, new))
        return holds, int(new.sum()), grown

    @cached_property
    def _bound(self) -> set[str]:
        project = self.project
        used = {entry.table for entry in project.bind.values()}
        used |= {entry.table for entry in project.features.values()}
        used |= {entry.table for entry in project.domains.values()}
        return used | {entry.table for entry in project.scores.values()}

    def _edges_of(self, name: str) -> list[tuple[int, EdgeBinding]]:
        found = enumerate(self.project.graph.edges)
        return [(number, edge) for number, edge in found if edge.table == name]

    def _bindings(self, name: str) -> Iterator[tuple[str, TableBinding]]:
        return ((n, b) for n, b in self.project.bind.items() if b.table == name)

    def _own_labels(self, name: str) -> TableBinding | None:
        """The binding of the predicate's labels, where they are in this table."""
        binding = self.project.bind.get(self.synthetic.predicate)
        return binding if binding is not None and binding.table == name else None

    def _only_labels(self, name: str) -> bool:
        fed = {entry.table for entry in self.project.features.values()}
        fed |= {entry.table for entry in self.project.domains.values()}
        read = [n for n, _ in self._bindings(name) if n != self.synthetic.predicate]
        return self._own_labels(name) is not None and not read and name not in fed

    def _place(self) -> int:
        """Position of the thing among the predicate's arguments."""
        position = self.program.predicate(self.synthetic.predicate).functional_position
        return 1 if position == 0 else 0

    def _key_of(self, name: str) -> tuple[str, str] | None:
        """Any that names a thing a row is about, and the thing's domain, if any gains things."""
        for domain, entry in self.project.features.items():
            if entry.table == name and domain in self.added:
                return entry.key, domain
        for domain, listed in self.project.domains.items():
            if listed.table == name and domain in self.added:
                return listed.key, domain
        if binding := self._own_labels(name):
            return binding.columns[self._place()], self.synthetic.domain
        asked = {open_.name for open_ in self.program.open_predicates}
        for predicate, binding in self._bindings(name):
            sorts = self.program.sorts_of(predicate)
            if len(sorts) == 1 and sorts[0] in self.added and predicate not in asked:
                return binding.columns[0], sorts[0]
        for predicate, scores in self.project.scores.items():
            sorts = self.program.sorts_of(predicate)
            if scores.table == name and len(sorts) == 1 and sorts[0] in self.added:
                return scores.key[0], sorts[0]
        return None

    def _thing_rows(self, table: pa.Table, name: str, key: str, domain: str) -> pa.Table:
        """A row for each added thing that its template has one for."""
        ids = self.train.vocabularies[domain].ids(table.column(key))
        first = _first(ids, self.train.count(domain))
        templates = self.added[domain]
        rows = first[templates]
        own = np.arange(len(templates)) < len(self.synthetic)
        made = domain == self.synthetic.domain
        keep = rows >= 0
        if made:
            entry = self.project.features.get(domain)
            listed = self.project.domains.get(domain)
            keep |= own & any(one is not None and one.table == name for one in (entry, listed))
            keep &= own | (not self._only_labels(name))
            keep = self._listed(name, keep)
        number = np.flatnonzero(keep)
        new = self._like(table, name, rows[number])
        names = self.names[domain].take(pa.array(self.train.count(domain) + number))
        new = _with(new, key, names)
        for column, values in self._values(table, name, domain, number):
            new = _with(new, column, values)
        return self._labelled(new, name, number) if made else new

    def _listed(self, name: str, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which things have a row in a table of those of which an observed predicate holds, where
        whether it does was generated."""
        columns = self.synthetic.columns
        bound = [n for n, _ in self._bindings(name)]
        observed = {p.name for p in self.program.predicates if not p.is_open}
        if len(bound) != 1 or bound[0] not in columns.names or bound[0] not in observed:
            return keep
        held = columns.values[:, columns.names.index(bound[0])] > 0.5
        listed: NDArray[np.bool_] = np.concatenate([held, np.ones(len(keep) - len(held), bool)])
        return keep & listed

    def _link_rows(self, table: pa.Table, name: str, number: int, edge: EdgeBinding) -> pa.Table:
        """A row for each added edge of a relation."""
        assert self.train.graph is not None
        assert self.world.graph is not None
        old, grown = self.train.graph.relations[number], self.world.graph.relations[number]
        new = grown.take(np.arange(len(old), len(grown)))
        more = next((e for e in self.synthetic.edges if e.relation == number), None)
        if more is None:
            return table.slice(0, 0)
        like = old.take(more.template)
        filled = self._like(table, name, self._rows_of_edges(table, edge, old, like))
        ends = [(edge.source, new.source_domain, new.source)]
        ends.append((edge.target, new.target_domain, new.target))
        if edge.key is not None and new.key is not None and new.key_domain is not None:
            ends.append((edge.key, new.key_domain, new.key))
            first = self.train.count(new.key_domain)
            for column, values in self._values(table, name, new.key_domain, new.key - first):
                filled = _with(filled, column, values)
        for column, domain, ids in ends:
            filled = _with(filled, column.partition(":")[0], self._named(domain, ids))
        for column, values in _feature_values(edge.features, new):
            filled = _with(filled, column, values)
        if edge.time is not None and new.time is not None:
            times: pa.Array = pa.array(new.time)
            if new.time_sort == "time":
                times = times_of_column(times, table.schema.field(edge.time).type, self.program)
            cells = ColumnReading(format=edge.format).written(times)
            filled = _with(filled, edge.time, cells)
        return filled

    def _rows_of_edges(
        self, table: pa.Table, edge: EdgeBinding, old: Edges, like: Edges
    ) -> NDArray[np.int64]:
        """The first row of the table with each edge's thing, or with its two ends."""
        places = ((edge.source, old.source_domain), (edge.target, old.target_domain))
        if edge.key is not None and old.key_domain is not None and like.key is not None:
            column = edge.key.partition(":")[0]
            ids = self.train.vocabularies[old.key_domain].ids(table.column(column))
            return _first(ids, self.train.count(old.key_domain))[like.key]
        source, target = (
            self.train.vocabularies[domain].ids(table.column(column.partition(":")[0]))
            for column, domain in places
        )
        size = self.train.count(old.target_domain)
        keys = np.where((source < 0) | (target < 0), -1, source.astype(np.int64) * size + target)
        order = np.argsort(keys, kind="stable")
        asked = like.source.astype(np.int64) * size + like.target
        rows: NDArray[np.int64] = order[np.searchsorted(keys[order], asked)]
        return rows

    def _named(self, domain: str, ids: Ids) -> Any:
        names = self.names.get(domain, self.train.vocabularies[domain].names)
        return names.take(pa.array(ids))

    def _like(self, table: pa.Table, name: str, rows: NDArray[np.int64]) -> pa.Table:
        """Rows of a table again: columns that something reads, labels and all else null."""
        copied = table.take(pa.array(rows, mask=rows < 0))
        read = self._read(name)
        for column in table.column_names:
            if column not in read:
                copied = _with(copied, column, pa.nulls(len(rows)))
        return copied

    def _read(self, name: str) -> set[str]:
        """Columns of a table that are read, those of truths left out."""
        read: set[str] = set()
        for predicate, binding in self._bindings(name):
            own = predicate == self.synthetic.predicate
            read |= set(binding.columns) | {binding.value or ""}
            read |= {binding.weight or ""} if own else set()
        for entry in self.project.features.values():
            read |= {entry.key, *entry.columns} if entry.table == name else set()
        for listed in self.project.domains.values():
            read |= {listed.key} if listed.table == name else set()
        for scores in self.project.scores.values():
            read |= {*scores.key, *scores.columns} if scores.table == name else set()
        for _, edge in self._edges_of(name):
            read |= {end.partition(":")[0] for end in (edge.source, edge.target, edge.key or "")}
            read |= {edge.time or "", *edge.features}
        return read

    def _values(
        self, rows: pa.Table, name: str, domain: str, number: NDArray[np.integer]
    ) -> Iterator[tuple[str, Any]]:
        """Columns of a table and what was generated for some of a domain's added things."""
        entry = self.project.features.get(domain)
        ids = self.train.count(domain) + number
        if entry is not None and entry.table == name and domain == self.synthetic.domain:
            table = self.world.features[domain]
            for column in entry.columns:
                place = table.names.index(column)
                yield column, _as_column(table.values[ids, place], table.categories[place])
        clock = self.program.clock_of(domain)
        decoded = {*self.synthetic.columns.names, *((clock.name,) if clock else ())}
        for attribute, binding in self._bindings(name):
            sorts = self.program.sorts_of(attribute) if attribute in decoded else ()
            if sorts == (domain,) and binding.value and attribute in self.world.attributes:
                held: pa.Table = self.world.attributes[attribute]
                row = np.full(len(self.names[domain]), UNKNOWN)
                row[id_columns(held)[0]] = np.arange(held.num_rows)
                taken = pa.array(row[ids], mask=row[ids] < 0)
                values = held.column(VALUE).take(taken)
                if clock and attribute == clock.name and clock.sort == "time":
                    kind = rows.schema.field(binding.value).type
                    values = times_of_column(values, kind, self.program)
                yield binding.value, binding.reading.written(values)

    def _labelled(self, table: pa.Table, name: str, number: NDArray[np.int64]) -> pa.Table:
        """The rows with the labels of generated things; copies of real ones have none."""
        binding = self._own_labels(name)
        if binding is None:
            return table
        ours = number < len(self.synthetic)
        state = self.synthetic.labels[np.where(ours, number, 0)]
        rows = rows_of(self.train, self.synthetic.predicate)
        if rows.classes is None:
            label, named = state, None
        else:
            label, named = (
                np.ones(len(state), np.int64),
                pa.array(rows.classes).take(pa.array(state)),
            )
        if named is not None:
            column = binding.columns[1 - self._place()]
            table = _with(table, column, pc.if_else(pa.array(ours), named, None))
        if binding.label is not None:
            cells = binding.reading.written(pa.array(label, mask=~ours))
            table = _with(table, binding.label, cells)
        return table

    def _part(self, table: pa.Table, binding: TableBinding, new: NDArray[np.bool_]) -> pa.Array:
        """Whether each label was learned from or held back; null where there is none."""
        key = table.column(binding.columns[self._place()])
        ids = self.train.vocabularies[self.synthetic.domain].ids(key)
        seen = np.zeros(self.train.count(self.synthetic.domain) + 1, bool)
        rows = rows_of(self.train, self.synthetic.predicate)
        seen[rows.things[rows.labelled, 0]] = True
        learned = seen[ids] & (ids >= 0) | new
        known = _known(table, binding)
        part = pa.array(np.where(learned, TRAIN, HELD_BACK).tolist(), pa.string())
        return pc.if_else(pa.array(known), part, None)


def _known(table: pa.Table, binding: TableBinding) -> NDArray[np.bool_]:
    """Rows with a label."""
    column = table.column(binding.label or binding.columns[-1])
    known = pc.is_valid(column)
    if binding.unknown:
        known = pc.and_(known, pc.invert(holds_any(column, binding.unknown)))
    flags: NDArray[np.bool_] = known.to_numpy(zero_copy_only=False)
    return flags


def _first(ids: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """The first row of each id, ``int64[count]``; -1 where it has none."""
    first = np.full(count, UNKNOWN, np.int64)
    there = np.flatnonzero(ids >= 0)[::-1]
    first[ids[there]] = there
    return first


def _feature_values(columns: tuple[str, ...], edges: Edges) -> Iterator[tuple[str, Any]]:
    table = edges.features
    for column in columns:
        place = table.names.index(column)
        yield column, _as_column(table.values[:, place], table.categories[place])


def _as_column(values: NDArray[np.floating], texts: tuple[str, ...] | None) -> Any:
    """Numbers or the names of categories; NaN is null."""
    missing = np.isnan(values)
    if texts is None:
        return pa.array(values.astype(np.float64), mask=missing)
    return pa.array(texts, pa.string()).take(
        pa.array(np.where(missing, 0, values).astype(int), mask=missing)
    )


def times_of_column(
    times: pa.Array | pa.ChunkedArray, kind: pa.DataType, program: Program
) -> pa.Array:
    """Microseconds since 1970 UTC as a column of that type has them: times without a zone, and
    texts, are what clocks in the program's zone show."""
    whole = one_chunk(times.cast(pa.int64()))
    if pa.types.is_timestamp(kind) and kind.tz:
        return whole.cast(pa.timestamp("us"))
    shown = wall_clock(whole.fill_null(0).to_numpy(), program.zone)
    return pa.array(shown, mask=~whole.is_valid().to_numpy(False)).cast(pa.timestamp("us"))


def _with(table: pa.Table, column: str, values: Any) -> pa.Table:
    """The table with other values in a column, of the column's type: fractions of a whole number
    are rounded."""
    kind = table.schema.field(column).type
    if pa.types.is_integer(kind) and pa.types.is_floating(values.type):
        values = pc.round(values)
    place = table.column_names.index(column)
    return table.set_column(place, pa.field(column, kind), values.cast(kind, safe=False))


def _free(name: str, table: pa.Table) -> str:
    """The name, with lines under it where the table has such a column."""
    while name in table.column_names:
        name += "_"
    return name
