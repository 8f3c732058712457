import numpy as np
import pytest
from scipy.stats import ttest_1samp
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import knowreason as kr
from knowreason.errors import DataError, ProjectError
from knowreason.evaluate.comparison import lead

RULES = """
domain Person
domain Town
attribute age(Person): float
attribute home(Person): Town
observed Friends(Person, Person) symmetric
query Smokes(Person)
rule peers [1.2] : Friends(x, y) & Smokes(x) => Smokes(y)
"""
COUNT = 60


@pytest.fixture(scope="module")
def people():
    """Sixty people of ten towns; age tells who smokes."""
    names = [f"p{i}" for i in range(COUNT)]
    rng = np.random.default_rng(0)
    age = rng.normal(size=COUNT)
    smokes = age + 0.5 * rng.normal(size=COUNT) > 0
    return kr.Dataset.from_frames(
        kr.loads(RULES),
        facts={
            "age": {"id": names, "value": age},
            "home": {"id": names, "town": [f"t{i % 10}" for i in range(COUNT)]},
            "Friends": {"a": names[:-1], "b": names[1:]},
        },
        labels={"Smokes": {"id": names, "truth": smokes}},
    )


@pytest.fixture(scope="module")
def validated(people):
    estimators = {
        "ours": make_pipeline(StandardScaler(), LogisticRegression()),
        "logistic": "logistic",
        "refuses": LogisticRegression(C=-1.0),
    }
    return kr.cross_validate(
        kr.Reasoner(people.program),
        people,
        folds=2,
        repeats=2,
        groups="home",
        metrics=["roc_auc", "brier"],
        baselines=estimators,
    )


def test_without_shared_rows_the_test_is_the_t_test():
    differences = np.array([0.3, -0.1, 0.2, 0.4, 0.05])
    known = ttest_1samp(differences, 0.0)
    found = lead("other", "roc_auc", differences, ratio=0.0)
    interval = known.confidence_interval(0.95)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_shared_rows_make_the_test_careful():
    differences = np.array([0.3, 0.1, 0.2, 0.4, 0.05, np.nan])
    free, shared = (lead("other", "roc_auc", differences, ratio) for ratio in (0.0, 0.25))
    assert free.splits == shared.splits == 5
    assert free.p < shared.p
    assert (shared.high - shared.low) / (free.high - free.low) == pytest.approx(
        np.sqrt((1 / 5 + 0.25) * 5)
    )
    assert np.isnan(lead("other", "roc_auc", differences[:1], 0.5).p)
    assert lead("other", "roc_auc", np.zeros(4), 0.5).p == 1.0


def test_every_label_is_tested_once_a_repeat(validated):
    assert validated.repeat.tolist() == [0, 0, 1, 1]
    for repeat in (0, 1):
        assert validated.tested[validated.repeat == repeat].sum() == COUNT
    assert (validated.trained + validated.tested == COUNT).all()


def test_baselines_are_paired_with_the_reasoner(validated):
    assert {"reasoner", "ours", "boosted trees (+ definitions)"} <= set(validated.figures)
    assert validated.figures["logistic"][:, 0].mean() > 0.8  # age tells
    leads = {one.row: one for one in validated.leads("brier")}
    differences = validated.figures["reasoner"][:, 1] - validated.figures["ours"][:, 1]
    assert leads["ours"].mean == pytest.approx(differences.mean())
    assert leads["ours"].splits == 4
    assert "reasoner" not in leads


def test_what_was_not_made_is_said(validated):
    assert "refuses" not in validated.figures
    (note,) = (note for note in validated.notes if note.startswith("refuses"))
    assert "not made" in note


def test_a_cross_validation_is_a_table(validated):
    frame = validated.to_pandas()
    assert len(frame) == len(validated) == 4 * len(validated.figures)
    mean = frame[frame.row == "ours"].roc_auc.mean()
    assert mean == pytest.approx(validated.figures["ours"][:, 0].mean())
    assert f"{mean:.3f}" in repr(validated)
    assert repr(validated).startswith("CrossValidation(Smokes: 4 splits)")
    assert "lead in roc_auc" in validated._repr_html_()


def test_groups_stay_together(people):
    """Were a town in two folds, other folds of it would be drawn."""
    fold = kr.data.splits.holdout.folds(people, "Smokes", 2, "group:home", 0)
    assert all(len(set(fold[start::10])) == 1 for start in range(10))
    with pytest.raises(DataError, match="no attribute"):
        kr.cross_validate(people.program, people, groups="nowhere")
    with pytest.raises(DataError, match="1 folds"):
        kr.cross_validate(people.program, people, folds=1)


def test_compare_says_what_eval_says(people):
    training, test = people.split_random("Smokes", test=0.5)
    reasoner = kr.Reasoner(people.program)
    found = kr.compare(reasoner, training, test, metrics=["roc_auc"])
    assert not hasattr(reasoner, "fit_")
    assert {"without peers", "without any soft rule"} <= set(found.ablation)
    again = kr.compare(reasoner.fit(training), training, test, metrics=["roc_auc"])
    assert again.table == found.table
    assert "without peers" in repr(found)
    assert repr(found).splitlines()[2].startswith("reasoner")
    assert str(found.verdict) in repr(found)
    frame = found.to_polars()
    assert frame.columns == ["row", "metric", "value", "low", "high"]
    assert found._repr_html_().count("<tr>") == len(found) + 1
    assert "array(" not in repr(found)


def test_nothing_to_measure_is_an_error(people):
    bare = kr.Dataset.from_frames(people.program, things={"Person": {"id": ["a", "b"]}})
    with pytest.raises(ProjectError, match="no label"):
        kr.compare(people.program, people, bare)
