"""Parameters that a graph needs beyond the weights, as functions of the weights."""

from __future__ import annotations

from dataclasses import dataclass

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

    def __call__(self, theta: Vector) -> tuple[Vector, csr_matrix]:
        """Cells ``float64[c]`` at the weights (``float64[p]``) and slopes, ``float64[c, p]``."""
        parts = [cells(theta, self.rates) for cells in self.cells]
        return np.concatenate([value for value, _ in parts]), vstack([s for _, s in parts]).tocsr()
