"""Modules of a user's own reach a project by name, and never come out of a run folder."""

import json
import shutil
import sys

import pytest

from knowreason.cli import main
from knowreason.errors import ProjectError
from knowreason.inference.engine_protocol import ENGINES
from knowreason.learning.learners import LEARNERS
from knowreason.metrics.metrics import METRICS
from knowreason.models import MODELS
from knowreason.project.plugins import load_plugins
from knowreason.project.project_file import load_project
from knowreason.registry import Registry
from knowreason.run.run_folder import load_run
from knowreason.run.run_training import train

NAME = "my_models_of_a_test"
PLUGIN = f"""
import numpy as np
import knowreason as kr
from knowreason.inference.engine_protocol import ENGINES, infer
from knowreason.learning.fit import prior_fit
from knowreason.learning.learners import LEARNERS
from knowreason.metrics.metrics import METRICS, averaged

import {NAME}_helper

@kr.models.register("flat")
class Flat(kr.KnowledgeModel):
    '''The same log-odds for every atom.'''

    def __init__(self, level: float = 0.0):
        self.level = level

    def fit(self, data, predicate):
        self.rate_ = np.array([{NAME}_helper.RATE])
        return self

    def log_odds(self, data, predicate):
        from knowreason.models import rows_of

        return np.full(len(rows_of(data, predicate).row_of_atom), self.level, np.float32)

@ENGINES.register("my_engine")
def my_engine(graph, *, seed=0, device="auto", **options):
    return infer(graph, "auto", seed=seed, device=device, **options)

@LEARNERS.register("my_learner")
def my_learner(problem, **options):
    return prior_fit(problem, "my learner leaves every weight alone")

METRICS.register("mean_log_odds")(averaged()(lambda truth, log_odds: log_odds))
"""


@pytest.fixture
def clean(monkeypatch):
    """Registries, modules and the path as they were."""
    for registry in (MODELS, ENGINES, LEARNERS, METRICS):
        monkeypatch.setattr(registry, "_things", dict(registry._things))
    monkeypatch.setattr(sys, "path", list(sys.path))

    def forget():
        for name in [name for name in sys.modules if name.startswith(NAME)]:
            del sys.modules[name]
        for registry in (MODELS, ENGINES, LEARNERS, METRICS):
            for name in ("flat", "my_engine", "my_learner", "mean_log_odds"):
                registry._things.pop(name, None)
        sys.path[:] = [path for path in sys.path if "plugged" not in path]

    yield forget
    forget()


@pytest.fixture
def project(clean, skimming_project, tmp_path):
    folder = tmp_path / "plugged"
    shutil.copytree(skimming_project, folder)
    text = (folder / "knowreason.toml").read_text()
    text = text.replace("seed = 0", f'seed = 0\nplugins = ["{NAME}"]')
    text = text.replace("fold_count = 3", 'fold_count = 3\nmethod = "my_learner"')
    text = text.replace('"roc_auc"', '"roc_auc", "mean_log_odds"')
    (folder / "knowreason.toml").write_text(text + '\n[infer]\nengine = "my_engine"\n')
    rules = (folder / "skimming.kr").read_text()
    start = rules.index("model amount")
    end = rules.index("\n", start)
    (folder / "skimming.kr").write_text(
        rules[:start] + "model amount for Fraud = flat(level=-2.0)" + rules[end:]
    )
    (folder / f"{NAME}.py").write_text(PLUGIN)
    (folder / f"{NAME}_helper.py").write_text("RATE = 0.25\n")
    return folder


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["knowreason", *map(str, arguments)])
    capsys.readouterr()
    code = 0
    try:
        main()
    except SystemExit as stopped:
        code = stopped.code or 0
    return code, capsys.readouterr()


def test_models_engines_learners_and_metrics_of_ones_own(
    project, clean, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    code, said = call(monkeypatch, capsys, "train", project, "-o", run, "--json")
    assert code == 0, said.err
    assert "my learner leaves every weight alone" in said.err
    (record,) = json.loads((run / "metrics.json").read_text())
    own = record["table"]["reasoner"]["mean_log_odds"]
    assert own["low"] < own["value"] < own["high"]
    flat = record["table"]["model amount"]["mean_log_odds"]
    assert flat["high"] - flat["low"] < 1e-9
    first = call(monkeypatch, capsys, "predict", run, "--top", "2", "--json")[1].out

    clean()  # as a new process would be
    code, said = call(monkeypatch, capsys, "predict", run, "--top", "2")
    assert code == 2
    assert "KR926" in said.err
    assert "--project" in said.err
    for verb in (("predict", run, "--top", "2"), ("eval", run)):
        clean()
        code, said = call(monkeypatch, capsys, *verb, "--project", project, "--json")
        assert code == 0, said.err
        if verb[0] == "predict":
            assert said.out == first
    clean()
    code, said = call(monkeypatch, capsys, "models", "--project", project)
    assert "The same log-odds for every atom." in said.out


def test_code_never_comes_out_of_a_run_folder(project, clean, tmp_path, monkeypatch):
    train(load_project(project), tmp_path / "run")
    clean()
    for name in (f"{NAME}.py", f"{NAME}_helper.py"):
        shutil.copy(project / name, tmp_path / "run" / name)
    monkeypatch.chdir(tmp_path / "run")
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    with pytest.raises(ProjectError, match="KR926"):
        load_run(tmp_path / "run")
    assert NAME not in sys.modules
    sys.path.insert(0, str(project))  # installed
    assert load_run(tmp_path / "run").project.plugins == (NAME,)
    assert "" in sys.path


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (None, "KR926", "neither"),
        ("import nowhere_at_all", "KR927", "nowhere_at_all"),
        ("1 / 0", "KR927", "ZeroDivisionError"),
    ],
)
def test_a_plugin_that_does_not_load_is_told(project, text, code, message):
    path = project / f"{NAME}.py"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(ProjectError, match=message) as raised:
        load_plugins(load_project(project))
    assert raised.value.code == code
    assert str(project) not in sys.path


def test_two_projects_with_plugins_of_one_name(project, tmp_path):
    load_plugins(load_project(project))
    load_plugins(load_project(project))
    other = tmp_path / "other"
    shutil.copytree(project, other)
    with pytest.raises(ProjectError, match="KR927"):
        load_plugins(load_project(other))


def test_built_in_names_are_taken():
    registry = Registry("thing", lazy={"one": "math:pi"})
    with pytest.raises(ValueError, match="built in"):
        registry.register("one")(3)
    assert registry["one"] > 3
