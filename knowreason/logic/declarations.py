"""What a program declares: domains, predicates, attributes, definitions, models and rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from knowreason.diagnostics import Span
from knowreason.logic.formulas import Constant, Formula, Term, Value, Variable, span_field

PredicateKind = Literal["observed", "query", "latent", "defined"]

STATED_MEAN, STATED_SD = 2.0, 1.5  # a rule without a bracket
OPEN_SD = 2.0  # a rule with `?`


@dataclass(frozen=True, slots=True)
class Domain:
    """A sort of things. ``members`` is ``None`` for an open domain.

    >>> import knowreason as kr
    >>> kr.testing.example_program().domain("Colour").members
    ('red', 'green', 'blue')
    """

    name: str
    members: tuple[str, ...] | None = None
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument place: its sort, its name if it has one, and its functional mark.

    >>> import knowreason as kr
    >>> kr.testing.example_program().predicate("Has").arguments[1]
    Argument(sort='Colour', name='colour', functional='!')
    """

    sort: str
    name: str | None = None
    functional: Literal["", "!", "?"] = ""


@dataclass(frozen=True, slots=True)
class Predicate:
    """A declared predicate (``observed``, ``query`` or ``latent``).

    A latent one that ``sees`` a query predicate asks the same of the same things: its models learn
    from the labels of that one. ``within`` is then that of the predicate it sees.

    >>> import knowreason as kr
    >>> has = kr.testing.example_program().predicate("Has")
    >>> has.kind, has.sorts, has.functional_position
    ('query', ('Node', 'Colour'), 1)
    """

    name: str
    kind: PredicateKind
    arguments: tuple[Argument, ...]
    symmetric: bool = False
    within: str | None = None
    sees: str | None = None
    span: Span | None = span_field()

    @property
    def arity(self) -> int:
        """Number of argument places."""
        return len(self.arguments)

    @property
    def sorts(self) -> tuple[str, ...]:
        """Sort of each argument place."""
        return tuple(argument.sort for argument in self.arguments)

    @property
    def is_open(self) -> bool:
        """Whether ground atoms of the predicate are unknowns."""
        return self.kind in ("query", "latent")

    @property
    def functional_position(self) -> int | None:
        """Index of the argument marked ``!`` or ``?``, ``None`` without one."""
        for position, argument in enumerate(self.arguments):
            if argument.functional:
                return position
        return None


@dataclass(frozen=True, slots=True)
class Attribute:
    """A function from data: ``attribute at(Event): time clock``.

    One that is ``asked`` is a numeric query, ``query affinity(Drug, Target): float within C``: the
    data give labels, and its values are those that its model estimates.

    >>> import knowreason as kr
    >>> kr.testing.example_program().attribute("at").clock
    True
    """

    name: str
    arguments: tuple[Argument, ...]
    sort: str
    clock: bool = False
    asked: bool = False
    within: str | None = None
    span: Span | None = span_field()

    @property
    def sorts(self) -> tuple[str, ...]:
        """Sort of each argument place."""
        return tuple(argument.sort for argument in self.arguments)


@dataclass(frozen=True, slots=True)
class Definition:
    """A derived predicate (``body`` a formula, ``sort`` ``None``) or derived attribute.

    Variables of the body that are not parameters are existential.

    >>> import knowreason as kr
    >>> program = kr.loads('''domain N
    ... observed Near(N, N)
    ... define Loop(x) := Near(x, x)''')
    >>> program.definition("Loop").is_predicate
    True
    """

    name: str
    parameters: tuple[Variable, ...]
    body: Formula | Term
    sort: str | None = None
    span: Span | None = span_field()

    @property
    def is_predicate(self) -> bool:
        """Whether a predicate is defined, rather than an attribute."""
        return self.sort is None

    @property
    def sorts(self) -> tuple[str, ...]:
        """Sort of each parameter."""
        return tuple(parameter.sort for parameter in self.parameters)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named constant: ``param horizon = 1h``.

    >>> import knowreason as kr
    >>> program = kr.loads("param horizon = 1h")
    >>> program.parameters[0].value
    Constant(value=3600000000, sort='duration')
    """

    name: str
    value: Constant
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A model kind with its options: ``noisy(gnn(level="edge"), passes=10)``.

    >>> import knowreason as kr
    >>> program = kr.loads('''domain N
    ... query Bad(N)
    ... model m for Bad = trees(seed=3)''')
    >>> program.models[0].call
    ModelCall(kind='trees', positional=(), options=(('seed', 3),))
    """

    kind: str
    positional: tuple[OptionValue, ...] = ()
    options: tuple[tuple[str, OptionValue], ...] = ()


OptionValue = Value | tuple["OptionValue", ...] | ModelCall


@dataclass(frozen=True, slots=True)
class ModelDeclaration:
    """The model of some predicates: ``model m for P, Q = kind(options)``.

    >>> import knowreason as kr
    >>> program = kr.loads('''domain N
    ... query Bad(N)
    ... model m for Bad = trees(seed=3)''')
    >>> program.models[0].predicates
    ('Bad',)
    """

    name: str
    predicates: tuple[str, ...]
    call: ModelCall
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Weight:
    """The weight of a rule: given, learned with a prior, or hard.

    Attributes:
        kind: ``stated`` (no bracket), ``open`` (``[?]``), ``given`` (``[1.5]``), ``hard``,
            ``shadow``.
        value: the given weight, or the written prior mean; ``None`` where none is written.
        sign: ``>=``, ``<=`` or empty: the bound at zero that was written.
        per: the variables a weight is learned for each value of.
        feature: what multiplies the truth of the formula.
        written: the value as text where it was no log-odds: ``80%``, ``odds 4``.

    >>> weight = Weight("open", sign=">=")
    >>> weight.is_learned, weight.prior_mean, weight.bounds
    (True, 2.0, (0.0, inf))
    """

    kind: Literal["stated", "open", "given", "hard", "shadow"]
    value: float | None = None
    sign: Literal["", ">=", "<="] = ""
    per: tuple[Variable, ...] = ()
    feature: Term | None = None
    written: str = ""

    @property
    def is_learned(self) -> bool:
        """Whether training may change the weight."""
        return self.kind in ("stated", "open")

    @property
    def prior_mean(self) -> float:
        """Prior mean, and the start of learning; the weight itself when it is given."""
        if self.value is not None:
            return self.value
        if self.kind == "stated":
            return STATED_MEAN
        return {"": 0.0, ">=": STATED_MEAN, "<=": -STATED_MEAN}[self.sign]

    @property
    def prior_sd(self) -> float:
        """Prior standard deviation."""
        return STATED_SD if self.kind == "stated" else OPEN_SD

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest admissible weight."""
        lower = 0.0 if self.kind == "stated" or self.sign == ">=" else float("-inf")
        upper = 0.0 if self.sign == "<=" else float("inf")
        return lower, upper


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a rule should come to on data: ``precision >= 0.3``.

    ``written`` is the amount as text where it was no plain number: ``30%``.

    >>> import knowreason as kr
    >>> program = kr.loads('''domain N
    ... observed Odd(N)
    ... query Bad(N)
    ... rule odd : Odd(x) => Bad(x) expect fires <= 9''')
    >>> program.rule("odd").expected
    (Expectation(figure='fires', operator='<=', amount=9.0, written=''),)
    """

    figure: Literal["precision", "recall", "fires"]
    operator: Literal[">=", "<="]
    amount: float
    written: str = ""
    span: Span | None = span_field()

    def allows(self, value: float) -> bool:
        """Whether a figure is as expected."""
        return value >= self.amount if self.operator == ">=" else value <= self.amount


@dataclass(frozen=True, slots=True)
class Rule:
    """A weighted formula; ``variables`` are its free ones in order of appearance.

    >>> import knowreason as kr
    >>> program = kr.loads('''domain N
    ... query Bad(N)
    ... rule seldom [-1] : Bad(x)''')
    >>> program.rule("seldom").weight.value
    -1.0
    """

    name: str
    weight: Weight
    formula: Formula
    variables: tuple[Variable, ...]
    expected: tuple[Expectation, ...] = ()
    span: Span | None = span_field()


Statement = Domain | Predicate | Attribute | Definition | Parameter | ModelDeclaration | Rule
