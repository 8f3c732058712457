"""A data set with fewer things: ids renumbered, rows that mention the others gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.edges import GraphTables
from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.features import ScoreColumns
from knowreason.data.id_tables import VALUE, Ids, id_columns, id_table
from knowreason.data.name_encoding import UNKNOWN
from knowreason.data.splits.clocks import Moment, to_moment
from knowreason.data.vocabulary import Vocabulary

Mask = NDArray[np.bool_]
D = TypeVar("D", bound=EncodedTables)


def restrict(data: D, keep: Mapping[str, Mask], *, until: tuple[str, Moment] | None = None) -> D:
    """Only some things of some domains, and the rows that mention only such things.

    Ids of those domains are renumbered; an enumerated domain keeps its members and ids, and
    only the rows go.

    Args:
        data: what to restrict.
        keep: per domain ``bool[n]``; other domains stay whole.
        until: an attribute and a value: edges with times of the attribute's sort stay only
            when they are before the value; edges that are things stay with the things.
    """
    pairs = {domain: _kept(data.vocabularies[domain], mask) for domain, mask in keep.items()}
    new_ids = {domain: ids for domain, (_, ids) in pairs.items()}
    gone = {d: mask for d, mask in keep.items() if not data.vocabularies[d].enumerated}

    def tables(found: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        return {name: _table(data, name, table, new_ids) for name, table in found.items()}

    return replace(
        data,
        vocabularies={**data.vocabularies, **{d: v for d, (v, _) in pairs.items()}},
        facts=tables(data.facts),
        attributes=tables(data.attributes),
        evidence=tables(data.evidence),
        labels=tables(data.labels),
        hidden=tables(data.hidden),
        label_weights=tables(data.label_weights),
        readable=None if data.readable is None else tables(data.readable),
        features={
            domain: table.take(gone[domain]) if domain in gone else table
            for domain, table in data.features.items()
        },
        scores={n: _scores(data, n, columns, new_ids) for n, columns in data.scores.items()},
        graph=_graph(data, new_ids, until),
        scope={d: mask[gone[d]] if d in gone else mask for d, mask in data.scope.items()},
    )


def seen_only_with(data: EncodedTables, early: Mapping[str, Mask]) -> dict[str, Mask]:
    """Things of other open domains to keep: not those seen only with things that are late.

    A thing is seen in facts, evidence, labels, hidden labels and attributes whose value it
    is; a row of its own attributes or features is no sighting.
    """
    late = {d: np.zeros(data.count(d), dtype=bool) for d in data.vocabularies if d not in early}
    seen = {domain: np.zeros_like(mask) for domain, mask in late.items()}
    for sorts, columns in _sightings(data):
        keep = np.ones(len(columns[0]), dtype=bool)
        for sort, ids in zip(sorts, columns, strict=True):
            if sort in early:
                keep &= early[sort][ids]
        for sort, ids in zip(sorts, columns, strict=True):
            if sort not in early:
                seen[sort][ids[keep]] = True
                late[sort][ids[~keep]] = True
    return {
        domain: seen[domain] | ~late[domain]
        for domain in late
        if not data.vocabularies[domain].enumerated and (late[domain] & ~seen[domain]).any()
    }


def _kept(vocabulary: Vocabulary, mask: Mask) -> tuple[Vocabulary, Ids]:
    """The vocabulary of what stays, and the new ids; an enumerated one keeps its members."""
    if not vocabulary.enumerated:
        return vocabulary.take(mask)
    return vocabulary, np.where(mask, np.arange(len(mask)), UNKNOWN).astype(np.int32)


def _sightings(data: EncodedTables) -> Iterator[tuple[Sequence[str], list[Ids]]]:
    """Sorts and id columns of every table in which things stand together."""
    for tables in (data.facts, data.evidence, data.labels, data.hidden):
        for name, table in tables.items():
            sorts = data.program.sorts_of(name)
            if sorts:
                yield sorts, id_columns(table)
    for attribute in data.program.attributes:
        if attribute.sort in data.vocabularies and attribute.sorts:
            things: pa.Table = data.attributes[attribute.name]
            values = things.column(VALUE).to_numpy()
            yield (*attribute.sorts, attribute.sort), [*id_columns(things), values]
    for edges in data.graph.relations if data.graph is not None else ():
        ends = (edges.source_domain, edges.target_domain)
        if edges.key is not None and edges.key_domain is not None:
            yield (*ends, edges.key_domain), [edges.source, edges.target, edges.key]
        else:
            yield ends, [edges.source, edges.target]


def _table(data: EncodedTables, name: str, table: pa.Table, new_ids: Mapping[str, Ids]) -> pa.Table:
    sorts: Sequence[str] = data.program.sorts_of(name)
    attribute = {a.name: a for a in data.program.attributes}.get(name)
    columns = id_columns(table)
    value = table.column(VALUE).combine_chunks() if VALUE in table.column_names else None
    if attribute is not None and attribute.sort in new_ids:
        columns = [*columns, np.asarray(value)]
        sorts = (*sorts, attribute.sort)
    if not any(sort in new_ids for sort in sorts):
        return table
    numbered, keep = _renumber(columns, sorts, new_ids)
    if attribute is not None and attribute.sort in new_ids:
        return id_table(numbered[:-1], pa.array(numbered[-1]))
    return id_table(numbered, None if value is None else value.filter(pa.array(keep)))


def _renumber(
    columns: Sequence[Ids], sorts: Sequence[str], new_ids: Mapping[str, Ids]
) -> tuple[list[Ids], Mask]:
    numbered = [
        new_ids[sort][ids] if sort in new_ids else ids
        for sort, ids in zip(sorts, columns, strict=True)
    ]
    keep = np.ones(len(columns[0]), dtype=bool)
    for ids in numbered:
        keep &= ids != UNKNOWN
    return [ids[keep] for ids in numbered], keep


def _scores(
    data: EncodedTables, name: str, columns: ScoreColumns, new_ids: Mapping[str, Ids]
) -> ScoreColumns:
    arguments = list(columns.arguments.T)
    if not arguments:
        return columns
    numbered, keep = _renumber(arguments, data.program.sorts_of(name), new_ids)
    values = {column: scores[keep] for column, scores in columns.values.items()}
    return ScoreColumns(np.stack(numbered, axis=1), values)


def _graph(
    data: EncodedTables, new_ids: Mapping[str, Ids], until: tuple[str, Moment] | None
) -> GraphTables | None:
    if data.graph is None:
        return None
    relations = [edges.renumbered(new_ids) for edges in data.graph.relations]
    if until is not None:
        sort = data.program.attribute(until[0]).sort
        moment = to_moment(until[1], sort, data.program.zone)
        relations = [
            edges.take(edges.time < moment)
            if edges.time is not None
            and edges.time_sort == sort
            and edges.key_domain not in new_ids
            else edges
            for edges in relations
        ]
    return GraphTables(tuple(relations))
