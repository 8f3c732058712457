"""Learning by belief propagation: the Bethe likelihood, where it may be trusted.

At weak coupling belief propagation has one fixed point and its free energy is close to the
true one; at strong coupling weights learned by it overshoot. So it is used only where the
free and the clamped run converge at the learned weights, each to the same beliefs from two
starts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors import FactorGraph
from knowreason.infer import infer
from knowreason.infer.auto import divide
from knowreason.learn.fit import Solution
from knowreason.learn.likelihood import Likelihood, exact_solution
from knowreason.learn.objective import Objective, Progress
from knowreason.learn.parts import Labelled

SPREAD = 3.0  # of the random messages of the second start, in log-odds
AGREE = 1e-2  # greatest difference of log-odds between the starts


def bethe_solution(
    objective: Objective,
    labelled: Labelled,
    start: NDArray[np.float64],
    *,
    seed: int,
    tolerance: float,
    max_iterations: int,
    progress: Progress | None = None,
) -> Solution | None:
    """Learns components by belief propagation; ``None`` where it cannot be trusted.

    Args:
        objective: the exact terms and the priors.
        labelled: the components too large for exact inference.
        start: ``float64[p]``.
        seed: of the second start.
        tolerance, max_iterations: of L-BFGS.
        progress: called as ``progress(step, total, note)``.
    """
    term = bethe_likelihood(labelled)
    whole = replace(objective, terms=(*objective.terms, term))
    solution = exact_solution(whole, start, tolerance, max_iterations, progress)
    theta = torch.from_numpy(objective.coordinates.theta(solution.eta))
    graphs = (labelled.graph.with_theta(theta), labelled.clamped.with_theta(theta))
    if not all(has_one_fixed_point(graph, seed) for graph in graphs):
        return None
    note = f"belief propagation served {len(labelled.atoms)} atoms: one fixed point"
    return replace(solution, notes=(*solution.notes, note))


def bethe_likelihood(labelled: Labelled) -> Likelihood:
    """Likelihood of components by belief propagation, exact where it can be."""
    return Likelihood(
        divide(labelled.clamped, fallback=False), divide(labelled.graph, fallback=False)
    )


def has_one_fixed_point(graph: FactorGraph, seed: int) -> bool:
    """Whether belief propagation converges from two starts, to the same beliefs."""
    usual = infer(graph, "bp", fallback=False)
    other = infer(graph, "bp", fallback=False, start=SPREAD, seed=seed)
    if not (usual.converged and other.converged):
        return False
    return float((usual.log_odds - other.log_odds).abs().max()) <= AGREE
