"""Exact inference on small components: every state of a shape, all its components at once.

A stack of components of one shape shares its table of possible states: a circuit of one layer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array
from knowreason.factors.components.shapes import ComponentShape, LocalRow, Stack
from knowreason.inference.exact.circuits import Circuit, CircuitSolver, layer_of
from knowreason.inference.exact.partial_beliefs import Impossible


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


def table_circuit(shape: ComponentShape) -> Circuit | None:
    """The circuit with every possible state in one layer; ``None`` where there is none."""
    states = possible_states(shape)
    if not states.shape[1]:
        return None
    soft = [row.of_states(states[list(row.atoms)]) for row in shape.rows if not row.is_hard]
    table = np.vstack([states.astype(np.float64), *soft])
    number = np.arange(len(table))
    first = np.zeros_like(number)
    places = np.stack([number, first, number])
    places[0, shape.atoms :] -= shape.atoms
    layer = layer_of(
        (table.shape[1],),
        1,
        number[None],
        np.ascontiguousarray(table.T)[None],
        shape.atoms,
        len(table),
        (places[:, : shape.atoms], places[:, shape.atoms :]),
    )
    return Circuit((layer,), shape.atoms, len(soft))


def template_solver(stack: Stack, device: str = "cpu") -> CircuitSolver:
    """Solves a stack by its table of states; raises :class:`Impossible` where it is empty."""
    circuit = table_circuit(stack.shape)
    if circuit is None:
        raise Impossible(int(stack.components[0]))
    return CircuitSolver.prepare(stack, circuit, device, "exact: template")
