"""Sets of variables that are drawn at once, and the order in which they are eliminated.

Given the other variables (the cutset) the set has small cliques, so it is drawn exactly by
bucket elimination: a spanning forest of variables where cliques hold two, wider sets where
they may hold more. Source: Hamze & de Freitas 2004, From fields to trees; Bidyuk & Dechter
2007, Cutset sampling for Bayesian networks, JAIR 28.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import offsets_of, owners
from knowreason.factors.kernel_decorators import compiled
from knowreason.inference.gibbs.variable_tables import VariableTables

WIDEST = 16  # variables of a clique
CANDIDATES = 4  # variables looked at before one is put into the cutset
CUTSET_SHARE = 32  # at least one in so many of those that are left, at a time


class CutsetPlan(NamedTuple):
    """Buckets in the order of elimination; the variable of a bucket is the fastest digit.

    Attributes:
        variable: ``int64[b]``.
        size: ``int64[b]`` states of its clique.
        entry: ``int64[b + 1]`` where they start in a buffer.
        message: ``int64[b + 1]`` where states of the others (its separator) start.
        separator_first, separator: CSR of these variables.
        parent: ``int64[b]`` bucket that takes the message, -1 for none.
        parent_map: ``int64[b]`` where its map starts.
        input_first: ``int64[b + 1]`` CSR of inputs.
        source: ``int64[i]`` first entry of the table, or ``-1 - bucket`` of a message.
        map_at: ``int64[i]`` where the map from clique states to entries starts.
        fixed_first: ``int64[i + 1]`` CSR of variables of the cutset.
        fixed, fixed_stride: these variables and their strides in the table.
        maps: ``int32``, all of them.
    """

    variable: NDArray[np.int64]
    size: NDArray[np.int64]
    entry: NDArray[np.int64]
    message: NDArray[np.int64]
    separator_first: NDArray[np.int64]
    separator: NDArray[np.int64]
    parent: NDArray[np.int64]
    parent_map: NDArray[np.int64]
    input_first: NDArray[np.int64]
    source: NDArray[np.int64]
    map_at: NDArray[np.int64]
    fixed_first: NDArray[np.int64]
    fixed: NDArray[np.int64]
    fixed_stride: NDArray[np.int64]
    maps: NDArray[np.int32]

    @property
    def updates(self) -> int:
        """Entries read in one draw."""
        return int(self.entry[-1]) + len(self.maps)


def cutset_plans(
    tables: VariableTables, active: NDArray[np.bool_], *, count: int, states: int, seed: int
) -> tuple[CutsetPlan, ...]:
    """Plans that put other variables into the cutset each time.

    Args:
        tables: of the graph.
        active: ``bool[v]`` variables that are drawn at all.
        count: number of plans.
        states: of the largest clique.
        seed: of the orders.
    """
    sizes = tables.variables.sizes
    owner = owners(tables.offsets)
    order = np.argsort(tables.scope, kind="stable")
    of_variable = offsets_of(np.bincount(tables.scope, minlength=len(sizes)))
    by_variable = owner[order]
    held = np.zeros(len(sizes), np.int64)
    rng = np.random.default_rng([seed, 7])
    plans = []
    for _ in range(count):
        drawable = tables.drawable & active
        eliminated, clique_first, clique, table_bucket, parent, held_now = _eliminate(
            sizes, drawable, tables.offsets, tables.scope, of_variable, by_variable,
            rng.permutation(np.flatnonzero(drawable)), held, states,
        )  # fmt: skip
        held += held_now
        plans.append(_plan(tables, eliminated, clique_first, clique, table_bucket, parent))
    return tuple(plans)


def _plan(
    tables: VariableTables,
    eliminated: NDArray[np.int64],
    clique_first: NDArray[np.int64],
    clique: NDArray[np.int64],
    table_bucket: NDArray[np.int64],
    parent: NDArray[np.int64],
) -> CutsetPlan:
    sizes = tables.variables.sizes
    buckets = len(eliminated)
    # inputs of each bucket: tables, then messages
    tabled = np.flatnonzero(table_bucket >= 0)
    passed = np.flatnonzero(parent >= 0)
    bucket = np.concatenate([table_bucket[tabled], parent[passed]])
    source = np.concatenate([tables.first[tabled], -1 - passed])
    what = np.concatenate([tabled, -1 - passed])
    order = np.argsort(bucket, kind="stable")
    bucket, source, what = bucket[order], source[order], what[order]
    input_first = offsets_of(np.bincount(bucket, minlength=buckets))
    size = np.ones(buckets, np.int64)
    if buckets:
        size = np.multiply.reduceat(sizes[clique], clique_first[:-1])
    entry = offsets_of(size)
    message = offsets_of(size // np.maximum(sizes[eliminated], 1))
    map_at = offsets_of(size[bucket])
    separator = np.ones(len(clique), np.bool_)
    separator[clique_first[:-1]] = False
    maps, fixed_first, fixed, stride = _maps(
        sizes, clique_first, clique, bucket, what, tables.offsets, tables.scope, map_at,
        np.empty(map_at[-1], np.int32),
    )  # fmt: skip
    parent_map = np.full(buckets, -1, np.int64)
    messages = np.flatnonzero(what < 0)
    parent_map[-1 - what[messages]] = map_at[messages]
    return CutsetPlan(
        eliminated, size, entry, message, offsets_of(np.diff(clique_first) - 1),
        clique[separator], parent, parent_map, input_first, source, map_at[:-1], fixed_first,
        fixed, stride, maps,
    )  # fmt: skip


@compiled
def _eliminate(
    sizes: NDArray[np.int64],
    drawable: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    scope: NDArray[np.int64],
    of_variable: NDArray[np.int64],
    by_variable: NDArray[np.int64],
    order: NDArray[np.int64],
    held: NDArray[np.int64],
    limit: int,
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
]:
    """Eliminates variables in about the order of their cliques' sizes, random among equals.

    Where every clique has more than ``limit`` states, variables with many tables that were
    not often in a cutset (``held``) go there. Returns the variables, CSR of their cliques
    (the variable first), the bucket of each table and of each message, and which variables
    are in the cutset (1).
    """
    n = sizes.shape[0]
    state = np.zeros(n, np.int8)  # 0 left, 1 eliminated, 2 stands still
    for v in range(n):
        if not drawable[v]:
            state[v] = 2
    eliminated = np.empty(order.shape[0], np.int64)
    clique = np.empty(order.shape[0] * WIDEST, np.int64)
    clique_first = np.zeros(order.shape[0] + 1, np.int64)
    table_bucket = np.full(offsets.shape[0] - 1, -1, np.int64)
    parent = np.full(order.shape[0], -1, np.int64)
    head = np.full(n, -1, np.int64)  # messages over each variable, linked
    node_message = np.empty(order.shape[0] * WIDEST, np.int64)
    node_next = np.empty(order.shape[0] * WIDEST, np.int64)
    nodes, done, left = 0, 0, order.shape[0]
    mark = np.full(n, -1, np.int64)
    members = np.empty(WIDEST, np.int64)
    cutset = np.zeros(n, np.int64)
    remaining = order.copy()
    bound, stamp = 4, 0
    while left > 0:
        progress, kept = False, 0
        for i in range(left):
            v = remaining[i]
            stamp += 1
            mark[v] = stamp
            members[0] = v
            width, states = 1, sizes[v]
            for at in range(of_variable[v], of_variable[v + 1]):
                if states > bound:
                    break
                table = by_variable[at]
                if table_bucket[table] >= 0:
                    continue
                for j in range(offsets[table], offsets[table + 1]):
                    u = scope[j]
                    if state[u] == 0 and mark[u] != stamp:
                        mark[u] = stamp
                        states = states * sizes[u] if width < WIDEST else limit + 1
                        if states > bound:
                            break
                        members[width] = u
                        width += 1
            node = head[v]
            while node >= 0 and states <= bound:
                m = node_message[node]
                node = node_next[node]
                if parent[m] >= 0:
                    continue
                for j in range(clique_first[m] + 1, clique_first[m + 1]):
                    u = clique[j]
                    if state[u] == 0 and mark[u] != stamp:
                        mark[u] = stamp
                        states = states * sizes[u] if width < WIDEST else limit + 1
                        if states > bound:
                            break
                        members[width] = u
                        width += 1
            if states > bound:
                remaining[kept] = v
                kept += 1
                continue
            progress = True
            state[v] = 1
            eliminated[done] = v
            for at in range(of_variable[v], of_variable[v + 1]):
                if table_bucket[by_variable[at]] < 0:
                    table_bucket[by_variable[at]] = done
            node = head[v]
            while node >= 0:
                if parent[node_message[node]] < 0:
                    parent[node_message[node]] = done
                node = node_next[node]
            first = clique_first[done]
            for j in range(width):
                clique[first + j] = members[j]
                if j > 0:
                    node_message[nodes] = done
                    node_next[nodes] = head[members[j]]
                    head[members[j]] = nodes
                    nodes += 1
            done += 1
            clique_first[done] = first + width
        left = kept
        if progress or left == 0:
            continue
        if bound < limit:
            bound = min(2 * bound, limit)
            continue
        for _ in range(max(1, left // CUTSET_SHARE)):
            best, score = -1, -1.0
            for _ in range(CANDIDATES):
                stamp += 1
                i = (stamp * 7919) % left
                v = remaining[i]
                worth = (of_variable[v + 1] - of_variable[v]) / (1.0 + 3.0 * held[v])
                if worth > score:
                    best, score = i, worth
            v = remaining[best]
            state[v] = 2
            cutset[v] = 1
            for i in range(best, left - 1):
                remaining[i] = remaining[i + 1]
            left -= 1
            if left == 0:
                break
    count = 0
    for b in range(done):  # a variable may have gone to the cutset after it was in a clique
        first = clique_first[b]
        clique_first[b] = count
        for j in range(first, clique_first[b + 1]):
            if state[clique[j]] == 1:
                clique[count] = clique[j]
                count += 1
    clique_first[done] = count
    return (
        eliminated[:done],
        clique_first[: done + 1],
        clique[:count],
        table_bucket,
        parent[:done],
        cutset,
    )


@compiled
def _maps(
    sizes: NDArray[np.int64],
    clique_first: NDArray[np.int64],
    clique: NDArray[np.int64],
    bucket: NDArray[np.int64],
    what: NDArray[np.int64],
    offsets: NDArray[np.int64],
    scope: NDArray[np.int64],
    map_at: NDArray[np.int64],
    maps: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each input the entry of each clique state, and the variables that stand still.

    The first variable of a clique is the fastest digit, then those of its separator.
    """
    inputs = bucket.shape[0]
    fixed_first = np.zeros(inputs + 1, np.int64)
    total = 0
    for i in range(inputs):
        if what[i] >= 0:
            total += offsets[what[i] + 1] - offsets[what[i]]
    fixed, fixed_stride = np.empty(total, np.int64), np.empty(total, np.int64)
    place = np.full(sizes.shape[0], -1, np.int64)
    stride = np.zeros(64, np.int64)
    count = 0
    for i in range(inputs):
        first, last = clique_first[bucket[i]], clique_first[bucket[i] + 1]
        for j in range(first, last):
            place[clique[j]] = j - first
            stride[j - first] = 0
        step = 1
        if what[i] >= 0:  # a table, in C order
            for j in range(offsets[what[i] + 1] - 1, offsets[what[i]] - 1, -1):
                v = scope[j]
                if place[v] >= 0:
                    stride[place[v]] = step
                else:
                    fixed[count], fixed_stride[count] = v, step
                    count += 1
                step *= sizes[v]
        else:
            child = -1 - what[i]
            for j in range(clique_first[child] + 1, clique_first[child + 1]):
                stride[place[clique[j]]] = step
                step *= sizes[clique[j]]
        fixed_first[i + 1] = count
        for s in range(map_at[i + 1] - map_at[i]):
            rest, at = s, 0
            for j in range(first, last):
                at += rest % sizes[clique[j]] * stride[j - first]
                rest //= sizes[clique[j]]
            maps[map_at[i] + s] = at
        for j in range(first, last):
            place[clique[j]] = -1
    return maps, fixed_first, fixed[:count], fixed_stride[:count]
