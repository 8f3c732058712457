"""Folds of whole groups, those that hold the rarer label dealt first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_FOLD = -1


@dataclass(frozen=True)
class DealtFolds:
    """Groups of rows dealt to folds.

    Attributes:
        fold: ``int32[n]`` of each row, ``-1`` for rows of a group without a label.
        count: number of folds.
        rarest: the label that fewest rows have.
        rows: how many rows have it.
        groups: how many groups hold it.
        largest: greatest share of the labelled rows that one group holds.
    """

    fold: NDArray[np.int32]
    count: int
    rarest: int
    rows: int
    groups: int
    largest: float


def dealt_folds(
    group: NDArray[np.integer], label: NDArray[np.integer], most: int, seed: int = 0
) -> DealtFolds:
    """Whole groups in folds that hold as much of every label as can be.

    Each group is known by the rarest label it holds. Groups are dealt back and forth over the
    folds, those of rare labels first and the large ones before the small.

    Args:
        group: ``int[n]``, rows of one number stay together.
        label: ``int[n]``, state of each row, ``-1`` where unknown.
        most: folds; fewer where fewer groups hold the rarest label (where only one does, or
            all labels are alike: where there are fewer labelled groups).
        seed: of the order among groups of one size.

    >>> group, label = [7, 7, 7, 8, 9, 9, 9, 9], [1, -1, 1, 1, 0, 0, 0, 0]
    >>> dealt_folds(np.array(group), np.array(label), 2).fold
    array([0, 0, 0, 1, 1, 1, 1, 1], dtype=int32)
    """
    labelled = np.flatnonzero(label >= 0)
    names, of_row = np.unique(group, return_inverse=True)
    total = np.bincount(label[labelled])
    states = np.flatnonzero(total)
    states = states[np.argsort(total[states], kind="stable")]  # rarest first
    rank = np.full(len(total), len(states))
    rank[states] = np.arange(len(states))
    known_by = np.full(len(names), len(states))
    np.minimum.at(known_by, of_row[labelled], rank[label[labelled]])
    owns = rank[label[labelled]] == known_by[of_row[labelled]]
    size = np.bincount(of_row[labelled][owns], minlength=len(names))
    with_label = np.flatnonzero(known_by < len(states))
    holders = int((known_by == 0).sum()) if len(states) else 0
    several = holders if holders > 1 and len(states) > 1 else len(with_label)
    count = max(1, min(most, several))
    shuffled = np.random.default_rng(seed).permutation(with_label)
    order = shuffled[np.lexsort((-size[shuffled], known_by[shuffled]))]
    turn = np.arange(len(order)) % (2 * count)
    fold = np.full(len(names), NO_FOLD, np.int32)
    fold[order] = np.minimum(turn, 2 * count - 1 - turn)
    return DealtFolds(
        fold[of_row],
        count,
        int(states[0]) if len(states) else NO_FOLD,
        int(total[states[0]]) if len(states) else 0,
        holders,
        float(np.bincount(of_row[labelled]).max(initial=0) / max(len(labelled), 1)),
    )
