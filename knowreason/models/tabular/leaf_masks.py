"""What boosted trees of few leaves say of many rows, in one compiled pass.

A tree's leaves are the bits of a word. Where a row does not go left at a split, the bits of the
leaves below its left side are cleared; the lowest bit that is left is the row's leaf. Splits are
compared with a block of rows at once, so nothing is followed from node to node. Source: Lucchese et
al., "QuickScorer", SIGIR 2015. Sums are scikit-learn's own to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import compiled

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    Booster: TypeAlias = HistGradientBoostingClassifier | HistGradientBoostingRegressor

Ints: TypeAlias = NDArray[np.int32]
Bytes: TypeAlias = NDArray[np.uint8]
Words: TypeAlias = NDArray[np.uint32]
Singles: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]

LEAVES, CATEGORIES = 32, 256
BLOCK = 512  # rows that are compared at once: their columns stay in the first cache
MISSING_RIGHT, MISSING_LEFT, CATEGORY = 0, 1, 2
DE_BRUIJN = np.uint32(0x077CB531)  # times a power of two, the top five bits tell which


@dataclass(frozen=True)
class LeafMasks:
    """Fitted trees, their splits one after another.

    Attributes:
        start: ``int32[t + 1]`` splits before each tree; trees of ``k`` states take turns.
        feature, threshold, kind: of each split; rows up to the threshold go left, and those
            without a value where it is ``MISSING_LEFT``.
        mask: ``uint32[s]`` leaves that are left to rows that do not go left.
        category, goes_left: row of ``bool[c, 257]`` for a split by category: which go left, the
            last being those without a value and those never seen.
        value: ``float64[t, 32]`` of leaves, where :data:`DE_BRUIJN` tells them.
        baseline: ``float64[k]`` before the first tree.

    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> columns = np.arange(40, dtype=np.float32)[:, None]
    >>> booster = HistGradientBoostingRegressor(max_iter=3).fit(columns, columns[:, 0])
    >>> bool((LeafMasks.of(booster)(columns)[:, 0] == booster.predict(columns)).all())
    True
    """

    start: Ints
    feature: Ints
    threshold: Singles
    kind: Bytes
    mask: Words
    category: Ints
    goes_left: Bytes
    value: Doubles
    baseline: Doubles

    def __call__(self, matrix: Singles) -> Doubles:
        """``float64[n, k]``: sums of leaves before any link.

        Args:
            matrix: ``float32[n, d]``, as the trees were fitted to, NaN where missing.
        """
        columns = np.ascontiguousarray(matrix.T, np.float32)
        scores = np.repeat(self.baseline[:, None], len(matrix), axis=1)
        found = self.start, self.feature, self.threshold, self.kind, self.mask
        _add_leaves(columns, *found, self.category, self.goes_left, self.value, scores)
        return scores.T

    @staticmethod
    def of(booster: Booster) -> LeafMasks | None:
        """Of scikit-learn's trees; ``None`` where one may have more than 32 leaves."""
        if not 0 < (booster.max_leaf_nodes or 0) <= LEAVES:
            return None
        predictors = [one for of_round in booster._predictors for one in of_round]
        sizes = np.array([len(one.nodes) for one in predictors])
        first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        nodes = np.concatenate([one.nodes for one in predictors])
        mask, value = _numbered(
            first,
            nodes["left"].astype(np.int32),
            nodes["right"].astype(np.int32),
            nodes["is_leaf"].astype(np.uint8),
            nodes["value"].astype(np.float64),
        )
        splits = nodes["is_leaf"] == 0
        kind = np.where(nodes["missing_go_to_left"], MISSING_LEFT, MISSING_RIGHT)
        kind[nodes["is_categorical"] == 1] = CATEGORY
        exact = nodes["num_threshold"]
        with np.errstate(over="ignore"):
            threshold = exact.astype(np.float32)
        over = threshold > exact  # columns are float32: the next lower one divides them alike
        threshold[over] = np.nextafter(threshold[over], np.float32(-np.inf))
        tree = np.repeat(np.arange(len(sizes)), sizes)
        category, goes_left = _by_category(booster, predictors, nodes, tree)
        before = np.concatenate([[0], np.cumsum(np.bincount(tree[splits], minlength=len(sizes)))])
        return LeafMasks(
            before.astype(np.int32),
            _columns(booster)[nodes["feature_idx"][splits]].astype(np.int32),
            threshold[splits],
            kind[splits].astype(np.uint8),
            mask[splits],
            category[splits],
            goes_left,
            value,
            np.asarray(booster._baseline_prediction, np.float64).ravel(),
        )


def _columns(booster: Booster) -> NDArray[np.int64]:
    """``int64[d]``: column of the matrix that each feature of the trees is; scikit-learn puts
    categories first."""
    categorical = booster.is_categorical_
    if booster._preprocessor is None or categorical is None:
        return np.arange(booster.n_features_in_)
    return np.concatenate([np.flatnonzero(categorical), np.flatnonzero(~categorical)])


def _by_category(
    booster: Booster, predictors: list[Any], nodes: NDArray[np.void], tree: NDArray[np.int64]
) -> tuple[Ints, Bytes]:
    """Row of each node in a table of the categories that go left."""
    category = np.full(len(nodes), -1, np.int32)
    chosen = np.flatnonzero((nodes["is_categorical"] == 1) & (nodes["is_leaf"] == 0))
    goes_left = np.zeros((max(len(chosen), 1), CATEGORIES + 1), np.uint8)
    if not len(chosen):
        return category, goes_left
    known, place = booster._bin_mapper.make_known_categories_bitsets()
    codes = booster._preprocessor.named_transformers_["encoder"].categories_
    for row, number in enumerate(chosen.tolist()):
        node = nodes[number]
        category[number] = row
        left = _bits(predictors[tree[number]].raw_left_cat_bitsets[node["bitset_idx"]])
        seen = _bits(known[place[node["feature_idx"]]])
        missing = bool(node["missing_go_to_left"])
        of_code = np.where(seen, left, missing)
        values = codes[node["feature_idx"]]
        values = values[~np.isnan(values)].astype(np.int64)
        goes_left[row] = missing
        goes_left[row, values] = of_code[: len(values)]
    return category, goes_left


def _bits(words: Words) -> NDArray[np.bool_]:
    """``bool[256]``: the bits of eight words, the lowest first."""
    bits = np.asarray(words, np.uint32)[:, None] >> np.arange(32, dtype=np.uint32)
    return (bits & np.uint32(1)).astype(bool).ravel()


@compiled
def _numbered(
    first: Ints, left: Ints, right: Ints, is_leaf: Bytes, value: Doubles
) -> tuple[Words, Doubles]:
    """Masks of splits, and values of leaves numbered from left to right."""
    mask = np.zeros(len(left), np.uint32)
    values = np.zeros((len(first) - 1, 32))
    begin = np.zeros(len(left), np.int64)  # leaves before each split
    stack, above = np.empty(64, np.int64), np.empty(64, np.int64)
    for t in range(len(first) - 1):
        stack[0], above[0], top, leaves = first[t], -1, 1, 0
        while top > 0:
            top -= 1
            node, parent = stack[top], above[top]
            if parent >= 0:  # it is the right side: the left one has had its leaves
                below = (np.int64(1) << leaves) - (np.int64(1) << begin[parent])
                mask[parent] = np.uint32(~below & 0xFFFFFFFF)
            if is_leaf[node] == 1:
                bit = np.uint32(np.int64(1) << leaves)
                leaf = np.uint32(np.uint32(bit * DE_BRUIJN) >> np.uint32(27))
                values[t, leaf] = value[node]
                leaves += 1
            else:
                begin[node] = leaves
                stack[top], above[top] = first[t] + right[node], node
                stack[top + 1], above[top + 1] = first[t] + left[node], -1
                top += 2
    return mask, values


@compiled
def _add_leaves(
    columns: Singles,
    start: Ints,
    feature: Ints,
    threshold: Singles,
    kind: Bytes,
    mask: Words,
    category: Ints,
    goes_left: Bytes,
    value: Doubles,
    scores: Doubles,
) -> None:
    """Adds each tree's leaves to ``scores`` (``float64[k, n]``)."""
    alive = np.empty(BLOCK, np.uint32)
    rows = columns.shape[1]
    for low in range(0, rows, BLOCK):
        n = min(BLOCK, rows - low)
        for t in range(len(start) - 1):
            for r in range(n):
                alive[r] = np.uint32(0xFFFFFFFF)
            for s in range(start[t], start[t + 1]):
                x, edge, left = columns[feature[s], low : low + n], threshold[s], mask[s]
                if kind[s] == MISSING_RIGHT:
                    for r in range(n):
                        alive[r] = alive[r] if x[r] <= edge else alive[r] & left
                elif kind[s] == MISSING_LEFT:
                    for r in range(n):
                        alive[r] = alive[r] & left if x[r] > edge else alive[r]
                else:
                    for r in range(n):
                        inside = 0 <= x[r] < 256
                        place = int(x[r]) if inside else 256
                        if goes_left[category[s], place] == 0:
                            alive[r] &= left
            for r in range(n):
                lowest = np.uint32(alive[r] & (~alive[r] + np.uint32(1)))
                leaf = np.uint32(np.uint32(lowest * DE_BRUIJN) >> np.uint32(27))
                scores[t % len(scores), low + r] += value[t, leaf]
