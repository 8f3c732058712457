"""Sweeps and beliefs in torch: the differentiable twin of the CPU kernels, and the GPU one.

A :class:`TorchMessages` holds index tensors only; theta and messages are arguments, so
that gradients reach both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.infer import factor_messages as shape
from knowreason.infer.messages import (
    LIMIT,
    BlockLayout,
    MessageGraph,
    Rows,
    counting_limits,
)
from knowreason.row_keys import distinct_rows

CHUNK_STATES = 1 << 23  # table states held at once


@dataclass(frozen=True)
class Bucket:
    """Rows of about the same arity, padded to one.

    Attributes:
        edges: ``int64[m, k]`` place of each literal in the message vector; padding
            points at 0.
        present: ``bool[m, k]``, ``None`` where nothing is padded.
        sign: ``float64[m, k]`` of +-1, ``None`` for tables.
        rows: ``int64[m]`` rows of the group.
        table: ``float64[2**k]`` of tables.
        good: ``float64[m, limit + 1]`` of counts.
        target: ``int64[m]`` place of the target's edge, ``None`` without targets.
    """

    edges: Tensor
    present: Tensor | None
    sign: Tensor | None
    rows: Tensor
    table: Tensor | None = None
    good: Tensor | None = None
    target: Tensor | None = None

    def literals(self, cavity: Tensor) -> Tensor:
        """``float64[m, k]`` cavities of the literals; absent ones are false."""
        chosen = cavity[self.edges]
        if self.sign is not None:
            chosen = chosen * self.sign
        if self.present is None:
            return chosen
        return torch.where(self.present, chosen, shape.ABSENT)

    def messages(self, cavity: Tensor, weights: Tensor | None, maximum: bool) -> Tensor:
        """``float64``: messages in the order of :meth:`places`."""
        mine = None if weights is None else weights[self.rows]
        if self.table is not None:
            return self._table_messages(cavity[self.edges], mine, maximum).reshape(-1)
        literals = self.literals(cavity)
        if self.good is None:
            found, to_target = shape.clause_messages(literals, mine, maximum), None
        else:
            target = None if self.target is None else cavity[self.target]
            found, to_target = shape.count_messages(literals, target, self.good, maximum)
        found = found if self.sign is None else found * self.sign
        flat = found.reshape(-1) if self.present is None else found[self.present]
        return flat if to_target is None else torch.cat([flat, to_target])

    def places(self) -> Tensor:
        """``int64``: where each message goes."""
        flat = self.edges.reshape(-1) if self.present is None else self.edges[self.present]
        return flat if self.target is None else torch.cat([flat, self.target])

    def beliefs(self, cavity: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log normaliser and mean of each row; see :mod:`.factor_messages`."""
        mine = None if weights is None else weights[self.rows]
        if self.table is not None:
            parts = [
                shape.table_beliefs(part, self.table, part_weights)
                for part, part_weights in self._chunks(cavity[self.edges], mine)
            ]
            return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
        literals = self.literals(cavity)
        if self.good is None:
            return shape.clause_beliefs(literals, mine)
        target = None if self.target is None else cavity[self.target]
        log_z = shape.count_beliefs(literals, target, self.good)
        return log_z, torch.ones_like(log_z)

    def _table_messages(self, cavity: Tensor, weights: Tensor | None, maximum: bool) -> Tensor:
        assert self.table is not None
        return torch.cat(
            [
                shape.table_messages(part, self.table, part_weights, maximum)
                for part, part_weights in self._chunks(cavity, weights)
            ]
        )

    def _chunks(
        self, cavity: Tensor, weights: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        assert self.table is not None
        size = max(1, CHUNK_STATES // self.table.shape[0])
        parts = cavity.split(size)
        yield from zip(
            parts, [None] * len(parts) if weights is None else weights.split(size), strict=True
        )


@dataclass(frozen=True)
class TorchMessages:
    """A message graph as index tensors on one device.

    Attributes:
        graph: the layout.
        edge_atoms: ``int64[e]``.
        buckets: per group of rows.
        blocks: per padded size, ``int64[b, k]`` atoms, ``bool[b, k]`` present and
            ``bool[b]`` at most one.
    """

    graph: MessageGraph
    edge_atoms: Tensor
    buckets: tuple[tuple[Bucket, ...], ...]
    blocks: tuple[tuple[Tensor, Tensor, Tensor], ...]

    @staticmethod
    def of(graph: MessageGraph, device: torch.device | str = "cpu") -> TorchMessages:
        """Index tensors of a layout."""
        atoms = [rows.atoms for rows in graph.rows]
        flat = np.concatenate(atoms) if atoms else np.zeros(0, np.int32)
        return TorchMessages(
            graph,
            torch.from_numpy(flat.astype(np.int64)).to(device),
            tuple(
                tuple(_buckets(rows, start, device))
                for rows, start in zip(graph.rows, graph.starts, strict=True)
            ),
            tuple(_padded_blocks(graph.blocks, device)),
        )

    def weights(self, theta: Tensor) -> list[Tensor | None]:
        """Weights of every group's rows, ``None`` for hard ones."""
        found = (rows.weights(theta) for rows in self.graph.rows)
        device = self.edge_atoms.device
        return [None if weights is None else weights.to(device) for weights in found]

    def raised(self, weights: list[Tensor | None], share: Tensor) -> list[Tensor | None]:
        """Weights over the share of their factor (``float64[e]``, alike within a row)."""
        return [
            None if mine is None else mine / share[start + torch.from_numpy(rows.offsets[:-1])]
            for mine, rows, start in zip(weights, self.graph.rows, self.graph.starts, strict=True)
        ]

    def source_rows(self, group: int, rows: Tensor) -> Tensor:
        """Rows of a group's source (``int64``) for rows of the group."""
        index = self.graph.rows[group].index
        return rows if index is None else torch.from_numpy(index).to(rows.device)[rows]

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


def _buckets(rows: Rows, start: int, device: torch.device | str) -> Iterator[Bucket]:
    """Rows grouped by arity (rounded up to a power of two where it varies)."""
    targets = np.zeros(rows.count, bool) if rows.has_target is None else rows.has_target
    sizes = np.diff(rows.offsets) - targets.astype(np.int64)
    if rows.kind in ("pair", "table"):
        assert rows.table is not None
        edges = start + np.arange(rows.edges).reshape(rows.count, -1)
        table = torch.from_numpy(rows.table).to(device)
        every = torch.arange(rows.count, device=device)
        yield Bucket(torch.from_numpy(edges).to(device), None, None, every, table)
        return
    limits = np.zeros(rows.count, np.int64)
    if rows.kind == "count":
        limits = counting_limits(rows)
    _, owner = distinct_rows([_rounded(sizes), _rounded(limits), targets.astype(np.int64)])
    for key in range(int(owner.max()) + 1):
        chosen = np.flatnonzero(owner == key)
        yield _bucket(rows, start, chosen, sizes[chosen], limits[chosen], device)


def _bucket(
    rows: Rows,
    start: int,
    chosen: NDArray[np.int64],
    sizes: NDArray[np.int64],
    limits: NDArray[np.int64],
    device: torch.device | str,
) -> Bucket:
    column = np.arange(sizes.max())
    present = column < sizes[:, None]
    place = np.where(present, rows.offsets[:-1][chosen][:, None] + column, 0)
    assert rows.signs is not None
    sign = np.where(rows.signs[place], 1.0, -1.0)
    good = target = None
    if rows.lower is not None and rows.upper is not None and rows.has_target is not None:
        lower, upper = rows.lower[chosen][:, None], rows.upper[chosen][:, None]
        counts = np.arange(limits.max() + 1)
        inside = (lower <= counts) & ((counts <= upper) | (upper >= sizes[:, None]))
        good = torch.from_numpy(inside.astype(np.float64)).to(device)
        if rows.has_target[chosen[0]]:
            target = torch.from_numpy(rows.offsets[1:][chosen] - 1 + start).to(device)
    return Bucket(
        torch.from_numpy(place + start).to(device),
        None if present.all() else torch.from_numpy(present).to(device),
        torch.from_numpy(sign).to(device),
        torch.from_numpy(chosen).to(device),
        good=good,
        target=target,
    )


def _rounded(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Next power of two, or the size itself where all are alike."""
    if sizes.size == 0 or (sizes == sizes[0]).all():
        return sizes
    return 1 << np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64)


def _padded_blocks(
    blocks: BlockLayout, device: torch.device | str
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    sizes = np.diff(blocks.offsets)
    rounded = _rounded(sizes)
    for size in np.unique(rounded):
        chosen = np.flatnonzero((rounded == size) & (sizes > 0))
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
    raw = torch.where(present, raw, shape.ABSENT)
    none = torch.where(at_most_one, 0.0, shape.ABSENT).to(raw.dtype)[:, None]
    top = torch.maximum(raw.detach().amax(1, keepdim=True), none)
    first = (none - top).exp()
    mass = (raw - top).exp()
    left = torch.cat([first, mass[:, :-1]], 1)
    right = torch.cat([torch.zeros_like(first), mass.flip(1)[:, :-1]], 1)
    if maximum:
        others = torch.maximum(left.cummax(1).values, right.cummax(1).values.flip(1))
    else:
        others = left.cumsum(1) + right.cumsum(1).flip(1)
    return raw - top - others.clamp(min=shape.TINY).log()
