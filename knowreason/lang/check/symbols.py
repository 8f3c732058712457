"""What is declared: the tables that expressions are looked up in, and the findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from knowreason.diagnostics import Diagnostic, Related, Severity, Span
from knowreason.errors import did_you_mean
from knowreason.lang.syntax import foreign_words as fw
from knowreason.logic import VALUE_SORTS, Program
from knowreason.logic.time_zones import UTC_ZONE

MOST_LOOKS = 50_000  # names compared for did-you-mean in one program, under a second
# functions whose names are words of the language only where nothing is declared under them
BUILT_IN = ("hour", "weekday", "month", "starts_with", "matches", "missing")
_WORDS = {"int": "a whole number", "float": "a number", "bool": "a truth value"}
Kind = Literal["observed", "query", "latent", "defined", "attribute", "param"]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a name of a predicate, attribute, definition or parameter stands for.

    Attributes:
        kind: a derived predicate or attribute is ``defined``.
        sorts: sort of each argument, ``None`` where a fault left it unknown.
        labels: name of each argument.
        result: sort of the value; ``None`` for predicates and where it is unknown.
        span: where the name is declared.
        asked: whether it is a numeric query.
    """

    name: str
    kind: Kind
    sorts: tuple[str | None, ...] = ()
    labels: tuple[str | None, ...] = ()
    result: str | None = None
    span: Span | None = None
    asked: bool = False

    @property
    def is_predicate(self) -> bool:
        """Whether the name makes atoms."""
        return is_capital(self.name)

    @property
    def is_open(self) -> bool:
        """Whether atoms of the name are unknowns."""
        return self.kind in ("query", "latent")


@dataclass
class Names:
    """Declared names and the findings so far.

    Attributes:
        domains: domain -> members (quick to look up), or ``None`` for an open one.
        symbols: predicates, attributes, definitions and parameters.
        literals: parameter -> sort of its literal.
        uses: parameter -> the domain or ``time`` its literal stands for, and where.
        broken: names whose declaration does not parse; nothing is said about their use.
        places: where each domain is declared.
        zone: the time zone of calendars, and of times that name none.
    """

    domains: dict[str, Collection[str] | None] = field(default_factory=dict)
    symbols: dict[str, Signature] = field(default_factory=dict)
    literals: dict[str, str] = field(default_factory=dict)
    uses: dict[str, tuple[str, Span]] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    places: dict[str, Span] = field(default_factory=dict)
    zone: str = UTC_ZONE
    found: list[Diagnostic] = field(default_factory=list)
    _offers: dict[tuple[str, str], str | None] = field(default_factory=dict)
    _looks: int = MOST_LOOKS

    def report(
        self,
        code: str,
        message: str,
        span: Span | None,
        label: str = "",
        *,
        related: Iterable[tuple[Span | None, str]] = (),
        help: str | None = None,
        severity: Severity = "error",
    ) -> None:
        """Add a finding."""
        others = tuple(Related(place, text) for place, text in related if place is not None)
        self.found.append(Diagnostic(code, message, severity, span, label, others, help))

    def unknown(
        self,
        what: str,
        name: str,
        span: Span,
        known: Iterable[str],
        code: str,
        help: str | None = None,
    ) -> None:
        """Report a name that is not declared, with the nearest one."""
        if name in self.broken:
            return
        foreign = _FOREIGN.get(what, {}).get(name.lower())
        offer = None if foreign else self.nearest(what, name, known)
        near = self._place_of(offer)
        self.report(
            code,
            f"unknown {what} `{name}`",
            span,
            "not declared in this program",
            related=[(near, f"{a_sort(what)} with a similar name is declared here")],
            help=foreign or offer or help,
        )

    def nearest(self, what: str, name: str, known: Iterable[str]) -> str | None:
        """A help line with the nearest name, as long as looking for it takes no long time."""
        if (what, name) not in self._offers:
            names = list(known)
            self._looks -= len(names)
            self._offers[what, name] = did_you_mean(name, names) if self._looks > 0 else None
        return self._offers[what, name]

    def place_called(self, name: str) -> str | None:
        """A help line where a predicate's argument has that name, and no attribute."""
        for symbol in self.symbols.values():
            if name in symbol.labels and symbol.sorts[symbol.labels.index(name)]:
                thing, value = symbol.sorts[0], symbol.sorts[symbol.labels.index(name)]
                return (
                    f"`{name}` is a place of `{symbol.name}`: write `{symbol.name}(x, {name}: y)` "
                    f"and use `y`, or declare `attribute {name}({thing}): {value}` and bind it"
                )
        return None

    def declared(self, wanted: str) -> list[str]:
        """Names of ``predicate``s, ``attribute``s or ``param``s, for did-you-mean."""
        tests: dict[str, Callable[[Signature], bool]] = {
            "predicate": lambda s: s.is_predicate,
            "attribute": lambda s: not s.is_predicate and s.kind != "param",
            "parameter": lambda s: s.kind == "param",
        }
        known = [name for name, symbol in self.symbols.items() if tests[wanted](symbol)]
        return known + [*BUILT_IN] * (wanted == "attribute")

    def is_built_in(self, name: str) -> bool:
        """Whether a call of that name is a built-in function: whatever is declared comes first."""
        symbol = self.symbols.get(name)
        return name in BUILT_IN and (symbol is None or symbol.kind == "param")

    def set_sorts(self, name: str, sorts: tuple[str | None, ...], result: str | None) -> None:
        """Fill in what was inferred about a definition."""
        self.symbols[name] = replace(self.symbols[name], sorts=sorts, result=result)

    def _place_of(self, offer: str | None) -> Span | None:
        if offer is None:
            return None
        name = offer.split("`")[1]
        return self.symbols[name].span if name in self.symbols else self.places.get(name)


_FOREIGN = {"attribute": fw.FUNCTIONS, "predicate": fw.FUNCTIONS, "sort": fw.SORTS}


def is_capital(name: str) -> bool:
    """Whether a name begins as a predicate does."""
    return name[:1].isupper()


def is_thing(sort: str | None) -> bool:
    """Whether a sort is a domain."""
    return sort is not None and sort not in VALUE_SORTS


def names_of(program: Program) -> Names:
    """The names of a finished program."""
    symbols: dict[str, Signature] = {}
    for predicate in program.predicates:
        labels = tuple(argument.name for argument in predicate.arguments)
        symbols[predicate.name] = Signature(
            predicate.name, predicate.kind, predicate.sorts, labels, None, predicate.span
        )
    for attribute in program.attributes:
        labels = tuple(argument.name for argument in attribute.arguments)
        symbols[attribute.name] = Signature(
            attribute.name,
            "attribute",
            attribute.sorts,
            labels,
            attribute.sort,
            attribute.span,
            attribute.asked,
        )
    for definition in program.definitions:
        labels = tuple(parameter.name for parameter in definition.parameters)
        symbols[definition.name] = Signature(
            definition.name, "defined", definition.sorts, labels, definition.sort, definition.span
        )
    for parameter in program.parameters:
        symbols[parameter.name] = Signature(
            parameter.name, "param", result=parameter.value.sort, span=parameter.span
        )
    literals = {parameter.name: parameter.value.sort for parameter in program.parameters}
    domains: dict[str, Collection[str] | None] = {
        d.name: None if d.members is None else dict.fromkeys(d.members) for d in program.domains
    }
    return Names(domains, symbols, literals, zone=program.zone)


def a_sort(sort: str) -> str:
    """A sort with its article, for messages."""
    return _WORDS.get(sort) or f"{'an' if sort[0] in 'AEIOUaeiou' else 'a'} {sort}"


def name_span(node: Any) -> Span | None:
    """Where the name of a declaration or rule stands, within its statement."""
    span: Span | None = node.span
    if span is None:
        return None
    text = span.source.text[span.start : span.end]
    match = re.search(rf"\b{re.escape(node.name)}\b", text)
    if match is None:
        return span
    return Span(span.source, span.start + match.start(), span.start + match.end())
