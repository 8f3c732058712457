"""Energies of groups of nodes over training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowreason.report.chart import ACCENT, INK, PALETTE, QUIET
from knowreason.report.svg import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def energies_figure(
    steps: NDArray[np.integer],
    groups: Mapping[str, NDArray[np.floating]],
    shares: Mapping[str, NDArray[np.floating]],
    kept: int,
    title: str = "Energies over training",
) -> Figure:
    """A figure of median energies with their 50 and 90 % bands; shares of pairs below.

    Args:
        steps: ``int[t]``, gradient steps.
        groups: by name ``float[t, 5]``, quantiles 5, 25, 50, 75 and 95 % of the energies.
        shares: by name ``float[t]``, where one half is chance.
        kept: the step whose weights are kept.
        title: above the picture.

    >>> levels = np.arange(10.0).reshape(2, 5)
    >>> figure = energies_figure(np.arange(2), {"normal": levels}, {"AUC": np.ones(2)}, 1)
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['energy', 'share of pairs']
    """
    figure, axes = new_figure(6.4, 4.6)
    axes.remove()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.4))
    for (name, levels), colour in zip(groups.items(), (PALETTE[1], ACCENT), strict=False):
        upper.fill_between(steps, levels[:, 0], levels[:, 4], color=colour, alpha=0.12, lw=0)
        upper.fill_between(steps, levels[:, 1], levels[:, 3], color=colour, alpha=0.25, lw=0)
        upper.plot(steps, levels[:, 2], color=colour, linewidth=1.8, label=name)
    for (name, share), style in zip(shares.items(), ("-", ":"), strict=False):
        lower.plot(steps, share, color=INK, linewidth=1.6, linestyle=style, label=name)
    lower.axhline(0.5, color=QUIET, linewidth=1, linestyle="--")
    for axes in (upper, lower):
        axes.axvline(kept, color=QUIET, linewidth=1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=9)
        axes.legend(frameon=False, fontsize=9, loc="best")
    upper.set_title(title, fontsize=11, color=INK, loc="left")
    upper.set_ylabel("energy", fontsize=9, color=INK)
    lower.set_ylabel("share of pairs", fontsize=9, color=INK)
    lower.set_xlabel("gradient step (line: the weights that are kept)", fontsize=9, color=INK)
    return figure
