"""Rows of a history that can change what is believed of some things, found by their ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from knowreason.grounding.plan.hub_rules import HubRule
from knowreason.reasoner.serving.kept_parts import Shortcuts
from knowreason.reasoner.serving.kept_tables import (
    NOTHING,
    Ids,
    Kept,
    Key,
    among,
    ascending,
    without,
)
from knowreason.reasoner.serving.lookup_plans import Lookup, LookupPlan
from knowreason.reasoner.serving.program_lookups import Lookups, names_read

Sets = Mapping[int, Ids]
WIDE = 1000  # candidates that are taken together
LAST = 1e18  # definitions come after tables


@dataclass
class Reached:
    """What was found so far.

    Attributes:
        rows: parts of the rows of each table.
        things: parts of the ids of each domain, beside those in rows.
        whole: domains that are needed whole.
    """

    lookups: Lookups
    kept: Kept
    shortcuts: Shortcuts
    rows: dict[Key, list[Ids]] = field(default_factory=dict)
    things: dict[str, list[Ids]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    asked: dict[str, list[Ids | None]] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    widened: set[str] = field(default_factory=set)
    read: dict[object, Ids] = field(default_factory=dict)
    fresh: dict[str, list[Ids]] = field(default_factory=dict)
    known: dict[tuple[str, tuple[int, ...]], tuple[dict[int, Ids], dict[int, Ids]]] = field(
        default_factory=dict
    )

    def reach(self, wanted: Mapping[str, Ids]) -> None:
        """Find what atoms over some things rest on, atom after atom.

        Args:
            wanted: ids by domain.
        """
        program = self.lookups.program
        for predicate in program.open_predicates:
            sets = {
                place: wanted.get(sort, NOTHING)
                for place, sort in enumerate(predicate.sorts)
                if sort in self.kept.names
            }
            if all(len(ids) for ids in sets.values()):
                self.ask(predicate.name, sets)
        while self.pending:
            self._follow(self.pending.pop())

    def around(self, asked: Mapping[str, Sets]) -> None:
        """Find what the groundings of some atoms rest on, and nothing beyond these.

        Args:
            asked: ids by place, for each predicate.
        """
        for predicate, sets in asked.items():
            self.ask(predicate, sets)
        for predicate, sets in asked.items():
            for part in self.lookups.parts.get(predicate, ()):
                self.run(part.plan, given_at(part.places, sets))

    def ask(self, predicate: str, sets: Sets) -> None:
        """Note atoms whose truth matters: those that have one of the ids at each place."""
        declared = self.lookups.program.predicate(predicate)
        arity, functional = declared.arity, declared.functional_position
        wanted = {p: ids for p, ids in sets.items() if p != functional}
        if any(not len(ids) for ids in wanted.values()):
            return
        related = [declared.sees] if declared.sees else []
        related += self.lookups.program.views_of(predicate)
        if declared.symmetric and 0 in wanted and 1 in wanted:
            both = ascending(np.concatenate([wanted[0], wanted[1]]))
            wanted = {0: both, 1: both}
        for place, sort in enumerate(declared.sorts):
            if place in wanted:
                self.things.setdefault(sort, []).append(wanted[place])
            else:
                self.whole.add(sort)
        for kind in ("labels", "evidence", "scores"):
            self._table((kind, predicate), wanted)
        if declared.within:
            places = self.lookups.program.candidate_places(declared)
            keys = {i: wanted[place] for i, place in enumerate(places) if place in wanted}
            self._relation(declared.within, keys)
        before = self.asked.get(predicate)
        if before is None:
            union: list[Ids | None] = [wanted.get(place) for place in range(arity)]
            new = wanted.get(0, NOTHING) if arity == 1 else NOTHING
        else:
            union, changed = [], False
            new = NOTHING
            for place, old in enumerate(before):
                ids = wanted.get(place)
                if old is None or ids is None:
                    changed |= old is not None
                    union.append(None)
                    continue
                added = without(ids, old)
                changed |= len(added) > 0
                new = added
                union.append(ascending(np.concatenate([old, added])) if len(added) else old)
            if not changed:
                return
            union = self._widened(predicate, before, union)
        self.asked[predicate] = union
        if arity == 1 and 0 in wanted:
            self.fresh.setdefault(predicate, []).append(new)
        if predicate not in self.pending:
            self.pending.append(predicate)
        for other in related:
            self.ask(other, sets)

    def _widened(
        self, predicate: str, before: Sequence[Ids | None], union: list[Ids | None]
    ) -> list[Ids | None]:
        """The same, and all candidates at the one place that grows, where these are few.

        What is tied day by day would be found a day at a time.
        """
        declared = self.lookups.program.predicate(predicate)
        grown = [p for p, ids in enumerate(union) if ids is not None and ids is not before[p]]
        if len(grown) != 1 or declared.within is None or predicate in self.widened:
            return union
        self.widened.add(predicate)
        (place,) = grown
        others = {p: ids for p, ids in enumerate(union) if ids is not None and p != place}
        own = union[place]
        if not others or own is None:
            return union
        places = self.lookups.program.candidate_places(declared)
        keys = {i: others[one] for i, one in enumerate(places) if one in others}
        index = places.index(place)
        found = self._relation(declared.within, keys, [index]).get(index)
        if found is not None and len(found) <= WIDE:
            union[place] = ascending(np.concatenate([own, found]))
            for kind in ("labels", "evidence", "scores"):
                wanted = {p: ids for p, ids in enumerate(union) if ids is not None}
                self._table((kind, predicate), wanted)
        return union

    def _follow(self, predicate: str) -> None:
        """What the atoms that were noted last rest on."""
        program = self.lookups.program
        declared = program.predicate(predicate)
        sets = {p: ids for p, ids in enumerate(self.asked[predicate]) if ids is not None}
        if declared.arity == 1 and sets:
            sets = {0: ascending(np.concatenate(self.fresh.pop(predicate)))}
        for name, places in self.lookups.seen[predicate]:
            own = {i: sets[p] for i, p in enumerate(places) if p in sets}
            self._relation(name, own)
        unknown = self._undecided(predicate, sets)
        for part in self.lookups.parts.get(predicate, ()):
            chosen = sets if predicate in self.lookups.heads else unknown
            if any(not len(ids) for ids in chosen.values()):
                continue
            hub = self.shortcuts.hub(part.rule, predicate)
            if hub is not None:
                self._members(hub, chosen)
                continue
            self.run(part.plan, given_at(part.places, chosen))

    def _members(self, hub: HubRule, sets: Sets) -> None:
        """Rows of things whose truth is not known and that are tied to some hubs."""
        wanted = {hub.places[place]: ids for place, ids in sets.items()}
        table = self.kept.tables["facts", hub.table]
        rows = self.shortcuts.decided[hub.group].undecided.rows(wanted)
        things = table.ids(hub.thing, rows)
        fresh = self._undecided(hub.member, {0: ascending(things)})
        if len(fresh[0]):
            self.rows.setdefault(("facts", hub.table), []).append(rows[among(things, fresh[0])])
            self.ask(hub.member, fresh)

    def counted(self) -> dict[int, tuple[HubRule, list[Ids], Ids]] | None:
        """By rule, ids in one decided row of each hub that was reached, and how many there are.

        Returns:
            For each place of the table ids; and counts. ``None`` where hubs are too many.
        """
        found: dict[int, tuple[HubRule, list[Ids], Ids]] = {}
        for hub in self.shortcuts.hubs:
            asked = self.asked.get(hub.hub)
            if asked is None:
                continue
            sets = {place: ids for place, ids in enumerate(asked) if ids is not None}
            rows = self.shortcuts.against(hub, sets)
            if rows is None:
                return None
            table = self.kept.tables["facts", hub.table]
            order = np.argsort(rows[0])
            own = rows[0][order]
            self.rows.setdefault(("facts", hub.table), []).append(own)
            places = range(len(self.lookups.program.sorts_of(hub.table)))
            found[hub.index] = hub, [table.ids(place, own) for place in places], rows[1][order]
        return found

    def _undecided(self, predicate: str, sets: Sets) -> Sets:
        """The same without atoms whose truth is known, where that is cheap to say."""
        if len(sets) != 1 or self.lookups.program.predicate(predicate).arity != 1:
            return sets
        ids = sets[0]
        for kind in ("labels", "evidence"):
            table = self.kept.tables.get((kind, predicate))
            if table is not None:
                rows = table.rows({0: ids})
                ids = without(ids, ascending(table.ids(0, rows)))
        return {0: ids}

    def run(self, plan: LookupPlan, given: Mapping[str, Ids | None]) -> dict[str, Ids | None]:
        """Do the steps of a plan; ids by variable, ``None`` for all of the domain."""
        values: dict[str, Ids | None] = dict(given)
        for variable, (domain, name) in plan.constants.items():
            values[variable] = self._constant(domain, name)
        for steps in plan.steps:
            waiting = list(steps)
            while waiting:
                step = waiting[0] if len(waiting) == 1 else min(waiting, key=self._price(values))
                waiting.remove(step)
                if step.binds:
                    self._bind(step, values)
                else:
                    self._step(step, values)
            for step in steps:  # now that the others have narrowed what is bound
                if step.binds and self.kept.table(step.name) is not None:
                    self._relation(step.name, _wanted(step, values))
        return values

    def _bind(self, step: Lookup, values: dict[str, Ids | None]) -> None:
        """Variables that stand in a relation: what is found there and was not excluded."""
        wanted, table = _wanted(step, values), self.kept.table(step.name)
        places = {v: place for place, v in enumerate(step.places) if v in step.binds}
        if table is None:
            found = self._relation(step.name, wanted, list(places.values()))
        else:
            rows = table.rows(wanted)
            found = {place: ascending(table.ids(place, rows)) for place in places.values()}
        for variable, place in places.items():
            if place in found:
                values[variable] = found[place]
            else:
                values.setdefault(variable, None)

    def _price(self, values: Mapping[str, Ids | None]) -> Callable[[Lookup], float]:
        """How many rows a lookup finds when it is done next, about."""

        def price(step: Lookup) -> float:
            wanted = _wanted(step, values)
            if not wanted:
                return inf
            table = self.kept.table(step.name)
            return LAST if table is None else table.count(wanted)

        return price

    def _step(self, step: Lookup, values: dict[str, Ids | None]) -> None:
        if step.kind == "whole":
            self.whole.add(step.name)
            values.update(dict.fromkeys((p for p in step.places if p), None))
            return
        wanted = _wanted(step, values)
        if step.kind == "open":
            self.ask(step.name, wanted)
            return
        places = [i for i, p in enumerate(step.places) if p and p not in values]
        if step.kind == "labels":
            found = self._labels(step.name, wanted, places)
        else:
            found = self._relation(step.name, wanted, places)
        for place in places:
            variable = step.places[place]
            assert variable is not None
            values[variable] = found.get(place)

    def _constant(self, domain: str, name: str) -> Ids:
        names = self.kept.names.get(domain)
        if names is None:
            id = self.kept.data.vocabularies[domain].find(name)
            return np.array([id]) if id >= 0 else NOTHING
        id = names.ids.get(name, -1)
        if not 0 <= id < self.kept.counts[domain]:
            return NOTHING
        self.things.setdefault(domain, []).append(np.array([id]))
        return np.array([id])

    def _labels(self, predicate: str, wanted: Sets, found: Sequence[int]) -> dict[int, Ids]:
        """Labels that a definition reads, and the clocks that say since when it may."""
        parts: dict[int, list[Ids]] = {place: [] for place in found}
        program = self.lookups.program
        for kind in ("labels", "evidence"):
            key = kind, predicate
            if key not in self.kept.tables:
                continue
            rows = self._table(key, wanted)
            table = self.kept.tables[key]
            for place in found:
                parts[place].append(table.ids(place, rows))
            for place, sort in enumerate(program.sorts_of(predicate)):
                clock = program.clock_of(sort)
                if clock is not None:
                    self._relation(clock.name, {0: ascending(table.ids(place, rows))})
        return {p: ascending(np.concatenate(ids)) if ids else NOTHING for p, ids in parts.items()}

    def _relation(self, name: str, wanted: Sets, found: Sequence[int] = ()) -> dict[int, Ids]:
        """Rows of facts, of an attribute or of what a definition reads, and ids at some places."""
        projection = self.shortcuts.projections.get(name)
        if projection is not None:
            places = projection.places
            asked = name, tuple(wanted), *[ids.tobytes() for ids in wanted.values()]
            table = self.kept.tables["facts", projection.name]
            if asked not in self.read:
                rows = projection.part.rows({places[p]: ids for p, ids in wanted.items()})
                self.read[asked] = rows
                self.rows.setdefault(("facts", projection.name), []).append(rows)
            rows = self.read[asked]
            return {place: ascending(table.ids(places[place], rows)) for place in found}
        for kind in ("facts", "attributes"):
            if (kind, name) in self.kept.tables:
                rows = self._table((kind, name), wanted)
                if not found:
                    return {}
                table = self.kept.tables[kind, name]
                return {place: ascending(table.ids(place, rows)) for place in found}
        if name not in self.lookups.defined:
            return dict.fromkeys(found, NOTHING)
        return self._defined(name, wanted, found)

    def _defined(self, name: str, wanted: Sets, found: Sequence[int]) -> dict[int, Ids]:
        known = tuple(sorted(wanted))
        plan = self.lookups.plan(name, known)
        if plan is None:
            for read in names_read(self.lookups.program, name):
                for kind in ("facts", "attributes", "labels", "evidence"):
                    if (kind, read) in self.kept.tables:
                        self._table((kind, read), {})
            self.whole |= set(self.lookups.program.sorts_of(name))
            return {}
        before = self.known.get((name, known))
        if before is not None:
            asked, outputs = before
            missing = {p: without(ids, asked[p]) for p, ids in wanted.items()}
            if not any(len(ids) for ids in missing.values()) and set(found) <= set(outputs):
                return {p: outputs[p] for p in found if p in outputs}
            if len(known) == 1 and not found:
                (place,) = known
                self.known[name, known] = (
                    {place: ascending(np.concatenate([asked[place], wanted[place]]))},
                    {},
                )
                self.run(plan, {f"p{place}": missing[place]})
                return {}
            wanted = {p: ascending(np.concatenate([asked[p], ids])) for p, ids in wanted.items()}
        self.known[name, known] = dict(wanted), {}
        values = self.run(plan, {f"p{p}": ids for p, ids in wanted.items()})
        arity = len(self.lookups.program.sorts_of(name))
        outputs = {p: ids for p in range(arity) if (ids := values.get(f"p{p}")) is not None}
        self.known[name, known] = dict(wanted), outputs
        return {p: outputs[p] for p in found if p in outputs}

    def _table(self, key: Key, wanted: Sets) -> Ids:
        table = self.kept.tables.get(key)
        if table is None:
            return NOTHING
        asked = key, tuple(wanted), *[ids.tobytes() for ids in wanted.values()]
        if asked in self.read:
            return self.read[asked]
        rows = self.read[asked] = table.rows(wanted)
        if len(rows):
            self.rows.setdefault(key, []).append(rows)
        return rows


def given_at(places: Sequence[str | None], sets: Sets) -> dict[str, Ids | None]:
    """Ids by variable, of those at some places; ``None`` for all of the domain."""
    given: dict[str, Ids | None] = {}
    for place, variable in enumerate(places):
        if variable:
            ids, before = sets.get(place), given.get(variable)
            if before is not None and ids is not None:
                ids = np.intersect1d(before, ids)
            given[variable] = ids
    return given


def _wanted(step: Lookup, values: Mapping[str, Ids | None]) -> dict[int, Ids]:
    """Ids by place, where they are known and not all of a domain."""
    wanted = {}
    for place, variable in enumerate(step.places):
        ids = values.get(variable) if variable else None
        if ids is not None:
            wanted[place] = ids
    return wanted
