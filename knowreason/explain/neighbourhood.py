"""The part of a factor graph that matters to one atom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.factors import Blocks, ClauseList, CountGroup, FactorGraph, FactorGroup, UnitGroup
from knowreason.factors.arrays import array, choose_parameter, choose_value, entries_of, owners
from knowreason.factors.components import subgraph


@dataclass(frozen=True)
class Neighbourhood:
    """An atom's component, or its surroundings where the component is large.

    Attributes:
        graph: over the atoms kept, renumbered; atoms at the edge hold their marginals as
            log-odds.
        atoms: ``int64[m]``: which atom of the whole graph each is.
        centre: the atom's number within.
        whole: whether it is the whole component.
        rows: per group of ``graph.groups``, ``int64`` rows of the whole graph's groups
            ``(index of the group, row)``.
    """

    graph: FactorGraph
    atoms: NDArray[np.int64]
    centre: int
    whole: bool
    rows: tuple[tuple[int, NDArray[np.int64]], ...]


def neighbourhood(
    graph: FactorGraph, atom: int, log_odds: NDArray[np.float64], limit: int = 400
) -> Neighbourhood:
    """Grow hop by hop until the component is whole or ``limit`` atoms are reached.

    Args:
        graph: conditioned.
        atom: centre.
        log_odds: ``float64[n]`` marginals, what atoms at the edge are given.
        limit: most atoms; the first hop is always taken.
    """
    keep = np.zeros(graph.atom_count, dtype=bool)
    keep[atom] = True
    inner, whole = keep, False
    for hop in range(graph.atom_count):
        grown = _grown(graph, keep)
        if grown.sum() == keep.sum():
            whole = True
            break
        if hop > 0 and grown.sum() > limit:
            break
        inner, keep = keep, grown
    rows: list[tuple[int, NDArray[np.int64]]] = []
    cut = _within(graph, keep, rows)
    edge = keep & ~inner if not whole else np.zeros_like(keep)
    marginal = torch.from_numpy(np.where(edge, log_odds, 0.0)).to(cut.log_odds.dtype)
    # A marginal already holds an edge atom's own units.
    cut = replace(
        cut,
        log_odds=torch.where(torch.from_numpy(edge), marginal, cut.log_odds),
        units=tuple(_without_edge(unit, edge) for unit in cut.units),
    )
    small, atoms = subgraph(cut, keep)
    return Neighbourhood(
        small, atoms, int(np.searchsorted(atoms, atom)), whole, tuple(r for r in rows if len(r[1]))
    )


def _grown(graph: FactorGraph, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    grown = keep.copy()
    for group in graph.groups:
        atoms = array(group.atoms)
        grown[atoms[keep[atoms].any(axis=1)]] = True
    lists: tuple[ClauseList | CountGroup | Blocks, ...]
    lists = (*graph.clause_lists, *graph.counts, graph.blocks)
    for part in lists:
        atoms = array(part.atoms)
        owner = owners(array(part.offsets))
        touched = np.bincount(owner, keep[atoms], minlength=len(part.offsets) - 1) > 0
        if isinstance(part, CountGroup):
            target = array(part.target)
            touched |= (target >= 0) & keep[np.maximum(target, 0)]
            grown[target[touched & (target >= 0)]] = True
        grown[atoms[touched[owner]]] = True
    return grown


def _within(
    graph: FactorGraph, keep: NDArray[np.bool_], rows: list[tuple[int, NDArray[np.int64]]]
) -> FactorGraph:
    """The graph with only the factors whose atoms are all kept."""
    groups = []
    for index, group in enumerate(graph.groups):
        chosen = np.flatnonzero(keep[array(group.atoms)].all(axis=1))
        rows.append((index, chosen))
        groups.append(_rows_of(group, chosen))
    lists = tuple(_lists_within(part, keep) for part in graph.clause_lists)
    counts = tuple(_counts_within(part, keep) for part in graph.counts)
    return replace(
        graph,
        groups=tuple(groups),
        clause_lists=lists,
        counts=counts,
        blocks=_blocks_within(graph.blocks, keep),
    )


def _rows_of(group: FactorGroup, chosen: NDArray[np.int64]) -> FactorGroup:
    index = torch.from_numpy(chosen)
    return replace(
        group,
        atoms=group.atoms[index],
        parameter=choose_parameter(group.parameter, index),
        value=choose_value(group.value, index),
    )


def _whole_rows(part: ClauseList | CountGroup | Blocks, keep: NDArray[np.bool_]) -> NDArray:
    owner = owners(array(part.offsets))
    outside = np.bincount(owner, ~keep[array(part.atoms)], minlength=len(part.offsets) - 1)
    inside = outside == 0
    if isinstance(part, CountGroup):
        target = array(part.target)
        inside &= (target < 0) | keep[np.maximum(target, 0)]
    return np.flatnonzero(inside)


def _lists_within(part: ClauseList, keep: NDArray[np.bool_]) -> ClauseList:
    rows = _whole_rows(part, keep)
    entries, offsets = entries_of(array(part.offsets), rows)
    index, chosen = torch.from_numpy(rows), torch.from_numpy(entries)
    return replace(
        part,
        offsets=torch.from_numpy(offsets),
        atoms=part.atoms[chosen],
        signs=part.signs[chosen],
        parameter=choose_parameter(part.parameter, index),
        value=choose_value(part.value, index),
    )


def _counts_within(part: CountGroup, keep: NDArray[np.bool_]) -> CountGroup:
    rows = _whole_rows(part, keep)
    entries, offsets = entries_of(array(part.offsets), rows)
    index, chosen = torch.from_numpy(rows), torch.from_numpy(entries)
    return replace(
        part,
        offsets=torch.from_numpy(offsets),
        atoms=part.atoms[chosen],
        signs=part.signs[chosen],
        lower=part.lower[index],
        upper=part.upper[index],
        target=part.target[index],
    )


def _blocks_within(blocks: Blocks, keep: NDArray[np.bool_]) -> Blocks:
    if blocks.count == 0:
        return blocks
    rows = _whole_rows(blocks, keep)
    entries, offsets = entries_of(array(blocks.offsets), rows)
    return Blocks(
        torch.from_numpy(offsets),
        blocks.atoms[torch.from_numpy(entries)],
        blocks.at_most_one[torch.from_numpy(rows)],
    )


def _without_edge(unit: UnitGroup, edge: NDArray[np.bool_]) -> UnitGroup:
    index = torch.from_numpy(np.flatnonzero(~edge[array(unit.atoms)]))
    parameter = choose_parameter(unit.parameter, index)
    assert parameter is not None
    return replace(
        unit,
        atoms=unit.atoms[index],
        parameter=parameter,
        value=choose_value(unit.value, index),
    )
