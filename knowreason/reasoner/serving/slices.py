"""A data set of some rows of a history, as a program reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data import Dataset, Vocabulary
from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.features import FeatureTable, ScoreColumns
from knowreason.data.id_tables import id_columns, id_matrix, id_table
from knowreason.reasoner.serving.kept_tables import TABLES, Ids, Kept, ascending
from knowreason.reasoner.serving.reached_rows import Reached


def slice_of(
    kept: Kept,
    reached: Reached,
    asked: Mapping[str, Ids],
    features: Mapping[str, FeatureTable],
    *,
    closed: bool = True,
) -> tuple[Dataset, dict[str, Ids]]:
    """The rows that were reached as a data set, and its things' ids in the history, ascending.

    Args:
        kept: the history, what is asked included.
        reached: in it.
        asked: ids of what is asked, by domain: the scope.
        features: by domain, those of all its things.
        closed: whether atoms that were not reached become false.
    """
    program, began = kept.program, kept.data
    things_of = {a.name: a.sort for a in program.attributes if a.sort in kept.counts}
    parts: dict[str, list[Ids]] = {domain: list(ids) for domain, ids in reached.things.items()}
    for domain, ids in asked.items():
        parts.setdefault(domain, []).append(ids)
    rows = {key: _distinct(found) for key, found in reached.rows.items()}
    for (kind, name), found in rows.items():
        table = kept.tables[kind, name]
        for place, sort in enumerate(program.sorts_of(name)):
            parts.setdefault(sort, []).append(table.ids(place, found))
        if kind == "attributes" and name in things_of:
            place = len(program.sorts_of(name))
            parts.setdefault(things_of[name], []).append(table.ids(place, found))
    vocabularies, numbers = {}, {}
    for domain, count in kept.counts.items():
        if domain not in kept.names:
            vocabularies[domain] = began.vocabularies[domain]
            continue
        ids = np.arange(count) if domain in reached.whole else _distinct(parts.get(domain, []))
        names = kept.names[domain].taken(
            ids, kept.new.get(domain, ()), count - len(kept.new.get(domain, ()))
        )
        vocabularies[domain] = Vocabulary(domain, names)
        numbers[domain] = ids

    def renumbered(kind: str, name: str) -> pa.Table:
        table = kept.tables[kind, name]
        found = rows.get((kind, name))
        if found is None:
            return table.early.slice(0, 0)
        taken = table.take(found)
        own = [
            np.searchsorted(numbers[sort], ids) if sort in numbers else ids
            for sort, ids in zip(program.sorts_of(name), id_columns(taken), strict=True)
        ]
        names = [f"a{place}" for place in range(len(own))]
        columns = [pa.array(ids, pa.int32()) for ids in own]
        for column in taken.column_names[len(own) :]:
            values = taken.column(column)
            if kind == "attributes" and things_of.get(name) in numbers:
                values = pa.array(
                    np.searchsorted(numbers[things_of[name]], values.to_numpy()), pa.int32()
                )
            columns.append(values)
            names.append(column)
        return pa.table(columns, names=names)

    tables: dict[str, Any] = {
        kind: {name: renumbered(kind, name) for name in getattr(began, kind)} for kind in TABLES
    }
    scope = {}
    for domain, ids in asked.items():
        if domain in numbers:
            scope[domain] = np.isin(numbers[domain], ids)
    if closed and not program.label_readers:
        for name in tables["evidence"]:
            tables["evidence"][name] = _others_false(
                kept, reached, name, numbers, tables["evidence"][name], tables["labels"].get(name)
            )
    made = Dataset(
        program=program,
        vocabularies=vocabularies,
        **tables,
        hidden={name: table.slice(0, 0) for name, table in tables["labels"].items()},
        features={d: t.take(numbers[d]) if d in numbers else t for d, t in features.items()},
        scores={name: _scores(renumbered("scores", name)) for name in began.scores},
        scope=scope,
        label_delay=began.label_delay,
    )
    return made, numbers


def _others_false(
    kept: Kept,
    reached: Reached,
    name: str,
    numbers: Mapping[str, Ids],
    evidence: pa.Table,
    labels: pa.Table | None,
) -> pa.Table:
    """Evidence, and false for atoms that were not reached: nothing asked rests on them.

    What they rest on is not all there, so their beliefs would be idle and wrong.
    """
    declared = kept.program.predicate(name)
    asked = reached.asked.get(name)
    if declared.arity != 1 or declared.sorts[0] not in numbers or declared.within:
        return evidence
    if asked is not None and asked[0] is None:
        return evidence
    ids = numbers[declared.sorts[0]]
    wanted = np.isin(ids, asked[0]) if asked is not None and asked[0] is not None else None
    others = np.ones(len(ids), dtype=bool) if wanted is None else ~wanted
    for table in (evidence, labels):
        if table is not None:
            others[id_columns(table)[0]] = False
    own = np.flatnonzero(others).astype(np.int32)
    if not len(own):
        return evidence
    said = id_table([own], pa.array(np.zeros(len(own), np.int8)))
    return pa.concat_tables([evidence, said.cast(evidence.schema)]).combine_chunks()


def _distinct(parts: Sequence[Ids]) -> Ids:
    if not parts:
        return np.zeros(0, np.int64)
    return ascending(parts[0] if len(parts) == 1 else np.concatenate(parts)).astype(np.int64)


def _scores(table: pa.Table) -> ScoreColumns:
    arguments = id_matrix(table)
    names = table.column_names[arguments.shape[1] :]
    return ScoreColumns(arguments, {name: table.column(name).to_numpy() for name in names})


def grown_features(
    before: Mapping[str, FeatureTable],
    data: EncodedTables,
    ids: Mapping[str, Ids],
    counts: Mapping[str, int],
) -> dict[str, FeatureTable]:
    """Features of all things, those of new ones after the others; missing where none were given."""
    grown = {}
    for domain, table in before.items():
        added = counts[domain] - len(table)
        values = table.values
        if added:
            missing = np.full((added, values.shape[1]), np.nan, np.float32)
            values = np.concatenate([values, missing])
        categories = table.categories
        if domain in data.features:
            values = values if added else values.copy()
            values, categories = _filled(table, values, data.features[domain], ids[domain])
        grown[domain] = FeatureTable(table.names, values, categories)
    return grown


def _filled(
    table: FeatureTable, values: NDArray[np.float32], more: FeatureTable, ids: Ids
) -> tuple[NDArray[np.float32], tuple[tuple[str, ...] | None, ...]]:
    categories = list(table.categories)
    for place, name in enumerate(more.names):
        if name not in table.names:
            continue
        own = table.names.index(name)
        column = more.values[:, place]
        given, known = more.categories[place], categories[own]
        if given is not None and known is not None:
            known = (*known, *(text for text in given if text not in known))
            codes = np.array([known.index(text) for text in given], np.float32)
            there = ~np.isnan(column)
            column = column.copy()
            column[there] = codes[column[there].astype(np.int64)]
            categories[own] = known
        there = ~np.isnan(column)
        values[ids[there], own] = column[there]
    return values, tuple(categories)
