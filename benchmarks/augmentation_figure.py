"""Generated things beside real ones: their columns and degrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowreason.models.diffusion.enlarged_data import Synthetic, enlarged
from knowreason.models.graph.node_graph import node_graph
from knowreason.report.chart import ACCENT, INK, PALETTE, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from knowreason.data import Dataset

COLUMNS = 3
STEPS = 12  # most distinct values that are drawn as bars of their own


def augmentation_figure(
    data: Dataset, made: Synthetic, rare: NDArray[np.bool_], columns: Sequence[str]
) -> Figure:
    """Distributions of some columns and of the degree: real rare, generated, other real things.

    Args:
        data: the real data set.
        made: generated things of the rare class.
        rare: ``bool[n]``, real things of that class.
        columns: columns of the feature table.
    """
    from matplotlib.figure import Figure

    panels = [(name, *_values(data, made, name)) for name in columns]
    if data.graph is not None:
        panels.append(("degree", *_degrees(data, made)))
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(3.1 * COLUMNS, 2.3 * rows), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes, (name, real, new) in zip(grid.flat, panels, strict=False):
        _panel(axes, name, real[rare], new, real[~rare])
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return figure


def _panel(
    axes: Axes,
    name: str,
    real: NDArray[np.floating],
    made: NDArray[np.floating],
    others: NDArray[np.floating],
) -> None:
    """Densities of the three, on a logarithmic scale where values span decades."""
    groups = [values[~np.isnan(values)] for values in (others, real, made)]
    every = np.concatenate(groups)
    distinct = np.unique(every)
    skewed = len(distinct) > STEPS and every.min() >= 0 and _span(every) > 8
    if skewed:
        groups = [np.log10(1 + values) for values in groups]
        every = np.concatenate(groups)
    edges = _edges(every)
    looks = (
        ("other real", QUIET, 1.0),
        ("real, rare", ACCENT, 2.0),
        ("generated", PALETTE[1], 2.0),
    )
    for values, (label, colour, width) in zip(groups, looks, strict=True):
        share = np.histogram(values, edges)[0] / max(len(values), 1)
        axes.stairs(share, edges, color=colour, linewidth=width, label=label)
    axes.set_title(f"log10(1 + {name})" if skewed else name, fontsize=9, color=INK, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=7)


def _edges(every: NDArray[np.floating]) -> NDArray[np.floating]:
    distinct = np.unique(every)
    if len(distinct) <= STEPS:
        middles = (distinct[1:] + distinct[:-1]) / 2
        return np.array([distinct[0] - 0.5, *middles, distinct[-1] + 0.5])
    low, high = np.quantile(every, [0.005, 0.995])
    return np.linspace(low, high if high > low else low + 1, 25)


def _span(values: NDArray[np.floating]) -> float:
    high, middle = np.quantile(values, [0.995, 0.5])
    return float((1 + high) / (1 + middle))


def _values(
    data: Dataset, made: Synthetic, name: str
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    table = data.features[made.domain]
    real = table.values[:, table.names.index(name)]
    return real, made.columns.values[:, made.columns.names.index(name)]


def _degrees(data: Dataset, made: Synthetic) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Degrees of the real things in the real graph, of the new ones in the enlarged one."""
    count = data.count(made.domain)
    degrees = []
    for world in (data, enlarged(data, made)):
        graph = node_graph(world)
        assert graph is not None
        first = graph.offsets[made.domain]
        degrees.append(graph.degree[first : first + world.count(made.domain)])
    return degrees[0][:count], degrees[1][count:]
