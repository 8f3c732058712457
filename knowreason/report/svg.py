"""Figures as SVG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from knowreason.disk import whole_file
from knowreason.report.chart import GRID, INK, Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure(width: float = 5.2, height: float = 4.0) -> tuple[Figure, Axes]:
    """A matplotlib figure and its axes in the house style."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def svg_text(figure: Chart | Figure) -> str:
    """The chart, or matplotlib's figure, as an ``<svg>`` element; the same gives the same text.

    >>> svg_text(Chart("", "", "", (0, 1), (0, 1)))[:4]
    '<svg'
    """
    if isinstance(figure, Chart):
        return figure.svg()
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "knowreason", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def save_svg(figure: Chart | Figure, path: Path) -> None:
    """Write the chart or figure as an SVG file, whole or not at all.

    >>> import tempfile
    >>> figure = Chart("", "", "", (0, 1), (0, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_svg(figure, Path(folder) / "empty.svg")
    ...     [path.name for path in Path(folder).iterdir()]
    ['empty.svg']
    """
    with whole_file(path) as temporary:
        temporary.write_text(svg_text(figure), encoding="utf-8")
