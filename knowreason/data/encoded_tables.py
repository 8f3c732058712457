"""The tables of a data set: names encoded as ids, one table a predicate."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowColumn, ArrowTable, Flags
from knowreason.data.binding.id_coverage import IdCoverage
from knowreason.data.dataset_cache import DatasetCache
from knowreason.data.edges import GraphTables
from knowreason.data.engine.engine_choice import EngineChoice
from knowreason.data.features import FeatureTable, ScoreColumns
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.data.vocabulary import Vocabulary
from knowreason.diagnostics import Diagnostic
from knowreason.logic import Program

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class EncodedTables:
    """Everything known about the world a program speaks of, as tables of ids; frozen.

    Every table holds ids: columns ``a0 .. a{k-1}`` int32, numbered by ``vocabularies``.

    Attributes:
        program: the program the tables are bound to.
        vocabularies: every domain's names and ids.
        facts: per observed predicate its true atoms, distinct, symmetric closure added.
        attributes: per attribute ``a0 ..`` and ``value`` (int64, float64, bool, string, or
            int32 ids for a domain; times and durations int64 microseconds), one row a
            setting, no row where missing. A numeric query is absent until its model has
            estimated it.
        evidence: per open predicate atoms that are known when predicting: ``a0 ..`` and
            ``value`` int8.
        labels: per query predicate the visible labels, same columns (float64 of a numeric
            query). A row of a functional predicate with value 1 says which state its setting is in.
        hidden: labels held back: what a prediction is scored against.
        label_weights: per query predicate sampling weights of labels, visible or held back:
            ``a0 ..`` and ``value`` float64; absent where none were given.
        features: per domain what models (never rules) may see, one row a thing.
        scores: per predicate named columns of scores made elsewhere.
        graph: edges for graph models.
        scope: per domain ``bool[n]``, the things asked about; all where absent.
        warnings: findings that did not stop the binding.
        coverage: what of each table's ids other tables know, when it was bound.
        label_delay: how long after its atom's clock a label is known, in the clock's units
            (microseconds for times): what definitions over labels go by.
        label_refresh: for how long labels are not gathered anew in use; what is learned from
            (things outside ``scope``) reads labels as old. 0 is at once.
        readable: labels that definitions may read where they are not the visible ones, which
            cross-fitting hides in turn.
        engine: what joins its tables.
        cache: of :meth:`computed`; data sets made by ``dataclasses.replace`` share it.
    """

    program: Program
    vocabularies: Mapping[str, Vocabulary]
    facts: Mapping[str, ArrowTable]
    attributes: Mapping[str, ArrowTable]
    evidence: Mapping[str, ArrowTable]
    labels: Mapping[str, ArrowTable]
    hidden: Mapping[str, ArrowTable]
    label_weights: Mapping[str, ArrowTable] = field(default_factory=dict)
    features: Mapping[str, FeatureTable] = field(default_factory=dict)
    scores: Mapping[str, ScoreColumns] = field(default_factory=dict)
    graph: GraphTables | None = None
    scope: Mapping[str, Flags] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    coverage: tuple[IdCoverage, ...] = ()
    label_delay: float = 0
    label_refresh: float = 0
    readable: Mapping[str, ArrowTable] | None = None
    engine: EngineChoice = field(default_factory=EngineChoice)
    cache: DatasetCache = field(default_factory=DatasetCache, repr=False)

    def computed(self, key: Hashable, compute: Callable[[], T], *further: object) -> T:
        """``compute()``, once for data sets that share program, things, facts and attributes.

        Cross-fitting hides labels and nothing else, so what does not depend on labels is the
        same in every fold.

        Args:
            key: what is computed, with its options.
            compute: computes it.
            further: what else it depends on, such as ``data.features``: the same objects.
        """
        parts = (self.program, self.vocabularies, self.facts, self.attributes, *further)
        return self.cache.get(key, parts, compute)

    def count(self, domain: str) -> int:
        """Number of things of a domain."""
        return len(self.vocabularies[domain])

    def in_scope(self, domain: str) -> NDArray[np.bool_]:
        """Things asked about, ``bool[n]``."""
        mask = self.scope.get(domain)
        return np.ones(self.count(domain), dtype=bool) if mask is None else mask

    def named(self, name: str, table: pa.Table | None = None) -> pa.Table:
        """A table with names for ids, columns called as the arguments.

        Args:
            name: predicate or attribute whose arguments the columns are.
            table: an encoded table; by default the facts, attribute or labels of that name.
        """
        if table is None:
            tables = (t[name] for t in (self.facts, self.attributes, self.labels) if name in t)
            table = next(tables)
        sorts = self.program.sorts_of(name)
        columns: list[ArrowColumn] = [
            self.vocabularies[sort].decode(ids)
            for sort, ids in zip(sorts, id_columns(table), strict=True)
        ]
        names = [f"a{position}" for position in range(len(sorts))]
        for column in table.column_names[len(sorts) :]:
            values = table.column(column)
            attribute = {a.name: a for a in self.program.attributes}.get(name)
            if column == VALUE and attribute is not None and attribute.sort in self.vocabularies:
                values = self.vocabularies[attribute.sort].decode(values)
            columns.append(values)
            names.append(column)
        return pa.table(columns, names=names)

    def __str__(self) -> str:
        things = ", ".join(f"{len(v):,} {name}" for name, v in self.vocabularies.items())
        rows = {**self.facts, **self.attributes}
        lines = [f"things: {things}"]
        lines += [f"{name}: {table.num_rows:,} rows" for name, table in rows.items()]
        for what, tables in (
            ("evidence", self.evidence),
            ("labels", self.labels),
            ("hidden labels", self.hidden),
        ):
            lines += [f"{what} of {n}: {t.num_rows:,}" for n, t in tables.items() if t.num_rows]
        return "\n".join(lines)
