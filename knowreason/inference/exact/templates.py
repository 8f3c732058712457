"""Exact inference on small components: every state of a shape, all its components at once.

A stack of ``b`` components of one shape shares its table of possible states; energies are
two matrix products and marginals one, in log space relative to the best state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowreason.factors.arrays import Array
from knowreason.factors.components.shapes import ComponentShape, LocalRow, Stack
from knowreason.inference.exact.partial_beliefs import ComponentBeliefs, Impossible

_CHUNK_ENTRIES = 1 << 18  # energies held at once
_CHUNK_ENTRIES_GPU = 1 << 26
_GPU_ENTRIES = 1 << 20  # energies of a stack from which a GPU is worth the trip


def possible_states(shape: ComponentShape) -> NDArray[np.bool_]:
    """``bool[a, s]``: truth of every atom in each state that blocks and hard rows allow."""
    waiting = [row for row in shape.rows if row.target >= 0]
    atoms = _enumerate(shape)
    while waiting:
        ready = [row for row in waiting if all(atoms[a] is not None for a in row.atoms)]
        if not ready:
            # definitions in a circle: one target is enumerated and then checked
            free = next(row.target for row in waiting if atoms[row.target] is None)
            width = next(len(a) for a in atoms if a is not None)
            atoms = [None if a is None else np.tile(a, 2) for a in atoms]
            atoms[free] = np.repeat([False, True], width)
            continue
        for row in ready:
            atoms = _define(atoms, row)
            waiting.remove(row)
    states = np.stack([a for a in atoms if a is not None])
    for row in shape.rows:
        if row.is_hard and row.target < 0:
            states = states[:, row.of_states(states[list(row.atoms)]) > 0]
    return states


def _enumerate(shape: ComponentShape) -> list[Array | None]:
    """States of the free atoms and blocks; ``None`` for atoms that rows define."""
    blocked = {atom for members, _ in shape.blocks for atom in members}
    defined = {row.target for row in shape.rows} - blocked
    free = [a for a in range(shape.atoms) if a not in blocked and a not in defined]
    sizes = [2] * len(free) + [len(members) + more for members, more in shape.blocks]
    index = np.arange(int(np.prod(sizes, dtype=np.int64)))
    atoms: list[Array | None] = [None] * shape.atoms
    for variable, size in enumerate(sizes):
        digit = index % size
        index = index // size
        if variable < len(free):
            atoms[free[variable]] = digit == 1
        else:
            for j, atom in enumerate(shape.blocks[variable - len(free)][0]):
                atoms[atom] = digit == j
    return atoms


def _define(atoms: list[Array | None], row: LocalRow) -> list[Array | None]:
    """Sets the target of a row whose other atoms are known, or keeps the states where it holds."""
    known = [found for found in (atoms[a] for a in row.atoms) if found is not None]
    found = row.of_states(np.stack(known)) > 0
    target = atoms[row.target]
    if target is None:
        atoms[row.target] = found
        return atoms
    good = found == target
    return [None if a is None else a[good] for a in atoms]


@dataclass(frozen=True)
class TemplateSolver:
    """Solves a stack by its table of states.

    Attributes:
        stack: the components.
        table: ``float64[a + r, s]``: truth of atoms, then of soft rows, in each state.
        soft: ``int64[r]`` positions of the soft rows in ``stack.rows``.
        hard: positions of the hard ones.
        device: where the products are computed.
    """

    stack: Stack
    table: Tensor
    soft: NDArray[np.int64]
    hard: NDArray[np.int64]
    device: torch.device

    name = "exact: template"

    @staticmethod
    def prepare(stack: Stack, device: str = "cpu") -> TemplateSolver:
        """Builds the table of states; raises :class:`Impossible` where it is empty.

        Device ``auto`` is the GPU where there is one and the stack is worth the trip.
        """
        states = possible_states(stack.shape)
        if not states.shape[1]:
            raise Impossible(int(stack.components[0]))
        rows = stack.shape.rows
        is_hard = np.array([row.is_hard for row in rows], dtype=bool)
        soft = [row.of_states(states[list(row.atoms)]) for row in rows if not row.is_hard]
        table = torch.from_numpy(np.vstack([states.astype(np.float64), *soft]))
        if device == "auto":
            worth = len(stack.components) * states.shape[1] >= _GPU_ENTRIES
            device = "cuda" if worth and torch.cuda.is_available() else "cpu"
        return TemplateSolver(
            stack,
            table.to(device),
            np.flatnonzero(~is_hard),
            np.flatnonzero(is_hard),
            torch.device(device),
        )

    @property
    def components(self) -> NDArray[np.int64]:
        """Labels of the components served."""
        return self.stack.components

    @property
    def atoms(self) -> int:
        """Number of atoms served."""
        return self.stack.atoms.size

    def solve(
        self, unary: NDArray[np.float64], weights: NDArray[np.float64], beliefs: ComponentBeliefs
    ) -> None:
        """Fills in beliefs of the stack's components.

        Args:
            unary: ``float64[n]`` log-odds of every atom of the graph.
            weights: ``float64[m]`` weight of every flat row.
            beliefs: what to fill.
        """
        for part in self.parts():
            self._solve_part(part, unary, weights, beliefs)

    def parts(self, copies: int = 1) -> Iterator[slice]:
        """Slices of the stack whose energies, times ``copies``, are held at once."""
        most = _CHUNK_ENTRIES if self.device.type == "cpu" else _CHUNK_ENTRIES_GPU
        step = max(1, most // (self.table.shape[1] * copies))
        for start in range(0, len(self.stack.components), step):
            yield slice(start, start + step)

    def energies(
        self, part: slice, unary: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> Tensor:
        """``float64[b, s]`` log-score of every state of some of the components."""
        atoms, soft = self.stack.atoms[part], self.stack.rows[part][:, self.soft]
        inputs = torch.from_numpy(np.concatenate([unary[atoms], weights[soft]], axis=1))
        return inputs.to(self.device) @ self.table

    def _solve_part(
        self, part: slice, unary: Array, weights: Array, beliefs: ComponentBeliefs
    ) -> None:
        atoms, rows = self.stack.atoms[part], self.stack.rows[part]
        a = self.stack.shape.atoms
        energy = self.energies(part, unary, weights)
        best = energy.amax(1, keepdim=True)
        share = (energy - best).exp()
        total = share.sum(1)
        sums = share @ self.table.T
        false = share @ (1 - self.table[:a]).T
        beliefs.log_odds[atoms] = (sums[:, :a].log() - false.log()).cpu().numpy()
        beliefs.truth[rows[:, self.soft]] = (sums[:, a:] / total[:, None]).cpu().numpy()
        beliefs.truth[rows[:, self.hard]] = 1.0
        beliefs.log_z[self.stack.components[part]] = (best[:, 0] + total.log()).cpu().numpy()
