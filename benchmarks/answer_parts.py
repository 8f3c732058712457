"""What a fitted reasoner's answer is made of, part by part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import knowreason as kr
from knowreason.beliefs.beliefs import Beliefs
from knowreason.reasoner.fit_answers import stated_fit
from knowreason.reasoner.rule_weights import theta_for

Scores = NDArray[np.float64]


def answer_parts(
    reasoner: kr.Reasoner, beliefs: Beliefs, predicate: str, atoms: NDArray[np.int64]
) -> dict[str, Scores]:
    """Log-odds of some atoms: ``answer``, ``R`` (rules over models, at the weights in use), ``S``
    (stacked models, where they are part of it), ``P`` and ``L`` (rules at stated weights, where
    there are any, and at learned ones).

    Args:
        reasoner: fitted.
        beliefs: its own.
        predicate: of the atoms.
        atoms: ``int64[n]`` in the grounding of the beliefs.
    """
    grounding = beliefs.grounding
    of_rules = beliefs.posterior.log_odds.numpy()[atoms].astype(np.float64)
    found = {"answer": np.asarray(beliefs.log_odds[atoms], np.float64), "R": of_rules}
    pooled = beliefs.answers.get(predicate)
    if pooled is not None and pooled.pool.stacking is not None:
        rows = atoms - grounding.span(predicate).start
        found["S"] = pooled.of_models(rows) / pooled.pool.share_of_models
    stated = stated_fit(
        reasoner.grounding_,
        reasoner.models_,
        method=reasoner.method,
        settings=reasoner.settings,
        seed=reasoner.seed,
    )
    for name, fit in (("P", stated), ("L", reasoner.fit_)):
        if fit is not None:
            graph = grounding.at(theta_for(grounding, fit))
            options = reasoner.engine_options(reasoner.engine, grounding.parameters)
            posterior = kr.infer(graph, engine=reasoner.engine, **options)
            found[name] = posterior.log_odds.numpy()[atoms].astype(np.float64)
    return found
