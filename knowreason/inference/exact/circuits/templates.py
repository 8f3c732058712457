"""Exact inference on components of one shape: a circuit, or a table of every possible state.

A table is a circuit of one layer. Which is cheaper, or whether messages that are passed among
components of all shapes at once are, is counted in states of cliques worked off.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array
from knowreason.factors.components.shapes import ComponentShape, LocalRow, Shapes, Stack
from knowreason.inference.exact.circuits.circuit_compiler import compiled, depth
from knowreason.inference.exact.circuits.circuits import Circuit, CircuitSolver, layer_of
from knowreason.inference.exact.exact_budget import ExactBudget
from knowreason.inference.exact.order_search import eliminated
from knowreason.inference.exact.partial_beliefs import Impossible

_ALWAYS = 3.0  # log2 of the states up to which a table beats everything
_COMMON = 16  # components of one shape that make a small table worth building
_SMALL = 10.0  # log2 of the states of a small one
_MOST_ATOMS = 1000  # of a component whose shape may have a circuit
_MOST_STATES = 1 << 16  # of the cliques of such a component
# costs, in the time in which a circuit works off one state of a clique (about 15 ns)
_LAYER = 8000  # of the calls that a layer makes
_ENTRY = 0.4  # of a table, whose states have no separator
_MESSAGES = 50  # of one row, where messages are passed


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


def shape_solver_candidates(shapes: Shapes, log2: NDArray[np.float64]) -> NDArray[np.bool_]:
    """``bool[c]``: components whose shape may be worth a circuit.

    Args:
        shapes: of the components.
        log2: ``float64[c]`` base-2 logarithm of their joint states.
    """
    members = shapes.members[shapes.shape]
    messages = _MESSAGES * members * shapes.row_counts
    worth = (messages > _LAYER) & (shapes.sizes <= _MOST_ATOMS)
    return worth | (log2 <= _ALWAYS) | ((members >= _COMMON) & (log2 <= _SMALL))


def too_deep(shapes: Shapes, heights: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``bool[c]``: components for which the layers of a circuit cost more than messages.

    Nothing has to be eliminated to know that: a rooted clique tree has about half as many layers
    as the longest path has factors, or more.

    Args:
        shapes: of the components.
        heights: ``int64[c]`` of the trees among them, 0 for others: as
            :func:`knowreason.inference.exact.tree_order.tree_heights` has them.
    """
    messages = _MESSAGES * shapes.members[shapes.shape] * shapes.row_counts
    return np.asarray(messages <= _LAYER * ((heights + 1) // 2))


def shape_solver(
    stack: Stack,
    log2: float,
    most_states: int,
    budget: ExactBudget,
    most_clique_states: int | None,
    device: str,
) -> CircuitSolver | None:
    """The cheapest solver of a stack; ``None`` where that passes messages.

    Args:
        stack: the components.
        log2: base-2 logarithm of their joint states.
        most_states: of a table.
        budget: of junction trees.
        most_clique_states: of a clique; ``None`` leaves that to the budget.
        device: where circuits are computed.
    """
    fits = log2 <= np.log2(most_states)
    if fits and log2 <= _ALWAYS:
        return template_solver(stack, device)
    most = _MOST_STATES if most_clique_states is None else min(_MOST_STATES, most_clique_states)
    part = eliminated(stack, budget, most)
    b, never = len(stack.components), float("inf")
    table = _LAYER + _ENTRY * b * 2.0**log2 if fits else never
    circuit, messages = never, never
    if part is not None and part.states <= _MOST_STATES:
        circuit = _LAYER * depth(part) + b * part.states
    if part is not None and not (fits and b >= _COMMON and log2 <= _SMALL):
        messages = _MESSAGES * b * len(stack.shape.rows)
    cheapest = min(table, circuit, messages)
    if cheapest == messages:
        return None
    if cheapest == table or part is None:
        return template_solver(stack, device)
    return CircuitSolver.prepare(stack, compiled(part), device)
