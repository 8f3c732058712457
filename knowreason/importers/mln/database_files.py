"""Ground atoms of `.db` files as columns: `P(A)`, `!P(A)`, `?P(A)`, `0.7 P(A)`, `A = f(B)`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from knowreason.diagnostics import Source, Span
from knowreason.importers.import_report import ImportReport
from knowreason.importers.mln.mln_syntax import without_comments

_CONSTANT = r""""(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s,()"'!?=]+"""
_SIGN = r"^[ \t]*(!|\?|[-+]?[\d.]+(?:[eE][-+]?\d+)?(?=[ \t]))?[ \t]*"
_DIVIDER = re.compile(r"^---.*$", re.MULTILINE)


@dataclass(frozen=True)
class GroundAtoms:
    """Ground atoms of one predicate (or values of one function) in one file.

    Attributes:
        things: by argument, the constants; of a function the value comes last.
        sign: as written: empty, ``!``, ``?``, or a probability.
    """

    things: list[pa.Array]
    sign: pa.Array


def read_atoms(
    path: Path, arities: Mapping[str, int], functions: Mapping[str, int], report: ImportReport
) -> dict[str, GroundAtoms]:
    """By predicate or function, what a file lists; other lines are refused.

    Args:
        path: of the file.
        arities: by predicate, the number of its arguments.
        functions: the same of functions.
        report: is told how many atoms there are of each, and of what is not understood.
    """
    source = Source(str(path), path.read_text(encoding="utf-8-sig"))
    text, databases = _DIVIDER.subn(lambda m: " " * len(m.group()), without_comments(source.text))
    found: dict[str, GroundAtoms] = {}
    for name, arity in {**arities, **functions}.items():
        comma = r"[ \t]*,[ \t]*"
        inner = comma.join([f"({_CONSTANT})"] * arity)
        atom = rf"{re.escape(name)}[ \t]*" + (
            rf"\([ \t]*{inner}[ \t]*\)" if arity else r"(?:\(\))?"
        )
        if name in functions:
            atom = rf"(?:({_CONSTANT})[ \t]*=[ \t]*)?{atom}(?:[ \t]*=[ \t]*({_CONSTANT}))?"
        line = re.compile(rf"{_SIGN}{atom}[ \t]*\.?[ \t]*$", re.MULTILINE)
        rows = line.findall(text)
        if not rows:
            continue
        text = line.sub("", text)
        sign, *columns = zip(*rows, strict=True) if isinstance(rows[0], tuple) else (rows,)
        arrays = [_unquoted(pa.array(column, pa.string())) for column in columns]
        if name in functions:
            before, *arguments, after = arrays
            arrays = [*arguments, pc.if_else(pc.equal(before, ""), after, before)]
        found[name] = GroundAtoms(arrays, pa.array(sign, pa.string()))
        report.add(_place(source, name), became=f"{len(rows):,} atoms of `{name}`")
    if databases:
        why = "databases are joined: a thing of the same name in two of them is one thing"
        report.add(_place(source, "---"), reason=why)
    _refuse_rest(source, text, {**arities, **functions}, report)
    return found


def _unquoted(column: pa.Array) -> pa.Array:
    stripped = pc.replace_substring_regex(column, r"""^(?:"(.*)"|'(.*)')$""", r"\1\2")
    return pc.replace_substring_regex(stripped, r"\\(.)", r"\1")


def _refuse_rest(source: Source, text: str, known: Mapping[str, int], report: ImportReport) -> None:
    """Lines that are left; what was understood has become empty lines."""
    for line in re.finditer(r"^.*\S.*$", text, re.MULTILINE):
        start = source.line_starts[text.count("\n", 0, line.start())]
        end = source.text.find("\n", start)
        span = Span(source, start, end if end >= 0 else len(source.text))
        name = re.match(r"[\s!?\d.]*([\w/'-]+)\s*\(", line.group())
        why = "it is no ground atom"
        if name and name.group(1) not in known:
            why = f"`{name.group(1)}` is declared nowhere"
        elif name:
            why = f"`{name.group(1)}` has {known[name.group(1)]} arguments"
        report.add(span, reason=why, refused=True)


def _place(source: Source, text: str) -> Span:
    """The first line that begins so, whatever its sign."""
    found = re.search(rf"^.*{re.escape(text)}.*$", source.text, re.MULTILINE)
    return Span(source, *found.span()) if found else Span(source, 0, 0)
