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

EDGE_PARTS = 16
UNIT = 30.0  # times the median deviation that the widest column of one unit may have
RIDGE = 1e-2
SMOOTHING = np.exp(-0.5 * np.arange(-3, 4) ** 2)


@dataclass(frozen=True)
class Inputs:
    """Features of all nodes as the terms see them.

    Attributes:
        plain: ``float32[n, d]``, in units that may be compared.
        parts: ``float32[n, q]``, leading principal components of their normal scores.
    """

    plain: NDArray[np.float32]
    parts: NDArray[np.float32]


@dataclass(frozen=True)
class InputMaps:
    """How features become :class:`Inputs`, learned on one graph and used on any.

    Columns of one unit (words of a text, coordinates of an embedding) are compared as they are,
    since their spread is part of what they say; others are divided by their deviations. They are
    taken for one unit where no column's deviation is over :data:`UNIT` times the median one.
    """

    centre: NDArray[np.float32]
    unit: NDArray[np.float32]
    columns: NormalScores
    reduction: PrincipalParts

    @staticmethod
    def fit(x: NDArray[np.floating], parts: int) -> InputMaps:
        """Learn from features ``[n, d]``."""
        columns = NormalScores.fit(x)
        centre, deviation = np.zeros((2, x.shape[1]))
        if x.size:
            centre, deviation = x.mean(axis=0, dtype=float), x.std(axis=0, dtype=float)
        varied = deviation[deviation > 1e-12]
        alike = len(varied) == 0 or varied.max() <= UNIT * np.median(varied)
        unit = np.where(deviation > 1e-12, 1.0 if alike else deviation, 1.0)
        return InputMaps(
            centre.astype(np.float32),
            unit.astype(np.float32),
            columns,
            PrincipalParts.fit(columns(x), parts),
        )

    def __call__(self, x: NDArray[np.floating]) -> Inputs:
        """The inputs of features ``[n, d]``."""
        plain = ((x - self.centre) / self.unit).astype(np.float32)
        return Inputs(plain, self.reduction(self.columns(x)))


class EnergyTerm(Protocol):
    """A fitted energy."""

    def energy(self, egos: Egos, inputs: Inputs) -> NDArray[np.float64]:
        """``float64[len(egos)]``, higher is stranger."""


@dataclass(frozen=True)
class Difference:
    """Squared distance of the centre's features from what its neighbours foretell.

    Neighbours of a node are taken as draws around a mean of their own, which is a draw around the
    mean of all; the centre is one more. With one variance for everything, its predictive
    mean is that of d neighbours and one node with average features, its variance goes with
    ``1 + 1 / (d + 1)``. A node without neighbours is measured from the mean of all.
    """

    name: ClassVar[str] = "difference"

    @staticmethod
    def fit(egos: Egos, inputs: Inputs) -> Difference:
        """Nothing is learned: any variance gives the same ranking."""
        return Difference()

    def energy(self, egos: Egos, inputs: Inputs) -> NDArray[np.float64]:
        """By one sparse product."""
        known = egos.degree[:, None] + 1
        gap = (inputs.plain[egos.own] - (egos.neighbours @ inputs.plain) / known).astype(np.float64)
        energy: NDArray[np.float64] = (gap**2).sum(axis=1) / (1 + 1 / known[:, 0])
        return energy


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


@dataclass(frozen=True)
class Triangles:
    """How far out in either tail the number of edges among the neighbours is.

    ``-log`` of twice the smaller of the shares of nodes with at least and at most as many
    (ECOD; Li et al. 2022), further out as the logarithm. An ego-subgraph is more than its
    centre's edges: a group in which everybody knows everybody has no strange degree.

    Attributes:
        counts, energies: ``float64[k]``, linear in between on the scale of ``log(1 + count)``.
    """

    name: ClassVar[str] = "triangles"
    counts: NDArray[np.float64]
    energies: NDArray[np.float64]

    @staticmethod
    def fit(egos: Egos, inputs: Inputs) -> Triangles:
        """Count."""
        counts, often = np.unique(egos.triangles, return_counts=True)
        if not len(counts):
            return Triangles(np.zeros(1), np.zeros(1))
        upto = np.cumsum(often)
        tail = np.minimum(upto, upto[-1] - upto + often) / upto[-1]
        return Triangles(counts.astype(np.float64), -np.log(np.minimum(2 * tail, 1)))

    def energy(self, egos: Egos, inputs: Inputs) -> NDArray[np.float64]:
        """By the number of triangles alone."""
        logs, known = np.log1p(egos.triangles), np.log1p(self.counts)
        beyond = np.maximum(logs - known[-1], 0)
        energy: NDArray[np.float64] = np.interp(logs, known, self.energies) + beyond
        return energy


CLOSED_FORM: Mapping[str, Any] = {kind.name: kind for kind in (Difference, Edge, Degree, Triangles)}


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
    nested = {"columns": NormalScores, "reduction": PrincipalParts}
    return kind(
        **{
            f.name: unflattened(nested.get(f.name), arrays, f"{prefix}.{f.name}")
            for f in fields(kind)
        }
    )


def _ridge(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    size = np.trace(matrix) / max(len(matrix), 1)
    ridge: NDArray[np.float64] = np.eye(len(matrix)) * max(RIDGE * size, 1e-9)
    return ridge
