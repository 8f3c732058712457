"""Associations that leave base rates where they are, as tables at the current weights.

The table over two atoms is ``psi(x, y) = P(x, y) / (P(x) P(y))``, where ``P(x, y)`` has the base
rates as margins and odds ratio ``exp(w)`` (Plackett 1965): the pair factor of the Bethe form of a
tree and of Chow & Liu (1968). On a tree of such factors every marginal is its base rate.

The logarithm of ``psi`` is not linear in ``w``, so the graph holds its tangent at the current
weights: a feature table times the weight, and a fixed table for the rest. At these weights the
distribution and the gradient of any likelihood are those of ``psi``; learning takes the tangent
anew at its result. Base rates count as fixed numbers at each such step, learned biases too: how
``psi`` changes with a bias has no part in the gradient, for it does not move the atom's own rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors.ground_factors import TABLE, GroundFactors
from knowreason.row_keys import distinct_rows

Vector = NDArray[np.float64]
STRONGEST = 30.0  # log odds ratio beyond which a table no longer changes


@dataclass(frozen=True)
class NeutralPairs:
    """Where the ground factors of one association stand.

    Attributes:
        rule: its place in the program.
        place: of the feature tables in ``FactorGraph.factors``.
        rest: of the fixed tables there.
        fixed: the parameter, always 1, of the fixed tables.
        sign: -1 where the rule ties an atom to the negation of another.
    """

    rule: int
    place: int
    rest: int
    fixed: int
    sign: float

    def tangent(
        self, features: GroundFactors, theta: Vector, rates: Vector
    ) -> tuple[GroundFactors, GroundFactors]:
        """Feature tables and fixed tables of the pairs at the weights ``theta``.

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
        log_table, slope = pair_tables(left, right, odds)
        slope = np.where(np.abs(odds)[:, None] > STRONGEST, 0.0, slope)
        which = torch.from_numpy(owner.astype(np.int32))
        return (
            replace(
                features,
                table=torch.from_numpy(np.ascontiguousarray(self.sign * slope)),
                table_id=which,
            ),
            GroundFactors(
                TABLE,
                features.atoms,
                self.fixed,
                table=torch.from_numpy(np.ascontiguousarray(log_table - odds[:, None] * slope)),
                table_id=which,
                rule=self.rule,
            ),
        )


def pair_tables(left: Vector, right: Vector, odds: Vector) -> tuple[Vector, Vector]:
    """Logarithms of ``psi`` and their slopes in the log odds ratio, both ``float64[t, 4]``.

    Args:
        left, right: ``float64[t]`` margins; bit 0 of a state is the left atom.
        odds: ``float64[t]`` log odds ratios.
    """
    joint = np.stack(
        [
            _both(1 - left, 1 - right, odds),
            _both(left, 1 - right, -odds),
            _both(1 - left, right, -odds),
            _both(left, right, odds),
        ],
        axis=1,
    )
    margins = np.stack(
        [(1 - left) * (1 - right), left * (1 - right), (1 - left) * right, left * right], axis=1
    )
    # with the margins held, the log odds ratio moves by sum(1 / cell) as the cell (1, 1) moves by 1
    whole = (1 / joint).sum(1, keepdims=True)
    slope = np.array([1.0, -1.0, -1.0, 1.0]) / (joint * whole)
    return np.log(joint / margins), slope


def _both(left: Vector, right: Vector, odds: Vector) -> Vector:
    """``P(1, 1)`` under two margins and a log odds ratio: the root of a quadratic."""
    ratio = np.exp(np.clip(odds, -STRONGEST, STRONGEST))
    total = 1 + (left + right) * (ratio - 1)
    root = np.sqrt(np.maximum(total**2 - 4 * ratio * (ratio - 1) * left * right, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        other = (total - root) / (2 * (ratio - 1))  # where the sum below would cancel
    both: Vector = np.where(total > 0, 2 * ratio * left * right / (total + root), other)
    return both
