"""A factor graph laid out for message passing: nodes of one potential, edges in one vector.

Every engine that passes messages (``bp``, ``trw``, the GCN posterior) works on this
layout. An *edge* joins one atom and one ground factor; its message, factor to atom, is
one number: Boolean log-odds. Atoms of a block keep Boolean messages; the block couples
them, so that it acts as one variable of K (or K + 1) states.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors import Blocks, FactorGraph
from knowreason.factors.arrays import Array, array, entries_of, offsets_of, owners
from knowreason.factors.canonical import canonical
from knowreason.factors.potentials import potential_of
from knowreason.factors.potentials.factor_nodes import FactorNodes
from knowreason.factors.potentials.table_nodes import MergedNodes


@dataclass(frozen=True)
class BlockLayout:
    """Blocks as numpy columns; see :class:`knowreason.factors.Blocks`."""

    offsets: NDArray[np.int64]
    atoms: NDArray[np.int32]
    at_most_one: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of blocks."""
        return len(self.offsets) - 1

    def of_atom(self, atoms: int) -> NDArray[np.int32]:
        """``int32[n]``: block of each atom, -1 for none."""
        block = np.full(atoms, -1, dtype=np.int32)
        block[self.atoms] = owners(self.offsets)
        return block


@dataclass(frozen=True)
class MessageGraph:
    """All factors of a graph as nodes; messages are one vector, nodes one after another.

    Attributes:
        atom_count: ``n``.
        nodes: those with rows.
        starts: first edge of each in the message vector.
        edge_count: length of the message vector.
        blocks: the blocks.
    """

    atom_count: int
    nodes: tuple[FactorNodes, ...]
    starts: tuple[int, ...]
    edge_count: int
    blocks: BlockLayout

    def weights(self, theta: Tensor) -> list[Tensor | None]:
        """Weights of the rows of all nodes, ``None`` of hard ones."""
        return [nodes.weights(theta) for nodes in self.nodes]

    @property
    def edge_atoms(self) -> NDArray[np.int32]:
        """``int32[edge_count]``: atom of each edge."""
        return np.concatenate([np.zeros(0, np.int32), *(nodes.atoms for nodes in self.nodes)])

    @property
    def incidence(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """All factors as one CSR: ``int64[f + 1]`` offsets and ``int32[e]`` atoms."""
        sizes = [np.zeros(0, np.int64), *(np.diff(nodes.offsets) for nodes in self.nodes)]
        return offsets_of(np.concatenate(sizes)), self.edge_atoms

    def take(self, keep: NDArray[np.bool_]) -> tuple[MessageGraph, NDArray[np.int64]]:
        """Rows whose first atom is kept, and the edges they have here (``int64``).

        ``keep`` is ``bool[n]`` and must be a union of connected components.
        """
        parts, edges = [], []
        for nodes, start in zip(self.nodes, self.starts, strict=True):
            chosen = np.flatnonzero(keep[nodes.first_atoms])
            if chosen.size:
                parts.append(nodes.take(chosen))
                edges.append(entries_of(nodes.offsets, chosen)[0] + start)
        empty = np.zeros(0, dtype=np.int64)
        smaller = assemble(self.atom_count, parts, self.blocks)
        return smaller, np.concatenate(edges) if edges else empty


def layout(graph: FactorGraph, *, merge: bool = True) -> MessageGraph:
    """Lays out a conditioned factor graph; ``theta`` is not read.

    Args:
        graph: conditioned.
        merge: in its canonical form (:mod:`knowreason.factors.canonical`); otherwise every
            row is a node of its own.
    """
    parts, merged = graph.couplings, []
    if merge:
        found = canonical(graph)
        parts = found.lone
        merged = [MergedNodes.of_merged(table) for table in found.merged]
    nodes = [one for part in parts for one in potential_of(part).nodes(part)]
    return assemble(graph.atom_count, [*nodes, *merged], block_layout(graph.blocks))


def assemble(atom_count: int, nodes: Iterable[FactorNodes], blocks: BlockLayout) -> MessageGraph:
    """Puts nodes one after another, empty ones left out."""
    kept = tuple(part for part in nodes if part.count)
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
    offsets, atoms = graph.incidence
    inside = block[atoms]
    key = (owners(offsets) * graph.blocks.count + inside)[inside >= 0]
    found, many = np.unique(key, return_counts=True)
    return int(np.unique(found[many > 1] // graph.blocks.count).size)


def _column(tensor: Tensor, dtype: type) -> Array:
    return np.ascontiguousarray(array(tensor).astype(dtype, copy=False))
