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
Combination = Literal["sum", "mean", "any"]
ComparisonOperator = Literal["=", "!=", "<", "<=", ">", ">=", "in"]


def span_field() -> Span | None:
    """A keyword-only dataclass field that no comparison looks at."""
    return field(default=None, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Variable:
    """A logical variable; ``sort`` is a domain.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), "Bad(x)").arguments[0]
    Variable(name='x', sort='Node')
    """

    name: str
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Wildcard:
    """The wildcard ``_``: some thing of the sort, existential at its own atom.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), "Near(x, _)").arguments[1]
    Wildcard(sort='Node')
    """

    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant; for a domain sort the value is the name of a thing.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), 'Bad("n7")').arguments[0]
    Constant(value='n7', sort='Node')
    """

    value: Value
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class ParameterTerm:
    """A reference to a ``param``; its value is looked up in the program.

    >>> import knowreason as kr
    >>> program = kr.loads('''param most = 3
    ... domain N
    ... observed Near(N, N)''')
    >>> kr.lang.parse_formula(program, "count { y : Near(x, y) } > most").right
    ParameterTerm(name='most', sort='int')
    """

    name: str
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class AttributeTerm:
    """The value of an attribute or a defined attribute: ``at(e)``, ``fan_out(h)``.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), "Bad(x) & size(x) > 2").operands[1].left
    AttributeTerm(name='size', arguments=(Variable(name='x', sort='Node'),), sort='float')
    """

    name: str
    arguments: tuple[Term, ...]
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Operation:
    """Arithmetic or a built-in function.

    ``operator`` is one of ``+ - * / neg abs log log1p exp sqrt min max floor``, of the calendar's
    ``hour weekday month add_months subtract_months`` (a zone that is not UTC is the last operand),
    or ``starts_with``, ``matches`` and ``missing``.

    >>> import knowreason as kr
    >>> program = kr.testing.example_program()
    >>> kr.lang.parse_formula(program, "Bad(x) & 2 * size(x) > 1").operands[1].left.operator
    '*'
    """

    operator: str
    operands: tuple[Term, ...]
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class ConstantSet:
    """Constants of one sort, on the right of a comparison with ``in``.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), 'Near(x, "a") & x in { "b", "c" }')
    ... # doctest: +ELLIPSIS
    And(...right=ConstantSet(members=(Constant(value='b', ...
    """

    members: tuple[Constant | ParameterTerm, ...]
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Conditional:
    """One of two terms, as a crisp formula says; missing where that is unknown.

    >>> import knowreason as kr
    >>> program = kr.testing.example_program()
    >>> kr.lang.parse_formula(program, "Bad(x) & (if size(x) > 2 then 1 else 0) = 1")
    ... # doctest: +ELLIPSIS
    And(...left=Conditional(condition=Comparison(...
    """

    condition: Formula
    one: Term
    other: Term
    sort: str
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate over the settings of variables: ``count { x : F }``, ``sum { e for x : F }``.

    Attributes:
        kind: which aggregate; only ``count`` (without ``last``) may stand in a rule.
        value: the term (or formula, counting 0/1) aggregated; ``None`` for ``count``.
        variables: the bound variables; one row a distinct setting of them.
        body: which settings are taken.
        last: keep only so many rows, the greatest by ``by``.
        prior: for ``rate``, the share assumed over nothing.
        strength: for ``rate``, how many rows the prior counts for.

    >>> import knowreason as kr
    >>> program = kr.testing.example_program()
    >>> kr.lang.parse_formula(program, "count { y : Near(x, y) } > 2").left.kind
    'count'
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
    """How many of some formulas hold: ``count { F1, F2, ... }``.

    >>> import knowreason as kr
    >>> program = kr.testing.example_program()
    >>> kr.lang.parse_formula(program, "count { Bad(x), Secret(x) } = 1").left.formulas[1].predicate
    'Secret'
    """

    formulas: tuple[Formula, ...]
    sort: str = "int"
    span: Span | None = span_field()


Term = (
    Variable
    | Wildcard
    | Constant
    | ParameterTerm
    | ConstantSet
    | Conditional
    | AttributeTerm
    | Operation
    | Aggregate
    | CountList
)


# ---------------------------------------------------------------- formulas


@dataclass(frozen=True, slots=True)
class Truth:
    """The formula ``true`` or ``false``.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), "true")
    Truth(value=True)
    """

    value: bool
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Atom:
    """A predicate (observed, query, latent or defined) applied to terms.

    Named arguments are resolved: ``arguments`` has one term a position.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), "Bad(x)")
    Atom(predicate='Bad', arguments=(Variable(name='x', sort='Node'),))
    """

    predicate: str
    arguments: tuple[Term, ...]
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class BooleanTerm:
    """A term of sort ``bool`` standing as a formula.

    >>> import knowreason as kr
    >>> program = kr.loads('''domain N
    ... query Bad(N)
    ... attribute shut(N): bool''')
    >>> kr.lang.parse_formula(program, "Bad(x) & shut(x)").operands[1].term.name
    'shut'
    """

    term: Term
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two terms; chains are conjunctions of comparisons.

    >>> import knowreason as kr
    >>> program = kr.testing.example_program()
    >>> kr.lang.parse_formula(program, "Bad(x) & size(x) > 2").operands[1].operator
    '>'
    """

    operator: ComparisonOperator
    left: Term
    right: Term
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Not:
    """Negation.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), "!Bad(x)").operand.predicate
    'Bad'
    """

    operand: Formula
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class And:
    """Conjunction of two or more formulas.

    >>> import knowreason as kr
    >>> program = kr.testing.example_program()
    >>> kr.lang.parse_formula(program, "Bad(x) & Secret(x)").operands[0].predicate
    'Bad'
    """

    operands: tuple[Formula, ...]
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Or:
    """Disjunction of two or more formulas.

    >>> import knowreason as kr
    >>> program = kr.testing.example_program()
    >>> kr.lang.parse_formula(program, "Bad(x) | Secret(x)").operands[1].predicate
    'Secret'
    """

    operands: tuple[Formula, ...]
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Implies:
    """Material implication, one potential (never split into clauses).

    >>> import knowreason as kr
    >>> program = kr.testing.example_program()
    >>> kr.lang.parse_formula(program, "Near(x, y) & Bad(x) => Bad(y)").right.predicate
    'Bad'
    """

    left: Formula
    right: Formula
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Iff:
    """Equivalence, one potential.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), "Bad(x) <=> Secret(x)").left.predicate
    'Bad'
    """

    left: Formula
    right: Formula
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Neutral:
    """Association that leaves the base rates of its two sides where they are.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), "Bad(x) <~> Secret(x)").left.predicate
    'Bad'
    """

    left: Formula
    right: Formula
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Directed:
    """A body that changes the chance of a head, and is not changed by it: ``left ~> right``.

    Attributes:
        left: the body.
        right: the head, an open atom.
        how: what many groundings of the body do: add up, average, or a noisy or.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), "Bad(x) ~> mean Secret(x)").how
    'mean'
    """

    left: Formula
    right: Atom
    how: Combination = "sum"
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class ForAll:
    """Universal quantifier over the bound variables.

    >>> import knowreason as kr
    >>> program = kr.testing.example_program()
    >>> kr.lang.parse_formula(program, "forall y. (Near(x, y) => Bad(y))").variables
    (Variable(name='y', sort='Node'),)
    """

    variables: tuple[Variable, ...]
    body: Formula
    span: Span | None = span_field()


@dataclass(frozen=True, slots=True)
class Exists:
    """Existential quantifier over the bound variables.

    >>> import knowreason as kr
    >>> kr.lang.parse_formula(kr.testing.example_program(), "exists y. Near(x, y)").variables
    (Variable(name='y', sort='Node'),)
    """

    variables: tuple[Variable, ...]
    body: Formula
    span: Span | None = span_field()


Formula = (
    Truth
    | Atom
    | BooleanTerm
    | Comparison
    | Not
    | And
    | Or
    | Implies
    | Iff
    | Neutral
    | Directed
    | ForAll
    | Exists
)
