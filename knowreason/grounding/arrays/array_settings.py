"""Settings of variables as rows of ids: joined, filtered, and what terms and formulas are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from knowreason.grounding.arrays.array_tables import (
    PAIRS,
    ArrayTable,
    BeyondArrays,
    Ids,
    distinct,
)
from knowreason.grounding.arrays.array_terms import (
    SPECIAL,
    all_true,
    calculated,
    chosen,
    compared,
    known_of,
    negated,
    some_true,
    special,
    summed,
    truth,
)
from knowreason.grounding.arrays.running_totals import Running
from knowreason.grounding.arrays.scope_steps import FormulaScopes, ScopeStep
from knowreason.grounding.relational.history_columns import Column
from knowreason.logic import (
    INTEGER_SORTS,
    VALUE_SORTS,
    Aggregate,
    And,
    Atom,
    AttributeTerm,
    BooleanTerm,
    Comparison,
    Conditional,
    Constant,
    ConstantSet,
    CountList,
    Exists,
    ForAll,
    Formula,
    Iff,
    Implies,
    Not,
    Operation,
    Or,
    ParameterTerm,
    Program,
    Term,
    Truth,
    Value,
    Variable,
    Wildcard,
)


class ArraySource(Protocol):
    """What settings are read from."""

    program: Program
    scopes: FormulaScopes
    running: Running | None

    def size(self, sort: str) -> int:
        """How many things a domain has."""

    def identity(self, domain: str, name: str) -> int:
        """Id of a thing, -1 for one that is not there."""

    def rows_of(self, name: str, wanted: Mapping[int, Ids], rows: int) -> tuple[Ids, list[Ids]]:
        """Rows of a predicate for each asking row: which one asks, and ids at all places."""

    def value_of(self, name: str, arguments: Sequence[Column], rows: int) -> Column:
        """Values of an attribute."""

    def things_of(self, name: str, values: Ids) -> tuple[Ids, Ids]:
        """Asking rows, and the things whose attribute is the id that each asks for."""

    def holds(self, name: str, arguments: Sequence[Ids], rows: int) -> NDArray[np.bool_]:
        """Whether a predicate is true of each row of ids."""


@dataclass
class ArraySettings:
    """Rows of ids, one a setting of variables.

    Attributes:
        tables: what they are read from.
        rows: how many.
        columns: ids by variable.
        owner: the row around it that each belongs to, in a scope inside another.
        kept: values of terms by their object, while rows stay.
    """

    tables: ArraySource
    rows: int
    columns: dict[str, Ids]
    owner: Ids | None = None
    kept: dict[int, tuple[Term, Column]] = field(default_factory=dict)

    def take(self, rows: Ids) -> None:
        """Go on with some rows, in this order, perhaps repeated."""
        self.rows = len(rows)
        self.columns = {name: ids[rows] for name, ids in self.columns.items()}
        if self.owner is not None:
            self.owner = self.owner[rows]
        self.kept = {key: (term, taken(column, rows)) for key, (term, column) in self.kept.items()}

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Go on with the rows of a mask."""
        if not mask.all():
            self.take(mask.nonzero()[0])

    def satisfy(
        self,
        formula: Formula,
        variables: Sequence[Variable],
        wanted: Callable[[ArraySettings], NDArray[np.bool_] | None] | None = None,
    ) -> None:
        """Go on with the settings of the variables, too, in which a formula is true.

        Args:
            formula: crisp.
            variables: that the settings must have, beside the formula's own.
            wanted: which rows matter, once all variables are bound.
        """
        for step in self.tables.scopes.steps(formula, self.columns, variables):
            self._do(step, wanted)
            if not self.rows:
                break
        for variable in (*variables, *self.tables.scopes.free(formula)):
            self.columns.setdefault(variable.name, np.zeros(0, np.int64))

    def _do(
        self, step: ScopeStep, wanted: Callable[[ArraySettings], NDArray[np.bool_] | None] | None
    ) -> None:
        if step.kind == "join":
            assert isinstance(step.part, Atom)
            self._join(step.part)
        elif step.kind == "where":
            assert isinstance(step.part, Formula)
            self.keep(self.condition(step.part).values)
        elif step.kind == "range":
            assert step.variable is not None
            self.range_over(step.variable)
        elif step.kind == "lookup":
            assert isinstance(step.part, AttributeTerm)
            assert step.variable is not None
            assert step.value is not None
            value = self.term(step.value)
            ids = value.values if value.known is None else np.where(value.known, value.values, -1)
            left, things = self.tables.things_of(step.part.name, ids)
            self.take(left)
            self.columns[step.variable.name] = things
        elif step.kind == "derived":
            assert isinstance(step.part, Or | Exists)
            self._join_derived(step.part)
        elif wanted is not None:
            mask = wanted(self)
            if mask is not None:
                self.keep(mask)

    def range_over(self, variable: Variable) -> None:
        """Bind a variable to every thing of its domain; nothing if it is bound."""
        if variable.name in self.columns:
            return
        size = self.tables.size(variable.sort)
        if self.rows * size > PAIRS:
            raise BeyondArrays
        rows = self.rows
        self.take(np.repeat(np.arange(rows), size))
        self.columns[variable.name] = np.tile(np.arange(size), rows)

    def _join(self, atom: Atom) -> None:
        wanted: dict[int, Ids] = {}
        fresh: dict[str, int] = {}
        again: list[tuple[int, int]] = []
        later: list[tuple[int, Term]] = []  # over variables that the atom binds
        known = []
        for place, argument in enumerate(atom.arguments):
            if isinstance(argument, Wildcard):
                continue
            if isinstance(argument, Variable) and argument.name not in self.columns:
                if argument.name in fresh:
                    again.append((fresh[argument.name], place))
                else:
                    fresh[argument.name] = place
                continue
            if any(v.name not in self.columns for v in self.tables.scopes.free(argument)):
                later.append((place, argument))
                continue
            column = self.term(argument)
            wanted[place] = column.values
            if column.known is not None:
                known.append(column)
        mask = known_of(known)
        if mask is not None and not mask.all():
            wanted = {place: ids[mask] for place, ids in wanted.items()}
            self.keep(mask)
        left, columns = self.tables.rows_of(atom.predicate, wanted, self.rows)
        used = [*wanted, *fresh.values(), *(two for _, two in again), *(p for p, _ in later)]
        if len(used) < len(columns):  # `_` is projected away
            own = [columns[place] for place in fresh.values()]
            own += [columns[two] for _, two in again] + [columns[two] for two, _ in later]
            first, _ = distinct([left, *own], len(left))
            left, columns = left[first], [column[first] for column in columns]
        for one, two in again:
            same = columns[one] == columns[two]
            left, columns = left[same], [column[same] for column in columns]
        self.take(left)
        self.columns |= {name: columns[place] for name, place in fresh.items()}
        for place, argument in later:
            held = compared("=", self.term(argument), Column(columns[place])).values
            columns = [column[held] for column in columns]
            self.keep(held)

    def _join_derived(self, part: Or | Exists) -> None:
        free = self.tables.scopes.free(part)
        keys = [v for v in free if v.name in self.columns]
        loose = [v for v in free if v.name not in self.columns]
        parts: list[list[Ids]] = []
        same = np.zeros(0, np.int64)
        for branch in part.operands if isinstance(part, Or) else (part.body,):
            inner, same = self._inside(keys)
            inner.satisfy(branch, ())
            assert inner.owner is not None
            parts.append([inner.owner, *(inner.columns[v.name] for v in loose)])
        columns = [np.concatenate(own) for own in zip(*parts, strict=True)]
        table = ArrayTable(columns, len(columns[0])).projected(range(len(columns)))
        left, right = table.matches({0: same}, self.rows)
        self.take(left)
        self.columns |= {
            v.name: own[right] for v, own in zip(loose, table.columns[1:], strict=True)
        }

    def _inside(self, keys: Sequence[Variable]) -> tuple[ArraySettings, Ids]:
        """Settings of a scope inside, one a distinct setting of keys, and which is each row's."""
        names = [key.name for key in keys]
        return self._groups(names, [self.columns[name] for name in names])

    def _groups(self, names: Sequence[str], columns: Sequence[Ids]) -> tuple[ArraySettings, Ids]:
        first, same = distinct(columns, self.rows)
        own = {name: column[first] for name, column in zip(names, columns, strict=True)}
        return ArraySettings(self.tables, len(first), own, np.arange(len(first))), same

    # -- formulas ----------------------------------------------------------------

    def condition(self, formula: Formula) -> Column:
        """Whether a crisp formula over bound variables holds in each row."""
        match formula:
            case Truth():
                return Column(np.full(self.rows, formula.value))
            case Atom():
                return self._atom(formula)
            case BooleanTerm():
                column = self.term(formula.term)
                return truth(column.values, column.known)
            case Comparison(left=left, right=ConstantSet(members)):
                value = self.term(left)
                return some_true([compared("=", value, self.term(one)) for one in members])
            case Comparison():
                return compared(formula.operator, self.term(formula.left), self.term(formula.right))
            case Not():
                return negated(self.condition(formula.operand))
            case And():
                return all_true([self.condition(part) for part in formula.operands])
            case Or():
                return some_true([self.condition(part) for part in formula.operands])
            case Implies():
                return some_true(
                    [negated(self.condition(formula.left)), self.condition(formula.right)]
                )
            case Iff():
                return compared("=", self.condition(formula.left), self.condition(formula.right))
            case Exists():
                return self._exists(formula, formula.body, formula.variables)
            case ForAll():
                body = self.tables.scopes.negation(formula)
                return negated(self._exists(formula, body, formula.variables))
        raise BeyondArrays

    def _exists(self, whole: Formula, body: Formula, variables: Sequence[Variable]) -> Column:
        inner, same = self._inside(self.tables.scopes.free(whole))
        found = np.zeros(inner.rows, bool)
        inner.satisfy(body, variables)
        found[inner.owner] = True
        return Column(found[same])

    def _atom(self, atom: Atom) -> Column:
        places = [i for i, a in enumerate(atom.arguments) if not isinstance(a, Wildcard)]
        columns = [self.term(atom.arguments[place]) for place in places]
        known = known_of(columns)
        ids = [c.values if c.known is None else np.where(c.known, c.values, -1) for c in columns]
        if len(places) == len(atom.arguments):
            return truth(self.tables.holds(atom.predicate, ids, self.rows), known)
        left, _ = self.tables.rows_of(
            atom.predicate, dict(zip(places, ids, strict=True)), self.rows
        )
        found = np.zeros(self.rows, bool)
        found[left] = True
        return truth(found, known)

    # -- terms -------------------------------------------------------------------

    def term(self, term: Term) -> Column:
        """What a term over bound variables is in each row."""
        match term:
            case Variable():
                return Column(self.columns[term.name])
            case Constant() if term.sort in VALUE_SORTS:
                return self._constant(term)
            case Constant():
                identity = self.tables.identity(term.sort, str(term.value))
                return Column(np.full(self.rows, identity))
            case ParameterTerm():
                value = self.tables.program.parameter_value(term.name)
                return self._constant(Constant(value.value, term.sort))
            case AttributeTerm() | Aggregate():
                kept = self.kept.get(id(term))
                if kept is None:
                    found = (
                        self._aggregate(term)
                        if isinstance(term, Aggregate)
                        else self.tables.value_of(
                            term.name, [self.term(a) for a in term.arguments], self.rows
                        )
                    )
                    kept = self.kept[id(term)] = term, found
                return kept[1]
            case Operation(name) if name in SPECIAL:
                fixed = [self._fixed(operand) for operand in term.operands[1:]]
                return special(name, self.term(term.operands[0]), fixed)
            case Operation():
                operands = [self.term(operand) for operand in term.operands]
                whole = term.sort in INTEGER_SORTS and term.operator in ("*", "/", "floor")
                return calculated(term.operator, operands, whole)
            case Conditional():
                return chosen(
                    self.condition(term.condition), self.term(term.one), self.term(term.other)
                )
            case CountList():
                held = [self.condition(formula).values for formula in term.formulas]
                return Column(np.asarray(np.sum(held, axis=0, dtype=np.int64)))
        raise BeyondArrays

    def _fixed(self, term: Term) -> Value:
        """The value of what is the same in every row."""
        if isinstance(term, ParameterTerm):
            return self.tables.program.parameter_value(term.name).value
        if not isinstance(term, Constant):
            raise BeyondArrays
        return term.value

    def _constant(self, term: Constant) -> Column:
        if term.sort == "string":
            return Column(np.full(self.rows, str(term.value), object))
        kind: Any = {"bool": bool, "float": float}.get(term.sort, int)
        return Column(np.full(self.rows, kind(term.value)))

    def amount(self, value: Term | Formula) -> Column:
        """What one row adds: a term's value, 0 or 1 for a formula."""
        column = self.condition(value) if isinstance(value, Formula) else self.term(value)
        if column.values.dtype == bool:
            return Column(column.values.astype(np.int64), column.known)
        return column

    def _aggregate(self, term: Aggregate) -> Column:
        running = self.tables.running
        found = None if running is None else running.totals(term, self)
        if found is not None:
            return self._aggregated(term, *found)
        grouped = self.tables.scopes.by_terms(term)
        around = [] if grouped is None else [self.term(own) for own in grouped.terms]
        if grouped is None or any(own.known is not None for own in around):
            inner, same = self._inside(self.tables.scopes.free(term))
        else:
            term = grouped.aggregate
            inner, same = self._groups(grouped.names, [own.values for own in around])
        groups = inner.rows
        inner.satisfy(term.body, term.variables)
        if term.last is not None and term.by is not None:
            inner._keep_latest(term, term.last, term.by)
        value = None if term.value is None else inner.amount(term.value)
        assert inner.owner is not None
        total, rows = summed(term.kind, value, inner.owner, groups)
        return self._aggregated(term, total[same], rows[same])

    def _aggregated(self, term: Aggregate, total: NDArray[Any], rows: Ids) -> Column:
        if term.kind == "rate":
            return self._rate(term, total, rows)
        if term.sort in INTEGER_SORTS and total.dtype.kind == "f":
            total = np.rint(total).astype(np.int64)
        if term.kind in ("count", "sum"):
            return Column(total)
        return Column(total, None if rows.all() else rows > 0)

    def _keep_latest(self, term: Aggregate, last: Term, by: Term) -> None:
        """Keep the last few rows of each owner; at ties those of the greater ids."""
        clock = self.term(by)
        if clock.known is not None:
            self.keep(clock.known)
            clock = self.term(by)
        limit = self.term(last)
        ties = [self.columns[v.name] for v in reversed(term.variables)]
        assert self.owner is not None
        order = np.lexsort((*ties, clock.values, self.owner))
        ends = np.searchsorted(self.owner[order], self.owner[order], "right")
        kept = ends - np.arange(self.rows) <= limit.values[order]
        if limit.known is not None:
            kept &= limit.known[order]
        self.take(np.sort(order[kept]))

    def _rate(self, term: Aggregate, total: NDArray[Any], rows: Ids) -> Column:
        nothing = Column(np.zeros(self.rows))
        prior = nothing if term.prior is None else self.term(term.prior)
        strength = nothing if term.strength is None else self.term(term.strength)
        seen = rows + strength.values
        known = known_of((prior, strength))
        known = seen != 0 if known is None else known & (seen != 0)
        share = (total + prior.values * strength.values) / np.where(seen != 0, seen, 1)
        return Column(share, None if known.all() else known)


def taken(column: Column, rows: Ids) -> Column:
    """Some rows of a column."""
    return Column(column.values[rows], None if column.known is None else column.known[rows])
