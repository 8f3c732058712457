"""The canonical layout of a rule file, comments kept.

The layout is made of tokens, not of syntax nodes: what is written is read again as the
same tokens, so it means the same. Only parentheses are added, where a binder reaches over `&` or
`|`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from knowreason.diagnostics import Source
from knowreason.lang.layout.token_spacing import Piece, pieces
from knowreason.lang.lint.binder_reach import bare_bodies
from knowreason.lang.syntax.grammar import tokens
from knowreason.lang.syntax.node_builders import SyntaxFault, Token
from knowreason.lang.syntax.parser import chunks, parse_tokens

WIDTH = 100
INDENT = "    "
_HEADS = {"rule": ("[", ":"), "model": ("for", "="), "define": ("", ":=")}
_COMMENT = re.compile(r"#[^\n]*")


@dataclass(frozen=True)
class _Item:
    """A comment of its own, a statement, or a part that does not parse.

    Attributes:
        lines: the text.
        comment: what stands behind the last line.
        blank: whether a blank line comes before.
        columns: parts of the head of a statement, to be aligned with its neighbours.
        rest: what follows the head.
    """

    lines: tuple[str, ...]
    comment: str = ""
    blank: bool = False
    columns: tuple[str, ...] = ()
    rest: str = ""
    kind: str = ""


def format_text(text: str, name: str = "<string>") -> str:
    """Canonical layout of a rule file called ``name``.

    Statements that do not parse stay as they are. Formatting twice changes nothing, and the
    result means what the text did.

    Example:
        >>> print(format_text("rule seldom [-1]:Smokes( x )"), end="")
        rule seldom [-1] : Smokes(x)
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    source = Source(name, text)
    items = _aligned(list(_items(source)))
    lines: list[str] = []
    for item in items:
        if item.blank and lines:
            lines.append("")
        lines.extend(item.lines[:-1])
        lines.append(f"{item.lines[-1]}{item.comment and '  ' + item.comment}")
    return "\n".join(lines) + "\n" if lines else ""


# ---------------------------------------------------------------- items


def _items(source: Source) -> Iterator[_Item]:
    cuts = list(chunks(source.text))
    first = cuts[0][0] if cuts else len(source.text)
    blank = False
    if len(tokens(source, 0, first)) > 1:
        yield _verbatim(source.text[:first].lstrip("\n"), False)
    else:
        between, blank = _comments(source.text[:first], False)
        yield from between
    for start, end in cuts:
        item, stop = _statement(source, start, end, blank)
        yield item
        tail = source.text[stop:end]
        newline = tail.find("\n")
        between, blank = _comments(tail[newline + 1 :] if newline >= 0 else "", False)
        yield from between


def _verbatim(text: str, blank: bool) -> _Item:
    return _Item(tuple(line.rstrip() for line in text.rstrip().split("\n")), blank=blank)


def _comments(gap: str, blank: bool) -> tuple[list[_Item], bool]:
    """Comments of their own in a gap, and whether a blank line follows the last one."""
    comments = []
    for line in gap.split("\n")[: -1 if gap.endswith("\n") or not gap else None]:
        if line.strip():
            comments.append(_Item((line.strip(),), blank=blank))
        blank = not line.strip()
    return comments, blank


def _statement(source: Source, start: int, end: int, blank: bool) -> tuple[_Item, int]:
    """A statement in its layout, and the offset at which its last line ends."""
    line = tokens(source, start, end)
    try:
        statement = parse_tokens(source, line, "statement")
    except SyntaxFault:
        return _verbatim(source.text[start:end], blank), end
    line = _with_parentheses(line, source, statement)
    close = line[-1].end_pos
    newline = source.text.find("\n", close, end)
    stop = end if newline < 0 else newline
    trailing = source.text[close:stop].strip()
    inner = [_inner_comments(source, a, b) for a, b in pairwise(line[:-1])]
    parts = pieces(line[:-1])
    if any(inner):
        item = _Item(tuple(_with_comments(parts, inner)), trailing, blank)
    else:
        item = _plain(parts, trailing, blank)
    return item, stop


def _with_parentheses(line: list[Token], source: Source, statement: object) -> list[Token]:
    """The tokens with parentheses around what a binder reaches over: that is seen then."""
    spans = [body.span for body in bare_bodies(statement)]
    if not spans:
        return line
    opened = Counter(span.start for span in spans)
    closed = Counter(span.end for span in spans)
    out: list[Token] = []
    for token in line[:-1]:
        start, end = token.start_pos, token.end_pos
        out += [Token("LPAR", "(", source, start)] * opened[start]
        out.append(token)
        out += [Token("RPAR", ")", source, end - 1)] * closed[end]
    return [*out, line[-1]]


def _inner_comments(source: Source, before: Token, after: Token) -> list[tuple[str, bool]]:
    """Comments between two tokens, and whether each has a line of its own."""
    gap = source.text[before.end_pos : after.start_pos]
    return [
        (match.group().rstrip(), "\n" in gap[: match.start()]) for match in _COMMENT.finditer(gap)
    ]


def _with_comments(
    parts: Sequence[Piece], inner: Sequence[Sequence[tuple[str, bool]]]
) -> list[str]:
    """Lines that break where a comment stands inside of a statement."""
    lines: list[str] = []
    segment: list[Piece] = []
    for index, part in enumerate(parts):
        segment.append(part)
        comments = inner[index] if index < len(inner) else ()
        if comments:
            lines.extend(_filled(segment, first=not lines))
            segment = []
        for text, alone in comments:
            if alone:
                lines.append(INDENT + text)
            else:
                lines[-1] += f"  {text}"
    if segment:
        lines.extend(_filled(segment, first=not lines))
    return lines


def _plain(parts: Sequence[Piece], trailing: str, blank: bool) -> _Item:
    lines = _filled(parts, first=True)
    if len(lines) > 1:
        return _Item(tuple(lines), trailing, blank)
    kind = parts[0].text
    columns, rest = _head(parts) if kind in _HEADS else ((), "")
    return _Item(tuple(lines), trailing, blank, columns, rest, kind)


def _head(parts: Sequence[Piece]) -> tuple[tuple[str, ...], str]:
    """Columns of a rule (name, weight), a model (name, targets) or a definition (name)."""
    middle, end = _HEADS[parts[0].text]
    close = next(i for i, p in enumerate(parts) if p.depth == 0 and p.text == end)
    cut = next((i for i, p in enumerate(parts[:close]) if p.text == middle), close)
    return (_line(parts[:cut]), _line(parts[cut:close])), _line(parts[close:])


# ---------------------------------------------------------------- lines


def _line(parts: Iterable[Piece]) -> str:
    out = ""
    for part in parts:
        out += f" {part.text}" if part.space and out else part.text
    return out


def _filled(parts: Sequence[Piece], first: bool) -> list[str]:
    """Lines no longer than :data:`WIDTH`, broken at as shallow a depth as does it."""
    lines: list[str] = []
    for depth in sorted({part.depth for part in parts if part.breaks} | {0}):
        lines = _fill(parts, depth, first)
        if all(len(line) <= WIDTH for line in lines):
            break
    return lines


def _fill(parts: Sequence[Piece], depth: int, first: bool) -> list[str]:
    """Break before connectives and after commas that are no deeper than ``depth``."""
    units: list[list[Piece]] = [[]]
    for part in parts:
        if part.breaks and part.depth <= depth and units[-1]:
            units.append([])
        units[-1].append(part)
    lines: list[str] = []
    current: list[Piece] = []
    for unit in units:
        margin = "" if first and not lines else INDENT
        if current and len(margin) + len(_line([*current, *unit])) > WIDTH:
            lines.append(margin + _line(current))
            current = []
        current = [*current, *unit]
    margin = "" if first and not lines else INDENT
    return [*lines, margin + _line(current)]


# ---------------------------------------------------------------- alignment


def _aligned(items: list[_Item]) -> list[_Item]:
    """Align heads and trailing comments of statements on lines next to one another."""
    out: list[_Item] = []
    run: list[_Item] = []
    for item in items:
        alone = len(item.lines) > 1 or not item.kind
        if item.blank or alone:
            out += _align_run(run)
            run = []
        if alone:
            out.append(item)
        else:
            run.append(item)
    return out + _align_run(run)


def _align_run(run: list[_Item]) -> list[_Item]:
    aligned: list[_Item] = []
    for _, same in groupby(run, key=lambda item: item.kind):
        group = list(same)
        aligned += _align_heads(group) if group[0].columns else group
    commented = [len(item.lines[0]) for item in aligned if item.comment]
    if not commented or max(commented) > WIDTH:
        return aligned
    return [
        replace(item, lines=(item.lines[0].ljust(max(commented)),)) if item.comment else item
        for item in aligned
    ]


def _align_heads(group: list[_Item]) -> list[_Item]:
    names = max(len(item.columns[0]) for item in group)
    seconds = max(len(item.columns[1]) for item in group)
    lines = []
    for item in group:
        name, second = item.columns
        head = f"{name.ljust(names)} {second.ljust(seconds)}" if seconds else name.ljust(names)
        lines.append(f"{head} {item.rest}")
    if any(len(line) > WIDTH for line in lines):
        return group
    return [replace(item, lines=(line,)) for item, line in zip(group, lines, strict=True)]
