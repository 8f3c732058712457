"""The log partition function of many components and its gradient, at many ``theta``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from knowreason.factors import FactorGraph
from knowreason.factors.arrays import Array, array
from knowreason.factors.components.connected import components, subgraph
from knowreason.factors.components.shapes import Shapes
from knowreason.factors.condition import condition
from knowreason.inference.exact.exact import Prepared, prepare
from knowreason.process_group import member, summed

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class LogPartition:
    """``log Z`` and the expected features at any ``theta``; equal components are solved once.

    Where several processes train together, each solves its share of the distinct components, and
    a call returns the sum in all of them.

    Attributes:
        prepared: exact inference on one component of each distribution of this process.
        features: sparse ``float64[n + m, p]``: what parameters add to the log-odds of atoms and
            to the weights of rows.
        log_odds: ``float64[n]``, fixed.
        copies: ``float64[c]``, how many components each one stands for.
        totals: sparse ``float64[p, n + m]``, transposed features times copies.
        constants: ``float64[p]`` features of decided groundings.
        offset: log-score of decided atoms.
    """

    prepared: Prepared
    features: csr_matrix
    log_odds: Vector
    copies: Vector
    totals: csr_matrix
    constants: Vector
    offset: float

    @staticmethod
    def of(graph: FactorGraph) -> LogPartition:
        """Works out everything that does not depend on ``theta``.

        Args:
            graph: of components that exact inference serves (see ``labelled_components.split``).

        Raises:
            InferenceError: no possible world (KR702, KR703).
        """
        folded = condition(graph)
        distinct, copies_of_atom = _distinct(folded)
        # seconds: what `split` found tractable is served, however much there is
        prepared = prepare(distinct, exact_seconds=math.inf)
        first = member()[0] == 0  # counts what is decided
        component = array(prepared.component)
        copies = np.zeros(prepared.component_count)
        copies[component] = copies_of_atom
        features, copies_of_row = _features(prepared, copies_of_atom)
        return LogPartition(
            prepared,
            features,
            array(prepared.graph.log_odds).astype(np.float64),
            copies,
            features.multiply(copies_of_row[:, None]).T.tocsr(),
            array(folded.constants).astype(np.float64) * first,
            folded.offset * first,
        )

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """``log Z`` and its gradient, ``float64[p]``, at ``float64[p]``."""
        n = len(self.log_odds)
        inputs = self.features @ theta
        beliefs, _ = self.prepared.beliefs(inputs[:n] + self.log_odds, inputs[n:])
        truth = np.concatenate([0.5 * (1 + np.tanh(0.5 * beliefs.log_odds)), beliefs.truth])
        value = self.copies @ beliefs.log_z + self.constants @ theta + self.offset
        total = summed(np.append(self.totals @ truth + self.constants, value))
        return float(total[-1]), total[:-1]


def _distinct(graph: FactorGraph) -> tuple[FactorGraph, NDArray[np.int64]]:
    """One component of each distribution of which this process has its share, and for each atom
    how many components are like its."""
    labels, count = components(graph)
    distribution = Shapes(graph, labels, count).distributions()
    _, first, copies = np.unique(distribution, return_index=True, return_counts=True)
    chosen = np.zeros(count + 1, dtype=np.int64)
    rank, processes = member()
    chosen[first[rank::processes]] = copies[rank::processes]  # the last: of decided atoms
    graph, atoms = subgraph(graph, chosen[labels] > 0)
    return graph, chosen[labels[atoms]]


def _features(
    prepared: Prepared, copies: NDArray[np.int64]
) -> tuple[csr_matrix, NDArray[np.int64]]:
    """Features of atoms and rows, and copies of each."""
    graph, rows = prepared.graph, prepared.rows
    n, soft = graph.atom_count, np.flatnonzero(rows.parameter >= 0)
    index = [unit.entry_atoms for unit in graph.units] + [n + soft]
    parameter = [unit.parameters() for unit in graph.units] + [rows.parameter[soft]]
    value = [unit.values() for unit in graph.units] + [rows.value[soft]]
    entries = (np.concatenate(index), np.concatenate(parameter))
    shape = (n + len(rows.value), graph.parameter_count)
    heads: list[Array] = [np.arange(n), *(part.first_atoms() for part in graph.couplings)]
    return csr_matrix((np.concatenate(value), entries), shape), copies[np.concatenate(heads)]
