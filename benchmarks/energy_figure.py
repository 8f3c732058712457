"""Energies of observed and perturbed ego-subgraphs over training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowreason.report.svg import ACCENT, INK, PALETTE, QUIET, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def energies_figure(
    steps: NDArray[np.integer],
    observed: NDArray[np.floating],
    perturbed: NDArray[np.floating],
    contrast: NDArray[np.floating],
    title: str = "Energies over training",
) -> Figure:
    """A figure of median energies with their 50 and 90 % bands; the contrast below.

    Args:
        steps: ``int[t]``, gradient steps.
        observed, perturbed: ``float[t, 5]``, quantiles 5, 25, 50, 75 and 95 % of the energies.
        contrast: ``float[t]``, share of perturbed ego-subgraphs with the higher energy.
        title: above the picture.

    >>> levels = np.arange(10.0).reshape(2, 5)
    >>> figure = energies_figure(np.array([0, 1]), levels, levels + 1, np.array([0.5, 0.9]))
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['energy', 'told apart']
    """
    figure, axes = new_figure(6.4, 4.6)
    axes.remove()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for name, levels, colour in (
        ("perturbed", perturbed, PALETTE[1]),
        ("observed", observed, ACCENT),
    ):
        upper.fill_between(steps, levels[:, 0], levels[:, 4], color=colour, alpha=0.12, lw=0)
        upper.fill_between(steps, levels[:, 1], levels[:, 3], color=colour, alpha=0.25, lw=0)
        upper.plot(steps, levels[:, 2], color=colour, linewidth=1.8, label=name)
    lower.plot(steps, contrast, color=INK, linewidth=1.6)
    lower.axhline(0.5, color=QUIET, linewidth=1, linestyle="--")
    best = int(np.argmax(contrast))
    for axes in (upper, lower):
        axes.axvline(steps[best], color=QUIET, linewidth=1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=9)
    upper.set_title(title, fontsize=11, color=INK, loc="left")
    upper.set_ylabel("energy", fontsize=9, color=INK)
    upper.legend(frameon=False, fontsize=9, loc="upper left")
    lower.set_ylabel("told apart", fontsize=9, color=INK)
    lower.set_xlabel("gradient step (line: the weights that are kept)", fontsize=9, color=INK)
    return figure
