"""Definitions that read labels: aggregates over what is known of query predicates."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from knowreason.logic.formulas import Atom, Exists, ForAll, Formula
from knowreason.logic.terms import Aggregate, AttributeTerm, Term
from knowreason.logic.variables import children, walk

if TYPE_CHECKING:
    from knowreason.logic.programs import Definition, Program


def label_readers(program: Program) -> dict[str, frozenset[str]]:
    """By definition, the query predicates whose known labels it reads, by itself or through
    other definitions; definitions that read none are left out."""
    queries = {predicate.name for predicate in program.predicates if predicate.is_open}
    used = {d.name: set(names_in(d)) for d in program.definitions}
    found = {name: names & queries for name, names in used.items()}
    growing = True
    while growing:
        growing = False
        for name, names in used.items():
            through = set().union(*(found[other] for other in names if other in found))
            growing |= not through <= found[name]
            found[name] |= through
    return {name: frozenset(read) for name, read in found.items() if read}


def names_in(definition: Definition) -> Iterator[str]:
    """Predicates and attributes that a definition's body mentions."""
    for node in walk(definition.body):
        if isinstance(node, Atom):
            yield node.predicate
        elif isinstance(node, AttributeTerm):
            yield node.name


def label_atoms(queries: Collection[str], node: Term | Formula) -> Iterator[Atom]:
    """Atoms of query predicates in a formula or term; inner binders are left out.

    Args:
        queries: the query predicates.
        node: where to look; a binder itself is looked into.
    """
    for child in children(node):
        if isinstance(child, Atom):
            if child.predicate in queries:
                yield child
        elif not isinstance(child, Aggregate | Exists | ForAll):
            yield from label_atoms(queries, child)
