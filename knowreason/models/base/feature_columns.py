"""What a model sees of each row: feature tables, attributes and definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.data.id_tables import id_matrix
from knowreason.data.splits.label_history import sources
from knowreason.errors import ModelError, UnknownNameError, did_you_mean
from knowreason.grounding.relational.history_columns import Column
from knowreason.logic.canonical_text import ground_atom_text
from knowreason.models.base.predicate_rows import PredicateRows
from knowreason.row_keys import locate

if TYPE_CHECKING:
    from knowreason.data import Dataset
    from knowreason.grounding.arrays.array_relations import ArrayRelations

EVERYTHING = "*"
DAY, SECOND = 86_400_000_000, 1_000_000  # microseconds


def no_columns(count: int) -> FeatureTable:
    """A matrix of ``count`` rows and no column."""
    return FeatureTable((), np.zeros((count, 0), np.float32), ())


def one_column(
    name: str, values: NDArray[np.floating], categories: tuple[str, ...] | None = None
) -> FeatureTable:
    """A matrix of one column."""
    return FeatureTable((name,), values.astype(np.float32)[:, None], (categories,))


def side_by_side(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Columns of at least one table, all with the same rows."""
    return FeatureTable(
        tuple(name for table in tables for name in table.names),
        np.concatenate([table.values for table in tables], axis=1).astype(np.float32),
        tuple(texts for table in tables for texts in table.categories),
    )


def in_blocks(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Rows one table under the other, columns side by side; missing in each other's rows."""
    size = np.sum([table.values.shape for table in tables], axis=0)
    values = np.full(size, np.nan, np.float32)
    row = column = 0
    for table in tables:
        below, right = row + table.values.shape[0], column + table.values.shape[1]
        values[row:below, column:right] = table.values
        row, column = below, right
    return FeatureTable(
        tuple(name for table in tables for name in table.names),
        values,
        tuple(texts for table in tables for texts in table.categories),
    )


def renamed(table: FeatureTable, prefix: str) -> FeatureTable:
    """The same columns with a prefix to their names."""
    return replace(table, names=tuple(prefix + name for name in table.names))


def rows_or_missing(every: FeatureTable, nodes: NDArray[np.int64]) -> FeatureTable:
    """Rows of some nodes; all missing where there is no node (-1)."""
    taken = every.take(np.maximum(nodes, 0))
    return replace(taken, values=np.where(nodes[:, None] < 0, np.float32(np.nan), taken.values))


def columns_of(
    data: Dataset, rows: PredicateRows, features: tuple[str, ...] | None = None
) -> FeatureTable:
    """The feature matrix of a predicate's rows.

    Args:
        data: feature tables, attributes and facts.
        rows: from :func:`knowreason.models.base.predicate_rows.rows_of`.
        features: what may be seen: columns of feature tables, attributes, predicates and
            definitions by name; ``"*"`` is every column of the feature tables of the
            rows' things, and so is ``None``.

    Raises:
        ModelError: KR810 for a name that is nothing of a row, KR811 for an infinite value,
            naming row and column.

    >>> import knowreason as kr
    >>> data = kr.testing.example_data()
    >>> columns_of(data, kr.models.rows_of(data, "Bad"), ("hue", "size")).names
    ('hue', 'size')
    """
    arrays = arrays_of(data)
    planned: Mapping[str, Sequence[_ArrayColumn]] = {}
    if arrays is None:
        defined = {definition.name for definition in data.program.definitions}
        evaluated(data, [name for name in features or () if name in defined])
    elif features is not None and not any(sort in data.features for sort in rows.sorts):
        what = f"columns of {rows.predicate}"
        planned = arrays.once(what, features, lambda: _planned(data, rows, features))
    things = rows.things.T.astype(np.int64)
    parts = [no_columns(rows.count)]
    for name in features if features is not None else (EVERYTHING,):
        if arrays is not None and name in planned:
            columns = [_evaluated(arrays, one, things, rows.count) for one in planned[name]]
            names = tuple(one.title for one in planned[name])
            values = np.stack(columns, axis=1)
            parts.append(FeatureTable(names, values, (None,) * len(names)))
            continue
        tables = _table_columns(data, rows, name) or _relation_columns(data, rows, name)
        if not tables and name != EVERYTHING:
            known = _known_names(data, rows)
            raise ModelError(
                f"`{rows.predicate}` has no feature `{name}`",
                code="KR810",
                help=did_you_mean(name, known) or f"it has: {', '.join(known) or 'none'}",
            )
        parts += tables
    joined = side_by_side(parts)
    distinct = list(dict.fromkeys(joined.names))  # "*" and a name again
    joined = joined if len(distinct) == len(joined.names) else joined.select(distinct)
    refuse(joined, np.isinf, "KR811", "infinite", lambda row: row_name(data, rows, row))
    return joined


def refuse(
    columns: FeatureTable,
    bad: Callable[[NDArray[np.float32]], NDArray[np.bool_]],
    code: str,
    what: str,
    name: Callable[[int], str] | None = None,
    *,
    of: str = "",
) -> None:
    """Raise for the first ``bad`` value, naming its row and column.

    ``name`` says what a row is, ``of`` what the columns are of.
    """
    cells = np.argwhere(bad(columns.values))
    if len(cells):
        row, column = cells[0]
        raise ModelError(
            f"column `{columns.names[column]}`{of} is {what} in row {row + 1}"
            f"{', ' + name(int(row)) if name else ''} ({len(cells)} such values)",
            code=code,
        )


def row_name(data: Dataset, rows: PredicateRows, row: int) -> str:
    """A row as a person would write it: ``Fraud("e17")``."""
    names = [
        data.vocabularies[sort].name(int(thing))
        for sort, thing in zip(rows.sorts, rows.things[row], strict=True)
    ]
    return ground_atom_text(rows.predicate, names)


def feature_table(data: Dataset, sort: str) -> FeatureTable:
    """The feature table of a domain, one row a thing; no column where it has none."""
    table = data.features.get(sort)
    return no_columns(len(data.vocabularies[sort])) if table is None else table


def _table_columns(data: Dataset, rows: PredicateRows, name: str) -> list[FeatureTable]:
    tables = []
    for position, (sort, argument) in enumerate(zip(rows.sorts, rows.places, strict=True)):
        table = feature_table(data, sort)
        if name != EVERYTHING:
            table = table.select([n for n in table.names if name in (n, f"{argument}.{n}")])
        if table.names:
            tables.append(renamed(table.take(rows.things[:, position]), _prefix(rows, argument)))
    return tables


def _prefix(rows: PredicateRows, place: str) -> str:
    return f"{place}." if len(rows.sorts) > 1 else ""


def _relation_columns(data: Dataset, rows: PredicateRows, name: str) -> list[FeatureTable]:
    """Columns from an attribute, a definition or an observed predicate of that name."""
    return [
        looked_up(data, name, rows.things[:, places], prefix)
        for places, prefix in _places(data, rows, name)
    ]


def _places(data: Dataset, rows: PredicateRows, name: str) -> list[tuple[list[int], str]]:
    """Which things of a row a relation of that name is about, and prefixes of the columns."""
    if name == EVERYTHING or any(name == own.name for own in data.program.open_predicates):
        return []
    try:
        sorts = data.program.sorts_of(name)
    except UnknownNameError:
        return []
    if sorts == rows.sorts:
        return [(list(range(len(sorts))), "")]
    if len(sorts) != 1:
        return []
    return [
        ([position], _prefix(rows, argument))
        for position, (sort, argument) in enumerate(zip(rows.sorts, rows.places, strict=True))
        if sort == sorts[0]
    ]


def _relation_sorts(data: Dataset) -> dict[str, tuple[str, ...]]:
    program = data.program
    sorts = {p.name: p.sorts for p in program.predicates if p.kind == "observed"}
    sorts |= {attribute.name: attribute.sorts for attribute in program.attributes}
    return sorts | {definition.name: definition.sorts for definition in program.definitions}


def _known_names(data: Dataset, rows: PredicateRows) -> list[str]:
    names = [name for sort in rows.sorts for name in feature_table(data, sort).names]
    fitting = [
        name
        for name, sorts in _relation_sorts(data).items()
        if sorts == rows.sorts or (len(sorts) == 1 and sorts[0] in rows.sorts)
    ]
    return sorted({*names, *fitting})


def derived_features(data: Dataset, predicate: str) -> tuple[str, ...]:
    """What the data say of a predicate's things by themselves: all columns, every attribute and
    definition over one of them or over all.

    Clocks and attributes whose values are things of an open domain are left out: when it was, and
    which merchant, tell nothing of later days and new merchants, and trees learn them by heart.
    """
    program = data.program
    sorts = program.sorts_of(predicate)
    things = {domain.name for domain in program.domains if domain.members is None}
    declared = [
        (attribute.name, attribute.sorts)
        for attribute in program.attributes
        if not attribute.clock and attribute.sort not in (*things, "time")
    ]
    declared += [(definition.name, definition.sorts) for definition in program.definitions]
    names = [n for n, own in declared if own and (own == sorts or own in [(s,) for s in sorts])]
    return ("*", *names) if any(sort in data.features for sort in sorts) else tuple(names)


def looked_up(
    data: Dataset, name: str, things: NDArray[np.int32], prefix: str = ""
) -> FeatureTable:
    """The column of an attribute, definition or observed predicate for rows of its arguments.

    Values are floats (times in days, durations in seconds, texts and things as codes), 0/1
    for a predicate, NaN where there is none.

    Args:
        data: what it is read from.
        name: what is read.
        things: ``int32[n, arity]``.
        prefix: of the column's name.
    """
    column = _in_arrays(data, name, things)
    if column is not None:
        return one_column(prefix + name, column)
    table = relation(data, name)
    at = locate(id_matrix(table), things)
    if "value" not in table.column_names:
        return one_column(prefix + name, (at >= 0).astype(np.float32))
    values, texts = _numbers(data, name, table.column("value").combine_chunks())
    column = np.full(len(at), np.nan)
    column[at >= 0] = values[at[at >= 0]]
    return one_column(prefix + name, column, texts)


@dataclass(frozen=True)
class _ArrayColumn:
    """A column that is evaluated in arrays.

    Attributes:
        title: of the column.
        name: of what is read.
        places: of a row's things that it is about.
        sort: of its values; ``None`` of a predicate.
    """

    title: str
    name: str
    places: Sequence[int]
    sort: str | None


def _array_column(
    data: Dataset, name: str, places: Sequence[int], prefix: str
) -> _ArrayColumn | None:
    """How a relation is read in arrays; ``None`` where its values have names, or are facts."""
    if name in data.facts:
        return None
    sort = _sort_of(data, name)
    if sort == "string" or sort in data.vocabularies:
        return None
    return _ArrayColumn(prefix + name, name, places, sort)


def _planned(
    data: Dataset, rows: PredicateRows, features: Sequence[str]
) -> dict[str, list[_ArrayColumn]]:
    """Columns of a predicate's rows that are read in arrays, by feature."""
    found = {}
    for name in features:
        places = _places(data, rows, name)
        columns = [_array_column(data, name, own, prefix) for own, prefix in places]
        read = [column for column in columns if column is not None]
        if read and len(read) == len(columns):
            found[name] = read
    return found


def _in_arrays(data: Dataset, name: str, things: NDArray[np.int32]) -> NDArray[np.floating] | None:
    """Numbers of a few rows, where definitions are evaluated in arrays; ``None`` elsewhere."""
    arrays = arrays_of(data)
    column = None if arrays is None else _array_column(data, name, range(things.shape[1]), "")
    if arrays is None or column is None:
        return None
    return _evaluated(arrays, column, things.T.astype(np.int64), len(things))


def _evaluated(
    arrays: ArrayRelations, column: _ArrayColumn, things: NDArray[np.int64], rows: int
) -> NDArray[np.float32]:
    ids = [things[place] for place in column.places]
    if column.sort is None:
        return arrays.holds(column.name, ids, rows).astype(np.float32)
    found = arrays.value_of(column.name, [Column(own) for own in ids], rows)
    values = found.values.astype(np.float64)
    if found.known is not None:
        values = np.where(found.known, values, np.nan)
    unit = {"time": DAY, "duration": SECOND}.get(column.sort)
    return (values if unit is None else values / unit).astype(np.float32)


def _sort_of(data: Dataset, name: str) -> str | None:
    """What kind of values an attribute or definition has; ``None`` of a predicate."""
    sort_of = {attribute.name: attribute.sort for attribute in data.program.attributes}
    return sort_of.get(name) or data.program.definition(name).sort


def _numbers(
    data: Dataset, name: str, column: pa.Array
) -> tuple[NDArray[np.float64], tuple[str, ...] | None]:
    """Values as floats; times in days, durations in seconds, texts and things as codes."""
    sort = _sort_of(data, name)
    if sort == "string":
        encoded = pc.dictionary_encode(column)
        return _floats(encoded.indices), tuple(encoded.dictionary.to_pylist())
    values = _floats(column)
    if str(sort) in data.vocabularies:
        return values, tuple(data.vocabularies[str(sort)].names.to_pylist())
    return values / {"time": DAY, "duration": SECOND}.get(str(sort), 1), None


def _floats(array: pa.Array) -> NDArray[np.float64]:
    floats: NDArray[np.float64] = pc.cast(array, pa.float64(), safe=False).to_numpy(
        zero_copy_only=False
    )
    return floats


def relation(data: Dataset, name: str) -> pa.Table:
    """Table of an observed predicate, attribute or definition, read once a data set."""
    for tables in (data.attributes, data.facts):
        if name in tables:
            return tables[name]
    return evaluated(data, [name])[name]


def arrays_of(data: Dataset) -> ArrayRelations | None:
    """The data as arrays, where definitions are evaluated so."""
    from knowreason.grounding.arrays.array_context import opened_arrays

    return opened_arrays(data.program, data)


def evaluated_definitions(data: Dataset) -> dict[str, pa.Table]:
    """Tables of the definitions that models have asked for so far."""
    return evaluated(data, ())


def evaluated(data: Dataset, names: Sequence[str]) -> dict[str, pa.Table]:
    """Tables of definitions, each evaluated once a data set and all on one connection."""
    from knowreason.grounding.arrays.array_context import open_relations

    readers = data.program.label_readers
    fixed: dict[str, pa.Table] = data.computed("definitions", dict)
    moving = data.computed(_ages(data), dict, *sources(data)) if readers else fixed
    wanted = [n for n in dict.fromkeys(names) if n not in (moving if n in readers else fixed)]
    if wanted:
        with open_relations(data.program, data, known={**fixed, **moving}) as relations:
            for name in wanted:
                (moving if name in readers else fixed)[name] = relations.read(name)
    return {**fixed, **moving}


def _ages(data: Dataset) -> tuple[str, float, float]:
    """What definitions over labels depend on besides tables."""
    return ("definitions over labels", data.label_delay, data.label_refresh)
