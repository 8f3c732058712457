"""What a formula looks like to grounding: crisp parts, open atoms, counts of lists.

A rule's formula becomes a small tree in negation normal form. Its leaves are maximal
subformulas without open atoms (:class:`Crisp`, computed by the relational engine), open
atoms (:class:`OpenLiteral`) and counts over open atoms (:class:`OpenCount`), into which
quantifiers turn as well: ``exists`` is a count of at least one, ``forall`` a count of
zero counterexamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import count
from typing import Any

from knowreason.errors import GroundingError
from knowreason.logic import (
    Aggregate,
    And,
    Atom,
    Comparison,
    Constant,
    CountList,
    Exists,
    ForAll,
    Formula,
    Iff,
    Implies,
    Not,
    Operation,
    Or,
    Program,
    Term,
    Truth,
    Variable,
    Wildcard,
)
from knowreason.logic.formulas import ComparisonOperator


@dataclass(frozen=True)
class Crisp:
    """A formula without open atoms."""

    formula: Formula


@dataclass(frozen=True)
class OpenLiteral:
    """An open atom or its negation."""

    atom: Atom
    positive: bool = True


@dataclass(frozen=True)
class OpenCount:
    """``lower <= (number of entries that hold) <= upper``, or its negation.

    Attributes:
        variables: bound variables, one entry a setting; empty for a written list.
        entries: the body (one node), or the members of a written list.
        lower, upper: inclusive integer bounds; terms are computed for each grounding.
        positive: false for the negation.
    """

    variables: tuple[Variable, ...]
    entries: tuple[Node, ...]
    lower: Term | int | None
    upper: Term | int | None
    positive: bool = True

    @property
    def is_exists(self) -> bool:
        """Whether the count says that at least one entry holds."""
        if self.positive:
            return self.lower == 1 and self.upper is None
        return self.lower is None and self.upper == 0


@dataclass(frozen=True)
class All:
    """Conjunction."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Any_:
    """Disjunction."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Same:
    """Equivalence."""

    left: Node
    right: Node


Node = Crisp | OpenLiteral | OpenCount | All | Any_ | Same


def skeleton(formula: Formula, program: Program) -> Node:
    """The tree of a formula.

    Raises:
        GroundingError: for a count over open atoms inside arithmetic, or on both sides.
    """
    return _node(formula, program, count())


def mentions_open(part: object, program: Program) -> bool:
    """Whether an open atom stands anywhere in a formula or term."""
    return any(program.is_open(node.predicate) for node in _walk(part) if isinstance(node, Atom))


def variables_of(part: object) -> dict[str, Variable]:
    """Free variables of a formula, term or node, in order of appearance."""
    variables: dict[str, Variable] = {}
    _collect(part, frozenset(), variables)
    return variables


def negated(node: Node) -> Node:
    """The negation, pushed down to the leaves."""
    match node:
        case Crisp(Not(operand)):
            return Crisp(operand)
        case Crisp(formula):
            return Crisp(Not(formula))
        case OpenLiteral() | OpenCount():
            return replace(node, positive=not node.positive)
        case All(parts):
            return Any_(tuple(negated(part) for part in parts))
        case Any_(parts):
            return All(tuple(negated(part) for part in parts))
        case Same(left, right):
            return Same(negated(left), right)


def _node(formula: Formula, program: Program, fresh: Iterator[int]) -> Node:
    if not mentions_open(formula, program):
        return Crisp(formula)

    def of(part: Formula) -> Node:
        return _node(part, program, fresh)

    match formula:
        case Atom():
            return _atom(formula, fresh)
        case Not(operand):
            return negated(of(operand))
        case And(operands):
            return _flat(All, [of(part) for part in operands])
        case Or(operands):
            return _flat(Any_, [of(part) for part in operands])
        case Implies(left, right):
            return _flat(Any_, [negated(of(left)), of(right)])
        case Iff(left, right):
            return Same(of(left), of(right))
        case Exists(variables, body):
            return OpenCount(variables, (of(body),), 1, None)
        case ForAll(variables, body):
            return OpenCount(variables, (negated(of(body)),), None, 0)
        case Comparison():
            return _comparison(formula, program, fresh)
        case _:
            raise GroundingError(
                "a value that depends on unknowns stands where only what is observed may stand",
                code="KR648",
            )


def _atom(atom: Atom, fresh: Iterator[int]) -> Node:
    """An open atom; ``_`` in it is existential."""
    bound: list[Variable] = []
    arguments: list[Term] = []
    for argument in atom.arguments:
        if isinstance(argument, Wildcard):
            argument = Variable(f"_{next(fresh)}", argument.sort)
            bound.append(argument)
        arguments.append(argument)
    if not bound:
        return OpenLiteral(atom)
    return OpenCount(
        tuple(bound), (OpenLiteral(replace(atom, arguments=tuple(arguments))),), 1, None
    )


def _flat(kind: type[All] | type[Any_], parts: list[Node]) -> Node:
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else (part,))
    return kind(tuple(_merged_tallies(flat) if kind is All else flat))


def _merged_tallies(parts: list[Node]) -> list[Node]:
    """``1 <= count{..}`` and ``count{..} <= 2`` as one interval."""
    merged: list[Node] = []
    for part in parts:
        twin = next((i for i, other in enumerate(merged) if _completes(other, part)), None)
        if twin is None:
            merged.append(part)
            continue
        other = merged[twin]
        assert isinstance(other, OpenCount)
        assert isinstance(part, OpenCount)
        lower = other.lower if other.lower is not None else part.lower
        upper = other.upper if other.upper is not None else part.upper
        merged[twin] = replace(other, lower=lower, upper=upper)
    return merged


def _completes(one: Node, two: Node) -> bool:
    return (
        isinstance(one, OpenCount)
        and isinstance(two, OpenCount)
        and one.positive
        and two.positive
        and (one.variables, one.entries) == (two.variables, two.entries)
        and (one.lower is None or two.lower is None)
        and (one.upper is None or two.upper is None)
    )


_FLIPPED: dict[ComparisonOperator, ComparisonOperator] = {
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
    "=": "=",
    "!=": "!=",
}


def _comparison(comparison: Comparison, program: Program, fresh: Iterator[int]) -> Node:
    left, right, operator = comparison.left, comparison.right, comparison.operator
    if mentions_open(right, program):
        left, right, operator = right, left, _FLIPPED[operator]
    if mentions_open(right, program) or not isinstance(left, Aggregate | CountList):
        raise GroundingError(
            "a count over unknowns is compared with an integer over observed things, and stands "
            "by itself on one side",
            code="KR648",
        )
    if isinstance(left, CountList):
        variables: tuple[Variable, ...] = ()
        entries = tuple(_node(part, program, fresh) for part in left.formulas)
    else:
        variables, entries = left.variables, (_node(left.body, program, fresh),)
    lower, upper, positive = _interval(operator, right)
    return OpenCount(variables, entries, lower, upper, positive)


def _interval(operator: str, bound: Term) -> tuple[Term | int | None, Term | int | None, bool]:
    match operator:
        case "<=":
            return None, _shifted(bound, 0), True
        case "<":
            return None, _shifted(bound, -1), True
        case ">=":
            return _shifted(bound, 0), None, True
        case ">":
            return _shifted(bound, 1), None, True
        case "=":
            return _shifted(bound, 0), _shifted(bound, 0), True
        case _:
            return _shifted(bound, 0), _shifted(bound, 0), False


def _shifted(bound: Term, by: int) -> Term | int:
    if isinstance(bound, Constant) and isinstance(bound.value, int):
        return bound.value + by
    if by == 0:
        return bound
    return Operation("+", (bound, Constant(by, "int")), "int")


def conjuncts(formula: Formula) -> Iterator[Formula]:
    """The parts of a conjunction, negations pushed through."""
    match formula:
        case And(operands):
            for operand in operands:
                yield from conjuncts(operand)
        case Not(Or(operands)):
            for operand in operands:
                yield from conjuncts(Not(operand))
        case Not(Implies(left, right)):
            yield from conjuncts(left)
            yield from conjuncts(Not(right))
        case Not(Not(operand)):
            yield from conjuncts(operand)
        case Truth(True):
            return
        case _:
            yield formula


def _walk(part: object) -> Iterator[object]:
    yield part
    if isinstance(part, tuple):
        for item in part:
            yield from _walk(item)
    elif is_dataclass(part):
        for item in fields(part):
            if item.name != "span":
                yield from _walk(getattr(part, item.name))


def _collect(part: Any, bound: frozenset[str], found: dict[str, Variable]) -> None:
    if isinstance(part, Variable):
        if part.name not in bound:
            found.setdefault(part.name, part)
        return
    if isinstance(part, Exists | ForAll | Aggregate | OpenCount):
        bound = bound | {variable.name for variable in part.variables}
    if isinstance(part, tuple):
        for item in part:
            _collect(item, bound, found)
    elif is_dataclass(part):
        for item in fields(part):
            if item.name not in ("span", "variables"):
                _collect(getattr(part, item.name), bound, found)
