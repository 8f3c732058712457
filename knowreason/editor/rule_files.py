"""Rule files as an editor has them: buffers before files, with what imports what, checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from knowreason.diagnostics import Diagnostic, Source
from knowreason.editor.occurrences import Occurrence, Stretch, occurrences, stretches
from knowreason.errors import ProjectError
from knowreason.lang import CheckResult, check
from knowreason.logic import Program
from knowreason.project.binding_faults import name_faults
from knowreason.project.project_file import load_project
from knowreason.project.schema import Project
from knowreason.project.toml_places import words

PROJECT_FILE = "knowreason.toml"
_IMPORT = re.compile(r'^import\s*"([^"\n]*)"', re.MULTILINE)


@dataclass(frozen=True)
class Checked:
    """What is wrong with a rule file or a project, all its files together.

    Attributes:
        findings: errors, warnings and hints of the rules, then of the project file.
        files: what was read, the project file too.
        program: what of the rules has no error.
        whole: whether all of them have none.
    """

    findings: tuple[Diagnostic, ...]
    files: tuple[Path, ...]
    program: Program
    whole: bool


@dataclass
class RuleFiles:
    """The files of an editor.

    Attributes:
        buffers: texts that are open, by resolved path; they stand in place of files.
    """

    buffers: dict[Path, str] = field(default_factory=dict)
    _checked: dict[Path, tuple[tuple[Source, ...], Checked]] = field(default_factory=dict)

    def source(self, path: Path) -> Source:
        """The text of a file; empty where there is none."""
        text = self.buffers.get(path)
        if text is None:
            try:
                text = path.read_text(encoding="utf-8-sig")
            except (OSError, ValueError):
                text = ""
        return Source(str(path), text)

    def imported(self, path: Path) -> list[Path]:
        """A file and what it imports, directly or not."""
        found = [path]
        for file in found:
            names = _IMPORT.findall(self.source(file).text)
            found += [p for n in names if (p := (file.parent / n).resolve()) not in found]
        return found

    def family(self, path: Path) -> list[Path]:
        """The files that share names with one: imports, and files of its folder that import them.

        A name that is replaced in all of them means the same as before in each.
        """
        beside = {*path.parent.glob("*.kr"), *(b for b in self.buffers if b.suffix == ".kr")}
        groups = [self.imported(one) for one in sorted({path, *beside})]
        found = {path}
        while more := {f for g in groups if found & {*g} for f in g} - found:
            found |= more
        return sorted(found)

    def names(self, path: Path) -> list[Occurrence]:
        """Every name in the family of a file; a parameter is no variable, a text no name."""
        every = [o for file in self.family(path) for o in occurrences(self.source(file))]
        symbols = {o.name for o in every if o.what == "symbol" and o.declares}
        found = []
        for one in every:
            if one.what == "variable" and one.name in symbols and self._is_param(one, every):
                one = replace(one, what="symbol", owner="")
            text = one.span.source.text
            quoted = one.what == "symbol" and text[one.span.start - 1] == '"'
            if not quoted or one.name in symbols:
                found.append(one)
        return found

    def _is_param(self, variable: Occurrence, every: list[Occurrence]) -> bool:
        declared = [o for o in every if o.declares and o.key == ("symbol", "", variable.name)]
        return any(stretch_at(o.span.source, o.span.start)[0] == "param" for o in declared)

    def project_file(self, path: Path) -> Path | None:
        """The project file in or above the folder of a rule file whose rules it is part of."""
        for folder in path.parents:
            file = folder / PROJECT_FILE
            if file in self.buffers or file.is_file():
                program = self._program_of(file)
                return file if program and path in self.imported(program) else None
        return None

    def root(self, path: Path) -> Path:
        """What is checked when a file changes: its project file, or itself."""
        return path if path.suffix == ".toml" else self.project_file(path) or path

    def check(self, path: Path) -> Checked:
        """Everything that is wrong with a rule file or, of a project file, with its project."""
        is_project = path.suffix == ".toml"
        program = self._program_of(path) if is_project else path
        rules = self.imported(program) if program else []
        files = (*rules, *[path] * is_project)
        state = tuple(self.source(file) for file in files)
        if path not in self._checked or self._checked[path][0] != state:
            self._checked[path] = state, self._check(path if is_project else None, program, files)
        return self._checked[path][1]

    def project(self, path: Path) -> Project | None:
        """The project of a project file, ``None`` where something is wrong with it."""
        try:
            return load_project(path, text=self.source(path).text)
        except ProjectError:
            return None

    def _check(self, file: Path | None, program: Path | None, files: tuple[Path, ...]) -> Checked:
        found: list[Diagnostic] = []
        project = None
        if file is not None:
            try:
                project = load_project(file, text=self.source(file).text)
            except ProjectError as error:
                found += error.diagnostics
        rules = CheckResult(Program(), ())
        if program is not None:
            rules = check(
                program,
                parameters=project.params if project else {},
                used=words(self.source(file).text) if file else (),
                zone=project.time.zone if project else "UTC",
                texts=self.buffers,
            )
        if project and file and rules.program:
            source = self.source(file)
            found += [fault.diagnostic(source) for fault in name_faults(project, rules.program)]
        return Checked((*rules.diagnostics, *found), files, rules.partial, rules.ok)

    def _program_of(self, project: Path) -> Path | None:
        try:
            program = tomllib.loads(self.source(project).text).get("program")
        except tomllib.TOMLDecodeError:
            return None
        return (project.parent / program).resolve() if isinstance(program, str) else None


def stretch_at(source: Source, offset: int) -> tuple[str, Stretch | None]:
    """The statement at a place, and the word it begins with."""
    for stretch in stretches(source):
        if stretch.start <= offset < max(stretch.end, stretch.start + 1) or (
            offset == stretch.end == len(source.text)
        ):
            return stretch.tokens[0].value, stretch
    return "", None


def at(names: list[Occurrence], source: Source, offset: int) -> Occurrence | None:
    """The name at a place, or that ends there."""
    here = [o for o in names if o.span.source == source and o.span.start <= offset <= o.span.end]
    return here[-1] if here else None


def same(names: list[Occurrence], wanted: Occurrence) -> Iterator[Occurrence]:
    """All occurrences of one thing.

    A parameter of a definition is a variable there, and names the argument in calls elsewhere.
    """
    keys = {wanted.key}
    for one in names:
        if one.what == "variable" and one.call and _heads(one):
            argument = ("argument", one.call[0], one.name)
            if keys & {one.key, argument}:
                keys |= {one.key, argument}
    return (one for one in names if one.key in keys)


def _heads(variable: Occurrence) -> bool:
    """Whether a variable stands in the head of a definition."""
    word, stretch = stretch_at(variable.span.source, variable.span.start)
    if word != "define" or stretch is None:
        return False
    assign = next((t.start_pos for t in stretch.tokens if t.type == "ASSIGN"), stretch.end)
    return variable.span.start < assign
