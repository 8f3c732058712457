"""Every verb: results on stdout, talk on stderr, exit codes, no traceback for a user's fault."""

import io
import json
import os
import re
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from scipy.special import expit

from knowreason.cli import main
from knowreason.cli.app import app
from knowreason.codes import catalogue
from knowreason.run.run_prediction import beliefs_of_run
from tests.projects import write_world
from tests.shop_project import write_shop

SMOKERS = """
domain Person
observed Friends(Person, Person) symmetric
query Smokes(Person)
rule peers [1.1] : Smokes(x) & Friends(x, y) => Smokes(y)
"""
FACTS = 'Friends("anna", "bob") Smokes("anna")\n'


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out, parse_constant=refuse)


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


@pytest.fixture
def cli(capsys, monkeypatch):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["knowreason", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code or 0
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return call


@pytest.fixture
def smokers(tmp_path):
    (tmp_path / "s.kr").write_text(SMOKERS)
    (tmp_path / "s.facts").write_text(FACTS)
    return tmp_path


def test_every_verb_has_help(cli):
    top = cli("--help")
    verbs = [command.name for command in app.registered_commands]
    assert top.code == 0
    for verb in verbs:
        assert verb in top.out
        shown = cli(verb, "--help")
        assert shown.code == 0
        assert "Usage" in shown.out


def test_version_and_usage(cli):
    assert cli("--version").out.startswith("knowreason ")
    assert cli("nonsense").code == 2
    assert cli("check").code == 2


def test_check(cli, smokers):
    good = cli("check", smokers / "s.kr")
    assert (good.code, good.out) == (0, "")
    assert "1 file" in good.err
    (smokers / "bad.kr").write_text(SMOKERS.replace("Friends(x, y)", "Freinds(x, y)"))
    bad = cli("check", smokers / "bad.kr")
    assert (bad.code, bad.out) == (1, "")
    assert "KR201" in bad.err
    assert "did you mean `Friends`" in bad.err
    found = cli("check", "--json", smokers / "bad.kr")
    assert found.code == 1
    assert "KR201" in json.dumps(found.json)
    sarif = cli("check", "--format", "sarif", smokers / "bad.kr").json
    assert sarif["version"] == "2.1.0"


def test_check_strict_counts_warnings(cli, tmp_path):
    (tmp_path / "w.kr").write_text("domain Person\nquery Smokes(Person)\n")
    assert cli("check", tmp_path / "w.kr").code == 0
    assert cli("check", "--strict", tmp_path / "w.kr").code == 1


def test_check_of_a_project_a_folder_and_stdin(cli, tmp_path, skimming_project, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(skimming_project, project)
    good = cli("check", project)
    assert good.code == 0, good.err
    assert "ids of" in good.out
    assert "`Pays`" in good.out
    assert "2 files" in good.err
    assert "never used" not in good.err
    alone = cli("check", project / "skimming.kr")  # the project beside it is known
    assert (alone.code, "never used" in alone.err) == (0, False)
    change(project, 'table = "days"', 'table = "dayz"')
    (project / "other.kr").write_text("query Smokes(Person)\nquery Drinks(Person)\n")
    bad = cli("check", tmp_path)
    assert bad.code == 1
    assert "KR905" in bad.err
    assert "3 files" in bad.err
    assert bad.err.count("unknown domain `Person`") == 1  # the same at two places
    assert "(2 times: also " in bad.err
    assert len(cli("check", "--json", project / "other.kr").json) >= 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("query Smokes(Person)\n"))
    piped = cli("check", "-")
    assert (piped.code, "<stdin>:1:14" in piped.err) == (1, True)
    (tmp_path / "nothing").mkdir()
    assert "KR915" in cli("check", tmp_path / "nothing").err


def test_fmt(cli, tmp_path):
    file = tmp_path / "a.kr"
    file.write_text("domain   Person # people\nquery Smokes( Person )\n")
    before = file.read_text()
    assert cli("fmt", "--check", file).code == 1
    diff = cli("fmt", "--diff", file)
    assert diff.code == 0
    assert "-domain   Person" in diff.out
    assert file.read_text() == before
    assert cli("fmt", file).code == 0
    assert "query Smokes(Person)" in file.read_text()
    assert "# people" in file.read_text()
    assert cli("fmt", "--check", file).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.kr"]


def test_infer(cli, smokers):
    shown = cli("infer", smokers / "s.kr", smokers / "s.facts")
    assert shown.code == 0
    assert 'Smokes("bob")' in shown.out
    rows = cli("infer", "--json", smokers / "s.kr", smokers / "s.facts").json
    (row,) = [row for row in rows if row["atom"] == 'Smokes("bob")']
    assert row["probability"] == pytest.approx(0.7503, abs=1e-3)
    quiet = cli("-q", "infer", smokers / "s.kr", smokers / "s.facts")
    assert quiet.err == ""
    assert quiet.out == shown.out


def test_a_calendar_without_a_zone_is_said(cli, tmp_path):
    (tmp_path / "n.kr").write_text(
        """domain E
query Bad(E)
attribute at(E): time
rule late [1] : Bad(e) & hour(at(e)) >= 22
rule seldom [-1] : Bad(e)
""",
        encoding="utf-8",
    )
    (tmp_path / "n.facts").write_text('at("e1") = "2026-07-01T21:30Z"\n', encoding="utf-8")
    files = tmp_path / "n.kr", tmp_path / "n.facts"
    plain = cli("infer", *files, "--json")
    assert "warning[KR949]: `hour(at(e))` is that of UTC" in plain.err
    assert "n.kr:4:26" in plain.err
    there = cli("infer", *files, "--zone", "Europe/Vienna", "--json")
    utc = cli("infer", *files, "--zone", "UTC", "--json")
    assert "KR949" not in there.err + utc.err
    assert plain.json == utc.json
    assert there.json[0]["probability"] > utc.json[0]["probability"]
    assert "KR107" in cli("infer", *files, "--zone", "Europe/Viena").err
    out = tmp_path / "n.uai"
    assert "KR949" in cli("export", *files, "-o", out).err
    assert "KR949" not in cli("export", *files, "-o", out, "--force", "--zone", "UTC").err
    assert "KR929" in cli("export", tmp_path, "-o", out, "--force", "--zone", "UTC").err


def test_infer_says_how_good_marginals_are(cli, smokers):
    files = (smokers / "s.kr", smokers / "s.facts")
    sure = cli("infer", *files, "--strict")
    assert sure.code == 0
    assert "quality" not in sure.out
    assert "1 atom in 1 component, exact" in sure.err
    assert "(exact)" in sure.err
    unsure = cli("infer", *files, "--engine", "bp")
    assert unsure.code == 0
    assert "unconfirmed" in unsure.out
    strict = cli("infer", *files, "--engine", "bp", "--strict", "--json")
    assert strict.code == 1
    assert [row["quality"] for row in strict.json] == ["unconfirmed"]
    assert "error[KR708]: 1 of 1 asked marginals is unconfirmed" in strict.err
    assert "converged" not in unsure.err + sure.err


def test_infer_says_how_good_marginals_of_a_network_are(cli, tmp_path):
    net, seen = tmp_path / "n.uai", tmp_path / "n.evid"
    net.write_text("MARKOV\n2\n2 3\n1\n2 0 1\n6\n 1 2 3 4 5 6\n")
    seen.write_text("1 0 1")
    sure = cli("infer", net, "--strict")
    assert (sure.code, "quality" in sure.out) == (0, False)
    assert "log Z 3.0445 (exact)" in sure.err  # log 21
    strict = cli("infer", net, "--engine", "bp", "--evidence", seen, "--strict", "--json")
    assert strict.code == 1
    assert [row["quality"] for row in strict.json] == ["exact", "unconfirmed"]
    assert "log Z 2.7081 (estimate)" in strict.err  # log 15
    assert "1 of 1 asked marginals is unconfirmed" in strict.err
    shown = cli("infer", net, "--engine", "bp", "--evidence", seen)
    assert shown.out.count("unconfirmed") == 3


def test_runs_say_how_good_marginals_are(cli, skimming_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(skimming_run, run)
    for verb in ("predict", "eval"):
        assert cli(verb, run, "--strict", "--json").code == 0
    change(run, 'engine = "auto"', 'engine = "bp"', "project.toml")
    shown = cli("predict", run, "--top", "1", "--json")
    assert (shown.code, shown.json[0]["quality"]) == (0, "unconfirmed")
    strict = cli("predict", run, "--strict", "-o", tmp_path / "o.parquet")
    assert strict.code == 1
    assert "error[KR708]" in strict.err
    assert set(pq.read_table(tmp_path / "o.parquet")["quality"].to_pylist()) == {"unconfirmed"}
    measured = cli("eval", run, "--strict", "--json")
    assert measured.code == 1
    assert measured.json[0]["quality"]["unconfirmed"] == measured.json[0]["atoms"]
    assert "error[KR708]" in measured.err
    atom = f'Fraud("{shown.json[0]["payment"]}")'
    assert "\nthis marginal is unconfirmed" in cli("explain", run, atom).out
    assert "this marginal is exact" in cli("explain", skimming_run, atom).out


def test_audit(cli, skimming_run, tmp_path):
    shown = cli("audit", skimming_run)
    assert shown.code == ("warning[" in shown.err)
    for word in ("asked marginals", "components are exact", "skimmed", "greatest change"):
        assert word in shown.out
    found = cli("audit", skimming_run, "--json")
    assert found.code == shown.code
    assert {row["rule"] for row in found.json["rules"]} >= {"skimmed", "goes_on"}
    assert found.json["accuracy"]["checks"] == []
    run = tmp_path / "run"
    shutil.copytree(skimming_run, run)
    change(run, 'engine = "auto"', 'engine = "mean_field"', "project.toml")
    write_world(tmp_path / "data", seed=9)
    off = cli("audit", run, "--data", tmp_path / "data", "--components", "2")
    assert off.code == 1
    assert "KR760" in off.err
    assert "error of a marginal against exact inference" in off.out
    assert "R-hat" in off.out
    assert cli("audit", tmp_path).code == 2


def test_export_and_infer_a_network(cli, smokers, skimming_project, skimming_run):
    net = smokers / "net.uai"
    done = cli("export", smokers / "s.kr", smokers / "s.facts", "-o", net, "--json")
    assert done.code == 0
    (row,) = done.json
    assert row["atom"] == 'Smokes("bob")'
    (found,) = cli("infer", net, "--json").json
    assert found["variable"] == row["variable"]
    assert found["probabilities"][row["state"]] == pytest.approx(0.7503, abs=1e-3)
    (smokers / "net.evid").write_text("1 0 1")
    (seen,) = cli("infer", net, "--evidence", smokers / "net.evid", "--json").json
    assert seen["probabilities"] == [0.0, 1.0]
    assert "exact" in cli("infer", net).err
    assert cli("export", smokers / "s.kr", smokers / "s.facts", "-o", net).code == 2
    for source in (skimming_project, skimming_run):
        shown = cli("export", source, "-o", net, "--force", "--json")
        assert shown.code == 0
        assert any(row["atom"].startswith("Fraud(") for row in shown.json)
    atoms = {(row["variable"], row["state"]): row["atom"] for row in shown.json}
    marginals = {
        atoms[row["variable"], 1]: row["probabilities"][1]
        for row in cli("infer", net, "--json").json
    }
    beliefs = beliefs_of_run(skimming_run)
    atoms = beliefs.asked("Fraud")[:20]  # the network is what rules over models say
    for atom, log_odds in zip(atoms, beliefs.posterior.log_odds.numpy()[atoms], strict=True):
        name = beliefs.grounding.atom_name(int(atom))
        assert marginals[name] == pytest.approx(expit(log_odds), abs=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [("infer", "s.kr"), ("infer", "s.kr", "s.facts", "--evidence", "s.facts"), ("export", "s.kr")],
)
def test_files_that_do_not_go_together(cli, smokers, monkeypatch, arguments):
    monkeypatch.chdir(smokers)
    done = cli(*arguments)
    assert done.code == 2
    assert "KR929" in done.err
    (smokers / "n.uai").write_text("MARKOV 1 2 0")
    assert "KR929" in cli("infer", "n.uai", "s.facts").err


def test_rules_without_labels(cli, tmp_path):
    assert cli("new", tmp_path / "p", "--template", "labelling").code == 0
    done = cli("train", tmp_path / "p", "-o", tmp_path / "run")
    assert done.code == 0
    headline = next(line for line in done.err.splitlines() if "majority vote" in line)
    assert headline.startswith("functions for Spam: ")
    assert "asks_to_subscribe_too" in done.out
    for name in ("coverage", "overlap", "conflict", "accuracy", "weight"):
        assert name in done.out
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.count("says_please") == 1
    assert "majority vote" in page
    stored = cli("predict", tmp_path / "run", "--json").json
    assert len(stored) > 300


def test_new_lists_and_makes(cli, tmp_path):
    listed = cli("new").out
    for name in ("fraud", "intrusion", "labelling", "linkage", "knowledge-graph", "blank"):
        assert name in listed
    made = cli("new", tmp_path / "p", "--template", "blank")
    assert made.code == 0
    assert made.out.split() == [
        "knowreason",
        "train",
        str(tmp_path / "p"),
        "-o",
        str(tmp_path / "p" / "run"),
    ]
    assert cli("new", tmp_path / "p").code == 2
    assert "did you mean" in cli("new", tmp_path / "q", "--template", "blanc").err
    assert not (tmp_path / "q").exists()


def test_plan_and_compile(cli, skimming_project, tmp_path):
    planned = cli("plan", skimming_project, "--json")
    assert planned.code == 0
    assert {rule["rule"] for rule in planned.json["rules"]} >= {"skimmed", "goes_on"}
    assert "skimmed" in cli("plan", skimming_project).out
    refused = cli("plan", skimming_project, "--limit", "3")
    assert refused.code == 2
    assert "KR6" in refused.err
    done = cli("compile", skimming_project, "-o", tmp_path / "graph", "--json")
    assert re.findall(r"^([\w ]+): done", done.err, re.MULTILINE) == [
        "reading",
        "grounding",
        "storing",
        "components",
    ]
    assert done.code == 0
    assert {"rules", "components"} == set(done.json)
    assert (tmp_path / "graph" / "grounding").exists()
    assert cli("compile", skimming_project, "-o", tmp_path / "graph").code == 2
    assert "components" in cli("compile", skimming_project).out
    again = cli("compile", skimming_project, "--append", tmp_path / "graph")
    assert "appended: 0 atoms" in again.err + again.out
    assert (
        "KR655"
        in cli(
            "compile",
            skimming_project,
            "--append",
            tmp_path / "graph",
            "--set",
            "engine.partitions=2",
        ).err
    )
    since = cli("plan", skimming_project, "--against", tmp_path / "graph", "--json").json
    assert all(rule["then"] == rule["now"] and not rule["why"] for rule in since["changes"])
    assert [rule["rule"] for rule in since["changes"]] == [r["rule"] for r in since["rules"]]
    assert "since" in cli("plan", skimming_project, "--against", tmp_path / "graph").out
    assert "KR911" in cli("plan", skimming_project, "--against", tmp_path).err
    assert planned.json["changes"] == []
    for row in done.json["components"]:
        assert row["exact"] == row["components"]


def test_train_writes_a_run(cli, skimming_project, tmp_path):
    done = cli("train", skimming_project, "-o", tmp_path / "run", "--labels", "none", "--json")
    assert done.code == 0
    weights = {weight["name"]: weight for weight in done.json["weights"]}
    assert weights["skimmed"]["value"] == pytest.approx(4.0)
    assert "run folder" in done.err
    assert done.json["quality"]["Fraud"]["unconfirmed"] == 0
    assert "marginals of Fraud in the test part: " in done.err
    assert "Traceback" not in done.err
    again = cli("train", skimming_project, "-o", tmp_path / "run")
    assert again.code == 2
    assert "KR914" in again.err


def test_predict(cli, skimming_run, tmp_path):
    shown = cli("predict", skimming_run, "--top", "3", "--json")
    assert shown.code == 0
    assert len(shown.json) == 3
    assert set(shown.json[0]) >= {"payment", "probability", "log_odds"}
    assert "exact" in shown.err
    write_world(tmp_path / "data", seed=9)
    done = cli("predict", skimming_run, "--data", tmp_path / "data", "-o", tmp_path / "o.parquet")
    assert (done.code, done.out) == (0, "")
    assert pq.read_table(tmp_path / "o.parquet").num_rows > 100
    again = ("predict", skimming_run, "-o", tmp_path / "o.parquet")
    assert (cli(*again).code, "KR914" in cli(*again).err) == (2, True)
    both = cli(*again, "--force", "--top", "4", "--json")
    assert (both.code, len(both.json)) == (0, 4)
    assert pq.read_table(tmp_path / "o.parquet").num_rows == 4
    assert cli("predict", skimming_run, "--map", "--top", "3").code == 0
    adapted = cli("predict", skimming_run, "--adapt", "--top", "3", "--json")
    assert adapted.code == 0
    assert "nothing to adapt" in adapted.err
    assert "did you mean `Fraud`" in cli("predict", skimming_run, "--predicate", "Fruad").err


def test_explain(cli, skimming_run):
    name = cli("predict", skimming_run, "--top", "1", "--json").json[0]["payment"]
    atom = f'Fraud("{name}")'
    shown = cli("explain", skimming_run, atom)
    assert shown.code == 0
    assert shown.out.startswith(atom)
    (found,) = cli("explain", skimming_run, atom, "--json").json
    assert sum(share["log_odds"] for share in found["shares"]) == pytest.approx(
        found["log_odds"], abs=2e-3
    )
    for wrong in ('Fraud("nobody")', "Fraud(x)", "Fraud(", 'Pays("a", "b", "c")'):
        refused = cli("explain", skimming_run, wrong)
        assert (refused.code, refused.out) == (2, ""), wrong
        assert "error[KR" in refused.err


def test_explanations_hold_the_data(cli, skimming_run, tmp_path):
    (row,) = cli("predict", skimming_run, "--top", "1", "--reasons", "3", "--json").json
    name = row["payment"]
    assert row["reason_1"].split(" ")[0] in ("skimmed", "signs", "amount", "auto")
    picture, graph = tmp_path / "why.svg", tmp_path / "around.svg"
    change = f"!Pays({name}, _, _)"
    asked = ("explain", skimming_run, f'Fraud("{name}")', "--if", change)
    shown = cli(*asked, "--picture", picture, "--graph", graph)
    assert shown.code == 0
    assert " amount " in shown.out.splitlines()[1]
    assert "rare: Fraud" in shown.out
    assert f'!Pays("{name}", _, _): probability' in shown.out
    assert "<desc>Log-odds" in picture.read_text()
    assert "rule skimmed" in graph.read_text() or "skimmed (" in graph.read_text()
    again = cli(*asked, "--picture", picture)
    assert (again.code, "KR914" in again.err) == (2, True)
    assert "KR918" in cli(*asked, "--picture", tmp_path / "why.png").err
    assert (
        "KR942" in cli("explain", skimming_run, "--top", "2", "--picture", tmp_path / "a.svg").err
    )
    assert "KR942" in cli("explain", skimming_run).err
    (turned,) = cli("explain", skimming_run, f'Fraud("{name}")', "--what-if", "--json").json
    assert all(c["log_odds"] * turned["log_odds"] < 0 for c in turned["data_changes"])


def test_explanations_as_a_table(cli, skimming_run, tmp_path):
    file = tmp_path / "reasons.parquet"
    assert cli("explain", skimming_run, "--top", "5", "-o", file).code == 0
    table = pq.read_table(file).to_pylist()
    assert len({row["atom"] for row in table}) == 5
    predicted = cli("predict", skimming_run, "--top", "5", "--json").json
    for row in predicted:
        own = [r for r in table if r["atom"] == f'Fraud("{row["payment"]}")']
        parts = [r for r in own if r["kind"] not in ("grounding", "column", "field")]
        assert sum(r["share"] for r in parts) == pytest.approx(row["log_odds"], abs=2e-3)
        assert [r["rank"] for r in own if r["kind"] == "rule"][:2] == [1, 2]
        assert any(r["kind"] == "grounding" and r["grounding"] for r in own)
        assert any(r["kind"] == "field" and r["name"] == "amount" and r["text"] for r in own)


def test_a_labelled_atom_of_the_past_is_explained(cli, skimming_project, skimming_run):
    labels = pq.read_table(skimming_project / "data" / "labels.parquet").to_pylist()
    payments = pq.read_table(skimming_project / "data" / "payments.parquet").to_pylist()
    past = {row["id"] for row in payments if row["day"] < 10}
    known = next(row for row in labels if row["id"] in past)
    (found,) = cli("explain", skimming_run, f'Fraud("{known["id"]}")', "--json").json
    assert found["label"] is bool(known["fraud"])
    assert abs(found["log_odds"]) < 30
    total = sum(share["log_odds"] for share in found["shares"])
    assert total == pytest.approx(found["log_odds"], abs=2e-3)


def test_what_is_shown_must_be_there(cli, skimming_project, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(skimming_project, folder)
    change(folder, '"entry", "card"', '"entrie", "card"', "knowreason.toml")
    refused = cli("train", folder, "-o", tmp_path / "run")
    assert refused.code == 2
    assert "[show.Payment] names `entrie`" in refused.err
    assert "did you mean `entry`" in refused.err


def test_eval(cli, skimming_run):
    shown = cli("eval", skimming_run)
    told = re.findall(r"^([\w ]+): done", shown.err, re.MULTILINE)
    assert told == ["reading", "reasoning", "measuring"]
    assert shown.code == 0
    for word in ("reasoner", "stacking", "without skimmed", "By slice", "average_precision"):
        assert word in shown.out
    (record,) = cli("eval", skimming_run, "--json").json
    assert record["predicate"] == "Fraud"
    assert shown.out.splitlines()[0] == f"Fraud: {record['verdict']['sentence']}"
    assert set(record["table"]) >= {"reasoner", "model signs", "average of models"}


def test_eval_without_labels_says_so(cli, skimming_run, tmp_path):
    write_world(tmp_path, seed=9)
    (tmp_path / "labels.parquet").unlink()
    refused = cli("eval", skimming_run, "--data", tmp_path)
    assert refused.code == 2
    assert "KR919" in refused.err


def test_models(cli):
    assert "sklearn" in cli("models").out
    names = {row["name"] for row in cli("models", "--json").json}
    assert {"column", "sklearn", "callable", "torch", "trees", "gnn"} <= names
    assert cli("models", "trees", "--json").json["name"] == "trees"
    assert "did you mean" in cli("models", "tres").err


def test_check_annotates_for_github(cli, smokers, monkeypatch):
    monkeypatch.chdir(smokers)
    (smokers / "100%.kr").write_text("domain P\nquery Q(P)\nrule a [1] : R(x)\n")
    shown = cli("check", "--format", "github", smokers / "100%.kr")
    first = next(line for line in shown.out.splitlines() if line.startswith("::error"))
    place = "file=100%25.kr,line=3,col=14,endLine=3,endColumn=15"
    assert first.startswith(f"::error {place},title=KR201::unknown predicate `R`")
    assert (shown.code, "1 error" in shown.err) == (1, True)
    (smokers / "good.kr").write_text(SMOKERS)
    assert cli("check", "--format", "github", smokers / "good.kr").out.strip() == ""


def test_explain_code(cli):
    assert "KR201" in cli("explain-code", "KR201").out
    assert {entry["code"] for entry in cli("explain-code", "--json").json} == set(catalogue())
    assert cli("explain-code", "kr201", "--json").json["code"] == "KR201"
    assert cli("explain-code", "KR999").code == 2


def test_schema(cli):
    shown = cli("schema")
    assert shown.code == 0
    assert set(shown.json["properties"]) >= {"program", "tables", "bind", "learn"}


FAULTS = {
    "no such file": lambda p: (p / "skimming.kr").unlink(),
    "bad toml": lambda p: change(p, "seed = 0", "seed = = 0"),
    "unknown key": lambda p: change(p, "seed = 0", "sead = 0"),
    "unknown column": lambda p: change(p, '"card", "terminal"]', '"card", "terminel"]'),
    "unknown predicate": lambda p: change(p, "Pays   =", "Pay   ="),
    "unknown table": lambda p: change(p, 'table = "labels"', 'table = "lables"'),
    "missing table file": lambda p: (p / "data" / "cards.parquet").unlink(),
    "wrong rules": lambda p: change(p, "Fraud(p)", "Froud(p)", "skimming.kr"),
    "labels not 0 or 1": lambda p: change(p, 'label = "fraud"', 'label = "id"'),
    "labels of nobody": lambda p: change(p, '["id"], label', '["fraud"], label'),
    "bad split": lambda p: change(p, '"< 10"', '"<= 10"'),
    "empty part": lambda p: change(p, '"< 10"', '"< 0"'),
    "unknown method": lambda p: change(p, "fold_count = 3", 'method = "magic"'),
    "unknown metric": lambda p: change(p, '"roc_auc"', '"rok_auc"'),
    "unknown model option": lambda p: change(p, "[learn]", "[models.signs]\ntress = 3\n[learn]"),
    "not a parquet file": lambda p: (p / "data" / "cards.parquet").write_text("no"),
    "rules that are no text": lambda p: (p / "skimming.kr").write_bytes(b"\xff\xfe\x00domain"),
    "project that is no text": lambda p: (p / "knowreason.toml").write_bytes(b"\xff\xfea = 1"),
}


def change(project, old, new, name="knowreason.toml"):
    text = (project / name).read_text()
    assert old in text
    (project / name).write_text(text.replace(old, new))


def test_force_does_not_take_the_project(cli, tmp_path, skimming_project):
    project = tmp_path / "project"
    shutil.copytree(skimming_project, project)
    for verb in ("train", "compile"):
        done = cli(verb, project, "-o", project, "--force")
        assert (done.code, done.out) == (2, "")
        assert "error[KR924]" in done.err
    assert (project / "knowreason.toml").is_file()


def test_labels_of_nobody_are_counted_or_refused(cli, smokers):
    (smokers / "knowreason.toml").write_text(
        'program = "s.kr"\n[tables.f]\npath = "f.csv"\n[tables.l]\npath = "l.csv"\n'
        '[bind]\nFriends = { table = "f", columns = ["a", "b"] }\n'
        'Smokes = { table = "l", columns = ["id"], label = "smokes" }\n'
    )
    (smokers / "f.csv").write_text("a,b\nanna,bob\nbob,carl\n")
    (smokers / "l.csv").write_text("id,smokes\nanna,1\nBOB,0\nbob,1\n")
    for verb in ("plan", "compile", "train"):
        done = cli(verb, smokers, *(("-o", smokers / "run") if verb == "train" else ()))
        assert done.code == 0
        assert done.err.count("warning[KR529]") == 1, verb
        assert "1 of 3 rows" in done.err
    assert "KR529" in cli("predict", smokers / "run", "--json").err
    assert cli("-q", "plan", smokers).err == ""
    (smokers / "l.csv").write_text("id,smokes\nA,1\nB,0\n")
    done = cli("train", smokers, "-o", smokers / "other")
    assert (done.code, done.out) == (2, "")
    assert "error[KR530]" in done.err
    (smokers / "typo.facts").write_text('Friends("anna", "bob")\nSmokes("ana")\n')
    done = cli("infer", smokers / "s.kr", smokers / "typo.facts")
    assert (done.code, done.err.count("KR529")) == (0, 1)


def test_predict_says_what_was_asked(cli, tmp_path, smokers):
    (smokers / "knowreason.toml").write_text(
        'program = "s.kr"\n[tables.f]\npath = "f.csv"\n[tables.l]\npath = "l.csv"\n'
        '[bind]\nFriends = { table = "f", columns = ["a", "b"] }\n'
        'Smokes = { table = "l", columns = ["id"], label = "smokes" }\n[split]\nshare = 0.0\n'
    )
    (smokers / "f.csv").write_text("a,b\nanna,bob\nbob,carl\n")
    (smokers / "l.csv").write_text("id,smokes\nanna,1\ndora,0\neve,\n")
    run = smokers / "run"
    assert cli("train", smokers, "-o", run).code == 0
    some = cli("predict", run, "--json")
    assert (some.code, len(some.json)) == (0, 2)
    assert "2 asked, 2 labelled, 0 unseen" in some.err
    every = cli("predict", run, "--labelled", "--json")
    assert {row["person"]: row["label"] for row in every.json} == {
        "anna": True,
        "bob": None,
        "carl": None,
        "dora": False,
    }
    assert "4 asked, 0 labelled, 1 unseen" in every.err
    assert "2 of the labels were learned from" in every.err
    today = smokers / "today"
    today.mkdir()
    (today / "f.csv").write_text("a,b\nanna,bob\n")
    (today / "l.csv").write_text("id,smokes\nanna,1\nbob,0\n")
    none = cli("predict", run, "--data", today, "-o", smokers / "none.parquet")
    assert none.code == 1
    assert "0 asked, 2 labelled" in none.err
    assert "`--labelled` scores them" in none.err
    assert "no file: " in none.err
    assert not (smokers / "none.parquet").exists()
    assert cli("predict", run, "--data", today, "--labelled").code == 0
    (today / "f.csv").write_text("a,b\n")
    (today / "l.csv").write_text("id,smokes\n")
    empty = cli("predict", run, "--data", today, "--json")
    assert (empty.code, empty.json) == (1, [])
    assert "there are 0 `Person` in question" in empty.err


@pytest.mark.parametrize("fault", FAULTS)
def test_a_users_fault_has_a_code_and_no_traceback(cli, tmp_path, fault, skimming_project):
    project = tmp_path / "project"
    shutil.copytree(skimming_project, project)
    FAULTS[fault](project)
    done = cli("train", project, "-o", tmp_path / "run")
    assert (done.code, done.out) == (2, ""), done.err
    assert "error[KR" in done.err
    assert "Traceback" not in done.err
    code = done.err.split("error[")[1][:5]
    assert code in catalogue()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "nowhere.kr"),
        ("fmt", "nowhere.kr"),
        ("infer", "nowhere.kr", "nowhere.facts"),
        ("plan", "nowhere"),
        ("train", "nowhere"),
        ("compile", "nowhere"),
        ("predict", "nowhere"),
        ("explain", "nowhere", "A(x)"),
        ("eval", "nowhere"),
        ("train", ".", "--set", "seed"),
    ],
)
def test_files_that_are_not_there(cli, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = cli(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "error[KR9" in done.err


def test_a_facts_file_with_a_fault(cli, smokers):
    (smokers / "s.facts").write_text('Friends("anna", "bob"')
    done = cli("infer", smokers / "s.kr", smokers / "s.facts")
    assert (done.code, done.out) == (2, "")
    assert "s.facts:1" in done.err


def test_as_a_process(tmp_path):
    (tmp_path / "bad.kr").write_text("domain Person\nquery Smokes(Persn)\n")
    environment = os.environ | {"NO_COLOR": "1", "PYTHONWARNINGS": "error::SyntaxWarning"}
    done = subprocess.run(
        [sys.executable, "-m", "knowreason", "check", str(tmp_path / "bad.kr")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "did you mean `Person`" in done.stderr
    assert "\x1b[" not in done.stderr


def test_infer_needs_no_scikit_learn(smokers):
    script = (
        "import os, sys; from knowreason.cli import process\n"
        "sys.argv[1:] = ['infer', *sys.argv[1:]]\n"
        "try: process()\n"
        "except SystemExit as end: assert not end.code\n"
        "small = {'pandas', 'numba', 'scipy.sparse.csgraph'} & set(sys.modules)\n"
        "assert not small, small\n"
        "heavy = {'sklearn', 'scipy.stats', 'scipy.optimize', 'matplotlib'}\n"
        "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'\n"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(smokers / "s.kr"), str(smokers / "s.facts")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_rules_that_contradict_each_other_are_named(cli, smokers):
    rules = "rule none [hard] : Friends(x, y) => !Smokes(x)\nrule some [hard] : Smokes(x)"
    (smokers / "hard.kr").write_text(SMOKERS + rules)
    (smokers / "hard.facts").write_text('Friends("a\\"b", "c")')
    done = cli("infer", smokers / "hard.kr", smokers / "hard.facts")
    assert done.code == 2
    assert "no world satisfies hard rules `none` and `some`:" in done.err
    assert 'none: Friends("a\\"b", "c") => !Smokes("a\\"b")' in done.err


def test_augment(cli, tmp_path):
    shop, more = write_shop(tmp_path / "shop"), tmp_path / "more"
    shown = cli("augment", shop, "-o", more)
    assert shown.code == 0
    assert "generated" in shown.out
    assert "log-odds learned on these tables are off by +0.41 for true" in shown.err
    assert f"project file over them: {more / 'knowreason.toml'}" in shown.err
    again = cli("augment", shop, "-o", more)
    assert (again.code, again.out) == (2, "")
    assert "KR914" in again.err
    asked = ("--force", "--count", 4, "--links", "none", "--json", "--predicate", "Bad")
    (_, true) = cli("augment", shop, "-o", more, *asked).json["classes"]
    assert true == {"state": "true", "before": 16, "generated": 4}
    assert cli("augment", shop, "-o", more, "--links", "some").code == 2


def test_import_and_export(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mln").write_text("P(t)\nQ(t)\n1.5 P(x) => Q(x)\n2 P(\n")
    (tmp_path / "a.db").write_text("P(A)\n")
    done = cli("import", "a.mln", "--from", "mln", "--json")
    assert done.code == 1  # a line was refused
    assert [line["outcome"] for line in done.json["lines"]].count("refused") == 1
    assert json.loads((tmp_path / "a-imported" / "import-report.json").read_text()) == done.json
    again = cli("import", "a.mln", "--from", "mln")
    assert again.code == 2
    assert "KR914" in again.err
    found = cli("infer", "a-imported", "--json").json
    assert [atom["atom"] for atom in found] == ['Q("A")']
    assert found[0]["probability"] == pytest.approx(expit(1.5))
    assert cli("export", "a-imported", "--format", "mln", "-o", "b.mln").code == 0
    assert "1.5 (!P(x) v Q(x))" in (tmp_path / "b.mln").read_text()
    assert 'P("A")' in (tmp_path / "b.db").read_text()
    assert cli("export", "a-imported", "--format", "mln", "-o", "b.mln").code == 2
