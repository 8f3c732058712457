"""What messages say: beliefs of atoms and factors, Bethe log Z, expectations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from knowreason.factors import OPEN, FactorGraph
from knowreason.infer.messages_torch import TorchMessages

CLIP = 700.0


@dataclass(frozen=True)
class Beliefs:
    """Beliefs at given messages.

    Attributes:
        log_odds: ``float64[n]``; decided atoms are +-700.
        log_z: Bethe log partition function (an upper bound, where reweighted), a scalar.
        expectations: ``float64[p]``.
    """

    log_odds: Tensor
    log_z: Tensor
    expectations: Tensor


def beliefs_at(
    graph: FactorGraph,
    plan: TorchMessages,
    messages: Tensor,
    share: Tensor | None = None,
) -> Beliefs:
    """Beliefs of atoms and factors, Bethe log Z and expectations at messages.

    Args:
        graph: the conditioned graph the plan was made of.
        plan: its index tensors.
        messages: ``float64[e]`` log-odds.
        share: ``float64[e]``, appearance probability of each edge's factor
            (tree-reweighted); ``None`` for plain belief propagation.
    """
    theta = graph.theta.to(messages.device, torch.float64)
    unary = graph.unary_log_odds().to(messages.device)
    raw = plan.raw(unary, messages if share is None else share * messages)
    belief = plan.beliefs(raw)
    cavity = belief[plan.edge_atoms] - messages
    overlap = softplus(belief[plan.edge_atoms]) - softplus(cavity)
    log_z = _atoms_log_z(graph, plan, raw) - (overlap if share is None else share * overlap).sum()
    expected = torch.zeros_like(theta)
    for unit in graph.units:
        mean = belief[unit.atoms.long().to(belief.device)].sigmoid()
        expected = collect(expected, unit.parameter, unit.value, mean)
    weights = plan.weights(theta) if share is None else plan.raised(plan.weights(theta), share)
    for i, (mine, buckets) in enumerate(zip(weights, plan.buckets, strict=True)):
        for bucket in buckets:
            normaliser, mean = bucket.beliefs(cavity, mine)
            if share is not None:
                normaliser = share[bucket.edges[:, 0]] * normaliser
            log_z = log_z + normaliser.sum()
            source = plan.graph.rows[i].source
            if source is not None and source.parameter is not None:
                rows = plan.source_rows(i, bucket.rows)
                expected = collect(expected, source.parameter, source.value, mean, rows)
    if graph.constant is not None:
        constant = graph.constant.to(theta)
        expected, log_z = expected + constant, log_z + theta @ constant
    return Beliefs(decided_clipped(graph, belief), log_z + graph.offset, expected)


def decided_clipped(graph: FactorGraph, belief: Tensor) -> Tensor:
    """``float64[n]``: log-odds within +-700, decided atoms at +-700."""
    evidence = graph.evidence.to(belief.device)
    decided = torch.where(evidence > 0, CLIP, -CLIP).to(belief.dtype)
    return torch.where(evidence == OPEN, belief.clamp(-CLIP, CLIP), decided)


def _atoms_log_z(graph: FactorGraph, plan: TorchMessages, raw: Tensor) -> Tensor:
    """Sum of the log normalisers of open atoms and of blocks."""
    single = (graph.evidence == OPEN).to(raw.device)
    total = raw.new_zeros(())
    for atoms, present, at_most_one in plan.blocks:
        single = single.index_put((atoms[present],), single.new_zeros(()))
        states = torch.where(present, raw[atoms], -torch.inf)
        none = torch.where(at_most_one, 0.0, -torch.inf).to(raw.dtype)[:, None]
        total = total + torch.cat([none, states], 1).logsumexp(1).sum()
    return total + softplus(raw[single]).sum()


def collect(
    total: Tensor,
    parameter: int | Tensor,
    value: Tensor | None,
    mean: Tensor,
    rows: Tensor | None = None,
) -> Tensor:
    """``total`` (``float64[p]``) plus ``value * mean`` of each row of a source."""
    if value is not None:
        chosen = value if rows is None else value[rows.to(value.device)]
        mean = mean * chosen.to(mean)
    if isinstance(parameter, int):
        where = torch.zeros_like(mean, dtype=torch.long) + parameter
    else:
        where = (parameter if rows is None else parameter[rows.to(parameter.device)]).long()
    return total.index_add(0, where.to(mean.device), mean)
