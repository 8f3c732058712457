"""Sweeps and beliefs in torch: the differentiable twin of the CPU kernels, and the GPU one.

A :class:`TorchMessages` holds index tensors only; theta and messages are arguments, so
that gradients reach both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from knowreason.factors.potentials.factor_nodes import NodeBucket
from knowreason.factors.potentials.interval_nodes import alike
from knowreason.factors.potentials.interval_tensors import ABSENT
from knowreason.factors.potentials.odds_domain import LIMIT, TINY
from knowreason.inference.messages.message_graph import BlockLayout, MessageGraph


@dataclass(frozen=True)
class TorchMessages:
    """A message graph as index tensors on one device.

    Attributes:
        graph: the layout.
        edge_atoms: ``int64[e]``.
        buckets: per nodes.
        blocks: per padded size, ``int64[b, k]`` atoms, ``bool[b, k]`` present and
            ``bool[b]`` at most one.
    """

    graph: MessageGraph
    edge_atoms: Tensor
    buckets: tuple[tuple[NodeBucket, ...], ...]
    blocks: tuple[tuple[Tensor, Tensor, Tensor], ...]

    @staticmethod
    def of(graph: MessageGraph, device: torch.device | str = "cpu") -> TorchMessages:
        """Index tensors of a layout."""
        return TorchMessages(
            graph,
            torch.from_numpy(graph.edge_atoms.astype(np.int64)).to(device),
            tuple(
                tuple(nodes.buckets(start, device))
                for nodes, start in zip(graph.nodes, graph.starts, strict=True)
            ),
            tuple(_padded_blocks(graph.blocks, device)),
        )

    def weights(self, theta: Tensor) -> list[Tensor | None]:
        """Weights of the rows of all nodes, ``None`` of hard ones."""
        device = self.edge_atoms.device
        found = self.graph.weights(theta)
        return [None if weights is None else weights.to(device) for weights in found]

    def raised(self, weights: list[Tensor | None], share: Tensor) -> list[Tensor | None]:
        """Weights over the share of their factor (``float64[e]``, alike within a row)."""
        found: list[Tensor | None] = []
        for mine, nodes, start in zip(weights, self.graph.nodes, self.graph.starts, strict=True):
            if mine is not None:
                of_row = share[start + torch.from_numpy(nodes.offsets[:-1]).to(share.device)]
                mine = mine / of_row.reshape(-1, *([1] * (mine.dim() - 1)))
            found.append(mine)
        return found

    def raw(self, unary: Tensor, messages: Tensor) -> Tensor:
        """``float64[n]``: unary log-odds plus all messages, blocks not yet coupled."""
        return unary.index_add(0, self.edge_atoms, messages)

    def beliefs(self, raw: Tensor, maximum: bool = False) -> Tensor:
        """``float64[n]`` log-odds with blocks coupled."""
        belief = raw
        for atoms, present, at_most_one in self.blocks:
            coupled = _coupled(raw[atoms], present, at_most_one, maximum)
            belief = belief.index_put((atoms[present],), coupled[present])
        return belief

    def update(
        self, belief: Tensor, messages: Tensor, weights: list[Tensor | None], maximum: bool = False
    ) -> Tensor:
        """``float64[e]``: undamped new messages, clamped."""
        cavity = belief[self.edge_atoms] - messages
        places, found = [], []
        for buckets, mine in zip(self.buckets, weights, strict=True):
            places += [bucket.places() for bucket in buckets]
            found += [bucket.messages(cavity, mine, maximum) for bucket in buckets]
        if not found:
            return messages
        new = torch.zeros_like(messages).index_put((torch.cat(places),), torch.cat(found))
        return new.clamp(-LIMIT, LIMIT)


def _padded_blocks(
    blocks: BlockLayout, device: torch.device | str
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    sizes = np.diff(blocks.offsets)
    for rows in alike(sizes[:, None]):
        chosen = rows[sizes[rows] > 0]
        if not chosen.size:
            continue
        column = np.arange(sizes[chosen].max())
        present = column < sizes[chosen][:, None]
        place = np.where(present, blocks.offsets[:-1][chosen][:, None] + column, 0)
        yield (
            torch.from_numpy(blocks.atoms[place].astype(np.int64)).to(device),
            torch.from_numpy(present).to(device),
            torch.from_numpy(blocks.at_most_one[chosen]).to(device),
        )


def _coupled(raw: Tensor, present: Tensor, at_most_one: Tensor, maximum: bool) -> Tensor:
    """Each state's log-odds less those of the other states together (``float64[b, k]``)."""
    raw = torch.where(present, raw, ABSENT)
    none = torch.where(at_most_one, 0.0, ABSENT).to(raw.dtype)[:, None]
    top = torch.maximum(raw.detach().amax(1, keepdim=True), none)
    first = (none - top).exp()
    mass = (raw - top).exp()
    left = torch.cat([first, mass[:, :-1]], 1)
    right = torch.cat([torch.zeros_like(first), mass.flip(1)[:, :-1]], 1)
    if maximum:
        others = torch.maximum(left.cummax(1).values, right.cummax(1).values.flip(1))
    else:
        others = left.cumsum(1) + right.cumsum(1).flip(1)
    return raw - top - others.clamp(min=TINY).log()
