"""Programs written in Python with operators.

    x, y = var("x y")
    Person = domain("Person")
    Friends = observed("Friends", Person, Person)
    Smokes = query("Smokes", Person)
    peers = rule("peers", (Smokes(x) & Friends(x, y)) >> Smokes(y), weight=1.1)
    smokers = program(Person, Friends, Smokes, peers)

Every expression and statement knows its text in the rule language (``str(peers)``), and
:func:`program` reads that text as it reads a file, so a program built here is the same value
as the one written there, and its errors come with carets. Mind Python's precedence: ``>>``
binds tighter than ``&``, and ``&`` tighter than ``<``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from knowreason.errors import ProgramError
from knowreason.lang.load import loads
from knowreason.logic import Program
from knowreason.logic.text import duration_text, string_text

_IFF, _IMPLIES, _OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _UNARY, _PRIMARY = range(1, 11)

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
        self, text: str, strength: int = _PRIMARY, *, statement: str = "", shifted: bool = False
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
        return _connect(self, "&", other, _AND)

    def __or__(self, other: Operand) -> Expression:
        return _connect(self, "|", other, _OR)

    def __rshift__(self, other: Operand) -> Expression:
        if self.shifted:
            raise _tight(self, ">>")
        return Expression(implies(self, other).text, _IMPLIES, shifted=True)

    def __invert__(self) -> Expression:
        return Expression(f"!{_within(self, _NOT)}", _NOT)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return _infix(self, "=", other, _COMPARISON, _SUM, _SUM)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return _infix(self, "!=", other, _COMPARISON, _SUM, _SUM)

    def __lt__(self, other: Operand) -> Expression:
        return _infix(self, "<", other, _COMPARISON, _SUM, _SUM)

    def __le__(self, other: Operand) -> Expression:
        return _infix(self, "<=", other, _COMPARISON, _SUM, _SUM)

    def __gt__(self, other: Operand) -> Expression:
        return _infix(self, ">", other, _COMPARISON, _SUM, _SUM)

    def __ge__(self, other: Operand) -> Expression:
        return _infix(self, ">=", other, _COMPARISON, _SUM, _SUM)

    def __add__(self, other: Operand) -> Expression:
        return _infix(self, "+", other, _SUM, _SUM, _PRODUCT)

    def __radd__(self, other: Operand) -> Expression:
        return _infix(other, "+", self, _SUM, _SUM, _PRODUCT)

    def __sub__(self, other: Operand) -> Expression:
        return _infix(self, "-", other, _SUM, _SUM, _PRODUCT)

    def __rsub__(self, other: Operand) -> Expression:
        return _infix(other, "-", self, _SUM, _SUM, _PRODUCT)

    def __mul__(self, other: Operand) -> Expression:
        return _infix(self, "*", other, _PRODUCT, _PRODUCT, _UNARY)

    def __rmul__(self, other: Operand) -> Expression:
        return _infix(other, "*", self, _PRODUCT, _PRODUCT, _UNARY)

    def __truediv__(self, other: Operand) -> Expression:
        return _infix(self, "/", other, _PRODUCT, _PRODUCT, _UNARY)

    def __rtruediv__(self, other: Operand) -> Expression:
        return _infix(other, "/", self, _PRODUCT, _PRODUCT, _UNARY)

    def __neg__(self) -> Expression:
        return Expression(f"-{_within(self, _UNARY)}", _UNARY)

    def __abs__(self) -> Expression:
        return _function("abs", self)


Operand = Expression | Plain
anything = Expression("_")
"""``_``: some thing, as an argument of a predicate."""


@dataclass(frozen=True)
class Statement:
    """A statement that makes no expressions: a domain, a model or a rule."""

    text: str
    name: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Symbol(Statement):
    """A declared predicate, attribute or definition; calling it makes an atom or a term."""

    def __call__(self, *arguments: Operand, **named: Operand) -> Expression:
        """An atom of the predicate, or the value of the attribute, at these arguments."""
        parts = [_within(argument, _SUM) for argument in arguments]
        parts += [f"{name}: {_within(argument, _SUM)}" for name, argument in named.items()]
        return Expression(f"{self.name}({', '.join(parts)})")


# ---------------------------------------------------------------- statements


def program(*statements: Statement | Expression) -> Program:
    """The program that the statements make.

    Raises:
        ProgramError: with every error there is.
    """
    return loads(program_source(*statements), name="<python>")


def program_source(*statements: Statement | Expression) -> str:
    """The statements as a rule file has them."""
    lines = [s.statement if isinstance(s, Expression) else s.text for s in statements]
    return "".join(f"{line}\n" for line in lines)


def domain(name: str, members: Iterable[str | int] | None = None) -> Statement:
    """A sort of things, open or enumerated."""
    if members is None:
        return Statement(f"domain {name}", name)
    return Statement(f"domain {name} = {{ {', '.join(map(_plain, members))} }}", name)


Place = Statement | str


def exactly_one(sort: Place) -> str:
    """A functional argument ``D!``."""
    return f"{_name(sort)}!"


def at_most_one(sort: Place) -> str:
    """A functional argument ``D?``."""
    return f"{_name(sort)}?"


def observed(name: str, *places: Place, symmetric: bool = False, **named: Place) -> Symbol:
    """A closed-world predicate; keyword places are named arguments."""
    tail = " symmetric" if symmetric else ""
    return Symbol(f"observed {_signature(name, places, named)}{tail}", name)


def query(name: str, *places: Place, within: Symbol | None = None, **named: Place) -> Symbol:
    """An open-world predicate that is asked."""
    return Symbol(f"query {_signature(name, places, named)}{_inside(within)}", name)


def latent(name: str, *places: Place, within: Symbol | None = None, **named: Place) -> Symbol:
    """An open-world predicate that is never labelled."""
    return Symbol(f"latent {_signature(name, places, named)}{_inside(within)}", name)


def attribute(name: str, *places: Place, sort: Place, clock: bool = False) -> Symbol:
    """A function from data with values of a sort."""
    tail = " clock" if clock else ""
    return Symbol(f"attribute {_signature(name, places, {})}: {_name(sort)}{tail}", name)


def param(name: str, value: Plain) -> Expression:
    """A constant that may be overridden: a statement, and the term that stands for its value."""
    return Expression(name, statement=f"param {name} = {_plain(value)}")


def define(name: str, variables: Iterable[Expression], body: Operand) -> Symbol:
    """A derived predicate or attribute."""
    heads = ", ".join(variable.text for variable in variables)
    return Symbol(f"define {name}({heads}) := {_within(body, 0)}", name)


@dataclass(frozen=True)
class Kind:
    """A model kind with its options."""

    text: str


Option = bool | int | float | str | Kind | list["Option"] | tuple["Option", ...]


def kind(name: str, *positional: Option, **options: Option) -> Kind:
    """``name(options)``, for :func:`model`."""
    parts = [_option(value) for value in positional]
    parts += [f"{key}={_option(value)}" for key, value in options.items()]
    return Kind(f"{name}({', '.join(parts)})")


def model(name: str, target: Symbol | Iterable[Symbol], call: Kind) -> Statement:
    """A knowledge model for one predicate or several."""
    targets = [target] if isinstance(target, Symbol) else list(target)
    names = ", ".join(symbol.name for symbol in targets)
    return Statement(f"model {name} for {names} = {call.text}", name)


@dataclass(frozen=True)
class WeightForm:
    """What stands in the square brackets of a rule."""

    text: str


HARD = WeightForm("[hard]")


def learned(
    mean: float | None = None,
    sign: str = "",
    per: Iterable[Expression] = (),
    feature: Operand | None = None,
) -> WeightForm:
    """``[? mean sign 0 per x * feature]``; ``sign`` is ``">="``, ``"<="`` or empty."""
    parts = ["?"] + ([] if mean is None else [_plain(mean)]) + ([f"{sign} 0"] if sign else [])
    return WeightForm(f"[{' '.join([*parts, *_per(per), *_feature(feature)])}]")


def given(value: float, feature: Operand | None = None) -> WeightForm:
    """``[value * feature]``: training leaves it alone."""
    return WeightForm(f"[{' '.join([_plain(value), *_feature(feature)])}]")


def rule(name: str, formula: Operand, weight: WeightForm | float | None = None) -> Statement:
    """A weighted formula: no weight is a belief, a number is given."""
    form = given(weight) if isinstance(weight, (int, float)) else weight
    bracket = "" if form is None else f" {form.text}"
    return Statement(f"rule {name}{bracket} : {_within(formula, 0)}", name)


# ---------------------------------------------------------------- formulas and terms


def var(names: str) -> Expression | tuple[Expression, ...]:
    """One variable, or as many as there are names separated by spaces or commas."""
    found = tuple(Expression(name) for name in names.replace(",", " ").split())
    return found[0] if len(found) == 1 else found


def implies(left: Operand, right: Operand) -> Expression:
    """``left => right``, also where it stands beside ``&`` and ``|``."""
    return _infix(left, "=>", right, _IMPLIES, _OR, _IMPLIES)


def iff(left: Operand, right: Operand) -> Expression:
    """``left <=> right``."""
    return _infix(left, "<=>", right, _IFF, _IFF, _IMPLIES)


def forall(variables: Expression | Iterable[Expression], body: Operand) -> Expression:
    """``forall x, y. body``."""
    return Expression(f"forall {_listed(variables)}. {_within(body, _NOT)}", _NOT)


def exists(variables: Expression | Iterable[Expression], body: Operand) -> Expression:
    """``exists x, y. body``."""
    return Expression(f"exists {_listed(variables)}. {_within(body, _NOT)}", _NOT)


def count(
    variables: Expression | Iterable[Expression],
    body: Operand,
    last: Operand | None = None,
    by: Operand | None = None,
) -> Expression:
    """``count { x, y : body last n by expr }``."""
    return Expression(f"count {{ {_listed(variables)} : {_within(body, 0)}{_last(last, by)} }}")


def count_of(*formulas: Operand) -> Expression:
    """``count { F1, F2 }``: how many hold."""
    return Expression(f"count {{ {', '.join(_within(formula, 0) for formula in formulas)} }}")


def aggregate(
    name: str,
    value: Operand,
    variables: Expression | Iterable[Expression],
    body: Operand,
    last: Operand | None = None,
    by: Operand | None = None,
) -> Expression:
    """``sum``, ``avg``, ``min`` or ``max`` of ``value`` for every setting of ``body``."""
    inner = f"{_within(value, 0)} for {_listed(variables)} : {_within(body, 0)}{_last(last, by)}"
    return Expression(f"{name} {{ {inner} }}")


def rate(
    formula: Operand,
    variables: Expression | Iterable[Expression],
    body: Operand,
    prior: Operand,
    strength: Operand,
    last: Operand | None = None,
    by: Operand | None = None,
) -> Expression:
    """The share of settings of ``body`` for which ``formula`` holds, smoothed."""
    inner = f"{_within(formula, 0)} for {_listed(variables)} : {_within(body, 0)}{_last(last, by)}"
    tail = f"prior {_within(prior, _SUM)} of {_within(strength, _SUM)}"
    return Expression(f"rate {{ {inner} {tail} }}")


def log(term: Operand) -> Expression:
    """Natural logarithm."""
    return _function("log", term)


def log1p(term: Operand) -> Expression:
    """``log(1 + term)``."""
    return _function("log1p", term)


def exp(term: Operand) -> Expression:
    """Exponential."""
    return _function("exp", term)


def sqrt(term: Operand) -> Expression:
    """Square root."""
    return _function("sqrt", term)


def floor(term: Operand) -> Expression:
    """Greatest whole number that is not above it."""
    return _function("floor", term)


def least(*terms: Operand) -> Expression:
    """``min(a, b)``."""
    return _function("min", *terms)


def greatest(*terms: Operand) -> Expression:
    """``max(a, b)``."""
    return _function("max", *terms)


# ---------------------------------------------------------------- text


def _within(value: object, strength: int) -> str:
    """Text of an operand, in parentheses where it binds weaker than ``strength``."""
    if not isinstance(value, Expression):
        text = _plain(value)
        value = Expression(text, _UNARY if text.startswith("-") else _PRIMARY)
    return value.text if value.strength >= strength else f"({value.text})"


def _infix(
    left: object, sign: str, right: object, own: int, on_left: int, on_right: int
) -> Expression:
    return Expression(f"{_within(left, on_left)} {sign} {_within(right, on_right)}", own)


def _connect(left: Expression, sign: str, right: Operand, own: int) -> Expression:
    for side in (left, right):
        if isinstance(side, Expression) and side.shifted:
            raise _tight(side, sign)
    return _infix(left, sign, right, own, own, _AND if own == _OR else _NOT)


def _tight(side: Expression, sign: str) -> ProgramError:
    return ProgramError(
        f"Python read `{side.text}` before `{sign}`, for `>>` binds tighter",
        code="KR113",
        help="write `(A & B) >> C`, or `implies(B, C)` where the implication is a part",
    )


def _function(name: str, *terms: Operand) -> Expression:
    return Expression(f"{name}({', '.join(_within(term, _SUM) for term in terms)})")


def _plain(value: object) -> str:
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


def _option(value: Option) -> str:
    if isinstance(value, Kind):
        return value.text
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_option, value))}]"
    return _plain(value)


def _name(place: Place) -> str:
    return place if isinstance(place, str) else place.name


def _signature(name: str, places: Iterable[Place], named: dict[str, Place]) -> str:
    parts = [_name(place) for place in places]
    parts += [f"{label}: {_name(place)}" for label, place in named.items()]
    return f"{name}({', '.join(parts)})"


def _inside(within: Symbol | None) -> str:
    return "" if within is None else f" within {within.name}"


def _listed(variables: Expression | Iterable[Expression]) -> str:
    if isinstance(variables, Expression):
        return variables.text
    return ", ".join(variable.text for variable in variables)


def _last(last: Operand | None, by: Operand | None) -> str:
    if last is None or by is None:
        return ""
    return f" last {_within(last, _SUM)} by {_within(by, _SUM)}"


def _per(variables: Iterable[Expression]) -> list[str]:
    names = ", ".join(variable.text for variable in variables)
    return [f"per {names}"] if names else []


def _feature(feature: Operand | None) -> list[str]:
    return [] if feature is None else [f"* {_within(feature, _PRODUCT)}"]
