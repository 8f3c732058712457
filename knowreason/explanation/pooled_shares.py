"""Parts of an answer that is made of rules and stacked models; they add up as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowreason.explanation.explanation_text import Share
from knowreason.models.stacked.pool import PooledAtoms

LEAST = 1e-9  # log-odds below which a part is left out


@dataclass(frozen=True)
class AnswerLine:
    """The answer for one atom as a linear function of what the rules say.

    Attributes:
        pooled: how the answer is made; ``None``: it is what the rules say.
        row: the atom within its span.

    >>> AnswerLine()(1.5)
    1.5
    """

    pooled: PooledAtoms | None = None
    row: int = 0

    @property
    def slope(self) -> float:
        """By how much the answer moves where the rules' log-odds move by 1."""
        return 1.0 if self.pooled is None else self.pooled.pool.steepness

    @property
    def offset(self) -> float:
        """The answer where the rules say 0."""
        if self.pooled is None:
            return 0.0
        row = slice(self.row, self.row + 1)
        parts = self.pooled.of_models(row) + self.pooled.of_boosted(row)
        return float(parts[0]) + self.pooled.pool.constant

    def __call__(self, rules: float) -> float:
        """The answer where the rules say ``rules``."""
        return self.offset + self.slope * rules

    def rate(self, model: str, scale: float) -> float:
        """By how much the answer moves where a model's log-odds move by 1.

        Args:
            model: its name.
            scale: by which rules count it.
        """
        stacking = self.pooled.pool.stacking if self.pooled else None
        if self.pooled is None or stacking is None or model not in stacking.models:
            return self.slope * scale
        own = stacking.own[stacking.models.index(model)]
        return self.slope * scale + self.pooled.pool.share_of_models * own

    def shares(self, shares: Sequence[Share]) -> tuple[Share, ...]:
        """The parts of what the rules say as parts of the answer, those of the stacked models and
        what boosted trees add."""
        if self.pooled is None:
            return tuple(shares)
        pool = self.pooled.pool
        found = [Share(s.kind, s.name, s.log_odds * self.slope) for s in shares]
        found.append(Share("prior", "calibration", pool.constant))
        if pool.stacking is not None:
            stacking, half = pool.stacking, pool.share_of_models
            prior = stacking.base + stacking.intercept + self.pooled.shift
            found.append(Share("prior", "prior (stacked models)", half * prior))
            for place, model in enumerate(stacking.models):
                ratio = float(self.pooled.ratios[self.row, place])
                mean = float(self.pooled.means[self.row, place])
                found.append(Share("stacked", model, half * stacking.own[place] * ratio))
                around = half * stacking.around[place] * mean
                found.append(Share("stacked", f"{model}, mean of its neighbours", around))
        if pool.boosted:
            added = float(self.pooled.of_boosted(slice(self.row, self.row + 1))[0])
            found.append(Share("stacked", pool.boosted, added))
        return tuple(share for share in found if abs(share.log_odds) > LEAST)
