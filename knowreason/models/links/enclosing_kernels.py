"""Compiled walks for enclosing subgraphs: one row at a time, in memory that is reused."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.int32]
Longs: TypeAlias = NDArray[np.int64]
Times: TypeAlias = NDArray[np.float64]
LABELS = 32  # labels from 0 (not reached) to 31 (that far or farther)

compiled = njit(cache=True, nogil=True)


@compiled
def extract(
    neighbours: tuple[Longs, Ids, Times],
    by_id: tuple[Ids, Times, Ids],
    source: Longs,
    target: Longs,
    before: Times,
    options: Longs,
) -> tuple[Longs, Ids, Longs, Longs, Longs]:
    """Subgraphs of all rows.

    Args:
        neighbours: starts, neighbours and first times, by time within a node.
        by_id: neighbours, first times and pairs, by neighbour within a node.
        source, target, before: of each row.
        options: hops, most nodes, most neighbours, seed.

    Returns:
        Offsets into the nodes ``[b + 1]``; node, label and degree ``[k, 3]``; positions of the
        ends ``[b, 2]``; offsets into the edges ``[b + 1]``; positions of an edge's ends and its
        pair ``[e, 3]``.
    """
    start, neighbour, first = neighbours
    most = options[1]
    position = np.full(len(start) - 1, -1, np.int32)  # of a node in the row's subgraph
    offsets, edge_offsets = np.zeros(len(source) + 1, np.int64), np.zeros(len(source) + 1, np.int64)
    ends = np.full((len(source), 2), -1, np.int64)
    nodes, edges = np.empty((1024, 3), np.int32), np.empty((4096, 3), np.int64)
    for row in range(len(source)):
        u, v, at, edge_at = source[row], target[row], offsets[row], edge_offsets[row]
        offsets[row + 1], edge_offsets[row + 1] = at, edge_at
        if u < 0 or v < 0:
            continue
        nodes = _with_room(nodes, at + most)
        own, time, roots = nodes[at:], before[row], 1 if u == v else 2
        count = _collect(start, neighbour, first, u, v, time, options, own[:, 0], position)
        room = 0
        for i in range(count):
            room += start[own[i, 0] + 1] - start[own[i, 0]]
        edges = _with_room(edges, edge_at + min(room, count * (count - 1) // 2))
        edge_count = _induce(start, by_id, time, roots, own[:count, 0], position, edges[edge_at:])
        here = edges[edge_at : edge_at + edge_count]
        _label(roots, here, own[:count, 1])
        for i in range(count):
            x = own[i, 0]
            own[i, 2] = _before(first, start[x], start[x + 1], time)
            position[x] = -1
        for k in range(edge_count):
            here[k, 0] += at
            here[k, 1] += at
        ends[row, 0], ends[row, 1] = at, at + roots - 1
        offsets[row + 1], edge_offsets[row + 1] = at + count, edge_at + edge_count
    return (
        offsets,
        nodes[: offsets[-1]].copy(),
        ends,
        edge_offsets,
        edges[: edge_offsets[-1]].copy(),
    )


@compiled
def _collect(
    start: Longs,
    neighbour: Ids,
    first: Times,
    u: int,
    v: int,
    before: float,
    options: Longs,
    nodes: Ids,
    place: Ids,
) -> int:
    """Breadth first from both ends; returns the number of nodes."""
    hops, max_nodes, cap, seed = options
    nodes[0], place[u] = u, 0
    count = 1
    if v != u:
        nodes[1], place[v] = v, 1
        count = 2
    begin = 0
    for _ in range(hops):
        end = count
        for i in range(begin, end):
            x = np.int64(nodes[i])
            low = start[x]
            neighbours = _before(first, low, start[x + 1], before)
            taken = min(neighbours, cap)
            shift = _mixed(seed, u, v, int(x)) % max(neighbours, 1) if neighbours > cap else 0
            for k in range(taken):
                y = neighbour[low + (shift + k * neighbours // taken) % neighbours]
                if place[y] >= 0:  # the pair's own link leads to a node that is there
                    continue
                if count == max_nodes:
                    return count
                nodes[count], place[y] = y, count
                count += 1
        begin = end
    return count


@compiled
def _induce(
    start: Longs,
    by_id: tuple[Ids, Times, Ids],
    before: float,
    roots: int,
    nodes: Ids,
    place: Ids,
    edges: Longs,
) -> int:
    """Links among the nodes, but not that between the two ends; returns their number.

    A node with few neighbours is walked through; where there are many, each node of the
    subgraph is looked up among them.
    """
    neighbour, first, number = by_id
    count = 0
    for i in range(len(nodes)):
        low, high = start[nodes[i]], start[nodes[i] + 1]
        walk = high - low <= 8 * len(nodes)
        for k in range(high - low if walk else len(nodes)):
            if walk:
                at = low + k
                j = place[neighbour[at]]
            else:
                j = k
                at = _place(neighbour, low, high, nodes[j])
                if at == high or neighbour[at] != nodes[j]:
                    continue
            if j <= i or not first[at] < before or j < roots:
                continue
            edges[count, 0], edges[count, 1], edges[count, 2] = i, j, number[at]
            count += 1
    return count


@compiled
def _label(roots: int, edges: Longs, label: Ids) -> None:
    """Double-radius labels: distances to one end with the other taken out (SEAL, section 3.1)."""
    begin = np.zeros(len(label) + 1, np.int32)
    for k in range(len(edges)):
        begin[edges[k, 0] + 1] += 1
        begin[edges[k, 1] + 1] += 1
    begin = np.cumsum(begin).astype(np.int32)
    fill, other = begin[:-1].copy(), np.empty(2 * len(edges), np.int32)
    for k in range(len(edges)):
        i, j = edges[k, 0], edges[k, 1]
        other[fill[i]], other[fill[j]] = j, i
        fill[i] += 1
        fill[j] += 1
    from_source = _distances(begin, other, 0, roots - 1)
    from_target = _distances(begin, other, roots - 1, 0)
    for i in range(len(label)):
        x, y = from_source[i], from_target[i]
        half, odd = divmod(x + y, 2)
        label[i] = min(1 + min(x, y) + half * (half + odd - 1), LABELS - 1)
        if x < 0 or y < 0:
            label[i] = 0
        if i < roots:
            label[i] = 1


@compiled
def _distances(begin: Ids, other: Ids, root: int, without: int) -> Ids:
    """Hops from ``root``, never through ``without``; -1 where there is no way."""
    count = len(begin) - 1
    distance, queue = np.full(count, -1, np.int32), np.empty(count, np.int32)
    distance[root], queue[0] = 0, root
    head, tail = 0, 1
    while head < tail:
        i = queue[head]
        head += 1
        for k in range(begin[i], begin[i + 1]):
            j = other[k]
            if distance[j] < 0 and j != without:
                distance[j] = distance[i] + 1
                queue[tail] = j
                tail += 1
    return distance


@compiled
def _before(first: Times, low: int, high: int, time: float) -> int:
    """How many of ``first[low:high]``, ascending, lie before a time."""
    return _place(first, low, high, time) - low


@compiled
def _place(ascending: NDArray[np.generic], low: int, high: int, value: float) -> int:
    """First place of ``low`` to ``high`` with at least the value; numpy's search of a slice
    takes seconds to compile."""
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _mixed(seed: int, u: int, v: int, node: int) -> int:
    """A number from four, well mixed (the finaliser of MurmurHash3)."""
    h = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    for number in (u, v, node):
        h = (h ^ np.uint64(number)) * np.uint64(0xFF51AFD7ED558CCD)
        h ^= h >> np.uint64(33)
    return int(np.int64(h >> np.uint64(2)))


@compiled
def _with_room(table: NDArray[Any], size: int) -> NDArray[Any]:
    """The table, or one twice as long where it holds fewer rows."""
    if len(table) >= size:
        return table
    larger = np.empty((max(2 * len(table), size), table.shape[1]), table.dtype)
    for i in range(len(table)):  # as a slice it takes seconds to compile
        for j in range(table.shape[1]):
            larger[i, j] = table[i, j]
    return larger


@compiled
def counts_before(half_start: Longs, time: Times, pair: Ids, before: Times) -> Longs:
    """``int64[k, 2]``: links of each half of each pair before a time."""
    count = np.zeros((len(pair), 2), np.int64)
    for k in range(len(pair)):
        if pair[k] >= 0:
            for side in range(2):
                half = 2 * pair[k] + side
                low, high = half_start[half], half_start[half + 1]
                count[k, side] = _before(time, low, high, before[k])
    return count


@compiled
def find_pairs(start: Longs, neighbour: Ids, number: Ids, source: Longs, target: Longs) -> Ids:
    """``int32[b]``: the pair of two nodes, -1 for none."""
    pair = np.full(len(source), -1, np.int32)
    for k in range(len(source)):
        if source[k] >= 0 and target[k] >= 0:
            low, high = start[source[k]], start[source[k] + 1]
            at = _place(neighbour, low, high, target[k])
            if at < high and neighbour[at] == target[k]:
                pair[k] = number[at]
    return pair
