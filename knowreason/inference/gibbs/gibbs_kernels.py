"""Gibbs sweeps in numba: every variable drawn given all others, in order.

Each ground factor keeps one integer a chain (true literals of a clause or count, table
index otherwise), so a conditional costs O(1) an edge. An atom under a count is flipped
with the auxiliary atoms it changes, and flipped back where the draw refuses.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import compiled, inner
from knowreason.factors.potentials.factor_nodes import CLAUSE_ROW as CLAUSE
from knowreason.factors.potentials.factor_nodes import TABLE_ROW as TABLE

HARD_WEIGHT = 1e6  # of hard rows; a chain that satisfies them never leaves

ROW = np.dtype(
    [
        ("weight", np.float64),
        ("first", np.int64),  # edge; the next row's first ends it
        ("table_at", np.int64),  # where its table starts in Network.tables
        ("state", np.int32),  # true literals, or index into the table
        ("kind", np.int32),
        ("lower", np.int32),  # of counts
        ("upper", np.int32),
        ("target", np.int32),  # of counts, -1 for none
    ],
    align=True,
)
EDGE = np.dtype(  # code: sign of a literal (1 or -1), or the bit of a table's column
    [("place", np.int32), ("code", np.int32)], align=True
)


class Network(NamedTuple):
    """Rows and atoms as one chain sees them.

    Attributes:
        rows: ``ROW[f + 1]``; the last one only ends the edges.
        tables: ``float64`` all tables, one after another.
        row_edges: ``EDGE[e]`` by row, ``place`` an atom.
        atom_first: ``int64[n + 1]``.
        atom_edges: ``EDGE[e]`` by atom, ``place`` a row.
        unary: ``float64[n]`` log-odds.
        world: ``int8[n]``.
    """

    rows: NDArray[np.void]
    tables: NDArray[np.float64]
    row_edges: NDArray[np.void]
    atom_first: NDArray[np.int64]
    atom_edges: NDArray[np.void]
    unary: NDArray[np.float64]
    world: NDArray[np.int8]


class GibbsVariables(NamedTuple):
    """What is drawn, and how.

    Attributes:
        singles: ``int32`` atoms drawn alone, under no count.
        counted_singles: ``int32`` atoms drawn alone, under a count.
        counted: ``bool[n]`` whether an atom is under a count.
        block_offsets, block_atoms, at_most_one: blocks drawn as one variable.
        set_offsets, set_atoms: atoms flipped together (hard rows hold them together).
        count_order: ``int64`` counts, inputs before the counts that use them.
        auxiliary: ``int32`` atoms that counts define.
    """

    singles: NDArray[np.int32]
    counted_singles: NDArray[np.int32]
    counted: NDArray[np.bool_]
    block_offsets: NDArray[np.int64]
    block_atoms: NDArray[np.int32]
    at_most_one: NDArray[np.bool_]
    set_offsets: NDArray[np.int64]
    set_atoms: NDArray[np.int32]
    count_order: NDArray[np.int64]
    auxiliary: NDArray[np.int32]


@inner
def next_random(state: np.uint64) -> np.uint64:
    """Advances a splitmix64 generator."""
    return state + np.uint64(0x9E3779B97F4A7C15)


@inner
def uniform(state: np.uint64) -> float:
    """The number in [0, 1) of a generator state."""
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * 1.1102230246251565e-16


@inner
def sigmoid(x: float) -> float:
    """Logistic function."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


@inner
def log_ratio(mass: float, others: float) -> float:
    """Log-odds, at most 700 in size."""
    if mass <= 0.0:
        return -700.0
    return math.log(mass / others) if others > 0.0 else 700.0


@compiled
def read_rows(net: Network, count_order: NDArray[np.int64]) -> None:
    """Sets auxiliary atoms from their counts, and every row's state from the world."""
    rows, edges, world = net.rows, net.row_edges, net.world
    for row in count_order:
        total = 0
        for i in range(rows[row].first, rows[row + 1].first):
            total += world[edges[i].place] == (edges[i].code > 0)
        if rows[row].target >= 0:
            world[rows[row].target] = rows[row].lower <= total <= rows[row].upper
    for row in range(rows.shape[0] - 1):
        total = 0
        for i in range(rows[row].first, rows[row + 1].first):
            true, code = world[edges[i].place], edges[i].code
            if rows[row].kind == TABLE:
                total += true * code
            else:
                total += true == (code > 0)
        rows[row].state = total


@inner
def flip(atom: int, net: Network) -> float:
    """Flips an atom and the auxiliary atoms that follow; the change of the log-score."""
    rows, tables, edges = net.rows, net.tables, net.atom_edges
    pending = [atom]
    gain = 0.0
    while len(pending) > 0:
        a = pending.pop()
        true = net.world[a] > 0
        gain += -net.unary[a] if true else net.unary[a]
        net.world[a] = not true
        for i in range(net.atom_first[a], net.atom_first[a + 1]):
            row, code = edges[i].place, edges[i].code
            before, at = rows[row].state, rows[row].table_at
            if rows[row].kind == TABLE:
                after = before ^ code
                gain += rows[row].weight * (tables[at + after] - tables[at + before])
            else:
                after = before - 1 if true == (code > 0) else before + 1
                if rows[row].kind == CLAUSE:
                    gain += rows[row].weight * (int(after > 0) - int(before > 0))
                else:
                    was = rows[row].lower <= before <= rows[row].upper
                    now = rows[row].lower <= after <= rows[row].upper
                    if was != now and rows[row].target >= 0:
                        pending.append(rows[row].target)
                    else:
                        gain += rows[row].weight * (int(now) - int(was))
            rows[row].state = after
    return gain


@inner
def pull(atom: int, net: Network) -> float:
    """Conditional log-odds of an atom under no count, given all others."""
    rows, tables, edges = net.rows, net.tables, net.atom_edges
    odds: float = net.unary[atom]
    true = net.world[atom] > 0
    for i in range(net.atom_first[atom], net.atom_first[atom + 1]):
        row, code = edges[i].place, edges[i].code
        now = rows[row].state
        if rows[row].kind == TABLE:
            at = rows[row].table_at
            odds += rows[row].weight * (tables[at + (now | code)] - tables[at + (now & ~code)])
        elif now == (true == (code > 0)):  # no other literal is true
            odds += rows[row].weight if code > 0 else -rows[row].weight
    return odds


@inner
def _draw_singles(
    singles: NDArray[np.int32], net: Network, chance: NDArray[np.float64], random: np.uint64
) -> np.uint64:
    """Draws atoms under no count; written out, because a call costs more than the draw."""
    rows, tables, edges, first = net.rows, net.tables, net.atom_edges, net.atom_first
    for atom in singles:
        random = next_random(random)
        odds, true = net.unary[atom], net.world[atom] > 0
        for i in range(first[atom], first[atom + 1]):
            row, code = edges[i].place, edges[i].code
            now = rows[row].state
            if rows[row].kind == TABLE:
                at = rows[row].table_at
                change = tables[at + (now | code)] - tables[at + (now & ~code)]
                odds += rows[row].weight * change
            elif now == (true == (code > 0)):  # no other literal is true
                odds += rows[row].weight if code > 0 else -rows[row].weight
        chance[atom] = odds
        wanted = uniform(random) < sigmoid(odds)
        if wanted != true:
            net.world[atom] = wanted
            for i in range(first[atom], first[atom + 1]):
                row, code = edges[i].place, edges[i].code
                if rows[row].kind == TABLE:
                    rows[row].state ^= code
                else:
                    rows[row].state += 1 if wanted == (code > 0) else -1
    return random


@inner
def sweep(
    variables: GibbsVariables, net: Network, chance: NDArray[np.float64], random: np.uint64
) -> np.uint64:
    """Draws every variable once; ``chance`` (``float64[n]``) gets conditional log-odds.

    Returns the generator's state.
    """
    random = _draw_singles(variables.singles, net, chance, random)
    for atom in variables.counted_singles:
        random = next_random(random)
        true = net.world[atom] > 0
        gain = flip(atom, net)
        chance[atom] = -gain if true else gain
        if (uniform(random) < sigmoid(chance[atom])) == true:
            flip(atom, net)
    for block in range(variables.block_offsets.shape[0] - 1):
        random = next_random(random)
        _draw_block(block, variables, net, chance, uniform(random))
    for i in range(variables.set_offsets.shape[0] - 1):
        random = next_random(random)
        gain, back = 0.0, False
        while True:
            for j in range(variables.set_offsets[i], variables.set_offsets[i + 1]):
                gain += flip(variables.set_atoms[j], net)
            if back or uniform(random) < sigmoid(gain):
                break
            back = True
    return random


@inner
def score_block(
    block: int, variables: GibbsVariables, net: Network, score: NDArray[np.float64]
) -> int:
    """Turns a block's true atom off (returned, or -1); ``score``: gain of each one alone."""
    chosen = -1
    for i in range(variables.block_offsets[block], variables.block_offsets[block + 1]):
        atom = variables.block_atoms[i]
        if net.world[atom]:
            chosen = atom
            flip(atom, net)
    for i in range(variables.block_offsets[block], variables.block_offsets[block + 1]):
        atom = variables.block_atoms[i]
        if variables.counted[atom]:
            score[atom] = flip(atom, net)
            flip(atom, net)
        else:
            score[atom] = pull(atom, net)
    return chosen


@inner
def _draw_block(
    block: int, variables: GibbsVariables, net: Network, chance: NDArray[np.float64], uniform: float
) -> None:
    """One state of a block given all else; ``chance`` gets each state's log-odds."""
    score_block(block, variables, net, chance)
    first, last = variables.block_offsets[block], variables.block_offsets[block + 1]
    top = 0.0 if variables.at_most_one[block] else -math.inf
    for i in range(first, last):
        top = max(top, chance[variables.block_atoms[i]])
    total = math.exp(-top) if variables.at_most_one[block] else 0.0
    nothing = total
    for i in range(first, last):
        total += math.exp(chance[variables.block_atoms[i]] - top)
    left = uniform * total - nothing
    chosen = -1
    for i in range(first, last):
        atom = variables.block_atoms[i]
        mass = math.exp(chance[atom] - top)
        if left >= 0.0 and mass > 0.0:
            chosen = atom
            left -= mass
        chance[atom] = log_ratio(mass, total - mass)
    if chosen >= 0:
        flip(chosen, net)
