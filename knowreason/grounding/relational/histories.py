"""Aggregates over what came before: both sides are read once, sorted, and cut into frames.

What is asked and what is counted of a :class:`.HistoryAggregate` are two queries; their rows become
arrays, and :mod:`knowreason.grounding.history.event_frames` does the rest. Terms over one thing
(its clock, its amount) are read once by thing, and events are sorted once by group and clock, for
all definitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlglot import exp

from knowreason.data.id_tables import repeats
from knowreason.diagnostics import Diagnostic
from knowreason.errors import GroundingError
from knowreason.grounding.history.event_frames import (
    Admitted,
    EventOrder,
    Frames,
    Places,
    Values,
    might_overflow,
)
from knowreason.grounding.plan.history_aggregates import Bound, HistoryAggregate, split
from knowreason.grounding.relational.aggregate_sql import amount
from knowreason.grounding.relational.history_columns import (
    Column,
    ThingColumns,
    comparable_bits,
    group_numbers_of,
    known_rows,
)
from knowreason.grounding.relational.query_protocols import SettingsQuery, Tables
from knowreason.grounding.relational.term_sql import aliased, column
from knowreason.grounding.relational.time_bands import linear_form
from knowreason.logic import Aggregate, And, AttributeTerm, Formula, Term, Truth, Variable
from knowreason.logic.traversal import free_variables, substitute
from knowreason.row_keys import row_keys

PAIRS = 10**10  # more than these are refused
PAIRS_A_SECOND = 1e7  # that DuckDB joins and filters (benchmarks/history.py)
KEPT_ROWS = 20_000_000  # that stay sorted (or cut) for the next definition: about a gigabyte


@dataclass(frozen=True)
class _Rows:
    """Settings of one side.

    Attributes:
        text: tells them from all others: rows that are read twice need not come in one order.
        variables: those whose things are ``v0 ..`` of the table.
        terms: others that were read along, ``t0 ..``.
        table: the rows; ``None`` for all things of the domain of one variable, in order.
    """

    text: str
    variables: Sequence[Variable]
    terms: Sequence[Term | Formula]
    table: pa.Table | None

    def ids(self, variable: Variable) -> NDArray[np.integer] | None:
        """The thing of each row; ``None`` for all of them in order."""
        if self.table is None:
            return None
        return np.asarray(self.table[f"v{self.variables.index(variable)}"])


@dataclass
class _Sorted:
    """Events by group and clock.

    Attributes:
        order: of the events that have both.
        rows: the counted row at each place.
        group: of each asked row, -1 for none.
        turn: the asked rows in the order of the first frames that were cut, in which all are cut
            and folded: what neighbours touch lies side by side.
        frames: that were cut, by their bounds.
    """

    order: EventOrder
    rows: Places
    group: Places
    turn: Places | None = None
    frames: dict[tuple[object, ...], Frames] = field(default_factory=dict)


class Histories:
    """Tables of aggregates over history, and the sorted events they are computed from."""

    def __init__(self, relations: Tables) -> None:
        self.relations = relations
        self.columns = ThingColumns(relations)
        self.sorted: dict[tuple[str, ...], _Sorted] = {}
        self.read: dict[str, _Rows] = {}  # by the text of their query
        self._reads = count()
        self.trees: dict[Term | Formula, tuple[exp.Select, str]] = {}  # of terms over one thing
        self._made: list[exp.Table] = []

    def table(
        self, outer: SettingsQuery, term: Aggregate, keys: Sequence[Variable]
    ) -> tuple[exp.Table, bool] | None:
        """Rows ``a0 .., value`` of an aggregate (and ``rows`` of a rate), if it is a history.

        Settings of ``keys`` that nothing precedes may be absent.

        Returns:
            The table, and whether it has one row for each thing of the domain of a single key,
            in the order of their ids.

        Raises:
            GroundingError: KR607 where only a join of too many pairs tells.
            OverflowError: a whole number beyond 64 bits.
        """
        history = split(term, keys)
        if history is None:
            return None
        question = _Question(self, outer, term, keys, history)
        if not history.is_frame or not question.is_unique():
            _refuse_many(term, question.pairs())
            return None
        made = self.relations.register("history", question.answer())
        self._made.append(made)
        return made, question.asked.table is None

    @contextmanager
    def dropped_after(self) -> Iterator[None]:
        """A context whose tables are forgotten at its end."""
        before = len(self._made)
        try:
            yield
        finally:
            while len(self._made) > before:
                self.relations.drop(self._made.pop())

    def rows(
        self, tree: exp.Select, variables: Sequence[Variable], terms: Sequence[Term | Formula]
    ) -> _Rows:
        """Rows of a query, read once while there is room."""
        text = self.relations.sql(tree)
        if text not in self.read:
            table = self.relations.arrow(tree).read_all()
            self.read[text] = _Rows(f"read {next(self._reads)}", variables, terms, table)
            held = [0 if rows.table is None else len(rows.table) for rows in self.read.values()]
            while len(self.read) > 1 and sum(held) > KEPT_ROWS:
                self.read.pop(next(iter(self.read)))
                held.pop(0)
        return replace(self.read[text], variables=variables, terms=terms)

    def keep(self, key: tuple[str, ...], made: _Sorted) -> _Sorted:
        """What was sorted, kept for the next definition while there is room."""
        self.sorted[key] = made
        while len(self.sorted) > 1 and sum(len(s.rows) for s in self.sorted.values()) > KEPT_ROWS:
            self.sorted.pop(next(iter(self.sorted)))
        return made


@dataclass
class _Question:
    """An aggregate that is being computed.

    Attributes:
        histories: what is read and sorted already.
        outer: a query of the relations that are read.
        term: the aggregate.
        keys: its free variables.
        history: its parts.
    """

    histories: Histories
    outer: SettingsQuery
    term: Aggregate
    keys: Sequence[Variable]
    history: HistoryAggregate

    def is_unique(self) -> bool:
        """Whether no setting of the keys is asked about twice, with other groups."""
        if not self.history.asked or self.asked.table is None:
            return True
        there = self._sorted().group >= 0
        keys = [np.asarray(self.asked.ids(key))[there] for key in self.keys]
        return not repeats(row_keys(keys, rows=int(there.sum())))

    def pairs(self) -> int:
        """How many pairs of asked and counted rows a join tries."""
        return int(self._frames(last=False).counts().sum())

    def answer(self) -> pa.Table:
        """``a0 .., value`` (and ``rows``): the aggregate for each asked row."""
        kind = self.term.kind
        total, rows = self._totals()
        if self.history.excluded:
            same, of_same = self._totals(excluded=True)
            total, rows = total - same, rows - of_same
        if kind == "avg":
            total = total / np.maximum(rows, 1)
        columns = {f"a{i}": self._key(key) for i, key in enumerate(self.keys)}
        columns["value"] = pa.array(total, mask=None if kind == "count" else rows == 0)
        table = pa.table(columns | ({"rows": pa.array(rows)} if kind == "rate" else {}))
        return table.filter(self._sorted().group >= 0) if self.history.asked else table

    def _key(self, key: Variable) -> pa.Array:
        ids = self.asked.ids(key)
        return pa.array(
            np.arange(self.histories.columns.size(key.sort)) if ids is None else ids, pa.int32()
        )

    @cached_property
    def asked(self) -> _Rows:
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
    def counted(self) -> _Rows:
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
    ) -> _Rows:
        along = [
            term
            for term in dict.fromkeys(wanted)
            if term is not None and term not in variables and not _is_of_one(term, variables)
        ]
        if not parts and len(variables) == 1 and not along:
            return _Rows(f"all of {variables[0].sort}", variables, (), None)
        query = self.outer.alone()
        query.satisfy(And(tuple(parts)) if parts else Truth(True), (*variables, *links))
        outputs = {f"v{i}": query.columns[v.name] for i, v in enumerate(variables)}
        outputs |= {f"t{i}": amount(query, term) for i, term in enumerate(along)}
        tree = query.select(outputs, distinct=distinct)
        return self.histories.rows(tree, variables, along)

    def _column(self, rows: _Rows, term: Term | Formula) -> Column:
        """What a term or formula is in each row of a side."""
        if term in rows.terms and rows.table is not None:
            return self.histories.columns.numbers(rows.table[f"t{rows.terms.index(term)}"])
        if isinstance(term, Variable):
            ids = rows.ids(term)
            return Column(np.arange(self.histories.columns.size(term.sort)) if ids is None else ids)
        (variable,) = free_variables(term)
        own = self.histories.columns.of_things(*self._tree(term), variable.sort)
        return own.of(rows.ids(variable))

    def _text(self, rows: _Rows, term: Term | Formula) -> str:
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
        if term not in self.histories.trees:
            if isinstance(term, AttributeTerm) and term.arguments == (thing,):
                table = aliased(self.outer.relations.table(term.name), "t")
                tree = exp.select(*(column("t", name) for name in ("a0", "value"))).from_(table)
            else:
                query = self.outer.alone()
                query.satisfy(Truth(True), (thing,))
                outputs = {"a0": query.columns[thing.name], "value": amount(query, term)}
                tree = query.select(outputs)
            self.histories.trees[term] = tree, self.histories.relations.sql(tree)
        return self.histories.trees[term]

    def _sorted(self, *, excluded: bool = False) -> _Sorted:
        """Counted rows sorted by their groups, and what must differ too, and by their clock."""
        history, asked, counted = self.history, self.asked, self.counted
        pairs = [*history.pairs, *((link, link) for link in history.links)]
        pairs += history.excluded  # unknown ones differ from nothing
        clock = [] if history.clock is None else [history.clock]
        names = [self._text(counted, own) for own, _ in pairs]
        names += [self._text(asked, own) for _, own in pairs]
        names += [self._text(counted, own) for own in clock]
        key = (asked.text, counted.text, *names, str(len(history.excluded)), str(excluded))
        if key in self.histories.sorted:
            return self.histories.sorted[key]
        ours = [self._column(counted, own) for own, _ in pairs]
        theirs = [self._column(asked, own) for _, own in pairs]
        times = [self._column(counted, own) for own in clock]
        kept = known_rows([*ours, *times])
        used = len(pairs) if excluded else len(pairs) - len(history.excluded)
        alike = [
            comparable_bits([one.of(kept).values, two.values])
            for one, two in zip(ours[:used], theirs[:used], strict=True)
        ]
        ties = [self._column(counted, v).of(kept).values for v in self.term.variables]
        group, of_asked, groups = group_numbers_of(
            [one for one, _ in alike], [two for _, two in alike], len(ties[0]), self._asking()
        )
        for known in (own.known for own in theirs if own.known is not None):
            of_asked = np.where(known, of_asked, -1)
        bits = comparable_bits([own.of(kept).values for own in times])
        order = EventOrder.of(group, groups, bits[0] if bits else None, ties)
        rows = order.rows if kept is None else kept[order.rows]
        return self.histories.keep(key, _Sorted(order, rows, of_asked))

    def _asking(self) -> int:
        table = self.asked.table
        return (
            self.histories.columns.size(self.keys[0].sort) if table is None else int(table.num_rows)
        )

    def _frames(self, *, excluded: bool = False, last: bool = True) -> Frames:
        """The events that each asked row is about.

        Args:
            excluded: only those that equal the asked where they must differ.
            last: whether only the last few are wanted, where the aggregate says so.
        """
        events, history = self._sorted(excluded=excluded), self.history
        limits = [*history.bounds]
        if self.term.last is not None and last and history.is_frame:
            limits.append(Bound(self.term.last, "=", self.term.last))
        key = tuple(
            (bound.operator, bound.number == history.clock, self._limit_text(bound.limit))
            for bound in limits
        ) + tuple(self._text(self.counted, bound.number) for bound in history.others)
        if key in events.frames:
            return events.frames[key]
        order, group = events.order, events.group
        clock = [bound for bound in history.bounds if bound.number == history.clock]
        found = [self._limit(bound.limit).of(events.turn) for bound in limits]
        group = group if events.turn is None else group[events.turn]
        for known in (limit.known for limit in found if limit.known is not None):
            group = np.where(known, group, -1)
        if clock:
            number, cuts = self._compared(clock, events.turn)
            order = replace(order, clock=number.values[events.rows])
            frames = order.frames(group, cuts)
        else:
            frames = order.frames(group, ())
        if events.turn is None:
            events.turn = frames.turn()
            frames, found = frames.of(events.turn), [limit.of(events.turn) for limit in found]
        if history.others:
            number, cuts = self._compared(history.others, events.turn)
            own = number.of(events.rows)
            frames = replace(frames, admitted=Admitted.of(own.values, own.known, cuts))
        if len(limits) > len(history.bounds):
            frames = frames.latest(found[-1].values)
        if len(group) * (len(events.frames) + 1) <= KEPT_ROWS:
            events.frames[key] = frames
        return frames

    def _compared(
        self, bounds: Sequence[Bound], turn: Places | None
    ) -> tuple[Column, list[tuple[str, Places]]]:
        """A counted number and its bounds as whole numbers that compare."""
        number = self._column(self.counted, bounds[0].number)
        limits = [self._limit(bound.limit).of(turn).values for bound in bounds]
        own, *limits = comparable_bits([number.values, *limits])
        operators: list[str] = [bound.operator for bound in bounds]
        return Column(own, number.known), list(zip(operators, limits, strict=True))

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

    def _limit(self, term: Term) -> Column:
        """A limit for each asked row."""
        base, offset = self._moved(term)
        if base is None:
            return Column(np.full(self._asking(), offset))
        limits = self._column(self.asked, base)
        if not offset or not len(limits.values):
            return limits
        values = limits.values.astype(np.int64, copy=False)
        for extreme in (values.min(), values.max()):
            if abs(int(extreme) + offset) >= 1 << 63:
                raise OverflowError(f"({extreme} + {offset})")
        return Column(values + offset, limits.known)

    def _totals(self, *, excluded: bool = False) -> tuple[Values, Places]:
        """What is added up for each asked row, and over how many."""
        total, rows = self._folded(excluded)
        turn = self._sorted(excluded=excluded).turn
        totals, counts = np.empty_like(total), np.empty_like(rows)
        totals[turn], counts[turn] = total, rows
        return totals, counts

    def _folded(self, excluded: bool) -> tuple[Values, Places]:
        """The same, frame by frame."""
        kind, frames = self.term.kind, self._frames(excluded=excluded)
        rows_of = self._sorted(excluded=excluded).rows
        if self.history.value is None:
            if self.history.one_row({variable.name for variable in self.term.variables}):
                rows = frames.counts()
            else:
                things = self._column(self.counted, self.term.variables[0])
                rows = frames.distinct(things.values[rows_of])
            return rows, rows
        values, known = self._column(self.counted, self.history.value).of(rows_of)
        if kind in ("min", "max"):
            return frames.extremes(values, kind == "max", known), frames.counts(known)
        if kind == "rate" or (kind == "avg" and might_overflow(values)):
            values = values.astype(np.float64)
        return frames.sums(values, known), frames.counts(known)


def _refuse_many(term: Aggregate, pairs: int) -> None:
    """Raise KR607 where the pairs that a join would try are too many."""
    if pairs > PAIRS:
        hours = pairs / PAIRS_A_SECOND / 3600
        message = (
            f"`{term.kind}` joins {pairs:,} pairs of what is asked and what is counted, about "
            f"{hours:.1f} hours of a core"
        )
        help = (
            "compare a clock and at most one other number of what is counted, each alone on its "
            "side; or narrow both by what they have in common"
        )
        raise GroundingError(diagnostics=(Diagnostic("KR607", message, span=term.span, help=help),))


def _is_of_one(term: Term | Formula, variables: Sequence[Variable]) -> bool:
    """Whether a term says something of one thing, whose rows are read."""
    own = free_variables(term)
    return len(own) == 1 and own[0] in variables
