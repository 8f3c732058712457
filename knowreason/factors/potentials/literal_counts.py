"""How many literals of a row must be true, may be, and are: bounds, and rows as lists."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, offsets_of, segment_sum
from knowreason.factors.factor_graph import OPEN
from knowreason.factors.ground_factors import GroundFactors


def remaining_interval(
    factors: GroundFactors, evidence: NDArray[np.int8]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """``lower``, ``upper`` for the literals still open, and how many those are (each ``[m]``)."""
    offsets, states = factors.row_offsets, evidence[factors.entry_atoms]
    true = segment_sum(states == factors.entry_signs, offsets)
    free = segment_sum(states == OPEN, offsets)
    lower, upper = factors.bounds()
    return lower - true, upper - true, free


def count_limit(lower: Array, upper: Array, sizes: Array) -> NDArray[np.int64]:
    """``int64[m]``: counting may stop here, all larger counts being alike."""
    return np.where(upper >= sizes, np.maximum(lower, 0), np.clip(upper + 1, 0, sizes + 1))


def shorter_counts(
    lower: Array, upper: Array, sizes: Array
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Rows (``bool[m]``) of which false literals are counted with less work; new bounds."""
    flip = count_limit(sizes - upper, sizes - lower, sizes) < count_limit(lower, upper, sizes)
    return (
        flip,
        np.where(flip, sizes - upper, lower).astype(np.int64),
        np.where(flip, sizes - lower, upper).astype(np.int64),
    )


def literal_lists(
    factors: GroundFactors,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.bool_], NDArray[np.int64],
           NDArray[np.int64], NDArray[np.bool_]]:  # fmt: skip
    """Rows as lists: offsets, atoms, signs, ``lower``, ``upper``, and which rows have a target.

    A target is the last, positive literal of its row. False literals are counted instead of
    true ones where that is less work.
    """
    begin, sizes = factors.row_offsets, np.diff(factors.row_offsets)
    flip, lower, upper = shorter_counts(*factors.bounds(), sizes)
    target = factors.targets()
    defining = target >= 0
    offsets = offsets_of(sizes + defining)
    atoms = np.empty(offsets[-1], dtype=np.int32)
    signs = np.ones(offsets[-1], dtype=np.bool_)
    place = np.arange(int(begin[-1])) + np.repeat(offsets[:-1] - begin[:-1], sizes)
    atoms[place] = factors.entry_atoms
    signs[place] = factors.entry_signs ^ np.repeat(flip, sizes)
    atoms[offsets[1:][defining] - 1] = target[defining]
    return offsets, atoms, signs, lower, upper, defining
