"""Tables whose key columns become ids: the working state of a binding.

Binding goes in two passes, because an id exists only when all tables have been seen:
:meth:`TableBinder.encode` codes the key columns of each table against their own names, and
after :meth:`TableBinder.freeze`, :meth:`TableBinder.resolve` gives the ids.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from knowreason.data.binding.data_findings import BindingFindings, NamedTable
from knowreason.data.id_tables import Ids, Rows
from knowreason.data.name_encoding import UNKNOWN, one_chunk
from knowreason.data.typed_columns import EXAMPLES, to_key, to_sort
from knowreason.data.vocabulary import Coded, Vocabulary, VocabularyBuilder
from knowreason.errors import DataError
from knowreason.logic import VALUE_SORTS, Program
from knowreason.logic.canonical_text import string_text


@dataclass(frozen=True)
class Encoded:
    """A table with coded keys, waiting for the vocabularies.

    Attributes:
        frame: where it came from.
        name: predicate or attribute it is for.
        columns: names of the key columns.
        sorts: domain of each key column.
        keys: the coded key columns.
        value: last column: converted values, coded names, or ``None``.
    """

    frame: NamedTable
    name: str
    columns: tuple[str, ...]
    sorts: tuple[str, ...]
    keys: tuple[Coded, ...]
    value: pa.ChunkedArray | Coded | None = None


@dataclass(frozen=True)
class Resolved:
    """A table of ids; rows with a bad key or no value are gone.

    Attributes:
        encoded: what it was made from.
        ids: one ``int32[rows]`` a key column.
        rows: data row of each row, ``None`` when none is gone.
        value: one a row, when there is a value column.
    """

    encoded: Encoded
    ids: tuple[Ids, ...]
    rows: Rows | None
    value: pa.Array | None

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.encoded.frame.table.num_rows if self.rows is None else len(self.rows)

    def row(self, index: int) -> int:
        """Data row (from 0) of a row."""
        return index if self.rows is None else int(self.rows[index])

    def take(self, rows: Rows | None) -> Resolved:
        """Some of the rows; ``None`` takes all."""
        if rows is None:
            return self
        return replace(
            self,
            ids=tuple(column[rows] for column in self.ids),
            rows=rows if self.rows is None else self.rows[rows],
            value=None if self.value is None else self.value.take(pa.array(rows)),
        )


@dataclass
class TableBinder:
    """Vocabularies in the making and findings so far."""

    program: Program
    findings: BindingFindings = field(default_factory=BindingFindings)
    closed: Collection[str] = ()  # domains that only tables encoded with `fills` give members
    builders: dict[str, VocabularyBuilder] = field(default_factory=dict)
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for domain in self.program.domains:
            closed = domain.name in self.closed
            self.builders[domain.name] = VocabularyBuilder(domain.name, domain.members, closed)

    def encode(
        self,
        frame: NamedTable,
        name: str,
        sorts: Sequence[str],
        columns: Sequence[str],
        *,
        value_column: str | None = None,
        value_sort: str | None = None,
        fills: bool = False,
    ) -> Encoded:
        """Code the key columns and convert the value column, if there is one.

        ``value_sort`` is a value sort, a domain, or ``"truth"`` for labels; ``fills``: the keys are
        members, also of domains that are closed.
        """
        keys = tuple(
            self._code(frame, column, sort, fills)
            for column, sort in zip(columns, sorts, strict=True)
        )
        value = None
        if value_column is not None and value_sort is not None:
            value = self._value(frame, value_column, value_sort)
        return Encoded(frame, name, tuple(columns), tuple(sorts), keys, value)

    def freeze(self) -> None:
        """Number all names."""
        self.vocabularies = {name: builder.freeze() for name, builder in self.builders.items()}

    def resolve(self, encoded: Encoded, *, optional: Sequence[int] = ()) -> Resolved:
        """Ids of a table's keys; bad keys are found and their rows left out.

        Args:
            encoded: the table.
            optional: key positions where null means that the row says nothing.
        """
        keep = np.ones(encoded.frame.table.num_rows, dtype=bool)
        columns: list[Ids] = []
        for position, coded in enumerate(encoded.keys):
            ids = self._ids(encoded, position, coded, required=position not in optional)
            keep &= ids != UNKNOWN
            columns.append(ids)
        value = self._resolved_value(encoded)
        if value is not None and value.null_count:
            keep &= np.asarray(value.is_valid())
        whole = Resolved(encoded, tuple(columns), None, value)
        return whole if keep.all() else whole.take(np.flatnonzero(keep))

    def sizes(self, sorts: Sequence[str]) -> list[int]:
        """Number of things of each domain."""
        return [len(self.vocabularies[sort]) for sort in sorts]

    def _code(self, frame: NamedTable, column: str, sort: str, fills: bool = False) -> Coded:
        raw = frame.table.column(column)
        key = to_key(raw)
        self.findings.add_rows(
            "KR506",
            frame,
            key.bad,
            lambda row: f"{_show(raw, row)} does not name a `{sort}`",
            column=column,
            values=raw,
            help="things are named by text or integers",
        )
        return self.builders[sort].add(key.values, fills=fills)

    def _value(self, frame: NamedTable, column: str, sort: str) -> pa.ChunkedArray | Coded:
        if sort not in VALUE_SORTS and sort != "truth":
            return self._code(frame, column, sort)
        raw = frame.table.column(column)
        try:
            converted = frame.reading.read(raw, sort, self.program.zone)
        except DataError as error:
            self.findings.errors += error.diagnostics
            self.findings.count += 1
            converted = to_sort(raw.filter(pa.array(np.zeros(len(raw), bool))), sort)
            return pa.chunked_array([pa.nulls(len(raw), converted.values.type)])
        code = {"truth": "KR513", "time": "KR514", "duration": "KR514"}.get(sort, "KR506")
        usual = "0, 1, true or false (null: unlabelled)" if sort == "truth" else EXAMPLES[sort]
        expected = frame.reading.expected(sort) or f"expected {usual}"
        if sort == "truth" and not frame.spans and not (frame.reading.true or frame.reading.false):
            expected += "; `true` and `false` in [bind] list other words"
        if sort == "time" and not frame.spans and not frame.reading.format:
            expected += (
                "; `format` in [bind] reads other texts"
                if pa.types.is_string(raw.type)
                else "; `to_timestamp(...)` in [tables] sql makes it of seconds since 1970"
            )
        what = "a label" if sort == "truth" else f"an {sort}" if sort == "int" else f"a {sort}"
        self.findings.add_rows(
            code,
            frame,
            converted.bad,
            lambda row: f"{_show(raw, row)} is not {what}",
            column=column,
            values=raw,
            help=expected,
        )
        return converted.values

    def _ids(self, encoded: Encoded, position: int, coded: Coded, *, required: bool) -> Ids:
        frame, column = encoded.frame, encoded.columns[position]
        sort = encoded.sorts[position]
        builder = self.builders[sort]
        empty = coded.nameless
        outside = builder.outside(coded) & ~empty & (builder.members is not None)
        raw = frame.table.column(column)
        if outside.any():
            members = ", ".join(list(builder.members or ())[:8])
            self.findings.add_rows(
                "KR508",
                frame,
                coded.rows_of(outside),
                lambda row: f"{_show(raw, row)} is not a member of `{sort}`",
                column=column,
                values=raw,
                help=f"its members: {members}",
            )
        ids = builder.ids(coded)
        nameless = coded.indices == UNKNOWN
        if empty.any():
            nameless = nameless | np.append(empty, False)[coded.indices]
            ids = np.where(nameless, np.int32(UNKNOWN), ids)
        if required and nameless.any():
            rows = np.setdiff1d(np.flatnonzero(nameless), to_key(raw).bad)
            self.findings.add_rows(
                "KR507",
                frame,
                rows,
                lambda row: f"no `{sort}` is named",
                column=column,
                values=pa.chunked_array([pa.nulls(len(raw), pa.string())]),
            )
        return ids

    def _resolved_value(self, encoded: Encoded) -> pa.Array | None:
        if encoded.value is None:
            return None
        if not isinstance(encoded.value, Coded):
            return one_chunk(encoded.value)
        column = encoded.frame.table.column_names[-1]
        sort = self.program.attribute(encoded.name).sort
        inner = replace(
            encoded, columns=(column,), sorts=(sort,), keys=(encoded.value,), value=None
        )
        ids = self._ids(inner, 0, encoded.value, required=False)
        return pa.array(ids, mask=ids == UNKNOWN)


def _show(column: pa.ChunkedArray, row: int) -> str:
    try:
        value = column[row].as_py()
    except (OverflowError, ValueError):  # a time that Python does not know
        return f"{column[row].value} ({column.type})"
    return string_text(value) if isinstance(value, str) else str(value)
