"""The part of a factor graph that matters to one atom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.explanation.factor_index import Incidence
from knowreason.factors import FactorGraph
from knowreason.factors.components.connected import subgraph


@dataclass(frozen=True)
class Neighbourhood:
    """An atom's component, or its surroundings where the component is large.

    Attributes:
        graph: over the atoms kept, renumbered; atoms at the edge hold their marginals as
            log-odds.
        atoms: ``int64[m]``: which atom of the whole graph each is.
        centre: the atom's number within.
        whole: whether it is the whole component.
        rows: for each of ``graph.factors``, its place among the whole graph's factors and
            ``int64`` rows there.
    """

    graph: FactorGraph
    atoms: NDArray[np.int64]
    centre: int
    whole: bool
    rows: tuple[tuple[int, NDArray[np.int64]], ...]


def neighbourhood(
    graph: FactorGraph,
    incidence: Incidence,
    atom: int,
    log_odds: NDArray[np.float64],
    limit: int = 400,
) -> Neighbourhood:
    """Grow hop by hop until the component is whole or ``limit`` atoms are reached.

    Args:
        graph: conditioned.
        incidence: of that graph.
        atom: centre.
        log_odds: ``float64[n]`` marginals, what atoms at the edge are given.
        limit: most atoms; the first hop is always taken.
    """
    keep, edge = _reach(incidence, atom, limit)
    rows = incidence.within(keep)
    cut = _within(graph, rows)
    marginal = torch.from_numpy(np.where(edge, log_odds, 0.0)).to(cut.log_odds.dtype)
    # A marginal already holds an edge atom's own units.
    cut = replace(
        cut,
        log_odds=torch.where(torch.from_numpy(edge), marginal, cut.log_odds),
        factors=tuple(
            part.take(np.flatnonzero(~edge[part.entry_atoms])) if part.is_unit else part
            for part in cut.factors
        ),
    )
    small, atoms = subgraph(cut, keep)
    own = keep & ~edge
    held = [
        (place, np.flatnonzero(own[part.entry_atoms]) if part.is_unit else chosen)
        for place, (part, chosen) in enumerate(zip(graph.factors, rows, strict=False))
    ]
    return Neighbourhood(
        small,
        atoms,
        int(np.searchsorted(atoms, atom)),
        not edge.any(),
        tuple((place, chosen) for place, chosen in held if len(chosen)),
    )


def _reach(
    incidence: Incidence, atom: int, limit: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """``bool[n]`` atoms that are kept, and those of them whose factors were not all followed."""
    keep = np.zeros(incidence.factors_of.shape[0], dtype=bool)
    keep[atom] = True
    frontier = np.array([atom], dtype=np.int64)
    first = True
    while True:
        reached = incidence.held_by(incidence.touching(frontier))
        new = reached[~keep[reached]]
        if not len(new):
            frontier = new
            break
        if not first and keep.sum() + len(new) > limit:
            break
        keep[new] = True
        frontier, first = new, False
    edge = np.zeros_like(keep)
    edge[frontier] = True
    return keep, edge


def _within(graph: FactorGraph, rows: list[NDArray[np.int64]]) -> FactorGraph:
    """The graph with only these rows of its parts, and all units."""
    return replace(
        graph,
        factors=tuple(
            part if part.is_unit else part.take(chosen)
            for part, chosen in zip(graph.factors, rows, strict=False)
        ),
        blocks=graph.blocks.take(rows[-1]),
    )
