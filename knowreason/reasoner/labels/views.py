"""Views: latent predicates that ask what a query predicate asks, of models of their own.

**Why labels do not clamp a view.** If they did, ``View(x) <~> P(x)`` would hold at every labelled
atom and its weight would run to its bound, whatever the view's models are worth. So a view is
latent. Its unary factors are its base rate and its models' out-of-fold log-odds, and the pair
sends what they say on to ``P`` as a likelihood ratio that the weight ``w`` bounds:

    log [P(v | p) L + P(!v | p)] / [P(v | !p) L + P(!v | !p)],    L the models' likelihood ratio

At ``w = 0`` that is 0, at an infinite ``w`` it is ``log L``, between them it flattens out at the
log odds of ``v`` given ``p``: the weight says how far a view is believed, and views that say the
same (L is counted once a view) are worth less each. Models that know nothing have a constant
``L`` after calibration, which the base rate of ``P`` takes up: the weight is left to its prior.

**What identifies it.** Labels speak of ``w`` only through that function. The models' scale moves
the same slope near ``L = 1``, and the view's base rate the same offset; out-of-fold calibration
has settled both by the same labels. So they are held: the base rate at that of the models (of the
population, where the prevalence is known), the scale of a view's only model at 1. Of several
models the scales are learned, as ever, under their priors. No sign is left open either: a view
cannot mean the opposite of what its models say.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import logit

from knowreason.factors import OPEN, ParameterTable
from knowreason.grounding import Grounding
from knowreason.models.base.stored_models import FittedModel


def with_views_held(
    grounding: Grounding, table: ParameterTable, models: tuple[FittedModel, ...]
) -> ParameterTable:
    """The table with base rates of views, and scales of their only models, that are not learned.

    Args:
        grounding: with the outputs of ``models``.
        table: its parameters at their starts.
        models: of all predicates.
    """
    start, mean, learned = table.start.copy(), table.prior_mean.copy(), table.learned.copy()
    for view in grounding.program.predicates:
        if not view.sees:
            continue
        mine = [model for model in models if model.predicate == view.name]
        bias = f"bias {view.name}"
        if bias in table.names:
            place = table.index(bias)
            start[place] = mean[place] = _base_rate(grounding, view.sees, mine)
            learned[place] = False
        if len(mine) == 1:
            scale = table.index(grounding.scale_of(mine[0].fitted.output))
            start[scale], learned[scale] = 1.0, False
    return replace(table, start=start, prior_mean=mean, learned=learned)


def _base_rate(grounding: Grounding, seen: str, models: list[FittedModel]) -> float:
    """Log-odds: the models' base rates, or the share of true labels where there is no model."""
    rates = [model.fitted.output.base_rate for model in models]
    if rates:
        return float(np.mean(logit(np.asarray(rates))))
    span = grounding.span(seen)
    labels = grounding.labels[span.start : span.stop]
    known = labels[labels != OPEN]
    return float(logit((known.sum() + 0.5) / (len(known) + 1)))
