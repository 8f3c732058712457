"""A project file's program and data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from knowreason.data import Dataset, EdgeList, FeatureSource
from knowreason.data.binding.column_reading import ColumnReading, holds_any
from knowreason.data.binding.data_findings import NamedTable
from knowreason.data.binding.id_coverage import of_a_part
from knowreason.data.binding.table_files import TableSource, load_tables
from knowreason.lang import load
from knowreason.logic import Program
from knowreason.project.binding_faults import column_faults, name_faults, raise_faults
from knowreason.project.partition import Parts, duration, label_delay, parts_of
from knowreason.project.plugins import load_plugins
from knowreason.project.schema import EdgeBinding, Project, TableBinding


def load_parts(project: Project, directory: Path | None = None) -> Parts:
    """Program and data of a project, split; its plugins are loaded."""
    load_plugins(project)
    program = load_program(project)
    return parts_of(project, program, load_data(project, program, directory))


def load_program(project: Project) -> Program:
    """The rule file with the project's parameters.

    Raises:
        ProgramError: every finding in the rule file or a parameter literal.
    """
    return load(project.program, parameters=project.params, zone=project.time.zone)


def load_data(project: Project, program: Program, directory: Path | None = None) -> Dataset:
    """The tables of a project, read and bound; its ``[engine]`` joins them.

    Args:
        project: where tables are and what they fill.
        program: what they are bound to.
        directory: look for the files of the tables here, under the same names, instead of
            where the project says (tomorrow's data); tables and columns that hold only
            labels may be missing there.

    Raises:
        ProjectError: KR909 for a binding of something the program does not declare, KR913 for a
            column that is not there, and what else does not fit (KR505, KR906, KR908).
        DataError: for a table that does not fit.
    """
    raise_faults(name_faults(project, program))
    sources = project.tables if directory is None else moved_tables(project, directory)
    tables = load_tables(
        sources,
        memory_limit=project.memory_limit,
        zone=project.time.zone,
        optional=() if directory is None else label_tables(project, program),
        texts=text_columns(project),
    )
    if directory is None:
        return bound(project, program, tables)
    with of_a_part("facts"):
        return bound(with_known_labels(project, program, tables), program, tables)


def bound(project: Project, program: Program, tables: Mapping[str, pa.Table]) -> Dataset:
    """The data set of tables that are read already.

    Args:
        project: what they fill.
        program: what they are bound to.
        tables: by name.

    Raises:
        ProjectError: KR913 for a column that is not there.
        DataError: for a table that does not fit.
    """
    raise_faults(column_faults(project, {n: table.column_names for n, table in tables.items()}))
    data = Dataset.from_frames(
        program,
        things={n: _pick(tables, d.table, (d.key,)) for n, d in project.domains.items()},
        closed=tuple(project.domains),
        facts=_facts(project, program, tables),
        labels=_truths(project, program, tables, "label"),
        evidence=_truths(project, program, tables, "evidence"),
        label_weights=_weights(project, tables),
        features={
            domain: FeatureSource(
                _pick(tables, f.table, (f.key, *f.columns)),
                key=f.key,
                columns=f.columns,
                categorical=f.categorical,
            )
            for domain, f in project.features.items()
        },
        scores={
            predicate: _pick(tables, s.table, (*s.key, *s.columns))
            for predicate, s in project.scores.items()
        },
        graph=[_edges(tables, edge) for edge in project.graph.edges],
        label_delay=label_delay(project),
        label_refresh=duration(project.time.label_refresh, "label_refresh"),
    )
    return replace(data, engine=project.engine)


def text_columns(project: Project) -> dict[str, set[str]]:
    """By table, columns of which the project says itself how they are read: as words or times."""
    columns: dict[str, set[str]] = {}
    for binding in project.bind.values():
        if binding.reading != ColumnReading():
            named = {binding.value, binding.label, binding.evidence} - {None}
            columns.setdefault(binding.table, set()).update(map(str, named))
    for edge in project.graph.edges:
        if edge.format and edge.time is not None:
            columns.setdefault(edge.table, set()).add(edge.time)
    return columns


def _pick(
    tables: Mapping[str, pa.Table],
    name: str,
    columns: tuple[str, ...],
    reading: ColumnReading | None = None,
) -> NamedTable:
    """Some columns of a table, and how the last of them is read."""
    table = tables[name]
    picked = pa.table([table.column(column) for column in columns], names=_distinct(columns))
    return NamedTable("", picked, f"table `{name}`", reading=reading or ColumnReading())


def _distinct(columns: tuple[str, ...]) -> list[str]:
    """Column names without repeats: one table column may fill two argument places."""
    return [
        column if columns.index(column) == position else f"{column}_{position}"
        for position, column in enumerate(columns)
    ]


def _facts(
    project: Project, program: Program, tables: Mapping[str, pa.Table]
) -> dict[str, NamedTable]:
    attributes = {attribute.name for attribute in program.given_attributes}
    facts = {}
    for name, binding in project.bind.items():
        if program.is_number(name):
            continue
        if name in attributes or (not program.is_open(name) and not program.sorts_of(name)):
            assert binding.value is not None  # a fault of the project otherwise
            columns = (*binding.columns, binding.value)
            facts[name] = _pick(tables, binding.table, columns, binding.reading)
        elif not program.is_open(name):
            facts[name] = _pick(tables, binding.table, binding.columns)
    return facts


def _truths(
    project: Project, program: Program, tables: Mapping[str, pa.Table], which: str
) -> dict[str, NamedTable]:
    truths = {}
    for name, binding in project.bind.items():
        column = getattr(binding, which)
        functional = _is_functional(program, name)
        if column is not None:
            picked = _pick(tables, binding.table, (*binding.columns, column), binding.reading)
            truths[name] = _known(picked, binding)
        elif which == "label" and functional and binding.evidence is None:
            truths[name] = _known(_pick(tables, binding.table, binding.columns), binding)
    return truths


def _weights(project: Project, tables: Mapping[str, pa.Table]) -> dict[str, NamedTable]:
    """Sampling weights of the labels that are known."""
    weights = {}
    for name, binding in project.bind.items():
        if binding.weight is None:
            continue
        truth = () if binding.label is None else (binding.label,)
        known = _known(
            _pick(tables, binding.table, (*binding.columns, binding.weight, *truth)), binding
        )
        columns = known.table.select(range(len(binding.columns) + 1))
        weights[name] = replace(known, table=columns)
    return weights


def _is_functional(program: Program, name: str) -> bool:
    return any(
        predicate.name == name and predicate.functional_position is not None
        for predicate in program.open_predicates
    )


def _known(frame: NamedTable, binding: TableBinding) -> NamedTable:
    """Rows whose last column is neither null nor one of the values for "unknown"."""
    last = frame.table.column(frame.table.num_columns - 1)
    keep = pc.is_valid(last)
    if binding.unknown:
        keep = pc.and_(keep, pc.invert(holds_any(last, binding.unknown)))
    if pc.all(keep).as_py() is not False:
        return frame
    rows = np.flatnonzero(np.asarray(keep))
    return replace(frame, table=frame.table.take(pa.array(rows)), rows=rows)


def _edges(tables: Mapping[str, pa.Table], edge: EdgeBinding) -> EdgeList:
    named = (edge.source, edge.target, edge.key, edge.time, *edge.features)
    columns = tuple(dict.fromkeys(name.partition(":")[0] for name in named if name))
    return EdgeList(
        _pick(tables, edge.table, columns, ColumnReading(format=edge.format)),
        source=edge.source,
        target=edge.target,
        key=edge.key,
        time=edge.time,
        features=edge.features,
        categorical=edge.categorical,
    )


def label_tables(project: Project, program: Program) -> set[str]:
    """Tables that nothing but labels is read from."""
    used = {binding.table for binding in project.bind.values() if binding.evidence is not None}
    used |= {b.table for name, b in project.bind.items() if not _is_asked(program, name)}
    used |= {entry.table for entry in project.domains.values()}
    used |= {entry.table for entry in project.features.values()}
    used |= {entry.table for entry in project.scores.values()}
    used |= {edge.table for edge in project.graph.edges}
    queries = " ".join(source.sql or "" for source in project.tables.values())
    words = set(re.findall(r"\w+", queries))
    return {b.table for b in project.bind.values()} - used - words


def with_known_labels(
    project: Project, program: Program, tables: Mapping[str, pa.Table]
) -> Project:
    """The project without bindings of labels that are not in today's tables."""

    def known(name: str, binding: TableBinding) -> bool:
        if not _is_asked(program, name) or binding.evidence is not None:
            return True
        columns = tables[binding.table].column_names if binding.table in tables else ()
        named = (*binding.columns, binding.label, binding.weight)
        return all(c in columns for c in named if c is not None)

    return replace(project, bind={n: b for n, b in project.bind.items() if known(n, b)})


def _is_asked(program: Program, name: str) -> bool:
    is_open = any(predicate.name == name for predicate in program.open_predicates)
    return is_open or program.is_number(name)


def moved_tables(project: Project, directory: Path) -> dict[str, TableSource]:
    """Tables by name, their files looked for in ``directory`` under the same names."""
    return {
        name: source
        if source.path is None
        else replace(source, path=str(directory / Path(source.path).name))
        for name, source in project.tables.items()
    }
