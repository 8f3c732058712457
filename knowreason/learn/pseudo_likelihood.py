"""Pseudo-likelihood of the labelled world; what is hidden is drawn by Gibbs chains."""

from __future__ import annotations

from typing import Any

from knowreason.learn.objective import Progress
from knowreason.learn.problem import Fit, Problem
from knowreason.learn.variational_em import variational_em


def pseudo_likelihood(
    problem: Problem,
    *,
    seed: int = 0,
    posterior: str = "auto",
    progress: Progress | None = None,
    **schedule: Any,
) -> Fit:
    """Every component by pseudo-likelihood, small ones too.

    Standard errors are Godambe's, from worlds drawn from the fitted model. Source: Besag
    1977; Richardson & Domingos 2006, section 4.

    Args:
        problem: what to learn.
        seed: of the chains and of the starts.
        posterior: ``auto`` or ``gibbs``, which are the same here.
        progress: called as ``progress(step, total, note)``.
        **schedule: fields of :class:`~knowreason.learn.sampled.SamplingSchedule`.
    """
    del posterior
    return variational_em(problem, seed=seed, posterior="gibbs", progress=progress, **schedule)
