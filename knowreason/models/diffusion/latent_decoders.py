"""Decoders of latents: columns of things, edges, which relation they are of, their times."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

EdgeKind = Literal["bilinear", "mlp"]


class FeatureDecoder(nn.Module):
    """Columns from a latent and the class of a thing.

    Args:
        latent: width of a latent.
        states: number of classes; one more stands for "unknown".
        width: inputs of :class:`~knowreason.models.diffusion.column_marginals.Marginals`.
        numbers: how many of the columns are numbers.
        hidden: width of the hidden layer.
    """

    def __init__(self, latent: int, states: int, width: int, numbers: int, hidden: int) -> None:
        super().__init__()
        self.label = nn.Embedding(states + 1, hidden)
        self.first = nn.Linear(latent, hidden)
        self.rest = nn.Sequential(
            nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, width)
        )
        self.log_sd = nn.Parameter(torch.zeros(numbers))

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        """``[n, width]``: means of numbers, logits of indicators and categories."""
        output: Tensor = self.rest(self.first(latent) + self.label(label))
        return output

    @property
    def bounded_log_sd(self) -> Tensor:
        """Log standard deviations, at least log 0.05 so that no column takes all weight."""
        return self.log_sd.clamp(min=-3.0)


class EdgeDecoder(nn.Module):
    """Log-odds of an edge between two latents (up to a constant).

    ``bilinear`` is ``u' W v + a' u + b' v + c``; ``mlp`` a network on ``u, v`` and their
    product. Both can say that like goes with like, which a sum of the two ends cannot.

    Args:
        latent: width of a latent.
        kind: which of the two.
        hidden: width of the network's hidden layer.
    """

    def __init__(self, latent: int, kind: EdgeKind, hidden: int = 32) -> None:
        super().__init__()
        self.kind = kind
        if kind == "bilinear":
            self.weight = nn.Parameter(0.1 * torch.eye(latent))
            self.ends = nn.Linear(2 * latent, 1)
        else:
            self.network = _pair_network(latent, hidden, 1)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Log-odds ``[m]`` of pairs of latents ``[m, latent]``."""
        if self.kind == "mlp":
            score: Tensor = self.network(pair(source, target))
            return score[:, 0]
        ends = self.ends(torch.cat([source, target], dim=1))[:, 0]
        log_odds: Tensor = ((source @ self.weight) * target).sum(1) + ends
        return log_odds


class TimeDecoder(nn.Module):
    """Time of an edge, as mean and log standard deviation of a share of the whole span."""

    def __init__(self, latent: int, relations: int, hidden: int = 32) -> None:
        super().__init__()
        self.network = _pair_network(latent, hidden, 2 * relations)
        self.relations = relations

    def forward(self, source: Tensor, target: Tensor, relation: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log standard deviations ``[m]`` of edges of some relations."""
        both: Tensor = self.network(pair(source, target)).unflatten(1, (self.relations, 2))
        of_relation = both[torch.arange(len(relation), device=relation.device), relation]
        return of_relation[:, 0], of_relation[:, 1].clamp(-5.0, 2.0)

    def loss(self, source: Tensor, target: Tensor, relation: Tensor, time: Tensor) -> Tensor:
        """Mean negative log-likelihood over the edges that have a time."""
        has = ~time.isnan()
        mean, log_sd = self(source[has], target[has], relation[has])
        each = ((time[has] - mean) * (-log_sd).exp()) ** 2 / 2 + log_sd
        loss: Tensor = each.mean() if len(each) else each.sum()
        return loss


class TypeDecoder(nn.Module):
    """Which relation an edge between two things is of."""

    def __init__(self, latent: int, relations: int, hidden: int = 32) -> None:
        super().__init__()
        self.network = _pair_network(latent, hidden, relations)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits ``[m, relations]``."""
        logits: Tensor = self.network(pair(source, target))
        return logits


class LinkDecoders(nn.Module):
    """The decoders of the links between two domains."""

    def __init__(self, latent: int, kind: EdgeKind, relations: int, timed: bool) -> None:
        super().__init__()
        self.edge = EdgeDecoder(latent, kind)
        self.relation = TypeDecoder(latent, relations) if relations > 1 else None
        self.time = TimeDecoder(latent, relations) if timed else None


def pair(source: Tensor, target: Tensor) -> Tensor:
    """What a network sees of two latents: both and their product."""
    return torch.cat([source, target, source * target], dim=1)


def _pair_network(latent: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3 * latent, hidden), nn.SiLU(), nn.Linear(hidden, outputs))
