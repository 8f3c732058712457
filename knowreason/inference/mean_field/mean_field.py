"""Mean field over atoms and blocks: a lower bound on log Z, and the E-step's objective."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from knowreason.factors import FactorGraph
from knowreason.factors.arrays import array
from knowreason.factors.condition import condition
from knowreason.factors.potentials.factor_nodes import FactorNodes
from knowreason.inference.gibbs.gibbs import prepare_gibbs
from knowreason.inference.mean_field.expected_score import entangled
from knowreason.inference.mean_field.factorised import MeanField
from knowreason.inference.messages.message_graph import layout
from knowreason.inference.posterior import EngineReport, Posterior

HARD_WEIGHTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # what breaking a hard row costs, in turn
ROUGH = 0.01  # tolerance before the last of them


def mean_field(
    graph: FactorGraph,
    *,
    damping: float = 0.1,
    sweeps: int = 500,
    tolerance: float = 1e-6,
    device: str = "auto",
    seed: int = 0,
) -> Posterior:
    """The independent distribution over atoms and blocks nearest to the graph's.

    All updates of a sweep come from one gradient of the expected score, in logits; a
    component keeps an update only if its bound does not fall, else its step is halved.
    Auxiliary atoms are summed inside their counts.

    Hard rows cost a weight raised from 1 to 32. An independent distribution breaks them
    with a small probability, so for ``log_z`` one literal of each hard clause (all atoms
    of other hard rows) is set as in a possible world and the rest fitted again: that is a
    bound, though a loose one. Where a factor mentions a variable twice (two states of a
    block, an auxiliary atom beside its own input) there is no bound: ``log_z`` is
    ``None``.

    Args:
        graph: any factor graph.
        damping: share of the old logits kept.
        sweeps: at most so many, at each hard weight.
        tolerance: a component has converged when no logit would move further.
        device: where torch computes; ``auto`` takes the GPU where there is one.
        seed: of the possible world for hard rows.

    Source: Saul, Jaakkola & Jordan 1996.
    """
    begin = time.perf_counter()
    known = condition(graph)
    plan = layout(known)
    field = MeanField.of(known, plan, device)
    hard = [nodes for nodes in plan.nodes if nodes.demands]
    logits, made = field.unary.clone(), 0
    for weight in HARD_WEIGHTS[:-1] if hard else ():
        logits, _, steps = field.ascend(logits, weight, damping, sweeps // 10, ROUGH)
        made += steps
    logits, residual, steps = field.ascend(logits, HARD_WEIGHTS[-1], damping, sweeps, tolerance)
    made += steps
    confused = entangled(plan)
    bound = None
    if not confused:
        bound = field.bound(logits, HARD_WEIGHTS[-1])
        if hard:
            bound = _bound_without_hard(known, hard, logits, damping, sweeps, tolerance, seed)
    notes = (f"{confused} factors mention a variable twice: no bound on log Z",) * bool(confused)
    report = EngineReport(
        engine="mean_field",
        components=field.score.count,
        atoms=int((field.score.label >= 0).sum()),
        converged=int((residual <= tolerance).sum()),
        sweeps=made,
        residual=float(residual.max()) if residual.numel() else 0.0,
        seconds=time.perf_counter() - begin,
        notes=notes,
    )
    return field.posterior(logits, bound, report)


def _bound_without_hard(
    graph: FactorGraph,
    hard: list[FactorNodes],
    logits: Tensor,
    damping: float,
    sweeps: int,
    tolerance: float,
    seed: int,
) -> float:
    """Bound on log Z from a fit in which set atoms make every hard row true."""
    leaning = replace(graph, log_odds=logits.cpu().float(), factors=graph.couplings)
    world = prepare_gibbs(leaning).start(leaning, 1, seed)[0]
    settled = graph
    while hard:  # a set auxiliary atom leaves its count to be settled in turn
        evidence = array(settled.evidence).copy()
        for nodes in hard:
            atoms = nodes.settling(world, array(logits))
            evidence[atoms] = world[atoms]
        settled = condition(settled.with_evidence(torch.from_numpy(evidence)))
        hard = [nodes for nodes in layout(settled).nodes if nodes.demands]
    field = MeanField.of(settled, layout(settled), "cpu")
    fitted, _, _ = field.ascend(field.unary.clone(), 0.0, damping, sweeps, tolerance)
    return field.bound(fitted, 0.0)
