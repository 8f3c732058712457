"""How conclusions are made of rules and models: whose weights, and which halves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.model_output import ModelOutput
from knowreason.factors.neighbours import neighbour_means
from knowreason.grounding import Grounding
from knowreason.learning import Fit
from knowreason.logic import Program
from knowreason.models.base.stored_models import FittedModel
from knowreason.models.stacked.pool import Pool, PooledAtoms
from knowreason.row_keys import locate


@dataclass(frozen=True)
class Answers:
    """How conclusions are made of rules and models.

    Attributes:
        weights: those conclusions rest on where these are not the learned ones: what the program
            states, or halfway.
        share: how far these weights go from the stated ones (0) to the learned ones (1).
        pools: one a predicate whose answer is not the rules' alone.
        beside: models that are stacked, and of which rules know nothing.
        boosted: trees that start from what rules say, of which models and rules know nothing.
        notes: sentences for the user.
    """

    weights: Fit | None = None
    pools: tuple[Pool, ...] = ()
    beside: tuple[FittedModel, ...] = ()
    boosted: tuple[FittedModel, ...] = ()
    notes: tuple[str, ...] = ()
    share: float = 1.0

    def used(self, learned: Fit) -> Fit:
        """The fit whose weights conclusions rest on."""
        if self.weights is None:
            return learned
        return replace(self.weights, knowgraph=learned.knowgraph)

    def replicates(self, learned: Fit, drawn: NDArray[np.float64]) -> list[Fit]:
        """The fits that conclusions rest on when the learned weights are each row of ``drawn``.

        Args:
            learned: the fit of all weights.
            drawn: ``float64[b, p]``, replicates of its parameters.
        """
        used = self.used(learned)
        return [replace(used, theta=used.theta + self.share * (t - learned.theta)) for t in drawn]

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
            outputs: of all models, stacked ones and boosted trees included.
            shifts: log-odds by which base rates moved.
            broken: models, with their predicates, that no longer see what they saw.
        """
        found = {}
        question = grounding.program.question_of  # models of views answer the same
        for whole in self.pools:
            gone = [model for model, of in broken if question(of) == whole.predicate]
            pool = whole.broken(gone)
            names = pool.stacking.models if pool.stacking else ()
            by_name = stackable(grounding, pool.predicate, outputs)
            said = tuple(by_name[name] for name in names)
            ratios, means = told_ratios(grounding, pool.predicate, said)
            shift = float(np.asarray(shifts.get(pool.predicate, 0.0)))
            added = by_name[pool.boosted].llr.astype(np.float64) if pool.boosted else None
            found[pool.predicate] = PooledAtoms(pool, ratios, means, shift, added, said)
        return found


def stackable(
    grounding: Grounding, predicate: str, outputs: Sequence[ModelOutput]
) -> dict[str, ModelOutput]:
    """What models of a predicate and of its views say of its atoms, by name; after these, what the
    program's models of other Boolean query predicates say of the same things (kinds of a fraud,
    say), and nothing of things that only one of them asks about."""
    program = grounding.program
    alike = [
        name
        for name in boolean_queries(program)
        if name != predicate and program.sorts_of(name) == program.sorts_of(predicate)
    ]
    declared = [model.name for model in program.models]
    others = [o for o in outputs if o.predicate in alike and o.model in declared]
    own = {o.model: o for o in outputs if program.question_of(o.predicate) == predicate}
    return own | {f"{o.model} of {o.predicate}": _about(grounding, predicate, o) for o in others}


def _about(grounding: Grounding, predicate: str, output: ModelOutput) -> ModelOutput:
    """An output with ratios of the things in the order of another predicate's atoms."""
    mine, theirs = (grounding.span(name).arguments for name in (predicate, output.predicate))
    if np.array_equal(mine, theirs):
        return output
    at = locate(theirs, mine)
    llr = np.zeros(len(mine), output.llr.dtype)
    llr[at >= 0] = output.llr[at[at >= 0]]
    return replace(output, llr=llr)


def boolean_queries(program: Program) -> list[str]:
    """Names of the query predicates whose atoms are true or false."""
    return [
        p.name for p in program.predicates if p.kind == "query" and p.functional_position is None
    ]


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
