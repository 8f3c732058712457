"""A project becomes a run folder, whole or not at all; a stored run predicts the same."""

import json
import shutil
import tomllib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from knowreason.data import Vocabulary
from knowreason.errors import DataError, GroundingError, ProjectError
from knowreason.factors.energy import log_score
from knowreason.project.manifests import partial_folder
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_parts
from knowreason.report.html import report_html
from knowreason.report.report_parts import ReportParts
from knowreason.run import run_training as training
from knowreason.run.compilation import compile_project
from knowreason.run.compiled_graph import load_compiled
from knowreason.run.run_evaluation import evaluate_parts
from knowreason.run.run_folder import load_run
from knowreason.run.run_prediction import beliefs_of_run, predict_run, save_table
from knowreason.run.run_training import has_interrupted_run, train
from tests.grounding.programs import random_worlds
from tests.projects import write_world

PARTS = {
    "project.toml",
    "program.kr",
    "manifest.json",
    "weights.toml",
    "weights.json",
    "weights.safetensors",
    "models",
    "grounding.json",
    "metrics.json",
    "history.jsonl",
    "marginals",
    "report.html",
    "plots",
}


def test_a_run_folder_holds_everything(skimming_run):
    assert {path.name for path in skimming_run.iterdir()} >= PARTS
    assert not list(skimming_run.rglob("*.pkl"))
    manifest = json.loads((skimming_run / "manifest.json").read_text())
    assert manifest["models"] == [["signs", "Fraud"], ["amount", "Fraud"]]
    weights = tomllib.loads((skimming_run / "weights.toml").read_text())
    assert weights["seldom"]["status"] == "given"
    assert weights["skimmed"]["prior_mean"] == pytest.approx(4.0)
    marginals = pq.read_table(skimming_run / "marginals" / "Fraud.parquet")
    assert {"payment", "probability", "log_odds", "signs", "amount"} <= set(marginals.column_names)
    for line in (skimming_run / "history.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_stored_run_predicts_what_the_fitted_reasoner_did(skimming_project, skimming_run):
    stored = pq.read_table(skimming_run / "marginals" / "Fraud.parquet")
    again = beliefs_of_run(skimming_run).marginals("Fraud").to_arrow()
    assert again["payment"].to_pylist() == stored["payment"].to_pylist()
    np.testing.assert_allclose(again["log_odds"], stored["log_odds"], atol=1e-4)


def test_the_same_seed_gives_the_same_run(skimming_project, skimming_run, tmp_path):
    train(load_project(skimming_project), tmp_path / "again")
    for name in ("weights.toml", "program.kr", "metrics.json"):
        assert (tmp_path / "again" / name).read_text() == (skimming_run / name).read_text()


def test_only_labels_of_the_training_part_are_learned_from(skimming_project):
    parts = load_parts(load_project(skimming_project))
    assert parts.cut == 10
    assert parts.train.labels["Fraud"].num_rows == 24
    assert parts.test.labels["Fraud"].num_rows == 24
    assert parts.test.hidden["Fraud"].num_rows > 100
    assert not parts.train.hidden["Fraud"].num_rows


def test_a_run_that_is_there_is_not_overwritten(skimming_project, skimming_run):
    before = (skimming_run / "manifest.json").read_text()
    with pytest.raises(ProjectError, match="KR914"):
        train(load_project(skimming_project), skimming_run)
    assert (skimming_run / "manifest.json").read_text() == before


def test_an_interrupted_run_leaves_nothing_and_is_taken_up(skimming_project, tmp_path, monkeypatch):
    project, target = load_project(skimming_project), tmp_path / "run"

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("knowreason.reasoner.fit_reasoner.fit_weights", stop)
        with pytest.raises(KeyboardInterrupt):
            train(project, target)
    assert not target.exists()
    assert has_interrupted_run(target)
    other = load_project(skimming_project, {"models.signs": "{ C = 0.5 }"})
    run = train(other, target, resume=True)
    origins = {model.name: model.origin for model in run.reasoner.models_}
    assert origins["amount"] == f"taken from `{partial_folder(target)}`"
    assert origins["signs"].endswith("option `C` is new")
    assert target.is_dir()
    assert not partial_folder(target).exists()
    assert not (target / training.STATE).exists()


def test_a_rule_more_takes_the_models_of_a_run(skimming_project, skimming_run, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(skimming_project, folder)
    with (folder / "skimming.kr").open("a") as file:
        file.write("rule far [1] : Abroad(p) => Fraud(p)\n")
    told = []
    taken = train(
        load_project(folder),
        tmp_path / "run",
        models=skimming_run,
        progress=lambda *state: told.append(state),
    )
    made = train(load_project(folder), tmp_path / "again")
    assert {model.origin for model in taken.reasoner.models_} == {f"taken from `{skimming_run}`"}
    assert (1, 1, f"auto for Fraud: taken from `{skimming_run}`") in told
    for name in ("weights.toml", "metrics.json"):
        assert (tmp_path / "run" / name).read_text() == (tmp_path / "again" / name).read_text()
    assert made.reasoner.models_[0].origin == ""


def test_a_compiled_graph_is_trained_on_or_refused(skimming_project, skimming_run, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(skimming_project, folder)
    compile_project(load_project(folder), tmp_path / "graph")
    run = train(load_project(folder), tmp_path / "run", compiled=tmp_path / "graph")
    assert (tmp_path / "run" / "weights.toml").read_text() == (
        skimming_run / "weights.toml"
    ).read_text()
    assert [w.message for w in run.reasoner.grounding_.warnings] == sorted(
        {w.message for w in run.reasoner.grounding_.warnings},
        key=[w.message for w in run.reasoner.grounding_.warnings].index,
    )

    def refused(settings=None):
        with pytest.raises(ProjectError, match="KR935") as error:
            train(load_project(folder, settings), tmp_path / "b", compiled=tmp_path / "graph")
        return str(error.value)

    assert "hard_violations is drop, was error" in refused({"learn.hard_violations": "drop"})
    assert "facts of `day` changed" in refused({"split.train": "< 9", "split.test": ">= 9"})
    rules = folder / "skimming.kr"
    text = rules.read_text()
    rules.write_text(text + "rule far [1] : Abroad(p) => Fraud(p)\n")
    assert "rule `far` is new (" in refused()
    rules.write_text(text.replace("[-3.5]", "[-3]"))
    assert "rule `seldom` changed" in refused()
    with pytest.raises(ProjectError, match=r"KR911.*no compiled graph"):
        train(load_project(folder), tmp_path / "b", compiled=skimming_run)


def test_rows_are_appended_to_a_compiled_graph(skimming_project, tmp_path):
    folder, graph = tmp_path / "project", tmp_path / "graph"
    shutil.copytree(skimming_project, folder)
    rules = folder / "skimming.kr"
    text = rules.read_text()
    payments = pq.read_table(folder / "data" / "payments.parquet")
    early = payments.filter(payments["day"].to_numpy() < payments["day"].to_numpy().max())
    pq.write_table(early.slice(3), folder / "data" / "payments.parquet")
    compile_project(load_project(folder), graph)
    rules.write_text(text.replace("~> Fraud(p)", "~> any Fraud(p)"))
    with pytest.raises(ProjectError, match=r"KR935.*`skimmed` changed"):
        compile_project(load_project(folder), None, append=graph)
    compile_project(load_project(folder), tmp_path / "any")
    with pytest.raises(GroundingError, match=r"KR655.*`skimmed`"):
        compile_project(load_project(folder), None, append=tmp_path / "any")
    rules.write_text(text)
    pq.write_table(payments, folder / "data" / "payments.parquet")
    before = {file: file.read_bytes() for file in graph.rglob("*") if file.is_file()}
    other = compile_project(load_project(folder), tmp_path / "other", append=graph)
    assert before == {file: file.read_bytes() for file in graph.rglob("*") if file.is_file()}
    done = compile_project(load_project(folder), None, append=graph)
    fresh = compile_project(load_project(folder), tmp_path / "fresh")
    assert 0 < done.touched == other.touched < sum(size.atoms for size in done.components)
    assert done.components == fresh.components
    train_part = load_parts(load_project(folder)).train
    ours, theirs = (
        load_compiled(place, load_project(folder), train_part)
        for place in (graph, tmp_path / "fresh")
    )
    worlds = random_worlds(ours, 8, 0)
    assert log_score(ours.graph, worlds) == pytest.approx(log_score(theirs.graph, worlds))
    again = compile_project(load_project(folder), None, append=graph)
    assert again.touched == 0
    pq.write_table(payments.slice(1), folder / "data" / "payments.parquet")
    with pytest.raises(GroundingError, match=r"KR655.*gone"):
        compile_project(load_project(folder), None, append=graph)
    (graph / "relations" / "relations.json").write_text("{}")
    with pytest.raises(ProjectError, match=r"KR960.*relations\.json"):
        compile_project(load_project(folder), None, append=graph)


def test_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "manifest.json").touch()
    with pytest.raises(ProjectError, match=r"KR911.*runs in it: `.*first`"):
        load_run(tmp_path)
    (tmp_path / "first" / "manifest.json").unlink()
    with pytest.raises(ProjectError, match="KR911"):
        load_run(tmp_path)


def test_tomorrows_tables_need_no_labels(skimming_run, tmp_path):
    write_world(tmp_path, seed=9)
    with_labels = beliefs_of_run(skimming_run, tmp_path)
    (tmp_path / "labels.parquet").unlink()
    without = beliefs_of_run(skimming_run, tmp_path)
    payments = pq.read_table(tmp_path / "payments.parquet").num_rows
    assert len(without.asked("Fraud")) == payments
    assert len(with_labels.asked("Fraud")) < payments
    table = predict_run(skimming_run, tmp_path).table
    assert table.num_rows == payments
    order = table["log_odds"].to_numpy()
    assert (np.diff(order) <= 0).all()


def test_other_tables_that_are_missing_are_named(skimming_run, tmp_path):
    write_world(tmp_path, seed=9)
    (tmp_path / "payments.parquet").unlink()
    with pytest.raises(DataError, match=r"KR520.*payments"):
        beliefs_of_run(skimming_run, tmp_path)


def test_most_probable_world(skimming_run):
    table = predict_run(skimming_run, most_probable=True).table
    assert table.column_names == ["payment"]


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_predictions_are_written_whole(skimming_run, tmp_path, name):
    found = predict_run(skimming_run)
    save_table(found.table, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(ProjectError, match="KR918"):
        save_table(found.table, tmp_path / "out.xls")


def test_the_report_says_how_good_its_probabilities_are(skimming_run):
    run = load_run(skimming_run)
    parts = load_parts(run.project)
    assert "unconfirmed: there" not in (skimming_run / "report.html").read_text()
    beliefs = run.reasoner.infer(parts.test, engine="bp")
    evaluations = evaluate_parts(run.reasoner, run.project, parts.train, beliefs)
    text = report_html(ReportParts(run.project, run.reasoner, beliefs, evaluations))
    asked = len(beliefs.asked("Fraud"))
    said = f"Fraud: {asked:,} of {asked:,} asked marginals are unconfirmed"
    assert text.index(said) < text.index("How good, with and without rules")
    assert text.count("this marginal is unconfirmed") == 50
    assert "converged" not in text


def test_the_report_escapes_names(skimming_run, tmp_path):
    run = load_run(skimming_run)
    parts = load_parts(run.project)
    beliefs = run.reasoner.infer(parts.test)
    evaluations = evaluate_parts(run.reasoner, run.project, parts.train, beliefs)
    nasty = "<b>x</b>&<script>alert(1)</script>"
    things = parts.test.vocabularies["Payment"]
    names = pa.array([f"{name}{nasty}" for name in things.names.to_pylist()])
    vocabularies = {**parts.test.vocabularies, "Payment": Vocabulary("Payment", names)}
    renamed = replace(parts.test, vocabularies=vocabularies)
    shown = replace(beliefs, grounding=replace(beliefs.grounding, data=renamed))
    project = replace(run.project, name=nasty, report=replace(run.project.report, question=nasty))
    text = report_html(ReportParts(project, run.reasoner, shown, evaluations))
    assert text.count("<script") == 1
    assert "<b>x</b>" not in text
    assert "&lt;script&gt;" in text
