"""A mean field: logits of every atom, what they are pulled to, and the bound they give."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.components.connected import components
from knowreason.inference.mean_field.expected_score import ExpectedScore
from knowreason.inference.messages.message_beliefs import decided_clipped, expected_units
from knowreason.inference.messages.message_graph import MessageGraph
from knowreason.inference.posterior import EngineReport, Posterior, quality_of_open

SMALLEST_STEP = 1e-4


@dataclass(frozen=True)
class MeanField:
    """A conditioned graph ready for mean-field ascent.

    Attributes:
        graph: the graph.
        score: its expected score.
        unary: ``float64[n]`` log-odds.
        weights: of the rows of all nodes of ``score.plan``.
        free: ``bool[n]`` atoms with a logit of their own: open, and not auxiliary.
        single: ``bool[n]`` free atoms in no block.
    """

    graph: FactorGraph
    score: ExpectedScore
    unary: Tensor
    weights: list[Tensor | None]
    free: Tensor
    single: Tensor

    @staticmethod
    def of(graph: FactorGraph, plan: MessageGraph, device: str) -> MeanField:
        """Prepares a conditioned graph that ``plan`` lays out."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        score = ExpectedScore.of(plan, *components(graph), device)
        free = graph.evidence == OPEN
        for nodes in plan.nodes:
            free[torch.from_numpy(nodes.targets[nodes.has_target])] = False
        single = free.clone()
        single[torch.from_numpy(plan.blocks.atoms).long()] = False
        weights = score.plan.weights(graph.theta)
        unary = graph.unary_log_odds().to(device)
        return MeanField(graph, score, unary, weights, free.to(device), single.to(device))

    def ascend(
        self, logits: Tensor, hard_weight: float, damping: float, sweeps: int, tolerance: float
    ) -> tuple[Tensor, Tensor, int]:
        """Sweeps until no logit moves: logits, last move of each component, sweeps made."""
        known = self.score.label.clamp(min=0)
        step = logits.new_full((self.score.count,), 1 - damping)
        bound = self.bounds(logits, hard_weight)
        residual, made = torch.zeros_like(step), 0
        while made < sweeps:
            made += 1
            move = torch.where(self.free, self.pulled(logits, hard_weight) - logits, 0.0)
            residual = torch.zeros_like(step)
            if self.score.count:
                residual = residual.scatter_reduce(0, known, move.abs(), "amax")
            if not (residual > tolerance).any():
                break
            proposal = logits + step[known] * move
            found = self.bounds(proposal, hard_weight)
            good = found >= bound - 1e-10 * (1 + bound.abs())
            logits = torch.where(good[known], proposal, logits)
            bound = torch.where(good, found, bound)
            step = torch.where(good, (1.5 * step).clamp(max=1 - damping), step / 2)
            step = step.clamp(min=SMALLEST_STEP)
        return logits, residual, made

    def pulled(self, logits: Tensor, hard_weight: float) -> Tensor:
        """``float64[n]``: the logit of each atom given the means of all others."""
        true, false = (part.requires_grad_() for part in self.probabilities(logits))
        total = self.score.score(true, false, self.unary, self.weights, hard_weight).sum()
        by_true, by_false = torch.autograd.grad(
            total, (true, false), allow_unused=True, materialize_grads=True
        )
        return by_true - by_false

    def probabilities(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of true and false, ``float64[n]`` each; auxiliary ones unset."""
        belief = self.score.plan.beliefs(logits)
        return belief.sigmoid(), (-belief).sigmoid()

    def bounds(self, logits: Tensor, hard_weight: float) -> Tensor:
        """``float64[c]``: expected score plus entropy of each component."""
        true, false = self.probabilities(logits)
        total = self.score.score(true, false, self.unary, self.weights, hard_weight)
        mine = logits[self.single]
        entropy = softplus(mine) - mine * true[self.single]
        total = total.index_add(0, self.score.label[self.single], entropy)
        for atoms, present, at_most_one in self.score.plan.blocks:
            states = torch.where(present, logits[atoms], -torch.inf)
            none = torch.where(at_most_one, 0.0, -torch.inf).to(logits)[:, None]
            mean = torch.where(present, logits[atoms] * true[atoms], 0.0).sum(1)
            entropy = torch.cat([none, states], 1).logsumexp(1) - mean
            total = total.index_add(0, self.score.label[atoms[:, 0]], entropy)
        return total

    def bound(self, logits: Tensor, hard_weight: float) -> float:
        """Bound on log Z of the whole graph."""
        decided = 0.0
        if self.graph.constant is not None:
            decided = float(self.graph.theta @ self.graph.constant)
        return float(self.bounds(logits, hard_weight).sum()) + self.graph.offset + decided

    def posterior(self, logits: Tensor, bound: float | None, report: EngineReport) -> Posterior:
        """Beliefs, with expectations under them."""
        true, false = self.score.with_auxiliary(*self.probabilities(logits))
        belief = torch.where(self.free, self.score.plan.beliefs(logits), true.log() - false.log())
        plan = self.score.plan
        expected = expected_units(self.graph, true.cpu())
        for nodes, found in zip(plan.graph.nodes, self.score.means(true, false), strict=True):
            for bucket, mean in found:
                expected = nodes.collect(expected, mean.cpu(), bucket.rows.cpu())
        if self.graph.constant is not None:
            expected = expected + self.graph.constant
        return Posterior(
            decided_clipped(self.graph, belief).cpu(),
            bound,
            "" if bound is None else "lower bound",
            expected,
            self.score.label.cpu().int(),
            (report,),
            quality=quality_of_open(self.score.label.cpu(), "unconfirmed"),
        )
