"""Fits of rules that are not linear in their weights: tangents taken until they stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from knowreason.learning import Fit

ROUNDS, SETTLED = 12, 0.01  # of tangents; how near, in prior standard deviations
MEMORY = 5  # rounds that say where the next tangents are taken


def settled(at: Callable[[NDArray[np.float64]], Fit], theta: NDArray[np.float64], fit: Fit) -> Fit:
    """A fit whose tangents were taken where it ended.

    Rules with ``<~>`` or ``~>`` are not linear in their weights. They are learned along tangents,
    and these are taken anew where the result of the last rounds points to (Anderson 1965: whole
    steps can go to and fro, half ones creep), until it stays within a hundredth of the prior
    standard deviations: there the gradient is that of the tables themselves.

    Args:
        at: learns with tangents taken at weights (``float64[p]``).
        theta: where the tangents of the first fit were taken.
        fit: the first fit.

    Returns:
        The settled fit, or the one that moved least, not converged and with a note that says so.
    """
    sd = fit.parameters.prior_sd
    unit = SETTLED * np.where(np.isfinite(sd) & (sd > 0), sd, 1.0)
    table = fit.parameters
    points, gaps, fits = [theta / unit], [(fit.theta - theta) / unit], [fit]
    for _ in range(ROUNDS):
        if (np.abs(gaps[-1]) <= 1).all():
            return fit
        ahead = points[-1] + gaps[-1]
        if len(gaps) > 1:
            turns = np.diff(gaps[-MEMORY:], axis=0).T
            steps = np.diff(points[-MEMORY:], axis=0).T
            ahead -= (steps + turns) @ np.linalg.lstsq(turns, gaps[-1], rcond=1e-6)[0]
        theta = np.clip(ahead * unit, table.lower, table.upper)
        fit = at(theta)
        fits.append(fit)
        points.append(theta / unit)
        gaps.append((fit.theta - theta) / unit)
    if (np.abs(gaps[-1]) <= 1).all():
        return fit
    nearest = int(np.argmin([np.abs(gap).max() for gap in gaps]))
    fit, away_of = fits[nearest], np.abs(gaps[nearest])
    worst = int(np.argmax(away_of))
    away = float(away_of[worst] * unit[worst])
    note = (
        "weights of rules with `<~>` or `~>` have not settled: "
        f"`{fit.parameters.names[worst]}` still moves by {away:.2g}"
    )
    return replace(fit, notes=(*fit.notes, note), converged=False)
