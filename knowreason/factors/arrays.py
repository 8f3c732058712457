"""Tensors as numpy arrays and rows of varying length (CSR)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Array = NDArray[Any]


def array(tensor: Tensor) -> Array:
    """The tensor's values as a numpy array; shares memory on the CPU."""
    if tensor.is_cpu and not tensor.requires_grad:
        return tensor.numpy()  # a third of the time of what follows
    return tensor.detach().cpu().numpy()


def tensor(values: Array, dtype: torch.dtype) -> Tensor:
    """A tensor of the values, contiguous."""
    import torch  # seconds to import: whoever counts or plans holds no tensors

    return torch.as_tensor(np.ascontiguousarray(values)).to(dtype)


def owners(offsets: Array) -> NDArray[np.int64]:
    """``int64[offsets[-1]]``: the CSR row each entry belongs to."""
    return np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))


def offsets_of(lengths: Array) -> NDArray[np.int64]:
    """``int64[m + 1]`` CSR offsets of rows of these lengths."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def segment_sum(values: Array, offsets: Array) -> Array:
    """Sums of consecutive runs of ``values`` (any rows, 0 where a run is empty).

    Args:
        values: ``[offsets[-1]]`` or ``[offsets[-1], ...]``; booleans are counted.
        offsets: ``int64[m + 1]``.
    """
    if values.dtype == np.bool_:
        values = values.astype(np.int64)
    total = np.zeros((len(offsets) - 1, *values.shape[1:]), dtype=values.dtype)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        total[filled] = np.add.reduceat(values, offsets[filled], axis=0)
    return total


def entries_of(offsets: Array, rows: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entry positions of chosen CSR rows, one row after another, and their new offsets."""
    lengths = np.diff(offsets)[rows]
    starts = offsets_of(lengths)
    shift = np.repeat(offsets[:-1][rows] - starts[:-1], lengths)
    return np.arange(starts[-1], dtype=np.int64) + shift, starts


def sum_by(index: Array, values: Array, count: int) -> NDArray[np.float64]:
    """``float64[count]``: sum of ``values`` at each index."""
    return np.bincount(index, values, count).astype(np.float64)
