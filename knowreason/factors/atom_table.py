"""Which ground atom each index of a factor graph is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OPEN, FALSE, TRUE = -1, 0, 1  # values of FactorGraph.evidence


@dataclass(frozen=True)
class AtomSpan:
    """The atoms of one predicate: indices ``start <= a < stop``.

    Attributes:
        predicate: its name.
        start, stop: range of atom indices.
        arguments: ``int32[stop - start, arity]``, ids of the things in each atom.
        functional_position: index of the functional argument, ``None`` without one.

    Example:
        >>> AtomSpan("Smokes", 2, 4, np.array([[0], [1]], np.int32)).count
        2
    """

    predicate: str
    start: int
    stop: int
    arguments: NDArray[np.int32]
    functional_position: int | None = None

    @property
    def count(self) -> int:
        """Number of atoms."""
        return self.stop - self.start


@dataclass(frozen=True)
class AtomTable:
    """Which indices are atoms of which open predicate; auxiliary atoms come last.

    Attributes:
        spans: by predicate name, in order of ``start``.
        count: number of atoms, auxiliary ones included.

    Example:
        >>> span = AtomSpan("Smokes", 0, 2, np.array([[0], [1]], np.int32))
        >>> AtomTable({"Smokes": span}, 3).owner(1).predicate
        'Smokes'
    """

    spans: dict[str, AtomSpan]
    count: int

    def owner(self, atom: int) -> AtomSpan | None:
        """The span an atom lies in, ``None`` for an auxiliary atom."""
        for span in self.spans.values():
            if span.start <= atom < span.stop:
                return span
        return None
