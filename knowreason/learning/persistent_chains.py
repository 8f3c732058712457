"""Worlds sampled jointly: labels clamped, or free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors import OPEN, FactorGraph

Worlds = NDArray[np.int8]
Vector = NDArray[np.float64]
Sampler = Callable[[Vector, Worlds | None, int, int], Worlds]


def chain_count(graph: FactorGraph, most: int = 20, fewest: int = 8) -> int:
    """Chains to run: ``most``, fewer where a graph is so large that it averages by itself."""
    rows = sum(part.rows for part in graph.factors)
    return int(np.clip(4_000_000 // max(rows, 1), fewest, most))


@dataclass
class Chains:
    """Persistent Gibbs chains of one graph at whatever ``theta`` is current.

    Attributes:
        sampler: ``(theta, worlds or None, sweeps, seed) -> worlds``.
        seed: of the first step; every step draws a seed of its own from it.
        worlds: ``int8[w, n]``, where the chains are now.
    """

    sampler: Sampler
    seed: int
    worlds: Worlds | None = None
    steps: int = 0

    def advance(self, theta: Vector, sweeps: int) -> Worlds:
        """Runs ``sweeps`` sweeps at ``theta`` (``float64[p]``) and returns the worlds."""
        self.steps += 1
        step_seed = int(np.random.default_rng([self.seed, self.steps]).integers(2**31))
        self.worlds = self.sampler(theta, self.worlds, sweeps, step_seed)
        return self.worlds


def is_complete(evidence: NDArray[np.int8], auxiliary: Tensor | None) -> bool:
    """Whether every atom but the auxiliary ones is known."""
    unknown = evidence == OPEN
    if auxiliary is not None:
        unknown = unknown & ~auxiliary.numpy()
    return not bool(unknown.any())


def gibbs_sampler(graph: FactorGraph) -> Sampler:
    """Persistent Gibbs chains of a graph, its evidence clamped."""
    from knowreason.inference.gibbs.gibbs import prepare_gibbs

    prepared = prepare_gibbs(graph)
    chains = chain_count(graph)

    def sample(theta: Vector, worlds: Worlds | None, sweeps: int, seed: int) -> Worlds:
        start = None if worlds is None else torch.from_numpy(worlds)
        at = torch.from_numpy(theta)
        return prepared.sample(at, start, sweeps=sweeps, seed=seed, chains=chains).numpy()

    return sample
