"""Definitions over known labels, rewritten as definitions over what is observed.

``rate { Fraud(f) for f : Pays(f, target: target(e)) }`` in a definition about ``e`` becomes
a rate of the attribute "known Fraud" of ``f`` over the ``f`` that have one, with
``slice(f) <= as of slice(e)``: a history, which a window computes. So whatever counts or
quantifies over labels ranges over settings whose labels are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from knowreason.logic import (
    Aggregate,
    And,
    Atom,
    AttributeTerm,
    BooleanTerm,
    Comparison,
    Definition,
    Exists,
    ForAll,
    Formula,
    Implies,
    Not,
    Or,
    Program,
    Term,
)
from knowreason.logic.label_reads import label_atoms
from knowreason.logic.traversal import conjuncts

KNOWN = "known "  # no name of a program has a space in it
AS_OF = "as of "
N = TypeVar("N", bound=Term | Formula)


def over_known_labels(program: Program, definition: Definition) -> Definition:
    """The definition with atoms of query predicates replaced by what is known of them.

    Args:
        program: its predicates and clocks.
        definition: checked; one that reads no label comes back as it is.
    """
    if definition.name not in program.label_readers:
        return definition
    heads = [
        AttributeTerm(AS_OF + clock.name, (head,), clock.sort)
        for head in definition.parameters
        if (clock := program.clock_of(head.sort)) is not None
    ]
    body = _Rewriter(program, heads).node(definition.body)
    return replace(definition, body=body)


class _Rewriter:
    """Replaces atoms of query predicates below binders, and adds when they are known.

    Args:
        program: of the definition.
        heads: by when a label must be known, one a clocked argument of the definition.
    """

    def __init__(self, program: Program, heads: Sequence[Term]) -> None:
        self.program = program
        self.heads = heads
        self.queries = {predicate.name for predicate in program.open_predicates}

    def node(self, node: N) -> N:
        """The node over known labels."""
        if isinstance(node, Atom) and node.predicate in self.queries:
            return self._known(node)  # type: ignore[return-value]  # a formula for an atom
        changed: dict[str, Any] = {
            field.name: self._part(getattr(node, field.name))
            for field in fields(node)
            if field.name not in ("variables", "span")
        }
        if isinstance(node, Aggregate | Exists | ForAll):
            atoms = list(dict.fromkeys(label_atoms(self.queries, node)))
            conditions = [condition for atom in atoms for condition in self._is_known(atom)]
            changed["body"] = _given(node, changed["body"], conditions)
        return replace(node, **changed)

    def _part(self, part: object) -> object:
        if isinstance(part, tuple):
            return tuple(self._part(one) for one in part)
        return self.node(part) if isinstance(part, Term | Formula) else part

    def _known(self, atom: Atom) -> Formula:
        declared = self.program.predicate(atom.predicate)
        position = declared.functional_position
        if position is None:
            return BooleanTerm(AttributeTerm(KNOWN + atom.predicate, atom.arguments, "bool"))
        state = atom.arguments[position]
        others = tuple(a for i, a in enumerate(atom.arguments) if i != position)
        return Comparison("=", AttributeTerm(KNOWN + atom.predicate, others, state.sort), state)

    def _is_known(self, atom: Atom) -> list[Formula]:
        """Conditions that an atom has a label, known by when the definition reads it."""
        label = self._known(atom)
        return [
            Or((label, Not(label))),  # unknown where it is missing
            *(
                Comparison("<=", AttributeTerm(clock.name, (argument,), clock.sort), head)
                for argument in atom.arguments
                if (clock := self.program.clock_of(argument.sort)) is not None
                for head in self.heads
            ),
        ]


def _given(node: Aggregate | Exists | ForAll, body: Formula, known: Sequence[Formula]) -> Formula:
    """The body for settings with known labels only."""
    if not known:
        return body
    if isinstance(node, ForAll):
        return Implies(And(tuple(known)), body)
    return And(tuple(dict.fromkeys((*conjuncts(body), *known))))
