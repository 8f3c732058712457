"""Exact joint samples: whole worlds, not independent draws from marginals."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import InferenceError
from knowreason.factors.arrays import Array, array
from knowreason.factors.components import components, log2_states
from knowreason.factors.condition import condition
from knowreason.factors.graph import TRUE, FactorGraph
from knowreason.factors.stacks import Shapes, Stack
from knowreason.infer.conflicts import conflict
from knowreason.infer.exact import is_possible
from knowreason.infer.junction import JunctionSolver
from knowreason.infer.solvers import Impossible
from knowreason.infer.templates import TemplateSolver

_SMALL = 10.0  # log2 of the states up to which a component is drawn from their table


def samples(graph: FactorGraph, count: int, seed: int = 0, *, width: int = 18) -> Tensor:
    """Independent worlds drawn from a graph's distribution given its evidence.

    Args:
        graph: at the ``theta`` it holds.
        count: number of worlds.
        seed: same seed, same worlds.
        width: base-2 logarithm of the states of the largest clique of a junction tree.

    Returns:
        ``int8[count, n]``, auxiliary and decided atoms included.

    Raises:
        InferenceError: a component is too tangled (KR704), or has no possible world
            (KR702, KR703).
    """
    folded = condition(graph)
    labels, number = components(folded)
    shapes = Shapes(folded, labels, number)
    size = log2_states(folded, labels, number)
    worlds = np.tile((array(folded.evidence) == TRUE).astype(np.int8), (count, 1))
    rng = np.random.default_rng(seed)
    unary, weights = array(folded.unary_log_odds()), shapes.rows.weights(array(folded.theta))
    try:
        for stack in shapes.stacks(np.arange(number)):
            if size[stack.components[0]] <= _SMALL:
                _draw_states(stack, unary, weights, worlds, rng)
            else:
                _draw_cliques(stack, width, unary, weights, worlds, rng)
    except Impossible as impossible:
        raise conflict(folded, labels == impossible.component, is_possible) from None
    return torch.from_numpy(worlds)


def _draw_states(
    stack: Stack, unary: Array, weights: Array, worlds: NDArray[np.int8], rng: np.random.Generator
) -> None:
    solver = TemplateSolver.prepare(stack)
    states = array(solver.table[: stack.wiring.atoms]).astype(np.int8)
    for part in solver.parts(len(worlds)):
        energy = array(solver.energies(part, unary, weights))
        chosen = _draw(np.repeat(energy[:, None], len(worlds), axis=1), rng)
        worlds[:, stack.atoms[part]] = states[:, chosen].transpose(2, 1, 0)


def _draw_cliques(
    stack: Stack,
    width: int,
    unary: Array,
    weights: Array,
    worlds: NDArray[np.int8],
    rng: np.random.Generator,
) -> None:
    """From the root down: each clique's own variables given those above it."""
    solver = JunctionSolver.prepare(stack, 1 << width)
    if solver is None:
        raise InferenceError(
            f"a component of {stack.wiring.atoms} atoms is too tangled for exact samples",
            code="KR704",
            help="engine `gibbs` draws approximate ones",
        )
    tree, sizes = solver.tree, solver.model.sizes
    for part in solver.parts(len(worlds)):
        tables, log_z = solver.calibrated(part, unary, weights)
        drawn = np.zeros((len(sizes), len(log_z), len(worlds)), dtype=np.int64)
        batch = np.arange(len(log_z))[:, None]
        for i in range(len(tables) - 1, -1, -1):
            clique = tree.cliques[i]
            above = [v for v in clique if tree.homes[v] != i]
            own = clique[len(above) :]
            index = np.zeros((len(log_z), len(worlds)), dtype=np.int64)
            for v in above:
                index = index * sizes[v] + drawn[v]
            rows = int(np.prod([sizes[v] for v in above], dtype=np.int64))
            table = array(tables[i]).reshape(len(log_z), rows, -1)
            state = _draw(table[batch, index], rng)
            for v in reversed(own):
                drawn[v], state = state % sizes[v], state // sizes[v]
        for v, members in enumerate(solver.model.atoms):
            for atom, digit in members:
                worlds[:, stack.atoms[part][:, atom]] = (drawn[v] == digit).T


def _draw(logs: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """An index along the last axis, with chance proportional to ``exp(logs)``."""
    share = np.exp(logs - logs.max(-1, keepdims=True)).cumsum(-1)
    threshold = rng.random(share.shape[:-1]) * share[..., -1]
    return np.asarray((share <= threshold[..., None]).sum(-1).clip(max=logs.shape[-1] - 1))
