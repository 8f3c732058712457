"""A reasoner fitted in Python is saved, read again and believes the same."""

import json

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import knowreason as kr
from knowreason.errors import ModelError, ProjectError
from knowreason.models import make
from knowreason.reasoner.stored_answers import load_answers
from knowreason.run.run_prediction import predict_run
from tests.reasoner.test_reasoner import RULES, world


@pytest.fixture(scope="module")
def fitted():
    program, (train, test) = world()
    reasoner = kr.Reasoner(
        program,
        method="likelihood",
        models={"age": {"C": 0.5}},
        settings=kr.Settings(
            fold_count=3, bootstrap=30, infer={"max_width": 10}, threads=1, weights="halfway"
        ),
        seed=3,
    )
    return reasoner.fit(train), test


def same(one, two, data):
    first, second = one.infer(data), two.infer(data)
    for predicate in ("Good", "Strong"):
        left, right = first.marginals(predicate).table, second.marginals(predicate).table
        assert left.drop_columns(["probability", "log_odds", "low", "high"]).equals(
            right.drop_columns(["probability", "log_odds", "low", "high"])
        )
        for column in ("log_odds", "low", "high"):
            np.testing.assert_allclose(
                left.column(column).to_numpy(), right.column(column).to_numpy(), atol=1e-6
            )
    assert first.notes == second.notes


def test_saved_and_read_it_believes_the_same(fitted, tmp_path):
    reasoner, test = fitted
    reasoner.save(tmp_path / "run")
    run = kr.load_run(tmp_path / "run")
    again = run.reasoner
    same(reasoner, again, test)
    assert again.get_params()["settings"] == reasoner.settings
    for name in ("method", "engine", "folds", "seed", "device", "models"):
        assert getattr(again, name) == getattr(reasoner, name)
    assert str(again.program) == str(reasoner.program)
    assert str(again.weights_) == str(reasoner.weights_)
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {
        ".json",
        ".jsonl",
        ".kr",
        ".safetensors",
        ".skops",
        ".toml",
    }
    again.save(tmp_path / "twice")
    same(reasoner, kr.load_run(tmp_path / "twice").reasoner, test)


def test_a_moved_folder_and_force(fitted, tmp_path):
    reasoner, test = fitted
    reasoner.save(tmp_path / "run")
    with pytest.raises(ProjectError, match="KR914"):
        reasoner.save(tmp_path / "run")
    reasoner.save(tmp_path / "run", force=True)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    same(reasoner, kr.load_run(tmp_path / "elsewhere").reasoner, test)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ProjectError, match="KR924"):
        reasoner.save(tmp_path / "mine", force=True)


def test_a_ready_made_model_comes_back(tmp_path):
    program, (train, test) = world(count=120)
    model = make("sklearn", {"estimator": "logistic", "features": ("age",), "C": 0.1})
    reasoner = kr.Reasoner(program, method="likelihood", models={"age": model}).fit(train)
    reasoner.save(tmp_path / "run")
    again = kr.load_run(tmp_path / "run").reasoner
    np.testing.assert_allclose(again.predict_proba(test), reasoner.predict_proba(test), atol=1e-6)
    refitted = again.fit(train)
    np.testing.assert_allclose(
        refitted.predict_proba(test), reasoner.predict_proba(test), atol=1e-6
    )


def test_what_cannot_be_saved_is_told(fitted, tmp_path):
    reasoner, _ = fitted
    with pytest.raises(NotFittedError):
        kr.Reasoner(reasoner.program).save(tmp_path / "run")
    given, reasoner.models = reasoner.models, {"age": {"C": np.float32(1)}}
    try:
        with pytest.raises(ModelError, match=r"age\.C"):
            reasoner.save(tmp_path / "run")
    finally:
        reasoner.models = given
    assert not (tmp_path / "run").exists()


def test_the_command_line_says_that_it_has_no_tables(fitted, tmp_path):
    fitted[0].save(tmp_path / "run")
    with pytest.raises(ProjectError, match="KR928"):
        predict_run(tmp_path / "run")


def test_runs_of_train_are_read_too(skimming_run):
    run = kr.load_run(skimming_run)
    assert run.reasoner.weights_["goes_on"].kind == "rule"
    assert run.project.tables


def test_what_is_printed_is_short(fitted):
    reasoner, test = fitted
    text = repr(reasoner)
    assert len(text.splitlines()) <= 3
    assert "2 rules, 1 model; asks Good; method='likelihood', fitted on 120 labels" in text
    assert "strongest: strong 1.00 +- 0.00, weak 1.00 +- 0.00" in text
    unfitted = repr(kr.Reasoner(kr.loads(RULES)))
    assert unfitted == "Reasoner(2 rules, 1 model; asks Good; method='variational_em', not fitted)"
    beliefs = reasoner.infer(test)
    for value in (test, reasoner.grounding_, beliefs):
        assert len(repr(value)) < 200
        assert "\n" not in repr(value)
    assert repr(test).startswith("Dataset(240 Person, 30 Team; ")
    assert "120 Good" in repr(beliefs)
    assert "240 Good, 30 Strong atoms" in repr(beliefs.grounding)


def test_a_run_of_before_shares_were_kept_is_read(fitted, tmp_path):
    reasoner, _ = fitted
    reasoner.save(tmp_path / "run")
    file = tmp_path / "run" / "answers.json"
    stored = json.loads(file.read_text())
    del stored["share"]
    file.write_text(json.dumps(stored))
    assert load_answers(tmp_path / "run").share == 0  # halfway weights: no intervals, as then
