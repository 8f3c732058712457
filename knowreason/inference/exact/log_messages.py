"""Sum-product messages of factors: tables, long clauses and counts, all in log space.

An entry is a literal of a clause or count; its incoming message is a pair of logs, of its
atom being true and false, and so is its outgoing one. Outgoing messages leave the
entry's own incoming message out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from knowreason.factors.arrays import Array, segment_sum
from knowreason.factors.potentials.literal_counts import count_limit

Logs: TypeAlias = NDArray[np.float64]


def log1mexp(x: Logs) -> Logs:
    """``log(1 - exp(x))`` for ``x <= 0``."""
    return np.asarray(np.where(x > -np.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x))))


def exclusive_log_odds(logs: Logs) -> Logs:
    """Log-odds of each state against all others of its row (``float64[m, d]``)."""
    m, d = logs.shape
    before, after = np.full((m, d), -np.inf), np.full((m, d), -np.inf)
    before[:, 1:] = np.logaddexp.accumulate(logs[:, :-1], axis=1)
    after[:, :-1] = np.logaddexp.accumulate(logs[:, :0:-1], axis=1)[:, ::-1]
    odds: Logs = logs - np.logaddexp(before, after)
    return odds


def table_messages(
    energy: Logs, shape: Sequence[int], incoming: Sequence[Logs], to: Sequence[int]
) -> list[Logs]:
    """Messages of tables to some variables of their scope.

    Args:
        energy: ``float64[m, size]``.
        shape: states of each variable.
        incoming: a ``float64[m, d]`` for every variable; those of ``to`` are left out
            of their own message.
        to: positions in the scope.

    Returns:
        a ``float64[m, d]`` for each position in ``to``.
    """
    messages = []
    for j in to:
        total = energy.reshape(-1, *shape)
        for i, logs in enumerate(incoming):
            if i != j:
                total = total + _along(logs, i, len(shape))
        for axis in range(len(shape), 0, -1):
            if axis - 1 != j:
                total = np.logaddexp.reduce(total, axis=axis)
        messages.append(total)
    return messages


def table_probabilities(energy: Logs, shape: Sequence[int], incoming: Sequence[Logs]) -> Logs:
    """``float64[m, size]`` belief of tables given all incoming messages."""
    total = energy.reshape(-1, *shape)
    for i, logs in enumerate(incoming):
        total = total + _along(logs, i, len(shape))
    flat = total.reshape(len(energy), -1)
    flat = np.exp(flat - flat.max(1, keepdims=True))
    return np.asarray(flat / flat.sum(1, keepdims=True))


def _along(logs: Logs, axis: int, axes: int) -> Logs:
    """``float64[m, d]`` shaped to broadcast along one variable of a table."""
    return logs.reshape(len(logs), *(-1 if i == axis else 1 for i in range(axes)))


def sums_without_own(values: Logs, offsets: Array, owner: Array) -> Logs:
    """For every entry the sum of the other entries of its row; ``-inf`` is allowed."""
    infinite = np.isneginf(values)
    finite = np.where(infinite, 0.0, values)
    total = segment_sum(finite, offsets)[owner] - finite
    others = segment_sum(infinite, offsets)[owner] - infinite
    return np.where(others > 0, -np.inf, total)


def clause_messages(
    true: Logs, false: Logs, signs: Array, offsets: Array, owner: Array, weight: Logs
) -> tuple[Logs, Logs]:
    """Messages of clauses to the atoms of all their literals.

    Args:
        true, false: ``float64[e]`` incoming logs of each literal's atom.
        signs: ``bool[e]``.
        offsets, owner: CSR rows of the entries.
        weight: ``float64[m]``, infinite for hard clauses.

    Returns:
        ``float64[e]`` logs of the atom being true and false.
    """
    norm = np.logaddexp(true, false)
    unsatisfied = sums_without_own(np.where(signs, false, true) - norm, offsets, owner)
    others = segment_sum(norm, offsets)[owner] - norm
    weight = weight[owner]
    gain = others + np.where(np.isinf(weight), 0.0, weight)
    open_ = gain + np.logaddexp(log1mexp(unsatisfied), unsatisfied - weight)
    return np.where(signs, gain, open_), np.where(signs, open_, gain)


def clause_truth(true: Logs, false: Logs, signs: Array, offsets: Array, weight: Logs) -> Logs:
    """``float64[m]`` probability that each clause holds, given all incoming messages."""
    failing = np.where(signs, false, true) - np.logaddexp(true, false)
    infinite = segment_sum(np.isneginf(failing), offsets) > 0
    total = segment_sum(np.where(np.isneginf(failing), 0.0, failing), offsets)
    total = np.where(infinite, -np.inf, total)
    return np.exp(-np.logaddexp(0.0, total - weight - log1mexp(total)))


def count_messages(
    true: Logs, false: Logs, inside: Logs, outside: Logs, lower: Array, upper: Array
) -> tuple[Logs, Logs, Logs, Logs]:
    """Messages of counts of ``k`` literals; O(k * upper) a row.

    Args:
        true, false: ``float64[m, k]`` incoming logs of each literal.
        inside, outside: ``float64[m]`` log-weight of a count in and out of the interval
            (of the target being true and false).
        lower, upper: ``int64[m]``.

    Returns:
        ``float64[m, k]`` logs of each literal being true and false, and ``float64[m]``
        logs of the count being in and out of the interval.
    """
    m, k = true.shape
    cap = int(min(k, count_limit(lower, upper, np.full(m, k)).max()))
    number = np.arange(cap + 1)
    within = (number >= lower[:, None]) & (number <= upper[:, None])
    before = np.full((k + 1, m, cap + 1), -np.inf)
    before[0, :, 0] = 0.0
    for j in range(k):
        before[j + 1] = _add_literal(before[j], true[:, j], false[:, j])
    out_true, out_false = np.empty((m, k)), np.empty((m, k))
    after = np.where(within, inside[:, None], outside[:, None])
    for j in range(k - 1, -1, -1):
        shifted = np.concatenate([after[:, 1:], after[:, -1:]], axis=1)
        out_false[:, j] = np.logaddexp.reduce(before[j] + after, axis=1)
        out_true[:, j] = np.logaddexp.reduce(before[j] + shifted, axis=1)
        after = np.logaddexp(false[:, j, None] + after, true[:, j, None] + shifted)
    final = before[k]
    to_inside = np.logaddexp.reduce(np.where(within, final, -np.inf), axis=1)
    to_outside = np.logaddexp.reduce(np.where(within, -np.inf, final), axis=1)
    return out_true, out_false, to_inside, to_outside


def _add_literal(counts: Logs, true: Logs, false: Logs) -> Logs:
    """Log-distribution ``float64[m, cap + 1]`` after one more literal; the last is "or more"."""
    moved = counts + true[:, None]
    stayed = counts + false[:, None]
    stayed[:, 1:] = np.logaddexp(stayed[:, 1:], moved[:, :-1])
    stayed[:, -1] = np.logaddexp(stayed[:, -1], moved[:, -1])
    return stayed
