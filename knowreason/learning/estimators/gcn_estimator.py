"""Variational EM with the GCN posterior: a network fitted to the program begins the chains.

E-step: at the weights in use the network tells the marginals of what is unlabelled, with
labels clamped and without; worlds drawn from them are where short Gibbs chains begin, which
make them joint. M-step: Newton steps on ``E[f | labels] - E[f]`` of these chains
(:mod:`.chains`). Where weights have moved the network is fitted again, from where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors import FactorGraph
from knowreason.factors.arrays import array
from knowreason.inference.gcn.gcn import network_beliefs
from knowreason.inference.gcn.gcn_fitting import FittedGcn, GcnRecipe, fit_gcn, gcn_errors
from knowreason.inference.gibbs.gibbs import GibbsSampler
from knowreason.learning.estimators.chains import (
    ChainSchedule,
    far_apart,
    likelihood_by_chains,
)
from knowreason.learning.fit import Solution
from knowreason.learning.labelled_components import Labelled
from knowreason.learning.objective import Objective, Progress

Vector = NDArray[np.float64]
MOVED = 0.25  # of any weight, in log-odds: the network is fitted again
MOST_FITS = 4  # of one start
SHORT = ChainSchedule(warm_up=20)


@dataclass
class GcnPosterior:
    """A network that follows the weights of labelled components.

    Attributes:
        labelled: the components.
        recipe: how the network is fitted; half as many steps where it was before.
        seed: of the cut-outs.
        progress: called as ``progress(step, total, note)``.
        fitted: the network, ``None`` before the first fit.
        theta: ``float64[p]`` at which it was fitted; ``None`` where it was given.
        fits: made so far.
    """

    labelled: Labelled
    recipe: GcnRecipe
    seed: int
    progress: Progress | None = None
    fitted: FittedGcn | None = None
    theta: Vector | None = None
    fits: int = 0

    def graphs(self, theta: Vector) -> tuple[FactorGraph, FactorGraph]:
        """The components without labels and with them, at weights."""
        at = torch.from_numpy(theta)
        return self.labelled.graph.with_theta(at), self.labelled.clamped.with_theta(at)

    def moved(self, theta: Vector) -> bool:
        """Whether weights are so far from where the network was fitted that it is no longer.

        A network that was given, not fitted here, stays: weights are among its inputs.
        """
        if self.theta is None:
            return self.fitted is None
        return bool((np.abs(theta - self.theta) > MOVED).any())

    def follow(self, theta: Vector) -> FittedGcn:
        """The network, fitted again where weights have moved."""
        if self.fitted is not None and not self.moved(theta):
            return self.fitted
        before, recipe = self.fitted, self.recipe
        self.fitted = fit_gcn(
            self.graphs(theta),
            labels=self.labelled.evidence,
            network=None if before is None else before.network,
            recipe=recipe if before is None else replace(recipe, steps=recipe.steps // 2),
            seed=self.seed,
            progress=self.progress,
        )
        self.theta, self.fits = theta, self.fits + 1
        return self.fitted

    def worlds(
        self, sampler: GibbsSampler, graph: FactorGraph, chains: int, seed: int
    ) -> NDArray[np.int8]:
        """``int8[w, n]``: drawn from the network's beliefs about a conditioned graph.

        Every second chain starts far from them: where belief propagation knows one phase of
        two, so does the network, and what lies between chains then says so.
        """
        fitted = self.follow(array(graph.theta))
        beliefs, _ = network_beliefs(graph, fitted.network, seed=self.seed)
        worlds = sampler.start(graph, chains, seed, beliefs=array(beliefs))
        worlds[1::2] = far_apart(sampler, graph, chains, seed)[1::2]
        return worlds

    def ended(self, theta: Vector) -> FittedGcn:
        """The network for the weights that were learned, with its error at them."""
        fitted = self.follow(theta)
        if self.theta is None or np.array_equal(theta, self.theta):
            return fitted
        errors = gcn_errors(self.graphs(theta), fitted.network, recipe=self.recipe, seed=self.seed)
        return replace(fitted, errors=errors)


def likelihood_by_gcn(
    objective: Objective,
    posterior: GcnPosterior,
    start: Solution | Vector,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Solution:
    """Maximum likelihood by chains that begin where the GCN posterior says.

    Args:
        objective: exact terms and priors.
        posterior: of the components that are sampled; it is fitted at the way's weights.
        start: coordinates (``float64[f]``), or a solution whose information is trusted too.
        seed: of the chains.
        progress: called as ``progress(step, total, note)``.
    """
    iterations = 0
    for fit in range(MOST_FITS):
        solution = likelihood_by_chains(
            objective,
            posterior.labelled,
            start,
            seed=seed + 1000 * fit,
            plan=SHORT,
            begin=posterior.worlds,
            progress=progress,
        )
        iterations += solution.iterations
        if not posterior.moved(objective.coordinates.theta(solution.eta)):
            break
        start = solution.eta
    return replace(solution, iterations=iterations)
