"""Some rows of a history's tables, kept apart so that others need not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.data.id_tables import VALUE
from knowreason.grounding.arrays.running_totals import CountedRows
from knowreason.grounding.plan.hub_rules import HubRule, hub_rules
from knowreason.logic import Atom, Program, Variable, Wildcard
from knowreason.reasoner.serving.kept_tables import LATE, Ids, Kept, KeptTable, ascending
from knowreason.row_keys import distinct_rows

Group = tuple[str, int, str]
UNDECIDED, FALSE, TRUE = -1, 0, 1
MOST = 1 << 16  # hubs of a call


@dataclass(frozen=True)
class PartTable:
    """Some rows of a kept table, found as the table's are.

    Attributes:
        table: these rows.
        whole: ``int64[n]`` their numbers in the whole table.
    """

    table: KeptTable
    whole: Ids

    @staticmethod
    def of(whole: KeptTable, rows: Ids) -> PartTable:
        """The rows of some numbers, ascending."""
        return PartTable(KeptTable.of(whole.take(rows), False), rows)

    def plus(self, whole: KeptTable, rows: Ids) -> PartTable:
        """With further ones, ascending."""
        if not len(rows):
            return self
        return PartTable(self.table.plus(whole.take(rows)), np.concatenate([self.whole, rows]))

    def rows(self, wanted: Mapping[int, Ids]) -> Ids:
        """Numbers in the whole table, ascending, of rows with a wanted id at each place."""
        return np.sort(self.whole[self.table.rows(wanted)])

    def counts(self, places: tuple[int, ...], key: Ids) -> tuple[Ids, Ids]:
        """How many rows have a key, for each, and one of them (its number in the whole table).

        Args:
            places: one or two.
            key: ids at the place, or both in one number (the first in the upper 32 bits);
                ascending.
        """
        index = self.table.indexes.of(places)
        rows, (low, high) = index.rows, index.bounds(key)
        first = np.zeros(len(key), np.int64)
        there = high > low
        first[there] = self.whole[rows[low[there]]]
        count = high - low
        if self.table.late.num_rows:
            own = self.table.columns[places[0]].astype(np.int64)
            if len(places) > 1:
                own = (own << 32) | self.table.columns[places[1]]
            place = np.searchsorted(key, own)
            place[place == len(key)] = 0
            late = np.flatnonzero(key[place] == own) if len(key) else own[:0]
            count = count + np.bincount(place[late], minlength=len(key))
            first[place[late]] = self.whole[late + self.table.early.num_rows]
        return count, first

    def settled(self) -> PartTable:
        """The same, late rows sorted with the others once they are many."""
        return replace(self, table=self.table.tidied())


@dataclass(frozen=True)
class Projection:
    """A definition that is a table without some places: one row of the table proves each tuple.

    Attributes:
        name: of the table.
        places: of the definition's parameters in it.
        part: rows that prove all tuples, perhaps more than one a tuple.
    """

    name: str
    places: tuple[int, ...]
    part: PartTable

    @staticmethod
    def of(kept: Kept, name: str, places: tuple[int, ...]) -> Projection:
        """Over all rows of the table."""
        table = kept.tables["facts", name]
        rows = np.arange(table.early.num_rows + table.late.num_rows)
        return Projection(name, places, PartTable.of(table, _first(table, places, rows)))

    def settled(self, kept: Kept) -> Projection:
        """The same, without what came twice once that may be much."""
        if self.part.table.late.num_rows <= LATE:
            return self
        table = kept.tables["facts", self.name]
        rows = _first(table, self.places, self.part.whole)
        return replace(self, part=PartTable.of(table, rows))


def _first(table: KeptTable, places: tuple[int, ...], rows: Ids) -> Ids:
    """Rows of some (ascending) that are the first with what they have at some places."""
    if not len(rows):
        return rows
    first, _ = distinct_rows([table.ids(place, rows) for place in places])
    return rows[np.sort(first)]


@dataclass(frozen=True)
class DecidedRows:
    """A table's rows by what is known of their thing; each thing has one row.

    Attributes:
        undecided: the rows of things whose truth is not known; perhaps some that are decided now.
        decided: of the false and of the true.
        stale: how many of ``undecided`` may be decided now.
    """

    undecided: PartTable
    decided: tuple[PartTable, PartTable]
    stale: int = 0

    @staticmethod
    def of(kept: Kept, group: Group) -> DecidedRows | None:
        """Those of a history; ``None`` where a thing has several rows, or none is decided."""
        name, thing, member = group
        table = kept.tables["facts", name]
        rows = np.arange(table.early.num_rows + table.late.num_rows)
        things = table.ids(thing, rows)
        if len(ascending(things)) < len(things):
            return None
        truth = truth_of(kept, member, things)
        if truth is None or not (truth >= 0).any():
            return None
        parts = [PartTable.of(table, rows[truth == own]) for own in (UNDECIDED, FALSE, TRUE)]
        return DecidedRows(parts[0], (parts[1], parts[2]))

    def plus(
        self, before: Kept, grown: Kept, group: Group, data: Dataset, ids: Mapping[str, Ids]
    ) -> DecidedRows | None:
        """With new rows; ``None`` where a thing gets a second one, or evidence comes."""
        name, thing, member = group
        sort = grown.program.sorts_of(name)[thing]
        facts, labels = data.facts.get(name), data.labels.get(member)
        evidence = data.evidence.get(member)
        if evidence is not None and evidence.num_rows:
            return None
        new = _of_things(facts, thing, ids[sort])
        told = _of_things(labels, 0, ids[sort])
        if not len(new) and not len(told):
            return self
        own = ascending(new)
        if len(own) < len(new) or len(before.tables["facts", name].rows({thing: own})):
            return None
        table = grown.tables["facts", name]
        rows = table.rows({thing: ascending(np.concatenate([own, told]))})
        things = table.ids(thing, rows)
        truth = truth_of(grown, member, things)
        if truth is None:
            return None
        parts = [self.undecided, *self.decided]
        made = [
            part.plus(table, rows[truth == own])
            for part, own in zip(parts, (UNDECIDED, FALSE, TRUE), strict=True)
        ]
        return DecidedRows(made[0], (made[1], made[2]), self.stale + len(told))

    def settled(self, kept: Kept, group: Group) -> DecidedRows:
        """The same, without what is decided now once that may be much."""
        name, thing, member = group
        decided = self.decided[0].settled(), self.decided[1].settled()
        if self.stale <= max(LATE, len(self.undecided.whole) // 32):
            return replace(self, undecided=self.undecided.settled(), decided=decided)
        table = kept.tables["facts", name]
        rows = np.sort(self.undecided.whole)
        truth = truth_of(kept, member, table.ids(thing, rows))
        assert truth is not None
        return DecidedRows(PartTable.of(table, rows[truth == UNDECIDED]), decided)


def truth_of(kept: Kept, member: str, things: Ids) -> NDArray[np.int8] | None:
    """``int8[n]`` what is known of each thing, -1 for nothing; ``None`` where two tables speak."""
    truth = np.full(len(things), UNDECIDED, np.int8)
    order = np.argsort(things, kind="stable")
    inside = things[order]
    for kind in ("labels", "evidence"):
        table = kept.tables.get((kind, member))
        if table is None or not len(things):
            continue
        rows = table.rows({0: ascending(inside)})
        if not len(rows):
            continue
        own = table.ids(0, rows)
        values = np.asarray(table.take(rows).column(VALUE)).astype(np.int8)
        at = order[np.searchsorted(inside, own)]
        if (truth[at] != UNDECIDED).any() or len(ascending(own)) < len(own):
            return None
        truth[at] = values
    return truth


def _of_things(table: pa.Table | None, place: int, ids: Ids) -> Ids:
    if table is None or not table.num_rows:
        return np.zeros(0, np.int64)
    found: Ids = ids[table.column(f"a{place}").to_numpy()]
    return found


@dataclass(frozen=True)
class Shortcuts:
    """What spares reading rows of a history at one moment; never changed.

    Attributes:
        hubs: rules whose decided rows are counted.
        decided: rows by what is known, for each group of hub rules.
        projections: by the name of their definition.
    """

    hubs: tuple[HubRule, ...]
    decided: Mapping[Group, DecidedRows]
    projections: Mapping[str, Projection]

    @staticmethod
    def of(kept: Kept) -> Shortcuts:
        """Those of a history."""
        program = kept.program
        projections = {}
        for definition in program.definitions:
            body = definition.body
            places = _projected(definition.parameters, body) if isinstance(body, Atom) else None
            if isinstance(body, Atom) and places and ("facts", body.predicate) in kept.tables:
                projections[definition.name] = Projection.of(kept, body.predicate, places)
        hubs: list[HubRule] = []
        decided: dict[Group, DecidedRows] = {}
        refused: set[Group] = set()
        for index in range(len(program.rules)) if not program.label_readers else ():
            for hub in hub_rules(program, index):
                if hub.group not in decided and hub.group not in refused:
                    fits = ("facts", hub.table) in kept.tables
                    fits &= program.predicate(hub.member).within is None
                    made = DecidedRows.of(kept, hub.group) if fits else None
                    if made is None:
                        refused.add(hub.group)
                    else:
                        decided[hub.group] = made
                if hub.group in decided:
                    hubs.append(hub)
                    break
        return Shortcuts(tuple(hubs), decided, projections)

    def plus(self, before: Kept, grown: Kept, data: Dataset, ids: Mapping[str, Ids]) -> Shortcuts:
        """With new rows; without what they do not fit."""
        projections = {}
        for name, one in self.projections.items():
            table, early = grown.tables["facts", one.name], before.tables["facts", one.name]
            first = early.early.num_rows + early.late.num_rows
            more = np.arange(first, table.early.num_rows + table.late.num_rows)
            projections[name] = replace(one, part=one.part.plus(table, more))
        decided = {}
        for group, rows in self.decided.items():
            made = rows.plus(before, grown, group, data, ids)
            if made is not None:
                decided[group] = made
        return Shortcuts(self._fitting(decided), decided, projections)

    def settled(self, kept: Kept) -> Shortcuts:
        """The same as what others may grow from."""
        decided = {group: rows.settled(kept, group) for group, rows in self.decided.items()}
        projections = {name: one.settled(kept) for name, one in self.projections.items()}
        return Shortcuts(self.hubs, decided, projections)

    def without_hubs(self) -> Shortcuts:
        """Where all rows are read."""
        return Shortcuts((), {}, self.projections)

    def _fitting(self, decided: Mapping[Group, DecidedRows]) -> tuple[HubRule, ...]:
        return tuple(hub for hub in self.hubs if hub.group in decided)

    def hub(self, rule: str, predicate: str) -> HubRule | None:
        """The hub rule of a name, seen from atoms of its hub."""
        for hub in self.hubs:
            if hub.name == rule and hub.hub == predicate:
                return hub
        return None

    def against(self, hub: HubRule, asked: Mapping[int, Ids]) -> tuple[Ids, Ids] | None:
        """Numbers of rows decided against a rule's member, one a hub, and how many each hub has.

        Args:
            hub: the rule.
            asked: ids by place of the hub's atom.

        Returns:
            ``None`` where the hubs are too many.
        """
        places = hub.places
        if len(asked) < len(places) or np.prod([len(ids) for ids in asked.values()]) > MOST:
            return None
        key = asked[0].astype(np.int64)
        if len(places) > 1:
            key = ((key << 32)[:, None] | asked[1].astype(np.int64)).ravel()
        count, rows = self.decided[hub.group].decided[int(hub.against)].counts(places, key)
        there = count > 0
        return rows[there], count[there]


def counted_rows(
    program: Program,
    found: Mapping[int, tuple[HubRule, list[Ids], Ids]],
    numbers: Mapping[str, Ids],
) -> dict[int, CountedRows]:
    """By rule, what is counted, in the ids of a slice.

    Args:
        program: whose rules they are.
        found: by rule, ids in one row of each hub, by place, and counts.
        numbers: ids of the slice's things in the history, by domain.
    """
    made = {}
    for index, (hub, columns, count) in found.items():
        sorts = program.sorts_of(hub.table)
        used = {*hub.places, *hub.variables}
        ids = {
            place: np.searchsorted(numbers[sorts[place]], columns[place])
            if sorts[place] in numbers
            else columns[place]
            for place in used
        }
        things = [ids[place] for place in hub.places]
        example = [ids[place] for place in hub.variables]
        made[index] = CountedRows(hub.member, hub.hub, things, example, count, hub.positive)
    return made


def _projected(parameters: tuple[Variable, ...], body: Atom) -> tuple[int, ...] | None:
    """Places of parameters in an atom over them and ``_``."""
    names = [a.name if isinstance(a, Variable) else "" for a in body.arguments]
    plain = all(isinstance(a, Variable | Wildcard) for a in body.arguments)
    own = [parameter.name for parameter in parameters]
    if not plain or sorted(name for name in names if name) != sorted(own):
        return None
    return tuple(names.index(name) for name in own)
