"""Many variants of one small graph, solved at once as components of one graph.

A variant leaves some factors out, or clamps some atoms. Asking for a hundred variants one
by one costs a hundred set-ups; as copies side by side they are one batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.errors import InferenceError
from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.arrays import array, parameters_of
from knowreason.infer import infer

Rows = tuple[NDArray[np.int64], NDArray[np.int64]]  # copy and row of each factor
FactorKey = tuple[str, int]  # ("groups" | "clause_lists" | "units", place in that tuple)


@dataclass(frozen=True)
class Variant:
    """What is different.

    Attributes:
        left_out: rows of factors that are not there, ``bool[rows]`` by factor group.
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
        posterior = infer(side_by_side(graph, variants), seed=seed)
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
    where: dict[str, list[Rows]] = {
        kind: [_chosen(variants, kind, place, part.rows) for place, part in enumerate(parts)]
        for kind, parts in _factors(graph)
    }
    return replace(
        graph,
        log_odds=graph.log_odds.repeat(copies),
        evidence=torch.from_numpy(evidence),
        groups=tuple(
            replace(g, atoms=_moved(g.atoms, *rows, n), **_repeated(g, rows[1]))
            for g, rows in zip(graph.groups, where["groups"], strict=True)
        ),
        units=tuple(
            replace(u, atoms=_moved(u.atoms, *rows, n), **_repeated(u, rows[1]))
            for u, rows in zip(graph.units, where["units"], strict=True)
        ),
        clause_lists=tuple(
            replace(c, **_entries(c, *rows, n), **_repeated(c, rows[1]))
            for c, rows in zip(graph.clause_lists, where["clause_lists"], strict=True)
        ),
        counts=tuple(
            replace(
                c,
                **_entries(c, *_all_rows(copies, c.rows), n),
                lower=c.lower.repeat(copies),
                upper=c.upper.repeat(copies),
                target=_targets(c.target, copies, n),
            )
            for c in graph.counts
        ),
        blocks=replace(
            graph.blocks,
            offsets=_entries(graph.blocks, *_all_rows(copies, graph.blocks.count), n)["offsets"],
            atoms=_entries(graph.blocks, *_all_rows(copies, graph.blocks.count), n)["atoms"],
            at_most_one=graph.blocks.at_most_one.repeat(copies),
        ),
        auxiliary=None if graph.auxiliary is None else graph.auxiliary.repeat(copies),
        constant=None,
    )


def _factors(graph: FactorGraph) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    return (
        ("groups", graph.groups),
        ("clause_lists", graph.clause_lists),
        ("units", graph.units),
    )


def _chosen(
    variants: Sequence[Variant], kind: str, place: int, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Copy and row of every factor that is there."""
    present = np.ones((len(variants), rows), dtype=bool)
    for copy, variant in enumerate(variants):
        mask = variant.left_out.get((kind, place))
        if mask is not None:
            present[copy] &= ~mask
    copies, row = np.nonzero(present)
    return copies, row


def _all_rows(copies: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.repeat(np.arange(copies), rows), np.tile(np.arange(rows), copies)


def _moved(
    atoms: torch.Tensor, copy: NDArray[np.int64], row: NDArray[np.int64], n: int
) -> torch.Tensor:
    values = array(atoms)[row]
    shift = (copy * n).reshape(-1, *([1] * (values.ndim - 1)))
    return torch.from_numpy((values + shift).astype(np.int32))


def _repeated(part: Any, row: NDArray[np.int64]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(part.parameter, torch.Tensor):
        found["parameter"] = torch.from_numpy(parameters_of(part.parameter, part.rows)[row]).int()
    if part.value is not None:
        found["value"] = part.value[torch.from_numpy(row)]
    return found


def _entries(
    part: Any,
    copy: NDArray[np.int64],
    row: NDArray[np.int64],
    n: int,
) -> dict[str, Any]:
    offsets = array(part.offsets)
    lengths = np.diff(offsets)[row]
    starts = np.repeat(offsets[:-1][row] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    entry = np.arange(lengths.sum()) + starts if len(row) else np.zeros(0, dtype=np.int64)
    entry = entry.astype(np.int64)
    found = {
        "offsets": torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)),
        "atoms": _moved(part.atoms, np.repeat(copy, lengths), entry, n),
    }
    if hasattr(part, "signs"):
        found["signs"] = part.signs[torch.from_numpy(entry)]
    return found


def _targets(target: torch.Tensor, copies: int, n: int) -> torch.Tensor:
    values = np.tile(array(target), copies)
    shift = np.repeat(np.arange(copies) * n, len(target))
    return torch.from_numpy(np.where(values >= 0, values + shift, OPEN).astype(np.int32))
