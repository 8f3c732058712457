"""Exact inference by junction trees, as wide as a budget of memory and work allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.inference.exact.clique_kernels import KernelBeliefs, max_product, sum_product
from knowreason.inference.exact.clique_layout import CliqueLayout, Eliminated
from knowreason.inference.exact.partial_beliefs import ComponentBeliefs, Impossible


@dataclass(frozen=True)
class JunctionSolver:
    """Calibrates the clique trees of some components, one component after another.

    Attributes:
        layout: of all of them.
        components: labels of the components served.
        atoms: number of atoms served.
    """

    layout: CliqueLayout
    components: NDArray[np.int64]
    atoms: int

    name = "exact: junction tree"

    @staticmethod
    def prepare(parts: Sequence[Eliminated]) -> JunctionSolver:
        """The solver of all parts (at least one)."""
        layout = CliqueLayout.of(parts)
        atoms = sum(part.stack.atoms.size for part in parts)
        return JunctionSolver(layout, layout.components.label, atoms)

    def solve(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64], beliefs: ComponentBeliefs
    ) -> None:
        """Fills in beliefs; see :class:`knowreason.inference.exact.partial_beliefs.Solver`."""
        layout = self.layout
        bad = sum_product(
            layout.programs,
            layout.components,
            unary,
            weights,
            np.empty(layout.pool),
            np.empty(layout.sums),
            np.empty((3, layout.width), np.int64),
            KernelBeliefs(beliefs.log_odds, beliefs.truth, beliefs.log_z),
        )
        if bad >= 0:
            raise Impossible(bad)

    def best(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64], world: NDArray[np.int8]
    ) -> None:
        """Fills in the most probable states of the components' atoms in ``int8[n]``.

        Raises:
            Impossible: a component has no possible world.
        """
        layout = self.layout
        bad = max_product(
            layout.programs,
            layout.components,
            unary,
            weights,
            np.empty(layout.pool),
            np.empty(layout.variables, np.int64),
            np.empty((2, layout.width), np.int64),
            world,
        )
        if bad >= 0:
            raise Impossible(bad)
