import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.data import Dataset
from knowreason.logic import Constant, Predicate, Program
from tests.strategies_data import few_names, mentions, people

MICRO = 1_000_000


class Facts:
    def __init__(self, atoms=(), values=()):
        self.atoms = tuple((*atom, None) for atom in atoms)
        self.values = tuple((*value, None) for value in values)


def pairs(data, name):
    return list(zip(*data.named(name).to_pydict().values(), strict=True))


@given(st.lists(st.tuples(few_names, few_names)))
@settings(max_examples=50)
def test_symmetric_facts_are_closed_and_distinct(rows):
    table = {"x": [x for x, _ in rows], "y": [y for _, y in rows]}
    data = Dataset.from_frames(people(), facts={"Friends": table, "Knows": table})
    closed = pairs(data, "Friends")
    assert len(closed) == len(set(closed))
    assert set(closed) == set(rows) | {(y, x) for x, y in rows}
    assert pairs(data, "Knows") == list(dict.fromkeys(rows))


def test_every_table_is_there_with_its_types():
    data = Dataset.from_frames(people())
    assert set(data.facts) == {"Friends", "Knows", "Wears", "Meets"}
    assert set(data.labels) == set(data.hidden) == {"Smokes", "Likes", "Bad"}
    assert set(data.evidence) == {"Smokes", "Likes", "Bad", "Secret"}
    assert data.facts["Meets"].schema.names == ["a0", "a1", "a2"]
    assert data.labels["Likes"].schema == pa.schema(
        [("a0", pa.int32()), ("a1", pa.int32()), ("value", pa.int8())]
    )
    types = {name: str(t.schema.field("value").type) for name, t in data.attributes.items()}
    assert types == {
        "age": "int64",
        "height": "double",
        "tall": "bool",
        "nick": "string",
        "boss": "int32",
        "at": "int64",
        "took": "int64",
        "closeness": "double",
    }


def test_types_of_filled_attributes_are_those_of_empty_ones():
    facts = {
        "age": {"x": ["a"], "v": [1.0]},
        "height": {"x": ["a"], "v": [1]},
        "tall": {"x": ["a"], "v": [1]},
        "nick": {"x": ["a"], "v": [7]},
        "boss": {"x": ["a"], "v": ["b"]},
        "at": {"x": ["e"], "v": ["2026-01-01"]},
        "took": {"x": ["e"], "v": ["1h"]},
        "closeness": {"x": ["a"], "y": ["b"], "v": [0.5]},
    }
    full, empty = Dataset.from_frames(people(), facts=facts), Dataset.from_frames(people())
    for name, table in empty.attributes.items():
        assert full.attributes[name].schema == table.schema, name
        assert full.attributes[name].num_rows == 1, name
    assert full.named("boss").to_pydict() == {"a0": ["a"], "value": ["b"]}


def test_a_row_given_twice_is_one_row():
    table = {"x": ["a", "b", "a"], "v": [1, None, 1]}
    data = Dataset.from_frames(people(), facts={"age": table}, labels={"Smokes": table})
    assert data.attributes["age"].num_rows == 1
    assert pairs(data, "Smokes") == [("a", 1)]


def test_unlabelled_rows_still_name_things():
    data = Dataset.from_frames(people(), labels={"Likes": {"x": ["a", "b"], "c": ["red", None]}})
    assert pairs(data, "Likes") == [("a", "red", 1)]
    assert list(data.vocabularies["Person"]) == ["a", "b"]


def test_constants_of_rules_are_members():
    data = Dataset.from_frames(
        people(mentions("Smokes", "zoe"), mentions("Secret", "a")),
        facts={"Knows": {"x": ["a"], "y": ["b"]}},
    )
    assert list(data.vocabularies["Person"]) == ["a", "b", "zoe"]
    assert [d.code for d in data.warnings].count("KR517") == 1


def test_statements_of_a_facts_file():
    facts = Facts(
        atoms=[
            ("Friends", ("anna", "bob"), True),
            ("Smokes", ("anna",), True),
            ("Smokes", ("carl",), False),
            ("Secret", ("bob",), True),
            ("Likes", ("anna", "red"), True),
        ],
        values=[
            ("at", ("e1",), 5 * MICRO),
            ("took", ("e1",), 3),
            ("age", ("anna",), 3),
            ("height", ("anna",), Constant(1.5, "float")),
            ("boss", ("anna",), "bob"),
            ("tall", ("anna",), True),
        ],
    )
    data = Dataset.from_facts(people(), facts)
    assert pairs(data, "Friends") == [("anna", "bob"), ("bob", "anna")]
    assert data.named("Smokes", data.evidence["Smokes"]).to_pydict() == {
        "a0": ["anna", "carl"],
        "value": [1, 0],
    }
    assert data.evidence["Secret"].num_rows == data.evidence["Likes"].num_rows == 1
    assert data.labels["Smokes"].num_rows == 0
    assert pairs(data, "at") == [("e1", 5 * MICRO)]
    assert pairs(data, "took") == [("e1", 3)]
    assert pairs(data, "height") == [("anna", 1.5)]
    assert pairs(data, "boss") == [("anna", "bob")]
    assert pairs(data, "tall") == [("anna", True)]


def test_times_of_a_facts_file_may_be_texts():
    data = Dataset.from_facts(people(), Facts(values=[("at", ("e",), "1970-01-01T00:00:07Z")]))
    assert pairs(data, "at") == [("e", 7 * MICRO)]


def test_things_are_members_without_a_row():
    data = Dataset.from_frames(
        people(), facts={"Knows": {"x": ["b"], "y": ["a"]}}, things={"Person": ["a", "c"]}
    )
    assert list(data.vocabularies["Person"]) == ["a", "c", "b"]
    assert data.count("Person") == 3
    assert data.in_scope("Person").tolist() == [True] * 3


def test_scores_are_kept_by_atom():
    data = Dataset.from_frames(
        people(),
        scores={"Likes": {"x": ["a", "a"], "c": ["red", "blue"], "s": [0.5, None], "t": [1, 2]}},
    )
    scores = data.scores["Likes"]
    assert scores.arguments.dtype == np.int32
    assert scores.arguments.tolist() == [[0, 0], [0, 2]]
    assert scores.values["t"].tolist() == [1.0, 2.0]
    assert np.isnan(scores.values["s"][1])


def test_a_data_set_says_what_it_holds():
    data = Dataset.from_frames(
        people(),
        facts={"Knows": {"x": ["a"], "y": ["b"]}},
        labels={"Smokes": {"x": ["a"]}},
    )
    assert "2 Person" in str(data)
    assert "Knows: 1 rows" in str(data)
    assert "labels of Smokes: 1" in str(data)


def test_rows_in_another_order_say_the_same():
    table = pa.table({"x": ["a", "b", "c"], "y": ["b", "c", "a"]})
    first = Dataset.from_frames(people(), facts={"Friends": table})
    second = Dataset.from_frames(people(), facts={"Friends": table.take([2, 0, 1])})
    assert set(pairs(first, "Friends")) == set(pairs(second, "Friends"))


def test_atoms_without_arguments():
    program = Program(
        predicates=(
            Predicate("Wet", "observed", ()),
            Predicate("Cold", "observed", ()),
            Predicate("Rain", "query", ()),
        )
    )
    data = Dataset.from_facts(program, Facts([("Wet", (), True), ("Rain", (), False)]))
    assert data.facts["Wet"].num_rows == 1
    assert data.facts["Cold"].num_rows == 0
    assert data.evidence["Rain"].to_pydict() == {"value": [0]}
    twice = Dataset.from_frames(
        program, facts={"Wet": {"t": [False]}}, labels={"Rain": {"t": [1, 1]}}
    )
    assert twice.facts["Wet"].num_rows == 0
    assert twice.labels["Rain"].to_pydict() == {"value": [1]}
