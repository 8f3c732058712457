"""Which parts of a formula bind variables by joins, and which only filter."""

from __future__ import annotations

from knowreason.logic import (
    Aggregate,
    And,
    Atom,
    BooleanTerm,
    Comparison,
    Conditional,
    CountList,
    Exists,
    Formula,
    Not,
    Operation,
    Or,
    Term,
    Variable,
)
from knowreason.logic.traversal import free_variables, walk


def guards(formula: Formula) -> frozenset[str]:
    """Names of the variables that a formula's positive atoms bind."""
    match formula:
        case Atom():
            return frozenset(a.name for a in formula.arguments if isinstance(a, Variable))
        case And():
            return frozenset().union(*(guards(part) for part in formula.operands))
        case Or():
            return frozenset.intersection(*(guards(part) for part in formula.operands))
        case Exists():
            return guards(formula.body) - {v.name for v in formula.variables}
        case _:
            return frozenset()


def is_guarded(formula: Formula) -> bool:
    """Whether a formula's positive atoms bind all its free variables."""
    return {variable.name for variable in free_variables(formula)} <= guards(formula)


def is_strict(formula: Formula) -> bool:
    """Whether a formula is unknown as soon as one of its attributes is missing."""
    if isinstance(formula, Not):
        return is_strict(formula.operand)
    return isinstance(formula, Comparison | BooleanTerm) and needs_values(formula)


def needs_values(expression: Formula | Term) -> bool:
    """Whether a comparison or term has no value as soon as one of its attributes is missing."""
    return not any(
        isinstance(node, Aggregate | CountList | Conditional)
        or (isinstance(node, Operation) and node.operator == "missing")
        for node in walk(expression)
    )
