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

from knowreason.factors.arrays import owners
from knowreason.infer.factor_messages import count_forward
from knowreason.infer.messages import MessageGraph, Rows, assemble
from knowreason.infer.messages_torch import Bucket, TorchMessages


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
        plan = TorchMessages.of(_counts_first(graph), device)
        owner = torch.from_numpy(label.astype(np.int64)).to(device)
        return ExpectedScore(plan, owner, count)

    def with_auxiliary(self, true: Tensor, false: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (``float64[n]`` each) with those of auxiliary atoms put in."""
        for buckets in self.plan.buckets:
            for bucket in buckets:
                if bucket.good is not None and bucket.target is not None:
                    inside, outside = self._count(bucket, true, false)
                    target = self.plan.edge_atoms[bucket.target]
                    true = true.index_put((target,), inside)
                    false = false.index_put((target,), outside)
        return true, false

    def rows(self, true: Tensor, false: Tensor) -> list[list[tuple[Bucket, Tensor]]]:
        """Mean potential (``float64[m]``) of every bucket of every group; 1 for definitions."""
        return [
            [(bucket, self._mean(bucket, true, false)) for bucket in buckets]
            for buckets in self.plan.buckets
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
        for found, mine in zip(self.rows(true, false), weights, strict=True):
            for bucket, mean in found:
                gain = hard_weight * (mean - 1) if mine is None else mine[bucket.rows] * mean
                owner = self.label[self.plan.edge_atoms[bucket.edges[:, 0]]]
                total = total.index_add(0, owner, gain)
        return total

    def _literals(self, bucket: Bucket, true: Tensor, false: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities that each literal is true, is false; absent ones are false."""
        atoms = self.plan.edge_atoms[bucket.edges]
        p, q = true[atoms], false[atoms]
        if bucket.sign is not None:
            positive = bucket.sign > 0
            p, q = torch.where(positive, p, q), torch.where(positive, q, p)
        if bucket.present is not None:
            p, q = torch.where(bucket.present, p, 0.0), torch.where(bucket.present, q, 1.0)
        return p, q

    def _count(self, bucket: Bucket, true: Tensor, false: Tensor) -> tuple[Tensor, Tensor]:
        assert bucket.good is not None
        p, q = self._literals(bucket, true, false)
        last = count_forward(p, q, bucket.good.shape[1], False)[-1]
        return (last * bucket.good).sum(1), (last * (1 - bucket.good)).sum(1)

    def _mean(self, bucket: Bucket, true: Tensor, false: Tensor) -> Tensor:
        if bucket.good is not None:
            if bucket.target is not None:
                return torch.ones_like(bucket.good[:, 0])
            return self._count(bucket, true, false)[0]
        p, q = self._literals(bucket, true, false)
        if bucket.table is None:
            return 1 - q.prod(1)
        joint = torch.ones_like(p[:, :1])
        for j in range(p.shape[1]):
            joint = torch.cat([joint * q[:, j, None], joint * p[:, j, None]], 1)
        return joint @ bucket.table


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
    for rows in _counts_first(graph).rows:
        inside = np.ones(rows.edges, np.bool_)
        if rows.has_target is not None:
            inside[rows.offsets[1:][rows.has_target] - 1] = False
        owner = owners(rows.offsets)[inside]
        used = csr_array((np.ones(owner.size), (owner, rows.atoms[inside])), (rows.count, n))
        mentions = used @ content
        total += int((mentions.max(axis=1).toarray() > 1).sum())
        if rows.has_target is not None and rows.has_target.any():
            target = rows.atoms[rows.offsets[1:] - 1][rows.has_target]
            keep = np.ones(n)
            keep[target] = 0
            mine = mentions.tocsr()[np.flatnonzero(rows.has_target)].tocoo()
            place = (target[mine.coords[0]], mine.coords[1])
            content = content.multiply(keep[:, None]).tocsr() + csr_array(
                (np.ones(mine.nnz), place), (n, width)
            )
    return total


def _counts_first(graph: MessageGraph) -> MessageGraph:
    """The same rows, counts first, split by depth: inputs before the counts that use them."""
    counts = [rows for rows in graph.rows if rows.kind == "count"]
    others = [rows for rows in graph.rows if rows.kind != "count"]
    depths = count_depths(counts, graph.atom_count)
    deepest = max((int(depth.max(initial=0)) for depth in depths), default=0)
    split = [
        rows.take(np.flatnonzero(depth == level))[0]
        for level in range(deepest + 1)
        for rows, depth in zip(counts, depths, strict=True)
    ]
    return assemble(graph.atom_count, [*split, *others], graph.blocks)


def count_depths(counts: list[Rows], atom_count: int) -> list[NDArray[np.int64]]:
    """``int64[m]`` of each group: 0 where no input is defined by a count, else one more
    than the deepest such count."""
    atom_depth = np.zeros(atom_count, np.int64)
    depths = [np.zeros(rows.count, np.int64) for rows in counts]
    for _ in range(sum(rows.count for rows in counts) + 1):
        before = atom_depth.copy()
        for rows, depth in zip(counts, depths, strict=True):
            assert rows.has_target is not None
            literal = np.ones(rows.edges, np.bool_)
            literal[rows.offsets[1:][rows.has_target] - 1] = False
            np.maximum.at(depth, owners(rows.offsets)[literal], atom_depth[rows.atoms[literal]])
            target = rows.atoms[rows.offsets[1:] - 1][rows.has_target]
            atom_depth[target] = depth[rows.has_target] + 1
        if (before == atom_depth).all():
            break
    return depths
