"""A project file's program and data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from knowreason.data import Dataset, EdgeList, FeatureSource
from knowreason.data.binding.table_files import TableSource, load_tables
from knowreason.errors import ProjectError, did_you_mean
from knowreason.lang import load
from knowreason.logic import Program
from knowreason.logic.thing_fields import possible_fields
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
    return load(project.program, parameters=project.params)


def load_data(project: Project, program: Program, directory: Path | None = None) -> Dataset:
    """The tables of a project, read and bound; its ``[engine]`` joins them.

    Args:
        project: where tables are and what they fill.
        program: what they are bound to.
        directory: look for the files of the tables here, under the same names, instead of
            where the project says (tomorrow's data); tables and columns that hold only
            labels may be missing there.

    Raises:
        ProjectError: KR909 for a binding of something the program does not declare.
        DataError: for a table that does not fit.
    """
    check_names(project, program)
    sources = project.tables if directory is None else moved_tables(project, directory)
    tables = load_tables(
        sources,
        memory_limit=project.memory_limit,
        optional=() if directory is None else label_tables(project, program),
    )
    return bound(project, program, tables, today=directory is not None)


def bound(
    project: Project, program: Program, tables: Mapping[str, pa.Table], *, today: bool = False
) -> Dataset:
    """The data set of tables that are read already.

    Args:
        project: what they fill.
        program: what they are bound to.
        tables: by name.
        today: labels may be missing.
    """
    labelled = with_known_labels(project, program, tables) if today else project
    data = Dataset.from_frames(
        program,
        facts=_facts(project, program, tables),
        labels=_truths(labelled, program, tables, "label"),
        evidence=_truths(project, program, tables, "evidence"),
        label_weights=_weights(labelled, tables),
        features={
            domain: FeatureSource(
                pick(tables, f.table, (f.key, *f.columns)),
                key=f.key,
                columns=f.columns,
                categorical=f.categorical,
            )
            for domain, f in project.features.items()
        },
        scores={
            predicate: pick(tables, s.table, (*s.key, *s.columns))
            for predicate, s in project.scores.items()
        },
        graph=[_edges(tables, edge) for edge in project.graph.edges],
        label_delay=label_delay(project),
        label_refresh=duration(project.time.label_refresh, "label_refresh"),
    )
    return replace(data, engine=project.engine)


def pick(tables: Mapping[str, pa.Table], name: str, columns: tuple[str, ...]) -> pa.Table:
    """Some columns of a table.

    Raises:
        ProjectError: KR913 naming the table and the column.
    """
    table = tables[name]
    for column in columns:
        if column not in table.column_names:
            raise ProjectError(
                f"table `{name}` has no column `{column}`",
                code="KR913",
                help=did_you_mean(column, table.column_names)
                or f"its columns: {', '.join(table.column_names)}",
            )
    return pa.table([table.column(column) for column in columns], names=_distinct(columns))


def _distinct(columns: tuple[str, ...]) -> list[str]:
    """Column names without repeats: one table column may fill two argument places."""
    return [
        column if columns.index(column) == position else f"{column}_{position}"
        for position, column in enumerate(columns)
    ]


def _facts(
    project: Project, program: Program, tables: Mapping[str, pa.Table]
) -> dict[str, pa.Table]:
    attributes = {attribute.name for attribute in program.given_attributes}
    facts = {}
    for name, binding in project.bind.items():
        if program.is_number(name):
            if binding.label is None or binding.value is not None:
                raise ProjectError(
                    f"[bind] `{name}` is a numeric query: `label` names the column of its numbers",
                    code="KR908",
                )
        elif name in attributes or (not program.is_open(name) and not program.sorts_of(name)):
            if binding.value is None:
                raise ProjectError(f"[bind] `{name}` needs `value`: a column", code="KR908")
            facts[name] = pick(tables, binding.table, (*binding.columns, binding.value))
        elif not program.is_open(name):
            facts[name] = pick(tables, binding.table, binding.columns)
    return facts


def _truths(
    project: Project, program: Program, tables: Mapping[str, pa.Table], which: str
) -> dict[str, pa.Table]:
    truths = {}
    for name, binding in project.bind.items():
        column = getattr(binding, which)
        functional = _is_functional(program, name)
        if column is not None:
            truths[name] = _known(pick(tables, binding.table, (*binding.columns, column)), binding)
        elif which == "label" and functional and binding.evidence is None:
            truths[name] = _known(pick(tables, binding.table, binding.columns), binding)
    return truths


def _weights(project: Project, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Sampling weights of the labels that are known."""
    weights = {}
    for name, binding in project.bind.items():
        if binding.weight is None:
            continue
        truth = () if binding.label is None else (binding.label,)
        known = _known(
            pick(tables, binding.table, (*binding.columns, binding.weight, *truth)), binding
        )
        weights[name] = known.select(range(len(binding.columns) + 1))
    return weights


def _is_functional(program: Program, name: str) -> bool:
    return any(
        predicate.name == name and predicate.functional_position is not None
        for predicate in program.open_predicates
    )


def _known(table: pa.Table, binding: TableBinding) -> pa.Table:
    """Rows whose last column is neither null nor one of the values for "unknown"."""
    last = table.column(table.num_columns - 1)
    keep = pc.is_valid(last)
    if binding.unknown:
        values = pa.array(binding.unknown).cast(last.type)
        keep = pc.and_(keep, pc.invert(pc.is_in(last, value_set=values)))
    return table.filter(keep)


def _edges(tables: Mapping[str, pa.Table], edge: EdgeBinding) -> EdgeList:
    named = (edge.source, edge.target, edge.key, edge.time, *edge.features)
    columns = tuple(dict.fromkeys(name.partition(":")[0] for name in named if name))
    return EdgeList(
        pick(tables, edge.table, columns),
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


def _by_predicate(project: Project) -> Mapping[str, object]:
    """The table of prevalences, empty where it is one number or word."""
    prevalence = project.labels.prevalence
    return prevalence if isinstance(prevalence, Mapping) else {}


def check_names(project: Project, program: Program) -> None:
    """Raise KR909 for a binding of something the program does not declare."""
    predicates = {predicate.name for predicate in program.predicates}
    attributes = {attribute.name for attribute in program.attributes}
    domains = {domain.name for domain in program.domains}
    places: list[tuple[str, Mapping[str, object], set[str]]] = [
        ("bind", project.bind, predicates | attributes),
        ("features", project.features, domains),
        ("scores", project.scores, predicates),
        ("models", project.models, {model.name for model in program.models}),
        ("split", {project.split.by: 0} if project.split.by else {}, attributes),
        ("labels.prevalence", _by_predicate(project), predicates),
        ("report", {project.report.by: 0} if project.report.by else {}, attributes),
        ("show", project.show, domains),
    ]
    for domain, shown in project.show.items():
        columns = project.features[domain].columns if domain in project.features else ()
        fields = set(possible_fields(program, columns, domain))
        places.append((f"show.{domain}", dict.fromkeys(shown), fields or {"nothing"}))
    for section, entries, declared in places:
        for name in entries:
            if name not in declared:
                raise ProjectError(
                    f"[{section}] names `{name}`, which `{project.program.name}` does not declare",
                    code="KR909",
                    help=did_you_mean(name, declared),
                )
