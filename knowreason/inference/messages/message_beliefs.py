"""What messages say: beliefs of atoms and factors, Bethe log Z, expectations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from knowreason.factors import OPEN, FactorGraph
from knowreason.inference.messages.torch_messages import TorchMessages

CLIP = 700.0


@dataclass(frozen=True)
class BetheBeliefs:
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
) -> BetheBeliefs:
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
    expected = expected_units(graph, belief.sigmoid())
    weights = plan.weights(theta) if share is None else plan.raised(plan.weights(theta), share)
    for nodes, mine, buckets in zip(plan.graph.nodes, weights, plan.buckets, strict=True):
        for bucket in buckets:
            normaliser, mean = bucket.beliefs(cavity, mine)
            if share is not None:
                normaliser = share[bucket.edges[:, 0]] * normaliser
            log_z = log_z + normaliser.sum()
            expected = nodes.collect(expected, mean, bucket.rows)
    if graph.constant is not None:
        constant = graph.constant.to(theta)
        expected, log_z = expected + constant, log_z + theta @ constant
    return BetheBeliefs(decided_clipped(graph, belief), log_z + graph.offset, expected)


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


def expected_units(graph: FactorGraph, chance: Tensor) -> Tensor:
    """``float64[p]``: expected unit features where atoms are true with ``float64[n]`` chance."""
    total = torch.zeros(graph.parameter_count, dtype=chance.dtype, device=chance.device)
    for unit in graph.units:
        mean = chance[unit.atoms[:, 0].long().to(chance.device)]
        gain = mean * torch.from_numpy(unit.values()).to(mean)
        total = total.index_add(0, torch.from_numpy(unit.parameters()).to(mean.device), gain)
    return total
