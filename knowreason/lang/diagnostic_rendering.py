"""Findings as text with carets, as JSON, as SARIF 2.1.0 and as annotations of GitHub."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os.path import relpath
from pathlib import PurePath

from knowreason.codes import catalogue
from knowreason.diagnostics import Diagnostic, Related, Source, Span
from knowreason.version import __version__

Json = dict[str, object]

_CODES = {"error": "1;31", "warning": "1;33", "hint": "1;36", "frame": "1;34", "strong": "1"}
_LEVELS = {"error": "error", "warning": "warning", "hint": "note"}
_PLACES = 3  # where the same was found, told beside the first
_WIDEST = 160  # longer lines are shown around the fault only


@dataclass(frozen=True)
class _Mark:
    """An underlined stretch of a line."""

    span: Span
    message: str
    main: bool


def render_text(diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    """Each finding with its source lines, carets under the fault, dashes under what explains it.

    Args:
        diagnostics: the findings, in the order to print them.
        color: whether to use ANSI colours.
    """
    return "\n".join(_finding(diagnostic, color) for diagnostic in diagnostics)


def together(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings in their order, those that say the same as one that counts their places."""
    groups: dict[tuple[str, str], dict[str, Diagnostic]] = {}
    for diagnostic in diagnostics:
        place = diagnostic.span.place() if diagnostic.span else ""
        same = groups.setdefault((diagnostic.code, diagnostic.message), {})
        same.setdefault(place, diagnostic)
    return [_counted(list(same), next(iter(same.values()))) for same in groups.values()]


def _counted(places: list[str], first: Diagnostic) -> Diagnostic:
    if len(places) == 1:
        return first
    others = ", ".join(place for place in places[1 : 1 + _PLACES])
    more = ", ..." if len(places) > 1 + _PLACES else ""
    said = f"{first.message} ({len(places)} times: also {others}{more})"
    return replace(first, message=said)


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """``2 errors, 1 warning``; empty where nothing was found."""
    counts: dict[str, int] = {"error": 0, "warning": 0, "hint": 0}
    for diagnostic in diagnostics:
        counts[diagnostic.severity] += 1
    return ", ".join(f"{n} {what}{'s' * (n != 1)}" for what, n in counts.items() if n)


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """A JSON list with one object a finding; lines and columns count from 1."""
    return json.dumps([_as_json(diagnostic) for diagnostic in diagnostics], indent=2)


def render_sarif(diagnostics: Iterable[Diagnostic]) -> str:
    """A SARIF 2.1.0 log, as code-scanning services read it."""
    findings = list(diagnostics)
    entries = catalogue()
    used = sorted({diagnostic.code for diagnostic in findings})
    rules = []
    for code in used:
        rule: Json = {"id": code}
        if code in entries:
            rule["shortDescription"] = {"text": entries[code].title}
            rule["fullDescription"] = {"text": entries[code].explanation}
        rules.append(rule)
    driver = {"name": "knowreason", "version": __version__, "rules": rules}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_as_sarif(diagnostic, used) for diagnostic in findings],
            }
        ],
    }
    return json.dumps(log, indent=2)


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """A workflow command a finding, which GitHub shows beside its line of a pull request."""
    return "\n".join(_as_command(diagnostic) for diagnostic in diagnostics)


# ---------------------------------------------------------------- text


def _finding(diagnostic: Diagnostic, color: bool) -> str:
    title = _paint(f"{diagnostic.severity}[{diagnostic.code}]", diagnostic.severity, color)
    lines = [f"{title}{_paint(': ' + diagnostic.message, 'strong', color)}"]
    width = 1
    if diagnostic.span is not None:
        marks = [_Mark(diagnostic.span, diagnostic.label, True)]
        marks += [_Mark(r.span, r.message, False) for r in diagnostic.related]
        width = len(str(max(_line_of(mark) for mark in marks)))
        lines += _excerpts(marks, width, diagnostic.severity, color)
    else:
        lines += [f"{related.span.place()}: {related.message}" for related in diagnostic.related]
    if diagnostic.help:
        bar = _paint("=", "frame", color)
        if diagnostic.span is not None:
            lines.append(f"{' ' * width} {_paint('|', 'frame', color)}")
        lines.append(f"{' ' * width} {bar} help: {diagnostic.help}")
    return "\n".join(lines) + "\n"


def _excerpts(marks: list[_Mark], width: int, severity: str, color: bool) -> list[str]:
    """One block a source, the one with the fault first."""
    out: list[str] = []
    sources: list[Source] = []
    for mark in marks:
        if not any(mark.span.source is source for source in sources):
            sources.append(mark.span.source)
    bar = _paint("|", "frame", color)
    for source in sources:
        here = sorted(
            (mark for mark in marks if mark.span.source is source),
            key=lambda mark: (_line_of(mark), mark.main, mark.span.start),
        )
        first = next((mark for mark in here if mark.main), here[0])
        arrow = "-->" if first.main else ":::"
        out.append(f"{' ' * width}{_paint(arrow, 'frame', color)} {first.span.place()}")
        out.append(f"{' ' * width} {bar}")
        shown = 0
        for number in dict.fromkeys(_line_of(mark) for mark in here):
            if shown and number > shown + 1:
                out.append("...")
            row = [mark for mark in here if _line_of(mark) == number]
            out += _row(source, number, row, width, severity, color)
            shown = number
    return out


def _row(
    source: Source, number: int, marks: list[_Mark], width: int, severity: str, color: bool
) -> list[str]:
    text = _printable(source.line(number))
    begin = source.line_starts[number - 1]
    cut, text = _window(text, min(mark.span.start for mark in marks) - begin)
    gutter, bar = _paint(f"{number:>{width}}", "frame", color), _paint("|", "frame", color)
    out = [f"{gutter} {bar} {text}".rstrip()]
    for mark in marks:
        start = max(mark.span.start - begin - cut, 0)
        end = min(max(mark.span.end - begin - cut, start + 1), max(len(text), start + 1))
        pad = "".join("\t" if char == "\t" else " " * _cells(char) for char in text[:start])
        pad += " " * max(0, start - len(text))
        length = max(1, sum(map(_cells, text[start:end])))
        line = (("^" if mark.main else "-") * length + " " + mark.message).rstrip()
        line = _paint(line, severity if mark.main else "frame", color)
        out.append(f"{' ' * width} {bar} {pad}{line}")
    return out


def _line_of(mark: _Mark) -> int:
    return mark.span.source.position(mark.span.start)[0]


def _window(text: str, start: int) -> tuple[int, str]:
    """A piece of a long line around the fault, and where it begins."""
    if len(text) <= _WIDEST:
        return 0, text
    cut = max(0, min(start - _WIDEST // 4, len(text) - _WIDEST))
    return cut, text[cut : cut + _WIDEST]


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _paint(text: str, style: str, color: bool) -> str:
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if color else text


# ---------------------------------------------------------------- JSON and SARIF


def _as_json(diagnostic: Diagnostic) -> Json:
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "label": diagnostic.label,
        "help": diagnostic.help,
        "place": None if diagnostic.span is None else _place(diagnostic.span),
        "related": [
            {"message": related.message, "place": _place(related.span)}
            for related in diagnostic.related
        ],
    }


def _place(span: Span) -> Json:
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _as_sarif(diagnostic: Diagnostic, codes: Sequence[str]) -> Json:
    text = diagnostic.message + (f"; {diagnostic.help}" if diagnostic.help else "")
    result: Json = {
        "ruleId": diagnostic.code,
        "ruleIndex": codes.index(diagnostic.code),
        "level": _LEVELS[diagnostic.severity],
        "message": {"text": text},
    }
    if diagnostic.span is not None:
        result["locations"] = [{"physicalLocation": _location(diagnostic.span)}]
    if diagnostic.related:
        result["relatedLocations"] = [
            _related_location(number, related) for number, related in enumerate(diagnostic.related)
        ]
    return result


def _as_command(diagnostic: Diagnostic) -> str:
    level = {"hint": "notice"}.get(diagnostic.severity, diagnostic.severity)
    fields: dict[str, object] = {"title": diagnostic.code}
    if diagnostic.span is not None:
        place = _place(diagnostic.span)
        fields = {
            "file": relpath(str(place["file"])),  # GitHub knows those of the repository
            "line": place["line"],
            "col": place["column"],
            "endLine": place["end_line"],
            "endColumn": place["end_column"],
        } | fields
    said = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    given = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in fields.items())
    return f"::{level} {given}::{_escaped(said)}"


def _escaped(text: str, more: str = "") -> str:
    """Text of a workflow command: a percent sign first, then line ends and what separates."""
    for char in "%\r\n" + more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text


def _related_location(number: int, related: Related) -> Json:
    return {
        "id": number,
        "physicalLocation": _location(related.span),
        "message": {"text": related.message},
    }


def _location(span: Span) -> Json:
    place = _place(span)
    return {
        "artifactLocation": {"uri": PurePath(span.source.name).as_posix()},
        "region": {
            "startLine": place["line"],
            "startColumn": place["column"],
            "endLine": place["end_line"],
            "endColumn": place["end_column"],
        },
    }
