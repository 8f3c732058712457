"""What exact solvers of parts of a graph share: the beliefs they fill in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ComponentBeliefs:
    """Arrays over a whole graph; each solver fills in its components.

    Attributes:
        log_odds: ``float64[n]`` marginal log-odds.
        truth: ``float64[m]`` expected potential of every soft flat row.
        log_z: ``float64[c]`` log partition function of every component.
    """

    log_odds: NDArray[np.float64]
    truth: NDArray[np.float64]
    log_z: NDArray[np.float64]

    @staticmethod
    def empty(atoms: int, rows: int, components: int) -> ComponentBeliefs:
        """Zeros everywhere."""
        return ComponentBeliefs(np.zeros(atoms), np.zeros(rows), np.zeros(components))


class Impossible(Exception):
    """No world of a component satisfies its hard rows.

    Attributes:
        component: its label.
    """

    def __init__(self, component: int) -> None:
        super().__init__(component)
        self.component = component


class Solver(Protocol):
    """Serves some components of a graph, again and again at other weights."""

    @property
    def name(self) -> str:
        """Name for reports."""

    @property
    def components(self) -> NDArray[np.int64]:
        """Labels of the components served."""

    @property
    def atoms(self) -> int:
        """Number of atoms served."""

    def solve(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64], beliefs: ComponentBeliefs
    ) -> None:
        """Fills in ``beliefs`` from log-odds ``float64[n]`` and row weights ``float64[m]``."""
