"""Loopy belief propagation on the whole graph; exact on trees."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.arrays import array, owners
from knowreason.factors.components.connected import components
from knowreason.factors.condition import condition
from knowreason.inference.messages.message_beliefs import beliefs_at, decided_clipped
from knowreason.inference.messages.message_graph import MessageGraph, layout, shared_blocks
from knowreason.inference.messages.spanning_forests import appearance_probabilities
from knowreason.inference.messages.sweeps import (
    Outcome,
    SweepSchedule,
    sweep_in_torch,
    sweep_on_cpu,
)
from knowreason.inference.messages.torch_messages import TorchMessages
from knowreason.inference.posterior import (
    EngineReport,
    LogZKind,
    Posterior,
    quality_of_open,
)

FIRST_SWEEPS = 40  # after these, only components that still move are swept
STRONG_DAMPING = 0.9
GPU_EDGES = 1_000_000
NEAR = 0.1  # a component that moves less, in log-odds, needs time, not another method
SLOW = 3  # times as many sweeps for those


def bp(
    graph: FactorGraph,
    *,
    product: Literal["sum", "max"] = "sum",
    damping: float = 0.5,
    sweeps: int = 200,
    tolerance: float = 1e-6,
    threads: int = 1,
    device: str = "auto",
    fallback: bool = True,
    start: float = 0.0,
    seed: int = 0,
) -> Posterior:
    """Sum- or max-product belief propagation: flooding schedule, damped in log-odds.

    Args:
        graph: any factor graph.
        product: ``sum`` for marginals, Bethe ``log_z`` and expectations; ``max`` for
            max-marginals and the world they decode to.
        damping: share of the old message kept, ``0 <= damping < 1``.
        sweeps: at most so many; with ``fallback`` three times as many more for components
            that are nearly at rest.
        tolerance: a component has converged when no belief would move further.
        threads: CPU threads; at most two are used.
        device: ``cpu`` sweeps in numba; any other in torch, there; ``auto`` takes the GPU
            for a million messages or more.
        fallback: whether components that did not converge are swept again, with
            tree-reweighted messages (sum) or damping 0.9 (max).
        start: standard deviation of random messages to start from, in log-odds; where two
            starts end at different beliefs the fixed point is not the only one.
        seed: of random messages, and of the spanning forests of the fallback.

    Returns:
        a posterior with one report, and a second where the fallback ran.

    Source: Kschischang, Frey & Loeliger 2001; Wainwright et al. 2005.
    """
    schedule = SweepSchedule(sweeps, damping, tolerance, product == "max", max(1, min(threads, 2)))
    run = PropagationRun.of(graph, schedule, device)
    return run.infer(fallback=fallback, start=start, seed=seed)


def prepare_bp(graph: FactorGraph, *, device: str = "auto", **schedule: Any) -> PropagationRun:
    """Conditions and lays out a graph once; ``prepared.at(theta).infer()`` is ``bp``.

    Args:
        graph: any factor graph; its evidence stays.
        device: as for :func:`bp`.
        schedule: fields of :class:`.SweepSchedule`.
    """
    return PropagationRun.of(graph, SweepSchedule(**schedule), device)


@dataclass(frozen=True)
class PropagationRun:
    """A conditioned graph laid out, at one ``theta``.

    Attributes:
        graph: the graph.
        plan: its layout.
        torch_plan: the same as index tensors.
        label, count: connected components.
        schedule: when sweeps stop.
        device: where they run.
        unary, weights: log-odds of atoms and weights of rows at ``graph.theta``.
    """

    graph: FactorGraph
    plan: MessageGraph
    torch_plan: TorchMessages
    label: NDArray[np.int32]
    count: int
    schedule: SweepSchedule
    device: str
    unary: Tensor
    weights: list[Tensor | None]

    @staticmethod
    def of(graph: FactorGraph, schedule: SweepSchedule, device: str) -> PropagationRun:
        """Conditions and lays out any graph."""
        graph = condition(graph)
        plan = layout(graph)
        if device == "auto":
            on_gpu = torch.cuda.is_available() and plan.edge_count >= GPU_EDGES
            device = "cuda" if on_gpu else "cpu"
        label, count = components(graph)
        weights = plan.weights(graph.theta)
        torch_plan, unary = TorchMessages.of(plan, device), graph.unary_log_odds()
        return PropagationRun(
            graph, plan, torch_plan, label, count, schedule, device, unary, weights
        )

    def at(self, theta: Tensor) -> PropagationRun:
        """The same graph at another ``theta`` (``float64[p]``)."""
        graph = self.graph.with_theta(theta.detach().cpu().to(torch.float64))
        weights = self.plan.weights(graph.theta)
        return replace(self, graph=graph, weights=weights, unary=graph.unary_log_odds())

    def infer(self, *, fallback: bool = True, start: float = 0.0, seed: int = 0) -> Posterior:
        """Sweeps to the end; arguments as for :func:`bp`."""
        begin = time.perf_counter()
        outcome = self.sweep(self.random_messages(start, seed))
        moving = self.moving(outcome)
        if fallback and moving.any():
            near = moving & ~self.moving(outcome, NEAR)
            outcome = self.sweep_on(outcome, near, SLOW * self.schedule.sweeps)
            moving = self.moving(outcome)
        far = self.moving(outcome, NEAR)
        if not (fallback and far.any()):
            reports = (self.report("bp", outcome, np.ones_like(moving), moving, begin),)
            return self.posterior(outcome, None, reports)
        first = self.report("bp", outcome, ~far, moving & ~far, begin)
        begin = time.perf_counter()
        again, shares, name = self.fall_back(outcome, far, seed)
        note = f"{int(far.sum())} components did not converge in {self.schedule.sweeps} sweeps"
        second = self.report(name, again, far, self.moving(again), begin, (note,))
        return self.posterior(again, shares, (first, second))

    def random_messages(self, spread: float, seed: int) -> NDArray[np.float64] | None:
        """``float64[e]`` messages to start from, ``None`` for zeros."""
        if spread == 0.0:
            return None
        return np.random.default_rng(seed).normal(0.0, spread, self.plan.edge_count)

    def sweep(self, messages: NDArray[np.float64] | None = None) -> Outcome:
        """All components at first, then those that still move."""
        early = replace(self.schedule, sweeps=min(FIRST_SWEEPS, self.schedule.sweeps))
        outcome = self._sweeps(self.plan, self.weights, early, messages)
        return self.sweep_on(outcome, self.moving(outcome), self.schedule.sweeps - early.sweeps)

    def sweep_on(self, outcome: Outcome, chosen: NDArray[np.bool_], sweeps: int) -> Outcome:
        """At most so many more sweeps of the chosen components (``bool[c]``) alone."""
        if sweeps <= 0 or not chosen.any():
            return outcome
        atoms = self._atoms(chosen)
        plan, edges = self.plan.take(atoms)
        weights = plan.weights(self.graph.theta)
        later = replace(self.schedule, sweeps=sweeps)
        part = self._sweeps(plan, weights, later, outcome.messages[edges])
        return _merged(outcome, part, edges, atoms)

    def moving(self, outcome: Outcome, limit: float | None = None) -> NDArray[np.bool_]:
        """``bool[c]``: components with a belief that would move further than the limit."""
        limit = self.schedule.tolerance if limit is None else max(limit, self.schedule.tolerance)
        moving = np.zeros(self.count, dtype=np.bool_)
        moving[self.label[(outcome.change > limit) & (self.label >= 0)]] = True
        return moving

    def fall_back(
        self, outcome: Outcome, moving: NDArray[np.bool_], seed: int
    ) -> tuple[Outcome, Tensor | None, str]:
        """Sweeps components afresh: outcome, share of each edge, name."""
        atoms = self._atoms(moving)
        plan, edges = self.plan.take(atoms)
        if self.schedule.maximum:
            weights = plan.weights(self.graph.theta)
            damped = replace(self.schedule, damping=STRONG_DAMPING)
            again = self._sweeps(plan, weights, damped, None)
            return _merged(outcome, again, edges, atoms), None, f"bp: damping {STRONG_DAMPING}"
        again, shares = self.reweighted(plan, seed)
        everywhere = torch.ones(self.plan.edge_count, dtype=torch.float64)
        everywhere[torch.from_numpy(edges)] = shares
        return _merged(outcome, again, edges, atoms), everywhere, "bp: tree-reweighted"

    def reweighted(self, plan: MessageGraph, seed: int) -> tuple[Outcome, Tensor]:
        """Tree-reweighted sweeps of a plan, and the share of each edge (``float64[e]``)."""
        weights = plan.weights(self.graph.theta)
        shares = appearance_probabilities(plan, seed)
        outcome = sweep_in_torch(
            plan, self.unary, weights, self.schedule, device=self.device, shares=shares
        )
        return outcome, shares

    def report(
        self,
        engine: str,
        outcome: Outcome,
        served: NDArray[np.bool_],
        moving: NDArray[np.bool_],
        begin: float,
        notes: tuple[str, ...] = (),
    ) -> EngineReport:
        """What became of the components ``served``, of which ``moving`` did not converge."""
        mine = self._atoms(served)
        shared = shared_blocks(self.plan)
        if shared:
            notes += (f"{shared} factors hold two states of one block: treated as apart",)
        return EngineReport(
            engine=engine,
            components=int(served.sum()),
            atoms=int(mine.sum()),
            converged=int((served & ~moving).sum()),
            sweeps=outcome.sweeps,
            residual=float(outcome.change[mine].max(initial=0.0)),
            seconds=time.perf_counter() - begin,
            notes=notes,
        )

    def posterior(
        self,
        outcome: Outcome,
        shares: Tensor | None,
        reports: tuple[EngineReport, ...],
        log_z_kind: LogZKind = "estimate",
    ) -> Posterior:
        """Beliefs at the final messages; Bethe's log Z is an estimate, no bound."""
        plan = self.torch_plan
        messages = torch.from_numpy(outcome.messages).to(self.device)
        component = torch.from_numpy(self.label)
        if self.schedule.maximum:
            raw = plan.raw(self.unary.to(self.device), messages)
            log_odds = decided_clipped(self.graph, plan.beliefs(raw, maximum=True)).cpu()
            world = decode(self.graph, raw.cpu())
            unconfirmed = quality_of_open(component, "unconfirmed")
            return Posterior(
                log_odds, None, "", None, component, reports, world, quality=unconfirmed
            )
        if shares is not None:
            shares = shares.to(self.device)
        with torch.no_grad():
            found = beliefs_at(self.graph, plan, messages, shares)
        return Posterior(
            found.log_odds.cpu(),
            float(found.log_z),
            log_z_kind,
            found.expectations.cpu(),
            component,
            reports,
            quality=quality_of_open(component, "unconfirmed"),
        )

    def _sweeps(
        self,
        plan: MessageGraph,
        weights: list[Tensor | None],
        schedule: SweepSchedule,
        messages: NDArray[np.float64] | None,
    ) -> Outcome:
        if torch.device(self.device).type == "cpu":
            return sweep_on_cpu(plan, self.unary, weights, schedule, messages)
        return sweep_in_torch(plan, self.unary, weights, schedule, messages, device=self.device)

    def _atoms(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """``bool[n]``: atoms of the chosen components (``bool[c]``)."""
        return np.append(chosen, False)[self.label]


def decode(graph: FactorGraph, raw: Tensor) -> Tensor:
    """``int8[n]``: each atom's, and each block's, better state at ``raw`` log-odds."""
    world = torch.where(graph.evidence == OPEN, raw > 0, graph.evidence > 0).numpy().astype(np.int8)
    blocks = graph.blocks
    if blocks.count:
        atoms, block = array(blocks.atoms), owners(array(blocks.offsets))
        score = raw.numpy()[atoms]
        best = atoms[np.lexsort((-score, block))[array(blocks.offsets)[:-1]]]
        world[atoms] = 0
        world[best] = ~array(blocks.at_most_one) | (raw.numpy()[best] > 0)
    return torch.from_numpy(world)


def _merged(
    outcome: Outcome, part: Outcome, edges: NDArray[np.int64], atoms: NDArray[np.bool_]
) -> Outcome:
    """The outcome after the components of some atoms were swept on alone."""
    messages = outcome.messages.copy()
    messages[edges] = part.messages
    change = np.where(atoms, part.change, outcome.change)
    return Outcome(messages, change, outcome.sweeps + part.sweeps)
