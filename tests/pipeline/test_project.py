"""The project file: read whole, or refused with a place for every fault."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

from knowreason.codes import catalogue
from knowreason.data.tables import TableSource, load_tables
from knowreason.errors import DataError, ProjectError
from knowreason.pipeline.project import load_project

GOOD = """
program = "fraud.kr"
seed = 3

[params]
horizon = "1h"

[tables.payments]
path = "payments.csv"
[tables.merchants]
sql = "select target, count(*) as n from payments group by target"

[bind]
Pays   = { table = "payments", columns = ["id", "source", "target"] }
Fraud  = { table = "payments", columns = ["id"], label = "label", unknown = [-1] }

[features.Payment]
table = "payments"
key = "id"
columns = ["amount"]

[graph]
edges = [{ table = "payments", source = "source:Account", target = "target:Merchant" }]

[split]
by = "snapshot"
train = "< 34"
test = ">= 34"

[models.main]
max_iter = 300

[learn]
method = "likelihood"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "knowreason.toml"
    path.write_text(text)
    return path


def test_reads_every_section(tmp_path):
    project = load_project(write(tmp_path, GOOD))
    assert project.program == tmp_path / "fraud.kr"
    assert project.name == "fraud"
    assert project.seed == 3
    assert project.tables["payments"].path == str(tmp_path / "payments.csv")
    assert project.bind["Fraud"].unknown == (-1,)
    assert project.graph.edges[0].source == "source:Account"
    assert project.models["main"] == {"max_iter": 300}
    assert project.learn.method == "likelihood"
    assert project.infer.engine == "auto"


def test_settings_override(tmp_path):
    write(tmp_path, GOOD)
    overrides = {"seed": "7", "learn.method": "knowgraph", "models.main.depth": "4"}
    project = load_project(tmp_path, overrides)
    assert (project.seed, project.learn.method) == (7, "knowgraph")
    assert project.models["main"] == {"max_iter": 300, "depth": 4}


def test_all_faults_at_once_with_places(tmp_path):
    text = (
        GOOD.replace("seed = 3", "sead = 3\ndevice = 1")
        .replace('method = "likelihood"', 'method = "likelihood"\nlabels = "some"')
        .replace('label = "label"', 'lable = "label"')
    )
    with pytest.raises(ProjectError) as raised:
        load_project(write(tmp_path, text))
    found = {
        (d.code, d.span.source.text[d.span.start : d.span.end]) for d in raised.value.diagnostics
    }
    assert found == {
        ("KR906", "sead"),
        ("KR907", "device"),
        ("KR907", "labels"),
        ("KR906", "lable"),
    }
    assert "did you mean `seed`?" in str(raised.value)
    assert "did you mean `label`?" in str(raised.value)


def test_toml_syntax_error_has_a_place(tmp_path):
    with pytest.raises(ProjectError) as raised:
        load_project(write(tmp_path, 'program = "a.kr"\nseed = zero\n'))
    assert raised.value.code == "KR902"
    assert raised.value.diagnostics[0].span.place().endswith(":2:8")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("seed = 1", "KR908"),
        ('program = "a.kr"\n[tables.t]\n', "KR904"),
        ('program = "a.kr"\n[bind]\nP = { table = "t", columns = ["a"] }', "KR905"),
        ('program = "a.kr"\ntables = 3', "KR907"),
    ],
)
def test_codes(tmp_path, text, code):
    with pytest.raises(ProjectError) as raised:
        load_project(write(tmp_path, text))
    assert raised.value.code == code
    assert code in catalogue()


def test_no_file_and_bad_setting(tmp_path):
    with pytest.raises(ProjectError, match="KR901"):
        load_project(tmp_path / "nowhere.toml")
    write(tmp_path, GOOD)
    with pytest.raises(ProjectError, match="KR903"):
        load_project(tmp_path, {"seed.x": "1"})


def test_tables_from_files_and_sql(tmp_path):
    table = pa.table({"a": [1, 2, 2], "b": ["x", "y", "z"]})
    pa.csv.write_csv(table, tmp_path / "t1.csv")
    pa.csv.write_csv(table, tmp_path / "t2.csv")
    sources = {
        "t": TableSource(path=str(tmp_path / "t*.csv")),
        "n": TableSource(sql="select a, count(*) as n from t group by a order by a"),
    }
    loaded = load_tables(sources)
    assert loaded["t"].num_rows == 6
    assert loaded["n"].to_pydict() == {"a": [1, 2], "n": [2, 4]}


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (TableSource(path="nowhere.csv"), "KR520"),
        (TableSource(path="table.xls"), "KR521"),
        (TableSource(sql="select nothing from nowhere"), "KR522"),
    ],
)
def test_bad_tables(source, code):
    with pytest.raises(DataError) as raised:
        load_tables({"t": source})
    assert raised.value.code == code
