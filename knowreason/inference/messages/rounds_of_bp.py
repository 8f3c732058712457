"""A few differentiable rounds of belief propagation: what the GCN posterior starts from."""

from __future__ import annotations

from torch import Tensor

from knowreason.factors import FactorGraph
from knowreason.factors.condition import condition
from knowreason.inference.messages.message_beliefs import decided_clipped
from knowreason.inference.messages.message_graph import layout
from knowreason.inference.messages.torch_messages import TorchMessages


def bp_rounds(
    graph: FactorGraph, rounds: int = 8, damping: float = 0.0, *, maximum: bool = False
) -> Tensor:
    """``float64[n]`` marginal log-odds after flooding rounds from messages of zero.

    Gradients reach ``graph.theta``. One round is
    ``messages = damping * messages + (1 - damping) * plan.update(beliefs, messages, weights)``
    on a :class:`TorchMessages` plan; whoever corrects messages between rounds uses the
    plan directly.

    Args:
        graph: any factor graph; it is conditioned here.
        rounds: number of rounds.
        damping: share of the old message kept.
        maximum: max-product.
    """
    known = condition(graph).with_theta(graph.theta)
    plan = TorchMessages.of(layout(known), graph.theta.device)
    weights, unary = plan.weights(known.theta), known.unary_log_odds()
    messages = unary.new_zeros(plan.graph.edge_count)
    belief = plan.beliefs(plan.raw(unary, messages), maximum)
    for _ in range(rounds):
        new = plan.update(belief, messages, weights, maximum)
        messages = damping * messages + (1 - damping) * new
        belief = plan.beliefs(plan.raw(unary, messages), maximum)
    return decided_clipped(known, belief)
