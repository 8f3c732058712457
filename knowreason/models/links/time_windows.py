"""Links cut into windows of time, what a window holds, and what came before it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from knowreason.errors import ModelError
from knowreason.lang.syntax.literal_values import parse_duration
from knowreason.models.links.timed_links import LinkData, Links

SECOND = 1_000_000  # microseconds
HISTORY = (
    "pair before",
    "pair gap",
    "pair new",
    "reverse before",
    "source active",
    "source gap",
    "source partners",
    "target active",
    "target gap",
    "target partners",
)


@dataclass(frozen=True)
class Windows:
    """Distinct directed pairs of each window that holds any; step ``t`` is its position.

    Attributes:
        nodes: number of nodes.
        numbers: ``int64[W]``, ``floor(time / width)`` of each window, ascending.
        offsets: ``int64[W + 1]``; the pairs of step t are ``offsets[t]:offsets[t + 1]``.
        source, target: ``int64[P]`` nodes.
        count: ``int64[P]``, how many links each pair stands for.
    """

    nodes: int
    numbers: NDArray[np.int64]
    offsets: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    count: NDArray[np.int64]

    @property
    def steps(self) -> int:
        """Number of windows."""
        return len(self.numbers)

    @cached_property
    def step(self) -> NDArray[np.int64]:
        """``int64[P]``: step of each pair."""
        return np.repeat(np.arange(self.steps), np.diff(self.offsets))


def window_width(window: str | float, links: LinkData) -> float:
    """Width of a window in units of the links' times.

    Raises:
        ModelError: KR877 for a text that is no duration, a duration where times are numbers,
            or a width that is not above 0.
    """
    if isinstance(window, str):
        parsed = parse_duration(window)
        if parsed is None or not links.moments:
            raise ModelError(
                f'window "{window}" is no duration'
                if parsed is None
                else f'window "{window}" is a duration and the times of the edges are numbers',
                code="KR877",
                help='`"30m"` or `"7d"` for moments, a number for numbers',
            )
        width = float(parsed)
    else:
        width = float(window) * (SECOND if links.moments else 1)
    if not width > 0:
        raise ModelError(f"a window of width {window} holds nothing", code="KR877")
    return width


def windows_of(links: Links, nodes: int, width: float) -> Windows:
    """Aggregate timed links; those without a time are left out."""
    timed = links.take(links.there & ~np.isnan(links.time))
    number = np.floor(timed.time / width).astype(np.int64)
    order = np.lexsort((timed.target, timed.source, number))
    table = np.stack([number, timed.source, timed.target])[:, order]
    first = np.ones(table.shape[1], bool)
    first[1:] = (table[:, 1:] != table[:, :-1]).any(axis=0)
    start = np.flatnonzero(first)
    count = np.diff(np.append(start, table.shape[1]))
    number, source, target = table[:, start]
    numbers, at = np.unique(number, return_index=True)
    offsets = np.append(at, len(number)).astype(np.int64)
    return Windows(nodes, numbers, offsets, source, target, count)


class Counter:
    """How often a key occurred at earlier steps, and when last.

    Args:
        key: ``int64[P]`` non-negative.
        step: ``int64[P]``.
        numbers: ``int64[W]``, window number of each step.
    """

    def __init__(
        self, key: NDArray[np.int64], step: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> None:
        self.known, index = np.unique(key, return_inverse=True)
        self.numbers = numbers
        self.width = len(numbers) + 1
        self.events = np.unique(index * self.width + step)
        self.start = np.searchsorted(self.events, np.arange(len(self.known) + 1) * self.width)

    def before(
        self, key: NDArray[np.int64], step: NDArray[np.int64], now: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps before ``step`` at which the key occurred, and windows since the last one.

        Args:
            key: ``int64[n]``.
            step: ``int64[n]``.
            now: ``int64[n]``, window number each row is in.

        Returns:
            ``int64[n]`` counts, and gaps (0 where there is none).
        """
        if not len(self.known):
            return np.zeros_like(key), np.zeros_like(key)
        index = np.minimum(np.searchsorted(self.known, key), len(self.known) - 1)
        end = np.searchsorted(self.events, index * self.width + step)
        count = np.where(self.known[index] == key, end - self.start[index], 0)
        last = self.numbers[self.events[np.maximum(end - 1, 0)] % self.width]
        return count, np.where(count > 0, now - last, 0)


class WindowHistory:
    """What happened in the windows before a pair's own: see :data:`HISTORY`.

    Built once from :class:`Windows`; asked about any pairs at any steps by binary search.
    """

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        source, target, step = windows.source, windows.target, windows.step
        pair = source * windows.nodes + target
        _, first = np.unique(pair, return_index=True)  # pairs are in order of step
        self.pairs = Counter(pair, step, windows.numbers)
        self.sources = Counter(source, step, windows.numbers)
        self.targets = Counter(target, step, windows.numbers)
        self.new_targets = _Firsts(source[first], step[first])
        self.new_sources = _Firsts(target[first], step[first])

    def inputs(
        self,
        source: NDArray[np.int64],
        target: NDArray[np.int64],
        step: NDArray[np.int64],
        now: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Logarithms of counts and gaps of each pair, ``float32[n, len(HISTORY)]``.

        Args:
            source, target: ``int64[n]`` nodes.
            step: ``int64[n]``; only windows before it are looked at.
            now: ``int64[n]``, window number each row is in.
        """
        nodes = self.windows.nodes
        count, gap = self.pairs.before(source * nodes + target, step, now)
        reverse, _ = self.pairs.before(target * nodes + source, step, now)
        out, out_gap = self.sources.before(source, step, now)
        into, into_gap = self.targets.before(target, step, now)
        columns = np.stack(
            [
                count,
                gap,
                count == 0,
                reverse,
                out,
                out_gap,
                self.new_targets.before(source, step),
                into,
                into_gap,
                self.new_sources.before(target, step),
            ],
            axis=1,
        )
        scaled: NDArray[np.float32] = np.log1p(np.maximum(columns, 0)).astype(np.float32)
        return scaled


class _Firsts:
    """Number of distinct partners of a node before a step."""

    def __init__(self, node: NDArray[np.int64], step: NDArray[np.int64]) -> None:
        self.width = int(step.max(initial=0)) + 2
        self.events = np.sort(node * self.width + step)

    def before(self, node: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.int64]:
        start = node * self.width
        end = start + np.minimum(step, self.width - 1)
        return np.searchsorted(self.events, end) - np.searchsorted(self.events, start)
