"""Probes: what belief propagation says of a component once one of its atoms is decided.

Belief propagation errs on loops because an atom's own opinion comes back to it. Deciding
the atom opens its loops: the ratio of Bethe partition functions with the atom true and
false is a second opinion on it, and every probe is one on all other atoms of the component.
Source: Eaton & Ghahramani 2009; Weller & Jebara 2014 (clamping improves Bethe).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from knowreason.factors.factor_graph import OPEN, FactorGraph
from knowreason.inference.messages.torch_messages import TorchMessages

PUSH = 40.0  # log-odds of a decided atom


@dataclass(frozen=True)
class Probes:
    """Second opinions, ``float64[n]`` each.

    Attributes:
        bethe: log ratio of Bethe partition functions with the atom true and false.
        others: mean log-odds over the component's other atoms ``j`` of
            ``p(j) p(i | j) + p(not j) p(i | not j)``.
        scatter: standard deviation of those probabilities.
    """

    bethe: Tensor
    others: Tensor
    scatter: Tensor


def probe(
    graph: FactorGraph,
    plan: TorchMessages,
    messages: Tensor,
    component: Tensor,
    *,
    rounds: int,
    damping: float,
) -> Probes:
    """Decides every atom in turn; atoms of one place in their components at once.

    Args:
        graph: the conditioned graph.
        plan: of its layout.
        messages: ``float64[e]`` to start from.
        component: ``int64[n]``, ``-1`` for decided atoms.
        rounds: of belief propagation after an atom was decided.
        damping: share of the old message kept.
    """
    opened = (component >= 0).nonzero().ravel()
    owner, count = component[opened], int(component.max()) + 1
    order = owner.argsort(stable=True)
    sizes = owner.bincount(minlength=count)
    place = torch.empty_like(owner)
    starts = sizes.cumsum(0) - sizes
    place[order] = torch.arange(len(order)) - starts.repeat_interleave(sizes)
    weights, unary = plan.weights(graph.theta), graph.unary_log_odds()
    bethe = torch.zeros_like(unary)
    total, square = torch.zeros_like(unary), torch.zeros_like(unary)
    parts = BetheParts.of(graph, plan, component)
    for position in range(int(sizes.max())):
        mine = opened[place == position]
        log_z, beliefs = [], []
        for push in (PUSH, -PUSH):
            pushed = unary.index_put((mine,), unary.new_tensor(push))
            moved, belief = messages, plan.beliefs(plan.raw(pushed, messages))
            for _ in range(rounds):
                new = plan.update(belief, moved, weights)
                moved = damping * moved + (1 - damping) * new
                belief = plan.beliefs(plan.raw(pushed, moved))
            own = push * (push > 0) - unary[mine] * (push > 0)
            found = parts.log_z(pushed, moved, belief, weights)[component[mine]]
            log_z.append(found - own)
            beliefs.append(belief.sigmoid())
        bethe[mine] = log_z[0] - log_z[1]
        chance = torch.zeros(count, dtype=torch.float64)
        chance[component[mine]] = bethe[mine].sigmoid()
        has = torch.zeros(count, dtype=torch.float64)
        has[component[mine]] = 1.0
        here = chance[component]
        mean = here * beliefs[0] + (1 - here) * beliefs[1]
        counted = has[component].index_put((mine,), has.new_zeros(()))
        total += counted * mean
        square += counted * mean.square()
    others = sizes[component] - 1
    mean = torch.where(others > 0, total / others.clamp(min=1), bethe.sigmoid())
    others = others.clamp(min=1)
    scatter = (square / others - mean.square()).clamp(min=0).sqrt()
    return Probes(bethe, torch.logit(mean.clamp(1e-9, 1 - 1e-9)), scatter)


@dataclass(frozen=True)
class BetheParts:
    """Bethe log partition functions, a component at a time.

    Attributes:
        plan: of the graph.
        count: number of components.
        single: ``int64[s]`` open atoms outside blocks, and their component.
        rows: component of each bucket's rows; ``blocks``: of each padded set of blocks.
    """

    plan: TorchMessages
    count: int
    single: Tensor
    component: Tensor
    rows: tuple[tuple[Tensor, ...], ...]

    @staticmethod
    def of(graph: FactorGraph, plan: TorchMessages, component: Tensor) -> BetheParts:
        """Which component everything belongs to."""
        alone = graph.evidence == OPEN
        alone[graph.blocks.atoms.long()] = False
        rows = tuple(
            tuple(component[plan.edge_atoms[bucket.edges[:, 0]]] for bucket in buckets)
            for buckets in plan.buckets
        )
        count = int(component.max()) + 1
        return BetheParts(plan, count, alone.nonzero().ravel(), component, rows)

    def log_z(
        self, unary: Tensor, messages: Tensor, belief: Tensor, weights: list[Tensor | None]
    ) -> Tensor:
        """``float64[c]`` at messages (``float64[e]``) and their beliefs (``float64[n]``)."""
        plan, component = self.plan, self.component
        raw = plan.raw(unary, messages)
        total = raw.new_zeros(self.count)
        total = total.index_add(0, component[self.single], softplus(raw[self.single]))
        for atoms, present, at_most_one in plan.blocks:
            states = torch.where(present, raw[atoms], -torch.inf)
            none = torch.where(at_most_one, 0.0, -torch.inf).to(raw.dtype)[:, None]
            log_sum = torch.cat([none, states], 1).logsumexp(1)
            total = total.index_add(0, component[atoms[:, 0]], log_sum)
        here = belief[plan.edge_atoms]
        cavity = here - messages
        overlap = softplus(here) - softplus(cavity)
        total = total.index_add(0, component[plan.edge_atoms], -overlap)
        for mine, buckets, owners in zip(weights, plan.buckets, self.rows, strict=True):
            for bucket, owner in zip(buckets, owners, strict=True):
                total = total.index_add(0, owner, bucket.beliefs(cavity, mine)[0])
        return total
