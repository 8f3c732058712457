"""Ground factors as nodes of a message graph: what every engine asks of one potential.

An *edge* joins one atom and one ground factor; its message, factor to atom, is one number:
Boolean log-odds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import Array, owners
from knowreason.factors.ground_factors import GroundFactors
from knowreason.factors.potentials.linear_rows import LinearRows

Kernel: TypeAlias = Callable[..., None]
CLAUSE_ROW, TABLE_ROW, COUNT_ROW = 0, 1, 2  # kinds of rows of a Gibbs network


@dataclass(frozen=True)
class FactorNodes(ABC):
    """Ground factors of one potential as nodes.

    Attributes:
        offsets: ``int64[m + 1]`` edges of each row, from 0.
        atoms: ``int32[e]``; of a row with a target, the target is its last edge.
        source: where parameter and value are.
    """

    offsets: NDArray[np.int64]
    atoms: NDArray[np.int32]
    source: Any

    row_kind: ClassVar[int]

    @property
    def count(self) -> int:
        """Number of ground factors."""
        return len(self.offsets) - 1

    @property
    def edges(self) -> int:
        """Number of edges."""
        return len(self.atoms)

    @property
    def is_hard(self) -> bool:
        """Whether every row must hold."""
        return bool(self.source.is_hard)

    @property
    def first_atoms(self) -> NDArray[np.int32]:
        """``int32[m]``: an atom of every row."""
        return self.atoms[self.offsets[:-1]]

    @property
    def has_target(self) -> NDArray[np.bool_]:
        """``bool[m]``: rows that define the atom of their last edge."""
        return np.zeros(self.count, dtype=np.bool_)

    @property
    def targets(self) -> NDArray[np.int64]:
        """``int64[m]``: the atom each row defines, ``-1`` for none."""
        if not self.has_target.any():
            return np.full(self.count, -1, dtype=np.int64)
        return np.where(self.has_target, self.atoms[self.offsets[1:] - 1], -1).astype(np.int64)

    @property
    def literals(self) -> NDArray[np.bool_]:
        """``bool[e]``: edges that are not those of targets."""
        inside = np.ones(self.edges, np.bool_)
        inside[self.offsets[1:][self.has_target] - 1] = False
        return inside

    @property
    def demands(self) -> bool:
        """Whether some world breaks a row: hard rows but definitions."""
        return self.is_hard and not bool(self.has_target.all())

    def owners(self) -> NDArray[np.int64]:
        """``int64[e]``: row of each edge."""
        return owners(self.offsets)

    def weights(self, theta: Tensor) -> Tensor | None:
        """Numbers of the rows that depend on ``theta``, differentiable; ``None`` where hard."""
        if self.source.is_hard:
            return None
        weights: Tensor = self.source.weights(theta)
        return weights

    def collect(self, total: Tensor, mean: Tensor, rows: Tensor | None = None) -> Tensor:
        """``total`` (``float64[p]``) plus value times mean of (chosen) soft rows."""
        source: GroundFactors = self.source
        if source.is_hard:
            return total
        if source.value is not None:
            chosen = source.value if rows is None else source.value[rows.to(source.value.device)]
            mean = mean * chosen.to(mean)
        if isinstance(source.parameter, int):
            return total.index_add(
                0, torch.full_like(mean, source.parameter, dtype=torch.long), mean
            )
        assert source.parameter is not None
        where = source.parameter if rows is None else source.parameter[rows.to("cpu")]
        return total.index_add(0, where.long().to(mean.device), mean)

    @abstractmethod
    def take(self, rows: Array) -> FactorNodes:
        """The given rows alone (``int64[r]``)."""

    @abstractmethod
    def kernel(self, weights: Tensor | None) -> tuple[Kernel, Sequence[Any]]:
        """The kernel that sweeps the rows in odds on the CPU, and its constants."""

    @abstractmethod
    def buckets(self, start: int, device: torch.device | str) -> Iterator[NodeBucket]:
        """The rows as index tensors; their first edge is ``start``."""

    @abstractmethod
    def add_linear(self, program: LinearRows, weights: Array | None) -> None:
        """Adds the rows to a linear program."""

    @abstractmethod
    def fill_gibbs(self, rows: Array, at: int) -> NDArray[np.float64]:
        """Fills in rows of a Gibbs network; returns their tables, which start at ``at``."""

    @abstractmethod
    def edge_codes(self) -> NDArray[np.int32]:
        """``int32[e]``: sign of each literal (1 or -1), or the bit of a table's column."""

    @abstractmethod
    def settling(self, world: Array, logits: Array) -> NDArray[np.int32]:
        """Atoms that, set as in ``world`` (``int8[n]``), make every hard row true."""

    @abstractmethod
    def walsh(self, weights: Tensor | None, hard: float) -> EdgeNumbers:
        """What the rows look like to a network; a hard row weighs ``hard``."""


@dataclass(frozen=True)
class EdgeNumbers:
    """Rows as numbers that do not depend on how they were written.

    Attributes:
        kind: ``int64[m]``: 0 a clause of three or more, 1 two atoms, 2 a table, 3 a count.
        is_hard: ``bool[m]``.
        weight: ``float64[m]`` range of the log-potential; negative where it is greater in
            fewer states than it is less.
        lean, pull: ``float64[e]`` first and second order Walsh coefficients of each edge, in
            +-1 truth values: what the row does to an atom's log-odds, the others being
            undecided, and through the others.
    """

    kind: NDArray[np.int64]
    is_hard: NDArray[np.bool_]
    weight: Tensor
    lean: Tensor
    pull: Tensor


@dataclass(frozen=True)
class NodeBucket(ABC):
    """Rows of about the same arity as index tensors, padded to one.

    Attributes:
        edges: ``int64[m, k]`` place of each edge in the message vector; padding points at 0.
        rows: ``int64[m]`` rows of the nodes.
        target: ``int64[m]`` place of the target's edge, ``None`` without targets.
    """

    edges: Tensor
    rows: Tensor
    target: Tensor | None

    @abstractmethod
    def places(self) -> Tensor:
        """``int64``: where each message goes."""

    @abstractmethod
    def messages(self, cavity: Tensor, weights: Tensor | None, maximum: bool) -> Tensor:
        """``float64``: messages in the order of :meth:`places`, not clamped.

        Args:
            cavity: ``float64[e]`` log-odds, atom to factor.
            weights: of all rows of the nodes.
            maximum: max-product.
        """

    @abstractmethod
    def beliefs(self, cavity: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """``log sum_x potential * cavities`` (``float64[m]``), and what ``collect`` takes."""

    @abstractmethod
    def mean(self, true: Tensor, false: Tensor) -> Tensor:
        """Expected potential where edges are true, false with ``float64[e]`` chances."""

    @abstractmethod
    def gain(self, mean: Tensor, weights: Tensor | None, hard_weight: float) -> Tensor:
        """``float64[m]``: expected score at means; a broken hard row costs ``hard_weight``."""

    def defined(self, true: Tensor, false: Tensor) -> tuple[Tensor, Tensor] | None:
        """Chances that targets are true, false (``float64[m]``); ``None`` without targets."""
        return None
