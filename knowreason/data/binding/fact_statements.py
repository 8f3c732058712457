"""Statements of a facts file as tables, so that they are bound as every other table."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa

from knowreason.data.binding.data_findings import BindingFindings, NamedTable
from knowreason.data.id_tables import TRUTH
from knowreason.diagnostics import Span
from knowreason.errors import did_you_mean
from knowreason.logic import Constant, Program

ARROW_TYPES = {"time": pa.timestamp("us", "UTC"), "duration": pa.duration("us")}


def frames_of(program: Program, facts: Any) -> tuple[dict[str, NamedTable], dict[str, NamedTable]]:
    """Tables of observed predicates and attributes, and of evidence.

    Args:
        program: what the statements are about.
        facts: ``atoms``: ``(predicate, arguments, positive, span)``, and ``values``:
            ``(attribute, arguments, value, span)``; times and durations in microseconds.

    Raises:
        DataError: KR503, KR505 or KR525, pointing at the statements.
    """
    findings = BindingFindings()
    predicates = {predicate.name: predicate for predicate in program.predicates}
    attributes = {attribute.name: attribute for attribute in program.attributes}
    rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    spans: dict[str, list[Span | None]] = defaultdict(list)
    for name, arguments, truth, span in (*facts.atoms, *facts.values):
        declared = predicates.get(name) or attributes.get(name)
        if declared is None:
            names = [*predicates, *attributes]
            findings.add(
                "KR503",
                f"the program declares no predicate or attribute `{name}`",
                help=did_you_mean(name, names),
                span=span,
            )
        elif len(arguments) != len(declared.sorts):
            sorts = ", ".join(declared.sorts)
            findings.add(
                "KR505",
                f"`{name}` is given {len(arguments)} arguments, expected {len(declared.sorts)}",
                help=f"its arguments are ({sorts})",
                span=span,
            )
        elif name in predicates and not predicates[name].is_open and not truth:
            findings.add(
                "KR525",
                f"`{name}` is an observed predicate: what is not listed is false already",
                help="leave this line out",
                span=span,
            )
        else:
            rows[name].append((*arguments, truth))
            spans[name].append(span)
    findings.raise_any()
    tables: dict[str, NamedTable] = {}
    evidence: dict[str, NamedTable] = {}
    for name in rows:
        if name in attributes:
            tables[name] = _frame(name, rows[name], spans[name], attributes[name].sort)
        elif predicates[name].is_open:
            evidence[name] = _frame(name, rows[name], spans[name], TRUTH)
        else:
            sort = None if predicates[name].sorts else TRUTH  # a table has at least one column
            tables[name] = _frame(name, rows[name], spans[name], sort)
    return tables, evidence


def _frame(
    name: str, rows: list[tuple[Any, ...]], spans: list[Span | None], value_sort: str | None
) -> NamedTable:
    *arguments, values = zip(*rows, strict=True)
    columns = [pa.array([str(argument) for argument in column]) for column in arguments]
    if value_sort is not None:
        columns.append(_values([_plain(value) for value in values], value_sort))
    names = [f"argument {position + 1}" for position in range(len(arguments))]
    table = pa.table(columns, names=[*names, "value"][: len(columns)])
    return NamedTable(f"`{name}`", table, spans=tuple(spans))


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Constant) else value


def _values(values: list[Any], sort: str) -> pa.Array:
    """Values of one sort; of several kinds they become text, which names the bad ones."""
    if sort in ARROW_TYPES and all(isinstance(value, int) for value in values):
        return pa.array(values, ARROW_TYPES[sort])
    if len({type(value) for value in values}) == 1:
        return pa.array(values)
    return pa.array(
        [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    )
