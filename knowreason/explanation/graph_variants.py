"""Many variants of one small graph, solved at once as components of one graph.

A variant leaves some factors out, or clamps some atoms. Asking for a hundred variants one
by one costs a hundred set-ups; as copies side by side they are one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.errors import InferenceError
from knowreason.explanation.neighbourhood import Neighbourhood
from knowreason.factors import FactorGraph, GroundFactors
from knowreason.factors.arrays import array, offsets_of
from knowreason.factors.factor_graph import Blocks
from knowreason.inference import infer

T = TypeVar("T")
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


@dataclass(frozen=True)
class Question(Generic[T]):
    """What has to be solved, and what it says.

    Attributes:
        variants: of the graph.
        answer: from ``float64[variants]``, the log-odds of the atom in each (``nan`` where
            no world satisfies the hard rules).
    """

    variants: tuple[Variant, ...]
    answer: Callable[[NDArray[np.float64]], T]


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


def solve_each(
    asked: Sequence[tuple[Neighbourhood, Sequence[Variant]]], seed: int = 0
) -> list[NDArray[np.float64]]:
    """:func:`solve` of each neighbourhood of one graph and its variants, all in one batch."""
    copies = [side_by_side(near.graph, variants) for near, variants in asked if variants]
    places = [[place for place, _ in near.rows] for near, variants in asked if variants]
    if len(copies) > 1:
        with suppress(InferenceError):  # each by itself, then
            posterior = infer(_joined(copies, places), seed=seed, approximate="bp", width=WIDTH)
            ends = np.cumsum([len(v) * near.graph.atom_count for near, v in asked])[:-1]
            parts = np.split(posterior.log_odds.numpy(), ends)
            return [
                part.reshape(len(variants), near.graph.atom_count)
                for part, (near, variants) in zip(parts, asked, strict=True)
            ]
    return [solve(near.graph, variants, seed) for near, variants in asked]


def _joined(graphs: Sequence[FactorGraph], places: Sequence[Sequence[int]]) -> FactorGraph:
    """One graph of several; ``places`` say which of their factors are of one kind."""
    start = 0
    factors: dict[int, list[GroundFactors]] = {}
    atoms = []
    for graph, own in zip(graphs, places, strict=True):
        number = np.arange(start, start + graph.atom_count, dtype=np.int32)
        for place, part in zip(own, graph.factors, strict=True):
            factors.setdefault(place, []).append(part.renumbered(number))
        atoms.append(graph.blocks.renumbered(number).atoms)
        start += graph.atom_count
    first = graphs[0]
    sizes = np.concatenate([np.diff(array(graph.blocks.offsets)) for graph in graphs])
    most = torch.cat([graph.blocks.at_most_one for graph in graphs])
    return replace(
        first,
        log_odds=torch.cat([graph.log_odds for graph in graphs]),
        evidence=torch.cat([graph.evidence for graph in graphs]),
        factors=tuple(GroundFactors.joined(factors[place]) for place in sorted(factors)),
        blocks=Blocks(torch.from_numpy(offsets_of(sizes)), torch.cat(atoms), most),
        auxiliary=None
        if first.auxiliary is None
        else torch.cat([g.auxiliary for g in graphs if g.auxiliary is not None]),
    )


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
