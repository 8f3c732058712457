"""Runs message-passing sweeps until beliefs stand still: numba on the CPU, or torch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.potentials.factor_nodes import FactorNodes
from knowreason.inference.messages.bp_kernels import BELIEF_LIMIT, couple_blocks, gather_raw, settle
from knowreason.inference.messages.message_graph import MessageGraph
from knowreason.inference.messages.torch_messages import TorchMessages

Weights: TypeAlias = "list[Tensor | None]"
Job: TypeAlias = Callable[["_State", int, int, int], None]  # state, thread, first and last row


@dataclass(frozen=True)
class SweepSchedule:
    """How long and how carefully to sweep.

    Attributes:
        sweeps: at most so many.
        damping: share of the old message kept, in log-odds.
        tolerance: a belief stands still when it would move no further than this.
        maximum: max-product instead of sum-product.
        threads: CPU threads, at most two are of use.
    """

    sweeps: int = 200
    damping: float = 0.5
    tolerance: float = 1e-6
    maximum: bool = False
    threads: int = 1


@dataclass(frozen=True)
class Outcome:
    """Where a run of sweeps ended.

    Attributes:
        messages: ``float64[e]`` log-odds.
        change: ``float64[n]`` last change of each belief, over ``1 - damping``.
        sweeps: sweeps made.
    """

    messages: NDArray[np.float64]
    change: NDArray[np.float64]
    sweeps: int


@dataclass(frozen=True)
class _State:
    """Arrays the kernels write, in odds; ``atoms`` and ``spill`` have a row a thread."""

    messages: NDArray[np.float64]
    atoms: NDArray[np.float64]
    spill: NDArray[np.float64]


def sweep_on_cpu(
    plan: MessageGraph,
    unary: Tensor,
    weights: Weights,
    schedule: SweepSchedule,
    messages: NDArray[np.float64] | None = None,
) -> Outcome:
    """Sweeps with the numba kernels.

    Args:
        plan: the laid out graph.
        unary: ``float64[n]`` log-odds.
        weights: of the rows of all nodes, ``None`` of hard ones.
        schedule: when to stop.
        messages: ``float64[e]`` log-odds to start from; zeros by default.
    """
    fixed = np.ascontiguousarray(unary.detach().cpu().numpy(), dtype=np.float64)
    threads, n = schedule.threads, plan.atom_count
    start = np.zeros(plan.edge_count) if messages is None else messages
    state = _State(np.exp(start), np.ones((threads, n, 2)), np.zeros((threads, n)))
    raw = fixed + np.bincount(plan.edge_atoms, start, n)
    belief = raw.copy()
    change = np.zeros(n)
    _couple(plan, raw, belief, schedule.maximum)
    settle(belief, state.atoms, change)
    jobs = [
        (_job(nodes, at, weight, schedule), nodes.count)
        for nodes, at, weight in zip(plan.nodes, plan.starts, weights, strict=True)
    ]
    made, limit = 0, schedule.tolerance * (1 - schedule.damping)
    with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
        while made < schedule.sweeps:
            made += 1
            _run(jobs, state, pool, threads)
            np.copyto(change, belief)
            gather_raw(fixed, state.atoms, state.spill, raw)
            np.copyto(belief, raw)
            _couple(plan, raw, belief, schedule.maximum)
            if settle(belief, state.atoms, change) <= limit:
                break
    return Outcome(np.log(state.messages), change / (1 - schedule.damping), made)


def sweep_in_torch(
    plan: MessageGraph,
    unary: Tensor,
    weights: Weights,
    schedule: SweepSchedule,
    messages: NDArray[np.float64] | None = None,
    *,
    device: torch.device | str = "cpu",
    shares: Tensor | None = None,
) -> Outcome:
    """The same sweeps in torch on ``device``; ``shares`` makes them tree-reweighted.

    ``shares`` is ``float64[e]``: the appearance probability of each edge's factor.
    """
    torch_plan = TorchMessages.of(plan, device)
    raised = [None if w is None else w.detach().to(device, torch.float64) for w in weights]
    share = None if shares is None else shares.to(device)
    if share is not None:
        raised = torch_plan.raised(raised, share)
    fixed = unary.detach().to(device, torch.float64)
    start = np.zeros(plan.edge_count) if messages is None else messages
    current = torch.from_numpy(start).to(device)
    maximum, damping = schedule.maximum, schedule.damping

    def beliefs(now: Tensor) -> Tensor:
        raw = torch_plan.raw(fixed, now if share is None else share * now)
        return torch_plan.beliefs(raw, maximum).clamp(-BELIEF_LIMIT, BELIEF_LIMIT)

    belief, made = beliefs(current), 0
    change = torch.zeros_like(belief)
    while made < schedule.sweeps:
        made += 1
        new = torch_plan.update(belief, current, raised, maximum)
        current = damping * current + (1 - damping) * new
        previous, belief = belief, beliefs(current)
        change = (belief - previous).abs() / (1 - damping)
        if not change.numel() or float(change.max()) <= schedule.tolerance:
            break
    return Outcome(current.cpu().numpy(), change.cpu().numpy(), made)


def _run(
    jobs: list[tuple[Job, int]], state: _State, pool: ThreadPoolExecutor | None, threads: int
) -> None:
    def work(thread: int) -> None:
        for job, rows in jobs:
            job(state, thread, rows * thread // threads, rows * (thread + 1) // threads)

    if pool is None:
        work(0)
    else:
        list(pool.map(work, range(threads)))


def _couple(
    plan: MessageGraph, raw: NDArray[np.float64], belief: NDArray[np.float64], maximum: bool
) -> None:
    blocks = plan.blocks
    if blocks.count:
        couple_blocks(raw, blocks.offsets, blocks.atoms, blocks.at_most_one, maximum, belief)


def _job(nodes: FactorNodes, start: int, weights: Tensor | None, schedule: SweepSchedule) -> Job:
    """The kernel of the nodes with its constants bound."""
    damping, maximum = schedule.damping, schedule.maximum
    kernel, constants = nodes.kernel(weights)

    def job(state: _State, thread: int, first: int, last: int) -> None:
        kernel(
            first,
            last,
            *constants,
            state.messages[start : start + nodes.edges],
            state.atoms[thread],
            state.spill[thread],
            damping,
            maximum,
        )

    return job
