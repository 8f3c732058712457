"""Which ground atom each index of a factor graph is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class AtomSpan:
    """The atoms of one predicate: indices ``start <= a < stop``.

    Attributes:
        predicate: its name.
        start, stop: range of atom indices.
        arguments: ``int32[stop - start, arity]``, ids of the things in each atom.
        functional_position: index of the functional argument, ``None`` without one.
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
    """Spans of all open predicates, one after another, then auxiliary atoms.

    Attributes:
        spans: by predicate name, in order of ``start``.
        count: number of atoms, auxiliary ones included.
    """

    spans: dict[str, AtomSpan]
    count: int

    def owner(self, atom: int) -> AtomSpan | None:
        """The span an atom lies in, ``None`` for an auxiliary atom."""
        for span in self.spans.values():
            if span.start <= atom < span.stop:
                return span
        return None
