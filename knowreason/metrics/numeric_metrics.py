"""How good estimates of numbers are: error, share explained, order, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowreason.metrics.intervals import Estimate, draw

Floats = NDArray[np.float64]
Formula = Callable[[Floats, Floats, Floats], Floats]


def _rmse(truth: Floats, said: Floats, weights: Floats) -> Floats:
    return np.asarray(np.sqrt(weights @ (said - truth) ** 2 / weights.sum(axis=1)))


def _mae(truth: Floats, said: Floats, weights: Floats) -> Floats:
    return np.asarray(weights @ np.abs(said - truth) / weights.sum(axis=1))


def _r2(truth: Floats, said: Floats, weights: Floats) -> Floats:
    """Of each resample about its own mean; NaN where all its numbers are one."""
    total = weights.sum(axis=1)
    centred = truth - truth.mean()  # else squares of large numbers cancel
    mean = weights @ centred / total
    spread = weights @ centred**2 / total - mean**2
    error = weights @ (said - truth) ** 2 / total
    least = 1e-12 * float(np.var(truth))  # what rounding leaves of a constant
    return np.where(spread > least, 1 - error / spread, np.nan)


def _spearman(truth: Floats, said: Floats, weights: Floats) -> Floats:
    """Correlation of ranks among all rows; those of a resample are not ranked anew."""
    from scipy.stats import rankdata

    x, y = rankdata(truth), rankdata(said)
    x, y, total = x - x.mean(), y - y.mean(), weights.sum(axis=1)
    dx, dy = weights @ x / total, weights @ y / total
    over = np.sqrt((weights @ x**2 / total - dx**2) * (weights @ y**2 / total - dy**2))
    return np.where(over > 1e-9, (weights @ (x * y) / total - dx * dy) / over, np.nan)


NUMERIC_METRICS: Mapping[str, Formula] = {
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "spearman": _spearman,
}


def evaluate_numbers(
    truth: ArrayLike,
    estimates: Mapping[str, ArrayLike],
    *,
    blocks: ArrayLike | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, dict[str, Estimate]]:
    """Root mean squared and mean absolute error, R2 and Spearman's rank correlation.

    Args:
        truth: ``float64[n]``.
        estimates: ``float64[n]`` by name of what made them.
        blocks: a group a number; whole blocks are resampled where given.
        resamples: of the bootstrap; 0 for none.
        seed: of the resampling; the same resamples serve every estimate.

    Returns:
        ``result[name][metric]`` with percentile intervals; NaN where a figure is not defined.

    >>> table = evaluate_numbers([1.0, 2.0, 4.0], {"model": [1.0, 3.0, 4.0]}, resamples=0)
    >>> {name: round(figure.value, 3) for name, figure in table["model"].items()}
    {'rmse': 0.577, 'mae': 0.333, 'r2': 0.786, 'spearman': 1.0}
    """
    numbers = np.asarray(truth, np.float64)
    draws = draw(len(numbers), blocks, resamples, seed)
    once = np.ones((1, len(numbers)))
    table: dict[str, dict[str, Estimate]] = {}
    for name, values in estimates.items():
        said = np.asarray(values, np.float64)
        table[name] = {}
        for key, formula in NUMERIC_METRICS.items():
            with np.errstate(divide="ignore", invalid="ignore"):
                value = float(formula(numbers, said, once)[0]) if len(numbers) else float("nan")
                drawn = [formula(numbers, said, weights) for weights in draws.weights()]
            spread = np.concatenate(drawn) if drawn else np.zeros(0)
            table[name][key] = Estimate.of(value, spread)
    return table
