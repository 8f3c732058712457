"""Ids that no other table knows, against sets of names."""

import warnings

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.data import Dataset, EdgeList
from knowreason.data.binding.id_coverage import of_a_part
from knowreason.data.binding.id_spelling import find_spelling
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
        'mentions: "Bob", "dora", "boB" ...; others are "bob", "carl"; each is a `Person` of its '
        "own now, 4 in all"
    )
    with pytest.warns(DataWarning, match='"Bob" may be "bob": in another case.*`lower.id.`'):
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
        {"facts": {**KNOWS, "age": {"x": ["ann", "bob", "carl", "dora"], "y": [3] * 4}}},  # all
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


def test_facts_that_share_nothing_are_an_error():
    ages = {"x": ["A1", "B2"], "y": [3, 4]}
    tables = {"facts": {**KNOWS, "age": ages}, "labels": labels("ann")}
    expected = (
        '`age`: no other table knows any of its 2 `Person`: "A1", "B2"; others are "ann", "bob", '
        '"carl"'
    )
    with pytest.raises(DataError) as refused:
        bound(**tables)
    (diagnostic,) = refused.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == ("KR530", expected)
    assert "[domains.Person]" in diagnostic.help
    with of_a_part("facts"):  # as of one day
        assert bound(**tables) == [expected]
    listed = {"Person": ["ann", "bob", "carl", "A1", "B2"]}
    assert bound(**tables, things=listed) == []
    assert bound(**tables, things=listed, closed=["Person"]) == []
    assert bound(facts={"Knows": KNOWS["Knows"]}, labels=labels("ann")) == []


def test_a_day_whose_ids_are_written_otherwise_is_an_error():
    ages = {"x": ["ANN", "BOB"], "y": [3, 4]}
    with of_a_part("facts"), pytest.raises(DataError, match=r"KR530.*in another case.*domains"):
        bound(facts={**KNOWS, "age": ages})


def test_new_facts_are_told_where_others_are_missing():
    ages = {"x": [f"p{i}" for i in range(150)] + ["zoe"], "y": [3] * 151}
    pays = {"x": [f"p{i}" for i in range(150)], "y": ["dora"] + ["p7"] * 149}
    with pytest.warns(DataWarning, match="hint.KR529"):  # 1 of 151 is no 1 %
        data = Dataset.from_frames(loads(PROGRAM), facts={"Knows": pays, "age": ages})
    (told,) = (d for d in data.warnings if d.code == "KR529")  # not both sides of the same
    assert told.severity == "hint"
    assert told.message == (
        '`Knows`: 1 of 151 `Person` are in no other table: "dora"; others have 1 that are not in '
        'it: "zoe"'
    )
    assert [(c.ids, c.matched, c.new, c.missing) for c in data.coverage] == [
        (151, 150, 1, 1),
        (151, 150, 1, 1),
    ]


def test_what_is_of_one_table_does_not_vouch_for_itself():
    """600 of 682 loans with labels and features, and no other table has them."""
    loans = [str(i) for i in range(682)]
    tables = {
        "facts": {"Knows": {"x": loans[:82], "y": ["p7"] * 82}},
        "features": {"Person": {"id": loans, "f": [0.5] * 682}},
        "labels": labels(*loans),
    }
    (told,) = bound(**tables)
    assert told.startswith("features of `Person`, column `id`: 600 of 682 rows name a `Person`")
    (row,) = (c for c in Dataset.from_frames(loads(PROGRAM), **tables).coverage if "lab" in c.table)
    assert (row.ids, row.matched, row.new, row.missing) == (682, 82, 600, 1)
    assert row.new_examples == ("82", "83", "84")
    assert row.missing_examples == ("p7",)


SPELLINGS = [
    (["272", "31"], ["p272", "p31"], "`'p' || id`"),
    (["p272", "p31"], ["272", "31"], "`substr(id, 2)`"),
    (["7", "17"], ["007", "017"], "`lpad(id::VARCHAR, 3, '0')`"),
    (["007", "017"], ["7", "17"], "`ltrim(id::VARCHAR, '0')`"),
    (["ANN", "BOB"], ["ann", "bob"], "`lower(id)`"),
    (["ann", "bob"], ["ANN", "BOB"], "`upper(id)`"),
    ([" ann", "bob "], ["ann", "bob"], "`trim(id)`"),
    (["3.0", "4.0"], ["3", "4"], "`id::DOUBLE::BIGINT`"),
    (["ann", "bob"], [" ann", "bob "], "in another way"),
    (["AB-12", "AB-13"], ["ab12", "ab13"], "in another way"),
    (["7", "17"], ["c007", "c017"], "`'c' || lpad(id::VARCHAR, 3, '0')`"),
    (["c007", "c017"], ["7", "17"], "`ltrim(substr(id, 2), '0')`"),
]


@pytest.mark.parametrize(("new", "others", "what"), SPELLINGS)
def test_what_people_do_to_ids_is_guessed(new, others, what):
    spelling = find_spelling(pa.array(new), pa.array([*others, "x9"]))
    assert (spelling.new, spelling.other, spelling.fitting) == (new[0], others[0], 2)
    assert what in str(spelling)
    if spelling.sql:
        rows = duckdb.sql(
            f"SELECT {spelling.sql} FROM (SELECT unnest($new) AS id)", params={"new": new}
        )
        assert [str(row[0]) for row in rows.fetchall()] == others
    facts = {"Knows": {"x": others, "y": others}}
    with pytest.raises(DataError, match=r"KR530.*may be"):  # facts too, where it is seen why
        bound(facts={**facts, "age": {"x": new, "y": [3] * 2}})


def test_the_sql_is_of_the_column_that_is_written_otherwise():
    spelling = find_spelling(pa.array(["7554", "8"]), pa.array(["id7554", "id8"]))
    assert "`'id' || entry` in" in spelling.said("entry")
    assert "`'id' || \"Entry No\"` in" in spelling.said("Entry No")


def test_other_things_are_no_other_spelling():
    cards, accounts = pa.array(["c1", "c2"]), pa.array(["a1", "a2"])
    assert find_spelling(cards, accounts) is None
    assert find_spelling(pa.array(["1", "2"]), pa.array(["a1", "b1", "c1", "d2"])) is None


def test_a_closed_domain_gains_nothing():
    members = {"Person": ["ann", "bob", "carl"]}
    tables = {
        "facts": {
            "Knows": {"x": ["ann", "eve"], "y": ["bob", "bob"]},
            "boss": {"x": ["ann", "bob"], "y": ["zoe", "carl"]},
        },
        "features": {"Person": {"id": ["ann", "zoe"], "f": [1.0, 2.0]}},
        "labels": labels("bob", "zoe"),
        "scores": {"Smokes": {"id": ["zoe", "ann"], "s": [0.5, 2.5]}},
        "graph": EdgeList(
            {"s": ["ann", "zoe"], "t": ["bob", "ann"], "w": [1, 2]},
            "s:Person",
            "t:Person",
            time="w",
        ),
    }
    with pytest.warns(DataWarning, match="KR534.*these rows are left out"):
        data = Dataset.from_frames(loads(PROGRAM), things=members, closed=["Person"], **tables)
    kept = {
        "facts": {
            "Knows": {"x": ["ann"], "y": ["bob"]},
            "boss": {"x": ["bob"], "y": ["carl"]},
        },
        "features": {"Person": {"id": ["ann"], "f": [1.0]}},
        "labels": labels("bob"),
        "scores": {"Smokes": {"id": ["ann"], "s": [2.5]}},
        "graph": EdgeList({"s": ["ann"], "t": ["bob"], "w": [1]}, "s:Person", "t:Person", time="w"),
    }
    same = Dataset.from_frames(loads(PROGRAM), things=members, **kept)
    assert list(data.vocabularies["Person"]) == ["ann", "bob", "carl"]
    assert sum(d.code == "KR534" for d in data.warnings) == 7 - 1
    for name in ("facts", "attributes", "labels"):
        assert getattr(data, name) == getattr(same, name)
    assert data.features["Person"].values.tolist()[0] == [1.0]
    assert data.scores["Smokes"].arguments.tolist() == same.scores["Smokes"].arguments.tolist()
    assert data.graph.edges().source.tolist() == same.graph.edges().source.tolist()
    with pytest.raises(DataError, match=r"KR530.*none of the 3 there are"):
        Dataset.from_frames(
            loads(PROGRAM), things=members, closed=["Person"], labels=labels("x", "y")
        )


def test_a_closed_domain_needs_its_things():
    with pytest.raises(DataError, match=r"KR503.*`Person` is closed"):
        Dataset.from_frames(loads(PROGRAM), facts=KNOWS, closed=["Person"])


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
