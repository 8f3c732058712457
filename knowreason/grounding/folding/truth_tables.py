"""What is left of a formula once some of its leaves are decided.

A pattern fixes each leaf as false, true, unknown or an open literal; the residual is
then a constant, a clause or a truth table over the atoms it still depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowreason.grounding.folding.fold_kernels import MISSING, SATISFIED, VIOLATED
from knowreason.grounding.plan.formula_tree import All, Any_, Node, Same
from knowreason.grounding.plan.rule_plan import leaves

FALSE_STATE, TRUE_STATE, UNKNOWN_STATE, FIRST_OPEN = 0, 1, 2, 3


@dataclass(frozen=True)
class Residual:
    """A formula over open atoms.

    Attributes:
        positions: leaf that each atom is taken from.
        signs: signs of a clause's literals; ``None`` where it is no clause.
        table: ``float32[2**k]`` truth values, bit ``j`` of the index is atom ``j``.
    """

    positions: tuple[int, ...]
    signs: tuple[bool, ...] | None
    table: NDArray[np.float32]


def residual(node: Node, states: Sequence[int]) -> Residual | int:
    """What a formula is under a pattern of leaf states.

    Args:
        node: the formula.
        states: state of each leaf from left to right, as :func:`fold.leaf_states`.

    Returns:
        What is left, or ``SATISFIED``, ``VIOLATED`` or ``MISSING``.
    """
    if (
        known_states(node, [np.minimum([state], FIRST_OPEN) for state in states])[0]
        == UNKNOWN_STATE
    ):
        return MISSING
    positions = sorted({(state - FIRST_OPEN) // 2 for state in states if state >= FIRST_OPEN})
    table = _truth_table(node, states, positions)
    positions, table = _relevant(positions, table)
    if not positions:
        return SATISFIED if table[0] else VIOLATED
    signs = _as_clause(table, len(positions))
    return Residual(tuple(positions), signs, table.astype(np.float32))


def known_states(node: Node, states: Sequence[NDArray[np.integer]]) -> NDArray[np.integer]:
    """What is known of a formula before its open atoms are.

    An unknown part taints an open one: ``unknown & open`` and ``unknown | open`` are
    unknown, and such a grounding is dropped.

    Args:
        node: the formula.
        states: of its leaves from left to right, arrays of ``FALSE_STATE``,
            ``TRUE_STATE``, ``UNKNOWN_STATE`` and ``FIRST_OPEN``.
    """
    match node:
        case All(parts) | Any_(parts):
            decisive, neutral = (
                (FALSE_STATE, TRUE_STATE) if isinstance(node, All) else (TRUE_STATE, FALSE_STATE)
            )
            result = np.full(len(states[0]) if states else 1, neutral)
            used = 0
            for part in parts:
                size = len(leaves(part))
                state = known_states(part, states[used : used + size])
                used += size
                for stronger in (FIRST_OPEN, UNKNOWN_STATE, decisive):
                    result[(state == stronger) & ~_outranks(result, stronger, decisive)] = stronger
            return result
        case Same(left, right):
            size = len(leaves(left))
            one, two = known_states(left, states[:size]), known_states(right, states[size:])
            result = np.where(one == two, TRUE_STATE, FALSE_STATE)
            result[(one == FIRST_OPEN) | (two == FIRST_OPEN)] = FIRST_OPEN
            result[(one == UNKNOWN_STATE) | (two == UNKNOWN_STATE)] = UNKNOWN_STATE
            return result
        case _:
            return states[0]


def _outranks(result: NDArray[np.integer], state: int, decisive: int) -> NDArray[np.bool_]:
    if state == decisive:
        return np.zeros(len(result), bool)
    if state == UNKNOWN_STATE:
        outranks: NDArray[np.bool_] = result == decisive
    else:
        outranks = (result == decisive) | (result == UNKNOWN_STATE)
    return outranks


def _truth_table(node: Node, states: Sequence[int], positions: Sequence[int]) -> NDArray[np.bool_]:
    count = len(positions)
    worlds = np.arange(1 << count)
    bits = {position: (worlds >> j & 1).astype(bool) for j, position in enumerate(positions)}
    columns = []
    for state in states:
        if state >= FIRST_OPEN:
            column = bits[(state - FIRST_OPEN) // 2]
            columns.append(~column if (state - FIRST_OPEN) % 2 else column)
        else:
            columns.append(np.full(1 << count, state == TRUE_STATE))
    return truth(node, columns)


def truth(node: Node, columns: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Truth of a formula, given its leaves' truths from left to right."""
    length = len(columns[0]) if columns else 1
    match node:
        case All(parts) | Any_(parts):
            result = np.full(length, isinstance(node, All))
            used = 0
            for part in parts:
                size = len(leaves(part))
                value = truth(part, columns[used : used + size])
                result = result & value if isinstance(node, All) else result | value
                used += size
            return result
        case Same(left, right):
            size = len(leaves(left))
            same: NDArray[np.bool_] = truth(left, columns[:size]) == truth(right, columns[size:])
            return same
        case _:
            return columns[0]


def _relevant(
    positions: list[int], table: NDArray[np.bool_]
) -> tuple[list[int], NDArray[np.bool_]]:
    """Drop atoms the truth does not depend on."""
    relevant = list(positions)
    for position in positions:
        j = relevant.index(position)
        split = table.reshape(-1, 2, 1 << j)
        if (split[:, 0] == split[:, 1]).all():
            table = split[:, 0].reshape(-1)
            relevant.remove(position)
    return relevant, table


def _as_clause(table: NDArray[np.bool_], count: int) -> tuple[bool, ...] | None:
    wrong = np.flatnonzero(~table)
    if len(wrong) != 1:
        return None
    return tuple(not (int(wrong[0]) >> j & 1) for j in range(count))
