"""Exact joint samples: whole worlds, not independent draws from marginals."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import InferenceError
from knowreason.factors.arrays import Array, array
from knowreason.factors.components.connected import components, log2_states
from knowreason.factors.components.shapes import Shapes, Stack
from knowreason.factors.condition import condition
from knowreason.factors.factor_graph import TRUE, FactorGraph
from knowreason.inference.exact.cliques import Cliques, Eliminated
from knowreason.inference.exact.conflicts import conflict
from knowreason.inference.exact.exact import is_possible, worth_a_template
from knowreason.inference.exact.junction import JunctionSolver, eliminated
from knowreason.inference.exact.log_messages import Logs
from knowreason.inference.exact.partial_beliefs import ComponentBeliefs, Impossible
from knowreason.inference.exact.templates import TemplateSolver

_CHUNK_ENTRIES = 1 << 22  # logs held at once


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
    template = worth_a_template(shapes, size)
    try:
        for stack in shapes.stacks(np.flatnonzero(template)):
            _draw_states(stack, unary, weights, worlds, rng)
        parts = [_part(stack, width) for stack in shapes.stacks(np.flatnonzero(~template))]
        for solver in JunctionSolver.prepare(parts):
            beliefs = ComponentBeliefs.empty(folded.atom_count, len(weights), number)
            tables = solver.calibrated(unary, weights, beliefs)
            _draw_cliques(solver.cliques, tables, worlds, rng)
    except Impossible as impossible:
        raise conflict(folded, labels == impossible.component, is_possible) from None
    return torch.from_numpy(worlds)


def _part(stack: Stack, width: int) -> Eliminated:
    part = eliminated(stack, 1 << width)
    if part is None:
        raise InferenceError(
            f"a component of {stack.shape.atoms} atoms is too tangled for exact samples",
            code="KR704",
            help="engine `gibbs` draws approximate ones",
        )
    return part


def _draw_states(
    stack: Stack, unary: Array, weights: Array, worlds: NDArray[np.int8], rng: np.random.Generator
) -> None:
    solver = TemplateSolver.prepare(stack)
    states = array(solver.table[: stack.shape.atoms]).astype(np.int8)
    for part in solver.parts(len(worlds)):
        energy = array(solver.energies(part, unary, weights))
        chosen = _draw(np.repeat(energy[:, None], len(worlds), axis=1), rng)
        worlds[:, stack.atoms[part]] = states[:, chosen].transpose(2, 1, 0)


def _draw_cliques(
    cliques: Cliques, tables: list[Logs], worlds: NDArray[np.int8], rng: np.random.Generator
) -> None:
    """Roots first, then every clique's own variables given those of its separator."""
    count = len(worlds)
    drawn = np.zeros((len(cliques.offsets) - 1, count), dtype=np.int32)
    for group, table, roots in zip(cliques.tables, tables, cliques.roots, strict=True):
        for rows in _parts(roots, count * table.shape[1]):
            logs = np.repeat(table[rows][:, None], count, axis=1)
            _decode(_draw(logs, rng), group.shape, group.scope[rows], drawn)
    for link in cliques.links:
        group = cliques.tables[link.child]
        kept = _separator_axes(group.shape, link.separator)
        for rows in _parts(link.child_rows, count * tables[link.child].shape[1]):
            index = np.zeros((len(rows), count), dtype=np.int64)
            for axis in range(kept):
                index = index * group.shape[axis] + drawn[group.scope[rows, axis]]
            table = tables[link.child][rows].reshape(len(rows), link.separator, -1)
            state = _draw(table[np.arange(len(rows))[:, None], index], rng)
            _decode(state, group.shape[kept:], group.scope[rows, kept:], drawn)
    owner = np.repeat(np.arange(len(drawn)), np.diff(cliques.offsets))
    digit = np.arange(len(owner)) - cliques.offsets[owner]
    true = np.flatnonzero(cliques.atom >= 0)
    worlds[:, cliques.atom[true]] = (drawn[owner[true]] == digit[true, None]).T


def _separator_axes(shape: tuple[int, ...], states: int) -> int:
    """How many first axes have so many joint states (every axis has at least two)."""
    kept, product = 0, 1
    while product < states:
        product *= shape[kept]
        kept += 1
    return kept


def _decode(
    state: NDArray[np.int64],
    shape: tuple[int, ...],
    variables: NDArray[np.int64],
    drawn: NDArray[np.int32],
) -> None:
    """Writes flattened states ``int64[r, count]`` of ``variables`` (``int64[r, s]``)."""
    for axis in range(len(shape) - 1, -1, -1):
        drawn[variables[:, axis]] = state % shape[axis]
        state = state // shape[axis]


def _parts(rows: NDArray[np.int64], entries: int) -> list[NDArray[np.int64]]:
    """Rows in pieces of bounded memory; ``entries`` are needed for each."""
    step = max(1, _CHUNK_ENTRIES // max(1, entries))
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _draw(logs: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """An index along the last axis, with chance proportional to ``exp(logs)``."""
    share = np.exp(logs - logs.max(-1, keepdims=True)).cumsum(-1)
    threshold = rng.random(share.shape[:-1]) * share[..., -1]
    return np.asarray((share <= threshold[..., None]).sum(-1).clip(max=logs.shape[-1] - 1))
