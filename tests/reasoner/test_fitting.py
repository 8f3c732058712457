"""Fits are taken from another run where nothing they rest on has changed, and made side by side."""

import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from threading import Lock

import numpy as np
import pyarrow as pa
import pytest

import knowreason as kr
from knowreason import Reasoner, Settings
from knowreason.data import Dataset
from knowreason.data.features import FeatureSource
from knowreason.errors import ModelError, ProjectError
from knowreason.models import KnowledgeModel, rows_of
from knowreason.models.base.stored_models import load_fitted
from knowreason.project.manifests import seal
from knowreason.reasoner.fitting import model_fit, model_fits
from knowreason.reasoner.fitting.fingerprints import DataParts, differences, digest_of, model_parts

PROGRAM = """
domain Pay, Host
observed At(Pay, Host)
observed Seen(Pay)
attribute size(Pay): float
attribute firm(Pay): string
attribute at(Pay): int clock
query Bad(Pay)
param most = 1.0
define Large(p) := size(p) > most & Known(p)
define Known(p) := Seen(p)
define Aside(p) := size(p) < 0
model main for Bad = sklearn("logistic", features=["x", "Large"])
rule rare [-1] : Bad(p)
"""
TIE = "rule tie [1] : At(p, h) & At(q, h) & p < q & Bad(p) => Bad(q)\n"


def world(text=PROGRAM, *, pays=60, flip=0, shift=0.0, seen=20, unseen=0, hosts=10):
    rng = np.random.default_rng(0)
    ids = [f"p{i}" for i in range(pays)]
    bad = np.arange(pays) % 3 == 0
    x = rng.normal(size=pays) + bad + shift
    known = bad[: pays // 2].astype(int)
    known[:flip] = 1 - known[:flip]
    return Dataset.from_frames(
        kr.loads(text),
        facts={
            "At": {"p": ids, "h": [f"h{i % hosts}" for i in range(pays)]},
            "Seen": {"p": ids[unseen:seen]},
            "size": {"p": ids, "v": rng.normal(size=pays).tolist()},
            "firm": {"p": ids, "v": [f"f{i % 7}" for i in range(pays)]},
            "at": {"p": ids, "v": list(range(pays))},
        },
        labels={"Bad": {"p": ids[: pays // 2], "v": known.tolist()}},
        features={"Pay": FeatureSource({"p": ids, "x": x.tolist(), "w": (2 * x).tolist()})},
    )


def fitted(data, folder=None, **options):
    settings = Settings(fold_count=3, auto_trees=False, **options.pop("settings", {}))
    reasoner = Reasoner(data.program, settings=settings, **options)
    return reasoner.fit(data, models=folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fits") / "run"
    fitted(world()).save(folder)
    return folder


def origin(data, run, **options):
    (model,) = fitted(data, run, **options).models_
    return model.origin.replace(str(run), "RUN")


@pytest.mark.parametrize(
    "text",
    [
        PROGRAM + "rule new [1] : size(p) > 0.5 => Bad(p)\n",
        PROGRAM.replace("[-1]", "[-3]"),
        PROGRAM.replace("size(p) < 0", "size(p) < 1"),  # a definition that no model reads
        PROGRAM.replace("query Bad", "# words\nquery Bad"),
    ],
)
def test_a_rule_that_no_model_reads_takes_the_models(run, text):
    data = world(text)
    taken, made = fitted(data, run), fitted(data)
    assert taken.models_[0].origin == f"taken from `{run}`"
    np.testing.assert_array_equal(
        taken.models_[0].fitted.output.llr, made.models_[0].fitted.output.llr
    )
    np.testing.assert_array_equal(taken.fit_.theta, made.fit_.theta)
    beliefs, again = taken.infer(data), made.infer(data)
    np.testing.assert_array_equal(beliefs.log_odds, again.log_odds)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (world(PROGRAM.replace("size(p) > most", "size(p) >= most")), "definition `Large` changed"),
        (world(PROGRAM.replace("Known(p) := Seen(p)", "Known(p) := !Seen(p)")), "`Known` changed"),
        (world(PROGRAM.replace("1.0", "0.5")), "parameter `most` is 0.5, was 1.0"),
        (world(seen=19), "facts of `Seen` changed"),
        (world(flip=1), "labels of `Bad` changed"),
        (world(shift=0.5), "features of `Pay` changed"),
        (world(pays=61), "atoms of `Bad` changed"),
        (world(PROGRAM.replace('"Large"]', '"Large", "w"]')), "was ['x', 'Large']"),
        (world(PROGRAM.replace('"logistic"', '"naive_bayes"')), "is naive_bayes, was logistic"),
        (world(PROGRAM.replace("sklearn(", "trees(").replace('"logistic", ', "")), "kind is trees"),
        (world(PROGRAM.replace("model main", "model other")), "fitted: there is none in `RUN`"),
    ],
)
def test_what_a_model_rests_on_is_named_where_it_differs(run, data, said):
    assert said in origin(data, run)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": 1}, "seed is 1, was 0"),
        ({"folds": "random"}, "folds is random, was grouped"),
        ({"models": {"main": {"C": 0.5}}}, "option `C` is new"),
        ({"settings": {"deploy": "refit"}}, "deploy is refit, was auto"),
        ({"settings": {"clusters": "firm"}}, "groups: values of `firm` is new"),
    ],
)
def test_how_a_model_is_fitted_is_named_where_it_differs(run, options, said):
    assert said in origin(world(), run, **options)


def test_folds_by_what_rules_tie_together_rest_on_the_rules(run):
    said = origin(world(PROGRAM + TIE), run)
    assert "groups: groups of rows that rules tie together is new (rules decide which" in said


def test_folds_by_clusters_do_not(tmp_path):
    fitted(world(), settings={"clusters": "firm"}).save(tmp_path / "run")
    clusters = {"settings": {"clusters": "firm"}}
    assert origin(world(PROGRAM + TIE), tmp_path / "run", **clusters) == "taken from `RUN`"


def test_random_folds_are_kept_where_rules_tie_and_calibrated_again(tmp_path):
    data, tied = world(pays=240), world(PROGRAM + TIE, pays=240, hosts=24)
    fitted(replace(tied, program=data.program), folds="random").save(tmp_path / "run")
    taken = fitted(tied, tmp_path / "run", folds="random")
    made = fitted(tied, folds="random")
    assert "and calibrated again: groups: groups of rows that rules" in taken.models_[0].origin
    loose = load_fitted(tmp_path / "run" / "models" / "main@Bad").fitted
    assert loose.calibration != made.models_[0].fitted.calibration
    assert taken.models_[0].fitted.calibration == made.models_[0].fitted.calibration
    np.testing.assert_array_equal(
        taken.models_[0].fitted.output.llr, made.models_[0].fitted.output.llr
    )


def test_code_is_part_of_what_a_model_rests_on(run, monkeypatch):
    monkeypatch.setattr("knowreason.reasoner.fitting.fingerprints.our_code", lambda *_: "#other")
    assert "code of knowreason changed" in origin(world(), run)


def test_a_model_of_somebody_else_may_read_anything():
    model, parts = Reader(), DataParts(world())
    named = parts.of_model(kr.models.make("sklearn", {"features": ("x",)}), "Bad")
    assert not any("size" in part for part in named)
    assert {"facts of `size`", "definition `Aside`"} <= {*parts.of_model(model, "Bad")}
    assert any(part.startswith("code of `") for part in model_parts(model))


def test_a_stored_fit_that_says_nothing_is_not_taken(run, tmp_path):
    import json
    import shutil

    shutil.copytree(run, tmp_path / "run")
    file = tmp_path / "run" / "models" / "main@Bad" / "crossfit.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "fingerprint": {}}))
    seal(tmp_path / "run")
    assert model_fits.UNKNOWN in origin(world(), tmp_path / "run")
    (file.parent / "model.json").unlink(missing_ok=True)
    file.write_text(json.dumps(document))
    seal(tmp_path / "run")
    assert "it cannot be read" in origin(world(), tmp_path / "run")


def test_a_population_rate_of_another_run_is_not_kept(tmp_path):
    data = world()
    fitted(data, settings={"prevalence": 0.1}).save(tmp_path / "run")
    taken, made = fitted(data, tmp_path / "run"), fitted(data)
    assert taken.models_[0].origin.startswith("taken")
    assert taken.models_[0].fitted.output.base_rate == made.models_[0].fitted.output.base_rate


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ProjectError, match="KR911"):
        fitted(world(), tmp_path)


def test_a_grounding_of_something_else_is_refused():
    data, other = world(), world()
    settings = Settings(fold_count=3, auto_trees=False)
    reasoner = Reasoner(data.program, settings=settings)
    ground = kr.ground(data.program, data)
    np.testing.assert_array_equal(
        reasoner.fit(data, grounding=ground).fit_.theta, fitted(data).fit_.theta
    )
    with pytest.raises(ProjectError, match=r"KR935.*another data set"):
        reasoner.fit(other, grounding=ground)


def test_equal_tables_have_equal_digests():
    table = pa.table({"a0": pa.array([1, 2, 3], pa.int32()), "t": ["x", "y", None]})
    cut = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert digest_of(table) == digest_of(cut)
    assert digest_of(table) != digest_of(table.slice(1))
    assert digest_of(table) != digest_of(table.rename_columns(["a0", "value"]))
    assert digest_of(np.zeros(4)) != digest_of(np.zeros((2, 2)))
    assert differences({"a": "#1"}, {"a": "#1"}) == ()


class Reader(KnowledgeModel):
    """A model that reads whatever it likes, and may fail."""

    def __init__(self, fails: bool = False, dies: bool = False) -> None:
        self.fails, self.dies = fails, dies

    def visits(self, data, predicate):
        return model_fit.LONG

    def fit(self, data, predicate):
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fails:
            raise ModelError("it does not want to", code="KR821", help="ask again")
        warnings.warn("a word of caution", UserWarning, stacklevel=1)
        self.mean_ = float(rows_of(data, predicate).base_rate())
        return self

    def log_odds(self, data, predicate):
        return np.full(rows_of(data, predicate).count, self.mean_, np.float32)


class Holder(Reader):
    """A model that cannot be sent to another process."""

    def __init__(self, lock: object) -> None:
        super().__init__()
        self.lock = lock


LONG = (
    PROGRAM
    + """
model one for Bad = torch(features=["x", "Large"], epochs=3)
model two for Bad = torch(features=["w"], epochs=3, seed=5)
"""
)


@pytest.fixture
def everything_is_long(monkeypatch):
    monkeypatch.setattr(model_fit, "LONG", 1)


def test_fits_side_by_side_are_those_one_after_the_other(everything_is_long):
    data = world(LONG + "model three for Bad = callable()\n")
    given, told = {"three": Holder(Lock())}, []
    with pytest.warns(UserWarning, match="a word of caution"):
        one, two = (
            Reasoner(
                data.program, models=given, settings=Settings(fold_count=3, threads=threads)
            ).fit(data, progress=lambda *state: told.append(state))
            for threads in (1, 2)
        )
    assert [model.name for model in two.models_] == ["main", "one", "two", "three"]
    for a, b in zip(one.models_, two.models_, strict=True):
        assert (a.name, a.fingerprint) == (b.name, b.fingerprint)
        np.testing.assert_array_equal(a.fitted.output.llr, b.fitted.output.llr)
        assert a.fitted.report == b.fitted.report
    np.testing.assert_array_equal(one.fit_.theta, two.fit_.theta)
    np.testing.assert_array_equal(one.infer(data).log_odds, two.infer(data).log_odds)
    for name in ("main", "one", "two", "three", "auto"):
        assert sum(message == f"{name} for Bad: done" for _, _, message in told) == 2
    assert any("one for Bad: fold 2 of 3, epoch 1" in message for _, _, message in told)


def test_what_is_fitted_in_processes_is_chosen_by_counts():
    data = world(LONG)
    fits = model_fits._fit
    parts, groups = DataParts(data), model_fits.FoldGroups()
    how = {"fold_count": 3, "deploy": "auto", "seed": 0, "device": "cpu"}

    def is_long(name, **options):
        (declaration,) = [m for m in data.program.models if m.name == name]
        return fits(parts, groups, declaration, "Bad", options, "random", **how).is_long

    assert not is_long("one")
    assert is_long("one", epochs=3000)
    assert not is_long("main")


def test_an_error_of_a_process_is_the_models_own(everything_is_long):
    data = world(LONG)
    given = {"one": Reader(fails=True), "two": Reader(fails=True), "main": Reader()}
    seen = []
    for threads in (1, 2):
        settings = Settings(fold_count=3, threads=threads)
        reasoner = Reasoner(data.program, models=given, settings=settings)
        with pytest.raises(ModelError, match=r"KR821.*does not want") as error:
            reasoner.fit(data)
        seen.append(error.value.diagnostics)
    assert seen[0] == seen[1]


def test_a_process_that_dies_is_a_finding(everything_is_long):
    data = world(LONG)
    given = {"one": Reader(dies=True)}
    with pytest.raises(ModelError, match=r"KR872.*one for Bad"):
        Reasoner(data.program, models=given, settings=Settings(fold_count=3)).fit(data)


def test_a_data_set_can_be_sent():
    data = world()
    rows_of(data, "Bad")
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(rows_of(again, "Bad").labels, rows_of(data, "Bad").labels)


SLOW = """
import knowreason as kr
from knowreason.reasoner.fitting import model_fit
from tests.reasoner.test_fitting import LONG, world
model_fit.LONG = 1
options = {name: {"epochs": 100000, "patience": 100000} for name in ("one", "two")}
data = world(LONG)
kr.Reasoner(data.program, models=options).fit(
    data, progress=lambda *state: print(*state, flush=True)
)
"""


def test_an_interrupt_ends_all_processes_and_scripts_need_no_guard(tmp_path):
    root = os.getcwd()
    (tmp_path / "script.py").write_text(SLOW)
    with subprocess.Popen(
        [sys.executable, tmp_path / "script.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": root},
    ) as process:
        for line in process.stdout:
            if "for Bad: fold 1 of 6, epoch" in line:
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert "KeyboardInterrupt" in said
    until = time.monotonic() + 30
    while time.monotonic() < until and alive(process.pid):
        time.sleep(0.2)
    assert not alive(process.pid)


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
