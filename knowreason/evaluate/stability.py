"""How conclusions move when a rule is left out or the weights are resampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

STRONGEST = 10
DECIDED = 0.5


@dataclass(frozen=True)
class Stability:
    """What one change does to conclusions.

    Attributes:
        change: ``without RULE`` or ``weights resampled``.
        kept: how many of the ten strongest conclusions stay among the ten strongest (of
            resampled weights: stay above the eleventh at its own best).
        moved: mean absolute change of a probability (half the width of its interval).
        turned: conclusions that change sides of 50 % (whose interval holds 50 %).

    Example:
        >>> (row,) = stability(np.array([2.0, -1.0]), {"without peers": np.array([1.0, 1.0])})
        >>> row.change, row.turned
        ('without peers', 1)
    """

    change: str
    kept: int
    moved: float
    turned: int


def stability(
    log_odds: NDArray[np.float64],
    without: Mapping[str, NDArray[np.float64]],
    interval: NDArray[np.float32] | None = None,
) -> tuple[Stability, ...]:
    """How conclusions move under each change.

    Args:
        log_odds: ``float64[n]`` of the conclusions.
        without: log-odds after each change, by its name.
        interval: ``float[2, n]`` bounds over bootstrap replicates of the weights.

    Example:
        >>> stability(np.array([2.0, -1.0]), {"without peers": np.array([2.0, -1.0])})
        (Stability(change='without peers', kept=2, moved=0.0, turned=0),)
    """
    usual, strongest = expit(log_odds), _strongest(log_odds)
    rows = []
    if interval is not None:
        low, high = expit(interval.astype(np.float64))
        others = np.setdiff1d(np.arange(len(log_odds)), strongest)
        rival = high[others].max(initial=0.0)
        rows.append(
            Stability(
                "weights resampled",
                int((low[strongest] >= rival).sum()),
                float((high - low).mean() / 2) if len(low) else 0.0,
                int(((low < DECIDED) & (high > DECIDED)).sum()),
            )
        )
    for name, other in without.items():
        then = expit(other)
        rows.append(
            Stability(
                name,
                len(np.intersect1d(strongest, _strongest(other))),
                float(np.abs(then - usual).mean()) if len(then) else 0.0,
                int(((then > DECIDED) != (usual > DECIDED)).sum()),
            )
        )
    return tuple(rows)


def _strongest(log_odds: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.argsort(-log_odds, kind="stable")[:STRONGEST]
