"""Expressions of the rule language with Python's operators.

An expression is its text and how tightly that binds; operators write larger texts.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import NoReturn

from knowreason.errors import ProgramError
from knowreason.logic.canonical_text import duration_text, string_text

IFF, IMPLIES, OR, AND, NOT, COMPARISON, SUM, PRODUCT, UNARY, PRIMARY = range(1, 11)

Plain = bool | int | float | str | timedelta | datetime


class Expression:
    """A formula or a term; operators make larger ones.

    Args:
        text: how it is written in the rule language.
        strength: how tightly its outermost operator binds.
        statement: the ``param`` statement of a parameter.
        shifted: whether ``>>`` made it, so that Python may have read it before its neighbours.
    """

    # No subclasses: Python would ask the right operand first and turn comparisons around.
    __hash__ = object.__hash__

    def __init__(
        self, text: str, strength: int = PRIMARY, *, statement: str = "", shifted: bool = False
    ) -> None:
        self.text = text
        self.strength = strength
        self.statement = statement
        self.shifted = shifted

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __bool__(self) -> NoReturn:
        raise ProgramError(
            "an expression is neither true nor false in Python",
            code="KR113",
            help="write `&`, `|`, `~` for `and`, `or`, `not`, and chained comparisons one by one",
        )

    def __and__(self, other: Operand) -> Expression:
        return _connect(self, "&", other, AND)

    def __or__(self, other: Operand) -> Expression:
        return _connect(self, "|", other, OR)

    def __rshift__(self, other: Operand) -> Expression:
        if self.shifted:
            raise _tight(self, ">>")
        return Expression(implies(self, other).text, IMPLIES, shifted=True)

    def __invert__(self) -> Expression:
        return Expression(f"!{embed(self, NOT)}", NOT)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]  # an equation
        return _infix(self, "=", other, COMPARISON, SUM, SUM)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]  # an equation
        return _infix(self, "!=", other, COMPARISON, SUM, SUM)

    def __lt__(self, other: Operand) -> Expression:
        return _infix(self, "<", other, COMPARISON, SUM, SUM)

    def __le__(self, other: Operand) -> Expression:
        return _infix(self, "<=", other, COMPARISON, SUM, SUM)

    def __gt__(self, other: Operand) -> Expression:
        return _infix(self, ">", other, COMPARISON, SUM, SUM)

    def __ge__(self, other: Operand) -> Expression:
        return _infix(self, ">=", other, COMPARISON, SUM, SUM)

    def is_in(self, *constants: Plain) -> Expression:
        """``self in { constants }``."""
        listed = ", ".join(plain(constant) for constant in constants)
        return Expression(f"{embed(self, SUM)} in {{ {listed} }}", COMPARISON)

    def __add__(self, other: Operand) -> Expression:
        return _infix(self, "+", other, SUM, SUM, PRODUCT)

    def __radd__(self, other: Operand) -> Expression:
        return _infix(other, "+", self, SUM, SUM, PRODUCT)

    def __sub__(self, other: Operand) -> Expression:
        return _infix(self, "-", other, SUM, SUM, PRODUCT)

    def __rsub__(self, other: Operand) -> Expression:
        return _infix(other, "-", self, SUM, SUM, PRODUCT)

    def __mul__(self, other: Operand) -> Expression:
        return _infix(self, "*", other, PRODUCT, PRODUCT, UNARY)

    def __rmul__(self, other: Operand) -> Expression:
        return _infix(other, "*", self, PRODUCT, PRODUCT, UNARY)

    def __truediv__(self, other: Operand) -> Expression:
        return _infix(self, "/", other, PRODUCT, PRODUCT, UNARY)

    def __rtruediv__(self, other: Operand) -> Expression:
        return _infix(other, "/", self, PRODUCT, PRODUCT, UNARY)

    def __neg__(self) -> Expression:
        return Expression(f"-{embed(self, UNARY)}", UNARY)

    def __abs__(self) -> Expression:
        return function("abs", self)


Operand = Expression | Plain
anything = Expression("_")
"""``_``: some thing, as an argument of a predicate."""


def implies(left: Operand, right: Operand) -> Expression:
    """``left => right``, also where it stands beside ``&`` and ``|``."""
    return _infix(left, "=>", right, IMPLIES, OR, IMPLIES)


def iff(left: Operand, right: Operand) -> Expression:
    """``left <=> right``."""
    return _infix(left, "<=>", right, IFF, IFF, IMPLIES)


def neutral(left: Operand, right: Operand) -> Expression:
    """``left <~> right``: an association that leaves base rates where they are."""
    return _infix(left, "<~>", right, IFF, IFF, IMPLIES)


def directed(body: Operand, head: Operand, how: str = "") -> Expression:
    """``body ~> head``; ``how`` is ``"mean"`` or ``"any"`` where bodies do not add up."""
    word = f"{how} " if how else ""
    return Expression(f"{embed(body, IFF)} ~> {word}{embed(head, PRIMARY)}", IFF)


def embed(value: object, strength: int) -> str:
    """Text of an operand, in parentheses where it binds weaker than ``strength``."""
    if not isinstance(value, Expression):
        text = plain(value)
        value = Expression(text, UNARY if text.startswith("-") else PRIMARY)
    return value.text if value.strength >= strength else f"({value.text})"


def _infix(
    left: object, sign: str, right: object, own: int, on_left: int, on_right: int
) -> Expression:
    return Expression(f"{embed(left, on_left)} {sign} {embed(right, on_right)}", own)


def _connect(left: Expression, sign: str, right: Operand, own: int) -> Expression:
    for side in (left, right):
        if isinstance(side, Expression) and side.shifted:
            raise _tight(side, sign)
    return _infix(left, sign, right, own, own, AND if own == OR else NOT)


def _tight(side: Expression, sign: str) -> ProgramError:
    return ProgramError(
        f"Python read `{side.text}` before `{sign}`, for `>>` binds tighter",
        code="KR113",
        help="write `(A & B) >> C`, or `implies(B, C)` where the implication is a part",
    )


def function(name: str, *terms: Operand) -> Expression:
    """A built-in function of terms."""
    return Expression(f"{name}({', '.join(embed(term, SUM) for term in terms)})")


def plain(value: object) -> str:
    """Text of a Python value; raises :class:`ProgramError` for what has none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, timedelta):
        return duration_text(value // timedelta(microseconds=1))
    if isinstance(value, datetime):
        return string_text(value.isoformat())
    if isinstance(value, (int, float)) and math.isfinite(value):
        return repr(value)
    raise ProgramError(
        f"{value!r} cannot stand in a rule",
        code="KR107",
        help="numbers, texts, true and false, timedelta and datetime can",
    )
