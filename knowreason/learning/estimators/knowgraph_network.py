"""What method `knowgraph` believes of one batch of instances: its graph network's posterior."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from knowreason.factors import OPEN, FactorGraph, ParameterTable
from knowreason.factors.arrays import array, owners
from knowreason.factors.components.connected import components
from knowreason.inference.mean_field.expected_score import ExpectedScore
from knowreason.inference.messages.message_graph import MessageGraph, layout
from knowreason.inference.messages.torch_messages import TorchMessages
from knowreason.learning.sites import SiteWiring, wire

KNOWN = 40.0  # log-odds of a label
HARD_WEIGHT = 10.0  # cost of a hard row in the ELBO


class InstanceNetwork(nn.Module):
    """Three graph convolutions over the atoms of an instance, shared by all instances.

    Args:
        predicates: number of embeddings.
        width: of the hidden layers.
    """

    def __init__(self, predicates: int, width: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(predicates, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.last = nn.Linear(width, 1)

    def forward(self, batch: InstanceBatch) -> Tensor:
        """``float64[n]`` log-odds of ``q``, blocks not coupled, labels not seen."""
        hidden = batch.chance[:, None] * self.embedding(batch.predicate)
        for layer in self.layers:
            spread = layer(hidden)[batch.source] * batch.share[:, None]
            hidden = torch.relu(torch.zeros_like(hidden).index_add(0, batch.target, spread))
        log_odds: Tensor = self.last(hidden).squeeze(1).double()
        return log_odds


@dataclass(frozen=True)
class InstanceBatch:
    """Some instances (components) of a problem, laid out for the E-step and the M-step.

    Attributes:
        graph: their graph, labels open.
        atoms: ``int64[m]`` which atom of the problem each is.
        evidence: ``int8[m]`` labels where known.
        instances: number of components.
        chance: ``float32[m]`` the models' probability of each atom, with the base rates.
        predicate: ``int64[m]``.
        source, target, share: edges of the normalised adjacency with loops.
        expected: closed-form scores.
        wiring: for the pseudo-likelihood.
    """

    graph: FactorGraph
    atoms: NDArray[np.int64]
    evidence: Tensor
    instances: int
    chance: Tensor
    predicate: Tensor
    source: Tensor
    target: Tensor
    share: Tensor
    expected: ExpectedScore
    wiring: SiteWiring

    @staticmethod
    def of(
        graph: FactorGraph,
        atoms: NDArray[np.int64],
        evidence: NDArray[np.int8],
        predicate: NDArray[np.int64],
    ) -> InstanceBatch:
        """A batch of whole components of a conditioned graph, at its ``theta``."""
        plan = layout(graph, merge=False)
        label, count = components(graph)
        source, target, share = _adjacency(plan)
        return InstanceBatch(
            graph,
            atoms,
            torch.from_numpy(evidence),
            count,
            graph.unary_log_odds().sigmoid().float(),
            torch.from_numpy(predicate),
            torch.from_numpy(source),
            torch.from_numpy(target),
            torch.from_numpy(share.astype(np.float32)),
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
        """Expected score and entropy of ``q``, labels clamped, over all instances.

        Args:
            raw: ``float64[m]`` log-odds of ``q``, blocks not coupled.
            theta: ``float64[p]``.
        """
        odds = self.plan.beliefs(self.clamped(raw))
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
        """``float64[m]``: one world of ``q`` with its labels; auxiliary atoms follow."""
        odds = self.plan.beliefs(self.clamped(raw))
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


def predicates(graph: FactorGraph, table: ParameterTable) -> NDArray[np.int64]:
    """``int64[n]``: atoms of one predicate share their bias; those without one share 0."""
    predicate = np.zeros(graph.atom_count, dtype=np.int64)
    biases = np.array([kind == "bias" for kind in table.kinds], dtype=np.bool_)
    for unit in graph.units:
        parameter = unit.parameters()
        of_bias = biases[parameter]
        predicate[unit.entry_atoms[of_bias]] = parameter[of_bias] + 1
    return np.unique(predicate, return_inverse=True)[1].astype(np.int64)


def _adjacency(
    graph: MessageGraph,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Edges between atoms of one factor or block, loops, and ``1 / sqrt(degree degree)``.

    Source: Kipf & Welling 2017. Factors of more than three atoms are stars about the first.
    """
    n = graph.atom_count
    pairs = [np.arange(n, dtype=np.int64) * (n + 1)]
    for offsets, atoms in (graph.incidence, (graph.blocks.offsets, graph.blocks.atoms)):
        row, first = owners(offsets), offsets[:-1]
        for step in range(min(2, int(np.diff(offsets).max(initial=0)))):
            anchor = np.minimum(first + step, offsets[1:] - 1)
            keep = (np.diff(offsets) <= 3)[row] | (step == 0)
            one, other = atoms[anchor][row].astype(np.int64)[keep], atoms.astype(np.int64)[keep]
            pairs += [one * n + other, other * n + one]
    key = np.unique(np.concatenate(pairs))
    source, target = key // n, key % n
    degree = np.bincount(target, minlength=n).astype(np.float64)
    return source, target, 1 / np.sqrt(degree[source] * degree[target])


def is_open(graph: FactorGraph) -> NDArray[np.bool_]:
    """``bool[n]``: atoms a conditioned graph leaves open."""
    return np.asarray(array(graph.evidence) == OPEN)
