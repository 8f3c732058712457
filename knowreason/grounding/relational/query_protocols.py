"""What the parts of the relational engine need of one another, as protocols.

A definition's table is made by a query, a query joins tables of definitions, and aggregates are
queries inside of one: the modules know each other through these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, Self

import pyarrow as pa
from sqlglot import exp

from knowreason.data.engine.relational_engine import RelationalEngine
from knowreason.grounding.relational.engine_errors import Evaluated
from knowreason.logic import Aggregate, Formula, Program, Term, Variable


class Tables(Protocol):
    """Where the tables are; see :class:`knowreason.grounding.relational.database.Relations`."""

    program: Program
    engine: RelationalEngine

    @property
    def histories(self) -> HistoryTables:
        """Where aggregates over what came before are computed."""

    def table(self, name: str) -> exp.Expr:
        """Rows of a predicate (``a0 ..``) or attribute (and ``value``)."""

    def domain(self, name: str) -> exp.Table:
        """One row (``a0``) a thing of the domain."""

    def identity(self, domain: str, name: str) -> int:
        """Id of a thing, -1 for one that is not in the vocabulary."""

    def fresh_table(self, name: str) -> exp.Table:
        """A table name that nothing else has."""

    def standing_for(self, name: str, table: exp.Expr) -> AbstractContextManager[None]:
        """A context in which :meth:`table` of ``name`` is the given table."""

    def evaluating(self, statement: Evaluated) -> AbstractContextManager[None]:
        """A context in which what the engine refuses is told as the statement's fault."""

    def materialise(self, name: str, tree: exp.Query) -> exp.Table:
        """A table of the rows of a query, which is run once."""

    def append(self, table: exp.Table, tree: exp.Query) -> None:
        """Add the rows of a query to a materialised table."""

    def register(self, name: str, table: pa.Table) -> exp.Table:
        """An Arrow table as a relation."""

    def drop(self, table: exp.Table) -> None:
        """Forget what :meth:`register` made."""

    def arrow(self, tree: exp.Query) -> pa.RecordBatchReader:
        """Rows of a query as Arrow batches."""

    def sql(self, tree: exp.Expr) -> str:
        """The tree as text."""

    def rows(self, tree: exp.Query) -> int:
        """Exact number of rows of a query."""


class SettingsQuery(Protocol):
    """A query over settings of variables; see :class:`.Conjunction`."""

    relations: Tables
    columns: dict[str, exp.Expr]

    def term(self, term: Term) -> exp.Expr:
        """A term over bound variables."""

    def condition(self, formula: Formula) -> exp.Expr:
        """A crisp formula over bound variables."""

    def satisfy(self, formula: Formula, variables: Iterable[Variable] = ()) -> None:
        """Keep the settings that make a formula true."""

    def select(self, outputs: Mapping[str, exp.Expr], *, distinct: bool = False) -> exp.Select:
        """The query, with the given columns."""

    def sibling(self) -> Self:
        """An empty query whose aliases differ from this one's."""

    def alone(self) -> Self:
        """An empty query that is run by itself."""

    def left_join(
        self, table: exp.Expr, on: Mapping[str, exp.Expr], *, covers: bool = False
    ) -> str:
        """Alias of joined columns that never change the rows."""

    def fresh_alias(self) -> str:
        """A table alias nothing else in the query has."""


class HistoryTables(Protocol):
    """Aggregates over history; see :class:`knowreason.grounding.relational.histories.Histories`."""

    def table(
        self, outer: SettingsQuery, term: Aggregate, keys: Sequence[Variable]
    ) -> tuple[exp.Table, bool] | None:
        """Rows ``a0 .., value, rows`` of an aggregate, and whether every thing has one."""

    def whole(
        self, outer: SettingsQuery, term: Aggregate, keys: Sequence[Variable]
    ) -> pa.Table | None:
        """Rows ``a0, value`` of a definition that is such an aggregate, of every thing."""

    def dropped_after(self) -> AbstractContextManager[None]:
        """A context whose tables are forgotten at its end."""
