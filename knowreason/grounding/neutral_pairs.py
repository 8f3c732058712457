"""Associations that leave base rates where they are, as tables at the current weights.

The table over two atoms is ``psi(x, y) = P(x, y) / (P(x) P(y))``, where ``P(x, y)`` has the base
rates as margins and odds ratio ``exp(w)`` (Plackett 1965): the pair factor of the Bethe form of a
tree and of Chow & Liu (1968). On a tree of such factors every marginal is its base rate.

But for a constant ``log psi(x, y) = w x y + a x + b y``: the first is a feature times its weight;
``a`` and ``b`` follow from the weight and the two base rates and are not linear in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from knowreason.factors.ground_factors import TABLE, GroundFactors
from knowreason.grounding.base_rates import BaseRates
from knowreason.row_keys import distinct_rows

Vector = NDArray[np.float64]
Index = NDArray[np.int64]
STRONGEST = 30.0  # log odds ratio beyond which a table no longer changes


@dataclass(frozen=True)
class NeutralPairs:
    """Where the ground factors of one association stand.

    Attributes:
        rule: its place in the program.
        place: of the features ``x y`` in ``FactorGraph.factors``.
        rest: of the tables ``a x + b y`` there.
        fixed: the parameter, always 1, of these tables.
        sign: -1 where the rule ties an atom to the negation of another.
    """

    rule: int
    place: int
    rest: int
    fixed: int
    sign: float

    def tables(self, features: GroundFactors, theta: Vector, rates: Vector) -> GroundFactors:
        """The tables ``a x + b y`` of the pairs at the weights ``theta``.

        Args:
            features: the pairs, with their weights and feature values.
            theta: ``float64[p]``.
            rates: ``float64[n]`` base rates.
        """
        pairs = features.atoms.numpy()
        odds = self.sign * theta[features.parameters()] * features.values()
        each = np.stack([rates[pairs[:, 0]], rates[pairs[:, 1]], odds])
        first, owner = distinct_rows(np.ascontiguousarray(each + 0.0).view(np.int64))
        left, right, odds = each[:, first]
        a, b = PairShifts.of(left, right, odds).value, PairShifts.of(right, left, odds).value
        table = np.stack([np.zeros_like(a), a, b, a + b], axis=1)
        return GroundFactors(
            TABLE,
            features.atoms,
            self.fixed,
            table=torch.from_numpy(table),
            table_id=torch.from_numpy(owner.astype(np.int32)),
            rule=self.rule,
        )

    def cells(
        self, features: GroundFactors, rates: BaseRates, first: int
    ) -> tuple[GroundFactors, PairCells]:
        """The same as features of single atoms with parameters from ``first`` on, and these."""
        kind = rates.kinds()
        pairs = features.atoms.numpy().astype(np.int64)
        atom, other = pairs.ravel(), pairs[:, ::-1].ravel()
        parameter = np.repeat(features.parameters(), 2)
        value = np.repeat(self.sign * features.values(), 2)
        bits = np.ascontiguousarray(value + 0.0).view(np.int64)
        row, cell = distinct_rows([kind[atom], kind[other], parameter, bits])
        made = GroundFactors.units(
            torch.from_numpy(atom.astype(np.int32)),
            torch.from_numpy((first + cell).astype(np.int32)),
            rule=self.rule,
        )
        return made, PairCells(atom[row], other[row], parameter[row], value[row])


@dataclass(frozen=True)
class PairCells:
    """What an association adds to the log-odds of an atom, a cell for each kind of pair.

    Attributes:
        atom, other: ``int64[c]`` a pair of each kind.
        parameter: ``int64[c]`` weight.
        value: ``float64[c]`` feature value with its sign.
    """

    atom: Index
    other: Index
    parameter: Index
    value: Vector

    def __len__(self) -> int:
        return len(self.atom)

    def __call__(self, theta: Vector, rates: BaseRates) -> tuple[Vector, csr_matrix]:
        """Values ``float64[c]`` at ``theta`` (``float64[p]``) and slopes ``float64[c, p]``."""
        known = rates.probabilities(theta)
        odds = theta[self.parameter] * self.value
        shift = PairShifts.of(known[self.atom], known[self.other], odds)
        own = (np.arange(len(self)), self.parameter)
        slopes = (
            diags(shift.of_own) @ rates.slopes(theta, self.atom)
            + diags(shift.of_other) @ rates.slopes(theta, self.other)
            + csr_matrix((shift.of_odds * self.value, own), (len(self), len(theta)))
        )
        return shift.value, slopes.tocsr()


@dataclass(frozen=True)
class PairShifts:
    """``a = log psi(1, 0) - log psi(0, 0)`` and its slopes, ``float64[c]`` each.

    Attributes:
        value: ``a``.
        of_own, of_other: slopes in the base rate of ``x`` and in that of ``y``.
        of_odds: slope in the log odds ratio.
    """

    value: Vector
    of_own: Vector
    of_other: Vector
    of_odds: Vector

    @staticmethod
    def of(own: Vector, other: Vector, odds: Vector) -> PairShifts:
        """At base rates of ``x`` and ``y`` and at log odds ratios, ``float64[c]`` each."""
        both = _both(own, other, odds)
        alone = _both(own, 1 - other, -odds)
        beside = _both(1 - own, other, -odds)
        none = _both(1 - own, 1 - other, odds)
        # one log odds ratio more, or a margin more at the same one, moves the cell (1, 1) by this
        each = 1 / (1 / both + 1 / alone + 1 / beside + 1 / none)
        by_own, by_other = each * (1 / none + 1 / alone), each * (1 / none + 1 / beside)
        return PairShifts(
            np.log(alone / none) - np.log(own / (1 - own)),
            (1 - by_own) * (1 / alone + 1 / none) - 1 / (own * (1 - own)),
            (1 - by_other) / none - by_other / alone,
            np.where(np.abs(odds) > STRONGEST, 0.0, -each * (1 / alone + 1 / none)),
        )


def _both(left: Vector, right: Vector, odds: Vector) -> Vector:
    """``P(1, 1)`` under two margins and a log odds ratio: the root of a quadratic."""
    ratio = np.exp(np.clip(odds, -STRONGEST, STRONGEST))
    total = 1 + (left + right) * (ratio - 1)
    root = np.sqrt(np.maximum(total**2 - 4 * ratio * (ratio - 1) * left * right, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        other = (total - root) / (2 * (ratio - 1))  # where the sum below would cancel
    both: Vector = np.where(total > 0, 2 * ratio * left * right / (total + root), other)
    return both
