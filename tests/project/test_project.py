"""The project file: read whole, or refused with a place for every fault."""

import json
import tomllib
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

from knowreason.codes import catalogue
from knowreason.data.binding.table_files import TableSource, load_tables
from knowreason.errors import DataError, ProjectError
from knowreason.project.project_file import load_project, project_toml
from knowreason.project.schema import Project, project_schema
from knowreason.project.settings import Settings
from knowreason.run.starters import TEMPLATES, new_project

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
        ('program = "a.kr"\n[engine]\nkind = "sparc"', "KR907"),
        ('program = "a.kr"\n[engine]\npartitions = -1', "KR907"),
        ('program = "a.kr"\n[engine]\nmastr = "local"', "KR906"),
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


@pytest.mark.parametrize(
    ("old", "new", "message", "under"),
    [
        ("seed = 3", "seed = true", "`seed` must be an integer, not `True`", "seed"),
        ("seed = 3", "seed = 3.0", "`seed` must be an integer, not `3.0`", "seed"),
        ('"id", "source"', '"id", 3', "`bind.Pays.columns` must be a string, not `3`", "columns"),
        ("[-1]", "[[1]]", "must be true or false or an integer or a number or a string", "unknown"),
        ('[split]\nby = "snapshot"', "[split]\nby = 3", "`split.by` must be a string", "by"),
        ('[time]\nlabel_delay = "2d"', "[time]\nlabel_delay = false", "a string or", "label_delay"),
        ("share = 0.5", 'share = "half"', "`split.share` must be a number", "share"),
        ("max_iter = 300", "", "", ""),
        ("[models.main]\nmax_iter = 300", "[models]\nmain = 3", "must be a table", "main"),
        ("edges = [{", "edges = 3 # [{", "`graph.edges` must be a list, not `3`", "edges"),
        ('path = "payments.csv"', 'path = "p.csv"\nsql = "select 1"', "either", "tables.payments"),
        ('program = "fraud.kr"', 'program = "fraud.kr"\ndirectory = "x"', "unknown", "directory"),
    ],
)
def test_a_wrong_value_is_told_in_words_and_pointed_at(tmp_path, old, new, message, under):
    text = GOOD.replace("[models.main]", '[time]\nlabel_delay = "2d"\n[models.main]')
    text = text.replace('train = "< 34"', 'train = "< 34"\nshare = 0.5')
    assert old in text
    path = write(tmp_path, text.replace(old, new))
    if not message:
        assert load_project(path).models["main"] == {}
        return
    with pytest.raises(ProjectError) as raised:
        load_project(path)
    (finding,) = raised.value.diagnostics
    assert message in finding.message
    assert finding.span.source.text[finding.span.start : finding.span.end] == under


def test_a_project_written_out_keeps_what_only_toml_has(tmp_path):
    project = load_project(write(tmp_path, GOOD))
    models = {
        "a b": {"since": datetime(2026, 1, 31), "sizes": (1, 2), "nested": {"x": float("inf")}}
    }
    nasty = replace(project, models=models, name='a "quoted"\nname\\', params={"p.q": True})
    path = write(tmp_path, project_toml(nasty))
    again = load_project(path)
    assert again.models["a b"] == {**models["a b"], "sizes": [1, 2]}
    assert (again.name, again.params) == (nasty.name, nasty.params)
    assert replace(again, models={}) == replace(nasty, models={})


def test_settings_stand_in_sections_and_come_back():
    changed = {
        "fold_count": 7,
        "labels": "none",
        "hard_violations": "drop",
        "clusters": "source",
        "bootstrap": 9,
        "adapt": "reliability",
        "deploy": "refit",
        "answer": "rules",
        "weights": "stated",
        "auto_trees": False,
        "boosted_rules": True,
        "prevalence": {"Fraud": 0.02, "Mule": "estimate"},
        "memory_limit": "1GB",
        "ground_limit": 5,
        "threads": 3,
        "exact_memory": "2GB",
        "exact_seconds": 5.0,
        "learn": {"a": 1},
        "infer": {"b": 2},
        "show": {"Payment": ("amount",)},
    }
    assert set(changed) == {entry.name for entry in fields(Settings)}
    settings = Settings(**changed)
    project = Project(program=Path("a.kr"))
    assert project.settings() == Settings()
    assert project.with_settings(settings).settings() == settings
    assert project.with_settings(settings).learn.fold_count == 7
    with pytest.raises(ValueError, match="fold_cuont"):
        Settings(fold_cuont=3)


@pytest.mark.parametrize("text", ["0.02", '"estimate"', '{ Fraud = 0.02, Mule = "estimate" }'])
def test_a_prevalence_comes_back(tmp_path, text):
    project = load_project(write(tmp_path, f"{GOOD}\n[labels]\nprevalence = {text}\n"))
    assert project.settings().prevalence == tomllib.loads(f"p = {text}")["p"]
    assert load_project(write(tmp_path, project_toml(project))) == project


@pytest.mark.parametrize("text", ["2", "0.0", "1.0", '"guess"', "{ Fraud = 3.0 }", "[0.1]"])
def test_a_wrong_prevalence_is_one_finding(tmp_path, text):
    with pytest.raises(ProjectError) as caught:
        load_project(write(tmp_path, f"{GOOD}\n[labels]\nprevalence = {text}\n"))
    (finding,) = caught.value.diagnostics
    assert (finding.code, "a share above 0 and below 1" in finding.message) == ("KR907", True)


ROOT = Path(__file__).parents[2]


def test_the_committed_schema_is_current():
    """`knowreason schema > knowreason.schema.json` writes it."""
    committed = json.loads((ROOT / "knowreason.schema.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(project_schema()))


def test_every_project_file_fits_the_committed_schema(tmp_path):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads((ROOT / "knowreason.schema.json").read_text(encoding="utf-8"))
    fits = jsonschema.Draft202012Validator(schema).is_valid
    for template in TEMPLATES:
        new_project(tmp_path / template, template)
    files = [*ROOT.glob("examples/*/knowreason.toml"), *tmp_path.rglob("knowreason.toml")]
    assert len(files) > 3
    for file in files:
        project = tomllib.loads(file.read_text(encoding="utf-8"))
        assert fits(project), file
        assert not fits(project | {"sead": 1})
        assert not fits(project | {"learn": {"fold_count": "three"}})


def test_the_schema_knows_every_key_and_no_other():
    schema = project_schema()
    json.dumps(schema)
    assert schema["required"] == ["program"]
    assert schema["additionalProperties"] is False
    names = {entry.name for entry in fields(Project)} - {"directory"}
    assert set(schema["properties"]) == names
    learn = schema["$defs"]["LearnSection"]["properties"]
    assert learn["labels"]["enum"] == ["all", "none"]
    assert learn["fold_count"]["description"] == "Cross-fitting folds."
