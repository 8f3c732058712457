"""A grounding brought up to date: only the groundings of atoms that new rows touch are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from knowreason.data import Dataset
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.grounding import Grounding, ground
from knowreason.grounding.arrays.array_context import in_arrays
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.grounding.arrays.scope_steps import FormulaScopes
from knowreason.grounding.atom_numbering import DEFAULT_LIMIT
from knowreason.grounding.folding.touched_rows import Touched
from knowreason.logic import Program
from knowreason.reasoner.serving.dependants import Dependant, Limit, dependants
from knowreason.reasoner.serving.extended_grounding import (
    GroundingPiece,
    extended,
    not_extended,
    refuse_extension,
)
from knowreason.reasoner.serving.kept_parts import Shortcuts
from knowreason.reasoner.serving.kept_tables import LATE, Ids, Kept, ascending, without
from knowreason.reasoner.serving.lookup_plans import LookupPlan
from knowreason.reasoner.serving.program_lookups import Lookups, is_recursive
from knowreason.reasoner.serving.reached_rows import Reached, given_at
from knowreason.reasoner.serving.slices import slice_of
from knowreason.row_keys import row_keys

Things = Sequence[Ids | None]  # ids at each place, ascending; None for any
Told = Literal["error", "drop"]


def extend(
    before: Grounding,
    data: Dataset,
    *,
    limit: int = DEFAULT_LIMIT,
    memory_limit: str = "4GB",
    threads: int | None = None,
    hard_violations: Told = "error",
    most: float = 0.5,
) -> tuple[Grounding, int]:
    """What :func:`knowreason.grounding.ground` makes of data, from a grounding of fewer rows.

    From the new rows go lookups through definitions and rules to all atoms that may stand in
    another ground factor now. Of these the groundings are made once over the old rows around
    them, to know what falls away, and once over the new ones.

    Args:
        before: without models; ``before.data`` are its rows.
        data: of the same program; the same rows, and more.
        limit, memory_limit, threads, hard_violations: as for that function.
        most: share of the earlier atoms; where new rows touch more, all is grounded anew.

    Returns:
        The grounding, and how many of its atoms were touched.

    Raises:
        GroundingError: KR655 where rows are gone, or the program has rules whose groundings
            cannot be exchanged; and as :func:`ground`.
    """
    program = data.program
    refuse_extension(program)
    for definition in program.definitions:
        if is_recursive(program, definition.name):
            raise not_extended(f"`{definition.name}` rests on itself")
    moved = {domain: _moved(before.data, data, domain) for domain in data.vocabularies}
    earlier = Kept.of(replace(before.data, program=program), asked_often=False)
    kept = _grown(earlier, Kept.of(data, asked_often=False))
    dirty = _Dirty.of(program, kept)
    dirty.see_rows(before.data, data, moved)
    if any(rule.weight.kind == "hard" for rule in program.rules):  # labels may drop them
        dirty.see_labels(before.data, data, moved)
    asked = dirty.atoms()
    touched = _touched(program, asked, {d: np.arange(n) for d, n in kept.counts.items()})
    options: dict[str, Any] = {"limit": limit, "memory_limit": memory_limit}
    options |= {"threads": threads, "hard_violations": hard_violations}
    if _count(touched, before, moved) > most * before.atoms.count:
        whole = ground(program, data, **options)
        return whole, whole.atoms.count
    old = {
        name: [
            None if ids is None else np.flatnonzero(np.isin(moved[sort], ids))
            for sort, ids in zip(program.sorts_of(name), things, strict=True)
        ]
        for name, things in asked.items()
    }
    removed, removed_things = _around(dirty.lookups, earlier, old, options)
    added, things = _around(dirty.lookups, kept, asked, options)
    own = {d: moved[d][ids] for d, ids in removed_things.items()}
    whole = extended(
        GroundingPiece(before, moved),
        GroundingPiece(removed, own),
        GroundingPiece(added, things),
        data,
        touched,
    )
    return whole, _count(touched, whole, {d: np.arange(n) for d, n in kept.counts.items()})


def _count(touched: Touched, grounding: Grounding, things: Mapping[str, Ids]) -> int:
    """How many atoms of a grounding are touched; ``things`` are what its things are called."""
    program, count = grounding.program, 0
    for name, span in grounding.atoms.spans.items():
        sorts = enumerate(program.sorts_of(name))
        columns = [things[sort][span.arguments[:, place]] for place, sort in sorts]
        count += int(touched.holds(name, columns, span.count).sum())
    return count


def _grown(earlier: Kept, kept: Kept) -> Kept:
    """The kept tables, sorted together with the earlier ones where these are their first rows."""
    same = all(
        one.first.equals(kept.names[domain].first.slice(0, len(one.first)))
        for domain, one in earlier.names.items()
    )
    tables = dict(kept.tables)
    for key, old in earlier.tables.items() if same else ():
        rows = kept.tables[key].early
        count = old.early.num_rows
        few = rows.num_rows - count <= max(LATE, count // 32)
        if few and old.early.cast(rows.schema).equals(rows.slice(0, count)):
            tables[key] = old.plus(rows.slice(count))
    return replace(kept, tables=tables)


def _around(
    lookups: Lookups, kept: Kept, asked: Mapping[str, Things], options: Mapping[str, Any]
) -> tuple[Grounding, dict[str, Ids]]:
    """The groundings of some atoms, and what their things are called in the kept tables."""
    reached = Reached(lookups, kept, Shortcuts((), {}, {}))
    wanted = {
        name: {place: ids for place, ids in enumerate(things) if ids is not None}
        for name, things in asked.items()
    }
    reached.around(wanted)
    rows, numbers = slice_of(kept, reached, {}, {}, closed=False)
    things = {d: numbers.get(d, np.arange(n)) for d, n in kept.counts.items()}
    only = _touched(kept.program, asked, things)
    try:
        with in_arrays(FormulaScopes(kept.program)):
            return ground(kept.program, rows, only=only, **options), things
    except BeyondArrays:  # too many pairs, or an error that SQL explains
        return ground(kept.program, rows, only=only, **options), things


def _touched(program: Program, asked: Mapping[str, Things], things: Mapping[str, Ids]) -> Touched:
    return Touched(
        {
            name: [
                None if ids is None else np.isin(things[sort], ids)
                for sort, ids in zip(program.sorts_of(name), own, strict=True)
            ]
            for name, own in asked.items()
        }
    )


@dataclass
class _Dirty:
    """Tuples of relations, and atoms, that may be others than before.

    Attributes:
        reached: with which definitions are followed.
        things: by relation or open predicate; every combination of these.
        followed: plans that were followed, by where they began.
    """

    program: Program
    lookups: Lookups
    reached: Reached
    things: dict[str, list[Ids | None]]
    followed: dict[object, list[LookupPlan]] = field(default_factory=dict)

    @staticmethod
    def of(program: Program, kept: Kept) -> _Dirty:
        lookups = Lookups.of(program, ())
        return _Dirty(program, lookups, Reached(lookups, kept, Shortcuts((), {}, {})), {})

    def see(self, name: str, things: Things) -> bool:
        """Note tuples; whether that is something new."""
        if any(ids is not None and not len(ids) for ids in things):
            return False
        before = self.things.get(name)
        if before is None:
            self.things[name] = list(things)
            return True
        union = [
            None if one is None or two is None else ascending(np.concatenate([one, two]))
            for one, two in zip(before, things, strict=True)
        ]
        self.things[name] = union
        return any(
            one is not None and (two is None or len(two) > len(one))
            for one, two in zip(before, union, strict=True)
        )

    def see_rows(self, before: Dataset, data: Dataset, moved: Mapping[str, Ids]) -> None:
        """Note rows that are new, and atoms of new things.

        Raises:
            GroundingError: KR655 where rows are gone.
        """
        sorts = {a.name: a.sort for a in self.program.attributes}
        for kind in ("facts", "attributes", "evidence"):
            for name, table in getattr(data, kind).items():
                old = _renamed(
                    getattr(before, kind)[name],
                    self.program.sorts_of(name),
                    moved,
                    moved.get(sorts.get(name, "")) if kind == "attributes" else None,
                )
                gone, new = _apart(old, table)
                if len(gone):
                    raise not_extended(f"{len(gone):,} rows of `{name}` are gone or changed")
                if len(new):
                    self.see(name, [ascending(ids[new]) for ids in id_columns(table)])
        for predicate in self.program.open_predicates:
            for place, sort in enumerate(predicate.sorts if predicate.within is None else ()):
                known = np.zeros(len(data.vocabularies[sort]), bool)
                known[moved[sort]] = True
                own: list[Ids | None] = [None] * predicate.arity
                own[place] = np.flatnonzero(~known)
                self.see(predicate.name, own)

    def see_labels(self, before: Dataset, data: Dataset, moved: Mapping[str, Ids]) -> None:
        """Note atoms whose label is another, new or gone."""
        for predicate in self.program.open_predicates:
            table = data.labels.get(predicate.name)
            if table is not None:
                earlier = before.labels[predicate.name]
                old = _renamed(earlier, predicate.sorts, moved, None)
                gone, new = _apart(old, table)
                both = zip(id_columns(old), id_columns(table), strict=True)
                if len(gone) or len(new):
                    own = [ascending(np.concatenate([a[gone], b[new]])) for a, b in both]
                    self.see(predicate.name, own)

    def atoms(self) -> dict[str, list[Ids | None]]:
        """Atoms in whose ground factors any of this may have a say, by predicate."""
        readers = dependants(self.program)
        predicates = {predicate.name: predicate for predicate in self.program.open_predicates}
        pending = list(self.things)
        while pending:
            name = pending.pop(0)
            grown = []
            for predicate in predicates.values():
                if name not in (predicate.within, predicate.sees):
                    continue
                own = self.things[name]
                if name == predicate.within:
                    places = self.program.candidate_places(predicate)
                    by_place = dict(zip(places, own, strict=True))
                    own = [by_place.get(place) for place in range(predicate.arity)]
                if self.see(predicate.name, own):
                    grown.append(predicate.name)
            for reader in readers.get(name, ()):
                given = self._given(reader, name)
                if reader.name and self._is_new(reader, given):
                    found = self.reached.run(reader.plan, given)
                    for limit in reader.limits:
                        self._later(limit, found)
                    arity = len(self.program.sorts_of(reader.name))
                    if self.see(reader.name, [found.get(f"p{i}") for i in range(arity)]):
                        grown.append(reader.name)
            pending += [other for other in grown if other not in pending]
        asked = Reached(self.lookups, self.reached.kept, self.reached.shortcuts)
        for name, things in self.things.items():
            if name in predicates:
                asked.ask(name, {p: ids for p, ids in enumerate(things) if ids is not None})
            for reader in readers.get(name, ()):
                given = self._given(reader, name)
                if not reader.name and self._is_new(reader, given):
                    asked.run(reader.plan, given)
        return asked.asked

    def _later(self, limit: Limit, found: dict[str, Ids | None]) -> None:
        """Leave out things whose value is below all values of what they are compared with."""
        asked, others = found.get(limit.above), found.get(limit.below)
        if asked is None or others is None or not len(asked) or not len(others):
            return
        table = self.reached.kept.tables["attributes", limit.attribute]
        values, rows = [], []
        for ids in (asked, others):
            rows.append(table.rows({0: ids}))
            values.append(table.take(rows[-1]).column(VALUE).to_numpy())
        least = np.nanmin(values[1]) if len(values[1]) else np.inf
        found[limit.above] = without(asked, ascending(table.ids(0, rows[0][values[0] < least])))

    def _is_new(self, reader: Dependant, given: Mapping[str, Ids | None]) -> bool:
        """Whether this is not what another literal led to: of a row that is new, all are."""
        known = ((v, None if ids is None else ids.tobytes()) for v, ids in given.items())
        plans = self.followed.setdefault((reader.name, *sorted(known)), [])
        if reader.plan in plans:
            return False
        plans.append(reader.plan)
        return True

    def _given(self, reader: Dependant, name: str) -> dict[str, Ids | None]:
        things = enumerate(self.things[name])
        return given_at(reader.places, {place: ids for place, ids in things if ids is not None})


def _moved(before: Dataset, data: Dataset, domain: str) -> Ids:
    """What the old things of a domain are called now."""
    old, new = before.vocabularies[domain].names, data.vocabularies[domain]
    if old.equals(new.names.slice(0, len(old))):
        return np.arange(len(old))
    found = new.ids(old)
    if (found < 0).any():
        raise not_extended(f"{int((found < 0).sum()):,} things of `{domain}` are gone")
    return found.astype(np.int64)


def _renamed(
    table: pa.Table, sorts: Sequence[str], moved: Mapping[str, Ids], value: Ids | None
) -> pa.Table:
    """The table in other ids, of its values too where they are things."""
    for place, sort in enumerate(sorts):
        ids = moved[sort][table.column(place).to_numpy()]
        table = table.set_column(place, table.column_names[place], pa.array(ids, pa.int32()))
    if value is not None:
        ids = value[table.column(VALUE).to_numpy()]
        place = table.column_names.index(VALUE)
        table = table.set_column(place, VALUE, pa.array(ids, pa.int32()))
    return table


def _apart(old: pa.Table, new: pa.Table) -> tuple[Ids, Ids]:
    """Rows of each of two tables that the other does not have."""
    count = old.num_rows
    if count <= new.num_rows and old.cast(new.schema).equals(new.slice(0, count)):
        return np.zeros(0, np.int64), np.arange(count, new.num_rows)
    whole = pa.concat_tables([old.cast(new.schema), new]).combine_chunks()
    columns = [
        column.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
        if name == VALUE
        else column.to_numpy()
        for name, column in zip(whole.column_names, whole.columns, strict=True)
    ]
    keys = row_keys(columns, None, whole.num_rows)
    first, second = keys[:count], keys[count:]
    return np.flatnonzero(~np.isin(first, second)), np.flatnonzero(~np.isin(second, first))
