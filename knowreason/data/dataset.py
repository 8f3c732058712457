"""A data set: tables bound to the predicates of a program, names encoded as ids."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowTable
from knowreason.data.binding import input_binding as bind_inputs
from knowreason.data.binding import table_binding as bind
from knowreason.data.binding.binder import TableBinder
from knowreason.data.binding.frames import TableLike
from knowreason.data.binding.id_coverage import check_ids
from knowreason.data.edges import EdgeList
from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.features import FeatureSource
from knowreason.data.splits import holdout as split
from knowreason.data.splits.clocks import Moment, to_moment
from knowreason.errors import DataWarning
from knowreason.logic import Program
from knowreason.notebook.cells import MOST_ROWS, html_cell, html_lines, html_table, listed

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False)
class Dataset(EncodedTables):
    """Facts, labels, evidence and model inputs of a program; frozen.

    It is made of frames, files and graphs, split and relabelled.

    Its attributes are those of :class:`~knowreason.data.encoded_tables.EncodedTables`.

    >>> import knowreason as kr
    >>> labels = {"Bad": {"node": ["n1", "n2"], "label": [1, 0]}}
    >>> Dataset.from_frames(kr.testing.example_program(), labels=labels)
    Dataset(2 Node, 0 Pay, 3 Colour, 0 Group; 0 facts, 2 labels, 0 held back)
    """

    def __repr__(self) -> str:
        things = listed(f"{len(names):,} {sort}" for sort, names in self.vocabularies.items())
        facts = sum(table.num_rows for table in (*self.facts.values(), *self.attributes.values()))
        labels = sum(table.num_rows for table in self.labels.values())
        hidden = sum(table.num_rows for table in self.hidden.values())
        return f"Dataset({things}; {facts:,} facts, {labels:,} labels, {hidden:,} held back)"

    def _repr_html_(self) -> str:
        things = [[sort, "domain", len(names)] for sort, names in self.vocabularies.items()]
        kinds = {
            "facts": self.facts,
            "attribute": self.attributes,
            "evidence": self.evidence,
            "labels": self.labels,
            "labels held back": self.hidden,
        }
        tables = [
            [name, kind, table.num_rows]
            for kind, found in kinds.items()
            for name, table in found.items()
            if table.num_rows
        ]
        rows = html_table(["name", "is", "rows"], [*things, *tables], most=2 * MOST_ROWS)
        told = html_lines((one.message for one in self.warnings), "Warnings:")
        return html_cell(repr(self), rows, told)

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
        closed: Collection[str] = (),
        label_delay: float | str = 0,
        label_refresh: float | str = 0,
        label_weights: Mapping[str, TableLike] | None = None,
    ) -> Dataset:
        """The data set of tables bound to a program.

        A table is a polars, pandas or Arrow frame, a mapping of columns, or a path or glob
        of csv, tsv, parquet or json lines files. Columns count by position.

        Args:
            program: what the tables are about.
            facts: observed predicates (one column an argument) and attributes (one more:
                the value).
            labels: query predicates; a last column beyond the arguments is the label: 0, 1,
                true, false, or null for unlabelled. Without it every row is true. Of a numeric
                query it is the number.
            evidence: open predicates whose atoms are known when predicting too, same columns.
            features: per domain, first column the thing, the others features.
            scores: per predicate, the arguments and then named columns of scores.
            graph: edges for graph models.
            things: per domain, things that no other row has to mention.
            closed: domains of which ``things`` are all there are: rows of other tables that name
                another thing are told (KR534) and left out.
            label_delay: how long after its atom's clock a label is known: a duration
                (``"2d"``), or a number in the clock's own units.
            label_refresh: for how long labels will not be gathered anew in use; a split by a
                clock takes the length of its later part.
            label_weights: query predicates, the arguments and a sampling weight: 1 over the chance
                that such an atom was labelled, up to a factor.

        Raises:
            DataError: with up to ten findings (KR5xx) that name table, row and column.

        Warns:
            DataWarning: of ids that no other table knows (KR529) or a closed domain does not have
                (KR534), of features that are not finite (KR531).
        """
        binding = TableBinder(program, closed=closed)
        pending_things = bind.encode_things(binding, things or {})
        pending_facts = bind.encode_facts(binding, facts or {})
        pending_evidence = bind.encode_truths(binding, evidence or {}, "evidence")
        pending_labels = bind.encode_truths(binding, labels or {}, "labels")
        pending_weights = bind.encode_weights(binding, label_weights or {})
        pending_features = bind_inputs.encode_features(binding, features or {})
        pending_scores = bind_inputs.encode_scores(binding, scores or {})
        pending_edges = bind_inputs.encode_edges(binding, graph or ())
        warn_of_constants = bind.encode_constants(binding)
        binding.freeze()
        coverage = check_ids(
            binding,
            things=pending_things,
            facts=[*pending_facts, *(e.encoded for e in pending_edges)],
            features=[e for e, _ in pending_features],
            others=[
                *pending_evidence,
                *pending_labels,
                *pending_weights,
                *(e for e, _ in pending_scores),
            ],
        )

        for encoded in pending_things:
            binding.resolve(encoded)  # finds rows that name nothing
        attributes = {attribute.name for attribute in program.attributes}
        tables = {
            encoded.name: bind.finish_attribute(binding, encoded)
            if encoded.name in attributes
            else bind.finish_facts(binding, encoded)
            for encoded in pending_facts
        }
        evidence_tables = {e.name: bind.finish_truths(binding, e) for e in pending_evidence}
        labelled = {
            e.name: bind.finish_attribute(binding, e)
            if program.is_number(e.name)
            else bind.finish_truths(binding, e)
            for e in pending_labels
        }
        weights = {e.name: bind.finish_weights(binding, e) for e in pending_weights}
        inputs = {e.name: bind_inputs.finish_features(binding, e, t) for e, t in pending_features}
        columns = {e.name: bind_inputs.finish_scores(binding, e, v) for e, v in pending_scores}
        edges = bind_inputs.finish_edges(binding, pending_edges)
        binding.findings.raise_any()
        warn_of_constants()
        bind.warn_of_silence(binding, tables)
        for finding in binding.findings.warnings:
            if finding.code in ("KR529", "KR531", "KR534"):
                warnings.warn(DataWarning(finding), stacklevel=2)

        def complete(found: Mapping[str, pa.Table], names: Sequence[str]) -> dict[str, pa.Table]:
            return {n: found[n] if n in found else bind.empty_table(program, n) for n in names}

        observed = [p.name for p in program.predicates if not p.is_open]
        queries = [p.name for p in program.predicates if p.kind == "query"]
        queries += [query.name for query in program.numeric_queries]
        return cls(
            program=program,
            vocabularies=binding.vocabularies,
            facts=complete(tables, observed),
            attributes=complete(tables, [a.name for a in program.given_attributes]),
            evidence=complete(evidence_tables, [p.name for p in program.open_predicates]),
            labels=complete(labelled, queries),
            hidden=complete({}, queries),
            label_weights=weights,
            features=inputs,
            scores=columns,
            graph=edges,
            warnings=tuple(binding.findings.warnings),
            coverage=coverage,
            label_delay=to_moment(label_delay, "duration"),
            label_refresh=to_moment(label_refresh, "duration"),
        )

    @classmethod
    def from_facts(cls, program: Program, facts: Any, **more: Any) -> Dataset:
        """The data set of the statements of a facts file (``lang.parse_facts``).

        Ground atoms of observed predicates are facts; those of open predicates, true or
        false, are evidence. ``more`` goes to :meth:`from_frames` (features, scores, ...).

        Raises:
            DataError: KR5xx, pointing into the facts file.
        """
        from knowreason.data.binding.fact_statements import frames_of

        tables, evidence = frames_of(program, facts)
        return cls.from_frames(program, facts=tables, evidence=evidence, **more)

    @classmethod
    def from_networkx(cls, program: Program, graph: nx.Graph[Any], **how: Any) -> Dataset:
        """The data set of a networkx graph (:mod:`knowreason.data.graph.graph_sources`)."""
        from knowreason.data.graph.graph_sources import networkx_tables

        return cls.from_frames(program, **networkx_tables(program, graph, **how))

    @classmethod
    def from_pyg(cls, program: Program, graph: Any, **how: Any) -> Dataset:
        """The data set of PyG ``Data`` or ``HeteroData`` (:mod:`.graph_sources`)."""
        from knowreason.data.graph.graph_sources import pyg_tables

        return cls.from_frames(program, **pyg_tables(program, graph, **how))

    def split_by(self, attribute: str, *, before: Moment) -> tuple[Dataset, Dataset]:
        """Past and future; see :func:`knowreason.data.splits.holdout.split_by`."""
        return split.split_by(self, attribute, before=before)

    def split_random(
        self, predicate: str, *, test: float = 0.3, seed: int = 0
    ) -> tuple[Dataset, Dataset]:
        """Training and test labels at random; see :func:`.split_random`."""
        return split.split_random(self, predicate, test=test, seed=seed)

    def split_by_key(
        self, domain: str, members: Sequence[str] | NDArray[np.bool_]
    ) -> tuple[Dataset, Dataset]:
        """Training and test part by things; see :func:`.split_by_key`."""
        return split.split_by_key(self, domain, members)

    def hide(self, predicate: str, mask: split.Rows) -> Dataset:
        """The data set with labels hidden; see :func:`knowreason.data.splits.holdout.hide`."""
        return split.hide(self, predicate, mask)

    def labels_only(self, predicate: str, rows: split.Rows) -> Dataset:
        """The data set with only some labels; see :func:`.labels_only`."""
        return split.labels_only(self, predicate, rows)

    def with_labels(self, predicate: str, table: ArrowTable) -> Dataset:
        """Other visible labels; see :func:`knowreason.data.splits.holdout.with_labels`."""
        return split.with_labels(self, predicate, table)
