"""Lookups among sorted keys and their sort, compiled; :mod:`knowreason.row_keys` calls them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

DIGIT = 11  # bits of a digit of the sort: its counts stay in the first cache

Keys: TypeAlias = NDArray[np.int64]


@njit(cache=True, nogil=True)
def fill_starts(known: Keys, shift: int, starts: Keys) -> None:
    """First place of every run of equal leading bits, and of what is above it."""
    bucket = 0
    for place in range(len(known)):
        own = (known[place] - known[0]) >> shift
        while bucket <= own:
            starts[bucket] = place
            bucket += 1
    while bucket < len(starts):
        starts[bucket] = len(known)
        bucket += 1


@njit(cache=True, nogil=True)
def find_places(known: Keys, starts: Keys, shift: int, wanted: Keys, place: Keys) -> None:
    """Place of each wanted key among known ones, ``-1`` where it is not there."""
    low, high = known[0], known[-1]
    for i in range(len(wanted)):
        key = wanted[i]
        place[i] = -1
        if key < low or key > high:
            continue
        bucket = (key - low) >> shift
        left, right = starts[bucket], starts[bucket + 1]
        while left < right:
            middle = (left + right) >> 1
            if known[middle] < key:
                left = middle + 1
            else:
                right = middle
        if left < starts[bucket + 1] and known[left] == key:
            place[i] = left


@njit(cache=True, nogil=True)
def radix_order(keys: Keys, low: int, bits: int) -> NDArray[np.int32]:
    """Counting sort by one digit after another, the lowest first."""
    order, key = np.arange(len(keys)).astype(np.int32), keys - low
    order_next, key_next = np.empty_like(order), np.empty_like(key)
    for shift in range(0, bits, DIGIT):
        free = np.zeros((1 << DIGIT) + 1, np.int64)
        for i in range(len(key)):
            free[((key[i] >> shift) & ((1 << DIGIT) - 1)) + 1] += 1
        free = np.cumsum(free)
        for i in range(len(key)):
            digit = (key[i] >> shift) & ((1 << DIGIT) - 1)
            key_next[free[digit]] = key[i]
            order_next[free[digit]] = order[i]
            free[digit] += 1
        order, order_next, key, key_next = order_next, order, key_next, key
    return order
