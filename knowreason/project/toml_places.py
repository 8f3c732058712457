"""Where a key stands in a TOML text (``tomllib`` keeps no places), and what the text names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from knowreason.diagnostics import Source, Span

_HEADER = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?", re.MULTILINE)


def find_key(source: Source, path: tuple[str, ...]) -> Span | None:
    """The span of a key path, or of the nearest enclosing key that can be found."""
    for depth in range(len(path), 0, -1):
        span = _exact(source, path[:depth])
        if span is not None:
            return span
    return None


def _exact(source: Source, path: tuple[str, ...]) -> Span | None:
    for split in range(len(path), -1, -1):
        section = _section(source, path[:split])
        if section is None:
            continue
        start, end, header = section
        keys = path[split:]
        if not keys:
            return header
        span = _key(source, keys, start, end)
        if span is not None:
            return span
    return None


def _section(source: Source, names: tuple[str, ...]) -> tuple[int, int, Span | None] | None:
    headers = list(_HEADER.finditer(source.text))
    if not names:
        return 0, headers[0].start() if headers else len(source.text), None
    for position, match in enumerate(headers):
        parts = tuple(name.strip().strip("\"'") for name in match.group(1).split("."))
        if parts == names:
            later = headers[position + 1 :]
            end = later[0].start() if later else len(source.text)
            return match.end(), end, Span(source, match.start(1), match.end(1))
    return None


def _key(source: Source, keys: tuple[str, ...], start: int, end: int) -> Span | None:
    span = None
    for depth, key in enumerate(keys):
        edge = r"^\s*" if depth == 0 else r"[{,]\s*"
        pattern = re.compile(rf"{edge}([\"']?){re.escape(key)}\1\s*[=.]", re.MULTILINE)
        match = pattern.search(source.text, start, end)
        if match is None:
            return None
        offset = match.group(0).index(key)
        span = Span(source, match.start() + offset, match.start() + offset + len(key))
        start, end = match.end(), _line_end(source.text, match.end(), end)
    return span


def _line_end(text: str, start: int, end: int) -> int:
    newline = text.find("\n", start, end)
    return end if newline < 0 else newline


def syntax_error_span(source: Source, error: tomllib.TOMLDecodeError) -> tuple[Span, str]:
    """The place a TOML error names, and its message without the place."""
    match = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    message = "this is not TOML: " + re.sub(r"\s*\(at [^)]*\)", "", str(error))
    if match is None:
        return Span(source, max(len(source.text) - 1, 0), len(source.text)), message
    start = source.line_starts[int(match.group(1)) - 1] + int(match.group(2)) - 1
    return Span(source, start, start + 1), message


def names_used_beside(file: Path) -> set[str]:
    """What a project file beside a rule file says, where there is one of it."""
    path = file.parent / "knowreason.toml"
    try:
        text = path.read_text(encoding="utf-8")
        program = tomllib.loads(text).get("program")
    except (OSError, ValueError):
        return set()
    return words(text) if isinstance(program, str) and _is(path, program, file) else set()


def words(text: str) -> set[str]:
    """Every name in a project file's text: what it binds, splits by, reports by, shows to models
    or names in options is used, whatever the rules do with it."""
    return set(re.findall(r"\w+", text))


def _is(project: Path, program: str, file: Path) -> bool:
    return (project.parent / program).resolve() == file.resolve()
