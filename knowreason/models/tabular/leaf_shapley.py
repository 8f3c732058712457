"""Shapley values of the columns of boosted trees, read off their leaf masks.

What a tree says of a row is split against each of some background rows: a column that is not in a
coalition has the background row's value (interventional; Janzing, Minorics and Blöbaum 2020). A
leaf's share is then closed: with ``a`` columns for which only the row reaches it and ``b`` for
which only the background row does, each of the former gets ``(a - 1)! b! / (a + b)!`` of its value
and each of the latter loses ``a! (b - 1)! / (a + b)!`` (Laberge and Pequignot, "Understanding
interventional TreeSHAP", 2022). Splits by category are splits like others. The library shap
(0.51) says the same where there are none, and something else where there are some; it reads
estimators, of which a stored run keeps arrays only.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import compiled
from knowreason.models.tabular.leaf_masks import (
    CATEGORY,
    DE_BRUIJN,
    LEAVES,
    MISSING_RIGHT,
    LeafMasks,
)

Ints: TypeAlias = NDArray[np.int32]
Words: TypeAlias = NDArray[np.uint32]
Singles: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]


def shapley_values(masks: LeafMasks, rows: Singles, background: Singles) -> tuple[Doubles, Doubles]:
    """Values of the columns of some rows, and the mean score of the background.

    Args:
        masks: trees of one state: one score a row.
        rows, background: ``float32[n, d]`` and ``float32[m, d]``, as the trees were fitted to.

    Returns:
        ``float64[n, d]`` and ``float64[n]``; together they are the row's score.

    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> columns = np.random.default_rng(0).random((60, 2)).astype(np.float32)
    >>> booster = HistGradientBoostingRegressor(max_iter=3).fit(columns, columns.sum(axis=1))
    >>> masks = LeafMasks.of(booster)
    >>> values, average = shapley_values(masks, columns[:1], columns)
    >>> bool(np.isclose(values.sum() + average[0], masks(columns[:1])[0, 0]))
    True
    """
    splits = masks.start, masks.feature, masks.threshold, masks.kind, masks.category
    first, last, end = _ranges(masks.start, masks.mask)
    leaves = first, last, end
    paths, columns = _paths(masks.start, masks.feature, first, end)
    of_rows = _reached(np.ascontiguousarray(rows), *splits, masks.goes_left, *leaves, columns)
    of_others = _reached(
        np.ascontiguousarray(background), *splits, masks.goes_left, *leaves, columns
    )
    values = np.zeros((len(rows), rows.shape[1]))
    _add_values(paths, columns, masks.value, of_rows, of_others, _shares(), values)
    average = float(masks(background)[:, 0].mean())
    return values / len(background), np.full(len(rows), average)


def _shares() -> Doubles:
    """``[a, b]``: ``(a - 1)! b! / (a + b)!``."""
    log = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 2 * LEAVES + 1)))])
    shares = np.zeros((LEAVES + 1, LEAVES + 1))
    for a in range(1, LEAVES + 1):
        for b in range(LEAVES + 1):
            shares[a, b] = np.exp(log[a - 1] + log[b] - log[a + b])
    return shares


@compiled
def _ranges(start: Ints, mask: Words) -> tuple[Ints, Ints, Ints]:
    """Of each split, the leaves below it: those on its left are ``first`` to ``last``, those on
    its right ``last`` to ``end``."""
    first = np.zeros(len(mask), np.int32)
    last = np.zeros(len(mask), np.int32)
    end = np.zeros(len(mask), np.int32)
    for t in range(len(start) - 1):
        for s in range(start[t], start[t + 1]):
            low = 0
            while (mask[s] >> np.uint32(low)) & np.uint32(1):
                low += 1
            high = low
            while high < 32 and not (mask[s] >> np.uint32(high)) & np.uint32(1):
                high += 1
            first[s], last[s] = low, high
        for s in range(start[t], start[t + 1]):
            # the nearest split on whose left it stands ends where it ends
            nearest = start[t + 1] - start[t] + 1
            for other in range(start[t], start[t + 1]):
                if first[other] <= first[s] and last[s] < last[other] < nearest:
                    nearest = last[other]
            end[s] = nearest
    return first, last, end


@compiled
def _paths(start: Ints, feature: Ints, first: Ints, end: Ints) -> tuple[Words, Ints]:
    """Of each leaf, a bit for each column on the way to it, and which columns these are."""
    trees = len(start) - 1
    paths = np.zeros((trees, 32), np.uint32)
    columns = np.full((trees, 32, 32), -1, np.int32)
    for t in range(trees):
        for leaf in range(start[t + 1] - start[t] + 1):
            used = 0
            for s in range(start[t], start[t + 1]):
                if first[s] <= leaf < end[s]:
                    known = False
                    for k in range(used):
                        known |= columns[t, leaf, k] == feature[s]
                    if not known:
                        columns[t, leaf, used] = feature[s]
                        used += 1
            paths[t, leaf] = np.uint32((np.int64(1) << used) - 1)
    return paths, columns


@compiled
def _reached(
    rows: Singles,
    start: Ints,
    feature: Ints,
    threshold: Singles,
    kind: NDArray[np.uint8],
    category: Ints,
    goes_left: NDArray[np.uint8],
    first: Ints,
    last: Ints,
    end: Ints,
    columns: Ints,
) -> Words:
    """``[t, 32, n]``: for which columns on the way to a leaf each row goes that way."""
    trees = len(start) - 1
    found = np.zeros((trees, 32, len(rows)), np.uint32)
    left = np.zeros(32, np.bool_)
    for n in range(len(rows)):
        for t in range(trees):
            for s in range(start[t], start[t + 1]):
                x = rows[n, feature[s]]
                if kind[s] == CATEGORY:
                    place = int(x) if 0 <= x < 256 else 256
                    left[s - start[t]] = goes_left[category[s], place] != 0
                elif kind[s] == MISSING_RIGHT:
                    left[s - start[t]] = x <= threshold[s]
                else:
                    left[s - start[t]] = not x > threshold[s]
            for leaf in range(start[t + 1] - start[t] + 1):
                bits = np.uint32(0)
                for k in range(32):
                    column = columns[t, leaf, k]
                    if column < 0:
                        break
                    goes = True
                    for s in range(start[t], start[t + 1]):
                        if feature[s] == column and first[s] <= leaf < end[s]:
                            goes &= left[s - start[t]] == (leaf < last[s])
                    if goes:
                        bits |= np.uint32(1) << np.uint32(k)
                found[t, leaf, n] = bits
    return found


@compiled
def _add_values(
    paths: Words,
    columns: Ints,
    value: Doubles,
    of_rows: Words,
    of_others: Words,
    shares: Doubles,
    values: Doubles,
) -> None:
    """Adds to ``values`` what each column has in the leaves, summed over the background."""
    for t in range(len(paths)):
        for leaf in range(32):
            whole = paths[t, leaf]
            if whole == 0:
                continue
            bit = np.uint32(np.int64(1) << leaf)
            worth = value[t, np.uint32(np.uint32(bit * DE_BRUIJN) >> np.uint32(27))]
            for n in range(of_rows.shape[2]):
                row = of_rows[t, leaf, n]
                for m in range(of_others.shape[2]):
                    other = of_others[t, leaf, m]
                    if (row | other) != whole or row == other:
                        continue
                    mine, theirs = np.uint32(row & ~other), np.uint32(other & ~row)
                    a, b = 0, 0
                    for k in range(32):
                        a += int((mine >> np.uint32(k)) & np.uint32(1))
                        b += int((theirs >> np.uint32(k)) & np.uint32(1))
                    for k in range(32):
                        if (mine >> np.uint32(k)) & np.uint32(1):
                            values[n, columns[t, leaf, k]] += worth * shares[a, b]
                        elif (theirs >> np.uint32(k)) & np.uint32(1):
                            values[n, columns[t, leaf, k]] -= worth * shares[b, a]
