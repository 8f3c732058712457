"""One aggregate over history: both sides are read, sorted, cut into frames, and folded.

Terms over one thing (its clock, its amount) are read once by thing, and events are sorted once by
group and clock, for all definitions (:class:`.ReadHistories`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlglot import exp

from knowreason.data.id_tables import repeats
from knowreason.grounding.history.event_frames import (
    Admitted,
    EventOrder,
    Frames,
    Places,
    Values,
    might_overflow,
    sorting,
)
from knowreason.grounding.history.frame_kernels import by_group, by_thing
from knowreason.grounding.plan.history_aggregates import Bound, HistoryAggregate
from knowreason.grounding.relational.aggregates import amount
from knowreason.grounding.relational.history_columns import (
    Column,
    HistoryRows,
    ReadHistories,
    SortedEvents,
    comparable_bits,
    group_numbers_of,
    known_rows,
)
from knowreason.grounding.relational.query_protocols import SettingsQuery
from knowreason.grounding.relational.term_sql import aliased, column
from knowreason.grounding.relational.time_bands import linear_form
from knowreason.logic import (
    Aggregate,
    And,
    AttributeTerm,
    Formula,
    Term,
    Truth,
    Variable,
)
from knowreason.logic.traversal import free_variables, substitute
from knowreason.row_keys import row_keys


@dataclass
class HistoryQuestion:
    """An aggregate that is being computed.

    Attributes:
        already: what is read and sorted already.
        outer: a query of the relations that are read.
        term: the aggregate.
        keys: its free variables.
        history: its parts.
    """

    already: ReadHistories
    outer: SettingsQuery
    term: Aggregate
    keys: Sequence[Variable]
    history: HistoryAggregate

    def is_unique(self) -> bool:
        """Whether no setting of the keys is asked about twice, with other groups."""
        if not self.history.asked or self.asked.table is None:
            return True
        keys = [np.asarray(self.asked.ids(key))[self.there] for key in self.keys]
        return not repeats(row_keys(keys, rows=int(self.there.sum())))

    @cached_property
    def there(self) -> NDArray[np.bool_]:
        """Which asked rows have a group."""
        found = np.zeros(self.size(self.asked), bool)
        found[self._sorted().turn] = True
        return found

    def pairs(self) -> int:
        """How many pairs of asked and counted rows a join tries."""
        return int(self._frames(self._sorted(), last=False).counts().sum())

    def answer(self, *, nothing: bool = True) -> pa.Table:
        """``a0 .., value`` (and ``rows``): the aggregate for each asked row.

        Args:
            nothing: whether aggregates over no row are missing values; else sums are 0, and rows
                of others left out.
        """
        kind = self.term.kind
        events: SortedEvents | None = self._sorted()
        assert events is not None
        total, rows = self._folded(events)
        if self.history.excluded:
            others = self._sorted(excluded=True)
            total, rows = (
                self._spread(events, own) - self._spread(others, same)
                for own, same in zip((total, rows), self._folded(others), strict=True)
            )
            events = None
        if kind == "avg":
            total = total / np.maximum(rows, 1)
        filled = kind == "count" or (kind == "sum" and not nothing)
        absent = None if filled else self._spread(events, rows == 0, True)
        columns = {f"a{i}": self._key(key) for i, key in enumerate(self.keys)}
        value = self._spread(events, total)
        if absent is not None and not nothing:
            there = np.flatnonzero(~absent)
            columns = {name: pa.array(np.asarray(own)[there]) for name, own in columns.items()}
            value, absent = value[there], None
        columns["value"] = pa.array(value, mask=absent)
        if kind == "rate":
            columns["rows"] = pa.array(self._spread(events, rows))
        table = pa.table(columns)
        return table.filter(self.there) if self.history.asked else table

    def _spread(self, events: SortedEvents | None, values: Values, otherwise: int = 0) -> Values:
        """Values by turn as values of each asked row; those of all asked rows as they are."""
        if events is None:
            return values
        spread = np.full(self.size(self.asked), otherwise, values.dtype)
        spread[events.turn] = values
        return spread

    def _key(self, key: Variable) -> pa.Array:
        ids = self.asked.ids(key)
        return self.already.columns.ids(key.sort) if ids is None else pa.array(ids, pa.int32())

    @cached_property
    def asked(self) -> HistoryRows:
        """Settings of the keys (and links)."""
        history = self.history
        wanted: list[Term | Formula | None] = []
        wanted += [own for _, own in (*history.pairs, *history.excluded)]
        wanted += [self._moved(bound.limit)[0] for bound in history.bounds]
        last = self.term.last if history.is_frame else None
        wanted += [] if last is None else [self._moved(last)[0]]
        wanted += history.links
        return self._rows(history.asked, self.keys, history.links, wanted, bool(history.asked))

    @cached_property
    def counted(self) -> HistoryRows:
        """Distinct settings of the counted variables, their groups and clock."""
        history = self.history
        groups = (*(own for own, _ in history.pairs), *history.links)
        wanted: list[Term | Formula | None] = [*groups, *(own for own, _ in history.excluded)]
        wanted += [bound.number for bound in history.bounds]
        wanted += [] if history.clock is None else [history.clock]
        wanted += [] if history.value is None else [history.value]
        shown = {*self.term.variables, *groups}
        hidden = any(v not in shown for part in history.counted for v in free_variables(part))
        return self._rows(history.counted, self.term.variables, (), wanted, hidden)

    def _rows(
        self,
        parts: Sequence[Formula],
        variables: Sequence[Variable],
        links: Sequence[Variable],
        wanted: Sequence[Term | Formula | None],
        distinct: bool,
    ) -> HistoryRows:
        along = [
            term
            for term in dict.fromkeys(wanted)
            if term is not None and term not in variables and not _is_of_one(term, variables)
        ]
        if not parts and len(variables) == 1 and not along:
            return HistoryRows(f"all of {variables[0].sort}", variables, (), None)
        query = self.outer.alone()
        query.satisfy(And(tuple(parts)) if parts else Truth(True), (*variables, *links))
        outputs = {f"v{i}": query.columns[v.name] for i, v in enumerate(variables)}
        outputs |= {f"t{i}": amount(query, term) for i, term in enumerate(along)}
        tree = query.select(outputs, distinct=distinct)
        return self.already.rows(tree, variables, along)

    def _column(self, rows: HistoryRows, term: Term | Formula) -> Column:
        """What a term or formula is in each row of a side."""
        if term in rows.terms and rows.table is not None:
            return self.already.columns.numbers(rows.table[f"t{rows.terms.index(term)}"])
        if isinstance(term, Variable):
            ids = rows.ids(term)
            return Column(np.arange(self.already.columns.size(term.sort)) if ids is None else ids)
        (variable,) = free_variables(term)
        own = self.already.columns.of_things(*self._tree(term), variable.sort)
        return own.of(rows.ids(variable))

    def _text(self, rows: HistoryRows, term: Term | Formula) -> str:
        """What tells a column from all others of the rows."""
        if term in rows.terms:
            return f"t{rows.terms.index(term)}"
        if isinstance(term, Variable):
            return f"v{rows.variables.index(term)}"
        place = rows.variables.index(free_variables(term)[0])
        return f"v{place} {self._tree(term)[1]}"

    def _tree(self, term: Term | Formula) -> tuple[exp.Select, str]:
        """``a0, value`` of what a term over one thing is, and its text."""
        (variable,) = free_variables(term)
        thing = Variable("one thing", variable.sort)  # no name of a program holds a space
        term = substitute(term, {variable.name: thing})
        if term not in self.already.trees:
            if isinstance(term, AttributeTerm) and term.arguments == (thing,):
                table = aliased(self.outer.relations.table(term.name), "t")
                tree = exp.select(*(column("t", name) for name in ("a0", "value"))).from_(table)
            else:
                query = self.outer.alone()
                query.satisfy(Truth(True), (thing,))
                outputs = {"a0": query.columns[thing.name], "value": amount(query, term)}
                tree = query.select(outputs)
            self.already.trees[term] = tree, self.outer.relations.sql(tree)
        return self.already.trees[term]

    def size(self, rows: HistoryRows) -> int:
        """How many there are."""
        if rows.table is None:
            return self.already.columns.size(rows.variables[0].sort)
        return int(rows.table.num_rows)

    def _sorted(self, *, excluded: bool = False) -> SortedEvents:
        """Counted rows sorted by their groups, and what must differ too, and by their clock."""
        clock = [] if self.history.clock is None else [self.history.clock]
        pairs = self._pairs(excluded=True)
        names = [self._text(self.counted, own) for own, _ in pairs]
        names += [self._text(self.asked, own) for _, own in pairs]
        names += [self._text(self.counted, own) for own in clock]
        told = (len(self.history.excluded), excluded)
        key = (self.asked.text, self.counted.text, *names, *map(str, told))
        return self.already.sorted(key, lambda: self._sort(excluded))

    def _pairs(self, *, excluded: bool) -> list[tuple[Term, Term]]:
        """Terms of both sides that are the same in a group."""
        links = [(link, link) for link in self.history.links]
        return [*self.history.pairs, *links, *(self.history.excluded if excluded else ())]

    def _sort(self, excluded: bool) -> SortedEvents:
        kept, group, of_asked, groups = self._grouped(excluded)
        clock = self.history.clock
        times = None if clock is None else self._column(self.counted, clock).of(kept).values
        ties = [self._column(self.counted, v).of(kept).values for v in self.term.variables]
        bits = None if times is None else comparable_bits([times])[0]
        order = EventOrder.of(group, groups, bits, ties)
        rows = order.rows if kept is None else kept[order.rows]
        turn = self._turn(rows, of_asked, groups)
        return SortedEvents(order, rows, turn, of_asked[turn])

    def _grouped(self, excluded: bool) -> tuple[Places | None, Places, Places, int]:
        """Counted rows of which all is known, groups of these and of the asked, how many."""
        pairs = self._pairs(excluded=True)  # unknown ones differ from nothing
        clock = [] if self.history.clock is None else [self.history.clock]
        ours = [self._column(self.counted, own) for own, _ in pairs]
        theirs = [self._column(self.asked, own) for _, own in pairs]
        kept = known_rows([*ours, *(self._column(self.counted, own) for own in clock)])
        alike = [
            comparable_bits([one.of(kept).values, two.values])
            for one, two in list(zip(ours, theirs, strict=True))[
                : len(self._pairs(excluded=excluded))
            ]
        ]
        rows = self.size(self.counted) if kept is None else len(kept)
        ones, twos = [one for one, _ in alike], [two for _, two in alike]
        group, of_asked, groups = group_numbers_of(ones, twos, rows, self.size(self.asked))
        for known in (own.known for own in theirs if own.known is not None):
            of_asked = np.where(known, of_asked, -1)
        return kept, group, of_asked, groups

    def _turn(self, rows: Places, of_asked: Places, groups: int) -> Places:
        """Asked rows that have a group, as events about the same things come, or else by group
        and limit."""
        if self.asked.table is None:
            same = [v for v in self.term.variables if v.sort == self.keys[0].sort]
            if len(same) == 1:
                return by_thing(self._column(self.counted, same[0]).values[rows], of_asked)
        turn = np.flatnonzero(of_asked >= 0)
        limits = [
            self._moved(b.limit)[0] for b in self.history.bounds if b.number == self.history.clock
        ]
        for base in [limit for limit in limits if limit is not None][:1]:
            order = sorting(comparable_bits([self._column(self.asked, base).values[turn]])[0])
            turn = turn if order is None else turn[order]
        starts = np.concatenate([[0], np.cumsum(np.bincount(of_asked[turn], minlength=groups))])
        return by_group(turn, of_asked, starts)

    def _frames(self, events: SortedEvents, *, last: bool = True) -> Frames:
        """The events that each asked row is about.

        Args:
            events: sorted.
            last: whether only the last few are wanted, where the aggregate says so.
        """
        history = self.history
        limits = [bound.limit for bound in history.bounds]
        most = self.term.last if last and history.is_frame else None
        key = tuple(
            (bound.operator, bound.number == history.clock, self._limit_text(bound.limit))
            for bound in history.bounds
        ) + tuple(self._text(self.counted, bound.number) for bound in history.others)
        key += () if most is None else (self._limit_text(most),)
        if key in events.frames:
            return events.frames[key]
        order, group = events.order, events.group
        for limit in (*limits, *([] if most is None else [most])):
            known = self._limit(events, limit).known
            group = group if known is None else np.where(known, group, -1)
        if group is not events.group:
            frames = order.frames(group, ())
        else:
            if () not in events.frames:
                events.frames[()] = order.frames(group, ())
            frames = events.frames[()]
        clock = [bound for bound in history.bounds if bound.number == history.clock]
        if clock:
            number, cuts = self._compared(events, clock)
            frames = replace(order, clock=number.values).within(frames, cuts)
        if history.others:
            number, cuts = self._compared(events, history.others)
            frames = replace(frames, admitted=Admitted.of(number.values, number.known, cuts))
        if most is not None:
            frames = frames.latest(self._limit(events, most).values)
        events.frames[key] = frames
        return frames

    def _compared(
        self, events: SortedEvents, bounds: Sequence[Bound]
    ) -> tuple[Column, list[tuple[str, Places]]]:
        """A counted number by place and its bounds by turn, as whole numbers that compare."""
        number = self._placed(events, bounds[0].number)
        limits = [self._limit(events, bound.limit).values for bound in bounds]
        own, *limits = comparable_bits([number.values, *limits])
        operators: list[str] = [bound.operator for bound in bounds]
        return Column(own, number.known), list(zip(operators, limits, strict=True))

    def _placed(self, events: SortedEvents, term: Term | Formula) -> Column:
        """What a term says of each counted row, by place."""
        read = partial(self._column, self.counted, term)
        return events.column(True, self._text(self.counted, term), read)

    def _moved(self, term: Term) -> tuple[Term | None, int]:
        """A limit as a term, if it has one, and a whole number that is added to it."""
        form = linear_form(term, self.outer.relations.program)
        if form is not None and not form[0]:
            return None, form[1]
        if form is not None and list(form[0].values()) == [1]:
            return next(iter(form[0])), form[1]
        return term, 0

    def _limit_text(self, term: Term) -> str:
        base, offset = self._moved(term)
        return f"{base and self._text(self.asked, base)} + {offset}"

    def _limit(self, events: SortedEvents, term: Term) -> Column:
        """A limit for each asked row, by turn."""
        base, offset = self._moved(term)
        if base is None:
            return Column(np.full(len(events.turn), offset))
        read = partial(self._column, self.asked, base)
        limits = events.column(False, self._text(self.asked, base), read)
        if not offset or not len(limits.values):
            return limits
        values = limits.values.astype(np.int64, copy=False)
        for extreme in (values.min(), values.max()):
            if abs(int(extreme) + offset) >= 1 << 63:
                raise OverflowError(f"({extreme} + {offset})")
        return Column(values + offset, limits.known)

    def _folded(self, events: SortedEvents) -> tuple[Values, Places]:
        """What is added up for each asked row, and over how many, by turn."""
        kind, frames = self.term.kind, self._frames(events)
        if self.history.value is None:
            if self.history.one_row({variable.name for variable in self.term.variables}):
                rows = frames.counts()
            else:
                rows = frames.distinct(self._placed(events, self.term.variables[0]).values)
            return rows, rows
        values, known = self._placed(events, self.history.value)
        if kind in ("min", "max"):
            return frames.extremes(values, kind == "max", known), frames.counts(known)
        if kind == "rate" or (kind == "avg" and might_overflow(values)):
            values = values.astype(np.float64)
        return frames.sums(values, known), frames.counts(known)


def _is_of_one(term: Term | Formula, variables: Sequence[Variable]) -> bool:
    """Whether a term says something of one thing, whose rows are read."""
    own = free_variables(term)
    return len(own) == 1 and own[0] in variables
