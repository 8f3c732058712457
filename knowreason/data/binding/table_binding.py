"""Tables of names become the encoded tables of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.binding.binder import Encoded, Resolved, TableBinder
from knowreason.data.binding.data_findings import NamedTable
from knowreason.data.binding.frames import TableLike, read_frame
from knowreason.data.id_tables import TRUTH, conflicts, id_table, without_repeats
from knowreason.diagnostics import Span
from knowreason.errors import did_you_mean
from knowreason.logic import Attribute, Predicate, Program
from knowreason.logic.canonical_text import string_text
from knowreason.row_keys import row_keys

VALUE_TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "time": pa.int64(),
    "duration": pa.int64(),
}


def encode_things(binding: TableBinder, things: Mapping[str, TableLike]) -> list[Encoded]:
    """Members of domains that no other row has to mention."""
    encoded = []
    for domain in binding.closed:
        if domain not in things:
            binding.findings.add(
                "KR503",
                f"`{domain}` is closed, and no `things` say what there is of it",
                help=did_you_mean(domain, things) or "give all there are as `things`",
            )
    for domain, members in things.items():
        if domain not in binding.builders:
            _unknown(binding, domain, "domain", binding.builders)
            continue
        table = {"name": members} if isinstance(members, list | tuple | pa.Array) else members
        frame = read_frame(table, f"things of `{domain}`")
        columns = frame.table.column_names[:1]
        encoded.append(binding.encode(frame, domain, (domain,), columns, fills=True))
    return encoded


def encode_facts(binding: TableBinder, facts: Mapping[str, TableLike]) -> list[Encoded]:
    """Tables of observed predicates and attributes, in the order the program declares them."""
    program = binding.program
    declared = {p.name: p for p in program.predicates} | {a.name: a for a in program.attributes}
    encoded = []
    for name in _in_order(binding, facts, declared, "predicate or attribute"):
        thing = declared[name]
        if program.is_number(name) or (isinstance(thing, Predicate) and thing.is_open):
            kind = f"{thing.kind} predicate" if isinstance(thing, Predicate) else "numeric query"
            binding.findings.add(
                "KR516",
                f"`{name}` is a {kind}, so it has no facts",
                help="give its rows as `labels`" + " or `evidence`" * isinstance(thing, Predicate),
            )
            continue
        frame = read_frame(facts[name], f"`{name}`")
        if isinstance(thing, Attribute):
            columns, value = _columns(binding, frame, thing.sorts, (1,))
            sort = thing.sort
        else:
            columns, value = _columns(binding, frame, thing.sorts, (0,) if thing.sorts else (1,))
            sort = TRUTH
        if columns is not None:
            encoded.append(
                binding.encode(
                    frame, name, thing.sorts, columns, value_column=value, value_sort=sort
                )
            )
    return encoded


def encode_truths(
    binding: TableBinder, tables: Mapping[str, TableLike], what: str
) -> list[Encoded]:
    """Tables of labels or evidence: one row an atom, the last column (if any) its truth."""
    program = binding.program
    declared = {predicate.name: predicate for predicate in program.predicates}
    declared |= {query.name: program.asked(query.name) for query in program.numeric_queries}
    encoded = []
    for name in _in_order(binding, tables, declared, "predicate"):
        predicate = declared[name]
        if program.is_number(name):
            encoded += encode_numbers(binding, predicate, tables[name], what)
            continue
        if not predicate.is_open or (what == "labels" and predicate.kind == "latent"):
            binding.findings.add(
                "KR516",
                f"`{name}` is {'an' if predicate.kind == 'observed' else 'a'} {predicate.kind} "
                f"predicate, so it has no {what}",
                help=_where_instead(predicate),
            )
            continue
        frame = read_frame(tables[name], f"{what} of `{name}`")
        extra = (0, 1) if predicate.sorts else (1,)
        columns, value = _columns(binding, frame, predicate.sorts, extra)
        if columns is not None:
            encoded.append(
                binding.encode(
                    frame, name, predicate.sorts, columns, value_column=value, value_sort=TRUTH
                )
            )
    return encoded


def encode_numbers(
    binding: TableBinder, query: Predicate, table: TableLike, what: str
) -> list[Encoded]:
    """The table of labels of a numeric query: one row a setting, the last column its number."""
    if what != "labels":
        binding.findings.add(
            "KR516",
            f"`{query.name}` is a numeric query, so it has no {what}",
            help="numbers that are known when predicting are an `attribute`",
        )
        return []
    frame = read_frame(table, f"labels of `{query.name}`")
    columns, value = _columns(binding, frame, query.sorts, (1,))
    if columns is None or value is None:
        return []
    encoded = binding.encode(
        frame, query.name, query.sorts, columns, value_column=value, value_sort="float"
    )
    assert isinstance(encoded.value, pa.ChunkedArray)
    there = np.asarray(encoded.value.is_valid())
    numbers = encoded.value.to_numpy()
    binding.findings.add_rows(
        "KR533",
        frame,
        np.flatnonzero(there & ~np.isfinite(numbers)),
        lambda row: f"{numbers[row]:g} is no label: it is not a finite number",
        column=value,
        help="leave the row out, or give null, where nothing is known",
    )
    return [encoded]


def _where_instead(predicate: Predicate) -> str | None:
    """Where truths of a predicate belong that can have none."""
    if predicate.sees:
        return f"it is a view of `{predicate.sees}` and learned from its labels: bind those, once"
    return "give its rows as `facts`" if predicate.kind == "observed" else None


def encode_weights(binding: TableBinder, tables: Mapping[str, TableLike]) -> list[Encoded]:
    """Tables of sampling weights of labels: one row an atom, the last column its weight."""
    declared = {p.name: p for p in binding.program.predicates if p.kind == "query"}
    encoded = []
    for name in _in_order(binding, tables, declared, "query predicate"):
        sorts = declared[name].sorts
        frame = read_frame(tables[name], f"label weights of `{name}`")
        columns, value = _columns(binding, frame, sorts, (1,))
        if columns is None or value is None:
            continue
        table = binding.encode(frame, name, sorts, columns, value_column=value, value_sort="float")
        assert isinstance(table.value, pa.ChunkedArray)
        _check_positive(binding, frame, value, table.value.to_numpy())
        encoded.append(table)
    return encoded


def _check_positive(
    binding: TableBinder, frame: NamedTable, column: str, weights: NDArray[np.float64]
) -> None:
    binding.findings.add_rows(
        "KR532",
        frame,
        np.flatnonzero(~(np.isnan(weights) | ((weights > 0) & (weights < np.inf)))),
        lambda row: f"{weights[row]:g} is no sampling weight",
        column=column,
        help="a weight is 1 over the chance of being labelled: a number above 0",
    )


def finish_facts(binding: TableBinder, encoded: Encoded) -> pa.Table:
    """A distinct table of an observed predicate, symmetric closure added."""
    predicate = binding.program.predicate(encoded.name)
    resolved = binding.resolve(encoded)
    if not predicate.sorts:
        holds = resolved.value is not None and bool(pc.any(pc.equal(resolved.value, 1)).as_py())
        return pa.table({TRUTH: pa.array([True] * holds, pa.bool_())})
    _check_functional(binding, predicate, resolved)
    return _distinct(binding, _closed(predicate, resolved))


def finish_attribute(binding: TableBinder, encoded: Encoded) -> pa.Table:
    """A table of an attribute, one row a setting; missing values are no rows."""
    return _one_value_a_key(binding, binding.resolve(encoded))


def finish_weights(binding: TableBinder, encoded: Encoded) -> pa.Table:
    """A table of sampling weights: ``a0 ..`` and ``value`` float64, one row an atom."""
    predicate = binding.program.predicate(encoded.name)
    return _one_value_a_key(binding, _closed(predicate, binding.resolve(encoded)))


def _one_value_a_key(binding: TableBinder, resolved: Resolved) -> pa.Table:
    _check_conflicts(
        binding,
        resolved,
        "KR510",
        lambda row, earlier: (
            f"`{resolved.encoded.name}` is {_value(resolved, row)}, "
            f"but {_at_row(resolved, earlier)} says {_value(resolved, earlier)}"
        ),
    )
    return _distinct(binding, resolved)


def finish_truths(binding: TableBinder, encoded: Encoded) -> pa.Table:
    """A table of labels or evidence: ``a0 ..`` and ``value`` int8, one row an atom."""
    predicate = binding.program.predicate(encoded.name)
    functional = predicate.functional_position
    unnamed = (functional,) if functional is not None and encoded.value is None else ()
    resolved = _closed(predicate, _with_truth(binding.resolve(encoded, optional=unnamed)))
    _check_conflicts(
        binding,
        resolved,
        "KR512",
        lambda row, earlier: (
            f"this atom is given as {_truth(resolved, row)}, "
            f"but {_at_row(resolved, earlier)} says {_truth(resolved, earlier)}"
        ),
    )
    assert resolved.value is not None
    true = np.flatnonzero(np.asarray(resolved.value) == 1)
    _check_functional(binding, predicate, resolved.take(true))
    return _distinct(binding, resolved)


def empty_table(program: Program, name: str) -> pa.Table:
    """The table of a predicate or attribute about which nothing is said."""
    arity = len(program.sorts_of(name))
    for attribute in program.attributes:
        if attribute.name == name:
            return _empty(arity, VALUE_TYPES.get(attribute.sort, pa.int32()))
    if not arity and not program.is_open(name):
        return pa.table({TRUTH: pa.array([], pa.bool_())})
    return _empty(arity, pa.int8() if program.is_open(name) else None)


@cache
def _empty(arity: int, kind: pa.DataType | None) -> pa.Table:
    """The table of no rows with values of a type, if any."""
    ids = [np.empty(0, dtype=np.int32)] * arity
    return id_table(ids, None if kind is None else pa.array([], kind))


def encode_constants(binding: TableBinder) -> Callable[[], None]:
    """Constants of open domains become members; the result warns of those no row mentions."""
    spans: dict[str, dict[str, Span | None]] = {}
    for constant in binding.program.constants:
        if constant.sort in binding.builders:
            spans.setdefault(constant.sort, {}).setdefault(str(constant.value), constant.span)
    added = {
        domain: binding.builders[domain].add(
            pa.chunked_array([list(names)], pa.string()), fills=True
        )
        for domain, names in spans.items()
        if binding.builders[domain].members is None
    }

    def warn() -> None:
        for domain, coded in added.items():
            unseen = np.flatnonzero(binding.builders[domain].first_in(coded))
            for name in coded.distinct.take(pa.array(unseen)).to_pylist():
                binding.findings.warn(
                    "KR517",
                    f'the rules speak of `{domain}` "{name}", which no row mentions',
                    span=spans[domain][name],
                )

    return warn


def warn_of_silence(binding: TableBinder, tables: Mapping[str, pa.Table]) -> None:
    """Warn of observed predicates and attributes without a row."""
    program = binding.program
    declared = [p.name for p in program.predicates if not p.is_open]
    for name in (*declared, *(attribute.name for attribute in program.given_attributes)):
        if name not in tables or not tables[name].num_rows:
            what = "every atom of it is false" if name in declared else "it is missing everywhere"
            fills = (
                f"what fills `{name}` has no row" if name in tables else f"nothing fills `{name}`"
            )
            binding.findings.warn("KR518", f"{fills}: {what}")


def _in_order(
    binding: TableBinder, tables: Mapping[str, Any], declared: Mapping[str, Any], what: str
) -> list[str]:
    for name in tables:
        if name not in declared:
            _unknown(binding, name, what, declared)
    return [name for name in declared if name in tables]


def _unknown(binding: TableBinder, name: str, what: str, known: Mapping[str, Any]) -> None:
    binding.findings.add(
        "KR503",
        f"the program declares no {what} `{name}`",
        help=did_you_mean(name, known) or f"declared: {', '.join(known) or 'none'}",
    )


def _columns(
    binding: TableBinder, frame: NamedTable, sorts: Sequence[str], extra: tuple[int, ...]
) -> tuple[list[str] | None, str | None]:
    """Names of the key columns and of the value column, if there is one.

    ``None`` for the key columns, with a finding, when the number of columns does not fit.
    """
    names = frame.table.column_names
    arity = len(sorts)
    allowed = [arity + more for more in extra]
    if len(names) in allowed:
        return names[:arity], names[arity] if len(names) > arity else None
    expected = " or ".join(str(number) for number in allowed)
    last = {(0,): "", (1,): ", value", (0, 1): "[, truth]"}[extra]
    listed = f"{', '.join(sorts)}{last}" if sorts else "value"
    binding.findings.add(
        "KR505",
        f"{frame.title} has {len(names)} columns ({', '.join(names)}), expected {expected}",
        help=f"its columns are ({listed}), in this order",
    )
    return None, None


def _closed(predicate: Predicate, resolved: Resolved) -> Resolved:
    """Rows of a symmetric predicate followed by their swaps."""
    if not predicate.symmetric:
        return resolved
    twice = resolved.take(np.tile(np.arange(resolved.count), 2))
    first, second = resolved.ids
    ids = (np.concatenate([first, second]), np.concatenate([second, first]))
    return Resolved(resolved.encoded, ids, twice.rows, twice.value)


def _with_truth(resolved: Resolved) -> Resolved:
    if resolved.value is not None:
        return resolved
    true = pa.array(np.ones(resolved.count, dtype=np.int8))
    return Resolved(resolved.encoded, resolved.ids, resolved.rows, true)


def _distinct(binding: TableBinder, resolved: Resolved) -> pa.Table:
    sizes = binding.sizes(resolved.encoded.sorts)
    distinct = resolved.take(without_repeats(resolved.ids, sizes, resolved.count))
    return id_table(distinct.ids, distinct.value)


def _check_functional(binding: TableBinder, predicate: Predicate, resolved: Resolved) -> None:
    position = predicate.functional_position
    if position is None:
        return
    settings = [ids for place, ids in enumerate(resolved.ids) if place != position]
    sorts = [sort for place, sort in enumerate(predicate.sorts) if place != position]
    states = resolved.ids[position]
    key = row_keys(settings, binding.sizes(sorts), resolved.count)
    clashes = conflicts(key, states)
    vocabulary = binding.vocabularies[predicate.sorts[position]]

    def state(row: int) -> str:
        return string_text(vocabulary.name(int(states[row])))

    earlier = dict(zip(clashes.rows.tolist(), clashes.earlier.tolist(), strict=True))
    _report(
        binding,
        resolved,
        "KR511",
        clashes.rows,
        lambda row: (
            f"the value is {state(row)}, but "
            f"{_at_row(resolved, earlier[row])} says {state(earlier[row])}"
        ),
        column=resolved.encoded.columns[position],
    )


def _check_conflicts(
    binding: TableBinder, resolved: Resolved, code: str, message: Callable[[int, int], str]
) -> None:
    assert resolved.value is not None
    if resolved.count < 2:
        return
    value = resolved.value
    comparable = value.dictionary_encode().indices if value.type == pa.string() else value
    key = row_keys(resolved.ids, binding.sizes(resolved.encoded.sorts), resolved.count)
    clashes = conflicts(key, comparable.to_numpy(zero_copy_only=False))
    earlier = dict(zip(clashes.rows.tolist(), clashes.earlier.tolist(), strict=True))
    _report(binding, resolved, code, clashes.rows, lambda row: message(row, earlier[row]))


def _report(
    binding: TableBinder,
    resolved: Resolved,
    code: str,
    rows: np.ndarray[Any, np.dtype[np.int64]],
    message: Callable[[int], str],
    column: str | None = None,
) -> None:
    data_rows = rows if resolved.rows is None else resolved.rows[rows]
    back = dict(zip(data_rows.tolist(), rows.tolist(), strict=True))
    binding.findings.add_rows(
        code,
        resolved.encoded.frame,
        data_rows,
        lambda row: message(back[row]),
        column=column,
        help="keep one of them",
    )


def _at_row(resolved: Resolved, row: int) -> str:
    if resolved.encoded.frame.spans:
        return "an earlier line"
    return f"row {resolved.encoded.frame.number(resolved.row(row))}"


def _value(resolved: Resolved, row: int) -> str:
    column = resolved.encoded.frame.table.column(-1)
    return str(column[resolved.row(row)].as_py())


def _truth(resolved: Resolved, row: int) -> str:
    assert resolved.value is not None
    return "true" if resolved.value[row].as_py() else "false"
