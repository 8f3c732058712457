"""Most probable worlds by max-product on junction trees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowreason.factors import FactorGraph
from knowreason.factors.arrays import array
from knowreason.factors.components.shapes import Shapes
from knowreason.inference.exact.conflicts import conflict
from knowreason.inference.exact.exact import MOST_ATOMS, affordable, is_possible
from knowreason.inference.exact.exact_budget import ExactBudget
from knowreason.inference.exact.junction import JunctionSolver
from knowreason.inference.exact.order_search import eliminated
from knowreason.inference.exact.partial_beliefs import Impossible


def best_of_components(
    graph: FactorGraph,
    labels: NDArray[np.int32],
    count: int,
    budget: ExactBudget,
    world: NDArray[np.int8],
) -> NDArray[np.bool_]:
    """``bool[c]``: components solved, whose best states are written into ``world`` (``int8[n]``).

    An atom on its own keeps its truth in ``world``.

    Args:
        graph: a conditioned graph.
        labels: ``int32[n]`` component of each atom, ``-1`` for decided ones.
        count: number of components.
        budget: of junction trees.
        world: the evidence, and the signs of the log-odds of open atoms.

    Raises:
        InferenceError: a component has no possible world (KR702).
    """
    shapes = Shapes(graph, labels, count)
    alone: NDArray[np.bool_] = (shapes.sizes == 1) & ~np.isin(
        np.arange(count), _tied(graph, labels)
    )
    stacks = shapes.stacks(np.flatnonzero(~alone & (shapes.sizes <= MOST_ATOMS)))
    parts = [part for stack in stacks if (part := eliminated(stack, budget)) is not None]
    fitting, _ = affordable(parts, budget)
    if not fitting:
        return alone
    solver = JunctionSolver.prepare(fitting)
    weights = shapes.rows.weights(array(graph.theta))
    try:
        solver.best(array(graph.unary_log_odds()), weights, world)
    except Impossible as impossible:
        raise conflict(graph, labels == impossible.component, is_possible) from None
    alone[solver.components] = True
    return alone


def _tied(graph: FactorGraph, labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Components with a row that is no unit."""
    rows = [labels[part.first_atoms()] for part in graph.couplings]
    return np.unique(np.concatenate([np.zeros(0, np.int32), *rows]))
