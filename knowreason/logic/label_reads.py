"""Definitions that read labels: aggregates over what is known of query predicates."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from knowreason.logic.formulas import (
    Aggregate,
    Atom,
    Exists,
    ForAll,
    Formula,
    Term,
)
from knowreason.logic.traversal import children, names_in


def label_readers(
    bodies: Mapping[str, Term | Formula], queries: Collection[str]
) -> dict[str, frozenset[str]]:
    """By definition, the query predicates whose known labels it reads, by itself or through
    other definitions; definitions that read none are left out.

    Args:
        bodies: of the definitions, by name.
        queries: names of the predicates that have labels.
    """
    used = {name: names_in(body) for name, body in bodies.items()}
    read = {name: names & set(queries) for name, names in used.items()}
    growing = True
    while growing:
        growing = False
        for name, names in used.items():
            through = set().union(*(read[other] for other in names if other in read))
            growing |= not through <= read[name]
            read[name] |= through
    return {name: frozenset(predicates) for name, predicates in read.items() if predicates}


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
