"""Small tables as HTML and as text, for ``_repr_html_`` and ``repr``: short whatever the value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isnan

MOST_ROWS = 20  # of a table
MOST_LINES = 30  # of a text
WIDEST = 60  # characters of a cell
WIDEST_LINE = 160


def html_table(head: Sequence[str], rows: Iterable[Sequence[object]], most: int = MOST_ROWS) -> str:
    """A table in HTML, everything escaped; a last line counts rows that are left out.

    >>> html_table(["who"], [["<b>"]])
    '<table><thead><tr><th>who</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    rows = list(rows)
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(map(_html, row))}</tr>" for row in rows[:most])
    left = _left_out(len(rows), most)
    return (
        f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
        f"{f'<p>{left}</p>' if left else ''}"
    )


def html_cell(title: str, *parts: str) -> str:
    """A block under a title, which is escaped; ``parts`` are HTML.

    >>> html_cell("a < b")
    '<div><p><b>a &lt; b</b></p></div>'
    """
    return f"<div><p><b>{escape(title)}</b></p>{''.join(parts)}</div>"


def html_lines(lines: Iterable[str], title: str = "", most: int = MOST_ROWS) -> str:
    """Lines as a list in HTML, escaped; nothing where there are none.

    >>> html_lines(["x => y"])
    '<ul><li>x =&gt; y</li></ul>'
    """
    lines = list(lines)
    if not lines:
        return ""
    shown = [*(_cut(line, WIDEST_LINE) for line in lines[:most]), _left_out(len(lines), most)]
    items = "".join(f"<li>{escape(line)}</li>" for line in shown if line)
    return f"{f'<p>{escape(title)}</p>' if title else ''}<ul>{items}</ul>"


def html_text(text: str) -> str:
    """Text with its line breaks in HTML, escaped, at most ``MOST_LINES`` lines.

    >>> html_text("a & b")
    '<pre>a &amp; b</pre>'
    """
    return f"<pre>{escape(first_lines(text))}</pre>"


def text_table(head: Sequence[str], rows: Iterable[Sequence[object]], most: int = MOST_ROWS) -> str:
    """A table as text, names on the left and numbers on the right.

    >>> print(text_table(["who", "count"], [["anna", 1234]]))
    who   count
    anna  1,234
    """
    rows = list(rows)
    cells = [list(map(_text, row)) for row in rows[:most]]
    right = [
        any(map(_is_number, column)) and all(_is_number(c) or c in (None, "") for c in column)
        for column in zip(*rows[:most], strict=True)
    ] or [False] * len(head)
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in [list(head), *cells]
    ]
    left = _left_out(len(rows), most)
    return "\n".join([*lines, left] if left else lines)


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names with commas between them, the last of them a count of those left out.

    >>> listed("abc", most=2)
    'a, b, .. and 1 more'
    """
    names = list(names)
    left = _left_out(len(names), most)
    return ", ".join([*names[:most], left] if left else names)


def first_lines(text: str, most: int = MOST_LINES) -> str:
    """The first lines of a text, the last of them a count of those left out.

    >>> first_lines("a\\nb\\nc", most=2)
    'a\\n.. and 2 more'
    """
    lines = [_cut(line, WIDEST_LINE) for line in text.splitlines()]
    if len(lines) > most:
        lines = [*lines[: most - 1], _left_out(len(lines), most - 1)]
    return "\n".join(lines)


def _left_out(count: int, most: int) -> str:
    return f".. and {count - most:,} more" if count > most else ""


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _text(cell: object) -> str:
    if cell is None or (isinstance(cell, float) and isnan(cell)):
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.3f}" if abs(cell) < 1e6 else f"{cell:.3g}"
    return _cut(str(cell).replace("\n", " "), WIDEST)


def _cut(text: str, widest: int) -> str:
    return text if len(text) <= widest else f"{text[: widest - 2]}.."


def _html(cell: object) -> str:
    style = " style='text-align: right'" if _is_number(cell) else ""
    return f"<td{style}>{escape(_text(cell))}</td>"
