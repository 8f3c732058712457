"""A program and tables that the tests of data share."""

from __future__ import annotations

from hypothesis import strategies as st

from knowreason.logic import (
    Argument,
    Atom,
    Attribute,
    Constant,
    Domain,
    ModelCall,
    ModelDeclaration,
    Predicate,
    Program,
    Rule,
    Weight,
)

PERSON, COLOUR, EVENT = "Person", "Colour", "Event"


def arguments(*sorts: str) -> tuple[Argument, ...]:
    """Arguments by sort; ``Colour!`` is functional, ``src:Person`` named."""
    found = []
    for text in sorts:
        name, _, sort = text.rpartition(":")
        mark = sort[-1] if sort[-1] in "!?" else ""
        found.append(Argument(sort.rstrip("!?"), name or None, mark))
    return tuple(found)


def people(*rules: Rule, models: tuple[ModelDeclaration, ...] = ()) -> Program:
    """People with friends, colours and habits; events between them in time."""
    return Program(
        domains=(Domain(PERSON), Domain(COLOUR, ("red", "green", "blue")), Domain(EVENT)),
        predicates=(
            Predicate("Friends", "observed", arguments(PERSON, PERSON), symmetric=True),
            Predicate("Knows", "observed", arguments(PERSON, PERSON)),
            Predicate("Wears", "observed", arguments(PERSON, "Colour?")),
            Predicate("Meets", "observed", arguments(EVENT, "src:Person", "dst:Person")),
            Predicate("Smokes", "query", arguments(PERSON)),
            Predicate("Likes", "query", arguments(PERSON, "Colour!")),
            Predicate("Bad", "query", arguments(EVENT)),
            Predicate("Secret", "latent", arguments(PERSON)),
        ),
        attributes=(
            Attribute("age", arguments(PERSON), "int"),
            Attribute("height", arguments(PERSON), "float"),
            Attribute("tall", arguments(PERSON), "bool"),
            Attribute("nick", arguments(PERSON), "string"),
            Attribute("boss", arguments(PERSON), PERSON),
            Attribute("at", arguments(EVENT), "time", clock=True),
            Attribute("took", arguments(EVENT), "duration"),
            Attribute("closeness", arguments(PERSON, PERSON), "float"),
        ),
        models=models,
        rules=rules,
    )


def mentions(predicate: str, *names: str, sorts: tuple[str, ...] = (PERSON,)) -> Rule:
    """A rule that is one ground atom."""
    terms = tuple(Constant(name, sort) for name, sort in zip(names, sorts, strict=True))
    return Rule("mentions", Weight("open"), Atom(predicate, terms), ())


def column_model(predicate: str, column: str, kind: str) -> ModelDeclaration:
    """``model m for P = column("c", kind="...")``."""
    return ModelDeclaration(
        "given", (predicate,), ModelCall("column", (column,), (("kind", kind),))
    )


names = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1
)
few_names = st.sampled_from([f"p{i}" for i in range(8)])
