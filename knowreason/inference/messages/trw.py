"""Tree-reweighted belief propagation: convex, so it settles; an upper bound on log Z."""

from __future__ import annotations

import time

import numpy as np

from knowreason.factors import FactorGraph
from knowreason.inference.messages.bp import PropagationRun
from knowreason.inference.messages.message_graph import shared_blocks
from knowreason.inference.messages.sweeps import SweepSchedule
from knowreason.inference.posterior import Posterior


def trw(
    graph: FactorGraph,
    *,
    damping: float = 0.5,
    sweeps: int = 200,
    tolerance: float = 1e-6,
    device: str = "auto",
    seed: int = 0,
) -> Posterior:
    """Sum-product reweighted by random spanning forests.

    Its beliefs are more cautious than those of ``bp``, which calls it for components that
    do not converge. At convergence ``log_z`` is an upper bound, up to the sampling of the
    forests, where no factor holds two states of one block.

    Args:
        graph: any factor graph.
        damping: share of the old message kept.
        sweeps: at most so many.
        tolerance: a component has converged when no belief would move further.
        device: as for ``bp``; the sweeps are always torch's.
        seed: of the forests.

    Source: Wainwright, Jaakkola & Willsky 2005, IEEE Trans. Information Theory 51(7).
    """
    begin = time.perf_counter()
    run = PropagationRun.of(graph, SweepSchedule(sweeps, damping, tolerance), device)
    outcome, shares = run.reweighted(run.plan, seed)
    everywhere = np.ones(run.count, dtype=np.bool_)
    report = run.report("trw", outcome, everywhere, run.moving(outcome), begin)
    bound = report.converged == report.components and not shared_blocks(run.plan)
    return run.posterior(outcome, shares, (report,), "upper bound" if bound else "estimate")
