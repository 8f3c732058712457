"""``knowreason check``: everything that is wrong with rule files and projects."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowreason.cli.screen import progress_bar, say, show_findings, write, write_table
from knowreason.diagnostics import Diagnostic

if TYPE_CHECKING:
    from knowreason.data.binding.id_coverage import IdCoverage

PROJECT_FILE = "knowreason.toml"


class Format(StrEnum):
    """How findings are written."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


def check(
    files: Annotated[
        list[Path],
        typer.Argument(help="Rule files, project files, folders with any of them; - for stdin."),
    ],
    rows: Annotated[
        bool, typer.Option("--rows/--no-rows", help="Whether tables of projects are read.")
    ] = True,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with a project's tables: tests what rules `expect` on them."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="With --data: a run that tells unknown atoms in bodies.")
    ] = None,
    format: Annotated[
        Format,
        typer.Option(help="text (stderr), json, sarif or annotations of github (stdout)."),
    ] = Format.text,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    strict: Annotated[bool, typer.Option(help="Warnings fail the check too.")] = False,
) -> None:
    """Check rules and projects: syntax, names, logic; tables, SQL, columns, values and ids.

    All findings in one pass. Of a project it also tells which ids of each table other tables know.
    With --data it tests what stands behind `expect` in its rules.
    Exit codes: 0 nothing wrong, 1 findings, 2 a file that cannot be read.
    """
    from knowreason.errors import ProjectError
    from knowreason.lang.diagnostic_rendering import render_github, render_json, render_sarif

    if run is not None and data is None:
        raise ProjectError(
            "`--run` tells what rules `expect`", code="KR915", help="name --data too"
        )
    findings: list[Diagnostic] = []
    tables: list[tuple[Path, Sequence[IdCoverage]]] = []
    checked = 0
    tested = 0
    read: set[Path] = set()  # rule files of projects
    for file in (one for path in files for one in _files(path)):
        if file.suffix == ".toml":
            from knowreason.progress import step
            from knowreason.project.project_check import check_project

            with progress_bar(brief=True) as progress, step(progress, f"reading for {file}"):
                project = check_project(file, rows=rows)
            findings += project.diagnostics
            read.update(project.files)
            tables.append((file, project.coverage))
            if data is not None and all(one.severity != "error" for one in project.diagnostics):
                found, count = _tested(file, data, run)
                findings += found
                tested += count
        elif file.resolve() in read:
            continue
        else:
            findings += _of_rules(file)
        checked += 1
    if data is not None and not tables:
        message = "`--data` tests the rules of a project, and no project is among the files"
        raise ProjectError(message, code="KR915", help="name the project's folder")
    written = Format.json if json else format
    if written is Format.text:
        show_findings(findings)
        for file, coverage in tables:
            _show_coverage(file, coverage)
        if data is not None:
            say(f"{tested} expectation{'s' * (tested != 1)} tested on `{data}`")
        say(_summary(findings, checked + len(read)))
    elif written is Format.github:
        write(render_github(findings))
        say(_summary(findings, checked + len(read)))
    else:
        write(render_json(findings) if written is Format.json else render_sarif(findings))
    failing = {"error", "warning"} if strict else {"error"}
    if any(diagnostic.severity in failing for diagnostic in findings):
        raise typer.Exit(1)


def _tested(file: Path, data: Path, run: Path | None) -> tuple[list[Diagnostic], int]:
    with progress_bar(brief=True) as progress:  # which shows while libraries are imported, too
        from knowreason.lifecycle.rule_expectations import expectation_findings
        from knowreason.progress import step

        with step(progress, f"testing the rules of {file}"):
            return expectation_findings(file, data, run)


def _files(path: Path) -> Iterator[Path]:
    """What there is to check: project files first, so that their rule files are known.

    Raises:
        ProjectError: KR915 where there is nothing.
    """
    from knowreason.errors import ProjectError

    if path.is_dir():
        found = [*path.rglob(PROJECT_FILE), *path.rglob("*.kr")]
        inside = [file for file in found if not _is_stored(path, file.parent)]
        if not inside:
            message = f"neither project file nor rule file is in `{path}`"
            raise ProjectError(message, code="KR915")
        yield from sorted(inside, key=lambda file: (file.suffix != ".toml", file))
    elif path.is_file() or str(path) == "-":
        yield path
    else:
        raise ProjectError(f"there is no file `{path}`", code="KR915")


def _is_stored(top: Path, folder: Path) -> bool:
    """Whether a folder below ``top`` is hidden, or is or lies in one that knowreason wrote."""
    from knowreason.project.manifests import has_manifest

    inside = folder.relative_to(top)
    above = [top / parent for parent in (inside, *inside.parents) if parent.parts]
    return any(part.startswith(".") for part in inside.parts) or any(map(has_manifest, above))


def _of_rules(file: Path) -> Sequence[Diagnostic]:
    """Findings of a rule file, or of text from stdin."""
    from knowreason.lang import check as check_rules

    if str(file) == "-":
        return check_rules(text=sys.stdin.read(), name="<stdin>").diagnostics
    used: set[str] = set()
    if (file.parent / PROJECT_FILE).is_file():
        from knowreason.project.toml_places import names_used_beside

        used = names_used_beside(file)
    return check_rules(file, used=used).diagnostics


def _show_coverage(file: Path, coverage: Sequence[IdCoverage]) -> None:
    """Which ids of each table other tables know, on stdout."""
    rows = [
        (
            row.table,
            row.domain,
            row.ids,
            row.matched,
            row.new,
            row.missing,
            _examples(row.new_examples, row.new),
            _examples(row.missing_examples, row.missing)
            if row.matched or row.missing
            else "(no other table)",
        )
        for row in coverage
    ]
    columns = ("table", "domain", "ids", "matched", "new", "missing", "only here", "only in others")
    if rows:
        write_table(columns, rows, title=f"ids of {file}")


def _examples(names: Sequence[str], count: int) -> str:
    shown = ", ".join(names)
    return f"{shown} ..." if count > len(names) else shown


def _summary(findings: list[Diagnostic], files: int) -> str:
    from knowreason.lang.diagnostic_rendering import summary

    where = f"{files} file{'s' * (files != 1)}"
    return f"{where}: {summary(findings) or 'nothing to report'}"
