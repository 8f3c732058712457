"""Many variants of one small graph, solved at once as components of one graph.

A variant leaves some factors out, or clamps some atoms. Asking for a hundred variants one
by one costs a hundred set-ups; as copies side by side they are one batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.errors import InferenceError
from knowreason.factors import FactorGraph
from knowreason.factors.arrays import array
from knowreason.inference import infer

FactorKey = int  # place in FactorGraph.factors
WIDTH = 18  # base-2 logarithm of the states of a clique up to which variants are exact


@dataclass(frozen=True)
class Variant:
    """What is different.

    Attributes:
        left_out: rows of factors that are not there, ``bool[rows]`` by their place in ``factors``.
        clamped: truth of atoms.
    """

    left_out: Mapping[FactorKey, NDArray[np.bool_]] = field(default_factory=dict)
    clamped: Mapping[int, int] = field(default_factory=dict)


def solve(graph: FactorGraph, variants: Sequence[Variant], seed: int = 0) -> NDArray[np.float64]:
    """Marginal log-odds of every atom in every variant, ``float64[variants, n]``.

    A variant that no world satisfies is ``nan``.

    Args:
        graph: small, conditioned.
        variants: what is different in each copy.
        seed: of the engine, where it draws.
    """
    if not variants:
        return np.zeros((0, graph.atom_count))
    try:
        # Variants are compared with each other: an engine that draws would show its noise as
        # reasons, and orders that are searched for long would be searched for in each.
        posterior = infer(side_by_side(graph, variants), seed=seed, approximate="bp", width=WIDTH)
    except InferenceError:
        if len(variants) == 1:
            return np.full((1, graph.atom_count), np.nan)
        half = len(variants) // 2
        parts = [solve(graph, variants[:half], seed), solve(graph, variants[half:], seed)]
        return np.concatenate(parts)
    return posterior.log_odds.numpy().reshape(len(variants), graph.atom_count)


def side_by_side(graph: FactorGraph, variants: Sequence[Variant]) -> FactorGraph:
    """One graph holding a copy a variant; copy ``i`` has atoms ``i * n ...``."""
    n, copies = graph.atom_count, len(variants)
    evidence = np.tile(array(graph.evidence), copies)
    for copy, variant in enumerate(variants):
        for atom, truth in variant.clamped.items():
            evidence[copy * n + atom] = truth
    which, block = _all_rows(copies, graph.blocks.count)
    blocks = graph.blocks.take(block)
    shift = np.repeat(which * n, np.diff(array(blocks.offsets)))
    moved = torch.from_numpy((array(blocks.atoms) + shift).astype(np.int32))
    return replace(
        graph,
        log_odds=graph.log_odds.repeat(copies),
        evidence=torch.from_numpy(evidence),
        factors=tuple(
            part.copied(*_present(variants, place, part.rows), n)
            for place, part in enumerate(graph.factors)
        ),
        blocks=replace(blocks, atoms=moved),
        auxiliary=None if graph.auxiliary is None else graph.auxiliary.repeat(copies),
        constant=None,
    )


def _present(
    variants: Sequence[Variant], place: int, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Copy and row of every factor that is there."""
    present = np.ones((len(variants), rows), dtype=bool)
    for copy, variant in enumerate(variants):
        mask = variant.left_out.get(place)
        if mask is not None:
            present[copy] &= ~mask
    copies, row = np.nonzero(present)
    return copies, row


def _all_rows(copies: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.repeat(np.arange(copies), rows), np.tile(np.arange(rows), copies)
