"""A chart written as SVG by hand: axes, lines, dots, intervals, bars.

matplotlib takes a second of CPU for the pictures of a report, two thirds of it to start and to
find out how wide texts are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10

import numpy as np
from numpy.typing import ArrayLike

INK, QUIET, ACCENT, GRID = "#1f2933", "#9aa5b1", "#1768ac", "#e4e7eb"
PALETTE = (ACCENT, "#e07a1f", "#3a8f5c", "#8a5fb0", "#6b7280", "#b08900")
TOP, RIGHT, TEXT = 28, 14, 9.0  # margins in pixels, size of letters
WIDE = 0.56 * TEXT  # of a letter, about
ENTRY = 16  # height of a line of the legend


@dataclass
class Chart:
    """One chart; what is drawn first lies below.

    Attributes:
        title, across, up: words above it, and on its axes.
        x, y: ends of the axes.
        width, height: in pixels, without the legend, which stands below.
        names: places on the upward axis and their words, in place of numbers.
        right: words and greatest value of a second upward axis, from 0, for bars.

    >>> chart = Chart("Growth", "year", "size", (0, 2), (0, 1))
    >>> chart.line([0, 1, 2], [0.1, 0.5, 0.9], label="oak")
    >>> chart.svg()[:4], "oak" in chart.svg()
    ('<svg', True)
    """

    title: str
    across: str
    up: str
    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 374.0
    height: float = 288.0
    names: Sequence[tuple[float, str]] = ()
    right: tuple[str, float] | None = None
    marks: list[str] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Margin in pixels: of the words on the upward axis."""
        if not self.names:
            return 48.0
        return 14 + WIDE * max((len(name) for _, name in self.names), default=0)

    def at(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """``float64[n, 2]``: pixels of points."""
        inner = self.width - self.left - RIGHT - (24 if self.right else 0)
        tall = self.height - TOP - 38
        across = self.left + inner * (np.asarray(x, float) - self.x[0]) / (self.x[1] - self.x[0])
        up = TOP + tall * (self.y[1] - np.asarray(y, float)) / (self.y[1] - self.y[0])
        return np.stack(np.broadcast_arrays(across, up), axis=-1).reshape(-1, 2)

    def line(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        colour: str = ACCENT,
        width: float = 1.6,
        dashed: bool = False,
        stairs: bool = False,
        label: str = "",
    ) -> None:
        """A line through points; ``stairs`` goes up or down first, then across."""
        points = np.round(self.at(x, y), 1)
        style = f"fill='none' stroke='{colour}' stroke-width='{width:g}'"
        style += " stroke-dasharray='5 3'" if dashed else ""
        if stairs:
            points = _corners(points)
            rest = "".join(f"V{b:g}H{a:g}" for a, b in points[1:].tolist())
        else:
            rest = "".join(f"L{a:g} {b:g}" for a, b in points[1:].tolist())
        for a, b in points[:1].tolist():
            self.marks.append(f"<path d='M{a:g} {b:g}{rest}' {style}/>")
        if label:
            self.legend.append((label, f"<path d='M0 0H18' {style}/>"))

    def intervals(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, label: str = "") -> None:
        """Upright lines from ``low`` to ``high``."""
        style = f"stroke='{ACCENT}' stroke-width='1.4'"
        ends = zip(self.at(x, low).tolist(), self.at(x, high).tolist(), strict=True)
        paths = "".join(f"M{a:.1f} {b:.1f}V{top:.1f}" for (a, b), (_, top) in ends)
        self.marks.append(f"<path d='{paths}' {style}/>")
        if label:
            self.legend.append((label, f"<path d='M9 -6V6' {style}/>"))

    def dots(
        self,
        x: ArrayLike,
        y: ArrayLike,
        radius: ArrayLike = 3.5,
        colour: str = ACCENT,
        hollow: bool = False,
    ) -> None:
        """Discs, or rings where ``hollow``."""
        points = self.at(x, y)
        sizes = np.broadcast_to(np.asarray(radius, float), len(points))
        fill = f"fill='none' stroke='{colour}'" if hollow else f"fill='{colour}' opacity='.8'"
        self.marks += [
            f"<circle cx='{a:.1f}' cy='{b:.1f}' r='{size:.1f}' {fill}/>"
            for (a, b), size in zip(points.tolist(), sizes.tolist(), strict=True)
        ]

    def bars(self, x: ArrayLike, value: ArrayLike) -> None:
        """Bars on the second upward axis (:attr:`right`)."""
        most = self.right[1] if self.right else 1.0
        share = self.y[0] + (self.y[1] - self.y[0]) * np.asarray(value, float) / most
        places = np.unique(np.asarray(x, float))
        gap = float(np.diff(places).min()) if len(places) > 1 else 1.0
        wide = 0.8 * float(self.at(gap, 0)[0, 0] - self.at(0, 0)[0, 0])
        floor_at = float(self.at(self.x[0], self.y[0])[0, 1])
        self.marks += [
            f"<rect x='{a - wide / 2:.1f}' y='{b:.1f}' width='{wide:.1f}' "
            f"height='{max(floor_at - b, 0):.1f}' fill='{GRID}'/>"
            for a, b in self.at(x, share).tolist()
        ]

    def svg(self) -> str:
        """The ``<svg>`` element; the same chart gives the same text."""
        entries = [
            f"<g transform='translate({self.left:g} {self.height + ENTRY * (n + 0.5):g})'>{mark}"
            f"{_text(26, 3, name)}</g>"
            for n, (name, mark) in enumerate(self.legend)
        ]
        tall = self.height + ENTRY * len(entries) + (6 if entries else 0)
        parts = [*self._axes(), *self.marks, *entries]
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.width:g} {tall:g}' "
            f"width='{self.width:g}' height='{tall:g}' font-family='sans-serif' "
            f"font-size='{TEXT:g}' fill='{INK}' role='img'>{''.join(parts)}</svg>\n"
        )

    def _axes(self) -> Iterable[str]:
        (left, bottom), (right, top) = self.at(self.x, self.y).tolist()
        yield f"<rect width='100%' height='100%' fill='white'/>{_text(left, 16, self.title, 11)}"
        for value in ticks(*self.x):
            place = float(self.at(value, self.y[0])[0, 0])
            yield f"<path d='M{place:.1f} {bottom:.1f}V{top:.1f}' stroke='{GRID}'/>"
            yield _text(place, bottom + 13, f"{value:g}", anchor="middle")
        named = self.names or [(value, f"{value:g}") for value in ticks(*self.y)]
        for value, word in named:
            height = float(self.at(self.x[0], value)[0, 1])
            if not self.names:
                yield f"<path d='M{left:.1f} {height:.1f}H{right:.1f}' stroke='{GRID}'/>"
            yield _text(left - 5, height + 3, word, anchor="end")
        if self.right:
            words, most = self.right
            for value in ticks(0, most):
                height = bottom - (bottom - top) * value / most
                yield _text(right + 4, height + 3, f"{value:g}", colour=QUIET)
            yield _upward(self.width - 4, (top + bottom) / 2, words, QUIET)
        yield _text((left + right) / 2, bottom + 30, self.across, anchor="middle")
        yield _upward(14, (top + bottom) / 2, self.up, INK) if self.up else ""
        yield f"<path d='M{left:.1f} {top:.1f}V{bottom:.1f}H{right:.1f}' fill='none'"
        yield f" stroke='{INK}' stroke-width='.8'/>"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from ``low`` to ``high``, ``most`` and one at most.

    >>> ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / most
    if not rough > 0:
        return [low]
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * by for by in (1, 2, 2.5, 5, 10) if unit * by >= rough * (1 - 1e-9))
    first = ceil(low / step - 1e-9)
    return [round(step * k, 10) + 0.0 for k in range(first, floor(high / step + 1e-9) + 1)]


def _corners(points: np.ndarray) -> np.ndarray:
    """The points of stairs that are seen: ends of levels, and ends of what is upright."""
    ends = np.append(np.diff(points[:, 1]) != 0, True)
    ends[:1] = True
    points = points[ends]
    upright = np.diff(points[:, 0]) == 0
    return np.asarray(points[~(np.append(False, upright) & np.append(upright, False))])


def _text(
    x: float, y: float, words: str, size: float = TEXT, anchor: str = "start", colour: str = INK
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size:g}' text-anchor='{anchor}' "
        f"fill='{colour}'>{escape(words)}</text>"
    )


def _upward(x: float, y: float, words: str, colour: str) -> str:
    turned = f"<text transform='translate({x:.1f} {y:.1f}) rotate(-90)' text-anchor='middle' "
    return f"{turned}fill='{colour}'>{escape(words)}</text>"
