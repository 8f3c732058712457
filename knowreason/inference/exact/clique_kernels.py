"""Messages of clique trees in numba, one component after another in one buffer.

A clique's joint table is never held: it is the sum of the operands of the clique (small
tables of its factors, messages of its children), read state by state. What is held is the
operands, so memory is that of the separators, about half of the cliques'.

Upwards all is in logs. Downwards the probability of a state is added to accumulators that
run beside the operands; those of a child's message become the child's message from above.
Probabilities below 1e-300 vanish there, which log-odds clipped to +-700 do not show.

Source: Koller & Friedman 2009, chapters 10 (sum-product) and 13 (max-product, traceback).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import compiled, inner, kernel

HARD, SOFT, ATOM = -1, 0, 1  # kinds of contributions to a table
VANISHED = -745.0  # the exponential is 0 below


class CliquePrograms(NamedTuple):
    """Clique trees of shapes, flat; a clique comes before its parent, the root last.

    Attributes:
        shape_cliques, shape_tables: ``int64[s + 1]`` cliques and tables of each shape.
        axes: ``int64[c + 1]``; first the separator's axes, then what is summed out.
        sizes: ``int64`` states of each axis.
        variables: ``int64`` local variable of each axis.
        separator: ``int64[c]`` number of the separator's axes.
        home: ``int64[c]`` joint states of what is summed out.
        above: ``int64[c]`` joint states of the separator.
        message: ``int64[c]`` where the message to the parent lies; the root's is log Z.
        adds: ``bool[c]`` whether it is added to one over the same separator that lies there.
        spare: ``int64[c]`` accumulators into which a message that shares its place is made
            again on the way down, ``-1`` for a message alone.
        operands: ``int64[c + 1]``.
        place, length: ``int64[o]`` where an operand lies and its entries.
        accumulator: ``int64[o]`` where its accumulators lie (scratch of children's messages,
            the operand's own place for tables).
        children: ``int64[o]`` number of children whose messages it is, 0 for a table.
        strides, steps: ``int64``: axis by axis, by how much the place of each operand moves
            where the axis counts one up; in ``steps`` the later axes but the last fall back
            to 0.
        step_starts: ``int64[c]``.
        tables: ``int64[t + 1]`` contributions of each table.
        table_place, table_length: ``int64[t]``.
        kind: ``int8``, which: ``int64``: a contribution's local row or atom.
        pattern: ``int64`` where its values over the table's states lie in ``values``.
        values: ``float64``.
        atom_variable, atom_digit: ``int64``: variable of each local atom, and the state in
            which it is true; those of a shape start at ``shape_atoms``.
        shape_atoms: ``int64[s + 1]``.
    """

    shape_cliques: NDArray[np.int64]
    shape_tables: NDArray[np.int64]
    axes: NDArray[np.int64]
    sizes: NDArray[np.int64]
    variables: NDArray[np.int64]
    separator: NDArray[np.int64]
    home: NDArray[np.int64]
    above: NDArray[np.int64]
    message: NDArray[np.int64]
    adds: NDArray[np.bool_]
    spare: NDArray[np.int64]
    operands: NDArray[np.int64]
    place: NDArray[np.int64]
    length: NDArray[np.int64]
    accumulator: NDArray[np.int64]
    children: NDArray[np.int64]
    strides: NDArray[np.int64]
    steps: NDArray[np.int64]
    step_starts: NDArray[np.int64]
    tables: NDArray[np.int64]
    table_place: NDArray[np.int64]
    table_length: NDArray[np.int64]
    kind: NDArray[np.int8]
    which: NDArray[np.int64]
    pattern: NDArray[np.int64]
    values: NDArray[np.float64]
    atom_variable: NDArray[np.int64]
    atom_digit: NDArray[np.int64]
    shape_atoms: NDArray[np.int64]


class CliqueComponents(NamedTuple):
    """Components whose clique trees are in :class:`CliquePrograms`.

    Attributes:
        label: ``int64[b]``.
        shape: ``int64[b]``.
        atom_starts, row_starts: ``int64[b]`` where its atoms and rows start.
        atoms: ``int64`` atom of the graph at each local number.
        rows: ``int64`` flat row at each local one.
    """

    label: NDArray[np.int64]
    shape: NDArray[np.int64]
    atom_starts: NDArray[np.int64]
    row_starts: NDArray[np.int64]
    atoms: NDArray[np.int64]
    rows: NDArray[np.int64]


class KernelBeliefs(NamedTuple):
    """What :func:`sum_product` fills in, as in :class:`.ComponentBeliefs`."""

    log_odds: NDArray[np.float64]
    truth: NDArray[np.float64]
    log_z: NDArray[np.float64]


inlined = kernel(inline="always", error_model="numpy")


@inner
def _fill(
    p: CliquePrograms, b: CliqueComponents, i: int, unary: NDArray[np.float64],
    weights: NDArray[np.float64], pool: NDArray[np.float64],
) -> None:  # fmt: skip
    """Log-potentials of the tables of component ``i``."""
    shape = b.shape[i]
    for t in range(p.shape_tables[shape], p.shape_tables[shape + 1]):
        start, length = p.table_place[t], p.table_length[t]
        pool[start : start + length] = 0.0
        for c in range(p.tables[t], p.tables[t + 1]):
            at = p.pattern[c]
            if p.kind[c] == HARD:
                for s in range(length):
                    if p.values[at + s] <= 0.0:
                        pool[start + s] = -np.inf
                continue
            if p.kind[c] == SOFT:
                weight = weights[b.rows[b.row_starts[i] + p.which[c]]]
            else:
                weight = unary[b.atoms[b.atom_starts[i] + p.which[c]]]
            for s in range(length):
                pool[start + s] += weight * p.values[at + s]


@inlined
def _advance(
    sizes: NDArray[np.int64], steps: NDArray[np.int64], digits: NDArray[np.int64],
    places: NDArray[np.int64], count: int,
) -> None:  # fmt: skip
    """Moves to the next joint state of all axes but the last; ``count`` operands follow."""
    axis = len(sizes) - 2
    while axis >= 0 and digits[axis] == sizes[axis] - 1:
        digits[axis] = 0
        axis -= 1
    if axis >= 0:
        digits[axis] += 1
        for k in range(count):
            places[k] += steps[axis * count + k]


@inner
def _send_up(
    p: CliquePrograms, c: int, pool: NDArray[np.float64], out: NDArray[np.float64], adds: bool,
    digits: NDArray[np.int64], places: NDArray[np.int64], is_max: bool,
) -> None:  # fmt: skip
    """The message of a clique to its parent, written or added: logs of sums, or maxima."""
    first, start, axis = p.operands[c], p.step_starts[c], p.axes[c]
    count, width = p.operands[c + 1] - first, p.axes[c + 1] - axis
    sizes, steps = p.sizes[axis : axis + width], p.steps[start : start + width * count]
    last = p.strides[start + (width - 1) * count : start + width * count]
    places[:count] = p.place[first : first + count]
    digits[:width] = 0
    runs = p.home[c] // sizes[width - 1]
    for above in range(p.above[c]):
        best, total = -np.inf, 0.0
        for _ in range(runs):
            for s in range(sizes[width - 1]):
                x = 0.0
                for k in range(count):
                    x += pool[places[k] + s * last[k]]
                if x > best:
                    if not is_max:
                        total = total * math.exp(best - x) + 1.0
                    best = x
                elif not is_max and x > -np.inf:
                    total += math.exp(x - best)
            _advance(sizes, steps, digits, places, count)
        if not is_max and best > -np.inf:
            best += math.log(total)
        out[above] = out[above] + best if adds else best


@inner
def _send_down(
    p: CliquePrograms, c: int, log_z: float, pool: NDArray[np.float64], sums: NDArray[np.float64],
    digits: NDArray[np.int64], places: NDArray[np.int64], shifts: NDArray[np.int64],
) -> None:  # fmt: skip
    """Messages of a clique to its children, written over theirs; sums of its tables.

    Children that share a separator get the belief in it, and take out their own message.
    """
    outside = pool[p.message[c] : p.message[c] + p.above[c]]
    if p.spare[c] >= 0:
        own = sums[p.spare[c] : p.spare[c] + p.above[c]]
        _send_up(p, c, pool, own, False, digits, places, False)
        for s in range(len(own)):
            own[s] = outside[s] - own[s] if own[s] > -np.inf else -np.inf
        outside = own
    first, start, axis = p.operands[c], p.step_starts[c], p.axes[c]
    count, width = p.operands[c + 1] - first, p.axes[c + 1] - axis
    sizes, steps = p.sizes[axis : axis + width], p.steps[start : start + width * count]
    last = p.strides[start + (width - 1) * count : start + width * count]
    digits[:width] = 0
    runs = p.home[c] // sizes[width - 1]
    for k in range(count):
        o = first + k
        places[k], shifts[k] = p.place[o], p.accumulator[o] - p.place[o]
        sums[p.accumulator[o] : p.accumulator[o] + p.length[o]] = 0.0
    for above in range(p.above[c]):
        base = outside[above] - log_z
        for _ in range(runs):
            for s in range(sizes[width - 1]):
                x = base
                for k in range(count):
                    x += pool[places[k] + s * last[k]]
                if x < VANISHED:
                    continue
                chance = math.exp(x)
                for k in range(count):
                    sums[places[k] + s * last[k] + shifts[k]] += chance
            _advance(sizes, steps, digits, places, count)
    for o in range(first, first + count):
        if p.children[o] > 0:
            for s in range(p.length[o]):
                at, chance = p.place[o] + s, sums[p.accumulator[o] + s]
                belief = -np.inf
                if chance > 0.0:
                    belief = math.log(chance) + log_z
                    if p.children[o] == 1:
                        belief -= pool[at]
                pool[at] = belief


@inner
def _read(
    p: CliquePrograms, b: CliqueComponents, i: int, sums: NDArray[np.float64],
    beliefs: KernelBeliefs,
) -> None:  # fmt: skip
    """Beliefs of component ``i`` from the probabilities of the states of its tables."""
    shape = b.shape[i]
    for t in range(p.shape_tables[shape], p.shape_tables[shape + 1]):
        start, length = p.table_place[t], p.table_length[t]
        for c in range(p.tables[t], p.tables[t + 1]):
            at, true, false = p.pattern[c], 0.0, 0.0
            for s in range(length):
                true += sums[start + s] * p.values[at + s]
                false += sums[start + s] * (1.0 - p.values[at + s])
            if p.kind[c] == SOFT:
                beliefs.truth[b.rows[b.row_starts[i] + p.which[c]]] = true
            elif p.kind[c] == ATOM:
                atom = b.atoms[b.atom_starts[i] + p.which[c]]
                beliefs.log_odds[atom] = math.log(true) - math.log(false)


@compiled
def sum_product(
    p: CliquePrograms, b: CliqueComponents, unary: NDArray[np.float64],
    weights: NDArray[np.float64], pool: NDArray[np.float64], sums: NDArray[np.float64],
    scratch: NDArray[np.int64], beliefs: KernelBeliefs,
) -> int:  # fmt: skip
    """Fills in the beliefs of all components; the label of one that is impossible, or -1.

    Args:
        p, b: the clique trees and the components.
        unary: ``float64[n]`` log-odds.
        weights: ``float64[m]`` weight of every flat row.
        pool: ``float64`` operands of the largest component.
        sums: ``float64`` accumulators of the largest component.
        scratch: ``int64[3, k]`` digits, places and shifts of the widest clique.
        beliefs: what to fill.
    """
    digits, places, shifts = scratch[0], scratch[1], scratch[2]
    for i in range(len(b.label)):
        _fill(p, b, i, unary, weights, pool)
        first, end = p.shape_cliques[b.shape[i]], p.shape_cliques[b.shape[i] + 1]
        for c in range(first, end):
            _send_up(p, c, pool, pool[p.message[c] :], p.adds[c], digits, places, False)
        log_z = pool[p.message[end - 1]]
        if log_z == -np.inf:
            return int(b.label[i])
        pool[p.message[end - 1]] = 0.0
        for c in range(end - 1, first - 1, -1):
            _send_down(p, c, log_z, pool, sums, digits, places, shifts)
        _read(p, b, i, sums, beliefs)
        beliefs.log_z[b.label[i]] = log_z
    return -1


@compiled
def max_product(
    p: CliquePrograms, b: CliqueComponents, unary: NDArray[np.float64],
    weights: NDArray[np.float64], pool: NDArray[np.float64], state: NDArray[np.int64],
    scratch: NDArray[np.int64], world: NDArray[np.int8],
) -> int:  # fmt: skip
    """The best states of all components; the label of one that is impossible, or -1.

    Of equally good states of what a clique sums out, given its separator, the first is taken.

    Args:
        p, b, unary, weights, pool, scratch: as for :func:`sum_product`.
        state: ``int64`` states of the variables of the largest component.
        world: ``int8[n]``, filled in.
    """
    digits, places = scratch[0], scratch[1]
    for i in range(len(b.label)):
        _fill(p, b, i, unary, weights, pool)
        shape = b.shape[i]
        first, end = p.shape_cliques[shape], p.shape_cliques[shape + 1]
        for c in range(first, end):
            _send_up(p, c, pool, pool[p.message[c] :], p.adds[c], digits, places, True)
        if pool[p.message[end - 1]] == -np.inf:
            return int(b.label[i])
        for c in range(end - 1, first - 1, -1):
            _decode(p, c, pool, digits, places, state)
        for local in range(p.shape_atoms[shape + 1] - p.shape_atoms[shape]):
            a = p.shape_atoms[shape] + local
            true = state[p.atom_variable[a]] == p.atom_digit[a]
            world[b.atoms[b.atom_starts[i] + local]] = 1 if true else 0
    return -1


@inner
def _decode(
    p: CliquePrograms, c: int, pool: NDArray[np.float64], digits: NDArray[np.int64],
    places: NDArray[np.int64], state: NDArray[np.int64],
) -> None:  # fmt: skip
    """The best state of what a clique sums out, given the state of its separator."""
    first, start, axis = p.operands[c], p.step_starts[c], p.axes[c]
    count, width, above = p.operands[c + 1] - first, p.axes[c + 1] - axis, p.separator[c]
    sizes, steps = p.sizes[axis : axis + width], p.steps[start : start + width * count]
    variables, strides = p.variables[axis : axis + width], p.strides[start : start + width * count]
    places[:count] = p.place[first : first + count]
    for a in range(above):
        digits[a] = state[variables[a]]
        for k in range(count):
            places[k] += digits[a] * strides[a * count + k]
    digits[above:width] = 0
    best = -np.inf
    for _ in range(p.home[c] // sizes[width - 1]):
        for s in range(sizes[width - 1]):
            x = 0.0
            for k in range(count):
                x += pool[places[k] + s * strides[(width - 1) * count + k]]
            if x > best:
                best = x
                digits[width - 1] = s
                for a in range(above, width):
                    state[variables[a]] = digits[a]
        _advance(sizes, steps, digits, places, count)
