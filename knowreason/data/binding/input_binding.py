"""Features, scores and edges: what models see, bound to the vocabularies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.binding.binder import Encoded, TableBinder
from knowreason.data.binding.data_findings import NamedTable
from knowreason.data.binding.frames import TableLike, read_frame, select_columns
from knowreason.data.edges import EdgeList, Edges, GraphTables
from knowreason.data.features import FeatureSource, FeatureTable, ScoreColumns
from knowreason.data.id_tables import as_matrix, conflicts, without_repeats
from knowreason.data.name_encoding import one_chunk
from knowreason.data.typed_columns import to_sort
from knowreason.errors import DataError, did_you_mean
from knowreason.logic import ModelCall, Program


@dataclass(frozen=True)
class EncodedEdges:
    """Edges waiting for the vocabularies."""

    source: EdgeList
    encoded: Encoded
    time: NDArray[Any] | None
    time_sort: str | None


def encode_features(
    binding: TableBinder, features: Mapping[str, TableLike | FeatureSource]
) -> list[tuple[Encoded, FeatureTable]]:
    """Per domain the coded key of its table and the features, one row a data row."""
    encoded_tables = []
    for domain, given in features.items():
        if domain not in binding.builders:
            binding.findings.add(
                "KR503",
                f"the program declares no domain `{domain}`",
                help=did_you_mean(domain, binding.builders),
            )
            continue
        source = given if isinstance(given, FeatureSource) else FeatureSource(given)
        frame = read_frame(source.table, f"features of `{domain}`")
        key = source.key or frame.table.column_names[0]
        others = [name for name in frame.table.column_names if name != key]
        columns = list(source.columns) if source.columns is not None else others
        frame = select_columns(frame, [key, *columns])
        encoded = binding.encode(frame, domain, (domain,), (key,))
        encoded_tables.append((encoded, read_features(binding, frame, columns, source.categorical)))
    return encoded_tables


def read_features(
    binding: TableBinder, frame: NamedTable, columns: Sequence[str], categorical: Sequence[str]
) -> FeatureTable:
    """Columns as numbers or codes: text and ``categorical`` columns are categories."""
    values = np.empty((frame.table.num_rows, len(columns)), dtype=np.float32)
    categories: list[tuple[str, ...] | None] = []
    for place, name in enumerate(columns):
        column = frame.table.column(name)
        number = None if name in categorical else _numbers(column)
        if number is not None:
            categories.append(None)
            number = _finite(binding, frame, name, number)
        else:
            text = to_sort(column, "string")
            binding.findings.add_rows(
                "KR506",
                frame,
                text.bad,
                partial(_no_feature, column),
                column=name,
            )
            number, names = _codes(text.values)
            categories.append(names)
        values[:, place] = number
    return FeatureTable(tuple(columns), values, tuple(categories))


def _finite(
    binding: TableBinder, frame: NamedTable, name: str, values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The numbers of a column, infinite ones missing and counted."""
    wrong = np.isinf(values)
    if wrong.any():
        binding.findings.warn(
            "KR531",
            f"{frame.title}, column `{name}`: {int(wrong.sum()):,} of {len(values):,} numbers are "
            f"not finite and count as missing, first in row {frame.number(int(wrong.argmax()))}",
        )
        values = np.where(wrong, np.float32(np.nan), values)
    return values


def finish_features(binding: TableBinder, encoded: Encoded, table: FeatureTable) -> FeatureTable:
    """Features in the order of the ids; things without a row have none (NaN)."""
    resolved = binding.resolve(encoded)
    ids = resolved.ids[0]
    rows = np.arange(len(table)) if resolved.rows is None else resolved.rows
    again = conflicts(ids.astype(np.int64), rows)
    binding.findings.add_rows(
        "KR510",
        encoded.frame,
        rows[again.rows],
        lambda _row: "the features of this thing are given before",
        column=encoded.columns[0],
        help="one row a thing",
    )
    values = np.full((len(binding.vocabularies[encoded.name]), len(table.names)), np.nan)
    values = values.astype(np.float32)
    values[ids] = table.values[rows]
    return FeatureTable(table.names, values, table.categories)


def encode_scores(
    binding: TableBinder, scores: Mapping[str, TableLike]
) -> list[tuple[Encoded, dict[str, NDArray[np.float64]]]]:
    """Per predicate the coded arguments and the columns of scores."""
    encoded_tables = []
    declared = {predicate.name: predicate for predicate in binding.program.predicates}
    for name, given in scores.items():
        if name not in declared:
            binding.findings.add(
                "KR503",
                f"the program declares no predicate `{name}`",
                help=did_you_mean(name, declared),
            )
            continue
        if seen := declared[name].sees:
            binding.findings.add(
                "KR516",
                f"`{name}` is a view, and its models read the scores of `{seen}`",
                help=f"give one table of scores for `{seen}`, a column for each model",
            )
            continue
        frame = read_frame(given, f"scores of `{name}`")
        sorts = declared[name].sorts
        columns = frame.table.column_names
        if len(columns) <= len(sorts):
            binding.findings.add(
                "KR505",
                f"{frame.title} has {len(columns)} columns, expected more than {len(sorts)}",
                help=f"its columns are ({', '.join(sorts)}, score, ...), in this order",
            )
            continue
        encoded = binding.encode(frame, name, sorts, columns[: len(sorts)])
        shares = _probability_columns(binding.program, name)
        values = {
            column: _scores(binding, frame, column, column in shares)
            for column in columns[len(sorts) :]
        }
        encoded_tables.append((encoded, values))
    return encoded_tables


def finish_scores(
    binding: TableBinder, encoded: Encoded, values: Mapping[str, NDArray[np.float64]]
) -> ScoreColumns:
    """Scores by ids; the first row of an atom is taken where rows repeat."""
    resolved = binding.resolve(encoded)
    rows = np.arange(encoded.frame.table.num_rows) if resolved.rows is None else resolved.rows
    first = without_repeats(resolved.ids, binding.sizes(encoded.sorts), resolved.count)
    if first is not None:
        again = np.setdiff1d(np.arange(len(rows)), first)
        binding.findings.add_rows(
            "KR510",
            encoded.frame,
            rows[again],
            lambda _row: "the scores of this atom are given before",
            help="one row an atom",
        )
    arguments = as_matrix(resolved.ids, resolved.count)
    if resolved.rows is not None:
        values = {name: column[rows] for name, column in values.items()}
    return ScoreColumns(arguments, values)


def encode_edges(binding: TableBinder, graph: EdgeList | Sequence[EdgeList]) -> list[EncodedEdges]:
    """Coded ends, keys and times of every relation."""
    relations = []
    for source in (graph,) if isinstance(graph, EdgeList) else graph:
        ends = [_end(binding.program, end) for end in (source.source, source.target)]
        if source.key is not None:
            ends.append(_end(binding.program, source.key))
        columns = [column for column, _domain in ends]
        time = [source.time] if source.time is not None else []
        frame = read_frame(source.table, f"edges `{source.name}`")
        wanted = dict.fromkeys([*columns, *time, *source.features])
        frame = select_columns(frame, list(wanted))
        encoded = binding.encode(frame, source.name, [domain for _, domain in ends], columns)
        times, sort = _times(binding, frame, source.time)
        relations.append(EncodedEdges(source, encoded, times, sort))
    return relations


def finish_edges(binding: TableBinder, found: Sequence[EncodedEdges]) -> GraphTables | None:
    """Edges with ids; ``None`` when there is no relation."""
    relations = []
    for edges in found:
        frame = edges.encoded.frame
        resolved = binding.resolve(edges.encoded)
        features = read_features(binding, frame, edges.source.features, edges.source.categorical)
        rows: Any = slice(None) if resolved.rows is None else resolved.rows
        keyed = len(resolved.ids) > 2
        relations.append(
            Edges(
                edges.source.name,
                edges.encoded.sorts[0],
                edges.encoded.sorts[1],
                resolved.ids[0],
                resolved.ids[1],
                features.take(rows),
                key_domain=edges.encoded.sorts[2] if keyed else None,
                key=resolved.ids[2] if keyed else None,
                time=None if edges.time is None else edges.time[rows],
                time_sort=edges.time_sort,
            )
        )
    return GraphTables(tuple(relations)) if relations else None


def _end(program: Program, end: str) -> tuple[str, str]:
    """Column and domain of an end of an edge, written ``column`` or ``column:Domain``."""
    column, _, domain = end.partition(":")
    domains = {d.name for d in program.domains}
    if domain:
        if domain not in domains:
            raise DataError(
                f"the program declares no domain `{domain}`",
                code="KR503",
                help=did_you_mean(domain, domains),
            )
        return column, domain
    candidates = {
        argument.sort
        for predicate in program.predicates
        for argument in predicate.arguments
        if argument.name == column
    } or {name for name in domains if name.lower() == column.lower()}
    if len(candidates) != 1:
        raise DataError(
            f"of which domain are the things in column `{column}` of the edges?",
            code="KR524",
            help=f'write "{column}:Domain", one of {", ".join(sorted(domains))}',
        )
    return column, candidates.pop()


def _times(
    binding: TableBinder, frame: NamedTable, column: str | None
) -> tuple[NDArray[Any] | None, str | None]:
    if column is None:
        return None, None
    raw = frame.table.column(column)
    kinds = () if frame.reading.format else ("int", "float")
    sort = next((s for s in kinds if not len(to_sort(raw, s).bad)), "time")
    converted = frame.reading.read(raw, sort, binding.program.zone)
    missing = np.flatnonzero(one_chunk(converted.values).is_null())
    binding.findings.add_rows(
        "KR514",
        frame,
        missing,
        lambda row: f"{raw[row].as_py()} is not a time",
        column=column,
        help="every edge needs a time when a time column is named",
    )
    return one_chunk(converted.values.fill_null(0)).to_numpy(), sort


def _scores(
    binding: TableBinder, frame: NamedTable, column: str, is_probability: bool
) -> NDArray[np.float64]:
    raw = frame.table.column(column)
    converted = to_sort(raw, "float")
    binding.findings.add_rows(
        "KR506",
        frame,
        converted.bad,
        lambda row: f"{raw[row].as_py()!r} is not a number",
        column=column,
        values=raw,
    )
    values: NDArray[np.float64] = converted.values.to_numpy().astype(np.float64, copy=False)
    if is_probability:
        binding.findings.add_rows(
            "KR515",
            frame,
            np.flatnonzero((values < 0) | (values > 1)),
            lambda row: f"{values[row]:g} is not a probability",
            column=column,
            help='between 0 and 1; for other scores say kind="log_odds" or kind="anomaly"',
        )
    return values


def _probability_columns(program: Program, predicate: str) -> set[str]:
    """Columns that a model of the predicate declares to hold probabilities."""
    names = (predicate, *program.views_of(predicate))  # scores are those of what a view sees
    calls = [model.call for name in names for model in program.models_for(name)]
    return {
        str(call.positional[0])
        for call in calls
        if isinstance(call, ModelCall)
        and call.kind == "column"
        and call.positional
        and dict(call.options).get("kind") == "probability"
    }


def _no_feature(column: pa.ChunkedArray, row: int) -> str:
    return f"{column[row].as_py()} is neither number nor category"


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float32] | None:
    """A column as numbers, ``None`` where some value is none."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    converted = to_sort(column, "float")
    if len(converted.bad):
        return None
    with np.errstate(over="ignore"):
        numbers: NDArray[np.float32] = converted.values.to_numpy().astype(np.float32)
    return numbers


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Codes in the order of the sorted names, NaN for missing."""
    names = pc.unique(column).drop_null().sort()
    codes = pc.index_in(column, value_set=names).cast(pa.float32())
    return codes.to_numpy(), tuple(names.to_pylist())
