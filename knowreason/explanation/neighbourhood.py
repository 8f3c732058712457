"""The part of a factor graph that matters to one atom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from knowreason.explanation.factor_index import Incidence
from knowreason.factors import FactorGraph
from knowreason.factors.components.connected import chosen_graph


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
    atoms = np.flatnonzero(keep)
    within, at_edge = incidence.within(keep), edge[atoms]
    # A marginal already holds an edge atom's own units.
    units = incidence.unit_rows(atoms[~at_edge])
    rows = [
        units[place] if part.is_unit else within[place] for place, part in enumerate(graph.factors)
    ]
    scratch = np.empty(graph.atom_count, np.int32)
    small = chosen_graph(graph, atoms, rows, within[-1], scratch)
    marginal = torch.from_numpy(log_odds[atoms]).to(small.log_odds.dtype)
    small = replace(
        small, log_odds=torch.where(torch.from_numpy(at_edge), marginal, small.log_odds)
    )
    return Neighbourhood(
        small,
        atoms,
        int(np.searchsorted(atoms, atom)),
        not at_edge.any(),
        tuple((place, chosen) for place, chosen in enumerate(rows) if len(chosen)),
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
