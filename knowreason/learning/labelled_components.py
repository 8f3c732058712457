"""The components that labels speak of, split by how their likelihood is computed.

A component without labels has the same partition function clamped and free, so it cancels
and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from knowreason.factors import OPEN, FactorGraph
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import prepare
from knowreason.learning.problem import Problem, clamped_evidence
from knowreason.learning.sites import factor_rows


@dataclass(frozen=True)
class Labelled:
    """Some components, free and with their labels.

    Attributes:
        graph: the components under atom numbers of their own, labels open.
        atoms: ``int64[m]``, number of each atom in the whole graph.
        evidence: ``int8[m]``: labels where known.
        component: ``int64[m]``, component of each atom, numbered from 0.
    """

    graph: FactorGraph
    atoms: NDArray[np.int64]
    evidence: NDArray[np.int8]
    component: NDArray[np.int64]

    @property
    def clamped(self) -> FactorGraph:
        """The components with labels as evidence."""
        return self.graph.with_evidence(torch.from_numpy(self.evidence))

    @property
    def count(self) -> int:
        """Number of components."""
        return int(self.component.max(initial=-1)) + 1

    def parameters(self) -> NDArray[np.bool_]:
        """``bool[p]``: parameters that have a ground factor in these components."""
        named = np.zeros(self.graph.parameter_count + 1, dtype=np.bool_)  # the last: fixed log-odds
        for rows in factor_rows(self.graph):
            named[rows.parameter[rows.soft]] = True
        return named[:-1]

    def together(self) -> csr_matrix:
        """Sparse ``[p, p]``: parameters that stand in one component."""
        shape = (max(self.count, 1), self.graph.parameter_count)
        found = csr_matrix(shape)
        for part in self.graph.factors:
            if not part.is_hard and part.rows:
                places = (self.component[part.first_atoms()], part.parameters())
                found += csr_matrix((np.ones(part.rows), places), shape)
        return (found.T @ found).tocsr()

    def keep(self, atoms: NDArray[np.bool_]) -> Labelled:
        """Only the components whose atoms are kept (``bool[m]``)."""
        graph, numbers = subgraph(self.graph, atoms)
        component = np.unique(self.component[atoms], return_inverse=True)[1]
        return Labelled(
            graph, self.atoms[numbers], self.evidence[atoms], component.astype(np.int64)
        )


def labelled_components(problem: Problem) -> Labelled:
    """The components that hold a label; empty without labels."""
    return with_labels(problem.graph, clamped_evidence(problem))


def with_labels(
    graph: FactorGraph, evidence: NDArray[np.int8], component: NDArray[np.int64] | None = None
) -> Labelled:
    """The components of a graph that hold a label.

    Args:
        graph: labels are open in it.
        evidence: ``int8[n]``: labels where known.
        component: ``int64[n]``: what counts as one component; the connected ones by default.
    """
    free = condition(graph)
    is_open = free.evidence.numpy() == OPEN
    connected = np.asarray(components(free)[0]).astype(np.int64)
    labelled = is_open & (evidence != OPEN)
    keep = is_open & np.isin(connected, connected[labelled])
    chosen, atoms = subgraph(free, keep)
    of = (connected if component is None else component)[keep]
    number = np.unique(of, return_inverse=True)[1].astype(np.int64)
    return Labelled(chosen, atoms, evidence[keep], number)


@dataclass(frozen=True)
class ComponentSplit:
    """Labelled components by kind; a kind without components is ``None``."""

    tractable: Labelled | None
    large: Labelled | None


def split(labelled: Labelled, *, width: int = 18) -> ComponentSplit:
    """Separates the components exact inference can serve from the others.

    Args:
        labelled: any components.
        width: of junction trees, whose cliques have at most ``2**width`` states.
    """
    served = prepare(labelled.graph, width=width).tractable.numpy()
    return ComponentSplit(
        labelled.keep(served) if served.any() else None,
        labelled.keep(~served) if not served.all() else None,
    )
