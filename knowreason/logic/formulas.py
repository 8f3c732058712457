"""Terms and formulas: first-order logic over predicates, comparisons and counts.

A term stands in an argument place or beside a comparison; aggregates are terms over formulas,
so both are defined here. Every node is immutable and compares by content; ``span`` says where it
was written and never takes part in comparison. A *sort* is the name of a domain or one of
:data:`VALUE_SORTS`. Times are microseconds since 1970 UTC and durations
microseconds, both Python ints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from knowreason.diagnostics import Span

VALUE_SORTS = ("int", "float", "bool", "string", "time", "duration")
INTEGER_SORTS = ("int", "time", "duration")  # their values are Python ints

Value = bool | int | float | str
AggregateKind = Literal["count", "sum", "avg", "min", "max", "rate"]
ComparisonOperator = Literal["=", "!=", "<", "<=", ">", ">="]


def span_field() -> Span | None:
    """A keyword-only dataclass field that no comparison looks at."""
    return field(default=None, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Variable:
    """A logical variable; ``sort`` is a domain."""

    name: str
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Wildcard:
    """``_``: some thing of the sort, existential at its own atom."""

    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal. For a domain sort the value is the thing's text."""

    value: Value
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class ParameterTerm:
    """A reference to a ``param``; its value is looked up in the program."""

    name: str
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class AttributeTerm:
    """The value of an attribute or a defined attribute: ``at(e)``, ``fan_out(h)``."""

    name: str
    arguments: tuple[Term, ...]
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Operation:
    """Arithmetic or a built-in function.

    ``operator`` is one of ``+ - * / neg abs log log1p exp sqrt min max floor``.
    """

    operator: str
    operands: tuple[Term, ...]
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Aggregate:
    """``count { x : F }``, ``sum { e for x : F }``, ``rate { F for f : G prior p of n }``.

    Attributes:
        kind: which aggregate; only ``count`` (without ``last``) may stand in a rule.
        value: the term (or formula, counting 0/1) aggregated; ``None`` for ``count``.
        variables: the bound variables; one row a distinct setting of them.
        body: which settings are taken.
        last: keep only so many rows, the greatest by ``by``.
        prior: for ``rate``, the share assumed over nothing.
        strength: for ``rate``, how many rows the prior counts for.
    """

    kind: AggregateKind
    value: Term | Formula | None
    variables: tuple[Variable, ...]
    body: Formula
    sort: str
    last: Term | None = None
    by: Term | None = None
    prior: Term | None = None
    strength: Term | None = None
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class CountList:
    """``count { F1, F2, ... }``: how many of the formulas hold."""

    formulas: tuple[Formula, ...]
    sort: str = "int"
    span: Span | None = span_field()


Term = (
    Variable
    | Wildcard
    | Constant
    | ParameterTerm
    | AttributeTerm
    | Operation
    | Aggregate
    | CountList
)


# ---------------------------------------------------------------- formulas


@dataclass(frozen=True, slots=True)
class Truth:
    """``true`` or ``false``."""

    value: bool
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Atom:
    """A predicate (observed, query, latent or defined) applied to terms.

    Named arguments are resolved: ``arguments`` has one term a position.
    """

    predicate: str
    arguments: tuple[Term, ...]
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class BooleanTerm:
    """A term of sort ``bool`` standing as a formula."""

    term: Term
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left operator right``; chains are conjunctions of comparisons."""

    operator: ComparisonOperator
    left: Term
    right: Term
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    operand: Formula
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class And:
    """Conjunction of two or more formulas."""

    operands: tuple[Formula, ...]
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Or:
    """Disjunction of two or more formulas."""

    operands: tuple[Formula, ...]
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Implies:
    """Material implication, one potential (never split into clauses)."""

    left: Formula
    right: Formula
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Iff:
    """Equivalence, one potential."""

    left: Formula
    right: Formula
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class ForAll:
    """Universal quantifier over the bound variables."""

    variables: tuple[Variable, ...]
    body: Formula
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Exists:
    """Existential quantifier over the bound variables."""

    variables: tuple[Variable, ...]
    body: Formula
    span: Span | None = span_field()


Formula = Truth | Atom | BooleanTerm | Comparison | Not | And | Or | Implies | Iff | ForAll | Exists
