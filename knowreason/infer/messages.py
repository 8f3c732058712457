"""A factor graph laid out for message passing: rows of one shape, edges in one vector.

Every engine that passes messages (``bp``, ``trw``, the GCN posterior) works on this
layout. An *edge* joins one atom and one ground factor; its message, factor to atom, is
one number: Boolean log-odds. Atoms of a block keep Boolean messages; the block couples
them, so that it acts as one variable of K (or K + 1) states.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.errors import InferenceError
from knowreason.factors import (
    Blocks,
    Clause,
    ClauseList,
    CountGroup,
    FactorGraph,
    FactorGroup,
    row_weights,
)
from knowreason.factors.arrays import array, entries_of, offsets_of, owners

LIMIT = 88.0  # messages are clamped to +-LIMIT in log-odds; hard factors are exact up to it
COUNT_TABLE_LIMIT = 50_000_000  # entries of one count's dynamic-programming table

Kind = Literal["clause", "pair", "table", "count"]


@dataclass(frozen=True)
class Rows:
    """Ground factors of one shape.

    Attributes:
        kind: ``clause`` (any arity, O(k) messages), ``pair`` (a 0/1 table of two atoms),
            ``table`` (2^k states) or ``count``.
        offsets: ``int64[m + 1]`` edges of each row, from 0.
        atoms: ``int32[e]``; of a count with a target, the target is the row's last edge.
        source: where parameter and value are; ``None`` for counts.
        signs: ``bool[e]`` of clauses and counts.
        table: ``float64[2**k]`` of pairs and tables.
        lower, upper: ``int32[m]`` of counts, signs flipped where that is cheaper.
        has_target: ``bool[m]`` of counts.
        index: ``int64[m]``, rows of ``source`` these are; ``None`` means all in order.
    """

    kind: Kind
    offsets: NDArray[np.int64]
    atoms: NDArray[np.int32]
    source: FactorGroup | ClauseList | None
    signs: NDArray[np.bool_] | None = None
    table: NDArray[np.float64] | None = None
    lower: NDArray[np.int32] | None = None
    upper: NDArray[np.int32] | None = None
    has_target: NDArray[np.bool_] | None = None
    index: NDArray[np.int64] | None = None

    @property
    def count(self) -> int:
        """Number of ground factors."""
        return self.offsets.shape[0] - 1

    @property
    def edges(self) -> int:
        """Number of edges."""
        return self.atoms.shape[0]

    @property
    def is_hard(self) -> bool:
        """Whether every row must hold."""
        return self.source is None or self.source.is_hard

    def weights(self, theta: Tensor) -> Tensor | None:
        """``float64[m]``, differentiable in ``theta``; ``None`` for hard rows."""
        source = self.source
        parameter = None if source is None else source.parameter
        if source is None or parameter is None:
            return None
        weights = row_weights(theta, parameter, source.value, source.rows)
        return weights if self.index is None else weights[torch.from_numpy(self.index)]

    def take(self, rows: NDArray[np.int64]) -> tuple[Rows, NDArray[np.int64]]:
        """The given rows alone, and which edges of these rows they keep (``int64``)."""
        edges, offsets = entries_of(self.offsets, rows)

        def pick(array: NDArray | None, by: NDArray[np.int64]) -> NDArray | None:
            return None if array is None else array[by]

        part = replace(
            self,
            offsets=offsets,
            atoms=self.atoms[edges],
            signs=pick(self.signs, edges),
            lower=pick(self.lower, rows),
            upper=pick(self.upper, rows),
            has_target=pick(self.has_target, rows),
            index=rows if self.index is None else self.index[rows],
        )
        return part, edges


@dataclass(frozen=True)
class BlockLayout:
    """Blocks as numpy columns; see :class:`knowreason.factors.Blocks`."""

    offsets: NDArray[np.int64]
    atoms: NDArray[np.int32]
    at_most_one: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.offsets.shape[0] - 1

    def of_atom(self, atoms: int) -> NDArray[np.int32]:
        """``int32[n]``: block of each atom, -1 for none."""
        block = np.full(atoms, -1, dtype=np.int32)
        block[self.atoms] = owners(self.offsets)
        return block


@dataclass(frozen=True)
class MessageGraph:
    """All rows of a factor graph; messages are one vector, rows one after another.

    Attributes:
        atom_count: ``n``.
        rows: non-empty groups of rows.
        starts: first edge of each group in the message vector.
        edge_count: length of the message vector.
        blocks: the blocks.
    """

    atom_count: int
    rows: tuple[Rows, ...]
    starts: tuple[int, ...]
    edge_count: int
    blocks: BlockLayout

    def take(self, keep: NDArray[np.bool_]) -> tuple[MessageGraph, NDArray[np.int64]]:
        """Rows whose first atom is kept, and the edges they have here (``int64``).

        ``keep`` is ``bool[n]`` and must be a union of connected components.
        """
        parts, edges = [], []
        for rows, start in zip(self.rows, self.starts, strict=True):
            chosen = np.flatnonzero(keep[rows.atoms[rows.offsets[:-1]]])
            if chosen.size:
                part, kept = rows.take(chosen)
                parts.append(part)
                edges.append(kept + start)
        empty = np.zeros(0, dtype=np.int64)
        smaller = assemble(self.atom_count, parts, self.blocks)
        return smaller, np.concatenate(edges) if edges else empty


def layout(graph: FactorGraph) -> MessageGraph:
    """Lays out a conditioned factor graph; theta is not read."""
    rows: list[Rows] = []
    rows.extend(_group_rows(group) for group in graph.groups)
    rows.extend(_list_rows(clauses) for clauses in graph.clause_lists)
    rows.extend(_count_rows(counts) for counts in graph.counts)
    return assemble(graph.atom_count, rows, block_layout(graph.blocks))


def assemble(atom_count: int, rows: list[Rows], blocks: BlockLayout) -> MessageGraph:
    """Puts rows one after another, empty ones left out."""
    kept = tuple(part for part in rows if part.count)
    ends = np.cumsum([0, *(part.edges for part in kept)])
    starts = tuple(int(end) for end in ends[:-1])
    return MessageGraph(atom_count, kept, starts, int(ends[-1]), blocks)


def block_layout(blocks: Blocks) -> BlockLayout:
    """Blocks as numpy columns."""
    return BlockLayout(
        _column(blocks.offsets, np.int64),
        _column(blocks.atoms, np.int32),
        _column(blocks.at_most_one, np.bool_),
    )


def shared_blocks(graph: MessageGraph) -> int:
    """How many ground factors touch two states of one block (Boolean messages are
    then an approximation even on trees)."""
    if not graph.blocks.count:
        return 0
    block = graph.blocks.of_atom(graph.atom_count)
    total = 0
    for rows in graph.rows:
        owner = owners(rows.offsets)
        inside = block[rows.atoms]
        key = (owner * graph.blocks.count + inside)[inside >= 0]
        _, first, many = np.unique(key, return_index=True, return_counts=True)
        total += np.unique(owner[inside >= 0][first[many > 1]]).size
    return total


def _group_rows(group: FactorGroup) -> Rows:
    atoms = _column(group.atoms, np.int32)
    rows, arity = atoms.shape
    offsets = np.arange(rows + 1, dtype=np.int64) * arity
    flat = atoms.reshape(-1)
    if isinstance(group.potential, Clause):
        signs = np.array(group.potential.signs, dtype=np.bool_)
        if arity == 2:
            return Rows("pair", offsets, flat, group, table=_clause_table(signs))
        return Rows("clause", offsets, flat, group, signs=np.tile(signs, rows))
    table = _column(group.potential.values, np.float64)
    binary = bool(np.isin(table, (0.0, 1.0)).all())
    return Rows("pair" if arity == 2 and binary else "table", offsets, flat, group, table=table)


def _list_rows(clauses: ClauseList) -> Rows:
    return Rows(
        "clause",
        _column(clauses.offsets, np.int64),
        _column(clauses.atoms, np.int32),
        clauses,
        signs=_column(clauses.signs, np.bool_),
    )


def _count_rows(counts: CountGroup) -> Rows:
    """Targets become last edges; literals are flipped where that makes counting shorter."""
    begin = _column(counts.offsets, np.int64)
    atoms, signs = _column(counts.atoms, np.int32), _column(counts.signs, np.bool_)
    lower, upper = _column(counts.lower, np.int32), _column(counts.upper, np.int32)
    target = _column(counts.target, np.int32)
    sizes = np.diff(begin)
    flip = count_limit(sizes - upper, sizes - lower, sizes) < count_limit(lower, upper, sizes)
    lower, upper = (
        np.where(flip, sizes - upper, lower).astype(np.int32),
        np.where(flip, sizes - lower, upper).astype(np.int32),
    )
    has_target = target >= 0
    offsets = offsets_of(sizes + has_target)
    edge_atoms = np.empty(offsets[-1], dtype=np.int32)
    edge_signs = np.ones(offsets[-1], dtype=np.bool_)
    place = np.arange(atoms.size) + np.repeat(offsets[:-1] - begin[:-1], sizes)
    edge_atoms[place] = atoms
    edge_signs[place] = signs ^ np.repeat(flip, sizes)
    edge_atoms[offsets[1:][has_target] - 1] = target[has_target]
    return Rows(
        "count",
        offsets,
        edge_atoms,
        None,
        signs=edge_signs,
        lower=lower,
        upper=upper,
        has_target=has_target,
    )


def count_limit(lower: NDArray, upper: NDArray, sizes: NDArray) -> NDArray[np.int64]:
    """``int64[m]``: counting may stop here, all larger counts being alike."""
    return np.where(upper >= sizes, np.maximum(lower, 0), np.clip(upper + 1, 0, sizes + 1))


def counting_limits(rows: Rows) -> NDArray[np.int64]:
    """``int64[m]``: :func:`count_limit` of every count.

    Raises:
        InferenceError: a count's dynamic-programming table would be too large (KR741).
    """
    assert rows.lower is not None
    assert rows.upper is not None
    sizes = np.diff(rows.offsets) - rows.has_target
    limits = count_limit(rows.lower, rows.upper, sizes)
    entries = (sizes + 1) * (limits + 1)
    if entries.size and entries.max() > COUNT_TABLE_LIMIT:
        row = int(entries.argmax())
        raise InferenceError(
            f"a count over {sizes[row]:,} atoms with bounds {rows.lower[row]:,}.."
            f"{rows.upper[row]:,} needs a table of {entries[row]:,} entries",
            code="KR741",
            help="narrow the count (`within`, a tighter comprehension), or use `engine='gibbs'`",
        )
    return limits


def _clause_table(signs: NDArray[np.bool_]) -> NDArray[np.float64]:
    states = np.arange(2**signs.size)[:, None] >> np.arange(signs.size) & 1
    return (states == signs).any(axis=1).astype(np.float64)


def _column(tensor: Tensor, dtype: type) -> NDArray:
    return np.ascontiguousarray(array(tensor).astype(dtype, copy=False))
