"""Tables that rows are merged into, filled anew from any ``theta``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import Array, entries_of


@dataclass(frozen=True)
class MergedTables:
    """Tables over ``k`` atoms, each the sum of the rows merged into it.

    The log-potential of state ``s`` of row ``r`` is the sum of ``theta[parameter] *
    coefficient`` over the entries of ``r`` at ``s``: the same structure at any ``theta``.

    Attributes:
        atoms: ``int32[m, k]``, increasing within a row.
        offsets: ``int64[m + 1]`` entries of each row.
        state: ``int64[z]``; bit ``j`` is the truth of column ``j``.
        parameter: ``int64[z]``.
        coefficient: ``float64[z]``: feature value times potential.
        forbidden: ``bool[m, 2**k]``: states that a hard row excludes.
    """

    atoms: NDArray[np.int32]
    offsets: NDArray[np.int64]
    state: NDArray[np.int64]
    parameter: NDArray[np.int64]
    coefficient: NDArray[np.float64]
    forbidden: NDArray[np.bool_]

    @property
    def cell(self) -> NDArray[np.int64]:
        """``int64[z]``: place of each entry in the flattened tables."""
        lengths = np.diff(self.offsets)
        return np.repeat(np.arange(len(lengths)) * self.forbidden.shape[1], lengths) + self.state

    def energies(self, theta: Tensor) -> Tensor:
        """``float64[m, 2**k]`` log-potentials, differentiable; forbidden states not marked."""
        total = theta.new_zeros(self.forbidden.size, dtype=torch.float64)
        gain = theta.to(torch.float64)[torch.from_numpy(self.parameter).to(theta.device)]
        gain = gain * torch.from_numpy(self.coefficient).to(theta.device)
        cell = torch.from_numpy(self.cell).to(theta.device)
        return total.index_add(0, cell, gain).reshape(self.forbidden.shape)

    def features(self, probability: Tensor, parameters: int) -> Tensor:
        """``float64[p]``: expected features where states have ``float64[m, 2**k]`` chances."""
        gain = probability.reshape(-1)[torch.from_numpy(self.cell).to(probability.device)]
        gain = gain * torch.from_numpy(self.coefficient).to(gain)
        where = torch.from_numpy(self.parameter).to(gain.device)
        return gain.new_zeros(parameters).index_add(0, where, gain)

    def take(self, rows: Array) -> MergedTables:
        """Only these rows (``int64[r]``), in this order."""
        entries, offsets = entries_of(self.offsets, rows)
        return MergedTables(
            self.atoms[rows],
            offsets,
            self.state[entries],
            self.parameter[entries],
            self.coefficient[entries],
            self.forbidden[rows],
        )
