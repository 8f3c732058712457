"""Which sorts may meet in arithmetic and in comparisons, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowreason.lang.check.symbols import a_sort, is_thing
from knowreason.logic import Term, Variable

NUMBERS = ("int", "float")
MEASURES = ("int", "float", "duration")
ORDERED = ("int", "float", "duration", "time")

_SUMS = {
    ("+", "time", "duration"): "time",
    ("+", "duration", "time"): "time",
    ("+", "duration", "duration"): "duration",
    ("-", "time", "time"): "duration",
    ("-", "time", "duration"): "time",
    ("-", "duration", "duration"): "duration",
    ("/", "duration", "duration"): "float",
}


@dataclass(frozen=True, slots=True)
class SortOutcome:
    """Sort of an operation, or what is wrong with it (``culprit``: which operand)."""

    sort: str | None
    message: str = ""
    help: str | None = None
    culprit: int | None = None
    code: str = "KR209"


def combine(operator: str, sorts: Sequence[str]) -> SortOutcome:
    """Sort of ``+ - * /`` or ``neg`` over operands of these sorts."""
    for culprit, sort in enumerate(sorts):
        if sort not in ORDERED:
            name = {"neg": "-"}.get(operator, operator)
            text = (
                "texts are joined in the query that binds the table" if sort == "string" else None
            )
            return SortOutcome(None, f"`{name}` takes numbers, not {a_sort(sort)}", text, culprit)
    if operator == "neg":
        if sorts[0] == "time":
            return SortOutcome(None, "a time cannot be negated", "subtract it from another time", 0)
        return SortOutcome(sorts[0])
    left, right = sorts
    if left in NUMBERS and right in NUMBERS:
        whole = operator != "/" and left == right == "int"
        return SortOutcome("int" if whole else "float")
    summed = _SUMS.get((operator, left, right))
    if summed is None and operator in "*/" and left == "duration" and right in NUMBERS:
        summed = "duration"
    if summed is None and operator == "*" and left in NUMBERS and right == "duration":
        summed = "duration"
    if summed is not None:
        return SortOutcome(summed)
    verb = {"+": "added", "-": "subtracted", "*": "multiplied", "/": "divided"}[operator]
    return SortOutcome(
        None,
        f"{a_sort(left)} and {a_sort(right)} cannot be {verb}",
        "time - time is a duration and duration / duration a number, as in `(... - ...) / 1h`",
    )


def function_sort(name: str, sorts: Sequence[str]) -> SortOutcome:
    """Sort of a built-in function over arguments of these sorts."""
    if name in ("min", "max"):
        return _extreme(name, sorts)
    if len(sorts) != 1:
        return SortOutcome(
            None, f"`{name}` takes 1 argument, not {len(sorts)}", None, None, "KR203"
        )
    sort = sorts[0]
    if name == "abs" and sort in MEASURES:
        return SortOutcome(sort)
    if sort in NUMBERS:
        return SortOutcome("int" if name == "floor" else "float")
    how = {
        "duration": f"divide by a duration first: `{name}(... / 1h)`",
        "time": f"subtract a time and divide by a duration: `{name}((... - ...) / 1h)`",
    }
    return SortOutcome(None, f"`{name}` takes a number, not {a_sort(sort)}", how.get(sort), 0)


def _extreme(name: str, sorts: Sequence[str]) -> SortOutcome:
    if len(sorts) < 2:
        return SortOutcome(
            None,
            f"`{name}` takes two arguments or more",
            f"over a set it is written `{name} {{ expr for x : F }}`",
            None,
            "KR203",
        )
    for culprit, sort in enumerate(sorts):
        if sort not in ORDERED:
            return SortOutcome(None, f"`{name}` takes numbers, not {a_sort(sort)}", None, culprit)
    if set(sorts) <= set(NUMBERS):
        return SortOutcome("int" if set(sorts) == {"int"} else "float")
    if len(set(sorts)) == 1:
        return SortOutcome(sorts[0])
    return SortOutcome(None, f"`{name}` of different units", "time and duration do not mix")


def common_sort(one: str, other: str) -> str | None:
    """The sort of what is of one or the other; ``None`` where they do not mix."""
    if one == other:
        return one
    return "float" if {one, other} == set(NUMBERS) else None


def comparable(operator: str, left: Term, right: Term) -> tuple[str, str | None] | None:
    """``None`` when the two may be compared so, else a message and a help line."""
    first, second = left.sort, right.sort
    if is_thing(first) or is_thing(second):
        return _comparable_things(operator, left, right)
    numbers = first in NUMBERS and second in NUMBERS
    if first != second and not numbers:
        zero = "duration" in (first, second) and {first, second} & set(NUMBERS)
        return (
            f"{a_sort(first)} cannot be compared with {a_sort(second)}",
            "write the number with a unit, `0s` or `2h`"
            if zero
            else 'a time stands in quotes: `"2026-01-31"`'
            if "time" in (first, second)
            else None,
        )
    if operator in ("=", "!=") or first in ORDERED:
        return None
    return f"`{operator}` is not defined for {a_sort(first)}", "compare with `=` or `!=`"


def _comparable_things(operator: str, left: Term, right: Term) -> tuple[str, str | None] | None:
    if left.sort != right.sort:
        return (
            f"{a_sort(left.sort)} cannot be compared with {a_sort(right.sort)}",
            "things of different domains are never the same",
        )
    if operator in ("=", "!=") or (isinstance(left, Variable) and isinstance(right, Variable)):
        return None
    return (
        f"`{operator}` over a domain stands between two variables only",
        "the order is an arbitrary one, for taking each pair once",
    )
