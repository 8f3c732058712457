"""What evidence decides further: unit propagation through hard factors, blocks and counts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, array, owners, segment_sum
from knowreason.factors.factor_graph import FALSE, OPEN, TRUE, Blocks, FactorGraph
from knowreason.factors.potentials import potential_of
from knowreason.factors.potentials.potential import Forced

_PASSES = 64  # an implication chain longer than this is left to the engines


def propagate(graph: FactorGraph) -> NDArray[np.int8]:
    """Evidence and what follows from it, ``int8[n]``.

    Hard clauses with one literal left, hard tables, blocks and counts decide atoms until
    nothing changes (or for 64 passes, which stays sound: less is decided). Where the
    evidence contradicts them, some row is violated under the result.
    """
    evidence: NDArray[np.int8] = array(graph.evidence).astype(np.int8, copy=True)
    changed = np.ones(len(evidence), dtype=bool)
    for _ in range(_PASSES):
        before = evidence.copy()
        for atoms, states in _forced(graph, evidence, changed):
            undecided = evidence[atoms] == OPEN
            evidence[atoms[undecided]] = states[undecided]
        changed = evidence != before
        if not changed.any():
            break
    return evidence


def _forced(graph: FactorGraph, evidence: Array, changed: Array) -> Iterator[Forced]:
    if graph.blocks.count:
        yield from _blocks(graph.blocks, evidence)
    for part in graph.factors:
        if part.is_hard:
            yield from potential_of(part).forced(part, evidence, changed)


def _blocks(blocks: Blocks, evidence: Array) -> Iterator[Forced]:
    offsets, atoms = array(blocks.offsets), array(blocks.atoms)
    states, owner = evidence[atoms], owners(offsets)
    taken = segment_sum(states == TRUE, offsets) > 0
    others = atoms[taken[owner] & (states == OPEN)]
    yield others, np.full(len(others), FALSE, dtype=np.int8)
    single = ~taken & ~array(blocks.at_most_one)
    single &= segment_sum(states == OPEN, offsets) == 1
    last = atoms[single[owner] & (states == OPEN)]
    yield last, np.full(len(last), TRUE, dtype=np.int8)
