"""Each template of ``knowreason new``: clean, laid out, commented, trained as it is."""

import pytest
from typer.testing import CliRunner

from knowreason.cli.app import app
from knowreason.lang import format_text
from knowreason.project.project_file import load_project
from knowreason.run.run_prediction import predict_run
from knowreason.run.run_training import train
from knowreason.run.starters import TEMPLATES, new_project

OURS = ("fraud", "intrusion", "labelling", "linkage", "knowledge-graph", "blank")


@pytest.fixture(scope="module", params=OURS)
def project(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("templates") / request.param
    assert new_project(folder, request.param) == f"knowreason train {folder} -o {folder}/run"
    return folder


def test_every_template_is_tried():
    assert set(OURS) == set(TEMPLATES)


def test_a_template_has_no_findings(project):
    done = CliRunner().invoke(app, ["check", str(project)])
    assert done.exit_code == 0
    assert "nothing to report" in done.stderr, done.stderr


def test_rules_are_laid_out_and_commented(project):
    for file in project.glob("*.kr"):
        text = file.read_text(encoding="utf-8")
        assert format_text(text, file.name) == text
        assert sum("#" in line for line in text.splitlines()) >= 4
    settings = (project / "knowreason.toml").read_text(encoding="utf-8")
    assert sum("#" in line for line in settings.splitlines()) >= 3


def test_a_template_trains_and_predicts(project):
    run = project / "run"
    train(load_project(project), run)
    predictions = predict_run(run)
    assert predictions.table.num_rows == predictions.counts.asked > 50


def test_what_a_template_writes_is_small(project):
    sizes = [file.stat().st_size for file in (project / "data").iterdir()]
    assert 0 < sum(sizes) < 700_000
