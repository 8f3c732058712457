"""Expected score of a factor graph under independent variables, in closed form.

Atoms are Bernoulli, blocks categorical; an auxiliary atom is true with the probability
that its count lies in its interval (Poisson-binomial). The score is multilinear in the
probabilities of true and false, so one gradient is every mean-field update at once.

Source: Wainwright & Jordan 2008, section 5; Hong 2013 (the Poisson-binomial).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from knowreason.factors.potentials.factor_nodes import FactorNodes, NodeBucket
from knowreason.inference.messages.message_graph import MessageGraph, assemble
from knowreason.inference.messages.torch_messages import TorchMessages


@dataclass(frozen=True)
class ExpectedScore:
    """A laid out graph, counts first and inputs before the counts that use them.

    Attributes:
        plan: index tensors.
        label: ``int64[n]`` component of each atom.
        count: number of components.
    """

    plan: TorchMessages
    label: Tensor
    count: int

    @staticmethod
    def of(
        graph: MessageGraph, label: NDArray[np.int32], count: int, device: torch.device | str
    ) -> ExpectedScore:
        """Index tensors of a layout; ``label`` is -1 at decided atoms."""
        plan = TorchMessages.of(_definitions_first(graph), device)
        owner = torch.from_numpy(label.astype(np.int64)).to(device)
        return ExpectedScore(plan, owner, count)

    def with_auxiliary(self, true: Tensor, false: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (``float64[n]`` each) with those of auxiliary atoms put in."""
        edges = self.plan.edge_atoms
        for buckets in self.plan.buckets:
            for bucket in buckets:
                found = None
                if bucket.target is not None:
                    found = bucket.defined(true[edges], false[edges])
                if found is not None:
                    target = edges[bucket.target]
                    true = true.index_put((target,), found[0])
                    false = false.index_put((target,), found[1])
        return true, false

    def means(self, true: Tensor, false: Tensor) -> list[list[tuple[NodeBucket, Tensor]]]:
        """Mean potential of every bucket of all nodes; 1 for definitions."""
        p, q = true[self.plan.edge_atoms], false[self.plan.edge_atoms]
        return [
            [(bucket, bucket.mean(p, q)) for bucket in buckets] for buckets in self.plan.buckets
        ]

    def score(
        self,
        true: Tensor,
        false: Tensor,
        unary: Tensor,
        weights: list[Tensor | None],
        hard_weight: float,
    ) -> Tensor:
        """``float64[c]``: expected score by component; a hard row costs its weight."""
        true, false = self.with_auxiliary(true, false)
        known = self.label >= 0
        total = true.new_zeros(self.count)
        total = total.index_add(0, self.label[known], (unary * true)[known])
        for found, mine in zip(self.means(true, false), weights, strict=True):
            for bucket, mean in found:
                owner = self.label[self.plan.edge_atoms[bucket.edges[:, 0]]]
                total = total.index_add(0, owner, bucket.gain(mean, mine, hard_weight))
        return total


def entangled(graph: MessageGraph) -> int:
    """Number of rows in which a variable occurs twice, auxiliary atoms written out.

    There the closed forms treat as independent what is not: the score is then an
    approximation and no bound follows.
    """
    n = graph.atom_count
    block = graph.blocks.of_atom(n)
    variable = np.where(block >= 0, n + block, np.arange(n))
    width = n + graph.blocks.count
    content = csr_array((np.ones(n), (np.arange(n), variable)), (n, width))
    total = 0
    for nodes in _definitions_first(graph).nodes:
        inside = nodes.literals
        owner = nodes.owners()[inside]
        used = csr_array((np.ones(owner.size), (owner, nodes.atoms[inside])), (nodes.count, n))
        mentions = used @ content
        total += int((mentions.max(axis=1).toarray() > 1).sum())
        defining = np.flatnonzero(nodes.has_target)
        if defining.size:
            target = nodes.targets[defining]
            keep = np.ones(n)
            keep[target] = 0
            mine = mentions.tocsr()[defining].tocoo()
            place = (target[mine.coords[0]], mine.coords[1])
            content = content.multiply(keep[:, None]).tocsr() + csr_array(
                (np.ones(mine.nnz), place), (n, width)
            )
    return total


def _definitions_first(graph: MessageGraph) -> MessageGraph:
    """The same rows, definitions first, split by depth: inputs before what uses them."""
    definitions = [nodes for nodes in graph.nodes if nodes.has_target.any()]
    others = [nodes for nodes in graph.nodes if not nodes.has_target.any()]
    depths = definition_depths(definitions, graph.atom_count)
    deepest = max((int(depth.max(initial=0)) for depth in depths), default=0)
    split = [
        nodes.take(np.flatnonzero(depth == level))
        for level in range(deepest + 1)
        for nodes, depth in zip(definitions, depths, strict=True)
    ]
    return assemble(graph.atom_count, [*split, *others], graph.blocks)


def definition_depths(definitions: list[FactorNodes], atom_count: int) -> list[NDArray[np.int64]]:
    """``int64[m]`` of each: 0 where no input is defined by a row, else one more than the
    deepest such row."""
    atom_depth = np.zeros(atom_count, np.int64)
    depths = [np.zeros(nodes.count, np.int64) for nodes in definitions]
    for _ in range(sum(nodes.count for nodes in definitions) + 1):
        before = atom_depth.copy()
        for nodes, depth in zip(definitions, depths, strict=True):
            inside = nodes.literals
            np.maximum.at(depth, nodes.owners()[inside], atom_depth[nodes.atoms[inside]])
            atom_depth[nodes.targets[nodes.has_target]] = depth[nodes.has_target] + 1
        if (before == atom_depth).all():
            break
    return depths
