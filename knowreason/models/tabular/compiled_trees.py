"""Boosted trees of scikit-learn read in one compiled pass: microseconds where a call of each tree,
and a look at every loaded library for its threads, take milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.kernel_decorators import compiled

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

_READ: WeakKeyDictionary[HistGradientBoostingClassifier, CompiledTrees] = WeakKeyDictionary()


@dataclass(frozen=True)
class CompiledTrees:
    """Nodes of all trees, one after the other.

    Attributes:
        nodes: as scikit-learn has them; children and bit sets counted through all trees.
        roots: first node of each tree.
        classes: which raw score each tree adds to.
        left: categories that go left, a row of bits a split.
        known: categories that were seen, a row of bits a feature; empty where it has none.
        categories: values of each categorical column; these columns come first.
        order: columns in the order in which the trees count them.
        baseline: ``float64[K]`` raw scores before any tree.
    """

    nodes: NDArray[Any]
    roots: NDArray[np.int64]
    classes: NDArray[np.int64]
    left: NDArray[np.uint32]
    known: NDArray[np.uint32]
    categories: tuple[NDArray[np.float64], ...]
    order: NDArray[np.int64]
    baseline: NDArray[np.float64]

    @staticmethod
    def of(booster: HistGradientBoostingClassifier) -> CompiledTrees:
        """The trees of a fitted booster, read once."""
        if booster not in _READ:
            _READ[booster] = _read(booster)
        return _READ[booster]

    def raw_scores(self, matrix: NDArray[np.floating]) -> NDArray[np.float64]:
        """``float64[n, K]``, the booster's ``decision_function`` (K is 1 of two states)."""
        columns = matrix[:, self.order].astype(np.float64)
        for place, known in enumerate(self.categories):
            own = columns[:, place]
            code = np.searchsorted(known, own)
            code[code == len(known)] = 0
            there = known[code] == own if len(known) else np.zeros(len(own), bool)
            columns[:, place] = np.where(there, code, np.nan)
        scores = np.tile(self.baseline, (len(matrix), 1))
        _add(scores, columns, self.nodes, self.roots, self.classes, self.left, self.known)
        return scores


def _read(booster: HistGradientBoostingClassifier) -> CompiledTrees:
    trees = [(tree, k) for row in booster._predictors for k, tree in enumerate(row)]
    nodes, left, roots, count, sets = [], [np.zeros((0, 8), np.uint32)], [], 0, 0
    for tree, _ in trees:
        own = tree.nodes.copy()
        own["left"] += count
        own["right"] += count
        own["bitset_idx"] += sets
        nodes.append(own)
        left.append(tree.raw_left_cat_bitsets)
        roots.append(count)
        count += len(own)
        sets += len(tree.raw_left_cat_bitsets)
    bits, place_of = booster._bin_mapper.make_known_categories_bitsets()
    features = booster._bin_mapper.n_bins_non_missing_.shape[0]
    known = np.zeros((features, 8), np.uint32)
    mask, categories = booster.is_categorical_, ()
    order = np.arange(features)
    if mask is not None:
        order = np.concatenate([np.flatnonzero(mask), np.flatnonzero(~mask)])
        seen = booster._preprocessor.named_transformers_["encoder"].categories_
        categories = tuple(own[~np.isnan(own)].astype(np.float64) for own in seen)
        for feature in range(len(categories)):
            known[feature] = bits[place_of[feature]]
    return CompiledTrees(
        np.concatenate(nodes),
        np.array(roots, np.int64),
        np.array([k for _, k in trees], np.int64),
        np.concatenate(left),
        known,
        categories,
        order.astype(np.int64),
        np.asarray(booster._baseline_prediction, np.float64).ravel(),
    )


@compiled
def _add(
    scores: NDArray[np.float64],
    columns: NDArray[np.float64],
    nodes: NDArray[Any],
    roots: NDArray[np.int64],
    classes: NDArray[np.int64],
    left: NDArray[np.uint32],
    known: NDArray[np.uint32],
) -> None:
    """Add to ``scores`` the leaf of each row in each tree (``_predictor.pyx`` of scikit-learn)."""
    for row in range(columns.shape[0]):
        for tree in range(len(roots)):
            place = roots[tree]
            while nodes[place]["is_leaf"] == 0:
                node = nodes[place]
                value = columns[row, node["feature_idx"]]
                missing = np.isnan(value)
                goes_left = node["missing_go_to_left"] != 0
                if not missing and node["is_categorical"] != 0:
                    code = np.int64(value)
                    bit = np.uint32(1) << np.uint32(code % 32)
                    if left[node["bitset_idx"], code // 32] & bit:
                        goes_left = True
                    elif known[node["feature_idx"], code // 32] & bit:
                        goes_left = False
                elif not missing:
                    goes_left = value <= node["num_threshold"]
                place = np.int64(node["left"] if goes_left else node["right"])
            scores[row, classes[tree]] += nodes[place]["value"]
