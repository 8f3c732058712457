"""A program: what the world consists of, what is asked, what is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeVar

from knowreason.diagnostics import Span
from knowreason.errors import ProgramError, UnknownNameError, did_you_mean
from knowreason.logic.formulas import Formula
from knowreason.logic.label_reads import label_readers
from knowreason.logic.terms import Constant, Term, Value, Variable, span_field

T = TypeVar("T")
PredicateKind = Literal["observed", "query", "latent", "defined"]

STATED_MEAN, STATED_SD = 2.0, 1.5  # a rule without a bracket (algorithms, section 4)
OPEN_SD = 2.0  # a rule with `?`


@dataclass(frozen=True, slots=True)
class Domain:
    """A sort of things. ``members`` is ``None`` for an open domain."""

    name: str
    members: tuple[str, ...] | None = None
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument place: its sort, its name if it has one, and its functional mark."""

    sort: str
    name: str | None = None
    functional: Literal["", "!", "?"] = ""


@dataclass(frozen=True, slots=True)
class Predicate:
    """A declared predicate (``observed``, ``query`` or ``latent``)."""

    name: str
    kind: PredicateKind
    arguments: tuple[Argument, ...]
    symmetric: bool = False
    within: str | None = None
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
        """Whether ground atoms of it are unknowns."""
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
    """A function from data: ``attribute at(Event): time clock``."""

    name: str
    arguments: tuple[Argument, ...]
    sort: str
    clock: bool = False
    span: Span | None = span_field()

    @property
    def sorts(self) -> tuple[str, ...]:
        """Sort of each argument place."""
        return tuple(argument.sort for argument in self.arguments)


@dataclass(frozen=True, slots=True)
class Definition:
    """A derived predicate (``body`` a formula, ``sort`` ``None``) or derived attribute.

    Variables of the body that are not parameters are existential.
    """

    name: str
    parameters: tuple[Variable, ...]
    body: Formula | Term
    sort: str | None = None
    span: Span | None = span_field()

    @property
    def is_predicate(self) -> bool:
        """Whether it defines a predicate rather than an attribute."""
        return self.sort is None

    @property
    def sorts(self) -> tuple[str, ...]:
        """Sort of each parameter."""
        return tuple(parameter.sort for parameter in self.parameters)


@dataclass(frozen=True, slots=True)
class Parameter:
    """``param horizon = 1h``."""

    name: str
    value: Constant
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A model kind with its options: ``noisy(gnn(level="edge"), passes=10)``."""

    kind: str
    positional: tuple[OptionValue, ...] = ()
    options: tuple[tuple[str, OptionValue], ...] = ()


OptionValue = Value | tuple["OptionValue", ...] | ModelCall


@dataclass(frozen=True, slots=True)
class ModelDeclaration:
    """``model m for P, Q = kind(options)``."""

    name: str
    predicates: tuple[str, ...]
    call: ModelCall
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Weight:
    """How much a rule weighs and how that is known (language, section 4).

    Attributes:
        kind: ``stated`` (no bracket), ``open`` (``[?]``), ``given`` (``[1.5]``), ``hard``.
        value: the given weight, or the written prior mean; ``None`` where none is written.
        sign: ``>=``, ``<=`` or empty: the bound at zero that was written.
        per: the variables a weight is learned for each value of.
        feature: what multiplies the truth of the formula.
    """

    kind: Literal["stated", "open", "given", "hard"]
    value: float | None = None
    sign: Literal["", ">=", "<="] = ""
    per: tuple[Variable, ...] = ()
    feature: Term | None = None

    @property
    def is_learned(self) -> bool:
        """Whether training may change it."""
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
class Rule:
    """A weighted formula; ``variables`` are its free ones in order of appearance."""

    name: str
    weight: Weight
    formula: Formula
    variables: tuple[Variable, ...]
    span: Span | None = span_field()


@dataclass(frozen=True)
class Program:
    """A checked program. Frozen and hashable; ``str`` prints canonical text."""

    domains: tuple[Domain, ...] = ()
    predicates: tuple[Predicate, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    definitions: tuple[Definition, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    models: tuple[ModelDeclaration, ...] = ()
    rules: tuple[Rule, ...] = ()

    def domain(self, name: str) -> Domain:
        """The domain of that name; raises :class:`UnknownNameError`."""
        return _find(self._domains, name, "domain")

    def predicate(self, name: str) -> Predicate:
        """The declared predicate of that name; raises :class:`UnknownNameError`."""
        return _find(self._predicates, name, "predicate")

    def attribute(self, name: str) -> Attribute:
        """The declared attribute of that name; raises :class:`UnknownNameError`."""
        return _find(self._attributes, name, "attribute")

    def definition(self, name: str) -> Definition:
        """The definition of that name; raises :class:`UnknownNameError`."""
        return _find(self._definitions, name, "definition")

    def rule(self, name: str) -> Rule:
        """The rule of that name; raises :class:`UnknownNameError`."""
        return _find(self._rules, name, "rule")

    def parameter_value(self, name: str) -> Constant:
        """Value of a ``param``; raises :class:`UnknownNameError`."""
        return _find(self._parameters, name, "parameter").value

    def kind_of(self, predicate: str) -> PredicateKind:
        """``observed``, ``query``, ``latent`` or ``defined``."""
        if predicate in self._predicates:
            return self._predicates[predicate].kind
        definition = _find(self._definitions, predicate, "predicate")
        if definition.is_predicate:
            return "defined"
        raise UnknownNameError(f"`{predicate}` is an attribute, not a predicate", code="KR201")

    def sorts_of(self, name: str) -> tuple[str, ...]:
        """Argument sorts of a predicate, attribute or definition."""
        for table in (self._predicates, self._attributes, self._definitions):
            if name in table:
                return table[name].sorts
        raise UnknownNameError(f"`{name}` is not declared", code="KR201")

    def is_open(self, predicate: str) -> bool:
        """Whether ground atoms of it are unknowns (``query`` or ``latent``)."""
        return self.kind_of(predicate) in ("query", "latent")

    @property
    def open_predicates(self) -> tuple[Predicate, ...]:
        """Query and latent predicates, in the order they are declared."""
        return tuple(predicate for predicate in self.predicates if predicate.is_open)

    def models_for(self, predicate: str) -> tuple[ModelDeclaration, ...]:
        """Models declared for a predicate."""
        return tuple(model for model in self.models if predicate in model.predicates)

    def clock_of(self, domain: str) -> Attribute | None:
        """The attribute that says when a thing of the domain happened, if one is marked."""
        for attribute in self.attributes:
            if attribute.clock and attribute.sorts == (domain,):
                return attribute
        return None

    def with_parameters(self, values: Mapping[str, Constant]) -> Program:
        """The same program with some parameters replaced.

        Raises:
            UnknownNameError: for a name that is no parameter.
            ProgramError: for a value of another sort.
        """
        for name, value in values.items():
            declared = self.parameter_value(name)
            if declared.sort != value.sort and (declared.sort, value.sort) != ("float", "int"):
                raise ProgramError(
                    f"parameter `{name}` is a {declared.sort}, not a {value.sort}", code="KR211"
                )
        parameters = tuple(
            replace(parameter, value=values.get(parameter.name, parameter.value))
            for parameter in self.parameters
        )
        return replace(self, parameters=parameters)

    def __iter__(self) -> Iterator[object]:
        for part in (
            self.domains,
            self.predicates,
            self.attributes,
            self.parameters,
            self.definitions,
            self.models,
            self.rules,
        ):
            yield from part

    def __str__(self) -> str:
        from knowreason.logic.text import program_text

        return program_text(self)

    @cached_property
    def label_readers(self) -> Mapping[str, frozenset[str]]:
        """By definition that reads labels, the query predicates whose labels it reads."""
        return label_readers(self)

    @cached_property
    def _domains(self) -> dict[str, Domain]:
        return {domain.name: domain for domain in self.domains}

    @cached_property
    def _predicates(self) -> dict[str, Predicate]:
        return {predicate.name: predicate for predicate in self.predicates}

    @cached_property
    def _attributes(self) -> dict[str, Attribute]:
        return {attribute.name: attribute for attribute in self.attributes}

    @cached_property
    def _definitions(self) -> dict[str, Definition]:
        return {definition.name: definition for definition in self.definitions}

    @cached_property
    def _parameters(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def _rules(self) -> dict[str, Rule]:
        return {rule.name: rule for rule in self.rules}


def _find(table: Mapping[str, T], name: str, what: str) -> T:
    if name in table:
        return table[name]
    raise UnknownNameError(
        f"no {what} is called `{name}`", code="KR201", help=did_you_mean(name, table)
    )
