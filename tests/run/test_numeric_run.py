"""A project with a numeric query, the example of drugs, by every verb."""

import json
import shutil
from pathlib import Path
from runpy import run_path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from knowreason.cli.app import app
from knowreason.errors import GroundingError, ProgramError, ProjectError
from knowreason.evaluate.numeric_evaluation import MEAN
from knowreason.project.project_file import load_project
from knowreason.run.run_prediction import predict_run
from knowreason.run.run_training import train

EXAMPLE = Path(__file__).parents[2] / "examples" / "binding"
QUICK = {"models.binds.max_iter": 40, "models.binds.hops": 0, "learn.auto_trees": False}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("binding")
    for name in ("binding.kr", "knowreason.toml"):
        shutil.copy(EXAMPLE / name, folder)
    run_path(str(EXAMPLE / "make_binding.py"))["write"](folder / "tables", 24)
    train(load_project(folder, QUICK), folder / "run")
    return folder


def verb(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def test_what_a_run_holds(project):
    run = project / "run"
    estimates = pq.read_table(run / "marginals" / "affinity.parquet")
    assert estimates.column_names == ["drug", "target", "value", "sd"]
    records = json.loads((run / "metrics.json").read_text())
    assert [record["predicate"] for record in records] == ["Works", "affinity"]
    table = records[1]["table"]
    assert table["binds"]["rmse"]["value"] < 0.9 * table[MEAN]["rmse"]["value"]
    assert "How good: affinity" in (run / "report.html").read_text()


def test_predict_gives_numbers(project):
    predictions = predict_run(project / "run", predicate="affinity")
    value = predictions.table.column("value").to_numpy()
    assert (np.diff(value) <= 0).all()
    assert "out of 6 folds" in predictions.notes[0]
    assert "value" in verb("predict", project / "run", "--predicate", "affinity", "--top", 3)
    beside = predict_run(project / "run")  # the predicate is asked where nothing is said
    assert beside.table.column_names[:3] == ["drug", "disease", "probability"]


def test_predict_on_tables_without_labels(project):
    today = project / "today"
    shutil.copytree(project / "tables", today)
    (today / "measured.csv").unlink()
    found = predict_run(project / "run", today, predicate="affinity")
    assert found.table.num_rows == 24 * 24  # every pair is asked


def test_eval_and_explain(project):
    said = verb("eval", project / "run")
    for words in ("without strong", "held-back numbers", "mean of the training labels"):
        assert words in said
    row = predict_run(project / "run").table.slice(0, 1).to_pylist()[0]
    atom = f'Works("{row["drug"]}", "{row["disease"]}")'
    assert "rule strong" in verb("explain", project / "run", atom)
    refused = CliRunner().invoke(app, ["explain", str(project / "run"), 'affinity("drug1", "t1")'])
    assert isinstance(refused.exception, ProgramError)


def test_other_verbs(project):
    assert CliRunner().invoke(app, ["check", str(project / "binding.kr")]).exit_code == 0
    assert CliRunner().invoke(app, ["fmt", "--check", str(EXAMPLE / "binding.kr")]).exit_code == 0
    compiled = CliRunner().invoke(app, ["compile", str(project)])
    assert isinstance(compiled.exception, GroundingError)


def test_a_binding_without_labels_is_refused(project):
    other = project / "other.toml"
    text = (project / "knowreason.toml").read_text()
    other.write_text(text.replace('label = "pkd"', 'value = "pkd"'))
    with pytest.raises(ProjectError, match=r"KR908.*`label` names the column"):
        train(load_project(other, QUICK), project / "never")
