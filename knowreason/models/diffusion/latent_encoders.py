"""Encoders of the autoencoder: mean messages, or relation-typed attention with times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from knowreason.models.diffusion.encoded_world import World
from knowreason.models.graph.convolution import convolution, message_edges

TIME_WIDTH = 16
EDGE_LIMIT = 400_000  # messages of one kind in one pass; a sample of that size beyond it


@dataclass(frozen=True, eq=False)
class Messages:
    """Directed messages of one kind.

    Attributes:
        name: of the kind.
        sender, receiver: ``int64[m]`` nodes.
        age: ``float32[m]``, time from the edge to the receiver's latest edge, as a share
            of the whole span; 0 without times.
    """

    name: str
    sender: Tensor
    receiver: Tensor
    age: Tensor

    def sampled(self, generator: torch.Generator) -> Messages:
        """At most ``EDGE_LIMIT`` of them."""
        if len(self.sender) <= EDGE_LIMIT:
            return self
        rows = torch.randint(len(self.sender), (EDGE_LIMIT,), generator=generator)
        rows = rows.to(self.sender.device)
        return Messages(self.name, self.sender[rows], self.receiver[rows], self.age[rows])


def messages_of(world: World, device: torch.device) -> tuple[Messages, ...]:
    """One kind a relation and direction; a symmetric relation has one."""
    latest = np.zeros(world.node_count)
    kinds = []
    for link in world.links:
        source = world.block(link.source_domain).first + link.source
        target = world.block(link.target_domain).first + link.target
        time = np.nan_to_num(link.time)
        np.maximum.at(latest, source, time)
        np.maximum.at(latest, target, time)
        for relation in link.relations:
            of_relation = link.relation == relation
            there = source[of_relation], target[of_relation], link.time[of_relation]
            kinds.append((f"{relation}", *there))
            if not link.symmetric:
                kinds.append((f"{relation} back", there[1], there[0], there[2]))
    return tuple(
        Messages(
            name,
            torch.from_numpy(sender).to(device),
            torch.from_numpy(receiver).to(device),
            torch.from_numpy(np.nan_to_num(latest[receiver] - time).astype(np.float32)).to(device),
        )
        for name, sender, receiver, time in kinds
    )


class MeanEncoder(nn.Module):
    """Residual GraphSAGE layers over the neighbours, for one domain and one relation."""

    def __init__(self, world: World, hidden: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(convolution("sage", hidden) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        matrix = sparse.csr_array((world.node_count,) * 2, dtype=np.float32)
        for link in world.links:
            matrix = link.neighbours(world.domain, world.node_count, world.node_count)
        pairs = torch.from_numpy(np.stack(matrix.nonzero()[::-1]).astype(np.int64))
        self.edges = message_edges("sage", pairs, world.node_count)

    def placed(self, device: torch.device) -> MeanEncoder:
        """With its graph on a device."""
        self.edges = self.edges.to(device)
        return self.to(device)

    def forward(self, state: Tensor, generator: torch.Generator) -> Tensor:
        """States ``[n, hidden]`` after all layers."""
        for norm, layer in zip(self.norms, self.layers, strict=True):
            state = state + torch.relu(layer(norm(state), self.edges))
        return state


class TypedEncoder(nn.Module):
    """Heterogeneous graph transformer (Hu et al. 2020) with relative times of edges."""

    def __init__(self, world: World, hidden: int, layers: int, heads: int) -> None:
        super().__init__()
        self.messages = messages_of(world, torch.device("cpu"))
        slices = tuple(block.nodes for block in world.blocks)
        kinds = len(self.messages)
        self.layers = nn.ModuleList(TypedLayer(slices, kinds, hidden, heads) for _ in range(layers))

    def placed(self, device: torch.device) -> TypedEncoder:
        """With its graph on a device."""
        self.messages = tuple(
            Messages(kind.name, *(t.to(device) for t in (kind.sender, kind.receiver, kind.age)))
            for kind in self.messages
        )
        return self.to(device)

    def forward(self, state: Tensor, generator: torch.Generator) -> Tensor:
        """States ``[n, hidden]`` after all layers."""
        kinds = [kind.sampled(generator) for kind in self.messages]
        for layer in self.layers:
            state = layer(state, kinds)
        return state


class TypedLayer(nn.Module):
    """Keys, queries and values a node type; attention and message maps a kind of edge.

    The attention of an edge is ``(K W_a) . Q m / sqrt(d)``, normalised over all edges of the
    receiver whatever their kind; the age of an edge enters its sender's key and value as a
    projected sinusoid (relative temporal encoding, Hu et al. 2020, eq. 6).
    """

    def __init__(self, slices: tuple[slice, ...], kinds: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.slices, self.heads = slices, heads
        size = hidden // heads
        self.norm = nn.LayerNorm(hidden)
        self.project = nn.ModuleList(nn.Linear(hidden, 3 * hidden) for _ in slices)
        self.out = nn.ModuleList(nn.Linear(hidden, hidden) for _ in slices)
        eye = torch.eye(size).expand(kinds, heads, size, size)
        self.attend = nn.Parameter(eye.clone())
        self.tell = nn.Parameter(eye.clone())
        self.prior = nn.Parameter(torch.zeros(kinds, heads))
        self.time = nn.Linear(TIME_WIDTH, 2 * hidden, bias=False)

    def forward(self, state: Tensor, kinds: list[Messages]) -> Tensor:
        """New states ``[n, hidden]``."""
        from torch_geometric.utils import softmax

        normed = self.norm(state)
        parts = [p(normed[s]) for p, s in zip(self.project, self.slices, strict=True)]
        key, query, value = torch.unflatten(torch.cat(parts), 1, (3, self.heads, -1)).unbind(1)
        scores, tells = [], []
        for number, kind in enumerate(kinds):
            aged = self.time(sinusoid(kind.age)).unflatten(1, (2, self.heads, -1))
            k = key.index_select(0, kind.sender) + aged[:, 0]
            v = value.index_select(0, kind.sender) + aged[:, 1]
            k = torch.einsum("mhi,hij->mhj", k, self.attend[number])
            q = query.index_select(0, kind.receiver)
            scores.append((k * q).sum(2) / k.shape[2] ** 0.5 + self.prior[number])
            tells.append(torch.einsum("mhi,hij->mhj", v, self.tell[number]))
        if not kinds:
            return state
        receiver = torch.cat([kind.receiver for kind in kinds])
        weight = softmax(torch.cat(scores), receiver, num_nodes=len(state))
        messages = torch.zeros_like(key).index_add(
            0, receiver, weight[:, :, None] * torch.cat(tells)
        )
        messages = nn.functional.gelu(messages.flatten(1))
        new = torch.cat([o(messages[s]) for o, s in zip(self.out, self.slices, strict=True)])
        return state + new


def sinusoid(age: Tensor) -> Tensor:
    """``[m, 16]``: sines and cosines of an age in 0..1, periods 2 down to 2/256."""
    frequency = torch.pi * 2.0 ** torch.arange(TIME_WIDTH // 2, device=age.device)
    angle = age[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)
