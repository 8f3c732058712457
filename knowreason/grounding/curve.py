"""Parameters that a graph needs beyond the weights, as functions of the weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from knowreason.grounding.base_rates import BaseRates
from knowreason.grounding.neutral_pairs import PairCells
from knowreason.grounding.normaliser_cells import NormaliserCells

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Where rules with ``<~>`` and ``~>`` bend: a curved exponential family (Efron 1975).

    The score of a world is linear in the weights and in further parameters, the cells of these
    rules. The cells follow from the weights, smoothly, so that a likelihood in both has a gradient
    in the weights by the chain rule.

    Attributes:
        rates: base rates of atoms.
        cells: of each rule, one after another.
    """

    rates: BaseRates
    cells: tuple[PairCells | NormaliserCells, ...]
    _last: list[tuple[Vector, tuple[Vector, csr_matrix]]] = field(
        default_factory=list, compare=False, repr=False
    )

    def __call__(self, theta: Vector) -> tuple[Vector, csr_matrix]:
        """Cells ``float64[c]`` at the weights (``float64[p]``) and slopes, ``float64[c, p]``.

        Those at the last weights are kept: an optimiser asks for the cells, then for the slopes.
        """
        for known, found in self._last:
            if np.array_equal(known, theta):
                return found
        rates = self.rates.at(theta)
        parts = [cells(theta, rates) for cells in self.cells]
        value = np.concatenate([value for value, _ in parts])
        found = value, vstack([slopes for _, slopes in parts]).tocsr()
        self._last[:] = [(theta.copy(), found)]
        return found
