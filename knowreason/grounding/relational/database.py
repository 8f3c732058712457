"""Everything observed and defined, as tables of one relational engine.

Names of the program never become SQL text: a table is known by a generated name,
columns are ``a0 .. a{k-1}`` (and ``value``), and queries are SQLGlot trees.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlglot import exp

from knowreason.data.engine.engine_choice import open_engine
from knowreason.data.engine.relational_engine import EngineError, memory_bytes
from knowreason.data.id_tables import TRUTH
from knowreason.data.splits.label_history import as_of, known_truths
from knowreason.data.wall_clocks import ZONE, offset_rows
from knowreason.errors import GroundingError, UnknownNameError, did_you_mean
from knowreason.grounding.plan.label_aggregates import AS_OF, KNOWN
from knowreason.grounding.plan.rule_plan import RulePlan, plan_rule
from knowreason.grounding.relational.definitions import Definitions
from knowreason.grounding.relational.engine_errors import Evaluated, engine_error
from knowreason.grounding.relational.histories import Histories
from knowreason.grounding.relational.term_sql import column
from knowreason.logic import VALUE_SORTS, Program

if TYPE_CHECKING:
    from knowreason.data import Dataset

T = TypeVar("T")
ARROW_TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "time": pa.int64(),
    "duration": pa.int64(),
}


class Relations:
    """Tables of what is observed and what is defined, in a relational engine.

    Definitions are computed at
    their first use and kept. Use it as a context manager, or call :meth:`close`.

    Args:
        program: checked program.
        data: tables bound to it; predicates distinct, attributes unique a setting.
        memory_limit: of DuckDB, as it writes sizes (``"4GB"``); beyond it, it spills. What
            histories keep for later adds a quarter of that at most.
        threads: of DuckDB; all cores when ``None``.
        temp_directory: where it spills to; one of its own, removed with it, when ``None``.
        known: tables of definitions that were evaluated on this data before.
    """

    def __init__(
        self,
        program: Program,
        data: Dataset,
        *,
        memory_limit: str = "4GB",
        threads: int | None = None,
        temp_directory: str | None = None,
        known: Mapping[str, pa.Table] | None = None,
    ) -> None:
        self.program = program
        self._known = known or {}
        self.data = data
        self.engine = open_engine(data.engine, memory_limit, threads, temp_directory)
        self.definitions = Definitions(self)
        self.histories = Histories(self, memory_bytes(memory_limit))
        self.is_open: Callable[[str, Sequence[Any], int], NDArray[np.bool_]] | None = None
        self._tables: dict[str, exp.Expr] = {}
        self._domains: dict[str, exp.Table] = {}
        self.seconds: dict[str, float] = {}
        self._made = 0
        self._statements = [Evaluated("a query")]

    def __enter__(self) -> Relations:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def plan(self, index: int) -> RulePlan:
        """The plan of a rule."""
        return plan_rule(self.program, index)

    def once(self, what: str, node: object, make: Callable[[], T]) -> T:
        """What is made of a node; a program that is grounded often makes it once."""
        return make()

    def close(self) -> None:
        """Drop all tables and give the memory back."""
        self.engine.close()

    def table(self, name: str) -> exp.Expr:
        """Rows of a predicate (``a0 ..``, distinct) or attribute (and ``value``, unique).

        Args:
            name: an observed predicate, an attribute, or a definition of either kind.

        Raises:
            UnknownNameError: KR201 for a name that is none of these.
            GroundingError: KR602 for an open predicate, whose rows are unknowns.
        """
        if name not in self._tables:
            self._tables[name] = self._make(name)
        return self._tables[name].copy()

    def domain(self, name: str) -> exp.Table:
        """One row (``a0``) a thing of the domain, in id order."""
        if name not in self._domains:
            ids = pa.array(np.arange(len(self.data.vocabularies[name]), dtype=np.int32))
            self._domains[name] = self.register(name, pa.table({"a0": ids}))
        return self._domains[name].copy()

    def register(self, name: str, table: pa.Table) -> exp.Table:
        """An Arrow table as a relation; ``name`` is for people only."""
        made = self.fresh_table(name)
        self.engine.register(made.name, table)
        return made

    def drop(self, table: exp.Table) -> None:
        """Forget what :meth:`register` made."""
        self.engine.drop(table.name)

    def materialise(self, name: str, tree: exp.Query) -> exp.Table:
        """A table of the rows of a query, which is run once."""
        made = self.fresh_table(name)
        with self._told():
            self.engine.materialise(made.name, tree)
        return made

    def append(self, table: exp.Table, tree: exp.Query) -> None:
        """Add the rows of a query to a materialised table."""
        with self._told():
            self.engine.append(table.name, tree)

    def fresh_table(self, name: str) -> exp.Table:
        """A table name that nothing else has."""
        self._made += 1
        return exp.Table(this=exp.to_identifier(f"r{self._made}_{name}", quoted=True))

    @contextmanager
    def standing_for(self, name: str, table: exp.Expr) -> Iterator[None]:
        """A context in which :meth:`table` of ``name`` is the given table."""
        before = self._tables.get(name)
        self._tables[name] = table
        try:
            yield
        finally:
            self._tables.pop(name)
            if before is not None:
                self._tables[name] = before

    def identity(self, domain: str, name: str) -> int:
        """Id of a thing, -1 for one that is not in the vocabulary."""
        return int(self.data.vocabularies[domain].ids([name])[0])

    @property
    def computed(self) -> frozenset[str]:
        """Predicates, attributes and definitions whose tables are there."""
        return frozenset(self._tables)

    def sql(self, tree: exp.Expr) -> str:
        """The tree in the engine's dialect."""
        return self.engine.sql(tree)

    def rows(self, tree: exp.Query) -> int:
        """Exact number of rows of a query.

        Raises:
            GroundingError: KR606 for a number beyond 64 bits, KR603 for other refusals.
        """
        with self._told():
            return self.engine.rows(tree)

    def estimate(self, tree: exp.Query) -> int:
        """The engine's guess at the number of rows."""
        with self._told():
            return self.engine.estimate(tree)

    def arrow(self, tree: exp.Query, batch_rows: int = 1_000_000) -> pa.RecordBatchReader:
        """Rows of a query as Arrow batches; read them before the next query is run."""
        with self._told():
            return self.engine.arrow(tree, batch_rows)

    def read(self, name: str) -> pa.Table:
        """Whole table of a predicate, attribute or definition, sorted by its arguments."""
        arguments = [column("t", f"a{i}") for i in range(len(self.program.sorts_of(name)))]
        tree = exp.select(exp.Star()).from_(exp.alias_(self.table(name), "t", table=True))
        return self.arrow(tree.order_by(*arguments) if arguments else tree).read_all()

    @contextmanager
    def evaluating(self, statement: Evaluated) -> Iterator[None]:
        """A context in which what the engine refuses is told as the statement's fault."""
        self._statements.append(statement)
        try:
            yield
        except OverflowError as error:  # of histories
            raise self._refused(EngineError(str(error), "range")) from error
        except (pa.ArrowException, OSError) as error:  # of rows read late
            if getattr(error, "errno", None) is not None:
                raise  # a file of ours
            raise self._refused(self.engine.explained(error)) from error
        finally:
            self._statements.pop()

    def _defined(self, name: str) -> exp.Table:
        start, before = time.process_time(), sum(self.seconds.values())
        table = self.definitions.table(name)
        within = sum(self.seconds.values()) - before  # of definitions that it needs
        self.seconds[name] = time.process_time() - start - within
        return table

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A context in which what the engine refuses becomes a :class:`GroundingError`."""
        try:
            yield
        except EngineError as error:
            raise self._refused(error) from error

    def _refused(self, error: EngineError) -> GroundingError:
        return engine_error(error, self._statements[-1], self.program, self.data)

    def _make(self, name: str) -> exp.Table:
        program = self.program
        if name in self._known:
            return self.register(name, self._known[name])
        if name.startswith(KNOWN):
            return self.register(name, known_truths(self.data, name.removeprefix(KNOWN)))
        if name.startswith(ZONE):
            return self.register(name, pa.table(offset_rows(name.removeprefix(ZONE))))
        if name.startswith(AS_OF):
            return self.register(name, as_of(self.data, name.removeprefix(AS_OF)))
        if any(definition.name == name for definition in program.definitions):
            return self._defined(name)
        for predicate in program.predicates:
            if predicate.name == name:
                if predicate.is_open:
                    raise GroundingError(
                        f"`{name}` is open: its atoms are unknowns, not rows", code="KR602"
                    )
                empty = _empty(predicate.sorts)
                return self.register(name, self.data.facts.get(name, empty))
        for attribute in program.attributes:
            if attribute.name == name:
                if attribute.asked and name not in self.data.attributes:
                    raise not_estimated(name)
                empty = _empty(attribute.sorts, attribute.sort)
                return self.register(name, _known(self.data.attributes.get(name, empty)))
        names = [predicate.name for predicate in program.predicates]
        names += [attribute.name for attribute in program.attributes]
        names += [definition.name for definition in program.definitions]
        raise UnknownNameError(
            f"`{name}` is not declared", code="KR201", help=did_you_mean(name, names)
        )


def not_estimated(name: str) -> GroundingError:
    """What reads a numeric query comes too early, or is what its model sees."""
    return GroundingError(
        f"`{name}` has no values yet: its model estimates them",
        code="KR668",
        help="fit a `Reasoner` (`knowreason train`), which does so before rules are grounded; a "
        "model of a numeric query sees no numeric query",
    )


def _empty(sorts: tuple[str, ...], value: str | None = None) -> pa.Table:
    columns = {f"a{i}": pa.array([], pa.int32()) for i in range(len(sorts))}
    if value is not None:
        kind = ARROW_TYPES[value] if value in VALUE_SORTS else pa.int32()
        columns["value"] = pa.array([], kind)
    elif not sorts:
        columns[TRUTH] = pa.array([], pa.bool_())
    return pa.table(columns)


def _known(table: pa.Table) -> pa.Table:
    """Rows whose value is there; NaN is missing too."""
    values = table["value"]
    present = pc.is_valid(values)
    if pa.types.is_floating(values.type):
        present = pc.and_(present, pc.invert(pc.fill_null(pc.is_nan(values), True)))
    return table if pc.all(present).as_py() in (True, None) else table.filter(present)
