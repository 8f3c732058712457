"""What every potential says of its ground factors, and the registry of potentials.

A potential is a function of a row's *score*: the number of its true literals, or for a
table the index of their state. Whatever a potential does not say itself follows from its
values over all states of a row (:meth:`Potential.tabulated`), so that a new potential
needs one method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.errors import InferenceError
from knowreason.factors.arrays import Array, array, tensor
from knowreason.factors.ground_factors import INTERVAL, TABLE, GroundFactors
from knowreason.registry import Registry
from knowreason.row_keys import distinct_rows

if TYPE_CHECKING:
    from knowreason.factors.potentials.factor_nodes import FactorNodes
    from knowreason.factors.reduction import Reduction

Forced: TypeAlias = tuple[Array, Array]  # atoms, and the state each must have
LONGEST = 12  # atoms of a row whose states are all listed
_CHUNK = 1 << 22  # states listed at once


@dataclass(frozen=True)
class Pattern:
    """Rows of one length as tables.

    Attributes:
        rows: ``int64[r]`` rows of the ground factors.
        atoms: ``int32[r, k]``.
        tables: ``float64[q, 2**k]`` distinct values over the states of a row.
        table_of: ``int64[r]`` which of them each row has.
    """

    rows: NDArray[np.int64]
    atoms: NDArray[np.int32]
    tables: NDArray[np.float64]
    table_of: NDArray[np.int64]


class Potential(ABC):
    """A kind of ground factor: the value of a row at each number of its true literals.

    >>> @POTENTIALS.register("excess")
    ... class Excess(Potential):
    ...     def of_score(self, factors, score, rows):
    ...         return np.maximum(score - 1.0, 0.0)
    >>> "excess" in POTENTIALS
    True

    Attributes:
        listed_up_to: atoms of a row up to which exact engines list its states.
    """

    listed_up_to: ClassVar[int] = LONGEST

    @abstractmethod
    def of_score(
        self, factors: GroundFactors, score: NDArray[np.int64], rows: Array | slice
    ) -> NDArray[np.float64]:
        """Potential of chosen rows at given scores.

        Args:
            factors: the ground factors.
            score: ``int64[..., r]``.
            rows: ``int64[r]`` or a slice of the rows.
        """

    def entry_weights(self, factors: GroundFactors) -> NDArray[np.int64] | None:
        """``int64[e]``: what each true literal adds to its row's score; ``None`` means 1."""
        return None

    def tabulated(self, factors: GroundFactors) -> Iterator[GroundFactors]:
        """The same factors as tables.

        Raises:
            InferenceError: a row has too many atoms to list its states (KR705).
        """
        longest = int(np.diff(factors.row_offsets).max(initial=0))
        if longest > LONGEST:
            raise InferenceError(
                f"potential `{factors.potential}` over {longest} atoms is too wide for a table",
                code="KR705",
            )
        for pattern in self.patterns(factors, longest):
            chosen = factors.take(pattern.rows)
            yield replace(
                chosen,
                potential=TABLE,
                atoms=tensor(pattern.atoms, torch.int32),
                offsets=None,
                signs=None,
                lower=1,
                upper=None,
                table=torch.from_numpy(pattern.tables),
                table_id=tensor(pattern.table_of, torch.int32) if len(pattern.tables) > 1 else None,
            )

    def patterns(
        self, factors: GroundFactors, longest: int, chosen: Array | None = None
    ) -> Iterator[Pattern]:
        """Rows of at most so many atoms (and at least one) as tables, by length.

        ``chosen`` (``bool[m]``) leaves out other rows.
        """
        if factors.is_alike:
            k = factors.atoms.shape[1]
            rows = np.arange(factors.rows) if chosen is None else np.flatnonzero(chosen)
            if 0 < k <= longest and len(rows):
                atoms = array(factors.atoms) if len(rows) == factors.rows else (
                    array(factors.atoms)[rows]
                )  # fmt: skip
                table = self.listed(factors, rows[:1], k)
                yield Pattern(rows, atoms, table, np.zeros(len(rows), dtype=np.int64))
            return
        sizes = np.diff(factors.row_offsets)
        here = (sizes <= longest) & (sizes > 0)
        if chosen is not None:
            here &= chosen
        alike = self._alike(factors)
        for k in np.unique(sizes[here]).tolist():
            rows = np.flatnonzero(here & (sizes == k))
            places = factors.row_offsets[rows][:, None] + np.arange(k)
            atoms = factors.entry_atoms[places]
            key = np.stack([column[rows] for column in alike], 1)
            if factors.offsets is not None:
                signs = factors.entry_signs[places]
                key = np.concatenate([key, (signs << np.arange(k)).sum(1)[:, None]], 1)
            representative, table_of = distinct_rows(key.T)
            yield Pattern(rows, atoms, self.listed(factors, rows[representative], k), table_of)

    def listed(self, factors: GroundFactors, rows: Array, k: int) -> NDArray[np.float64]:
        """``float64[r, 2**k]``: potential of rows of ``k`` atoms in every state."""
        bits = (np.arange(1 << k)[:, None] >> np.arange(k)) & 1
        places = factors.row_offsets[rows][:, None] + np.arange(k)
        signs = factors.entry_signs[places] if factors.offsets is not None else (
            np.broadcast_to(factors.row_signs, (len(rows), k))
        )  # fmt: skip
        step, weight = max(1, _CHUNK >> k), self.entry_weights(factors)
        found = np.empty((len(rows), 1 << k))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            true = bits[:, None, :] == signs[None, part]
            gain = true if weight is None else true * weight[places[part]]
            found[part] = self.of_score(factors, gain.sum(2), rows[part]).T
        return found

    def reduce(self, factors: GroundFactors, reduction: Reduction) -> None:
        """Folds evidence into the factors; see :func:`knowreason.factors.condition.condition`."""
        for part in self.tabulated(factors):
            potential_of(part).reduce(part, reduction)

    def forced(
        self, factors: GroundFactors, evidence: NDArray[np.int8], changed: NDArray[np.bool_]
    ) -> Iterator[Forced]:
        """States of atoms that follow from hard rows and the evidence.

        Args:
            factors: the ground factors.
            evidence: ``int8[n]``.
            changed: ``bool[n]``, atoms decided since the last time.
        """
        for part in self.tabulated(factors) if factors.is_hard else ():
            yield from potential_of(part).forced(part, evidence, changed)

    def expected(
        self, factors: GroundFactors, probability: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """``float64[m]``: mean of every row where atoms are independent (``float64[n]``)."""
        found = np.zeros(factors.rows)
        for pattern in self.patterns(factors, LONGEST):
            true = probability[pattern.atoms]
            chances = np.ones((len(true), 1))
            for p in true.T:
                chances = np.concatenate([chances * (1 - p[:, None]), chances * p[:, None]], axis=1)
            found[pattern.rows] = (chances * pattern.tables[pattern.table_of]).sum(1)
        return found

    def nodes(self, factors: GroundFactors) -> Iterator[FactorNodes]:
        """The factors as nodes of a message graph."""
        for part in self.tabulated(factors):
            yield from potential_of(part).nodes(part)

    def _alike(self, factors: GroundFactors) -> list[NDArray[np.int64]]:
        """Columns (``int64[m]``) in which rows of one table agree, beside their signs."""
        columns = [
            np.unique(array(value), return_inverse=True)[1].astype(np.int64)
            for value in (factors.lower, factors.upper, factors.table_id)
            if value is not None and not isinstance(value, int)
        ]
        return columns or [np.zeros(factors.rows, dtype=np.int64)]


POTENTIALS: Registry[type[Potential]] = Registry(
    "potential",
    "knowreason.potentials",
    lazy={
        INTERVAL: "knowreason.factors.potentials.interval:Interval",
        TABLE: "knowreason.factors.potentials.table:Table",
    },
)


@cache
def _made(name: str) -> Potential:
    return POTENTIALS[name]()


def potential_of(factors: GroundFactors) -> Potential:
    """The potential of some ground factors."""
    return _made(factors.potential)
