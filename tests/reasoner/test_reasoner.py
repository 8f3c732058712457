"""The reasoner follows scikit-learn's manners."""

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import knowreason as kr
from knowreason.errors import ProjectError, UnknownNameError

RULES = """
domain Person, Team
observed In(Person, Team)
attribute age(Person): float
query Good(Person)
latent Strong(Team)
model age for Good = sklearn(estimator="logistic", features=["age"])
rule strong [1] : Strong(t) & In(p, t) => Good(p)
rule weak   [1] : Good(p) & In(p, t) => Strong(t)
"""


def world(count=240, seed=0):
    rng = np.random.default_rng(seed)
    team = rng.integers(0, 30, count)
    good = rng.random(count) < np.where(team < 10, 0.8, 0.1)
    people = [f"p{i}" for i in range(count)]
    program = kr.loads(RULES)
    data = kr.Dataset.from_frames(
        program,
        facts={
            "In": pl.DataFrame({"p": people, "t": [f"t{i}" for i in team]}),
            "age": pl.DataFrame({"p": people, "age": rng.normal(size=count) + good}),
        },
        labels={"Good": pl.DataFrame({"p": people, "good": good})},
    )
    return program, data.split_random("Good", test=0.5, seed=1)


@pytest.fixture(scope="module")
def fitted():
    program, (train, test) = world()
    return kr.Reasoner(program, method="likelihood", seed=3).fit(train), test


def test_parameters_can_be_read_set_and_cloned():
    program = kr.loads(RULES)
    reasoner = kr.Reasoner(program, method="likelihood", seed=5)
    assert reasoner.get_params()["method"] == "likelihood"
    assert reasoner.set_params(seed=7) is reasoner
    copy = clone(reasoner)
    assert copy is not reasoner
    assert (copy.seed, copy.method) == (7, "likelihood")
    with pytest.raises(ValueError, match="nothing"):
        reasoner.set_params(nothing=1)


def test_a_clone_is_not_fitted_and_says_so(fitted):
    reasoner, test = fitted
    copy = clone(reasoner)
    for call in (copy.infer, copy.predict, copy.predict_proba, copy.score):
        with pytest.raises(NotFittedError, match="call `fit` first"):
            call(test)
    assert "method='likelihood'" in repr(copy)


def test_predictions_have_sklearns_shapes(fitted):
    reasoner, test = fitted
    probability = reasoner.predict_proba(test)
    assert probability.shape == (120, 2)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_array_equal(reasoner.predict(test), probability[:, 1] > 0.5)


def test_a_refitted_clone_gives_the_same_weights(fitted):
    reasoner, _ = fitted
    _, (train, _) = world()
    again = clone(reasoner).fit(train)
    np.testing.assert_allclose(again.fit_.theta, reasoner.fit_.theta)
    assert str(again.weights_) == str(reasoner.weights_)
    assert again.weights_["strong"].kind == "rule"
    assert again.weights_.to_arrow().num_rows == len(again.weights_)


def test_scores_rank_and_know_what_they_measure(fitted):
    reasoner, test = fitted
    score = reasoner.score(test)
    assert score["roc_auc"].value > 0.7
    assert score["roc_auc"].low < score["roc_auc"].value < score["roc_auc"].high
    with pytest.raises(ProjectError, match="KR919"):
        reasoner.score(test, predicate="Strong")


def test_marginals_have_the_names_of_the_arguments(fitted):
    reasoner, test = fitted
    beliefs = reasoner.infer(test)
    table = beliefs.marginals("Good", models=True)
    assert table.to_arrow().column_names[:4] == ["person", "probability", "log_odds", "age"]
    assert len(table.to_polars()) == len(table.to_pandas()) == len(table) == 120
    assert len(beliefs.marginals("Good", everything=True)) == 240
    assert len(beliefs.marginals("Strong")) == 30
    with pytest.raises(UnknownNameError, match="did you mean `Good`"):
        beliefs.marginals("God")
    with pytest.raises(UnknownNameError, match="map"):
        beliefs.most_probable("Good")
    assert "exact" in beliefs.info


def test_a_ready_model_takes_the_place_of_a_declared_one(fitted):
    from knowreason.models import make

    program, (train, test) = world()
    ready = make("sklearn", {"estimator": "random_forest", "features": ("age",)})
    reasoner = kr.Reasoner(program, method="likelihood", models={"age": ready}).fit(train)
    assert reasoner.score(test)["roc_auc"].value > 0.6
