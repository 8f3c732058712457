"""Learning by belief propagation: the Bethe likelihood, where it may be trusted.

At weak coupling belief propagation has one fixed point and its free energy is close to the
true one; at strong coupling weights learned by it overshoot. So it is used only where the
free and the clamped run converge at the learned weights, each to the same beliefs from two
starts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors import FactorGraph
from knowreason.factors.components.connected import subgraph
from knowreason.inference import infer
from knowreason.inference.exact.exact import Prepared, prepare
from knowreason.inference.messages.bp import PropagationRun, prepare_bp
from knowreason.inference.posterior import Posterior
from knowreason.learning.estimators.exact_likelihood import Likelihood, exact_solution
from knowreason.learning.fit import Solution
from knowreason.learning.labelled_components import Labelled
from knowreason.learning.objective import Objective, Progress, maximise

SPREAD = 3.0  # of the random messages of the second start, in log-odds
AGREE = 1e-2  # greatest difference of log-odds between the starts
STATES, WIDTH = 1 << 8, 0  # of components summed exactly: larger ones take longer than messages
SWEEPS, TOLERANCE = 400, 1e-6
GRADIENT = 0.02  # a hundredth of a standard error or less, for errors below 0.5
SAME = 0.01  # squared distance, in standard errors, within which two optima are one


@dataclass
class WarmPropagation:
    """Belief propagation at one ``theta`` after another, from the messages before.

    Attributes:
        exact: serves components that cost nothing.
        run: serves the others, ``None`` without any.
        messages: ``float64[e]`` where it last converged.
    """

    exact: Prepared
    run: PropagationRun | None
    messages: NDArray[np.float64] | None = None

    @staticmethod
    def of(graph: FactorGraph) -> WarmPropagation:
        """Conditions and lays out any graph once."""
        exact = prepare(graph, states=STATES, width=WIDTH)
        left = ~exact.tractable.numpy()
        if not left.any():
            return WarmPropagation(exact, None)
        rest, _ = subgraph(exact.graph, left)
        return WarmPropagation(exact, prepare_bp(rest, sweeps=SWEEPS, tolerance=TOLERANCE))

    def __call__(self, theta: Tensor) -> Posterior:
        """``log_z`` and expectations of all components (beliefs are the exact ones')."""
        posterior = self.exact(theta)
        if self.run is None:
            return posterior
        run = self.run.at(theta)
        outcome = run.sweep(self.messages)
        if run.moving(outcome).any():
            outcome = run.sweep(None)
        settled = not run.moving(outcome).any()
        self.messages = outcome.messages if settled else None
        rest = run.posterior(outcome, None, ())
        assert rest.log_z is not None
        assert posterior.log_z is not None
        assert rest.expectations is not None
        assert posterior.expectations is not None
        return replace(
            posterior,
            log_z=posterior.log_z + rest.log_z,
            log_z_kind="estimate",
            expectations=posterior.expectations + rest.expectations,
        )


def bethe_solutions(
    objective: Objective,
    labelled: Labelled,
    starts: list[NDArray[np.float64]],
    *,
    seed: int,
    max_iterations: int,
    progress: Progress | None = None,
) -> list[Solution]:
    """Learns components by belief propagation; empty where it cannot be trusted.

    Args:
        objective: the exact terms, the Bethe likelihood of ``labelled`` and the priors.
        labelled: the components too large for exact inference.
        starts: ``float64[p]`` each.
        seed: of the messages of the second start.
        max_iterations: of L-BFGS.
        progress: called as ``progress(step, total, note)``.
    """
    solutions: list[Solution] = []
    for start in starts:
        solution = _from_start(objective, start, solutions, max_iterations, progress)
        theta = torch.from_numpy(objective.coordinates.theta(solution.eta))
        graphs = (labelled.graph.with_theta(theta), labelled.clamped.with_theta(theta))
        repeated = any(solution is other for other in solutions)
        if not repeated and not all(has_one_fixed_point(graph, seed) for graph in graphs):
            return []
        solutions.append(solution)
    note = f"belief propagation served {len(labelled.atoms)} atoms: one fixed point"
    return [replace(solution, notes=(*solution.notes, note)) for solution in solutions]


def _from_start(
    objective: Objective,
    start: NDArray[np.float64],
    solutions: list[Solution],
    max_iterations: int,
    progress: Progress | None,
) -> Solution:
    """The optimum reached from a start, or a known one where it is the same."""
    eta = objective.coordinates.eta(start)
    if solutions:
        reached = maximise(
            objective, eta, tolerance=GRADIENT, max_iterations=max_iterations, progress=progress
        )
        eta = reached.eta
        for solution in solutions:
            gap = eta - solution.eta
            if gap @ solution.information @ gap <= SAME:
                return solution
    theta = objective.coordinates.theta(eta)
    return exact_solution(objective, theta, GRADIENT, max_iterations, progress)


def bethe_likelihood(labelled: Labelled) -> Likelihood:
    """Likelihood of components by belief propagation, exact where that costs nothing."""
    return Likelihood(WarmPropagation.of(labelled.clamped), WarmPropagation.of(labelled.graph))


def has_one_fixed_point(graph: FactorGraph, seed: int) -> bool:
    """Whether belief propagation converges from two starts, to the same beliefs."""
    usual = infer(graph, "bp", fallback=False)
    other = infer(graph, "bp", fallback=False, start=SPREAD, seed=seed)
    if not (usual.converged and other.converged):
        return False
    return float((usual.log_odds - other.log_odds).abs().max()) <= AGREE
