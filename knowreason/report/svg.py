"""Figures as SVG."""

from __future__ import annotations

import io
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from knowreason.disk import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, LINE = "#1f2933", "#9aa5b1", "#e4e7eb"
# Okabe & Ito (2008), "Color Universal Design", told apart by the colour-blind (Wong 2011, Nature
# Methods 8:441): blue, vermilion, bluish green, reddish purple, sky blue, orange.
ACCENT = "#0072b2"
PALETTE = (ACCENT, "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_THEME = {INK: "--ink", "#000000": "--ink", QUIET: "--axis", LINE: "--line", "#ffffff": "--card"}
_COLOUR = re.compile("|".join(_THEME))
_OWN = re.compile(r'(?<= id=")|(?<=url\(#)|(?<=href="#)')


def new_figure(
    width: float = 5.2, height: float = 4.0, layout: Literal["constrained"] | None = "constrained"
) -> tuple[Figure, Axes]:
    """A figure and its axes in the style of all; without ``layout`` the caller sets margins."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def svg_text(figure: Figure) -> str:
    """The figure as an ``<svg>`` element; the same figure gives the same text.

    >>> figure, _ = new_figure()
    >>> svg_text(figure)[:4]
    '<svg'
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "knowreason", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def described(svg: str, title: str, text: str) -> str:
    """The ``<svg>`` element with a title and a description, for those who do not see it.

    >>> figure, _ = new_figure()
    >>> "<title" in described(svg_text(figure), "Nothing", "There is nothing in it.")
    True
    """
    head, _, rest = svg.partition(">")
    named = f"<title>{escape(title)}</title><desc>{escape(text)}</desc>"
    return f'{head} role="img" aria-label="{escape(title)}">{named}{rest}'


def in_page(svg: str, key: str) -> str:
    """The ``<svg>`` element for a page with others: its ids begin with ``key``, and ink, lines and
    paper are the page's (``--ink``, ``--axis``, ``--line``, ``--card``), in dark mode too.

    >>> figure, _ = new_figure()
    >>> 'id="a-figure_1"' in in_page(svg_text(figure), "a")
    True
    """
    return _OWN.sub(f"{key}-", _COLOUR.sub(lambda c: f"var({_THEME[c[0]]})", svg))


def save_svg(figure: Figure, path: Path) -> None:
    """Write the figure as an SVG file, whole or not at all.

    >>> import tempfile
    >>> figure, _ = new_figure()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_svg(figure, Path(folder) / "empty.svg")
    ...     [path.name for path in Path(folder).iterdir()]
    ['empty.svg']
    """
    with whole_file(path) as temporary:
        temporary.write_text(svg_text(figure), encoding="utf-8")
