"""What is left of ground factors once evidence is folded in (factor reduction)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, sum_by, tensor
from knowreason.factors.ground_factors import GroundFactors


@dataclass
class Reduction:
    """Evidence, and what folding it in has collected so far.

    Attributes:
        evidence: ``int8[n]``, propagated.
        constant: ``float64[p]`` feature totals of decided rows.
        factors: rows that stay.
        violated: number of hard rows that the evidence makes false, by rule.
        broken_blocks: number of blocks that the evidence makes false.
        reopened: targets that are false but whose interval does not say on which side.
    """

    evidence: NDArray[np.int8]
    constant: NDArray[np.float64]
    factors: list[GroundFactors] = field(default_factory=list)
    violated: Counter[int] = field(default_factory=Counter)
    broken_blocks: int = 0
    reopened: list[Array] = field(default_factory=list)

    def add_constant(self, part: GroundFactors, rows: Array, f: Array | float = 1.0) -> None:
        """Counts soft rows decided at potential ``f``; decided hard rows count nothing."""
        if not part.is_hard and len(rows):
            values = part.values()[rows] * f
            self.constant += sum_by(part.parameters()[rows], values, len(self.constant))

    def add_unit(
        self, part: GroundFactors, rows: Array, atoms: Array, low: Array, high: Array
    ) -> None:
        """Soft rows of one atom: potential ``low`` where it is false, ``high`` where true."""
        self.add_constant(part, rows, low)
        moved = np.flatnonzero(high != low)
        if len(moved):
            chosen = part.take(rows[moved])
            assert chosen.parameter is not None
            value = tensor((high - low)[moved] * chosen.values(), torch.float64)
            unit = GroundFactors.units(
                tensor(atoms[moved], torch.int32), chosen.parameter, value, part.rule
            )
            self.factors.append(unit)

    def add_violated(self, part: GroundFactors, bad: Array) -> None:
        """Hard rows (``bool[m]``) that no completion of the evidence satisfies."""
        if bad.any():
            self.violated[part.rule] += int(bad.sum())


def columns(part: GroundFactors, rows: Array, places: Array) -> GroundFactors:
    """Dense rows that keep only the atoms at ``places``."""
    chosen = part.take(rows)
    index = torch.from_numpy(places)
    signs = None if chosen.signs is None else chosen.signs[index]
    return replace(chosen, atoms=chosen.atoms[:, index], signs=signs)


def rows_by_state(states: Array) -> Iterator[tuple[Array, Array]]:
    """Rows of ``int8[m, k]`` evidence states grouped by equality: (rows, ``int8[k]``)."""
    m, k = states.shape
    if m == 0:
        return
    codes = ((states + 1).astype(np.int64) * 3 ** np.arange(k)).sum(1)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        yield rows, states[rows[0]]
