"""What a program can say of the things of a domain, one thing at a time."""

from __future__ import annotations

from collections.abc import Iterable

from knowreason.logic.programs import Program


def usual_fields(program: Program, columns: Iterable[str], domain: str) -> tuple[str, ...]:
    """Attributes of a thing, its feature ``columns`` and the named places of facts about it."""
    attributes = [a.name for a in program.given_attributes if a.sorts == (domain,)]
    return tuple(dict.fromkeys([*attributes, *columns, *places_beside(program, domain)]))


def possible_fields(program: Program, columns: Iterable[str], domain: str) -> tuple[str, ...]:
    """All names that say something of a thing: :func:`usual_fields`, numeric queries, definitions.

    >>> import knowreason as kr
    >>> possible_fields(kr.testing.example_program(), ["hue"], "Node")
    ('size', 'tag', 'hue', 'two')
    """
    queries = [a.name for a in program.attributes if a.asked and a.sorts == (domain,)]
    defined = [d.name for d in program.definitions if [p.sort for p in d.parameters] == [domain]]
    return tuple(dict.fromkeys([*usual_fields(program, columns, domain), *queries, *defined]))


def places_beside(program: Program, domain: str) -> list[str]:
    """Named places of observed facts whose first place is a thing of the domain."""
    return [
        argument.name
        for predicate in program.predicates
        if predicate.kind == "observed" and predicate.sorts[:1] == (domain,)
        for argument in predicate.arguments[1:]
        if argument.name is not None
    ]
