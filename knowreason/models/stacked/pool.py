"""Stacked models and rules as one answer: the mean of their log-odds.

The mean is the normalised geometric pool: ``-log p(y) <= (-log p_S(y) - log p_R(y)) / 2`` row by
row, so it loses to the better half at most half of what lies between them (Genest & Zidek 1986).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.model_output import ModelOutput
from knowreason.models.stacked.stacking import Stacking

Vector = NDArray[np.float64]
PoolKind = Literal["mean", "rules", "models"]


@dataclass(frozen=True)
class Pool:
    """How the answer for a predicate's atoms is made of what rules and models say.

    Attributes:
        predicate: which; Boolean.
        kind: ``mean`` of both, ``rules`` or ``models`` alone.
        base: log-odds of the base rate.
        slope, intercept: the calibration of what rules say, about ``base``.
        stacking: the models' half; ``None`` for ``rules``.
        offset: log-odds by which answers about the population sum to its prevalence.
        without: by model, the same where it broke and what rules make of the others answers.
        boosted: name of the trees that start from what rules say, a third member; empty without.
        boosted_slope, boosted_intercept: their calibration, about ``base``.
    """

    predicate: str
    kind: PoolKind
    base: float
    slope: float = 1.0
    intercept: float = 0.0
    stacking: Stacking | None = None
    offset: float = 0.0
    without: tuple[tuple[str, float], ...] = ()
    boosted: str = ""
    boosted_slope: float = 1.0
    boosted_intercept: float = 0.0

    @property
    def share_of_rules(self) -> float:
        """1, one half, or 0; what boosted trees start from counts as well."""
        if self.boosted:
            return (1 + self.boosted_slope) / 3
        return {"mean": 0.5, "rules": 1.0, "models": 0.0}[self.kind]

    @property
    def share_of_models(self) -> float:
        """0, one half, or 1; a third beside boosted trees."""
        return 1 / 3 if self.boosted else 1 - self.share_of_rules

    @property
    def share_of_boosted(self) -> float:
        """By how much the answer moves where what trees add moves by 1."""
        return self.boosted_slope / 3 if self.boosted else 0.0

    @property
    def steepness(self) -> float:
        """By how much the answer moves where the rules' log-odds move by 1."""
        return self.share_of_rules * self.slope

    @property
    def constant(self) -> float:
        """What the calibration of the rules, and of the whole, add to the answer."""
        of_rules = (1 - self.slope) * self.base + self.intercept
        of_boosted = (1 - self.boosted_slope) * self.base + self.boosted_intercept
        third = of_boosted / 3 if self.boosted else 0.0
        return self.share_of_rules * of_rules + third + self.offset

    def broken(self, models: Collection[str]) -> Pool:
        """The pool where some of its models broke: what rules make of the others.

        Stacked coefficients were learned of all models as they were. Where rules lost to the
        models it stays as it is.
        """
        if not models or self.kind == "models":
            return self
        offsets = [offset for name, offset in self.without if name in models]
        offset = sum(offsets) / len(offsets) if offsets else self.offset
        return replace(self, kind="rules", stacking=None, offset=offset, boosted="")

    def to_values(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> Pool:
        """Inverse of :meth:`to_values`."""
        stacking = values["stacking"]
        if stacking is not None:
            names = ("models", "own", "around")
            stacking = Stacking(**{**stacking, **{name: tuple(stacking[name]) for name in names}})
        without = tuple((name, offset) for name, offset in values.get("without", ()))
        return Pool(**{**values, "stacking": stacking, "without": without})


@dataclass(frozen=True)
class PooledAtoms:
    """A pool, and what models say of the atoms of a span.

    Attributes:
        pool: how they are combined.
        ratios: ``float64[n, m]``, one column a stacked model.
        means: ``float64[n, m]``, over neighbours.
        shift: log-odds by which the base rate moved since training.
        added: ``float64[n]``, what boosted trees add to what rules say; ``None`` without them.
        outputs: of the stacked models.
    """

    pool: Pool
    ratios: NDArray[np.float64]
    means: NDArray[np.float64]
    shift: float = 0.0
    added: Vector | None = None
    outputs: tuple[ModelOutput, ...] = ()

    def of_boosted(self, rows: NDArray[np.integer] | slice) -> Vector:
        """``float64[k]``: the part of the answer that boosted trees add."""
        if self.added is None:
            return np.zeros(len(self.ratios[rows]))
        return np.asarray(self.pool.share_of_boosted * self.added[rows])

    def of_models(self, rows: NDArray[np.integer] | slice) -> Vector:
        """``float64[k]``: the models' part of the answer for some atoms of the span."""
        stacking = self.pool.stacking
        if stacking is None:
            return np.zeros(len(self.ratios[rows]))
        stacked = stacking(self.ratios[rows], self.means[rows]) + self.shift
        return np.asarray(self.pool.share_of_models * stacked)

    def answer(self, rows: NDArray[np.integer] | slice, log_odds: Vector) -> Vector:
        """``float64[k]``: the answer where rules say ``log_odds``; what they decide stays."""
        made = self.of_models(rows) + self.of_boosted(rows) + self.pool.constant
        if self.pool.steepness:
            made = made + self.pool.steepness * np.where(np.isfinite(log_odds), log_odds, 0.0)
        return np.where(np.isfinite(log_odds), made, log_odds)
