"""Which variables a term or formula mentions, and which it leaves free."""

from __future__ import annotations

from collections.abc import Iterator

from knowreason.logic.formulas import (
    And,
    Atom,
    BooleanTerm,
    Comparison,
    Exists,
    ForAll,
    Formula,
    Iff,
    Implies,
    Not,
    Or,
)
from knowreason.logic.terms import (
    Aggregate,
    AttributeTerm,
    CountList,
    Operation,
    Term,
    Variable,
)

Node = Term | Formula


def children(node: Node) -> tuple[Node, ...]:
    """Direct parts of a term or formula (bound variables are not parts)."""
    match node:
        case Atom() | AttributeTerm():
            return node.arguments
        case BooleanTerm():
            return (node.term,)
        case Comparison() | Implies() | Iff():
            return (node.left, node.right)
        case Not():
            return (node.operand,)
        case And() | Or() | Operation():
            return node.operands
        case ForAll() | Exists():
            return (node.body,)
        case CountList():
            return node.formulas
        case Aggregate():
            parts = (node.value, node.body, node.last, node.by, node.prior, node.strength)
            return tuple(part for part in parts if part is not None)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, depth first, in the order it is written."""
    yield node
    for child in children(node):
        yield from walk(child)


def bound_variables(node: Node) -> tuple[Variable, ...]:
    """Variables the node itself binds."""
    return node.variables if isinstance(node, ForAll | Exists | Aggregate) else ()


def free_variables(node: Node) -> tuple[Variable, ...]:
    """Free variables in order of first appearance, each once."""
    return tuple(_free(node, frozenset()).values())


def _free(node: Node, bound: frozenset[str]) -> dict[str, Variable]:
    if isinstance(node, Variable):
        return {} if node.name in bound else {node.name: node}
    bound |= {variable.name for variable in bound_variables(node)}
    found: dict[str, Variable] = {}
    for child in children(node):
        found = (
            _free(child, bound) | found
            if not found
            else found
            | {
                name: variable
                for name, variable in _free(child, bound).items()
                if name not in found
            }
        )
    return found


def conjuncts(formula: Formula) -> tuple[Formula, ...]:
    """The formula as a list of formulas that must all hold, nested ``&`` flattened."""
    if isinstance(formula, And):
        return tuple(part for operand in formula.operands for part in conjuncts(operand))
    return (formula,)
