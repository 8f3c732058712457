"""How conclusions are made of rules and models: whose weights, and which halves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.model_output import ModelOutput
from knowreason.factors.neighbours import neighbour_means
from knowreason.grounding import Grounding
from knowreason.learning import Fit
from knowreason.models.base.stored_models import FittedModel
from knowreason.models.stacked.pool import Pool, PooledAtoms


@dataclass(frozen=True)
class Answers:
    """How conclusions are made of rules and models.

    Attributes:
        stated: the weights the program states, where conclusions rest on these and not on the
            learned ones.
        pools: one a predicate whose answer is not the rules' alone.
        beside: models that are stacked, and of which rules know nothing.
        notes: sentences for the user.
    """

    stated: Fit | None = None
    pools: tuple[Pool, ...] = ()
    beside: tuple[FittedModel, ...] = ()
    notes: tuple[str, ...] = ()

    def used(self, learned: Fit) -> Fit:
        """The fit whose weights conclusions rest on: stated ones, or the learned ones."""
        return self.stated or learned

    def pooled(
        self,
        grounding: Grounding,
        outputs: Sequence[ModelOutput],
        shifts: Mapping[str, float | NDArray[np.float64]],
        broken: Collection[tuple[str, str]] = (),
    ) -> dict[str, PooledAtoms]:
        """By predicate, the pool with what the models say of the atoms of a grounding.

        Args:
            grounding: today's.
            outputs: of all models, stacked ones included.
            shifts: log-odds by which base rates moved.
            broken: models, with their predicates, that no longer see what they saw.
        """
        found = {}
        question = grounding.program.question_of  # models of views answer the same
        for whole in self.pools:
            gone = [model for model, of in broken if question(of) == whole.predicate]
            pool = whole.broken(gone)
            names = pool.stacking.models if pool.stacking else ()
            by_name = {o.model: o for o in outputs if question(o.predicate) == pool.predicate}
            ratios, means = told_ratios(
                grounding, pool.predicate, [by_name[name] for name in names]
            )
            shift = float(np.asarray(shifts.get(pool.predicate, 0.0)))
            found[pool.predicate] = PooledAtoms(pool, ratios, means, shift)
        return found


def told_ratios(
    grounding: Grounding, predicate: str, outputs: Sequence[ModelOutput]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``float64[n, m]`` ratios of a span's atoms, and their means over neighbours."""
    span = grounding.span(predicate)
    if not outputs:
        return np.zeros((span.count, 0)), np.zeros((span.count, 0))
    ratios = np.stack([output.llr for output in outputs], axis=1).astype(np.float64)
    views = map(grounding.span, grounding.program.views_of(predicate))
    return ratios, neighbour_means(grounding.graph, span, ratios, views)
