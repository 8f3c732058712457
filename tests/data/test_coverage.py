"""Ids that no other table knows, against sets of names."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.data import Dataset, EdgeList
from knowreason.errors import DataError, DataWarning
from knowreason.lang import loads, parse_facts

PROGRAM = """
domain Person
domain Firm
domain Colour = { "red", "green" }
observed Knows(Person, Person)
observed Works(Person, Firm)
attribute boss(Person): Person
attribute age(Person): int
attribute shade(Person): Colour
query Smokes(Person)
query Likes(Person, Colour)
latent Rich(Firm)
model gauge for Smokes = column("s", kind="anomaly")
"""
KNOWS = {"Knows": {"x": ["ann", "bob"], "y": ["bob", "carl"]}}


def bound(**tables):
    """Codes and messages of what is said about ids."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = Dataset.from_frames(loads(PROGRAM), **tables)
    told = [d.message for d in data.warnings if d.code == "KR529"]
    raised = [w.message.diagnostic.message for w in caught if w.category is DataWarning]
    assert raised == told  # in Python each is a warning, once
    return told


def labels(*names, values=None, predicate="Smokes"):
    return {predicate: {"id": list(names), "label": values or [1] * len(names)}}


def test_labels_of_unknown_things_are_counted():
    (told,) = bound(facts=KNOWS, labels=labels("ann", "Bob", "dora", "Bob"[::-1], "x"))
    assert told == (
        "labels of `Smokes`, column `id`: 4 of 5 rows name a `Person` that no fact or feature "
        'mentions: "Bob", "dora", "boB" ...'
    )
    with pytest.warns(DataWarning, match="did you mean `bob`"):
        Dataset.from_frames(loads(PROGRAM), facts=KNOWS, labels=labels("ann", "Bob"))


@pytest.mark.parametrize(
    "tables",
    [
        {"labels": labels("1", "2")},
        {"evidence": labels("1", "2")},
        {"evidence": {"Rich": {"firm": ["acme"]}}},
        {"features": {"Person": {"id": [1, 2], "f": [0.5, 1]}}},
        {"scores": {"Smokes": {"id": [1, 2], "s": [0.5, 1]}}},
    ],
)
def test_a_table_of_unknown_things_is_an_error(tables):
    facts = {**KNOWS, "Works": {"p": ["ann"], "f": ["Acme Ltd"]}}
    with pytest.raises(DataError, match=r"KR530.*names? a `\w+`.*mentions") as refused:
        Dataset.from_frames(loads(PROGRAM), facts=facts, **tables)
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.help


@pytest.mark.parametrize(
    "tables",
    [
        {"labels": labels("ann", "zoe")},  # labels alone enumerate the domain
        {"labels": labels("ann"), "evidence": labels("bob")},
        {"labels": labels("ann"), "scores": {"Smokes": {"id": ["zoe"], "s": [0.5]}}},
        {"labels": labels("ann"), "features": {"Person": {"id": ["ann", "zoe"], "f": [1, 2]}}},
        {"facts": {"Works": {"p": [], "f": []}}, "labels": labels("ann")},
        {"things": {"Person": ["ann", "zoe"]}, "labels": labels("ann")},
        {"facts": {"boss": {"x": ["ann"], "y": ["carl"]}}, "labels": labels("carl")},
        {"facts": {"age": {"x": ["ann"], "y": [3]}}, "labels": labels("ann")},
        {"facts": {**KNOWS, "age": {"x": ["dora", "ann"], "y": [3, 4]}}},  # facts bring things
        {"facts": KNOWS, "labels": {"Likes": {"p": ["ann"], "c": ["green"]}}},  # enumerated
        {"facts": {"Works": {"p": ["ann"], "f": [7]}}, "labels": labels("ann")},
        {"facts": {"Works": {"p": [7], "f": [7]}}, "labels": labels(7)},
        {  # a labelled example outside of all facts
            "facts": KNOWS,
            "features": {"Person": {"id": ["ann", "bob", "carl", "zoe"], "f": [1, 2, 3, 4]}},
            "labels": labels("zoe"),
        },
    ],
)
def test_what_is_known_is_not_said(tables):
    assert bound(**tables) == []


def test_edges_know_things():
    edges = {"source": ["ann", "bob"], "target": ["bob", "zoe"]}
    graph = EdgeList(edges, source="source:Person", target="target:Person", name="met")
    assert bound(graph=graph, labels=labels("zoe")) == []
    with pytest.raises(DataError, match="KR530"):
        bound(graph=graph, labels=labels("zora"))


def test_facts_that_share_nothing_are_told():
    (told,) = bound(facts={**KNOWS, "age": {"x": ["A1", "B2"], "y": [3, 4]}}, labels=labels("ann"))
    assert told == '`age`: no other table knows any of its 2 `Person`: "A1", "B2"'
    assert bound(facts={"Knows": KNOWS["Knows"]}, labels=labels("ann")) == []


def test_statements_are_told_with_their_place_and_never_refused():
    program = loads(PROGRAM)
    facts = parse_facts(program, 'Knows("ann", "bob")\nSmokes("anne")\n', "world.facts")
    with pytest.warns(DataWarning, match=r"world.facts:2:1: warning\[KR529\].*mean `ann`"):
        data = Dataset.from_facts(program, facts)
    assert data.evidence["Smokes"].num_rows == 1


NAMES = st.lists(st.sampled_from("abcdef"), max_size=5)


@settings(max_examples=60, deadline=None)
@given(NAMES, NAMES, NAMES, st.lists(st.sampled_from("abcdef"), max_size=5, unique=True))
def test_counts_are_those_of_sets(people, bosses, labelled, featured):
    pairs = list(zip(people, bosses, strict=False))
    facts = {"Knows": {"x": [x for x, _ in pairs], "y": [y for _, y in pairs]}} if pairs else {}
    features = {"Person": {"id": featured, "f": [0.0] * len(featured)}} if featured else {}
    tables = {"facts": facts, "features": features}
    tables |= {"labels": labels(*labelled)} if labelled else {}
    mentioned = {name for pair in pairs for name in pair}
    expected = []
    refused = False
    for title, names, known, excused in (
        ("features of", featured, mentioned, set(labelled)),
        ("labels of", labelled, mentioned | set(featured), set()),
    ):
        strange = [name for name in names if name not in known]
        told = [name for name in strange if name not in excused]
        if known and strange and len(strange) == len(names):
            refused = True
        elif known and told:
            expected.append((title, f"{len(told)} of {len(names)} rows"))
    if refused:
        with pytest.raises(DataError, match="KR530"):
            bound(**tables)
        return
    told = [message for message in bound(**tables) if "no other table" not in message]
    assert len(told) == len(expected)
    for message, (title, count) in zip(told, expected, strict=True):
        assert message.startswith(title)
        assert count in message
