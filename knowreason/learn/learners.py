"""The learners by name, and :func:`learn`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from knowreason.factors import OPEN
from knowreason.learn.fit import prior_fit
from knowreason.learn.objective import Progress
from knowreason.learn.problem import Fit, Problem
from knowreason.registry import Registry

Learner = Callable[..., Fit]
NOT_EXACT = (
    "labels count as independent: what they owe to their clusters is known only where exact "
    "inference serves every component"
)

LEARNERS: Registry[Learner] = Registry(
    "learner",
    "knowreason.learners",
    lazy={
        "variational_em": "knowreason.learn.variational_em:variational_em",
        "likelihood": "knowreason.learn.likelihood:likelihood",
        "knowgraph": "knowreason.learn.knowgraph:knowgraph",
        "pseudo_likelihood": "knowreason.learn.pseudo_likelihood:pseudo_likelihood",
    },
)


def learn(
    problem: Problem,
    method: str = "variational_em",
    *,
    seed: int = 0,
    posterior: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Fit:
    """Fits the learned parameters of a problem.

    Args:
        problem: graph, parameters and labels.
        method: ``variational_em``, ``likelihood``, ``pseudo_likelihood`` or another
            registered learner.
        seed: of everything random.
        posterior: how unlabelled atoms are treated: ``auto``, ``exact``, ``gibbs``, ``bp``.
        progress: called as ``progress(step, total, note)``.
        **options: of the learner.

    Returns:
        The fit. Without any label, or without anything to learn, every weight stays at its
        start and is said to be set by the prior.

    Raises:
        UnknownNameError: no such learner.
        LearningError: labels that contradict evidence, blocks or hard rules, or components
            the learner cannot serve.
    """
    learner = LEARNERS[method]
    if not np.any(problem.labels != OPEN):
        return prior_fit(problem, "no labels: every weight is at its prior mean")
    if not problem.parameters.learned.any():
        return prior_fit(problem, "every weight is given")
    fit = learner(problem, seed=seed, posterior=posterior, progress=progress, **options)
    if problem.clusters is None or fit.clusters:
        return fit
    return replace(fit, notes=(*fit.notes, NOT_EXACT))
