"""A batch of instances for method `knowgraph`: scores, worlds and labels of a posterior ``q``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from knowreason.factors import OPEN, FactorGraph, ParameterTable
from knowreason.factors.arrays import array
from knowreason.factors.components.connected import components
from knowreason.inference.gcn.instance_network import InstanceInput, NetworkShape
from knowreason.inference.mean_field.expected_score import ExpectedScore
from knowreason.inference.messages.message_graph import layout
from knowreason.inference.messages.torch_messages import TorchMessages
from knowreason.learning.sites import SiteWiring, wire

KNOWN = 40.0  # log-odds of a label
HARD_WEIGHT = 10.0  # cost of a hard row in the ELBO


@dataclass(frozen=True)
class InstanceBatch:
    """Some instances (components) of a problem, laid out for the E-step and the M-step.

    Attributes:
        graph: their graph, labels open.
        atoms: ``int64[m]`` which atom of the problem each is.
        evidence: ``int8[m]`` labels where known.
        instances: number of components.
        seen: what the network sees of them.
        expected: closed-form scores.
        wiring: for the pseudo-likelihood.
    """

    graph: FactorGraph
    atoms: NDArray[np.int64]
    evidence: Tensor
    instances: int
    seen: InstanceInput
    expected: ExpectedScore
    wiring: SiteWiring

    @staticmethod
    def of(
        graph: FactorGraph,
        atoms: NDArray[np.int64],
        evidence: NDArray[np.int8],
        parameters: ParameterTable,
        shape: NetworkShape,
    ) -> InstanceBatch:
        """A batch of whole components of a conditioned graph, at its ``theta``."""
        plan = layout(graph, merge=False)
        label, count = components(graph)
        return InstanceBatch(
            graph,
            atoms,
            torch.from_numpy(evidence),
            count,
            InstanceInput.of(graph, plan, parameters, shape),
            ExpectedScore.of(plan, label, count, "cpu"),
            wire(graph),
        )

    @cached_property
    def single(self) -> Tensor:
        """``int64``: atoms outside blocks that no count defines."""
        alone = torch.ones(len(self.atoms), dtype=torch.bool)
        alone[self.graph.blocks.atoms.long()] = False
        if self.graph.auxiliary is not None:
            alone &= ~self.graph.auxiliary
        return alone.nonzero().ravel()

    @property
    def plan(self) -> TorchMessages:
        """Index tensors of the graph."""
        return self.expected.plan

    def clamped(self, raw: Tensor) -> Tensor:
        """``float64[m]``: log-odds with labels put in."""
        raw = torch.where(self.evidence == 1, KNOWN, raw)
        return torch.where(self.evidence == 0, -KNOWN, raw)

    def elbo(self, raw: Tensor, theta: Tensor) -> Tensor:
        """Expected score and entropy of ``q`` over all instances.

        Args:
            raw: ``float64[m]`` log-odds of ``q``, blocks not coupled (:meth:`clamped`, where
                labels are put in).
            theta: ``float64[p]``.
        """
        odds = self.plan.beliefs(raw)
        return self.score(odds.sigmoid(), (-odds).sigmoid(), theta).sum() + self.entropy(odds)

    def score(self, true: Tensor, false: Tensor, theta: Tensor) -> Tensor:
        """``float64[c]``: expected score of each instance; of a world at 0 and 1."""
        unary = self.graph.with_theta(theta).unary_log_odds()
        weights = self.plan.weights(theta)
        return self.expected.score(true, false, unary, weights, HARD_WEIGHT)

    def entropy(self, odds: Tensor) -> Tensor:
        """Entropy of ``q`` at coupled log-odds (``float64[m]``)."""
        log_true, log_false = logsigmoid(odds), logsigmoid(-odds)
        each = -odds.sigmoid() * log_true
        total = (each - (-odds).sigmoid() * log_false)[self.single].sum()
        for atoms, present, at_most_one in self.plan.blocks:
            total = total + torch.where(present, each[atoms], 0.0).sum()
            none = 1 - torch.where(present, odds[atoms].sigmoid(), 0.0).sum(1)
            none = none[at_most_one].clamp(1e-12, 1.0)
            total = total - (none * none.log()).sum()
        return total

    def log_labels(self, raw: Tensor) -> Tensor:
        """``log q(y)`` of the labels at log-odds of ``q`` that do not see them."""
        odds = self.plan.beliefs(raw)
        blocked = torch.zeros(len(odds), dtype=torch.bool)
        blocked[self.graph.blocks.atoms.long()] = True
        true = self.evidence == 1
        false = (self.evidence == 0) & ~blocked
        return logsigmoid(odds)[true].sum() + logsigmoid(-odds)[false].sum()

    def log_worlds(self, odds: Tensor, world: Tensor) -> Tensor:
        """``float64[c]``: log probability of a world (``float64[m]``) under ``q``."""
        label = self.expected.label
        each = torch.where(world > 0, logsigmoid(odds), logsigmoid(-odds))
        total = odds.new_zeros(self.instances)
        total = total.index_add(0, label[self.single], each[self.single])
        for atoms, present, at_most_one in self.plan.blocks:
            true = present & (world[atoms] > 0)
            some = torch.where(true, logsigmoid(odds)[atoms], 0.0).sum(1)
            none = 1 - torch.where(present, odds[atoms].sigmoid(), 0.0).sum(1)
            empty = at_most_one & ~true.any(1)
            total = total.index_add(
                0, label[atoms[:, 0]], torch.where(empty, none.clamp(min=1e-12).log(), some)
            )
        return total

    def draw(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """``float64[m]``: one world of ``q`` at log-odds ``raw``; auxiliary atoms follow."""
        odds = self.plan.beliefs(raw)
        uniform = torch.rand(len(odds), dtype=torch.float64, generator=generator)
        world = (uniform < odds.sigmoid()).double()
        for atoms, present, at_most_one in self.plan.blocks:
            chance = torch.where(present, odds[atoms].sigmoid(), 0.0)
            none = torch.where(at_most_one, 1 - chance.sum(1), 0.0).clamp(min=0.0)
            states = torch.cat([chance, none[:, None]], 1)
            drawn = torch.multinomial(states, 1, generator=generator)
            hit = torch.arange(chance.shape[1]) == drawn
            world[atoms[present]] = hit[present].double()
        if not self.wiring.definitions:
            return world
        filled = self.wiring.fill_auxiliary(world.numpy().astype(np.int8)[None, :])[0]
        return torch.from_numpy(filled).double()


def is_open(graph: FactorGraph) -> NDArray[np.bool_]:
    """``bool[n]``: atoms a conditioned graph leaves open."""
    return np.asarray(array(graph.evidence) == OPEN)
