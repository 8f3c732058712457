"""Counts and sums over history as running totals by key: an event asks for two places in them.

Totals of ``count { f : Pays(f, card: card(e)) & at(f) < at(e) }`` are kept by card and clock, so
what came before an event is a difference of two of them, however long the history is. That is for
aggregates over one counted thing that rest on nothing but its own rows: these do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from knowreason.grounding.arrays.array_tables import Ids
from knowreason.grounding.arrays.scope_steps import FormulaScopes
from knowreason.grounding.plan.history_aggregates import Bound, is_place, split
from knowreason.grounding.relational.history_columns import Column
from knowreason.logic import (
    INTEGER_SORTS,
    Aggregate,
    And,
    Atom,
    AttributeTerm,
    CountList,
    Exists,
    ForAll,
    Formula,
    Program,
    Term,
    Truth,
    Variable,
    Wildcard,
)
from knowreason.logic.traversal import free_variables, walk

KEY_BITS = 62
SIGNS = ("<", "<=", ">", ">=")  # in the order of the kernel's numbers
LATE = 4096  # contributions that are kept apart until they are sorted with the others


class Asking(Protocol):
    """Settings of variables, as rows."""

    rows: int

    def satisfy(self, formula: Formula, variables: Sequence[Variable]) -> None:
        """Go on with the settings in which a formula is true."""

    def term(self, term: Term) -> Column:
        """What a term is in each row."""

    def amount(self, value: Term | Formula) -> Column:
        """What one row adds."""


@dataclass(frozen=True)
class RunningShape:
    """An aggregate whose totals can be kept.

    Attributes:
        counted: the variable that is counted.
        condition: what holds of it.
        own: what it is grouped by: terms of the counted.
        theirs: what these equal: terms of the asked.
        sorts: of the groups' things.
        clock: by which totals are sorted, if any.
        bounds: of the clock, set by the asked.
        value: what is summed.
        reads: names and places of the tables in which the counted thing stands.
    """

    counted: Variable
    condition: Formula
    own: tuple[Term, ...]
    theirs: tuple[Term, ...]
    sorts: tuple[str, ...]
    clock: Term | None
    bounds: tuple[Bound, ...]
    value: Term | Formula | None
    reads: frozenset[tuple[str, int]]


def running_shape(program: Program, term: Aggregate) -> RunningShape | None:
    """How an aggregate's totals are kept; ``None`` where they cannot be."""
    if term.kind not in ("count", "sum", "avg", "rate") or term.last is not None:
        return None
    history = split(term, free_variables(term))
    if history is None or not history.is_frame or len(term.variables) != 1:
        return None
    (counted,) = term.variables
    if history.links or history.excluded or history.others or history.asked or not history.pairs:
        return None
    open_domains = {domain.name for domain in program.domains if domain.members is None}
    domains = {domain.name for domain in program.domains}
    if counted.sort not in open_domains:
        return None
    if history.clock is not None and history.clock.sort not in INTEGER_SORTS:
        return None
    own = tuple(one for one, _ in history.pairs)
    value = [] if history.value is None else [history.value]
    clock = [] if history.clock is None else [history.clock]
    reads: set[tuple[str, int]] = set()
    terms = [one for one in own if not is_place(one)]
    plain = [*(f for f in history.counted if not isinstance(f, Atom)), *terms, *value, *clock]
    if not all(_is_of_thing(program, part, counted, reads) for part in plain):
        return None
    for part in history.counted:
        if isinstance(part, Atom) and not _is_row_of_thing(program, part, counted, reads):
            return None
    if not reads or any(sort not in domains for sort in (one.sort for one in own)):
        return None
    return RunningShape(
        counted,
        And(tuple(history.counted)) if history.counted else Truth(True),
        own,
        tuple(two for _, two in history.pairs),
        tuple(one.sort for one in own),
        history.clock,
        tuple(history.bounds),
        history.value,
        frozenset(reads),
    )


def _is_of_thing(
    program: Program, part: Term | Formula, counted: Variable, reads: set[tuple[str, int]]
) -> bool:
    """Whether a term or formula reads attributes of the counted thing only."""
    given = {attribute.name for attribute in program.attributes if not attribute.asked}
    for node in walk(part):
        if isinstance(node, Aggregate | Exists | ForAll | CountList | Atom):
            return False
        if isinstance(node, Variable) and node.name != counted.name:
            return False
        if isinstance(node, AttributeTerm):
            if node.name not in given or node.arguments != (counted,):
                return False
            reads.add((node.name, 0))
    return True


def _is_row_of_thing(
    program: Program, atom: Atom, counted: Variable, reads: set[tuple[str, int]]
) -> bool:
    """Whether an atom is a row of an observed table in which the counted thing stands."""
    if atom.predicate in {d.name for d in program.definitions} or program.is_open(atom.predicate):
        return False
    plain = all(is_place(a) or a == counted or isinstance(a, Wildcard) for a in atom.arguments)
    if not plain or counted not in atom.arguments:
        return False
    reads.add((atom.predicate, atom.arguments.index(counted)))
    return True


@dataclass(frozen=True)
class Totals:
    """Running totals, ascending by key and clock.

    Attributes:
        key: of each counted row.
        clock: its own; zeros where there is none.
        rows: how many rows have a value, up to each place (one more than there are).
        total: what they add up to.
    """

    key: Ids
    clock: Ids
    rows: Ids
    total: NDArray[Any]

    @staticmethod
    def of(key: Ids, clock: Ids, value: NDArray[Any], known: NDArray[Any]) -> Totals:
        """Totals of some rows, in any order."""
        order = np.lexsort((clock, key))
        rows = np.concatenate([[0], np.cumsum(known[order])])
        total = np.concatenate([value[:0], [0], np.cumsum(np.where(known, value, 0)[order])])
        return Totals(key[order], clock[order], rows, total)

    def plus(self, other: Totals) -> Totals:
        """Totals of both's rows."""
        known = np.concatenate([np.diff(self.rows), np.diff(other.rows)])
        value = np.concatenate([np.diff(self.total), np.diff(other.total)])
        key = np.concatenate([self.key, other.key])
        clock = np.concatenate([self.clock, other.clock])
        return Totals.of(key, clock, value, known.astype(bool))

    def between(self, key: Ids, cuts: Sequence[tuple[str, Ids]]) -> tuple[NDArray[Any], Ids]:
        """Totals and rows of some keys within bounds of the clock."""
        from knowreason.grounding.arrays.total_kernels import stretches

        first, last = np.empty(len(key), np.int64), np.empty(len(key), np.int64)
        signs = np.array([SIGNS.index(sign) for sign, _ in cuts], np.int8)
        limits = np.empty((len(cuts), len(key)), np.int64)
        for place, (_, limit) in enumerate(cuts):
            limits[place] = limit
        stretches(self.key, self.clock, key, signs, limits, first, last)
        return self.total[last] - self.total[first], self.rows[last] - self.rows[first]


def contributions(shape: RunningShape, settings: Asking, ids: Mapping[str, Ids]) -> Totals | None:
    """Totals of the counted things of some settings; ``None`` where their keys do not fit.

    Args:
        shape: of the aggregate.
        settings: to start from: the counted things are bound, or range over all.
        ids: by domain, what the ids of the settings' tables are called in keys.
    """
    settings.satisfy(shape.condition, (shape.counted,))
    columns = [settings.term(term) for term in shape.own]
    clock = None if shape.clock is None else settings.term(shape.clock)
    known = np.ones(settings.rows, bool)
    for column in (*columns, *([] if clock is None else [clock])):
        if column.known is not None:
            known &= column.known
    value = None if shape.value is None else settings.amount(shape.value)
    keys = (
        [
            ids[sort][np.where(known, column.values, 0)] if sort in ids else column.values
            for sort, column in zip(shape.sorts, columns, strict=True)
        ]
        if settings.rows
        else [np.zeros(0, np.int64) for _ in columns]
    )
    key = combined(keys)
    if key is None:
        return None
    times = np.zeros(settings.rows, np.int64) if clock is None else clock.values
    amount = np.ones(settings.rows, np.int64) if value is None else value.values
    there = known if value is None or value.known is None else value.known
    return Totals.of(key[known], times[known], amount[known], there[known])


def combined(columns: Sequence[Ids]) -> Ids | None:
    """One number for the ids of a row; ``None`` where they are too many."""
    bits = KEY_BITS // len(columns)
    key = columns[0].astype(np.int64)
    for column in columns:
        if len(column) and int(column.max()) >= 1 << bits:
            return None
    for column in columns[1:]:
        key = (key << bits) | column
    return key


@dataclass
class Running:
    """Kept totals as one call sees them.

    Attributes:
        scopes: of the program.
        kept: totals of an aggregate, in parts, what is new in this call among them; ``None``
            where none are kept.
        ids: by domain, what the ids of the tables that ask are called in keys.
    """

    scopes: FormulaScopes
    kept: Callable[[RunningShape], tuple[Totals, ...] | None]
    ids: Mapping[str, Ids]

    def totals(self, term: Aggregate, settings: Asking) -> tuple[NDArray[Any], Ids] | None:
        """What is added up for each row that asks, and over how many rows."""
        scopes = self.scopes
        shape = scopes.once("running", term, lambda: running_shape(scopes.program, term))
        parts = None if shape is None else self.kept(shape)
        if shape is None or parts is None:
            return None
        columns = [settings.term(theirs) for theirs in shape.theirs]
        limits = [settings.term(bound.limit) for bound in shape.bounds]
        there = np.ones(settings.rows, bool)
        for column in (*columns, *limits):
            if column.known is not None:
                there &= column.known
        if not settings.rows:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        own = []
        for sort, column in zip(shape.sorts, columns, strict=True):
            there &= column.values >= 0
            things = np.where(there, column.values, 0)
            own.append(self.ids[sort][things] if sort in self.ids else things)
        key = combined(own)
        if key is None or any(limit.values.dtype.kind == "f" for limit in limits):
            return None
        key = np.where(there, key, -1)
        cuts = [
            (bound.operator, limit.values)
            for bound, limit in zip(shape.bounds, limits, strict=True)
        ]
        found = [part.between(key, cuts) for part in parts]
        total, rows = found[0]
        for more, others in found[1:]:
            total, rows = total + more, rows + others
        if term.kind == "avg":
            total = total / np.maximum(rows, 1)
        return total, rows


@dataclass(frozen=True)
class CountedRows:
    """Settings of a rule that leave the literal of one atom, counted by atom.

    Attributes:
        member: predicate of atoms whose known truth did that: settings of unknown ones are rows.
        hub: predicate of the atom that is left.
        things: ids of its arguments.
        example: for each variable of the rule, what it stands for in one of the settings.
        count: number of settings.
        positive: whether the literal is the atom, and not its negation.
    """

    member: str
    hub: str
    things: Sequence[Ids]
    example: Sequence[Ids]
    count: Ids
    positive: bool
