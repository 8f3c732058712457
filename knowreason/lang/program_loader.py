"""Reading rule files: imports, parameters, and everything that is wrong at once."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from knowreason import logic as lg
from knowreason.diagnostics import Diagnostic, Source
from knowreason.errors import ProgramError, did_you_mean, near_file
from knowreason.lang.check.elaboration import elaborate, elaborate_formula
from knowreason.lang.check.symbols import names_of
from knowreason.lang.ground_atoms import Facts, elaborate_facts
from knowreason.lang.lint.binder_reach import read_otherwise
from knowreason.lang.lint.program_lint import impossible, lint
from knowreason.lang.syntax import nodes as sx
from knowreason.lang.syntax.literal_values import parse_duration
from knowreason.lang.syntax.node_builders import SyntaxFault
from knowreason.lang.syntax.parser import parse_fact_file, parse_formula_text, parse_program
from knowreason.logic.time_zones import UTC_ZONE, check_zone

ParameterValue = bool | int | float | str | timedelta


P = ParamSpec("P")
T = TypeVar("T")


def _without_collection(function: Callable[P, T]) -> Callable[P, T]:
    """Pause the cyclic garbage collector: reading makes many objects and no cycles.

    It halves the time of a file of ten thousand rules.
    """

    @wraps(function)
    def paused(*args: P.args, **kwargs: P.kwargs) -> T:
        collecting = gc.isenabled()
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            if collecting:
                gc.enable()

    return paused


@dataclass(frozen=True)
class CheckResult:
    """Findings of :func:`check`, and the program where none is an error.

    Attributes:
        program: ``None`` when there is an error.
        diagnostics: errors, warnings and hints, sorted by place.
        sources: the texts that were read, the first one first.
        partial: the statements that have no error; the program where no statement has one.

    >>> check(text="domain Person").ok
    True
    """

    program: lg.Program | None
    diagnostics: tuple[Diagnostic, ...]
    sources: tuple[Source, ...] = ()
    partial: lg.Program = field(default_factory=lg.Program)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return self.program is not None


@_without_collection
def load(
    path: str | os.PathLike[str],
    *,
    parameters: Mapping[str, ParameterValue] | None = None,
    zone: str = UTC_ZONE,
) -> lg.Program:
    """The program of a rule file and of what it imports.

    Args:
        path: the file.
        parameters: values that replace those of ``param`` statements; text is read as the
            file would have it (``"2h"``).
        zone: time zone of the calendar, and of times that name none; an IANA name.

    Raises:
        ProgramError: with every error there is.

    >>> from knowreason.resources import rulesets_path
    >>> [rule.name for rule in load(rulesets_path() / "smokers.kr").rules]
    ['peers', 'harm']
    """
    statements, findings, broken, _ = _read(Path(path))
    return _finish(statements, findings, broken, parameters or {}, zone)


@_without_collection
def loads(
    text: str,
    name: str = "<string>",
    *,
    parameters: Mapping[str, ParameterValue] | None = None,
    zone: str = UTC_ZONE,
) -> lg.Program:
    """The program of a text; imports are relative to the folder of ``name``.

    Raises:
        ProgramError: with every error there is.

    Example:
        >>> program = loads('''
        ... domain Person
        ... query Smokes(Person)
        ... rule seldom [-1] : Smokes(x)
        ... ''')
        >>> [rule.name for rule in program.rules]
        ['seldom']
    """
    statements, findings, broken, _ = _read_text(text, name)
    return _finish(statements, findings, broken, parameters or {}, zone)


@_without_collection
def check(
    path: str | os.PathLike[str] | None = None,
    *,
    text: str | None = None,
    name: str = "<string>",
    parameters: Mapping[str, ParameterValue] | None = None,
    used: Collection[str] = (),
    zone: str = UTC_ZONE,
    texts: Mapping[Path, str] | None = None,
) -> CheckResult:
    """Errors, warnings and hints of a rule file (or a text).

    Args:
        path: the file.
        text: in place of a file.
        name: what the text is called; imports are relative to its folder.
        parameters: as :func:`load` has them.
        used: names that something else than the rules uses, a project file say.
        zone: as :func:`load` has it.
        texts: what stands in place of files, by their resolved paths: an editor's buffers.

    >>> [finding.code for finding in check(text="query Smokes(Persn)").diagnostics]
    ['KR202']
    """
    if text is not None:
        statements, findings, broken, sources = _read_text(text, name)
    elif path is not None:
        statements, findings, broken, sources = _read(Path(path), texts)
    else:
        raise TypeError("check() takes a path or a text")
    statements, faults = replace_parameters(statements, parameters or {})
    program, errors = elaborate(statements, broken, check_zone(zone))
    findings = [*findings, *faults, *errors]
    findings.extend(lint(program, whole=not findings, sources=sources, used=used))
    findings.extend(read_otherwise(statements))
    faulty = any(diagnostic.severity == "error" for diagnostic in findings)
    found = tuple(in_order(findings, sources))
    return CheckResult(None if faulty else program, found, sources, program)


def parse_formula(program: lg.Program, text: str) -> lg.Formula:
    """One formula over the names of a program; free variables are allowed.

    Raises:
        ProgramError: with every error there is.

    >>> import knowreason as kr
    >>> parse_formula(kr.testing.example_program(), "Near(x, y) & Bad(x) => Bad(y)").right
    Atom(predicate='Bad', arguments=(Variable(name='y', sort='Node'),))
    """
    names = names_of(program)
    try:
        node = parse_formula_text(Source("<formula>", text))
    except SyntaxFault as fault:
        raise ProgramError(diagnostics=[fault.diagnostic]) from None
    formula = elaborate_formula(names, node)
    if names.found or formula is None:
        raise ProgramError(diagnostics=in_order(names.found, ()))
    return formula


@_without_collection
def parse_facts(program: lg.Program, text: str, name: str = "<facts>") -> Facts:
    """Ground atoms and attribute values of a text: ``P("a", "b")``, ``!P("a")``, ``at("e1") = 3``.

    Raises:
        ProgramError: with every error there is.

    >>> import knowreason as kr
    >>> parse_facts(kr.testing.example_program(), 'Listed("a")').atoms[0][:3]
    ('Listed', ('a',), True)
    """
    names = names_of(program)
    source = Source(name, text.removeprefix("\ufeff"))
    facts, findings = parse_fact_file(source)
    read = elaborate_facts(names, facts)
    errors = [*findings, *names.found]
    if errors:
        raise ProgramError(diagnostics=in_order(errors, (source,)))
    return read


def in_order(found: Iterable[Diagnostic], sources: Iterable[Source]) -> list[Diagnostic]:
    """Findings sorted by file, place and severity."""
    rank = {id(source): number for number, source in enumerate(sources)}
    severity = {"error": 0, "warning": 1, "hint": 2}

    def place(diagnostic: Diagnostic) -> tuple[int, int, int, str]:
        span = diagnostic.span
        level = severity[diagnostic.severity]
        if span is None:
            return -1, 0, level, diagnostic.code
        return rank.get(id(span.source), len(rank)), span.start, level, diagnostic.code

    return sorted(found, key=place)


# ---------------------------------------------------------------- reading


def _read(
    path: Path, texts: Mapping[Path, str] | None = None
) -> tuple[list[sx.Statement], list[Diagnostic], frozenset[str], tuple[Source, ...]]:
    reader = _FileReader(texts or {})
    reader.read_file(path, None)
    return reader.result()


def _read_text(
    text: str, name: str
) -> tuple[list[sx.Statement], list[Diagnostic], frozenset[str], tuple[Source, ...]]:
    reader = _FileReader({})
    reader.read_source(Source(name, text.removeprefix("\ufeff")), Path(name).parent)
    return reader.result()


class _FileReader:
    """Reads files, each once, in the order they are imported."""

    def __init__(self, texts: Mapping[Path, str]) -> None:
        self.statements: list[sx.Statement] = []
        self.found: list[Diagnostic] = []
        self.broken: frozenset[str] = frozenset()
        self.sources: list[Source] = []
        self._seen: set[Path] = set()
        self._texts = texts

    def result(
        self,
    ) -> tuple[list[sx.Statement], list[Diagnostic], frozenset[str], tuple[Source, ...]]:
        return self.statements, self.found, self.broken, tuple(self.sources)

    def read_file(self, path: Path, importer: sx.Import | None) -> None:
        real = path.resolve()
        if real in self._seen:
            return
        self._seen.add(real)
        try:
            given = self._texts.get(real)
            text = path.read_text(encoding="utf-8-sig") if given is None else given
        except (OSError, UnicodeDecodeError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
            self.found.append(
                Diagnostic(
                    "KR111",
                    f"cannot read `{path}`: {reason}",
                    span=importer.path.span if importer else None,
                    help="a path is relative to the file that imports it"
                    if importer
                    else near_file(path),
                )
            )
            return
        self.read_source(Source(str(path), text), path.parent)

    def read_source(self, source: Source, folder: Path) -> None:
        self.sources.append(source)
        parsed = parse_program(source)
        self.found.extend(parsed.diagnostics)
        self.broken |= parsed.broken
        for statement in parsed.statements:
            if isinstance(statement, sx.Import):
                self.read_file(folder / str(statement.path.value), statement)
            else:
                self.statements.append(statement)


def _finish(
    statements: list[sx.Statement],
    found: list[Diagnostic],
    broken: frozenset[str],
    parameters: Mapping[str, ParameterValue],
    zone: str,
) -> lg.Program:
    statements, faults = replace_parameters(statements, parameters)
    program, errors = elaborate(statements, broken, check_zone(zone))
    errors = [*found, *faults, *errors, *impossible(program)]
    if errors:
        sources = {id(e.span.source): e.span.source for e in errors if e.span}
        raise ProgramError(diagnostics=in_order(errors, sources.values()))
    return program


def replace_parameters(
    statements: list[sx.Statement], values: Mapping[str, ParameterValue]
) -> tuple[list[sx.Statement], list[Diagnostic]]:
    """The statements with other parameter values, and what is wrong with those."""
    if not values:
        return statements, []
    declared = {s.name.text for s in statements if isinstance(s, sx.ParamStatement)}
    findings = [
        Diagnostic("KR201", f"unknown parameter `{name}`", help=did_you_mean(name, declared))
        for name in values
        if name not in declared
    ]
    replaced: list[sx.Statement] = []
    for statement in statements:
        if isinstance(statement, sx.ParamStatement) and statement.name.text in values:
            literal = _override(statement.value, values[statement.name.text])
            if literal is None:
                kind, name = statement.value.kind, statement.name.text
                message = f"parameter `{name}` is a {kind}, not {values[name]!r}"
                findings.append(Diagnostic("KR211", message, span=statement.span))
            else:
                statement = replace(statement, value=literal)
        replaced.append(statement)
    return replaced, findings


def _override(literal: sx.LiteralNode, value: ParameterValue) -> sx.LiteralNode | None:
    """The literal with another value of the same kind, or ``None``."""
    given: object = value
    if literal.kind == "duration":
        if isinstance(value, timedelta):
            given = value // timedelta(microseconds=1)
        else:
            given = parse_duration(value) if isinstance(value, str) else None
    elif literal.kind == "number":
        given = _number(value)
        if isinstance(given, float) and isinstance(literal.value, int) and given.is_integer():
            given = int(given)
    elif literal.kind == "bool":
        given = {"true": True, "false": False}.get(str(value).lower())
    elif not isinstance(value, str):
        given = None
    return None if given is None else replace(literal, value=cast("int | str", given))


def _number(value: ParameterValue) -> int | float | None:
    if isinstance(value, (bool, timedelta)):
        return None
    if isinstance(value, (int, float)):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return None
