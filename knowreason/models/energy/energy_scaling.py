"""Monotone maps that are learned once and used on any graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

KNOTS = 256


@dataclass(frozen=True)
class NormalScores:
    """Each column by its ranks as a standard normal one.

    Heavy tails and units go, order stays. Ties share their mean rank; a column whose values
    are all alike is 0.

    Attributes:
        values, scores: ``float32[d, KNOTS]``, ascending; linear in between, flat outside.
    """

    values: NDArray[np.float32]
    scores: NDArray[np.float32]

    @staticmethod
    def fit(x: NDArray[np.floating]) -> NormalScores:
        """Learn from ``x`` ``[n, d]`` without missing values."""
        pairs = [_knots(column) for column in np.asarray(x, np.float64).T]
        shape = (len(pairs), KNOTS)
        values = np.array([values for values, _ in pairs], np.float32).reshape(shape)
        return NormalScores(values, np.array([s for _, s in pairs], np.float32).reshape(shape))

    def __call__(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """``float32[n, d]``."""
        scored = np.zeros(x.shape, np.float32)
        for column, (values, scores) in enumerate(zip(self.values, self.scores, strict=True)):
            scored[:, column] = np.interp(x[:, column], values, scores)
        return scored


def _knots(column: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, first = np.unique(column, return_index=True)
    if len(values) < 2:
        return np.full(KNOTS, values[0] if len(values) else 0.0), np.zeros(KNOTS)
    score = ndtri((rankdata(column) - 0.5) / len(column))
    score = (score - score.mean()) / score.std()
    ranks = np.linspace(0, len(values) - 1, KNOTS).round().astype(np.int64)
    return values[ranks], score[first[ranks]]


@dataclass(frozen=True)
class PrincipalParts:
    """Leading principal components, on one common scale (not whitened).

    Attributes:
        mean: ``float32[d]``.
        directions: ``float32[d, q]``.
        variances: ``float32[q]`` of the unscaled components.
        rest: variance a dimension left over, above 0.
        scale: root mean square of all components.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    variances: NDArray[np.float32]
    rest: NDArray[np.float32]
    scale: NDArray[np.float32]

    @staticmethod
    def fit(x: NDArray[np.floating], parts: int) -> PrincipalParts:
        """At most ``parts`` components, a quarter of the rows and the dimensions of ``x``."""
        values = np.asarray(x, np.float64)
        count, width = values.shape
        parts = max(min(parts, width, count // 4), min(width, 1))
        mean = values.mean(axis=0) if count else np.zeros(width)
        covariance = (values - mean).T @ (values - mean) / max(count, 1)
        size, direction = np.linalg.eigh(covariance)
        size, direction = np.maximum(size[::-1], 0), direction[:, ::-1]
        left = size[parts:].mean() if parts < width else 0.0
        rest = max(float(left), 1e-2 * float(size.mean()) if width else 0.0, 1e-9)
        scale = np.sqrt(size[:parts].mean()) if parts else 0.0
        signs = np.sign(direction[:, :parts].sum(axis=0)) + (direction[:, :parts].sum(axis=0) == 0)
        return PrincipalParts(
            mean.astype(np.float32),
            (direction[:, :parts] * signs).astype(np.float32),
            np.maximum(size[:parts], rest).astype(np.float32),
            np.array([rest], np.float32),
            np.array([scale if scale > 0 else 1.0], np.float32),
        )

    def __call__(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Components ``float32[n, q]``."""
        return ((x - self.mean) @ self.directions / self.scale).astype(np.float32)

    def energy(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """-log density, up to a constant, of a Gaussian with these components and isotropic
        rest (probabilistic PCA, Tipping & Bishop 1999), ``float64[n]``."""
        centred = np.asarray(x - self.mean, np.float64)
        along = centred @ self.directions
        beyond = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        energy: NDArray[np.float64] = 0.5 * (
            (along**2 / self.variances).sum(axis=1) + beyond / self.rest[0]
        )
        return energy


@dataclass(frozen=True)
class Standard:
    """Energies of one term as surprise: ``-log`` of the share of training nodes above, less 1.

    Mean 0 and deviation 1 on the training graph whatever the term's unit, and long only
    where the term is surprised: summed over terms it is Fisher's way to combine p-values
    (Fisher 1932). Beyond the highest training energy the tail goes on as an exponential one.

    Attributes:
        knots: ``float64[k]``, ascending energies; levels: ``float64[k]``, what they become.
        slope: ``float64[1]``, beyond the last knot.
    """

    knots: NDArray[np.float64]
    levels: NDArray[np.float64]
    slope: NDArray[np.float64]

    @staticmethod
    def fit(energies: NDArray[np.floating]) -> Standard:
        """Learn from energies ``[n]``; ``NaN`` is left out."""
        x = np.asarray(energies, np.float64)
        x = x[~np.isnan(x)]
        if not len(x) or x.min() == x.max():
            return Standard(np.zeros(1), np.zeros(1), np.zeros(1))
        knots, first = np.unique(x, return_index=True)
        levels = -np.log1p(-(rankdata(x)[first] - 0.5) / len(x))
        ranks = np.unique(
            np.concatenate(
                [
                    np.linspace(0, len(knots) - 1, KNOTS).round().astype(np.int64),
                    np.searchsorted(levels, np.linspace(levels[0], levels[-1], KNOTS)),
                ]
            )
        )
        start = np.quantile(x, 0.9)
        excess = (x[x > start] - start).mean() if (x > start).any() else 0.0
        slope = 1 / excess if excess > 0 else 0.0
        return Standard(knots[ranks], levels[ranks] - 1, np.array([slope]))

    def __call__(self, energies: NDArray[np.floating]) -> NDArray[np.float64]:
        """Surprise ``[n]``; 0 for ``NaN``."""
        surprise = np.interp(energies, self.knots, self.levels)
        beyond = np.maximum(np.asarray(energies, np.float64) - self.knots[-1], 0)
        filled: NDArray[np.float64] = np.nan_to_num(surprise + self.slope * beyond, nan=0.0)
        return filled
