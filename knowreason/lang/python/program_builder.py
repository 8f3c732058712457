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

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from knowreason.lang.program_loader import loads
from knowreason.lang.python.operators import (
    IMPLIES,
    NOT,
    PRODUCT,
    SUM,
    Expression,
    Operand,
    Plain,
    anything,
    directed,
    embed,
    function,
    iff,
    implies,
    neutral,
    plain,
)
from knowreason.logic import Program

__all__ = [
    "HARD",
    "Expression",
    "Kind",
    "Statement",
    "Symbol",
    "WeightForm",
    "aggregate",
    "anything",
    "at_most_one",
    "attribute",
    "choose",
    "count",
    "count_of",
    "define",
    "directed",
    "domain",
    "exactly_one",
    "exists",
    "exp",
    "floor",
    "forall",
    "given",
    "greatest",
    "hour",
    "iff",
    "implies",
    "kind",
    "latent",
    "learned",
    "least",
    "log",
    "log1p",
    "matches",
    "missing",
    "model",
    "month",
    "months",
    "neutral",
    "number",
    "observed",
    "param",
    "program",
    "program_source",
    "query",
    "rate",
    "rule",
    "sqrt",
    "starts_with",
    "var",
    "weekday",
]


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
        parts = [embed(argument, SUM) for argument in arguments]
        parts += [f"{name}: {embed(argument, SUM)}" for name, argument in named.items()]
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
    return Statement(f"domain {name} = {{ {', '.join(map(plain, members))} }}", name)


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


def number(name: str, *places: Place, within: Symbol | None = None, **named: Place) -> Symbol:
    """A numeric query: a number that is asked, and that its model estimates."""
    return Symbol(f"query {_signature(name, places, named)}: float{_inside(within)}", name)


def latent(
    name: str,
    *places: Place,
    within: Symbol | None = None,
    sees: Symbol | None = None,
    tie: WeightForm | float | None = None,
    **named: Place,
) -> Symbol:
    """An open-world predicate that is never labelled; one that ``sees`` a query predicate is a
    view of it, tied to it by a rule where ``tie`` gives the weight."""
    form = given(tie) if isinstance(tie, (int, float)) else tie
    tail = _inside(within) if sees is None else f" sees {sees.name}"
    tail += "" if form is None else f" {form.text}"
    return Symbol(f"latent {_signature(name, places, named)}{tail}", name)


def attribute(name: str, *places: Place, sort: Place, clock: bool = False) -> Symbol:
    """A function from data with values of a sort."""
    tail = " clock" if clock else ""
    return Symbol(f"attribute {_signature(name, places, {})}: {_name(sort)}{tail}", name)


def param(name: str, value: Plain) -> Expression:
    """A constant that may be overridden: a statement, and the term that stands for its value."""
    return Expression(name, statement=f"param {name} = {plain(value)}")


def define(name: str, variables: Iterable[Expression], body: Operand) -> Symbol:
    """A derived predicate or attribute."""
    heads = ", ".join(variable.text for variable in variables)
    return Symbol(f"define {name}({heads}) := {embed(body, 0)}", name)


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
SHADOW = WeightForm("[shadow]")


def learned(
    mean: float | str | None = None,
    sign: str = "",
    per: Iterable[Expression] = (),
    feature: Operand | None = None,
) -> WeightForm:
    """``[? mean sign 0 per x * feature]``; ``sign`` is ``">="``, ``"<="`` or empty.

    A mean is log-odds, or a text: ``"80%"``, ``"odds 4"``.
    """
    parts = ["?"] + ([] if mean is None else [_amount(mean)]) + ([f"{sign} 0"] if sign else [])
    return WeightForm(f"[{' '.join([*parts, *_per(per), *_feature(feature)])}]")


def given(value: float | str, feature: Operand | None = None) -> WeightForm:
    """``[value * feature]``, log-odds or ``"80%"``: training leaves it alone."""
    return WeightForm(f"[{' '.join([_amount(value), *_feature(feature)])}]")


def _amount(value: float | str) -> str:
    return value if isinstance(value, str) else plain(value)


def rule(
    name: str, formula: Operand, weight: WeightForm | float | None = None, expect: str = ""
) -> Statement:
    """A weighted formula: no weight is a belief, a number is given.

    ``expect`` is what it should come to on data: ``"precision >= 0.3, fires <= 200"``.
    """
    form = given(weight) if isinstance(weight, (int, float)) else weight
    bracket = "" if form is None else f" {form.text}"
    tail = f" expect {expect}" if expect else ""
    return Statement(f"rule {name}{bracket} : {embed(formula, 0)}{tail}", name)


# ---------------------------------------------------------------- formulas and terms


def var(names: str) -> Any:
    """A variable (an :class:`Expression`), or a tuple of them for names with spaces between."""
    variables = tuple(Expression(name) for name in names.replace(",", " ").split())
    return variables[0] if len(variables) == 1 else variables


def forall(variables: Expression | Iterable[Expression], body: Operand) -> Expression:
    """``forall x, y. body``."""
    return Expression(f"forall {_listed(variables)}. {embed(body, NOT)}", IMPLIES)


def exists(variables: Expression | Iterable[Expression], body: Operand) -> Expression:
    """``exists x, y. body``."""
    return Expression(f"exists {_listed(variables)}. {embed(body, NOT)}", IMPLIES)


def count(
    variables: Expression | Iterable[Expression],
    body: Operand,
    last: Operand | None = None,
    by: Operand | None = None,
) -> Expression:
    """``count { x, y : body last n by expr }``."""
    return Expression(f"count {{ {_listed(variables)} : {embed(body, 0)}{_last(last, by)} }}")


def count_of(*formulas: Operand) -> Expression:
    """``count { F1, F2 }``: how many hold."""
    return Expression(f"count {{ {', '.join(embed(formula, 0) for formula in formulas)} }}")


def aggregate(
    name: str,
    value: Operand,
    variables: Expression | Iterable[Expression],
    body: Operand,
    last: Operand | None = None,
    by: Operand | None = None,
) -> Expression:
    """``sum``, ``avg``, ``min`` or ``max`` of ``value`` for every setting of ``body``."""
    inner = f"{embed(value, 0)} for {_listed(variables)} : {embed(body, 0)}{_last(last, by)}"
    return Expression(f"{name} {{ {inner} }}")


def choose(condition: Operand, one: Operand, other: Operand) -> Expression:
    """``if condition then one else other``."""
    branches = f"then {embed(one, SUM)} else {embed(other, SUM)}"
    return Expression(f"if {embed(condition, IMPLIES)} {branches}", 0)


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
    inner = f"{embed(formula, 0)} for {_listed(variables)} : {embed(body, 0)}{_last(last, by)}"
    tail = f"prior {embed(prior, SUM)} of {embed(strength, SUM)}"
    return Expression(f"rate {{ {inner} {tail} }}")


def log(term: Operand) -> Expression:
    """Natural logarithm."""
    return function("log", term)


def log1p(term: Operand) -> Expression:
    """``log(1 + term)``."""
    return function("log1p", term)


def exp(term: Operand) -> Expression:
    """Exponential."""
    return function("exp", term)


def sqrt(term: Operand) -> Expression:
    """Square root."""
    return function("sqrt", term)


def floor(term: Operand) -> Expression:
    """Greatest whole number that is not above the operand."""
    return function("floor", term)


def hour(time: Operand, zone: str = "") -> Expression:
    """Hour of the day, 0 to 23, in the program's time zone or another."""
    return function("hour", time, *([zone] if zone else []))


def weekday(time: Operand, zone: str = "") -> Expression:
    """Day of the week: Monday is 1, Sunday 7."""
    return function("weekday", time, *([zone] if zone else []))


def month(time: Operand, zone: str = "") -> Expression:
    """Month of the year, 1 to 12."""
    return function("month", time, *([zone] if zone else []))


def months(count: int) -> Expression:
    """Months of the calendar, to add to or subtract from a time."""
    return Expression(f"{count}mo")


def starts_with(text: Operand, start: Operand) -> Expression:
    """Whether a text begins so."""
    return function("starts_with", text, start)


def matches(text: Operand, pattern: str) -> Expression:
    """Whether a text holds what a regular expression says."""
    return function("matches", text, pattern)


def missing(term: Operand) -> Expression:
    """Whether an attribute or definition has no value; never unknown."""
    return function("missing", term)


def least(*terms: Operand) -> Expression:
    """``min(a, b)``."""
    return function("min", *terms)


def greatest(*terms: Operand) -> Expression:
    """``max(a, b)``."""
    return function("max", *terms)


# ---------------------------------------------------------------- text


def _option(value: Option) -> str:
    if isinstance(value, Kind):
        return value.text
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_option, value))}]"
    return plain(value)


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
    return f" last {embed(last, SUM)} by {embed(by, SUM)}"


def _per(variables: Iterable[Expression]) -> list[str]:
    names = ", ".join(variable.text for variable in variables)
    return [f"per {names}"] if names else []


def _feature(feature: Operand | None) -> list[str]:
    return [] if feature is None else [f"* {embed(feature, PRODUCT)}"]
