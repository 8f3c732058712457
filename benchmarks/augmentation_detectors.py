"""Six detectors of GODM's protocol (Liu et al., LoG 2025), small: two layers of messages, a score.

GCN, SAGE, GIN and GAT pass messages as PyG does, SGC has two propagations (Wu et al. 2019), BWGNN
Beta wavelets of order 2 (Tang et al. 2022). All are fitted alike: Adam, the whole graph at once,
the epoch with the highest average precision on validation labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from knowreason.models.graph.convolution import convolution, message_edges

DETECTORS = ("gcn", "sgc", "gin", "sage", "gat", "bwgnn")


@dataclass(frozen=True, eq=False)
class Graph:
    """What a detector sees.

    Attributes:
        x: ``float32[n, d]``, standardised.
        pairs: ``int64[2, m]``, each link both ways.
        y: ``int64[n]``.
        train, valid: ``int64``, nodes to learn from and to choose the epoch by.
    """

    x: NDArray[np.float32]
    pairs: NDArray[np.int64]
    y: NDArray[np.int64]
    train: NDArray[np.int64]
    valid: NDArray[np.int64]

    def with_positives(self, x: NDArray[np.floating], pairs: NDArray[np.int64]) -> Graph:
        """The graph with new positives to learn from: nodes numbered after its own, and links."""
        new = len(self.y) + np.arange(len(x))
        return replace(
            self,
            x=np.concatenate([self.x, x]).astype(np.float32),
            pairs=both_ways(np.concatenate([self.pairs, pairs], axis=1)),
            y=np.concatenate([self.y, np.ones(len(x), np.int64)]),
            train=np.concatenate([self.train, new]),
        )


def both_ways(pairs: NDArray[np.integer]) -> NDArray[np.int64]:
    """Each link once in each direction, without loops."""
    pairs = pairs[:, pairs[0] != pairs[1]].astype(np.int64)
    every = np.concatenate([pairs, pairs[::-1]], axis=1)
    size = int(every.max(initial=0)) + 1
    keys = np.unique(every[0] * size + every[1])
    return np.stack([keys // size, keys % size])


class Encoder(nn.Module):
    """States of nodes before the last linear layer."""

    def __init__(self, kind: str, inputs: int, hidden: int) -> None:
        super().__init__()
        self.kind = kind
        self.first = nn.Linear(inputs, hidden)
        layers = 2 if kind in ("gcn", "gin", "sage", "gat") else 0
        self.layers = nn.ModuleList(convolution(kind, hidden) for _ in range(layers))  # type: ignore[arg-type]
        self.width = hidden * {"bwgnn": 3}.get(kind, 1)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """``[n, width]``."""
        if self.kind == "sgc":
            state: Tensor = self.first(edges @ (edges @ x))
            return state
        state = torch.relu(self.first(x))
        if self.kind == "bwgnn":
            once = edges @ state
            twice = edges @ once
            low, middle = (state + 2 * once + twice) / 4, (state - twice) / 4
            high = (state - 2 * once + twice) / 4
            return torch.cat([1.5 * low, 3 * middle, 1.5 * high], dim=1)
        for layer in self.layers:
            state = torch.relu(layer(state, edges))
        return state


def graph_edges(kind: str, graph: Graph) -> Tensor:
    """The links of a graph as a kind of detector takes them."""
    pairs, count = torch.from_numpy(graph.pairs), len(graph.y)
    if kind != "bwgnn":
        return message_edges("gcn" if kind == "sgc" else kind, pairs, count)  # type: ignore[arg-type]
    degree = torch.zeros(count).index_add(0, pairs[1], torch.ones(pairs.shape[1]))
    weight = (degree[pairs[0]] * degree[pairs[1]]).rsqrt()
    return message_edges("gin", pairs, count, weight)


def detected(
    kind: str,
    graph: Graph,
    seed: int,
    *,
    weighted: bool = False,
    permuted: bool = False,
    hidden: int = 32,
    epochs: int = 60,
) -> NDArray[np.float64]:
    """Scores ``float64[n]`` of all nodes by a detector fitted here.

    Args:
        kind: of :data:`DETECTORS`.
        graph: what it learns from.
        seed: of its weights and permutations.
        weighted: each class weighs as much as the other.
        permuted: as DAGAD trains (Liu et al., ICDM 2022): two encoders, states of one beside
            permuted states of the other are further samples with either's label, each class weighs
            the same.
        hidden, epochs: of the detector.
    """
    torch.manual_seed(seed)
    x, edges = torch.from_numpy(graph.x), graph_edges(kind, graph)
    y = torch.from_numpy(graph.y).float()
    train = torch.from_numpy(graph.train)
    encoders = nn.ModuleList(Encoder(kind, x.shape[1], hidden) for _ in range(1 + permuted))
    width = sum(encoder.width for encoder in encoders)  # type: ignore[misc]
    heads = nn.ModuleList(nn.Linear(width, 1) for _ in encoders)
    optimiser = torch.optim.Adam([*encoders.parameters(), *heads.parameters()], 1e-2)
    target = y[train]
    positives = target.sum().clamp(min=1)
    balance = torch.where(
        target == 1, len(target) / positives, len(target) / (len(target) - positives)
    )
    best, chosen = -1.0, np.zeros(len(y))
    for epoch in range(epochs):
        optimiser.zero_grad()
        states = [encoder(x, edges) for encoder in encoders]
        loss = torch.zeros(())
        orders = [torch.arange(len(train))] + [torch.randperm(len(train))] * permuted
        for order in orders:
            rows = [train, train[order]][: len(states)]
            both = torch.cat([s[r] for s, r in zip(states, rows, strict=True)], dim=1)
            for head, row in zip(heads, rows, strict=True):
                each = nn.functional.binary_cross_entropy_with_logits(
                    head(both)[:, 0], y[row], reduction="none"
                )
                weight = balance if row is train else balance[order]
                loss = loss + (each * weight if weighted or permuted else each).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if epoch % 5 == 4:
            with torch.no_grad():
                states = [encoder(x, edges) for encoder in encoders]
                both = torch.cat(states, dim=1)
                score = sum(head(both)[:, 0] for head in heads).double().numpy()  # type: ignore[union-attr]
            found = average_precision_score(graph.y[graph.valid], score[graph.valid])
            if found > best:
                best, chosen = found, score
    return chosen
