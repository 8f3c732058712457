"""No name of a thing and no value of an attribute in what is redacted."""

import json
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from knowreason.cli import main
from knowreason.errors import ProjectError
from knowreason.lang import loads
from knowreason.report.html import report_html
from knowreason.report.redaction import Redactor, secret_of
from knowreason.report.report_parts import ReportParts
from knowreason.run.run_folder import load_run
from knowreason.run.run_prediction import beliefs_of_run

SECRET = b"a secret of sixteen bytes or more"
RULES = """
domain Person
domain Kind = {"old", "new"}
attribute kind(Person): Kind
query Bad(Person)
rule known [1] : Bad("eve")
"""


@dataclass(frozen=True)
class Found:
    """As explanations are made."""

    text: str
    others: tuple[tuple[str, float], ...]
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """As evaluations are made."""

    notes: tuple[str, ...]
    slices: tuple[dict[str, float], ...] = ()


def test_names_are_replaced_and_what_the_rules_name_stays():
    redactor = Redactor.of(loads(RULES), SECRET)
    anna = redactor.name("anna")
    assert re.fullmatch("id-[0-9a-f]{16}", anna)
    assert redactor.text('Bad("anna") & kind("anna") = "old" => Bad("eve")') == (
        f'Bad("{anna}") & kind("{anna}") = "old" => Bad("eve")'
    )
    assert redactor.name("bob") != anna
    assert Redactor(SECRET[::-1]).name("anna") != anna
    found = redactor.within(Found('Bad("anna")', (('Bad("bob")', 0.5),), ("amount 5,412.00",)))
    assert found == Found(f'Bad("{anna}")', ((f'Bad("{redactor.name("bob")}")', 0.5),))


def test_a_name_with_quotes_is_one_name_in_tables_and_texts():
    redactor, name = Redactor(SECRET), 'a "b" \\ c'
    table = pa.table({"who": [name, None, "z"], "p": [0.5, 0.1, 0.2], "why": ['X("z")', "s", None]})
    shown = redactor.table(table, 1).to_pydict()
    assert shown["who"] == [redactor.name(name), None, redactor.name("z")]
    assert shown["why"] == [f'X("{redactor.name("z")}")', "s", None]
    assert shown["p"] == [0.5, 0.1, 0.2]
    assert redactor.text('X("a \\"b\\" \\\\ c")') == f'X("{redactor.name(name)}")'


def test_a_secret_is_drawn_once_and_a_short_one_refused(tmp_path):
    file = tmp_path / "names.key"
    first, said = secret_of(file)
    assert str(file) in said
    assert file.stat().st_mode & 0o077 == 0
    assert secret_of(file) == (first, "")
    file.write_text("secret")
    with pytest.raises(ProjectError, match="KR945"):
        secret_of(file)


def names_of(project):
    table = pq.read_table(project / "data" / "payments.parquet")
    return {name for column in ("id", "card", "terminal") for name in table[column].to_pylist()}


def run_verb(arguments, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["knowreason", "-q", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    return capsys.readouterr().out


def test_verbs_show_no_name(skimming_project, skimming_run, tmp_path, monkeypatch, capsys):
    key, file = tmp_path / "names.key", tmp_path / "out.csv"
    run_verb(["predict", skimming_run, "-o", file, "--redact", key], monkeypatch, capsys)
    first = file.read_text().splitlines()[1].split(",")[0]
    best = next(iter(beliefs_of_run(skimming_run).marginals("Fraud").to_arrow()["payment"])).as_py()
    atom = f'Fraud("{best}")'
    out = run_verb(["explain", skimming_run, atom, "--redact", key], monkeypatch, capsys)
    shown = set(re.findall(r"[\w-]+", file.read_text() + out))
    assert first.strip('"').startswith("id-")
    assert not shown & names_of(skimming_project)
    assert Redactor(secret_of(key)[0]).name(best) in shown


def test_an_evaluation_keeps_its_figures(
    skimming_project, skimming_run, tmp_path, monkeypatch, capsys
):
    key = tmp_path / "names.key"
    shown = run_verb(["eval", skimming_run, "--json"], monkeypatch, capsys)
    redacted = run_verb(["eval", skimming_run, "--json", "--redact", key], monkeypatch, capsys)
    (named,), (found,) = json.loads(shown), json.loads(redacted)
    assert key.is_file()
    assert found["slices"] == []
    kept = ("predicate", "verdict", "table", "ablation", "difference", "calibration", "quality")
    assert {name: found[name] for name in kept} == {name: named[name] for name in kept}
    assert not set(re.findall(r"[\w-]+", redacted)) & names_of(skimming_project)


def test_what_an_evaluation_says_of_things_is_redacted():
    redactor = Redactor(SECRET)
    found = redactor.within(Measured(('Bad("anna") decides it',), ({"slice": 3.0},)))
    assert found == Measured((f'Bad("{redactor.name("anna")}") decides it',))


def test_a_report_shows_no_name(skimming_project, skimming_run):
    run, beliefs = load_run(skimming_run), beliefs_of_run(skimming_run)
    redactor = Redactor.of(run.reasoner.program, SECRET)
    named = report_html(ReportParts(run.project, run.reasoner, beliefs, ()))
    page = report_html(ReportParts(run.project, run.reasoner, beliefs, (), (), redactor))
    quoted = re.compile(r"&quot;(.*?)&quot;")
    assert set(quoted.findall(named)) & names_of(skimming_project)
    assert not set(re.findall(r"[\w-]+", page)) & names_of(skimming_project)
