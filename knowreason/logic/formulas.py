"""Formulas: first-order logic over predicates, comparisons and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from knowreason.diagnostics import Span
from knowreason.logic.terms import Term, Variable, span_field

ComparisonOperator = Literal["=", "!=", "<", "<=", ">", ">="]


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
