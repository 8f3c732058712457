"""Draws all variables of a plan at once: bucket elimination forward, sampling backward."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import inner
from knowreason.factors.potentials.factor_nodes import TABLE_ROW as TABLE
from knowreason.inference.gibbs.cutset_plans import CutsetPlan
from knowreason.inference.gibbs.gibbs_kernels import (
    Network,
    log_ratio,
    next_random,
    uniform,
)


class States(NamedTuple):
    """Variables as states; see :class:`knowreason.factors.components.Variables`.

    Attributes:
        first: ``int64[v + 1]`` into flat states.
        atom: ``int64[first[-1]]`` atom true in each flat state, -1 for none.
    """

    first: NDArray[np.int64]
    atom: NDArray[np.int64]


@inner
def _read_states(states: States, world: NDArray[np.int8], out: NDArray[np.int64]) -> None:
    """State of every variable in a world."""
    for v in range(states.first.shape[0] - 1):
        first, last = states.first[v], states.first[v + 1]
        out[v] = 0
        for flat in range(first, last):
            if states.atom[flat] < 0:
                out[v] = flat - first
        for flat in range(first, last):
            if states.atom[flat] >= 0 and world[states.atom[flat]]:
                out[v] = flat - first


@inner
def _forward(
    plan: CutsetPlan,
    entries: NDArray[np.float64],
    states: States,
    unary: NDArray[np.float64],
    stand: NDArray[np.int64],
    chance: NDArray[np.float64],
    messages: NDArray[np.float64],
) -> None:
    """Chances of each bucket's variable given its separator, and messages to parents.

    One loop over buckets: a call costs more than a bucket.
    """
    for b in range(plan.variable.shape[0]):
        size, at = plan.size[b], plan.entry[b]
        first = states.first[plan.variable[b]]
        own = states.first[plan.variable[b] + 1] - first
        for s in range(own):
            atom = states.atom[first + s]
            lean = unary[atom] if atom >= 0 else 0.0
            for here in range(at + s, at + size, own):
                chance[here] = lean
        for i in range(plan.input_first[b], plan.input_first[b + 1]):
            source, where = plan.source[i], plan.map_at[i]
            if source < 0:
                base = plan.message[-1 - source]
                for s in range(size):
                    chance[at + s] += messages[base + plan.maps[where + s]]
                continue
            for j in range(plan.fixed_first[i], plan.fixed_first[i + 1]):
                source += plan.fixed_stride[j] * stand[plan.fixed[j]]
            for s in range(size):
                chance[at + s] += entries[source + plan.maps[where + s]]
        _normalise(at, at + size, own, plan.message[b], chance, messages)


@inner
def _normalise(
    at: int,
    end: int,
    own: int,
    base: int,
    chance: NDArray[np.float64],
    messages: NDArray[np.float64],
) -> None:
    """Log-potentials as chances of the fastest digit; the logarithms of their sums."""
    top, m = -math.inf, base
    for here in range(at, end, own):
        if own == 2:
            odds = chance[here + 1] - chance[here]
            most = max(chance[here], chance[here + 1])
            small = math.exp(-abs(odds))
            messages[m] = most + math.log1p(small)
            large = 1.0 / (1.0 + small)
            chance[here] = small * large if odds > 0 else large
            chance[here + 1] = large if odds > 0 else small * large
        else:
            most, total = -math.inf, 0.0
            for s in range(own):
                most = max(most, chance[here + s])
            for s in range(own):
                chance[here + s] = math.exp(chance[here + s] - most)
                total += chance[here + s]
            for s in range(own):
                chance[here + s] /= total
            messages[m] = most + math.log(total)
        top = max(top, messages[m])
        m += 1
    for i in range(base, m):
        messages[i] -= top


@inner
def _turn(atom: int, net: Network) -> None:
    """Flips an atom that defines no other; nothing for -1."""
    if atom < 0:
        return
    true = net.world[atom] > 0
    net.world[atom] = not true
    for i in range(net.atom_first[atom], net.atom_first[atom + 1]):
        row, code = net.atom_edges[i].place, net.atom_edges[i].code
        if net.rows[row].kind == TABLE:
            net.rows[row].state ^= code
        else:
            net.rows[row].state += -1 if true == (code > 0) else 1


@inner
def draw_cutset(
    plan: CutsetPlan,
    entries: NDArray[np.float64],
    states: States,
    net: Network,
    odds: NDArray[np.float64],
    tell: bool,
    buffers: tuple[NDArray[np.float64], NDArray[np.float64]],
    scratch: tuple[NDArray[np.int64], NDArray[np.int64]],
    random: np.uint64,
) -> np.uint64:
    """Draws the plan's variables given all others.

    Args:
        plan: which, and how.
        entries: log-potentials of the tables.
        states: of the variables.
        net: of the chain; its world changes.
        odds: ``float64[n]``; where ``tell``, gets log-odds given the cutset alone.
        tell: whether these are wanted.
        buffers: at least as long as the plan's cliques and messages.
        scratch: ``int64[v]`` each: states before and after.
        random: generator.
    """
    chance, messages = buffers
    before, drawn = scratch
    _read_states(states, net.world, before)
    _forward(plan, entries, states, net.unary, before, chance, messages)
    for back in range(plan.variable.shape[0]):
        b = plan.variable.shape[0] - 1 - back
        v, at, size = plan.variable[b], plan.entry[b], plan.size[b]
        first = states.first[v]
        own = states.first[v + 1] - first
        m, step = 0, 1
        for j in range(plan.separator_first[b], plan.separator_first[b + 1]):
            u = plan.separator[j]
            m += step * drawn[u]
            step *= states.first[u + 1] - states.first[u]
        random = next_random(random)
        left, chosen = uniform(random), -1
        for s in range(own):
            mass = chance[at + m * own + s]
            if left >= 0.0 and mass > 0.0:
                chosen = s
                left -= mass
        drawn[v] = chosen
        if not tell:
            continue
        base, parent = plan.message[b], plan.parent[b]
        for m in range(base, plan.message[b + 1]):
            messages[m] = 0.0
        if parent >= 0:
            source, where = plan.entry[parent], plan.parent_map[b]
            for s in range(plan.size[parent]):
                messages[base + plan.maps[where + s]] += chance[source + s]
        else:
            messages[base] = 1.0
        m = base
        for here in range(at, at + size, own):
            for s in range(own):
                chance[here + s] *= messages[m]
            m += 1
        for s in range(own):
            atom = states.atom[first + s]
            if atom < 0:
                continue
            mass, others = 0.0, 0.0
            for t in range(own):
                total = 0.0
                for here in range(at + t, at + size, own):
                    total += chance[here]
                if t == s:
                    mass += total
                else:
                    others += total
            odds[atom] = log_ratio(mass, others)
    for v in plan.variable:
        if before[v] != drawn[v]:
            first = states.first[v]
            _turn(states.atom[first + before[v]], net)
            _turn(states.atom[first + drawn[v]], net)
    return random
