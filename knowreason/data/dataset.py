"""A data set: tables bound to the predicates of a program, names encoded as ids."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data import bind, bind_inputs, split
from knowreason.data.bind_inputs import ScoreColumns
from knowreason.data.binding import Binding
from knowreason.data.clock import to_moment
from knowreason.data.dataset_cache import DatasetCache
from knowreason.data.features import FeatureSource, FeatureTable
from knowreason.data.frames import TableLike
from knowreason.data.graph import EdgeList, GraphTables
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.data.vocabulary import Vocabulary
from knowreason.diagnostics import Diagnostic
from knowreason.logic import Program

if TYPE_CHECKING:
    import networkx as nx

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Dataset:
    """What is known about the world a program speaks of; frozen.

    Every table holds ids: columns ``a0 .. a{k-1}`` int32, numbered by ``vocabularies``.

    Attributes:
        program: the program the tables are bound to.
        vocabularies: every domain's names and ids.
        facts: per observed predicate its true atoms, distinct, symmetric closure added.
        attributes: per attribute ``a0 ..`` and ``value`` (int64, float64, bool, string, or
            int32 ids for a domain; times and durations int64 microseconds), one row a
            setting, no row where missing.
        evidence: per open predicate atoms that are known when predicting: ``a0 ..`` and
            ``value`` int8.
        labels: per query predicate the visible labels, same columns. A row of a functional
            predicate with value 1 says which state its setting is in.
        hidden: labels held back: what a prediction is scored against.
        features: per domain what models (never rules) may see, one row a thing.
        scores: per predicate named columns of scores made elsewhere.
        graph: edges for graph models.
        scope: per domain ``bool[n]``, the things asked about; all where absent.
        warnings: findings that did not stop the binding.
        label_delay: how long after its atom's clock a label is known, in the clock's units
            (microseconds for times): what definitions over labels go by.
        label_refresh: for how long labels are not gathered anew in use; what is learned from
            (things outside ``scope``) reads labels as old. 0 is at once.
        readable: labels that definitions may read where they are not the visible ones, which
            cross-fitting hides in turn.
        cache: of :meth:`computed`; data sets made by ``dataclasses.replace`` share it.
    """

    program: Program
    vocabularies: Mapping[str, Vocabulary]
    facts: Mapping[str, pa.Table]
    attributes: Mapping[str, pa.Table]
    evidence: Mapping[str, pa.Table]
    labels: Mapping[str, pa.Table]
    hidden: Mapping[str, pa.Table]
    features: Mapping[str, FeatureTable] = field(default_factory=dict)
    scores: Mapping[str, ScoreColumns] = field(default_factory=dict)
    graph: GraphTables | None = None
    scope: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    label_delay: float = 0
    label_refresh: float = 0
    readable: Mapping[str, pa.Table] | None = None
    cache: DatasetCache = field(default_factory=DatasetCache, repr=False)

    @classmethod
    def from_frames(
        cls,
        program: Program,
        *,
        facts: Mapping[str, TableLike] | None = None,
        labels: Mapping[str, TableLike] | None = None,
        evidence: Mapping[str, TableLike] | None = None,
        features: Mapping[str, TableLike | FeatureSource] | None = None,
        scores: Mapping[str, TableLike] | None = None,
        graph: EdgeList | Sequence[EdgeList] | None = None,
        things: Mapping[str, TableLike] | None = None,
        label_delay: float | str = 0,
        label_refresh: float | str = 0,
    ) -> Dataset:
        """Bind tables to a program.

        A table is a polars, pandas or Arrow frame, a mapping of columns, or a path or glob
        of csv, tsv, parquet or json lines files. Columns count by position.

        Args:
            program: what the tables are about.
            facts: observed predicates (one column an argument) and attributes (one more:
                the value).
            labels: query predicates; a last column beyond the arguments is the label: 0, 1,
                true, false, or null for unlabelled. Without it every row is true.
            evidence: open predicates whose atoms are known when predicting too, same columns.
            features: per domain, first column the thing, the others features.
            scores: per predicate, the arguments and then named columns of scores.
            graph: edges for graph models.
            things: per domain, things that no other row has to mention.
            label_delay: how long after its atom's clock a label is known: a duration
                (``"2d"``), or a number in the clock's own units.
            label_refresh: for how long labels will not be gathered anew in use; a split by a
                clock takes the length of its later part.

        Raises:
            DataError: with up to ten findings (KR5xx) that name table, row and column.
        """
        binding = Binding(program)
        bind.encode_things(binding, things or {})
        pending_facts = bind.encode_facts(binding, facts or {})
        pending_evidence = bind.encode_truths(binding, evidence or {}, "evidence")
        pending_labels = bind.encode_truths(binding, labels or {}, "labels")
        pending_features = bind_inputs.encode_features(binding, features or {})
        pending_scores = bind_inputs.encode_scores(binding, scores or {})
        pending_edges = bind_inputs.encode_edges(binding, graph or ())
        warn_of_constants = bind.encode_constants(binding)
        binding.freeze()

        attributes = {attribute.name for attribute in program.attributes}
        tables = {
            encoded.name: bind.finish_attribute(binding, encoded)
            if encoded.name in attributes
            else bind.finish_facts(binding, encoded)
            for encoded in pending_facts
        }
        known = {e.name: bind.finish_truths(binding, e) for e in pending_evidence}
        labelled = {e.name: bind.finish_truths(binding, e) for e in pending_labels}
        inputs = {e.name: bind_inputs.finish_features(binding, e, t) for e, t in pending_features}
        columns = {e.name: bind_inputs.finish_scores(binding, e, v) for e, v in pending_scores}
        edges = bind_inputs.finish_edges(binding, pending_edges)
        binding.findings.raise_any()
        warn_of_constants()
        bind.warn_of_silence(binding, tables)

        def complete(found: Mapping[str, pa.Table], names: Sequence[str]) -> dict[str, pa.Table]:
            return {n: found[n] if n in found else bind.empty_table(program, n) for n in names}

        observed = [p.name for p in program.predicates if not p.is_open]
        queries = [p.name for p in program.predicates if p.kind == "query"]
        return cls(
            program=program,
            vocabularies=binding.vocabularies,
            facts=complete(tables, observed),
            attributes=complete(tables, [a.name for a in program.attributes]),
            evidence=complete(known, [p.name for p in program.open_predicates]),
            labels=complete(labelled, queries),
            hidden=complete({}, queries),
            features=inputs,
            scores=columns,
            graph=edges,
            warnings=tuple(binding.findings.warnings),
            label_delay=to_moment(label_delay, "duration"),
            label_refresh=to_moment(label_refresh, "duration"),
        )

    @classmethod
    def from_facts(cls, program: Program, facts: Any, **more: Any) -> Dataset:
        """Bind the statements of a facts file (``lang.parse_facts``).

        Ground atoms of observed predicates are facts; those of open predicates, true or
        false, are evidence. ``more`` goes to :meth:`from_frames` (features, scores, ...).

        Raises:
            DataError: KR5xx, pointing into the facts file.
        """
        from knowreason.data.statements import frames_of

        tables, evidence = frames_of(program, facts)
        return cls.from_frames(program, facts=tables, evidence=evidence, **more)

    @classmethod
    def from_networkx(cls, program: Program, graph: nx.Graph, **how: Any) -> Dataset:
        """Bind a networkx graph; see :func:`knowreason.data.graph_sources.from_networkx`."""
        from knowreason.data.graph_sources import networkx_tables

        return cls.from_frames(program, **networkx_tables(program, graph, **how))

    @classmethod
    def from_pyg(cls, program: Program, graph: Any, **how: Any) -> Dataset:
        """Bind PyG ``Data`` or ``HeteroData``; see :mod:`knowreason.data.graph_sources`."""
        from knowreason.data.graph_sources import pyg_tables

        return cls.from_frames(program, **pyg_tables(program, graph, **how))

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
            found = (t[name] for t in (self.facts, self.attributes, self.labels) if name in t)
            table = next(found)
        sorts = self.program.sorts_of(name)
        columns = [
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

    def split_by(self, attribute: str, *, before: Any) -> tuple[Dataset, Dataset]:
        """Past and future; see :func:`knowreason.data.split.split_by`."""
        return split.split_by(self, attribute, before=before)

    def split_random(
        self, predicate: str, *, test: float = 0.3, seed: int = 0
    ) -> tuple[Dataset, Dataset]:
        """Training and test labels at random; see :func:`knowreason.data.split.split_random`."""
        return split.split_random(self, predicate, test=test, seed=seed)

    def split_by_key(
        self, domain: str, members: Sequence[str] | NDArray[np.bool_]
    ) -> tuple[Dataset, Dataset]:
        """Hold things back; see :func:`knowreason.data.split.split_by_key`."""
        return split.split_by_key(self, domain, members)

    def hide(self, predicate: str, mask: NDArray[Any]) -> Dataset:
        """Move visible labels to the hidden ones; see :func:`knowreason.data.split.hide`."""
        return split.hide(self, predicate, mask)

    def labels_only(self, predicate: str, rows: NDArray[Any]) -> Dataset:
        """Keep only some labels; see :func:`knowreason.data.split.labels_only`."""
        return split.labels_only(self, predicate, rows)

    def with_labels(self, predicate: str, table: pa.Table) -> Dataset:
        """Other visible labels; see :func:`knowreason.data.split.with_labels`."""
        return split.with_labels(self, predicate, table)
