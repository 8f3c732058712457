"""The factor graph: tensors only, no rule and no table.

The distribution over worlds ``x`` (one 0/1 an atom) is log-linear in one parameter
vector ``theta`` (rule weights, predicate biases, model scales alike)::

    log p(x) = sum_a log_odds[a] * x[a]
             + sum_factors sum_rows theta[parameter] * value * f(x[row])
             + sum_p theta[p] * constant[p] + offset
             - log Z

restricted to worlds in which every hard row, block and definition holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import Array, array, entries_of, owners, tensor
from knowreason.factors.atom_table import FALSE as FALSE
from knowreason.factors.atom_table import OPEN as OPEN
from knowreason.factors.atom_table import TRUE as TRUE
from knowreason.factors.ground_factors import GroundFactors


@dataclass(frozen=True)
class Blocks:
    """Sets of atoms of which exactly one, or at most one, is true; CSR.

    An atom is in at most one block. A block is one variable of K (or K + 1) states for
    every engine; the extra state "none" has log-odds 0.

    Attributes:
        offsets: ``int64[b + 1]``.
        atoms: ``int32[offsets[-1]]``.
        at_most_one: ``bool[b]``; false means exactly one.

    Example:
        >>> blocks = Blocks(torch.tensor([0, 2]), torch.tensor([1, 2]).int(), torch.tensor([False]))
        >>> blocks.of_atom(4)
        array([-1,  0,  0, -1])
    """

    offsets: Tensor
    atoms: Tensor
    at_most_one: Tensor

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.offsets.shape[0] - 1

    @staticmethod
    def none() -> Blocks:
        """No blocks."""
        return Blocks(
            torch.zeros(1, dtype=torch.int64),
            torch.zeros(0, dtype=torch.int32),
            torch.zeros(0, dtype=torch.bool),
        )

    def first_atoms(self) -> NDArray[np.int32]:
        """``int32[b]``: one atom of every block."""
        return array(self.atoms)[array(self.offsets)[:-1]]

    def of_atom(self, atoms: int) -> NDArray[np.int64]:
        """``int64[n]``: the block that holds each atom, ``-1`` for none."""
        block = np.full(atoms, -1, dtype=np.int64)
        block[array(self.atoms)] = owners(array(self.offsets))
        return block

    def take(self, rows: Array) -> Blocks:
        """Only these blocks (``int64[r]``), in this order."""
        entries, offsets = entries_of(array(self.offsets), rows)
        return Blocks(
            torch.from_numpy(offsets),
            self.atoms[torch.from_numpy(entries)],
            self.at_most_one[torch.from_numpy(rows)],
        )

    def renumbered(self, number: Array) -> Blocks:
        """The same blocks over other numbers of their atoms (``int32[n]``)."""
        return replace(self, atoms=tensor(number[array(self.atoms)], torch.int32))


@dataclass(frozen=True)
class FactorGraph:
    """Ground atoms and the ground factors over them, as tensors.

    Attributes:
        log_odds: ``float32[n]``, fixed unary part.
        theta: ``float64[p]``, current parameter values.
        evidence: ``int8[n]``: ``OPEN``, ``FALSE`` or ``TRUE``. Grounding folds evidence
            away; what is clamped here (training labels) is folded by
            :func:`knowreason.factors.condition`.
        factors: ground factors, units among them.
        blocks: functional predicates.
        auxiliary: ``bool[n]``, atoms defined by counts; never reported.
        constant: ``float64[p]``, feature totals of groundings already decided.
        offset: score of atoms already decided (their fixed log-odds), part of ``log Z``.

    Example:
        >>> bias = GroundFactors.units(torch.tensor([0, 1]).int(), parameter=0)
        >>> theta, evidence = torch.tensor([0.5]).double(), torch.tensor([OPEN, OPEN]).char()
        >>> FactorGraph(torch.tensor([1.0, -1.0]), theta, evidence, (bias,)).unary_log_odds()
        tensor([ 1.5000, -0.5000], dtype=torch.float64)
    """

    log_odds: Tensor
    theta: Tensor
    evidence: Tensor
    factors: tuple[GroundFactors, ...] = ()
    blocks: Blocks = field(default_factory=Blocks.none)
    auxiliary: Tensor | None = None
    constant: Tensor | None = None
    offset: float = 0.0

    def __repr__(self) -> str:
        factors = sum(own.rows for own in self.factors)
        size = f"{self.atom_count:,} atoms, {factors:,} factors"
        return f"FactorGraph({size}, {self.parameter_count:,} parameters)"

    @property
    def atom_count(self) -> int:
        """Number of atoms, auxiliary ones included."""
        return self.log_odds.shape[0]

    @property
    def parameter_count(self) -> int:
        """Number of parameters."""
        return self.theta.shape[0]

    @property
    def units(self) -> tuple[GroundFactors, ...]:
        """Features of single atoms: the unary part."""
        return tuple(part for part in self.factors if part.is_unit)

    @property
    def couplings(self) -> tuple[GroundFactors, ...]:
        """All other factors; the rows of engines are numbered in this order."""
        return tuple(part for part in self.factors if not part.is_unit)

    @property
    def constants(self) -> Tensor:
        """``float64[p]``: ``constant``, zeros where there is none."""
        if self.constant is None:
            return torch.zeros(self.parameter_count, dtype=torch.float64)
        return self.constant

    def with_theta(self, theta: Tensor) -> FactorGraph:
        """The same graph at other parameter values (``float64[p]``)."""
        return replace(self, theta=theta)

    def with_evidence(self, evidence: Tensor) -> FactorGraph:
        """The same graph with other clamped atoms (``int8[n]``)."""
        return replace(self, evidence=evidence)

    def unary_log_odds(self) -> Tensor:
        """``float64[n]``: fixed log-odds plus every unit feature at current ``theta``."""
        total = self.log_odds.to(torch.float64, copy=True)
        for unit in self.units:
            total.index_add_(0, unit.atoms[:, 0], unit.weights(self.theta))
        return total
