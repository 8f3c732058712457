"""Everything that is wrong with a project, at once: its file, rules, tables, columns and ids."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from warnings import catch_warnings, simplefilter

import pyarrow as pa

from knowreason.data.binding.id_coverage import IdCoverage
from knowreason.data.binding.table_files import readable_tables
from knowreason.diagnostics import Diagnostic, Source, Span
from knowreason.errors import DataWarning, KnowreasonError, ProjectError
from knowreason.lang import CheckResult, check
from knowreason.logic import Program
from knowreason.metrics import metric
from knowreason.project.binding_faults import Fault, column_faults, name_faults
from knowreason.project.partition import parts_of
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import bound, text_columns
from knowreason.project.schema import Project
from knowreason.project.toml_places import find_key, words

E = TypeVar("E")
OF_ALL_TABLES = ("KR517", "KR518", "KR529", "KR530")  # hold only where every table is bound


@dataclass(frozen=True)
class ProjectCheck:
    """What :func:`check_project` found.

    Attributes:
        diagnostics: errors, warnings and hints: project file, rules, tables, ids.
        coverage: what of each table's ids other tables know; empty where something is not bound.
        files: rule files that were read.
    """

    diagnostics: tuple[Diagnostic, ...]
    coverage: tuple[IdCoverage, ...] = ()
    files: tuple[Path, ...] = ()


def check_project(path: Path, *, rows: bool = True) -> ProjectCheck:
    """Everything that is wrong with a project.

    Args:
        path: the project file.
        rows: whether tables are read: what SQL meets on its way, values and ids. Else only files,
            SQL and columns are looked at.

    Raises:
        ProjectError: KR901 for a file that cannot be read.
    """
    try:
        project = load_project(path)
    except ProjectError as error:
        if error.code == "KR901":
            raise
        return _without_project(path, error)
    source = Source(str(path), path.read_text(encoding="utf-8"))
    rules = check(
        project.program,
        parameters=project.params,
        used=words(source.text),
        zone=project.time.zone,
    )
    tables, failed = readable_tables(
        project.tables,
        rows=rows,
        memory_limit=project.memory_limit,
        texts=text_columns(project),
        zone=project.time.zone,
    )
    program = find_key(source, ("program",))
    found = [
        d if d.code != "KR111" or d.span else replace(d, span=program) for d in rules.diagnostics
    ]
    for name, why in failed.items():
        place = find_key(source, ("tables", name, "sql" if project.tables[name].sql else "path"))
        found += [] if why is None else [replace(d, span=place) for d in why.diagnostics]
    faults = list(column_faults(project, {n: table.column_names for n, table in tables.items()}))
    faults += [] if rules.program is None else name_faults(project, rules.program)
    found += [fault.diagnostic(source) for fault in faults]
    found += _unknown_metrics(project, find_key(source, ("report", "metrics")))
    coverage: tuple[IdCoverage, ...] = ()
    if rows and rules.program is not None:
        sound = _sound(project, faults, tables)
        whole = not failed and not faults
        said, coverage = _bound(sound, rules.program, tables, whole)
        split = find_key(source, ("split", "train"))
        found += [replace(d, span=split) if d.message.startswith("[split]") else d for d in said]
    return ProjectCheck(tuple(found), coverage, _files(rules))


def _unknown_metrics(project: Project, place: Span | None) -> list[Diagnostic]:
    """Metrics that are not registered; nothing where plugins, which are not imported, may do so."""
    found: list[Diagnostic] = []
    for name in () if project.plugins else project.report.metrics:
        try:
            metric(name)
        except KnowreasonError as error:
            found += [replace(d, span=place) for d in error.diagnostics]
    return found


def _without_project(path: Path, error: ProjectError) -> ProjectCheck:
    """What is wrong with a project file, and with its rules where it says which they are."""
    text = path.read_text(encoding="utf-8")
    try:
        program = path.parent / str(tomllib.loads(text).get("program", ""))
    except ValueError:
        return ProjectCheck(error.diagnostics)
    if not program.is_file():
        return ProjectCheck(error.diagnostics)
    rules = check(program, used=words(text))
    return ProjectCheck((*error.diagnostics, *rules.diagnostics), files=_files(rules))


def _files(rules: CheckResult) -> tuple[Path, ...]:
    return tuple(Path(read.name).resolve() for read in rules.sources)


def _bound(
    project: Project, program: Program, tables: Mapping[str, pa.Table], whole: bool
) -> tuple[list[Diagnostic], tuple[IdCoverage, ...]]:
    """What is said when tables are bound and divided into parts, and what of their ids matched.

    Where not all is bound, nothing is said that only all tables together show.
    """
    found: list[Diagnostic] = []
    coverage: tuple[IdCoverage, ...] = ()
    try:
        with catch_warnings():
            simplefilter("ignore", DataWarning)
            data = bound(project, program, tables)
            found += data.warnings
            coverage = data.coverage if whole else ()
            if whole:
                parts_of(project, program, data)
    except KnowreasonError as error:
        found += error.diagnostics
    return [d for d in found if whole or d.code not in OF_ALL_TABLES], coverage


def _sound(project: Project, faults: Sequence[Fault], tables: Mapping[str, pa.Table]) -> Project:
    """The project without what is at fault, and what reads a table that is not there."""
    bad = {fault.path[:2] for fault in faults}

    def kept(section: str, entries: Mapping[str, E]) -> dict[str, E]:
        return {
            name: entry
            for name, entry in entries.items()
            if (section, name) not in bad and getattr(entry, "table", None) in tables
        }

    edges = tuple(edge for edge in project.graph.edges if edge.table in tables)
    return replace(
        project,
        bind=kept("bind", project.bind),
        domains=kept("domains", project.domains),
        features=kept("features", project.features),
        scores=kept("scores", project.scores),
        graph=replace(project.graph, edges=() if ("graph", "edges") in bad else edges),
    )
