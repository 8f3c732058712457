"""What happened before, at the same source or target: past counts, means and gaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowreason.data.features import FeatureTable
from knowreason.models.base.feature_columns import one_column, renamed, side_by_side


def history(ends: NDArray[np.int64], time: NDArray[np.number], own: FeatureTable) -> FeatureTable:
    """History of timed edges, from strictly earlier edges only.

    For the source, the target and the pair: how many there were and how long ago the last
    one was, both as logarithms; for source and target also the mean of each numeric column
    and the value's ratio to it.

    Args:
        ends: ``int64[n, 2]`` source and target node of each row, ``-1`` for none.
        time: ``[n]``, whole or not.
        own: the rows' own columns.
    """
    numbers = [i for i, texts in enumerate(own.categories) if texts is None]
    values, names = own.values[:, numbers], [own.names[i] for i in numbers]
    pair = np.where((ends < 0).any(axis=1), -1, ends[:, 0] * (ends.max(initial=0) + 1) + ends[:, 1])
    nothing = np.zeros((len(own), 0), np.float32)
    parts = [renamed(_past(pair, time, nothing, []), "pair ")]
    for end, keys in (("source ", ends[:, 0]), ("target ", ends[:, 1])):
        parts.append(renamed(_past(keys, time, values, names), end))
    return side_by_side(parts)


def _past(
    keys: NDArray[np.int64],
    time: NDArray[np.number],
    values: NDArray[np.float32],
    names: list[str],
) -> FeatureTable:
    """Count, gap, and mean and ratio of each column over earlier rows of the same key."""
    count, gap, means = past(keys, time, values)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = values / means
    ratios[~np.isfinite(ratios)] = np.nan
    columns = [one_column("log before", np.log1p(count)), one_column("log gap", np.log1p(gap))]
    for i, name in enumerate(names):
        columns.append(one_column(f"mean {name}", means[:, i]))
        columns.append(one_column(f"ratio {name}", ratios[:, i]))
    return side_by_side(columns)


def past(
    keys: NDArray[np.int64], time: NDArray[np.number], values: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Statistics over the rows of the same key at strictly earlier times.

    Args:
        keys: ``int64[n]``; a negative key has no history.
        time: ``[n]``, whole or not.
        values: ``[n, d]``, NaN is left out.

    Returns:
        ``float64``: counts ``[n]``, time since the last one ``[n]`` and means ``[n, d]``; NaN
        where there is nothing (counts are NaN for negative keys only).
    """
    order = np.lexsort((time, keys))
    k, t = keys[order], time[order]
    index = np.arange(len(k))
    group = np.append(True, k[1:] != k[:-1])[: len(k)]
    moment = group | np.append(True, t[1:] != t[:-1])[: len(k)]
    start = np.maximum.accumulate(np.where(group, index, 0))
    now = np.maximum.accumulate(np.where(moment, index, 0))
    present = ~np.isnan(values[order])
    sums = _before(np.where(present, values[order], 0.0), start, now)
    counts = _before(present.astype(np.float64), start, now)
    some = now > start
    last = np.where(some, t[np.maximum(now - 1, 0)], 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.where(counts > 0, sums / counts, np.nan)
    keyed = k >= 0
    count = np.where(keyed, (now - start).astype(np.float64), np.nan)
    gap = np.where(some & keyed, (t - last).astype(np.float64), np.nan)
    means = np.where(keyed[:, None], means, np.nan)
    back = np.empty_like(order)
    back[order] = index
    return count[back], gap[back], means[back]


def _before(
    values: NDArray[np.float64], start: NDArray[np.int64], now: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sum of rows ``start <= i < now`` of each row, by cumulative sums."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    sums: NDArray[np.float64] = total[now] - total[start]
    return sums
