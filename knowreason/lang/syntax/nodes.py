"""Syntax nodes: what a statement says before names and sorts are looked up.

Every node is immutable, compares by content and has a ``span`` that takes no part in
comparison. Formulas and terms share one family, :data:`Expression`; elaboration
(:mod:`knowreason.lang.check.elaboration`) tells them apart by sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Literal as Choice

from knowreason.diagnostics import Span
from knowreason.logic.formulas import AggregateKind, ComparisonOperator

LiteralKind = Choice["number", "duration", "months", "string", "bool"]
Mark = Choice["", "!", "?"]


def _span() -> Span:
    return field(default=None, compare=False, repr=False)  # type: ignore[return-value]  # a field


def _start_of(span: Span, text: str) -> Span:
    return Span(span.source, span.start, span.start + len(text))


@dataclass(frozen=True, slots=True)
class Name:
    """A name: of a variable, a parameter, or the name part of another node."""

    text: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Wild:
    """``_``."""

    span: Span = _span()


@dataclass(frozen=True, slots=True)
class LiteralNode:
    """A number, a duration (in microseconds), months, a string, or ``true``/``false``."""

    kind: LiteralKind
    value: bool | int | float | str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Named:
    """A named argument of a call: ``dst: y``."""

    name: Name
    value: Expression
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Call:
    """``P(x, dst: y)`` or ``at(e)``."""

    name: str
    arguments: tuple[Expression | Named, ...]
    span: Span = _span()

    @property
    def name_span(self) -> Span:
        """Where the name stands: a call begins with it."""
        return _start_of(self.span, self.name)


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A built-in function: ``log(...)``, ``min(a, b)``."""

    name: str
    arguments: tuple[Expression | Named, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Negative:
    """``-x``."""

    operand: Expression
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right`` with one of ``+ - * /``."""

    operator: str
    left: Expression
    right: Expression
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Chain:
    """Comparisons side by side: ``a < b <= c`` has three operands and two operators."""

    operands: tuple[Expression, ...]
    operators: tuple[ComparisonOperator, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class MemberNode:
    """``value in { "a", "b" }``."""

    value: Expression
    members: tuple[LiteralNode | Name, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Choosing:
    """``if condition then one else other``."""

    condition: Expression
    one: Expression
    other: Expression
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class NotNode:
    """Negation."""

    operand: Expression
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Connective:
    """``left operator right`` with one of ``& | => <=> <~> ~>``, the last also with a word."""

    operator: str
    left: Expression
    right: Expression
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Quantified:
    """``forall x, y. body`` or ``exists x. body``."""

    kind: str
    names: tuple[Name, ...]
    body: Expression
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class AggregateNode:
    """``count { x : F }``, ``sum { e for x : F }``, ``rate { F for x : G prior p of n }``.

    For ``count``, ``bound`` holds whatever was written before the colon; for the others
    the names after ``for``.
    """

    kind: AggregateKind
    value: Expression | None
    bound: tuple[Expression, ...]
    body: Expression
    last: Expression | None = None
    by: Expression | None = None
    prior: Expression | None = None
    strength: Expression | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class CountListNode:
    """``count { F1, F2 }``."""

    formulas: tuple[Expression, ...]
    span: Span = _span()


Expression = (
    Name
    | Wild
    | LiteralNode
    | Call
    | FunctionCall
    | Negative
    | Binary
    | Chain
    | MemberNode
    | Choosing
    | NotNode
    | Connective
    | Quantified
    | AggregateNode
    | CountListNode
)
Argument = Expression | Named


@dataclass(frozen=True, slots=True)
class Import:
    """``import "other.kr"``."""

    path: LiteralNode
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class DomainItem:
    """A domain, with its members when it is enumerated."""

    name: Name
    members: tuple[LiteralNode, ...] | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class DomainStatement:
    """``domain D, E`` or ``domain D = { "a" }``."""

    items: tuple[DomainItem, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Place:
    """An argument place of a declaration: sort, name and functional mark."""

    sort: Name
    name: Name | None = None
    mark: Mark = ""
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class PredicateStatement:
    """``observed``, ``query`` or ``latent``; ``tie`` is the bracket after ``sees P``."""

    kind: Choice["observed", "query", "latent"]
    name: Name
    places: tuple[Place, ...]
    symmetric: bool
    within: Name | None
    span: Span = _span()
    sees: Name | None = None
    tie: WeightNode | None = None


@dataclass(frozen=True, slots=True)
class AttributeStatement:
    """``attribute f(D): T``, or ``query f(D): T`` of which a model says the values."""

    name: Name
    places: tuple[Place, ...]
    sort: Name
    clock: bool
    span: Span = _span()
    asked: bool = False
    within: Name | None = None


@dataclass(frozen=True, slots=True)
class DefineStatement:
    """``define P(x) := body``."""

    name: Name
    parameters: tuple[Name, ...]
    body: Expression
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ParamStatement:
    """``param name = literal``."""

    name: Name
    value: LiteralNode
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a model, named or not."""

    name: Name | None
    value: OptionNode
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class OptionList:
    """``[1, 2]`` as an option."""

    values: tuple[OptionNode, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ModelCallNode:
    """``kind(options)``."""

    kind: Name
    options: tuple[Option, ...]
    span: Span = _span()


OptionNode = LiteralNode | OptionList | ModelCallNode


@dataclass(frozen=True, slots=True)
class ModelStatement:
    """``model m for P, Q = kind(options)``."""

    name: Name
    predicates: tuple[Name, ...]
    call: ModelCallNode
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Chance:
    """A weight as a probability in percent, ``80%``, or as ``odds 4``."""

    form: Choice["%", "odds"]
    amount: float
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class WeightNode:
    """What stands in the square brackets of a rule."""

    kind: Choice["bare", "given", "open", "hard", "shadow"]
    value: LiteralNode | Chance | None
    sign: Choice["", ">=", "<="]
    bound: LiteralNode | None
    per: tuple[Name, ...]
    feature: Expression | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ExpectationNode:
    """``precision >= 0.3`` behind ``expect``."""

    figure: Name
    operator: Choice[">=", "<="]
    amount: LiteralNode | Chance
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class RuleStatement:
    """``rule name [weight] : formula expect precision >= 0.3``."""

    name: Name
    weight: WeightNode | None
    body: Expression
    expected: tuple[ExpectationNode, ...] = ()
    span: Span = _span()


Statement = (
    Import
    | DomainStatement
    | PredicateStatement
    | AttributeStatement
    | DefineStatement
    | ParamStatement
    | ModelStatement
    | RuleStatement
)


@dataclass(frozen=True, slots=True)
class Fact:
    """An atom of a facts file, its negation, or a value."""

    name: Name
    arguments: tuple[LiteralNode, ...]
    positive: bool
    value: LiteralNode | None
    span: Span = _span()


def children(node: object) -> Iterator[object]:
    """The nodes directly below a node, in order."""
    for item in fields(node):  # type: ignore[arg-type]  # nodes are dataclasses
        value = getattr(node, item.name)
        if isinstance(value, tuple):
            yield from value
        elif value is not None and item.name != "span":
            yield value


def depth(node: object, limit: int) -> int:
    """Nesting depth of a node, counted without recursion; stops above ``limit``."""
    level, layer = 0, [node]
    while layer and level <= limit:
        layer = [below for above in layer if hasattr(above, "span") for below in children(above)]
        level += 1
    return level
