"""What the verbs import: seconds of libraries are for those who compute with them."""

import json
import shutil
import subprocess
import sys

import pytest

from knowreason.models.base.model_registry import MODELS, TOLD
from knowreason.run.starters import new_project

HEAVY = ["matplotlib", "numba", "pandas", "polars", "scipy", "sklearn", "torch"]
SCRIPT = """
import json, sys
from knowreason.cli import process
for line in sys.argv[2:]:
    sys.argv[1:] = line.split()
    code = 0
    try:
        process()
    except SystemExit as end:
        code = end.code or 0
    print("did", json.dumps([line, code, sorted({*HEAVY} & {*sys.modules})]), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def starters(tmp_path_factory):
    """A folder with the starter, and copies that `train` refuses."""
    folder = tmp_path_factory.mktemp("starters")
    new_project(folder / "good", "fraud")
    rules = (folder / "good" / "skimming.kr").read_text(encoding="utf-8")
    settings = (folder / "good" / "knowreason.toml").read_text(encoding="utf-8")
    faults = {
        "rules": (rules + "rule r [1] : Frau(x)\n", settings),
        "kind": (rules.replace("= sklearn(", "= sklern("), settings),
        "key": (rules, settings + "[lern]\nx = 1\n"),
        "binding": (rules, settings.replace("\nPays ", "\nPay ")),
        "column": (rules, settings.replace('label = "fraud"', 'label = "fraudd"')),
        "file": (rules, settings.replace("data/cards", "data/card")),
        "learner": (rules, settings.replace("[learn]", '[learn]\nmethod = "pseudo"')),
        "engine": (rules, settings + '[infer]\nengine = "exactt"\n'),
        "metric": (rules, settings.replace('"roc_auc"', '"roc"')),
        "cut": (rules, settings.replace('"< 30"', '"< -30"').replace('">= 30"', '">= -30"')),
    }
    for name, (text, toml) in faults.items():
        copied = shutil.copytree(folder / "good", folder / name)
        (copied / "skimming.kr").write_text(text, encoding="utf-8")
        (copied / "knowreason.toml").write_text(toml, encoding="utf-8")
    return folder


def done(folder, lines):
    """Exit code of each line, and what it said; one process runs them all.

    Each says which heavy libraries the process has imported by then.
    """
    script = SCRIPT.replace("*HEAVY", ", ".join(map(repr, HEAVY)))
    ran = subprocess.run(
        [sys.executable, "-c", script, "-", *lines],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    found, said = {}, []
    for text in ran.stderr.splitlines():
        if text.startswith("did "):
            line, code, heavy = json.loads(text.removeprefix("did "))
            found[line] = (code, tuple(heavy), "\n".join(said))
            said = []
        else:
            said.append(text)
    return found


def test_verbs_that_compute_nothing_import_no_heavy_library(starters):
    lines = [
        "--help",
        "fmt --check good/skimming.kr",
        "check good/skimming.kr",
        "explain-code KR101",
        "models",
        "check good",
        "new other",
        "new blank --template blank",
        "init --help",
        "init good/data/payments.parquet good/data/labels.parquet -o made",
        "plan good",
    ]
    found = done(starters, lines)
    assert {line: found[line] for line in lines if found[line][:2] != (0, ())} == {}


def test_train_is_told_of_mistakes_before_it_imports_a_heavy_library(starters):
    wrong = {
        "train nowhere": "KR901",
        "train good -o good": "KR914",
        "train key": "KR906",
        "train rules": "`Fraud`",
        "train kind": "no model is registered as `sklern`",
        "train binding": "KR909",
        "train learner": "no learner is registered as `pseudo`",
        "train engine": "no inference engine is registered as `exactt`",
        "train metric": "no metric is registered as `roc`",  # tables are read from here on
        "train file": "KR5",
        "train column": "KR913",
        "train cut": "KR5",
    }
    found = done(starters, list(wrong))
    assert [line for line in wrong if wrong[line] not in found[line][2]] == [], found
    assert {code for code, _, _ in found.values()} == {2}, found
    data = {line for line, (_, heavy, _) in found.items() if heavy}
    assert data <= {"train file", "train column", "train cut"}, found
    assert {heavy for _, heavy, _ in found.values()} <= {(), ("pandas",)}  # Arrow imports it


def test_what_is_told_of_models_without_importing_them_is_what_they_are():
    for name, (level, what) in TOLD.items():
        assert (level, what) == (
            MODELS[name].level,
            MODELS[name].__doc__.strip().partition("\n")[0],
        )
