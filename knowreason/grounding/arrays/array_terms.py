"""Comparisons, three-valued logic and arithmetic on columns of values, as a relational engine has
them; what that would refuse is :class:`.BeyondArrays`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.wall_clocks import FIRST, LAST, STRETCH, calendar_part, months_later
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.grounding.relational.history_columns import Column
from knowreason.grounding.relational.term_sql import CALENDAR, EXP_LIMIT
from knowreason.logic import Value
from knowreason.logic.regular_expressions import portable_pattern
from knowreason.logic.time_zones import UTC_ZONE

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MOST_MONTHS = 1_000  # beyond it an offset may be one that Python's database does not have
EXACT = 2.0**62  # beyond this whole numbers are a relational engine's


def known_of(columns: Sequence[Column]) -> NDArray[np.bool_] | None:
    """Where all are known; ``None`` for everywhere."""
    known = [column.known for column in columns if column.known is not None]
    if len(known) < 2:
        return known[0] if known else None
    return np.asarray(np.logical_and.reduce(known))


def truth(values: NDArray[Any], known: NDArray[np.bool_] | None = None) -> Column:
    """A truth value a row, false where it is not known."""
    values = values.astype(bool, copy=False)
    return Column(values if known is None else values & known, known)


def false_of(column: Column) -> NDArray[np.bool_]:
    """Where a truth value is known to be false."""
    false: NDArray[np.bool_] = ~column.values
    return false if column.known is None else false & column.known


def compared(sign: str, left: Column, right: Column) -> Column:
    """``left sign right``, unknown where either is."""
    return truth(COMPARISONS[sign](left.values, right.values), known_of((left, right)))


def negated(column: Column) -> Column:
    """``!column``."""
    return Column(false_of(column), column.known)


def all_true(columns: Sequence[Column]) -> Column:
    """``&``: false where one is, whatever the others are."""
    if all(column.known is None for column in columns):
        return Column(np.logical_and.reduce([column.values for column in columns]))
    true = np.logical_and.reduce([column.values for column in columns])
    false = np.logical_or.reduce([false_of(column) for column in columns])
    return Column(true, true | false)


def some_true(columns: Sequence[Column]) -> Column:
    """``|``: true where one is, whatever the others are."""
    return negated(all_true([negated(column) for column in columns]))


def chosen(condition: Column, one: Column, other: Column) -> Column:
    """One column where a condition holds, the other where it fails, unknown where it is."""
    values = np.where(condition.values, one.values, other.values)
    if condition.known is None and one.known is None and other.known is None:
        return Column(values)
    of_one, of_other = (
        np.ones(len(values), bool) if part.known is None else part.known for part in (one, other)
    )
    known = np.where(condition.values, of_one, of_other)
    return Column(values, known if condition.known is None else known & condition.known)


def calculated(name: str, operands: Sequence[Column], whole: bool) -> Column:
    """Arithmetic and built-in functions of the language.

    Args:
        name: of the operation.
        operands: its arguments.
        whole: whether the result is a whole number, the nearest one.
    """
    known = known_of(operands)
    values = [operand.values for operand in operands]
    if name == "log1p":
        name, values = "log", [values[0].astype(np.float64) + 1]
    defined = _defined(name, values)
    if defined is not None:
        known = defined if known is None else known & defined
        place = 1 if name == "/" else 0
        safe = np.where(defined, values[place], 1)
        values = [safe if i == place else v.astype(np.float64) for i, v in enumerate(values)]
    with np.errstate(all="ignore"):
        result = _CALCULATIONS[name](*values)
        if all(value.dtype.kind in "iu" for value in values) and name in ("+", "-", "*"):
            about = _CALCULATIONS[name](*(value.astype(np.float64) for value in values))
            if len(about) and np.abs(about).max() > EXACT:
                raise BeyondArrays
    return Column(_rounded(result) if whole else _plain(result), known)


SPECIAL = frozenset((*CALENDAR, "starts_with", "matches", "missing"))


def special(name: str, column: Column, others: Sequence[Value]) -> Column:
    """What is asked about missing values, texts and the calendar.

    Args:
        name: of the operation, one of ``SPECIAL``.
        column: its first argument.
        others: the others, which are the same in every row.
    """
    if name == "missing":
        nothing = np.zeros(len(column.values), bool)
        return Column(nothing if column.known is None else ~column.known)
    if name in ("starts_with", "matches"):
        return _tested(name, column, str(others[0]))
    steps = {"add_months": 1, "subtract_months": -1}
    months = steps[name] * int(others[0]) if name in steps else None
    zones = others[1:] if name in steps else others
    return _calendar(name, column, months, str(zones[0]) if zones else UTC_ZONE)


def _calendar(name: str, moment: Column, months: int | None, zone: str) -> Column:
    times = moment.values.astype(np.int64, copy=False)
    if moment.known is not None:
        times = np.where(moment.known, times, 0)
    if len(times) and not FIRST * STRETCH < times.min() <= times.max() < LAST * STRETCH:
        raise BeyondArrays
    if months is None:
        return Column(calendar_part(name, times, zone), moment.known)
    if abs(months) > MOST_MONTHS:
        raise BeyondArrays
    return Column(months_later(times, months, zone), moment.known)


def _tested(name: str, text: Column, pattern: str) -> Column:
    """Arrow's regular expressions are those of the relational engine (RE2)."""
    values = text.values if text.known is None else np.where(text.known, text.values, "")
    texts = pa.array(values, pa.string())
    if name == "starts_with":
        found = pc.starts_with(texts, pattern)
    else:
        found = pc.match_substring_regex(texts, portable_pattern(pattern))
    return truth(found.to_numpy(zero_copy_only=False), text.known)


def _defined(name: str, values: Sequence[NDArray[Any]]) -> NDArray[np.bool_] | None:
    defined: NDArray[np.bool_]
    if name == "/":
        defined = values[1] != 0
    elif name == "log":
        defined = values[0] > 0
    elif name == "exp":
        defined = values[0] <= EXP_LIMIT
    elif name == "sqrt":
        defined = values[0] >= 0
    else:
        return None
    return defined


def _plain(result: NDArray[Any]) -> NDArray[Any]:
    if result.dtype.kind == "f" and np.isnan(result).any():
        raise BeyondArrays  # which engines compare in their own way
    return result


def _rounded(result: NDArray[Any]) -> NDArray[Any]:
    if result.dtype.kind != "f":
        return result
    if len(result) and not np.abs(result).max() <= EXACT:
        raise BeyondArrays
    return np.asarray(np.rint(result).astype(np.int64))


_CALCULATIONS: dict[str, Callable[..., NDArray[Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "neg": operator.neg,
    "abs": np.abs,
    "floor": lambda value: np.floor(value.astype(np.float64)),
    "log": lambda value: np.log(value.astype(np.float64)),
    "exp": lambda value: np.exp(value.astype(np.float64)),
    "sqrt": lambda value: np.sqrt(value.astype(np.float64)),
    "min": lambda *values: _extreme(np.minimum, values),
    "max": lambda *values: _extreme(np.maximum, values),
}


def _extreme(better: Any, values: Sequence[NDArray[Any]]) -> NDArray[Any]:
    best = values[0]
    for value in values[1:]:
        best = better(best, value)
    return best


def summed(kind: str, value: Column | None, owner: NDArray[Any], groups: int) -> tuple[Any, Any]:
    """What the rows of each group add up to, and how many of them have a value."""
    if value is None:
        rows = np.bincount(owner, minlength=groups)
        return rows, rows
    values = value.values
    if value.known is not None:
        values, owner = values[value.known], owner[value.known]
    rows = np.bincount(owner, minlength=groups)
    if kind in ("min", "max"):
        if values.dtype.kind not in "if":
            raise BeyondArrays
        total = np.zeros(groups, values.dtype)
        order = np.lexsort((values, owner))
        ends = np.cumsum(rows)
        there = np.flatnonzero(rows)
        place = ends - 1 if kind == "max" else ends - rows
        total[there] = values[order[place[there]]]
        return total, rows
    total = np.bincount(owner, weights=values.astype(np.float64), minlength=groups)
    if values.dtype.kind != "f" and kind == "sum":
        if len(values) and np.abs(values.astype(np.float64)).sum() > EXACT:
            raise BeyondArrays
        total = np.zeros(groups, np.int64)
        np.add.at(total, owner, values.astype(np.int64))
    if kind == "avg":
        total = total / np.maximum(rows, 1)
    return total, rows
