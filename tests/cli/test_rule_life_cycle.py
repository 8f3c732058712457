"""`check --data`, `backtest`, `diff`, and what other verbs say of shadow rules."""

import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.test_cli import cli
from tests.visit_project import RULES, write_visits

__all__ = ["cli"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return write_visits(tmp_path_factory.mktemp("visits") / "project")


def expecting(tmp_path, expected):
    rules = RULES.replace(
        "Big(v) => Theft(v)\nrule both", f"Big(v) => Theft(v) {expected}\nrule both"
    )
    return write_visits(tmp_path / "project", rules)


def test_a_rule_as_expected_passes(cli, tmp_path):
    folder = expecting(tmp_path, "expect precision >= 30%, fires <= 240")
    done = cli("check", folder, "--data", folder / "data")
    assert (done.code, "2 expectations tested" in done.err) == (0, True)
    assert cli("check", folder).code == 0
    assert cli("check", folder / "visits.kr", "--data", folder / "data").code == 2
    assert cli("check", folder, "--run", folder / "run").code == 2


def test_a_rule_that_is_not_as_expected_fails_at_its_place(cli, tmp_path):
    folder = expecting(tmp_path, "expect fires >= 1, precision >= 0.9")
    done = cli("check", folder, "--data", folder / "data")
    assert done.code == 1
    (told,) = re.findall(r"rule `big` has a precision of (\S+) \((\d+) right of (\d+)", done.err)
    assert float(told[0]) == pytest.approx(int(told[1]) / int(told[2]), abs=0.005)
    assert "visits.kr:9:" in done.err
    assert "^^^^^^^^^^^^^^^^ expected precision >= 0.9" in done.err
    (finding,) = cli("check", folder, "--data", folder / "data", "--json").json
    assert finding["code"] == "KR946"


def test_without_labels_nothing_is_measured_and_that_is_said(cli, tmp_path):
    folder = expecting(tmp_path, "expect precision >= 0.9, fires <= 9")
    tomorrow = Path(shutil.copytree(folder / "data", tmp_path / "tomorrow"))
    (tomorrow / "labels.csv").unlink()
    done = cli("check", folder, "--data", tomorrow)
    assert "KR947" in done.err
    assert "could not be measured: none of its" in done.err
    assert "rule `big` fires" in done.err  # which needs no label


def test_backtest_writes_a_table_and_a_picture(cli, project, tmp_path):
    table, picture = tmp_path / "past.parquet", tmp_path / "past.svg"
    done = cli("backtest", project, "--slices", 2, "-o", table, "--picture", picture)
    assert done.code == 0
    assert "both [shadow]" in done.out
    rows = pq.read_table(table).to_pylist()
    assert {row["slice"] for row in rows} == {None, "6", "8"}
    assert picture.read_text().startswith("<svg")
    assert cli("backtest", project, "-o", table).code == 2
    fired = next(row["fired"] for row in rows if row["rule"] == "big")
    assert re.search(rf"^ big +{fired} ", done.out, re.MULTILINE)
    assert "not measured: `rare` (no body says where)" in done.err


def test_backtest_needs_a_past(cli, project):
    done = cli("backtest", project, "--from", "0")
    assert (done.code, "KR948" in done.err) == (2, True)


def test_diff_is_silent_about_the_same_and_tells_what_differs(cli, project, tmp_path):
    old = project / "visits.kr"
    assert cli("diff", project, old, old).code == 0
    new = tmp_path / "new.kr"
    new.write_text(RULES.replace("rule both  [shadow]", "rule both  [3]"))
    done = cli("diff", project, old, new, "--json")
    assert done.code == 1
    told = done.json
    assert told["statements"][-1] == "+ rule both [3] : Night(v) & Big(v) => Theft(v)"
    assert told["moved"] > 0
    (first, *_) = told["changes"]
    assert {"rule both"} & {name for name, _, _ in first["why"]}
    back = cli("diff", project, new, old, "--json").json
    assert (back["gained"], back["lost"]) == (told["lost"], told["gained"])
    assert "Largest changes" in cli("diff", project, old, new).out


def test_a_binding_of_one_file_alone_is_no_fault(cli, project, tmp_path):
    old = tmp_path / "old.kr"
    old.write_text("".join(line for line in RULES.splitlines(True) if "Big" not in line))
    done = cli("diff", project, old, project / "visits.kr", "--top", 1, "--json")
    assert done.code == 1
    assert "+ observed Big(Visit)" in done.json["statements"]
    old.write_text(old.read_text() + "rule odd : Odd(v) => Theft(v)\n")
    assert cli("diff", project, old, project / "visits.kr").code == 2


def test_other_verbs_say_how_often_shadows_fire(cli, project, tmp_path):
    said = "shadow rule `both` fires at "
    assert said in cli("train", project, "-o", tmp_path / "run").err
    evaluated = cli("eval", tmp_path / "run").err
    assert re.search(
        rf"{said}\d+ of 96 Theft; \d+ of \d+ labelled are right \(precision", evaluated
    )
    assert said in cli("predict", tmp_path / "run").err
    assert "[shadow]" in (tmp_path / "run" / "program.kr").read_text()
