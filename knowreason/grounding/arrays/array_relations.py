"""Everything observed and defined, as arrays: :class:`.Relations` for little data.

What is asked is evaluated for the rows that ask, definitions too, and nothing else is: for a few
hundred rows that takes microseconds where building and running SQL takes milliseconds. What goes
beyond (:class:`.BeyondArrays`) is left to a relational engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.id_tables import VALUE, id_columns
from knowreason.data.splits.label_history import as_of, known_truths
from knowreason.grounding.arrays.array_settings import ArraySettings
from knowreason.grounding.arrays.array_tables import (
    PAIRS,
    ArrayTable,
    BeyondArrays,
    Ids,
    distinct,
    numbers_of,
)
from knowreason.grounding.arrays.running_totals import CountedRows, Running
from knowreason.grounding.arrays.scope_steps import FormulaScopes
from knowreason.grounding.plan.label_aggregates import AS_OF, KNOWN
from knowreason.grounding.plan.rule_plan import RulePlan
from knowreason.grounding.relational.database import ARROW_TYPES, Relations
from knowreason.grounding.relational.engine_errors import Evaluated
from knowreason.grounding.relational.history_columns import Column
from knowreason.logic import Formula, Program

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from knowreason.data import Dataset

T = TypeVar("T")


class ArrayRelations:
    """Tables of what is observed and defined, read as arrays when first asked for.

    Args:
        scopes: of the program.
        data: tables bound to it.
        running: totals over a history that aggregates are read from.
        counted: by rule, settings decided by evidence that are counted, and not among the rows.

    Attributes:
        is_open: whether the truth of atoms of a predicate is unknown, by their ids.
    """

    def __init__(
        self,
        scopes: FormulaScopes,
        data: Dataset,
        running: Running | None = None,
        counted: Mapping[int, CountedRows] | None = None,
    ) -> None:
        self.running = running
        self.counted = counted or {}
        self.program = scopes.program
        self.scopes = scopes
        self.data = data
        self.is_open: Callable[[str, Sequence[Ids], int], NDArray[np.bool_]] = _all_open
        self._facts: dict[str, ArrayTable] = {}
        self._values: dict[str, tuple[ArrayTable, Column]] = {}
        self._things: dict[str, ArrayTable] = {}
        self._found: dict[str, tuple[NDArray[np.bool_], Column]] = {}
        self._tables: dict[str, pa.Table] = {}
        self._computing: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def evaluating(self, statement: Evaluated) -> AbstractContextManager[None]:
        """A context; errors are a relational engine's to explain."""
        return nullcontext()

    def plan(self, index: int) -> RulePlan:
        """The plan of a rule."""
        return self.scopes.plan(index)

    def once(self, what: str, node: object, make: Callable[[], T]) -> T:
        """What is made of a node, made once for all data."""
        return self.scopes.once(what, node, make)

    def size(self, sort: str) -> int:
        """How many things a domain has."""
        return len(self.data.vocabularies[sort])

    def identity(self, domain: str, name: str) -> int:
        """Id of a thing, -1 for one that is not in the vocabulary."""
        return int(self.data.vocabularies[domain].ids([name])[0])

    def settings(self, columns: Mapping[str, Ids], rows: int) -> ArraySettings:
        """Rows of ids to start from."""
        return ArraySettings(self, rows, dict(columns))

    def read(self, name: str) -> pa.Table:
        """Whole table of a predicate, attribute or definition, sorted by its arguments."""
        if name not in self._tables:
            self._tables[name] = self._table(name)
        return self._tables[name]

    def _table(self, name: str) -> pa.Table:
        sorts = self.program.sorts_of(name)
        if not sorts:
            raise BeyondArrays
        names = [f"a{place}" for place in range(len(sorts))]
        if name not in self.scopes.definitions:
            given = self.data.facts.get(name)
            table = pa.table(self.data.attributes[name] if given is None else given)
            in_order = [(own, "ascending") for own in names]
            return table.take(pc.sort_indices(table, sort_keys=in_order))
        definition = self.scopes.definitions[name]
        if definition.is_predicate:
            _, columns = self.rows_of(name, {}, 1)
            first, _ = distinct(columns, len(columns[0]))
            columns = [column[first] for column in columns]
            self._facts[name] = ArrayTable(columns, len(first))  # from now on it is looked up
            return pa.table([pa.array(c, pa.int32()) for c in columns], names=names)
        settings = self.settings({}, 1)
        for parameter in definition.parameters:
            settings.range_over(parameter)
        ids = [settings.columns[parameter.name] for parameter in definition.parameters]
        value = self.value_of(name, [Column(own) for own in ids], settings.rows)
        if value.known is not None:
            ids, value = [own[value.known] for own in ids], Column(value.values[value.known])
        columns = [pa.array(own, pa.int32()) for own in ids]
        kind = ARROW_TYPES.get(str(definition.sort), pa.int32())
        return pa.table([*columns, pa.array(value.values, kind)], names=[*names, VALUE])

    # -- predicates --------------------------------------------------------------

    def rows_of(self, name: str, wanted: Mapping[int, Ids], rows: int) -> tuple[Ids, list[Ids]]:
        """Rows of a predicate for each asking row: which one asks, and ids at all places."""
        if name in self.scopes.definitions and name not in self._facts:
            return self._defined_rows(name, wanted, rows)
        table = self._fact_table(name)
        left, right = table.matches(dict(wanted), rows)
        return left, [column[right] for column in table.columns]

    def holds(self, name: str, arguments: Sequence[Ids], rows: int) -> NDArray[np.bool_]:
        """Whether a predicate is true of each row of ids."""
        if name in self.scopes.definitions and len(arguments) == 1:
            found = self._of_things(name, arguments[0])
            return found.values & (arguments[0] >= 0)
        left, _ = self.rows_of(name, dict(enumerate(arguments)), rows)
        held = np.zeros(rows, bool)
        held[left] = True
        return held

    def _fact_table(self, name: str) -> ArrayTable:
        if name not in self._facts:
            if self.program.kind_of(name) != "observed":
                raise BeyondArrays
            table = self.data.facts.get(name)
            if table is None:
                columns = [np.zeros(0, np.int64) for _ in self.program.sorts_of(name)]
                self._facts[name] = ArrayTable(columns, 0)
            else:
                self._facts[name] = ArrayTable(_ids(table, self.program, name), table.num_rows)
        return self._facts[name]

    def _defined_rows(
        self, name: str, wanted: Mapping[int, Ids], rows: int
    ) -> tuple[Ids, list[Ids]]:
        definition = self.scopes.definitions[name]
        places = sorted(wanted)
        first, same = distinct([wanted[place] for place in places], rows)
        parameters = definition.parameters
        known = {parameters[place].name: wanted[place][first] for place in places}
        parts = []
        branches = self.scopes.body(definition)
        assert isinstance(branches, tuple)
        with self._once(name):
            for branch in branches:
                inner = ArraySettings(self, len(first), dict(known), np.arange(len(first)))
                inner.satisfy(branch, parameters)
                assert inner.owner is not None
                parts.append([inner.owner, *(inner.columns[p.name] for p in parameters)])
        columns = [np.concatenate(own) for own in zip(*parts, strict=True)]
        table = ArrayTable(columns, len(columns[0])).projected(range(len(columns)))
        left, right = table.matches({0: same}, rows)
        return left, [column[right] for column in table.columns[1:]]

    # -- attributes --------------------------------------------------------------

    def value_of(self, name: str, arguments: Sequence[Column], rows: int) -> Column:
        """Values of an attribute; unknown where an argument is."""
        known = [column.known for column in arguments if column.known is not None]
        ids = [column.values for column in arguments]
        there = np.logical_and.reduce([*known, *(own >= 0 for own in ids)]) if ids else None
        if name in self.scopes.definitions:
            found = self._defined_values(name, ids, there, rows)
        else:
            found = self._observed(name, ids, rows)
        if there is None or there.all():
            return found
        return Column(found.values, there if found.known is None else there & found.known)

    def things_of(self, name: str, values: Ids) -> tuple[Ids, Ids]:
        """Asking rows, and the things whose attribute is the id that each asks for."""
        if name not in self._things:
            table, column = self._observed_table(name)
            things = table.columns[0]
            own = column.values[things]
            if column.known is not None:
                there = column.known[things]
                things, own = things[there], own[there]
            self._things[name] = ArrayTable([things, own], len(things))
        table = self._things[name]
        left, right = table.matches({1: values}, len(values))
        return left, table.columns[0][right]

    def _observed(self, name: str, ids: Sequence[Ids], rows: int) -> Column:
        table, column = self._observed_table(name)
        if len(ids) == 1:
            return column.of(np.maximum(ids[0], 0) if len(column.values) else ids[0][:0])
        left, right = table.matches(dict(enumerate(ids)), rows)
        values, known = np.zeros(rows, column.values.dtype), np.zeros(rows, bool)
        if values.dtype == object:
            values[:] = ""
        values[left] = column.values[right]
        known[left] = True if column.known is None else column.known[right]
        return Column(values, None if known.all() else known)

    def _observed_table(self, name: str) -> tuple[ArrayTable, Column]:
        """Rows of an attribute; its values by id of the one thing, else by row."""
        if name not in self._values:
            if name.startswith(KNOWN):
                table = known_truths(self.data, name.removeprefix(KNOWN))
            elif name.startswith(AS_OF):
                table = as_of(self.data, name.removeprefix(AS_OF))
            elif name in self.data.attributes:
                table = self.data.attributes[name]
            elif any(a.name == name and not a.asked for a in self.program.attributes):
                (sort,) = (a.sort for a in self.program.attributes if a.name == name)
                sorts = self.program.sorts_of(name)
                fields = [(f"a{i}", pa.int32()) for i in range(len(sorts))]
                kind = ARROW_TYPES.get(sort, pa.int32())
                table = pa.schema([*fields, (VALUE, kind)]).empty_table()
            else:
                raise BeyondArrays
            columns = [np.asarray(c).astype(np.int64) for c in table.columns[:-1]]
            own = ArrayTable(columns, table.num_rows)
            one = len(columns) == 1
            size = own.rows
            things = np.arange(own.rows)
            if one:
                things = columns[0]
                size = self._things_asked(name)
            self._values[name] = own, numbers_of(table.column(VALUE), things, size)
        return self._values[name]

    def _things_asked(self, name: str) -> int:
        """How many things the domain of a unary attribute has, at least one."""
        if name.startswith(AS_OF):
            name = name.removeprefix(AS_OF)
        if name.startswith(KNOWN):
            declared = self.program.predicate(name.removeprefix(KNOWN))
            sorts = [s for i, s in enumerate(declared.sorts) if i != declared.functional_position]
        else:
            sorts = list(self.program.sorts_of(name))
        return max(self.size(sorts[0]), 1)

    def _defined_values(
        self, name: str, ids: Sequence[Ids], there: NDArray[np.bool_] | None, rows: int
    ) -> Column:
        if len(ids) == 1:
            return self._of_things(name, ids[0])
        first, same = distinct(ids, rows)
        found = self._computed(name, [own[first] for own in ids], len(first))
        return found.of(same)

    def _of_things(self, name: str, ids: Ids) -> Column:
        """A definition about one thing, evaluated once a thing."""
        definition = self.scopes.definitions[name]
        size = max(self.size(definition.parameters[0].sort), 1)
        done, column = self._found.get(name, (np.zeros(size, bool), Column(np.zeros(size, bool))))
        ids = np.maximum(ids, 0)
        missing = ids[~done[ids]]
        if len(missing):
            missing = np.unique(missing)
            if definition.is_predicate:
                left, _ = self._defined_rows(name, {0: missing}, len(missing))
                values = np.zeros(len(missing), bool)
                values[left] = True
                new = Column(values)
            else:
                new = self._computed(name, [missing], len(missing))
            known = np.ones(size, bool) if column.known is None else column.known
            values = column.values
            if values.dtype != new.values.dtype:
                empty = np.full(size, "", object) if new.values.dtype == object else None
                values = values.astype(new.values.dtype) if empty is None else empty
            values[missing] = new.values
            known[missing] = True if new.known is None else new.known
            done[missing] = True
            column = Column(values, known)
            self._found[name] = done, column
        return column.of(ids)

    def _computed(self, name: str, ids: Sequence[Ids], rows: int) -> Column:
        definition = self.scopes.definitions[name]
        if rows > PAIRS:
            raise BeyondArrays
        body = self.scopes.body(definition)
        assert not isinstance(body, tuple | Formula)
        columns = {p.name: own for p, own in zip(definition.parameters, ids, strict=True)}
        with self._once(name):
            return ArraySettings(self, rows, columns).term(body)

    @contextmanager
    def _once(self, name: str) -> Iterator[None]:
        if name in self._computing:
            raise BeyondArrays  # recursion
        self._computing.append(name)
        try:
            yield
        finally:
            self._computing.pop()

    # -- what a relational engine is asked beside --------------------------------

    def estimate(self, tree: Any) -> int:
        """Nothing: rows are counted while they are made."""
        return 0

    def rows(self, tree: Any) -> int:
        """As :meth:`estimate`."""
        return 0


def _all_open(predicate: str, ids: Sequence[Ids], rows: int) -> NDArray[np.bool_]:
    return np.ones(rows, bool)


def _ids(table: pa.Table, program: Program, name: str) -> list[Ids]:
    if not program.sorts_of(name):
        return []
    return [column.astype(np.int64) for column in id_columns(table)]


AnyRelations = Relations | ArrayRelations
