"""Views: one question, one set of labels and folds, a model each, and what ties are learned."""

from dataclasses import replace
from textwrap import dedent

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

import knowreason as kr
from knowreason.errors import DataError
from knowreason.evaluate.evaluation import evaluate_reasoner
from knowreason.evaluate.prequential import carry
from knowreason.learning import learn
from knowreason.models.base.predicate_rows import rows_of
from knowreason.reasoner.fit_steps import learning_problem, training_labels
from tests.grounding.test_neutral import table

PROGRAM = kr.loads("""
domain User
query Fraud(User)
latent Good(User) sees Fraud [? >= 0]
latent Noisy(User) sees Fraud [? >= 0]
model own for Fraud = sklearn(estimator="logistic", features=["own"])
model good for Good = sklearn(estimator="logistic", features=["good"])
model noisy for Noisy = sklearn(estimator="logistic", features=["noise"])
""")
COUNT = 500


def told(seed=0):
    """Who is a fraud, and columns that say it well, less well, and not at all."""
    rng = np.random.default_rng(seed)
    truth = rng.random(COUNT) < 0.25
    columns = {
        "own": 1.2 * truth + rng.standard_normal(COUNT),
        "good": 3.0 * truth + rng.standard_normal(COUNT),
        "noise": rng.standard_normal(COUNT),
    }
    return truth, {"user": [f"u{i}" for i in range(COUNT)], **columns}


def data_of(program=PROGRAM, seed=0, **more):
    truth, columns = told(seed)
    return kr.Dataset.from_frames(
        program,
        labels={"Fraud": {"user": columns["user"], "fraud": truth}},
        features={"User": columns},
        **more,
    )


@pytest.fixture(scope="module")
def parts():
    return data_of().split_random("Fraud", test=0.4, seed=1)


@pytest.fixture(scope="module")
def reasoner(parts):
    settings = replace(kr.Settings(), auto_trees=False)
    return kr.Reasoner(PROGRAM, settings=settings).fit(parts[0])


def test_labels_are_bound_once():
    truth, columns = told()
    with pytest.raises(DataError, match="KR516") as caught:
        kr.Dataset.from_frames(PROGRAM, labels={"Good": {"user": columns["user"], "fraud": truth}})
    assert "a view of `Fraud`" in str(caught.value)
    scores = {"Good": {"user": columns["user"], "s": columns["good"]}}
    with pytest.raises(DataError, match="models read the scores of `Fraud`"):
        kr.Dataset.from_frames(PROGRAM, scores=scores)


def test_atoms_of_a_view_are_those_it_sees_and_none_is_clamped(parts, reasoner):
    grounding = reasoner.grounding_
    seen = grounding.span("Fraud")
    for view in ("Good", "Noisy"):
        span = grounding.span(view)
        np.testing.assert_array_equal(span.arguments, seen.arguments)
        assert (grounding.labels[span.start : span.stop] < 0).all()
    today = reasoner.infer(parts[0])  # labels known when predicting clamp what they are of
    assert len(today.asked("Fraud")) == COUNT - parts[0].labels["Fraud"].num_rows
    assert len(today.asked("Good")) == COUNT


def test_a_view_has_the_split_and_the_folds_of_what_it_sees(reasoner):
    fitted = {model.name: model.fitted for model in reasoner.models_}
    assert {model.name: model.predicate for model in reasoner.models_} == {
        "own": "Fraud",
        "good": "Good",
        "noisy": "Noisy",
    }
    for view in ("good", "noisy"):
        np.testing.assert_array_equal(fitted[view].out_of_fold, fitted["own"].out_of_fold)
        np.testing.assert_array_equal(fitted[view].silent, fitted["own"].silent)
        own, other = fitted["own"].model.models, fitted[view].model.models
        assert [m.base_rate_ for m in own] == [m.base_rate_ for m in other]  # the same labels


def test_no_row_is_judged_by_a_model_that_saw_its_label():
    """Trees that learn noise by heart know the labels they saw, and none that they did not."""
    text = """
    domain User
    query Fraud(User)
    latent Heart(User) sees Fraud [? >= 0]
    model own for Fraud = sklearn(estimator="logistic", features=["own"])
    model heart for Heart = trees(features=["noise"], min_samples_leaf=1, learning_rate=0.5)
    """
    program = kr.loads(dedent(text))
    data = data_of(program)
    settings = replace(kr.Settings(), auto_trees=False, deploy="refit")
    fitted = kr.Reasoner(program, settings=settings, folds="random").fit(data).models_
    (heart,) = [m.fitted for m in fitted if m.name == "heart"]
    rows = rows_of(data, "Fraud")
    truth = rows.labels[rows.labelled]
    assert roc_auc_score(truth, heart.predict(data).llr[rows.labelled]) > 0.9
    assert 0.35 < roc_auc_score(truth, heart.output.llr[rows.labelled]) < 0.65
    assert heart.out_of_fold.sum() == len(truth)


def test_a_good_view_is_believed_further_than_noise(reasoner):
    weights = {weight.name: weight for weight in reasoner.weights_}
    good, noisy = weights["good_sees_fraud"], weights["noisy_sees_fraud"]
    assert 3 < good.value < 20  # of a learned weight at its bound there would be no end
    assert noisy.value < good.value - 1
    assert good.status == "learned"


def test_base_rates_of_views_and_their_only_scales_are_held(reasoner):
    weights = {weight.name: weight for weight in reasoner.weights_}
    rate = next(m for m in reasoner.models_ if m.name == "good").fitted.output.base_rate
    assert weights["bias Good"].status == weights["scale good"].status == "given"
    assert weights["bias Good"].value == pytest.approx(logit(rate))
    assert weights["scale good"].value == 1
    assert weights["scale own"].status != "given"


def test_scales_of_several_models_of_a_view_are_learned():
    text = str(PROGRAM) + 'model more for Good = sklearn(estimator="logistic", features=["own"])\n'
    program = kr.loads(text)
    reasoner = kr.Reasoner(program).fit(data_of(program))
    status = {weight.name: weight.status for weight in reasoner.weights_}
    assert status["scale good"] != "given" != status["scale more"]
    assert status["scale noisy"] == "given"


def test_beliefs_are_those_of_worlds_weighed_by_hand(parts, reasoner):
    """Each user is a star: what a view says comes as the ratio of `labels.views`."""
    beliefs = reasoner.infer(parts[1])
    weights = {weight.name: weight.value for weight in reasoner.weights_}
    said = {output.predicate: output for output in beliefs.outputs}
    told = weights["bias Fraud"] + weights["scale own"] * said["Fraud"].llr.astype(float)
    for view in ("Good", "Noisy"):
        rates = expit(weights["bias Fraud"]), expit(weights[f"bias {view}"])
        ratio = np.exp(said[view].llr.astype(float))
        psi = table(*rates, weights[f"{view.lower()}_sees_fraud"])  # rows: fraud, columns: view
        heard = [(1 - rates[1]) * row[0] + rates[1] * row[1] * ratio for row in psi]
        told = told + np.log(heard[1]) - np.log(heard[0])
    atoms = beliefs.asked("Fraud")
    local = atoms - beliefs.grounding.span("Fraud").start
    rules = beliefs.posterior.log_odds.numpy()[atoms]
    np.testing.assert_allclose(rules, told[local], atol=2e-4)


def test_a_view_alone_believes_what_its_model_says():
    program = kr.loads(str(PROGRAM).replace("[? >= 0]", "[0]"))
    reasoner = kr.Reasoner(program).fit(data_of(program))
    beliefs = reasoner.infer(data_of(program))
    (output,) = [o for o in beliefs.outputs if o.predicate == "Good"]
    found = beliefs.posterior.log_odds.numpy()[beliefs.asked("Good")]
    np.testing.assert_allclose(found, logit(output.base_rate) + output.llr, atol=1e-4)


def test_stacking_counts_models_of_views(parts, reasoner):
    (pool,) = reasoner.answers_.pools
    assert pool.stacking.models == ("own", "good", "noisy")
    assert pool.stacking.around == (0.0, 0.0, 0.0)  # a view is no neighbour of what it sees
    assert pool.stacking.own[1] > pool.stacking.own[2] + 0.2
    beliefs = reasoner.infer(parts[1])
    atom = beliefs.grounding.atom_name(int(beliefs.asked("Fraud")[3]))
    explained = reasoner.explain(beliefs, atom)
    names = {(share.kind, share.name) for share in explained.shares}
    assert {("stacked", "good"), ("rule", "good_sees_fraud"), ("model", "own")} <= names
    assert sum(s.log_odds for s in explained.shares) == pytest.approx(explained.log_odds, abs=1e-3)


def test_the_other_readers_of_models(parts, reasoner):
    beliefs = reasoner.infer(parts[1])
    columns = beliefs.marginals("Fraud", models=True).to_arrow().column_names
    assert {"own", "good", "noisy"} <= set(columns)
    assert "own" not in beliefs.marginals("Good", models=True).to_arrow().column_names
    found = evaluate_reasoner(reasoner, parts[0], beliefs, "Fraud", metrics=["roc_auc"])
    assert {"model own", "model good (Good)", "model noisy (Noisy)"} <= set(found.table)
    assert reasoner.predict_proba(parts[1]).shape == (len(beliefs.asked("Fraud")), 2)


def test_a_stored_run_predicts_the_same(parts, reasoner, tmp_path):
    reasoner.save(tmp_path / "run")
    again = kr.load_run(tmp_path / "run").reasoner
    assert again.program == PROGRAM
    expected, found = reasoner.infer(parts[1]), again.infer(parts[1])
    np.testing.assert_array_equal(found.log_odds, expected.log_odds)


def test_labels_of_a_view_would_run_the_weight_away(parts, reasoner):
    """Why a view is latent: clamped, two copies of one label have no finite odds ratio."""
    grounding = reasoner.grounding_
    problem = learning_problem(grounding, reasoner.models_, reasoner.settings)
    labels = problem.labels.copy()
    seen, view = grounding.span("Fraud"), grounding.span("Noisy")
    labels[view.start : view.stop] = labels[seen.start : seen.stop]
    clamped = learn(replace(problem, labels=labels), "variational_em")
    at = clamped.parameters.index("noisy_sees_fraud")
    assert clamped.theta[at] > reasoner.fit_.theta[at] + 6  # only the prior holds it


def test_a_prevalence_is_that_of_views_too():
    settings = replace(kr.Settings(), prevalence=0.02)
    reasoner = kr.Reasoner(PROGRAM, settings=settings).fit(data_of())
    weights = {weight.name: weight.value for weight in reasoner.weights_}
    assert weights["bias Good"] == pytest.approx(logit(0.02))
    assert {m.fitted.output.base_rate for m in reasoner.models_} == {0.02}


def test_candidates_of_a_view_are_those_of_what_it_sees():
    text = """
    domain User
    observed Near(User, User)
    query Same(User, User) within Near
    latent Alike(User, User) sees Same [1]
    """
    program = kr.loads(dedent(text))
    near = {"a": ["x", "y", "y"], "b": ["y", "z", "x"]}
    grounding = kr.ground(program, kr.Dataset.from_frames(program, facts={"Near": near}))
    same, alike = grounding.span("Same"), grounding.span("Alike")
    assert same.count == alike.count == 3
    np.testing.assert_array_equal(same.arguments, alike.arguments)
    assert grounding.atom_index("Alike", "y", "z") - alike.start == (
        grounding.atom_index("Same", "y", "z") - same.start
    )


def test_labels_that_a_view_is_silent_about_are_not_learned_from():
    text = """
    domain User
    attribute at(User): int clock
    query Fraud(User)
    latent Good(User) sees Fraud [? >= 0]
    model good for Good = sklearn(estimator="logistic", features=["good"])
    """
    program = kr.loads(dedent(text))
    users = told()[1]["user"]
    data = data_of(program, facts={"at": {"user": users, "at": np.arange(COUNT)}})
    reasoner = kr.Reasoner(program, folds="forward").fit(data)
    (good,) = [m.fitted for m in reasoner.models_]
    labels = training_labels(reasoner.grounding_, reasoner.models_, reasoner.settings)
    span = reasoner.grounding_.span("Fraud")
    assert good.silent.any()
    np.testing.assert_array_equal(labels[span.start : span.stop] < 0, good.silent)


def test_carried_to_other_data_a_model_of_a_view_keeps_what_it_said(parts, reasoner):
    (good,) = [m for m in reasoner.models_ if m.name == "good"]
    again = carry(good, parts[0], parts[0])
    assert again.fitted.output.predicate == "Good"
    np.testing.assert_array_equal(again.fitted.output.llr, good.fitted.output.llr)
    np.testing.assert_array_equal(again.fitted.out_of_fold, good.fitted.out_of_fold)


def test_where_the_model_of_a_view_broke_rules_answer(parts, reasoner):
    beliefs = reasoner.infer(parts[1])
    sound = reasoner.answers_.pooled(beliefs.grounding, beliefs.outputs, {})
    broken = reasoner.answers_.pooled(beliefs.grounding, beliefs.outputs, {}, [("good", "Good")])
    assert (sound["Fraud"].pool.kind, broken["Fraud"].pool.kind) == ("mean", "rules")
