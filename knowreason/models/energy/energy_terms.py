"""Named energies of ego-subgraphs that need no network: each -log of a density.

A term is fitted on observed ego-subgraphs and gives the energy of any, ``NaN`` where it has
nothing to say (no neighbour to compare with).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from knowreason.models.energy.ego_subgraphs import Egos
from knowreason.models.energy.energy_scaling import NormalScores, PrincipalParts

BINS = 20
LIMIT = 4.0  # normal scores beyond it share the outermost bins
DIFFERENCE_PARTS, EDGE_PARTS = 32, 16
RIDGE = 1e-2
SMOOTHING = np.exp(-0.5 * np.arange(-3, 4) ** 2)


@dataclass(frozen=True)
class Inputs:
    """Features of all nodes as the terms see them.

    Attributes:
        scores: ``float32[n, d]``, normal scores of each column.
        parts: ``float32[n, q]``, leading principal components of those.
    """

    scores: NDArray[np.float32]
    parts: NDArray[np.float32]


@dataclass(frozen=True)
class InputMaps:
    """How features become :class:`Inputs`, learned on one graph and used on any."""

    columns: NormalScores
    reduction: PrincipalParts

    @staticmethod
    def fit(x: NDArray[np.floating], parts: int) -> InputMaps:
        """Learn from features ``[n, d]``."""
        columns = NormalScores.fit(x)
        return InputMaps(columns, PrincipalParts.fit(columns(x), parts))

    def __call__(self, x: NDArray[np.floating]) -> Inputs:
        """The inputs of features ``[n, d]``."""
        scores = self.columns(x)
        return Inputs(scores, self.reduction(scores))


class EnergyTerm(Protocol):
    """A fitted energy."""

    def energy(self, egos: Egos, inputs: Inputs) -> NDArray[np.float64]:
        """``float64[len(egos)]``, higher is stranger."""


@dataclass(frozen=True)
class Attributes:
    """Histogram density of the centre's features, columns taken as independent.

    HBOS (Goldstein & Dengel 2012) on normal scores: bins of equal width there are wide
    where a column has few values.

    Attributes:
        energies: ``float64[d, BINS]``.
    """

    name: ClassVar[str] = "attributes"
    energies: NDArray[np.float64]

    @staticmethod
    def fit(egos: Egos, inputs: Inputs) -> Attributes:
        """Count."""
        bins = _bins(inputs.scores[egos.own])
        width = bins.shape[1]
        flat = (bins + BINS * np.arange(width)).ravel()
        counts = np.bincount(flat, minlength=width * BINS).reshape(width, BINS)
        return Attributes(-np.log((counts + 0.5) / (len(bins) + 0.5 * BINS)))

    def energy(self, egos: Egos, inputs: Inputs) -> NDArray[np.float64]:
        """Sum over columns."""
        bins = _bins(inputs.scores[egos.own])
        energy: NDArray[np.float64] = self.energies[np.arange(bins.shape[1]), bins].sum(axis=1)
        return energy


@dataclass(frozen=True)
class Difference:
    """Gaussian density of the centre's features less the mean of its neighbours.

    The difference is divided by the root of ``1 + 1 / degree``, which makes its spread the
    same for few and many neighbours that are alike.
    """

    name: ClassVar[str] = "difference"
    density: PrincipalParts

    @staticmethod
    def fit(egos: Egos, inputs: Inputs) -> Difference:
        """Learn the covariance of centres that have neighbours."""
        differences = _differences(egos, inputs)[egos.degree > 0]
        return Difference(PrincipalParts.fit(differences, DIFFERENCE_PARTS))

    def energy(self, egos: Egos, inputs: Inputs) -> NDArray[np.float64]:
        """Half a squared Mahalanobis distance."""
        energy = self.density.energy(_differences(egos, inputs))
        return np.where(egos.degree > 0, energy, np.nan)


@dataclass(frozen=True)
class Edge:
    """``-log p(x_u | x_v)``, linear Gaussian, mean over the neighbours u of the centre v.

    Attributes:
        mapping: ``float64[q, q]``, expected features of a neighbour from the centre's.
        whitening: ``float64[q, q]``, root of the inverse covariance of what is left.
    """

    name: ClassVar[str] = "edge"
    mapping: NDArray[np.float64]
    whitening: NDArray[np.float64]

    @staticmethod
    def fit(egos: Egos, inputs: Inputs) -> Edge:
        """Least squares over all edges, by sums over nodes."""
        every = inputs.parts[:, :EDGE_PARTS].astype(np.float64)
        centre, width = every[egos.own], min(EDGE_PARTS, inputs.parts.shape[1])
        counted = np.asarray(egos.neighbours.sum(axis=0)).ravel()
        own = (centre * egos.degree[:, None]).T @ centre
        other = (every * counted[:, None]).T @ every
        cross = centre.T @ (egos.neighbours @ every)
        mapping = np.linalg.solve(own + _ridge(own), cross)
        left = other - cross.T @ mapping - mapping.T @ cross + mapping.T @ own @ mapping
        left = left / max(egos.degree.sum(), 1)
        inverse = np.linalg.inv(left + _ridge(left)) if width else left
        return Edge(mapping, np.linalg.cholesky(inverse))

    def energy(self, egos: Egos, inputs: Inputs) -> NDArray[np.float64]:
        """Half the mean squared distance from what was expected, by two sparse products."""
        parts = inputs.parts[:, :EDGE_PARTS].astype(np.float64)
        white = parts @ self.whitening
        expected = (parts @ self.mapping @ self.whitening)[egos.own]
        count = np.maximum(egos.degree, 1)
        mean = (egos.neighbours @ white) / count[:, None]
        square = (egos.neighbours @ (white**2).sum(axis=1)) / count
        distance = square - 2 * (mean * expected).sum(axis=1) + (expected**2).sum(axis=1)
        return np.where(egos.degree > 0, 0.5 * distance, np.nan)


@dataclass(frozen=True)
class Degree:
    """Smoothed histogram density of ``log(1 + degree)``.

    Attributes:
        places, energies: ``float64[24]``, linear in between.
    """

    name: ClassVar[str] = "degree"
    places: NDArray[np.float64]
    energies: NDArray[np.float64]

    @staticmethod
    def fit(egos: Egos, inputs: Inputs) -> Degree:
        """Count."""
        logs = np.log1p(egos.degree)
        edges = np.linspace(0, max(1.2 * float(logs.max(initial=0)), 1.0), 25)
        counts = np.histogram(logs, edges)[0] + 0.5
        smooth = np.convolve(counts, SMOOTHING / SMOOTHING.sum(), "same")
        return Degree((edges[1:] + edges[:-1]) / 2, -np.log(smooth / smooth.sum()))

    def energy(self, egos: Egos, inputs: Inputs) -> NDArray[np.float64]:
        """By the number of neighbours alone."""
        return np.interp(np.log1p(egos.degree), self.places, self.energies)


CLOSED_FORM: Mapping[str, Any] = {
    kind.name: kind for kind in (Attributes, Difference, Edge, Degree)
}


def flattened(item: Any, prefix: str) -> dict[str, NDArray[np.generic]]:
    """Arrays of a nested dataclass of arrays, by dotted names."""
    if isinstance(item, np.ndarray):
        return {prefix: item}
    parts = [flattened(getattr(item, f.name), f"{prefix}.{f.name}") for f in fields(item)]
    return {name: array for arrays in parts for name, array in arrays.items()}


def unflattened(kind: Any, arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> Any:
    """Inverse of :func:`flattened` for the dataclass ``kind``."""
    if f"{prefix}" in arrays:
        return arrays[prefix]
    nested = {"columns": NormalScores, "reduction": PrincipalParts, "density": PrincipalParts}
    return kind(
        **{
            f.name: unflattened(nested.get(f.name), arrays, f"{prefix}.{f.name}")
            for f in fields(kind)
        }
    )


def _bins(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    places = (scores + LIMIT) * (BINS / (2 * LIMIT))
    return np.clip(places.astype(np.int64), 0, BINS - 1)


def _differences(egos: Egos, inputs: Inputs) -> NDArray[np.float32]:
    spread = np.sqrt(1 + 1 / np.maximum(egos.degree, 1)).astype(np.float32)
    return (inputs.scores[egos.own] - egos.mean(inputs.scores)) / spread[:, None]


def _ridge(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    size = np.trace(matrix) / max(len(matrix), 1)
    ridge: NDArray[np.float64] = np.eye(len(matrix)) * max(RIDGE * size, 1e-9)
    return ridge
