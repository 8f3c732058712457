"""A program: what the world consists of, what is asked, what is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import TypeVar

from knowreason.diagnostics import Span
from knowreason.errors import UnknownNameError, did_you_mean
from knowreason.logic.canonical_text import statement_text
from knowreason.logic.declarations import (
    Attribute,
    Definition,
    Domain,
    ModelDeclaration,
    Parameter,
    Predicate,
    PredicateKind,
    Rule,
    Statement,
)
from knowreason.logic.formulas import Atom, Constant
from knowreason.logic.label_reads import label_readers
from knowreason.logic.time_zones import UTC_ZONE
from knowreason.notebook.cells import html_cell, html_text, listed

T = TypeVar("T")


@dataclass(frozen=True)
class Program:
    """The declarations and rules of a checked program; ``str`` prints canonical text.

    ``zone`` is the time zone of its calendar, and of times that name none. ``shadow_rules`` are
    measured only: they are not among ``rules``, which are grounded, learned and reasoned with.

    >>> import knowreason as kr
    >>> program = kr.loads('''domain N
    ... query Bad(N)
    ... rule seldom [-1] : Bad(x)''')
    >>> [predicate.name for predicate in program.open_predicates]
    ['Bad']
    """

    domains: tuple[Domain, ...] = ()
    predicates: tuple[Predicate, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    definitions: tuple[Definition, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    models: tuple[ModelDeclaration, ...] = ()
    rules: tuple[Rule, ...] = ()
    shadow_rules: tuple[Rule, ...] = ()
    zone: str = UTC_ZONE

    def __repr__(self) -> str:
        counts = [
            f"{len(found):,} {name}{'s' * (len(found) != 1)}"
            for name, found in (
                ("domain", self.domains),
                ("predicate", self.predicates),
                ("attribute", self.attributes),
                ("definition", self.definitions),
                ("model", self.models),
                ("rule", self.rules),
                ("shadow rule", self.shadow_rules),
            )
            if found
        ]
        queries = [one.name for one in self.predicates if one.kind == "query"]
        asked = listed([*queries, *(one.name for one in self.numeric_queries)])
        return f"Program({', '.join(counts) or 'empty'}; asks {asked or 'nothing'})"

    def _repr_html_(self) -> str:
        return html_cell(repr(self), html_text(str(self)))

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
        """The rule of that name, shadows too; raises :class:`UnknownNameError`."""
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
        """Whether ground atoms of the predicate are unknowns (``query`` or ``latent``)."""
        return self.kind_of(predicate) in ("query", "latent")

    def candidate_places(self, predicate: Predicate) -> tuple[int, ...]:
        """Argument places that `within` is about: all, or all but the functional one."""
        places = range(predicate.arity)
        if predicate.within is None or len(self.sorts_of(predicate.within)) == predicate.arity:
            return tuple(places)
        return tuple(place for place in places if place != predicate.functional_position)

    def candidacy(self, atom: Atom) -> Atom | None:
        """What says that an open atom is a candidate; ``None`` where every one is."""
        predicate = self.predicate(atom.predicate)
        if predicate.within is None:
            return None
        places = self.candidate_places(predicate)
        return Atom(predicate.within, tuple(atom.arguments[place] for place in places))

    @property
    def every_rule(self) -> tuple[Rule, ...]:
        """The rules, and then those that are shadows."""
        return (*self.rules, *self.shadow_rules)

    @property
    def open_predicates(self) -> tuple[Predicate, ...]:
        """Query and latent predicates, in the order they are declared."""
        return tuple(predicate for predicate in self.predicates if predicate.is_open)

    @property
    def numeric_queries(self) -> tuple[Attribute, ...]:
        """Attributes whose values models estimate, in the order they are declared."""
        return tuple(attribute for attribute in self.attributes if attribute.asked)

    @property
    def given_attributes(self) -> tuple[Attribute, ...]:
        """Attributes whose values the data give."""
        return tuple(attribute for attribute in self.attributes if not attribute.asked)

    def is_number(self, name: str) -> bool:
        """Whether the name is that of a numeric query."""
        return name in self._attributes and self._attributes[name].asked

    def asked(self, name: str) -> Predicate:
        """The predicate of that name; of a numeric query one with the same arguments."""
        if not self.is_number(name):
            return self.predicate(name)
        one = self._attributes[name]
        return Predicate(name, "query", one.arguments, within=one.within, span=one.span)

    def question_of(self, predicate: str) -> str:
        """The predicate whose labels models of an open one learn from: itself, or what it sees."""
        return self.asked(predicate).sees or predicate

    def views_of(self, predicate: str) -> tuple[str, ...]:
        """Names of the predicates that see a query predicate."""
        return tuple(view.name for view in self.predicates if view.sees == predicate)

    def models_for(self, predicate: str) -> tuple[ModelDeclaration, ...]:
        """Models declared for a predicate."""
        return tuple(model for model in self.models if predicate in model.predicates)

    def clock_of(self, domain: str) -> Attribute | None:
        """The attribute that says when a thing of the domain happened, if one is marked."""
        for attribute in self.attributes:
            if attribute.clock and attribute.sorts == (domain,):
                return attribute
        return None

    def __iter__(self) -> Iterator[Statement]:
        for kind in self._kinds:
            yield from kind

    def __str__(self) -> str:
        blocks = ("\n".join(map(statement_text, kind)) for kind in self._kinds if kind)
        return "\n\n".join(blocks) + "\n"

    @property
    def _kinds(self) -> tuple[tuple[Statement, ...], ...]:
        """Statements by kind, in the order of the canonical text."""
        return (
            self.domains,
            self.predicates,
            self.attributes,
            self.parameters,
            self.models,
            self.definitions,
            self.every_rule,
        )

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        """Every constant, as often as it stands in a statement."""
        return tuple(_constants(self))

    @cached_property
    def label_readers(self) -> Mapping[str, frozenset[str]]:
        """By definition that reads labels, the query predicates whose labels it reads."""
        bodies = {definition.name: definition.body for definition in self.definitions}
        return label_readers(bodies, {predicate.name for predicate in self.open_predicates})

    @cached_property
    def estimate_readers(self) -> Mapping[str, frozenset[str]]:
        """By definition that reads what models estimate, the numeric queries it reads."""
        bodies = {definition.name: definition.body for definition in self.definitions}
        return label_readers(bodies, {query.name for query in self.numeric_queries})

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
        return {rule.name: rule for rule in self.every_rule}


def _constants(node: object) -> Iterator[Constant]:
    if isinstance(node, Constant):
        yield node
    elif isinstance(node, tuple):
        for part in node:
            yield from _constants(part)
    elif is_dataclass(node) and not isinstance(node, Span):
        for part in fields(node):
            yield from _constants(getattr(node, part.name))


def _find(table: Mapping[str, T], name: str, what: str) -> T:
    if name in table:
        return table[name]
    raise UnknownNameError(
        f"no {what} is called `{name}`", code="KR201", help=did_you_mean(name, table)
    )
