"""Every way a table can be wrong, and what is said of it."""

import re
from pathlib import Path

import pandas as pd
import pytest

import knowreason.data
from knowreason.codes import catalogue
from knowreason.data import Dataset, EdgeList, FeatureSource
from knowreason.data.graph.graph_sources import networkx_tables
from knowreason.diagnostics import Source, Span
from knowreason.errors import DataError
from knowreason.lang import loads
from tests.strategies_data import column_model, mentions, people


def refused(program=None, **tables):
    with pytest.raises(DataError) as caught:
        Dataset.from_frames(program or people(), **tables)
    return caught.value


def facts(**tables):
    return {"facts": tables}


CASES = {
    "KR501 no file": (
        facts(Knows="nowhere.csv"),
        r"`Knows`: there is no file `nowhere.csv`",
    ),
    "KR502 no table": (facts(Knows=[("a", "b")]), r"`Knows`: list is not a table"),
    "KR502 mixed types": (
        facts(Knows=pd.DataFrame({"x": [3, "3"], "y": ["a", "b"]})),
        r"`Knows`: a column holds values of several types",
    ),
    "KR503 unknown predicate": (
        facts(Freinds={"x": ["a"]}),
        r"declares no predicate or attribute `Freinds` \(did you mean `Friends`\?\)",
    ),
    "KR503 unknown label": (
        {"labels": {"smokes": {"x": ["a"]}}},
        r"no predicate `smokes` \(did you mean `Smokes`\?\)",
    ),
    "KR503 unknown domain of features": (
        {"features": {"Persons": {"x": ["a"], "f": [1]}}},
        r"no domain `Persons` \(did you mean `Person`\?\)",
    ),
    "KR503 unknown domain of things": ({"things": {"Persn": ["a"]}}, r"no domain `Persn`"),
    "KR503 unknown scores": (
        {"scores": {"Smoke": {"x": ["a"], "s": [1.0]}}},
        r"no predicate `Smoke`",
    ),
    "KR504 no such column": (
        {"features": {"Person": FeatureSource({"id": ["a"], "income": [1]}, columns=["incme"])}},
        r"features of `Person` has no column `incme` \(did you mean `income`\?\)",
    ),
    "KR505 too many columns": (
        facts(Knows={"x": ["a"], "y": ["b"], "z": ["c"]}),
        r"`Knows` has 3 columns \(x, y, z\), expected 2 \(its columns are \(Person, Person\)",
    ),
    "KR505 no value": (facts(age={"x": ["a"]}), r"`age` has 1 columns \(x\), expected 2"),
    "KR505 labels": (
        {"labels": {"Smokes": {"x": ["a"], "y": [1], "z": [1]}}},
        r"labels of `Smokes` has 3 columns \(x, y, z\), expected 1 or 2",
    ),
    "KR505 scores": (
        {"scores": {"Smokes": {"x": ["a"]}}},
        r"scores of `Smokes` has 1 columns, expected more than 1",
    ),
    "KR506 no integer": (
        facts(age={"who": ["a", "b"], "years": ["31", "old"]}),
        r'`age`, row 2, column `years`: "old" is not an int \(expected an integer within 64 bits\)',
    ),
    "KR506 no name": (
        facts(Knows={"x": ["a"], "y": [0.5]}),
        r"`Knows`, row 1, column `y`: 0.5 does not name a `Person`",
    ),
    "KR506 no score": (
        {"scores": {"Smokes": {"x": ["a"], "s": ["high"]}}},
        r"scores of `Smokes`, row 1, column `s`: 'high' is not a number",
    ),
    "KR506 no feature": (
        {"features": {"Person": {"x": ["a"], "f": [[1, 2]]}}},
        r"features of `Person`, row 1, column `f`: \[1, 2\] is neither number nor category",
    ),
    "KR507 null": (
        facts(Knows={"x": ["a", None], "y": ["b", "c"]}),
        r"`Knows`, row 2, column `x`: no `Person` is named",
    ),
    "KR507 empty text": (
        facts(Knows={"x": ["a", "b"], "y": ["b", ""]}),
        r"`Knows`, row 2, column `y`: no `Person` is named",
    ),
    "KR508 outside": (
        facts(Wears={"x": ["a", "b"], "c": ["red", "pink"]}),
        r'`Wears`, row 2, column `c`: "pink" is not a member of `Colour` '
        r"\(its members: red, green, blue\)",
    ),
    "KR510 attribute": (
        facts(age={"x": ["a", "b", "a"], "years": [1, 2, 3]}),
        r"`age`, row 3: `age` is 3, but row 1 says 1",
    ),
    "KR510 text attribute": (
        facts(nick={"x": ["a", "a"], "n": ["p", "q"]}),
        r"`nick`, row 2: `nick` is q, but row 1 says p",
    ),
    "KR510 features": (
        {"features": {"Person": {"x": ["a", "a"], "f": [1, 1]}}},
        r"features of `Person`, row 2, column `x`: the features of this thing",
    ),
    "KR510 scores": (
        {"scores": {"Smokes": {"x": ["a", "b", "a"], "s": [0.1, 0.2, 0.3]}}},
        r"scores of `Smokes`, row 3: the scores of this atom are given before",
    ),
    "KR511 facts": (
        facts(Wears={"x": ["a", "a"], "c": ["red", "blue"]}),
        r'`Wears`, row 2, column `c`: the value is "blue", but row 1 says "red"',
    ),
    "KR511 labels": (
        {"labels": {"Likes": {"x": ["a", "b", "a"], "c": ["red", "red", "blue"]}}},
        r'labels of `Likes`, row 3, column `c`: the value is "blue", but row 1 says "red"',
    ),
    "KR512 labels": (
        {"labels": {"Smokes": {"x": ["a", "a"], "l": [1, 0]}}},
        r"labels of `Smokes`, row 2: this atom is given as false, but row 1 says true",
    ),
    "KR513 label": (
        {"labels": {"Smokes": {"x": ["a", "b"], "l": [0, -1]}}},
        r"labels of `Smokes`, row 2, column `l`: -1 is not a label",
    ),
    "KR514 number": (
        facts(at={"e": ["e1"], "t": [1769846400]}),
        r"`at`, row 1, column `t`: 1769846400 is not a time",
    ),
    "KR514 text": (
        facts(at={"e": ["e1", "e2"], "t": ["2026-01-01", "2026-02-30"]}),
        r'`at`, row 2, column `t`: "2026-02-30" is not a time',
    ),
    "KR514 duration": (
        facts(took={"e": ["e1"], "t": ["long"]}),
        r'`took`, row 1, column `t`: "long" is not a duration',
    ),
    "KR514 edges": (
        {"graph": EdgeList({"src": ["a"], "dst": ["b"], "t": ["?"]}, "src", "dst", time="t")},
        r"edges `to`, row 1, column `t`: \? is not a time",
    ),
    "KR516 facts of a query": (
        facts(Smokes={"x": ["a"]}),
        r"`Smokes` is a query predicate, so it has no facts",
    ),
    "KR516 labels of an observed": (
        {"labels": {"Knows": {"x": ["a"], "y": ["b"]}}},
        r"`Knows` is an observed predicate, so it has no labels",
    ),
    "KR516 labels of a latent": (
        {"labels": {"Secret": {"x": ["a"]}}},
        r"`Secret` is a latent predicate, so it has no labels",
    ),
    "KR524 edges": (
        {"graph": EdgeList({"x": ["a"], "y": ["b"]}, "x", "y")},
        r"of which domain are the things in column `x`",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_table_is_told_by_name_row_and_column(case):
    tables, message = CASES[case]
    error = refused(**tables)
    assert error.code == case[:5]
    assert re.search(message, str(error)), str(error)


def test_a_probability_outside_0_to_1():
    table = {"x": ["a", "b"], "p": [0.5, 1.5]}
    error = refused(
        people(models=(column_model("Smokes", "p", "probability"),)), scores={"Smokes": table}
    )
    assert error.code == "KR515"
    assert "scores of `Smokes`, row 2, column `p`: 1.5 is not a probability" in str(error)
    free = people(models=(column_model("Smokes", "p", "log_odds"),))
    assert (
        Dataset.from_frames(free, scores={"Smokes": table}).scores["Smokes"].values["p"][1] == 1.5
    )


def test_files_that_cannot_be_read_say_why(tmp_path):
    broken = tmp_path / "t.parquet"
    broken.write_text("no parquet")
    assert refused(**facts(Knows=broken)).code == "KR501"
    strange = tmp_path / "t.docx"
    strange.write_text("?")
    assert "csv, tsv, parquet or json lines" in str(refused(**facts(Knows=strange)))


def test_the_file_is_named(tmp_path):
    path = tmp_path / "friends.csv"
    path.write_text("x,y\na,b\na,\n")
    assert "`Knows` (friends.csv), row 2, column `y`" in str(refused(**facts(Knows=path)))


def test_wrong_values_of_a_column_are_one_finding():
    ages = {"x": [f"p{i}" for i in range(30)], "years": ["3"] * 10 + ["old", "young"] * 10}
    (found,) = refused(facts={"age": ages}).diagnostics
    assert found.message == (
        '`age`, row 11, column `years`: "old" is not an int (10 rows), nor "young" '
        "(2 values in 20 rows)"
    )


def test_ten_findings_are_told_and_the_others_counted():
    ages = {"x": [f"p{i % 30}" for i in range(60)], "years": range(60)}
    error = refused(facts={"age": ages, "Knows": {"x": ["p0"], "y": [None]}})
    assert len(error.diagnostics) == 11
    assert error.diagnostics[-1].code == "KR500"
    assert error.diagnostics[-1].message == "and 21 more"


def test_findings_of_several_tables_come_together():
    error = refused(
        facts={"age": {"x": ["a"], "y": ["?"]}, "Knows": {"x": ["a"], "y": [None]}},
        labels={"Smokes": {"x": ["a"], "l": [5]}},
    )
    assert {d.code for d in error.diagnostics} == {"KR506", "KR507", "KR513"}


class Statements:
    def __init__(self, text, atoms=(), values=()):
        source = Source("f.facts", text)
        self.atoms = tuple((*atom, Span(source, 0, 3)) for atom in atoms)
        self.values = tuple((*value, Span(source, 0, 3)) for value in values)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (Statements('Smoks("a")', [("Smoks", ("a",), True)]), r"KR503.*did you mean `Smokes`"),
        (Statements('Knows("a")', [("Knows", ("a",), True)]), r"KR505.*1 arguments, expected 2"),
        (
            Statements('!Knows("a", "b")', [("Knows", ("a", "b"), False)]),
            r"KR525.*`Knows` is an observed predicate",
        ),
        (
            Statements("", [("Wears", ("a", "red"), True), ("Wears", ("a", "blue"), True)]),
            r'KR511.*`Wears`: the value is "blue", but an earlier line says "red"',
        ),
        (Statements("", values=[("age", ("a",), "old")]), r'KR506.*`age`: "old" is not an int'),
        (Statements("", values=[("age", ("a",), 1), ("age", ("b",), "x")]), r'KR506.*"x"'),
    ],
)
def test_a_facts_file_is_told_by_place(statements, message):
    with pytest.raises(DataError, match=message) as caught:
        Dataset.from_facts(people(), statements)
    assert caught.value.diagnostics[0].span.place() == "f.facts:1:1"


def test_edges_of_a_graph_need_a_fitting_predicate():
    import networkx as nx

    with pytest.raises(DataError, match="KR524"):
        networkx_tables(people(), nx.path_graph(2), edges="Wears")


@pytest.mark.parametrize("weight", [0, -1.0, float("inf")])
def test_a_sampling_weight_is_a_number_above_zero(weight):
    weights = {"Smokes": {"x": ["a", "a"], "w": [2.0, weight]}}
    with pytest.raises(DataError, match=r"KR532.*is no sampling weight"):
        Dataset.from_frames(
            people(mentions("Smokes", "a"), mentions("Smokes", "b")), label_weights=weights
        )


NUMBER = "domain N\nquery load(N): float\nmodel m for load = trees()"


@pytest.mark.parametrize(
    ("y", "code"),
    [
        ([1.0, float("inf")], "KR533"),
        (["1", "strong"], "KR506"),
    ],
)
def test_labels_of_a_numeric_query_that_are_no_numbers(y, code):
    with pytest.raises(DataError) as caught:
        Dataset.from_frames(loads(NUMBER), labels={"load": {"n": ["n0", "n1"], "y": y}})
    (finding,) = caught.value.diagnostics
    assert finding.code == code
    assert "row 2" in finding.message


def test_other_labels_of_a_numeric_query():

    def refused(code: str, **tables) -> None:
        with pytest.raises(DataError) as caught:
            Dataset.from_frames(loads(NUMBER), **tables)
        assert caught.value.code == code

    rows = {"n": ["n0", "n0"], "y": [1.0, 2.0]}
    refused("KR510", labels={"load": rows})
    refused("KR516", facts={"load": rows})
    refused("KR516", evidence={"load": rows})
    refused("KR505", labels={"load": {"n": ["n0"]}})
    data = Dataset.from_frames(
        loads(NUMBER), labels={"load": {"n": ["a", "b", "c"], "y": [None, 3.0, float("nan")]}}
    )
    assert data.labels["load"].column("value").to_pylist() == [3.0]  # the others are unlabelled


def test_warnings_do_not_stop_the_binding():
    data = Dataset.from_frames(
        people(mentions("Smokes", "zoe")), facts={"Knows": {"x": ["a"], "y": ["b"]}}
    )
    told = [d.message for d in data.warnings if d.code == "KR517"]
    assert told == ['the rules speak of `Person` "zoe", which no row mentions']
    silent = {d.message.split("`")[1] for d in data.warnings if d.code == "KR518"}
    assert {"Friends", "age"} <= silent
    assert "Knows" not in silent
    assert all(d.severity == "warning" for d in data.warnings)


def test_every_code_is_in_the_catalogue_and_every_entry_is_raised():
    folder = Path(knowreason.data.__file__).parent
    raised = set(re.findall(r"KR5\d\d", "".join(f.read_text() for f in folder.rglob("*.py"))))
    known = {code for code in catalogue() if code.startswith("KR5")}
    assert raised == known
    tested = set(
        re.findall(r"KR5\d\d", "".join(f.read_text() for f in Path(__file__).parent.glob("*.py")))
    )
    assert known - tested <= {"KR520", "KR521", "KR522"}  # tested with the project file
