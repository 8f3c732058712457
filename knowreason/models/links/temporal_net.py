"""Snapshot encoder, recurrent state a node, link decoder (King & Huang, Euler, TOPS 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from knowreason.models.graph.convolution import Convolution, message_edges
from knowreason.models.graph.graph_encoder import GraphEncoder
from knowreason.models.graph.node_graph import both_ways
from knowreason.models.links.time_windows import HISTORY, Counter, Windows

Recurrent = Literal["gru", "lstm", "none"]
Decoder = Literal["dot", "bilinear"]
ACTIVITY = 6  # columns of the inputs of a node that is active in a window
ID_WIDTH = 16
ID_DROPOUT = 0.1  # share of nodes that are taken for unknown in training


@dataclass(frozen=True)
class Chunk:
    """Some windows in a row, as one block-diagonal graph over their active nodes.

    Attributes:
        first, last: steps ``first <= t < last``.
        node: ``int64[A]``, node of each slot, by window.
        bounds: ``last - first + 1`` offsets of the windows into the slots.
        inputs: ``float32[A, ACTIVITY]``.
        edges: from :func:`~knowreason.models.graph.convolution.message_edges`.
    """

    first: int
    last: int
    node: Tensor
    bounds: tuple[int, ...]
    inputs: Tensor
    edges: Tensor


@dataclass(frozen=True)
class PairQueries:
    """Pairs to be scored, in order of step.

    Attributes:
        source, target: ``int64[n]`` nodes.
        offsets: ``int64[steps + 2]``; step ``t`` asks ``offsets[t]:offsets[t + 1]``, the last
            one lies after all windows.
        past: ``float32[n, len(HISTORY)]``.
        truth: ``float32[n]``, 1 for a link that was there.
    """

    source: Tensor
    target: Tensor
    offsets: NDArray[np.int64]
    past: Tensor
    truth: Tensor


class TemporalNet(nn.Module):
    """Encoder, cell and decoder.

    Args:
        static: width of the nodes' own inputs.
        known: number of nodes with an embedding of their own; 0 for none.
        hidden: width of the node states.
        convolutions: layers of the encoder.
        recurrent: how the state of a node takes up what a window shows of it.
        decoder: ``"dot"`` is symmetric, ``"bilinear"`` knows source from target.
        memory: whether the decoder sees :data:`HISTORY`.
        dropout: share of hidden units left out in training.
    """

    def __init__(
        self,
        static: int,
        known: int,
        hidden: int,
        convolutions: Sequence[nn.Module],
        recurrent: Recurrent,
        decoder: Decoder,
        memory: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.ids = nn.Embedding(known + 1, ID_WIDTH if known else 1)
        nn.init.normal_(self.ids.weight, std=0.3)
        self.first = nn.Linear(static + self.ids.embedding_dim, hidden)
        self.encoder = GraphEncoder(hidden + ACTIVITY, hidden, convolutions, dropout)
        cells = {"gru": nn.GRUCell, "lstm": nn.LSTMCell}
        self.cell = cells[recurrent](hidden, hidden) if recurrent in cells else None
        self.norm = nn.LayerNorm(hidden)
        self.source, self.target = nn.Linear(hidden, 1), nn.Linear(hidden, 1)
        self.bilinear = nn.Linear(hidden, hidden, bias=False) if decoder == "bilinear" else None
        past = nn.Sequential(nn.Linear(len(HISTORY), hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.memory = past if memory else None

    def start(self, x: Tensor, ids: Tensor) -> Tensor:
        """States ``[n, hidden]`` of nodes of which nothing is known but what they are."""
        if self.training:
            unknown = torch.rand(ids.shape, device=ids.device) < ID_DROPOUT
            ids = ids.masked_fill(unknown, 0)
        return torch.tanh(self.first(torch.cat([x, self.ids(ids)], dim=1)))

    def advance(
        self, state: Tensor, inner: Tensor, active: Tensor, message: Tensor
    ) -> tuple[Tensor, Tensor]:
        """States after a window; nodes that do nothing keep theirs."""
        if self.cell is None:
            return state.index_copy(0, active, message), inner
        if isinstance(self.cell, nn.GRUCell):
            return state.index_copy(0, active, self.cell(message, state[active])), inner
        new, cell = self.cell(message, (state[active], inner[active]))
        return state.index_copy(0, active, new), inner.index_copy(0, active, cell)

    def score(self, source: Tensor, target: Tensor, past: Tensor) -> Tensor:
        """Logits ``[n]`` of links from states ``[n, hidden]`` and the past of each pair."""
        u, v = self.norm(source), self.norm(target)
        turned = u if self.bilinear is None else self.bilinear(u)
        logit = (turned * v).sum(dim=1) / u.shape[1] ** 0.5
        logit = logit + self.source(u)[:, 0] + self.target(v)[:, 0]
        score: Tensor = logit if self.memory is None else logit + self.memory(past)[:, 0]
        return score


@dataclass
class Sweep:
    """The state of all nodes while the windows go by.

    Attributes:
        net: the module.
        x: ``float32[n, static]``, own inputs of all nodes.
        ids: ``int64[n]``, row of each node's embedding, 0 for unknown.
    """

    net: TemporalNet
    x: Tensor
    ids: Tensor
    state: Tensor | None = None
    inner: Tensor = field(default_factory=lambda: torch.zeros(0))
    seen: Tensor = field(default_factory=lambda: torch.zeros(0))

    def run(self, chunk: Chunk, asked: PairQueries) -> tuple[slice, Tensor]:
        """Score what is asked in a chunk's windows, each from the states before it.

        Gradients reach back to the start of the chunk.

        Returns:
            Which of the pairs asked, and their logits.
        """
        begin = self.net.start(self.x, self.ids)
        if self.state is None:
            state, inner = begin, torch.zeros_like(begin)
            self.seen = torch.zeros(len(begin), 1, dtype=torch.bool, device=begin.device)
        else:
            state, inner = torch.where(self.seen, self.state.detach(), begin), self.inner.detach()
        inputs = torch.cat([begin[chunk.node], chunk.inputs], dim=1)
        messages = self.net.encoder(inputs, chunk.edges)
        sources, targets = [], []
        last = chunk.last + (chunk.last == len(asked.offsets) - 2)
        for step in range(chunk.first, last):
            rows = slice(int(asked.offsets[step]), int(asked.offsets[step + 1]))
            sources.append(state[asked.source[rows]])
            targets.append(state[asked.target[rows]])
            if step < chunk.last:
                at = slice(*chunk.bounds[step - chunk.first : step - chunk.first + 2])
                state, inner = self.net.advance(state, inner, chunk.node[at], messages[at])
        self.seen = self.seen.index_fill(0, chunk.node, True)
        self.state, self.inner = state.detach(), inner.detach()
        rows = slice(int(asked.offsets[chunk.first]), int(asked.offsets[last]))
        logits = self.net.score(torch.cat(sources), torch.cat(targets), asked.past[rows])
        return rows, logits


def chunks_of(
    windows: Windows, first: int, last: int, unroll: int, kind: Convolution, device: torch.device
) -> list[Chunk]:
    """Windows ``first <= t < last`` in chunks of ``unroll``, for layers of a kind."""
    key = np.concatenate(
        [windows.step * windows.nodes + e for e in (windows.source, windows.target)]
    )
    slots, slot = np.unique(key, return_inverse=True)
    source, target = np.split(slot, 2)
    step, node = np.divmod(slots, max(windows.nodes, 1))
    bounds = np.searchsorted(step, np.arange(windows.steps + 1))
    inputs = _activity(windows, source, target, step, node)
    made = []
    for a in range(first, last, unroll):
        b = min(a + unroll, last)
        at = slice(bounds[a], bounds[b])
        pairs = slice(windows.offsets[a], windows.offsets[b])
        count = int(bounds[b] - bounds[a])
        neighbours = both_ways(source[pairs] - bounds[a], target[pairs] - bounds[a], count)
        edges = message_edges(kind, torch.from_numpy(neighbours).to(device), count)
        made.append(
            Chunk(
                a,
                b,
                torch.from_numpy(node[at]).to(device),
                tuple((bounds[a : b + 1] - bounds[a]).tolist()),
                torch.from_numpy(inputs[at]).to(device),
                edges,
            )
        )
    return made


def _activity(
    windows: Windows,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    step: NDArray[np.int64],
    node: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Per slot: logs of partners and links each way, of the gap since the last activity, and
    whether it is the first."""
    ends = [(source, None), (target, None), (source, windows.count), (target, windows.count)]
    counts = [np.bincount(end, weights, len(node)) for end, weights in ends]
    before, gap = Counter(node, step, windows.numbers).before(node, step, windows.numbers[step])
    logs = [np.log1p(column) for column in (*counts, gap)]
    return np.stack([*logs, before == 0], axis=1).astype(np.float32)
