"""Sections and tables of ``report.html``: escaped, labelled, with headings in order."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from knowreason.metrics.metrics import Estimate

_NAME = re.compile(r"`([^`]+)`")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        key: ``id`` of its heading.
        title: heading.
        body: HTML.
        short: name in the list of sections; empty where it is not listed.
    """

    key: str
    title: str
    body: str
    short: str = ""

    def __str__(self) -> str:
        key = escape(self.key)
        heading = f'<h2 id="{key}">{escape(self.title)}</h2>'
        return f'<section aria-labelledby="{key}">{heading}\n{self.body}</section>'


def markup(text: str) -> str:
    """The text as HTML, escaped unless it is :class:`Markup`.

    >>> markup("a < b"), markup(Markup("<b>a</b>"))
    ('a &lt; b', '<b>a</b>')
    """
    return text if isinstance(text, Markup) else escape(text)


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    strong: Collection[str] = (),
    heading: int = 0,
    sortable: str = "",
) -> str:
    """A table with a caption; a phone shows each row as a card, whose cells say their column.

    Args:
        caption: what it shows; also said of its own scroll bar.
        head: of the columns.
        rows: of cells; text is escaped, :class:`Markup` is not.
        strong: values of the first column whose rows stand out.
        heading: column that names the row.
        sortable: ``id`` of the form that sorts and searches it.

    >>> "<th scope='row' role='rowheader' data-label='rule'>a" in table("t", ["rule"], [["a"]])
    True
    """
    named = [cell or "row" for cell in head]
    top = "".join(f"<th scope='col' role='columnheader'>{escape(cell)}</th>" for cell in named)
    body = []
    for row in rows:
        cells = [
            f"<th scope='row' role='rowheader' data-label='{escape(label)}'>{markup(cell)}</th>"
            if place == heading
            else f"<td role='cell' data-label='{escape(label)}'>{markup(cell)}</td>"
            for place, (label, cell) in enumerate(zip(named, row, strict=True))
        ]
        ours = " class='ours'" if row[0] in strong else ""
        body.append(f"<tr role='row'{ours}>{''.join(cells)}</tr>")
    how = f" class='listed' data-tools='{escape(sortable)}'" if sortable else ""
    return (
        f"<div class='scroll' role='region' tabindex='0' aria-label='{escape(caption)}'>"
        f"<table role='table'{how}><caption>{escape(caption)}</caption>"
        f"<thead role='rowgroup'><tr role='row'>{top}</tr></thead>\n"
        f"<tbody role='rowgroup'>{chr(10).join(body)}</tbody></table></div>"
    )


def paragraphs(lines: Iterable[str], kind: str = "note") -> str:
    """Each line in a paragraph of that class; names in backticks are code.

    >>> paragraphs(["`a` < `b`"])
    "<p class='note'><code>a</code> &lt; <code>b</code></p>"
    """
    return "".join(f"<p class='{kind}'>{_line(line)}</p>" for line in lines)


def items(lines: Iterable[str]) -> str:
    """A list, empty text where there is none."""
    found = "".join(f"<li>{_line(line)}</li>" for line in lines)
    return f"<ul>{found}</ul>" if found else ""


def _line(text: str) -> str:
    return text if isinstance(text, Markup) else _NAME.sub(r"<code>\1</code>", escape(text))


def figures(svgs: Iterable[str]) -> str:
    """Pictures beside each other where there is room."""
    drawn = "".join(f"<figure>{svg}</figure>" for svg in svgs)
    return f"<div class='figures'>{drawn}</div>" if drawn else ""


def figure_text(estimate: Estimate) -> str:
    """A figure with its interval below it, where it has one."""
    if not np.isfinite(estimate.low):
        return f"{estimate.value:.3f}"
    return Markup(
        f"<span>{estimate.value:.3f}<small> {estimate.low:.3f}–{estimate.high:.3f}</small></span>"
    )


def share_text(part: float, whole: float) -> str:
    """``3.1 %``; a dash of nothing."""
    return f"{part / whole:.1%}".replace("%", " %") if whole else "–"
