"""The project file (``knowreason.toml``) read and written.

Logic stays in the rule file. Every unknown key and wrong type is a finding that points into
the file, all of them at once.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import tomli_w
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from knowreason.diagnostics import Diagnostic, Source
from knowreason.errors import ProjectError, did_you_mean, near_file
from knowreason.project.schema import PROJECT, Project
from knowreason.project.toml_places import find_key, syntax_error_span

_KINDS = {
    "bool_type": "true or false",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "float_type": "a number",
    "int_type": "an integer",
    "mapping_type": "a table",
    "path_type": "a string",
    "string_type": "a string",
    "tuple_type": "a list",
}
_BARE_TEXT = re.compile(r"([A-Za-z_./][\w./-]*)[ \t]*(?:#.*)?$", re.MULTILINE)
_MEMBERS = {"bool": "bool_type", "float": "float_type", "int": "int_type", "str": "string_type"}


def load_project(
    path: str | Path, overrides: Mapping[str, str] | None = None, *, text: str | None = None
) -> Project:
    """Read a project file.

    Args:
        path: the file, or a directory that holds ``knowreason.toml``.
        overrides: ``--set a.b=c`` settings: dotted keys to TOML values as text (a value
            that is no TOML literal is taken as a string).
        text: in place of what the file holds: an editor's buffer.

    Raises:
        ProjectError: with every finding (KR901-KR908).
    """
    path = Path(path)
    if path.is_dir():
        path = path / "knowreason.toml"
    if not path.is_file():
        said = f"there is no project file at `{path}`"
        raise ProjectError(said, code="KR901", help=near_file(path))
    if path.suffix == ".kr":
        raise ProjectError(
            f"`{path}` is a rule file, not a project file",
            code="KR901",
            help=f'`knowreason.toml` beside it names it: `program = "{path.name}"`',
        )
    try:
        read = path.read_text(encoding="utf-8") if text is None else text
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"`{path}` cannot be read: {error}", code="KR901") from None
    source = Source(str(path), read)
    try:
        table = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        span, message = syntax_error_span(source, error)
        bare = _BARE_TEXT.match(source.text, span.start)
        help = f'a text stands in quotes: `"{bare[1]}"`' if bare else None
        raise ProjectError(
            diagnostics=[Diagnostic("KR902", message, span=span, help=help)]
        ) from None
    for key, value in (overrides or {}).items():
        _override(table, key, value)
    return _resolved(_checked(source, table), path.parent.resolve())


def project_toml(project: Project) -> str:
    """TOML text that :func:`load_project` reads back, every default filled in.

    Paths are absolute: a run folder may be moved, its tables stay where they were.
    """
    values = PROJECT.dump_python(project, exclude={"directory"}, exclude_none=True)
    return tomli_w.dumps(values | {"program": str(project.program)})


def paths_of(project: Project) -> tuple[Path, ...]:
    """What the project reads: its folder, its rule file, the files of its tables."""
    files = [file for source in project.tables.values() for file in source.files()]
    return (project.directory, project.program, *files)


def _override(table: dict[str, object], key: str, text: str) -> None:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.split(".")
    for parent in parents:
        section = table.setdefault(parent, {})
        if not isinstance(section, dict):
            raise ProjectError(f"`--set {key}`: `{parent}` is not a section", code="KR903")
        table = section
    table[last] = value


def _resolved(project: Project, directory: Path) -> Project:
    """The project with paths that are relative to the file made absolute."""
    program = (directory / project.program).resolve()
    tables = {
        name: table
        if table.path is None
        else replace(table, path=str(directory / os.path.expandvars(table.path)))
        for name, table in project.tables.items()
    }
    name = project.name or program.stem
    return replace(project, program=program, directory=directory, name=name, tables=tables)


def _checked(source: Source, table: dict[str, object]) -> Project:
    findings: list[Diagnostic] = []
    if "directory" in table:
        findings.append(_unknown_key(source, ("directory",)))
    try:
        project = PROJECT.validate_python(
            {key: value for key, value in table.items() if key != "directory"}
        )
        findings += _unknown_tables(source, project)
    except ValidationError as error:
        findings += _findings(source, error)
    if findings:
        raise ProjectError(diagnostics=findings)
    return project


def _findings(source: Source, error: ValidationError) -> Iterator[Diagnostic]:
    """One finding a place; of a value that may be of several kinds pydantic reports each."""
    alternatives: dict[tuple[str | int, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        path = detail["loc"]
        if _MEMBERS.get(str(path[-1])) == detail["type"]:
            path = path[:-1]
        alternatives.setdefault(path, []).append(detail)
    for path, details in alternatives.items():
        yield _finding(source, tuple(key for key in path if isinstance(key, str)), details)


def _finding(source: Source, path: tuple[str, ...], details: list[ErrorDetails]) -> Diagnostic:
    detail, dotted = details[0], ".".join(path)
    kind, given = detail["type"], detail["input"]
    span = find_key(source, path)
    match kind:
        case "unexpected_keyword_argument":
            return _unknown_key(source, path)
        case "missing":
            where = f"[{'.'.join(path[:-1])}]" if path[:-1] else "the project file"
            span = find_key(source, path[:-1])
            return Diagnostic("KR908", f"{where} needs `{path[-1]}`", span=span)
        case "KR904":
            message = f"table `{path[-1]}` needs either `path` or `sql`"
            return Diagnostic("KR904", message, span=span)
        case "KR943":
            message, help = detail["ctx"]["message"], detail["ctx"]["help"]
            return Diagnostic("KR943", message, span=span, help=help)
        case "zone":
            message = f"`{dotted}` must be a time zone, not {_shown(given)}"
            return Diagnostic("KR907", message, span=span, help=detail["ctx"]["help"])
        case "literal_error":
            choices = detail["ctx"]["expected"].replace(" or ", ", ")
            message = f"`{dotted}` must be one of {choices}, not {_shown(given)}"
            help = did_you_mean(str(given), [choice.strip("'") for choice in choices.split(", ")])
            return Diagnostic("KR907", message, span=span, help=help)
        case _:
            kinds = " or ".join(_KINDS.get(each["type"], each["msg"]) for each in details)
            message = f"`{dotted}` must be {kinds}, not {_shown(given)}"
            one = f'"{given}"' if isinstance(given, str) else given
            help = f"write `[{one}]`" if kinds == "a list" and not isinstance(given, dict) else None
            return Diagnostic("KR907", message, span=span, help=help)


def _unknown_key(source: Source, path: tuple[str, ...]) -> Diagnostic:
    *parents, key = path
    section = f"[{'.'.join(parents)}]" if parents else "a project file"
    keys = [entry.name for entry in fields(_section(parents)) if entry.name != "directory"]
    return Diagnostic(
        "KR906",
        f"unknown key `{key}` in {section}",
        span=find_key(source, path),
        help=did_you_mean(key, keys) or f"known keys: {', '.join(keys)}",
    )


def _section(path: list[str]) -> Any:
    """The dataclass that a key path of sections leads to; places in lists are left out."""
    kind: Any = Project
    for key in path:
        kind = get_type_hints(kind)[key] if is_dataclass(kind) else get_args(kind)[-1]
        if get_args(kind)[-1:] in ((...,), (type(None),)):
            kind = get_args(kind)[0]
    return kind


def _unknown_tables(source: Source, project: Project) -> Iterator[Diagnostic]:
    uses = [(("bind", name), binding.table) for name, binding in project.bind.items()]
    uses += [(("domains", name), entry.table) for name, entry in project.domains.items()]
    uses += [(("features", name), entry.table) for name, entry in project.features.items()]
    uses += [(("scores", name), entry.table) for name, entry in project.scores.items()]
    uses += [(("graph", "edges"), edge.table) for edge in project.graph.edges]
    for path, table in uses:
        if table not in project.tables:
            yield Diagnostic(
                "KR905",
                f"`{'.'.join(path)}` uses table `{table}`, which is not in [tables]",
                span=find_key(source, (*path, "table")),
                help=did_you_mean(table, project.tables),
            )


def _shown(given: object) -> str:
    return "a table" if isinstance(given, dict) else f"`{given}`"


def data_hash(project: Project) -> str:
    """SHA-256 over the rule file and the names, sizes and times of the table files."""
    digest = hashlib.sha256(project.program.read_bytes())
    for name, source in project.tables.items():
        digest.update(f"{name}{source.sql}".encode())
        for file in source.files() if source.path is not None else ():
            state = file.stat()
            digest.update(f"{file.name}{state.st_size}{state.st_mtime_ns}".encode())
    return digest.hexdigest()
