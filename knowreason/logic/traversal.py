"""Which variables a term or formula mentions, and which it leaves free."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from graphlib import TopologicalSorter
from typing import Any, TypeVar

from knowreason.logic.formulas import (
    Aggregate,
    And,
    Atom,
    AttributeTerm,
    BooleanTerm,
    Comparison,
    Conditional,
    ConstantSet,
    CountList,
    Directed,
    Exists,
    ForAll,
    Formula,
    Iff,
    Implies,
    Neutral,
    Not,
    Operation,
    Or,
    ParameterTerm,
    Term,
    Variable,
)

Node = Term | Formula
N = TypeVar("N", bound=Term | Formula)


def children(node: Node) -> tuple[Node, ...]:
    """Direct parts of a term or formula (bound variables are not parts)."""
    match node:
        case Atom() | AttributeTerm():
            return node.arguments
        case BooleanTerm():
            return (node.term,)
        case Comparison() | Implies() | Iff() | Neutral() | Directed():
            return (node.left, node.right)
        case Not():
            return (node.operand,)
        case And() | Or() | Operation():
            return node.operands
        case ForAll() | Exists():
            return (node.body,)
        case ConstantSet():
            return node.members
        case Conditional():
            return (node.condition, node.one, node.other)
        case CountList():
            return node.formulas
        case Aggregate():
            parts = (node.value, node.body, node.last, node.by, node.prior, node.strength)
            return tuple(part for part in parts if part is not None)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, depth first, in the order it is written."""
    pending = [node]
    while pending:
        here = pending.pop()
        yield here
        pending.extend(reversed(children(here)))


def names_in(node: Node) -> set[str]:
    """Predicates, attributes and parameters that a formula or term mentions."""
    return {
        here.predicate if isinstance(here, Atom) else here.name
        for here in walk(node)
        if isinstance(here, Atom | AttributeTerm | ParameterTerm)
    }


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
    free: dict[str, Variable] = {}
    for child in children(node):
        for name, variable in _free(child, bound).items():
            free.setdefault(name, variable)
    return free


def substitute(node: N, terms: Mapping[str, Term]) -> N:
    """The node with free variables replaced by terms (which must not be captured)."""
    if isinstance(node, Variable):
        return terms.get(node.name, node)  # type: ignore[return-value]  # a term for a variable
    inner = {name: t for name, t in terms.items() if name not in _names(bound_variables(node))}
    changed: dict[str, Any] = {
        field.name: _replaced(getattr(node, field.name), inner)
        for field in fields(node)
        if field.name not in ("variables", "span")
    }
    return replace(node, **changed)


def _replaced(part: object, terms: Mapping[str, Term]) -> object:
    if isinstance(part, tuple):
        return tuple(_replaced(one, terms) for one in part)
    return substitute(part, terms) if isinstance(part, Node) else part


def _names(variables: Iterable[Variable]) -> set[str]:
    return {variable.name for variable in variables}


def conjuncts(formula: Formula) -> tuple[Formula, ...]:
    """The formula as a list of formulas that must all hold, nested ``&`` flattened."""
    if isinstance(formula, And):
        return tuple(part for operand in formula.operands for part in conjuncts(operand))
    return (formula,)


def strong_components(uses: Mapping[str, Collection[str]]) -> list[tuple[str, ...]]:
    """Names grouped with those they use and are used by, each group after those it uses.

    Args:
        uses: by name, the names it uses, keys all of them.

    >>> strong_components({"a": ["b"], "b": ["c", "b"], "c": ["b"]})
    [('b', 'c'), ('a',)]
    """
    reached = {name: _reached(name, uses) for name in uses}
    group = {
        name: tuple(n for n in uses if n == name or (n in reached[name] and name in reached[n]))
        for name in uses
    }
    order: TopologicalSorter[tuple[str, ...]] = TopologicalSorter()
    for name, used in uses.items():
        order.add(group[name], *(group[other] for other in used if group[other] != group[name]))
    return list(order.static_order())


def _reached(name: str, uses: Mapping[str, Collection[str]]) -> set[str]:
    reached: set[str] = set()
    pending = [name]
    while pending:
        new = set(uses[pending.pop()]) - reached
        reached |= new
        pending += new
    return reached
