"""How labels were drawn: declared, weighted, estimated; against fits of whole populations."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

import knowreason as kr
from knowreason.errors import ProjectError
from knowreason.evaluate.evaluation import evaluate_reasoner
from knowreason.grounding import ground
from knowreason.lang import loads
from knowreason.learning import learn
from knowreason.reasoner.fit_steps import learning_problem
from knowreason.reasoner.labels.label_selection import (
    label_selection,
    label_selections,
)
from knowreason.reasoner.labels.prior_shift import estimated_prevalence
from knowreason.reasoner.population_share import prevalence_warnings

PLAIN = """
domain Thing
attribute x(Thing): float
query Bad(Thing)
define High(t) := x(t) > 1
rule high [? 0] : High(t) => Bad(t)
"""
SCORED = """
domain Thing
attribute x(Thing): float
query Bad(Thing)
model m for Bad = sklearn(estimator="logistic", features=["x"])
"""
HUBS = """
domain Thing, Group
observed In(Thing, Group)
query Bad(Thing)
latent Hub(Group)
rule seldom [-2.2] : Hub(g)
rule made [? 3 >= 0] : Hub(g) & In(t, g) ~> Bad(t)
"""


def names(count: int) -> list[str]:
    return [f"t{i}" for i in range(count)]


def world(text: str, count: int = 4000, seed: int = 0, **facts: object):
    """A population, the truth of each thing, and its data without labels."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(count)
    truth = rng.random(count) < expit(-4.5 + 2.0 * (x > 1) + (1.5 * x if "model" in text else 0))
    table = {"x": {"t": names(count), "x": x}}
    return loads(text), truth, {"facts": table}


def labelled(program, truth, tables, rows, weights=None):
    label = {"Bad": {"t": np.array(names(len(truth)))[rows].tolist(), "bad": truth[rows].tolist()}}
    more = {}
    if weights is not None:
        more["label_weights"] = {"Bad": {"t": label["Bad"]["t"], "w": weights}}
    return kr.Dataset.from_frames(program, labels=label, **tables, **more)


def by_outcome(truth, each: int, seed: int = 1):
    """As many labels of true things as of false ones."""
    rng = np.random.default_rng(seed)
    kinds = (np.flatnonzero(truth), np.flatnonzero(~truth))
    return np.concatenate([rng.permutation(kind)[:each] for kind in kinds])


def fitted(data, **settings):
    return kr.Reasoner(data.program, settings=kr.Settings(**settings)).fit(data)


def weight(reasoner, name):
    return float(reasoner.fit_.theta[reasoner.fit_.parameters.names.index(name)])


def expected(reasoner, data):
    """Sum of beliefs about all things, labels hidden."""
    bare = replace(data, labels={"Bad": data.labels["Bad"].slice(0, 0)})
    return float(reasoner.predict_proba(bare, "Bad")[:, 1].sum())


def test_labels_by_outcome_give_the_weights_of_the_whole_population():
    program, truth, tables = world(PLAIN, count=20_000)
    whole = fitted(labelled(program, truth, tables, np.arange(len(truth))))
    data = labelled(program, truth, tables, by_outcome(truth, 150))
    known = fitted(data, prevalence=float(truth.mean()))
    unknown = fitted(data)
    for name, error in zip(("high", "bias Bad"), known.fit_.standard_errors, strict=True):
        assert abs(weight(known, name) - weight(whole, name)) < 3 * error
    assert 0 < error < 0.3
    assert weight(unknown, "bias Bad") > weight(whole, "bias Bad") + 2
    assert expected(known, data) == pytest.approx(truth.sum(), rel=0.03)
    assert expected(unknown, data) > 5 * truth.sum()


def test_models_keep_their_ratios_and_take_the_base_rate_of_the_population():
    program, truth, tables = world(SCORED)
    data = labelled(program, truth, tables, by_outcome(truth, 80))
    known, unknown = fitted(data, prevalence=0.02), fitted(data)
    one, two = (r.models_[0].fitted.predict(data) for r in (known, unknown))
    np.testing.assert_array_equal(one.llr, two.llr)
    assert one.base_rate == 0.02
    assert two.base_rate == pytest.approx(0.5, abs=0.01)
    assert expected(known, data) == pytest.approx(0.02 * len(truth), rel=0.03)


def test_the_base_rate_of_the_population_is_stored(tmp_path):
    program, truth, tables = world(SCORED, count=400)
    data = labelled(program, truth, tables, by_outcome(truth, 10))
    reasoner = fitted(data, prevalence=0.05)
    reasoner.save(tmp_path / "run")
    again = kr.load_run(tmp_path / "run").reasoner
    assert again.settings.prevalence == 0.05
    assert again.models_[0].fitted.predict(data).base_rate == 0.05
    np.testing.assert_array_equal(again.predict_proba(data), reasoner.predict_proba(data))


def test_hubs_of_a_case_control_sample_sum_to_the_truth():
    rng = np.random.default_rng(3)
    groups = 200
    hub = rng.random(groups) < 0.1
    of = np.repeat(np.arange(groups), 10)
    truth = rng.random(len(of)) < np.where(hub[of], 0.5, 0.01)
    tables = {"facts": {"In": {"t": names(len(of)), "g": [f"g{g}" for g in of]}}}
    program = loads(HUBS)
    whole = fitted(labelled(program, truth, tables, np.arange(len(truth))))
    data = labelled(program, truth, tables, by_outcome(truth, 40))
    known = fitted(data, prevalence=float(truth.mean()))
    error = known.fit_.standard_errors[known.fit_.parameters.names.index("made")]
    assert abs(weight(known, "made") - weight(whole, "made")) < 3 * error
    assert expected(known, data) == pytest.approx(truth.sum(), rel=0.05)
    assert expected(fitted(data), data) > 3 * truth.sum()


def test_the_selection_factor_is_the_likelihood_given_the_draw():
    """Against enumeration: P(truth of the labelled | they were drawn), r by outcome."""
    program = loads(
        'domain T = {"a", "b", "c"}\nquery Bad(T)\nrule like [1.3] : Bad(s) & Bad(t) & s != t'
    )
    label = {"Bad": {"t": ["a", "b"], "bad": [True, False]}}
    data = kr.Dataset.from_frames(program, labels=label)
    grounding = ground(program, data)
    settings = kr.Settings(prevalence=0.1)
    shift = label_selections(data, (), settings)["Bad"].shift
    problem = learning_problem(grounding, (), settings)
    fit = learn(problem, "likelihood")
    bias = float(fit.theta[fit.parameters.names.index("bias Bad")])

    def log_likelihood(bias: float) -> float:
        worlds = np.array(np.meshgrid(*[[0, 1]] * 3, indexing="ij")).reshape(3, -1).T
        pairs = worlds.sum(axis=1) * (worlds.sum(axis=1) - 1)
        drawn = shift * worlds[:, :2].sum(axis=1)  # r1 / r0 for the two that were labelled
        score = bias * worlds.sum(axis=1) + 1.3 * pairs + drawn
        seen = (worlds[:, 0] == 1) & (worlds[:, 1] == 0)
        return float(np.logaddexp.reduce(score[seen]) - np.logaddexp.reduce(score))

    grid = np.linspace(-8, 4, 4001)
    prior = -0.5 * ((grid - logit(0.1)) / 2.0) ** 2
    best = grid[np.argmax([log_likelihood(b) for b in grid] + prior)]
    assert bias == pytest.approx(best, abs=0.01)
    assert fit.log_likelihood == pytest.approx(log_likelihood(bias), abs=1e-3)


def test_weights_say_what_a_declared_share_says():
    program, truth, tables = world(PLAIN)
    rows = by_outcome(truth, 60)
    stands_for = np.where(truth, truth.sum() / 60, (~truth).sum() / 60)[rows]
    weighted = labelled(program, truth, tables, rows, stands_for.tolist())
    found = label_selection(weighted, "Bad", kr.Settings())
    assert found.origin == "weights"
    assert found.prevalence == pytest.approx(truth.mean(), rel=1e-6)
    declared = fitted(labelled(program, truth, tables, rows), prevalence=found.prevalence)
    np.testing.assert_allclose(fitted(weighted).fit_.theta, declared.fit_.theta, atol=1e-9)
    assert not found.uneven
    differing = stands_for * np.where(np.arange(len(rows)) % 2, 0.5, 1.5)
    other = labelled(program, truth, tables, rows, differing.tolist())
    assert "differ within an outcome" in label_selection(other, "Bad", kr.Settings()).note
    # a factor common to all weights says nothing, and a number goes before weights
    doubled = labelled(program, truth, tables, rows, (2 * stands_for).tolist())
    assert label_selection(doubled, "Bad", kr.Settings()).prevalence == pytest.approx(
        found.prevalence
    )
    assert label_selection(weighted, "Bad", kr.Settings(prevalence=0.3)).prevalence == 0.3


def test_weights_follow_their_atoms_through_a_split():
    program, truth, tables = world(PLAIN, count=200)
    rows = by_outcome(truth, 6)
    weights = np.arange(1.0, 1 + len(rows))
    data = labelled(program, truth, tables, rows, weights.tolist())
    past, _ = data.split_by("x", before=1.0)
    found = label_selection(past, "Bad", kr.Settings())
    x = np.asarray(tables["facts"]["x"]["x"])[rows]
    kept = np.sort(weights[x < 1.0])
    got = found.weights[~np.isnan(found.weights)]
    np.testing.assert_array_equal(np.sort(got), kept)


def ratios(rng, truth):
    return 2 * (rng.standard_normal(len(truth)) + np.where(truth, 1, -1))


@pytest.mark.parametrize("prevalence", [0.03, 0.2, 0.8])
def test_the_estimate_finds_a_known_shift(prevalence):
    covered = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        truth, known = rng.random(10_000) < prevalence, np.arange(1_000) < 500
        middle, low, high = estimated_prevalence(ratios(rng, truth), ratios(rng, known), known, 0.5)
        covered += low <= truth.mean() <= high
        assert logit(middle) == pytest.approx(logit(prevalence), abs=0.7)
    assert covered >= 5


def test_the_estimate_is_the_fixed_point_of_em_where_labels_are_many():
    rng = np.random.default_rng(0)
    truth, known = rng.random(20_000) < 0.1, np.arange(40_000) < 20_000
    unlabelled = ratios(rng, truth)
    share = 0.5
    for _ in range(500):
        share = float(expit(logit(share) + unlabelled).mean())
    found, low, high = estimated_prevalence(unlabelled, ratios(rng, known), known, 0.5)
    assert found == pytest.approx(share, rel=0.1)
    assert low < share < high


def test_an_estimate_of_two_dozen_labels_says_that_it_knows_nothing():
    program, truth, tables = world(SCORED)
    data = labelled(program, truth, tables, by_outcome(truth, 12))
    reasoner = fitted(data, prevalence="estimate")
    (warning,) = [w for w in reasoner.grounding_.warnings if w.code == "KR846"]
    assert "24 labels" in warning.message
    assert any(warning.message in note for note in reasoner.fit_.notes)
    many = fitted(labelled(program, truth, tables, by_outcome(truth, 110)), prevalence="estimate")
    found = label_selections(many.grounding_.data, many.models_, many.settings)["Bad"]
    assert found.interval[0] < truth.mean() < found.interval[1]


def test_a_warning_where_labels_hold_another_share_and_none_where_they_are_fair():
    program, truth, tables = world(PLAIN)
    fair = np.random.default_rng(2).permutation(len(truth))[:600]

    def codes(reasoner):
        return [w.code for w in reasoner.grounding_.warnings if w.code == "KR844"]

    data = labelled(program, truth, tables, by_outcome(truth, 60))
    grounding = ground(program, data)
    rare = np.full(grounding.graph.atom_count, -4.0)
    (warning,) = prevalence_warnings(grounding, rare, {})
    assert (warning.code, warning.severity) == ("KR844", "warning")
    assert "50%" in warning.message
    assert "0.018" in warning.message
    assert "[labels] prevalence" in warning.help
    assert prevalence_warnings(grounding, np.full_like(rare, -1.0), {}) == ()
    assert codes(fitted(labelled(program, truth, tables, fair))) == []
    known = fitted(data, prevalence=0.02)
    assert codes(known) == []
    assert any("prevalence of `Bad`: 0.02, as declared" in note for note in known.fit_.notes)


def test_what_has_no_prevalence_is_refused():
    program = loads("domain T\nquery Bad(T)\nquery Odd(T)\nlatent Deep(T)")
    label = {"Bad": {"t": ["a", "b"], "bad": [True, False]}}
    data = kr.Dataset.from_frames(program, labels=label)
    with pytest.raises(ProjectError, match="which predicate"):
        label_selection(data, "Bad", kr.Settings(prevalence=0.1))
    with pytest.raises(ProjectError, match="no query predicate"):
        label_selection(data, "Bad", kr.Settings(prevalence={"Deep": 0.1}))
    with pytest.raises(ProjectError, match="no model"):
        label_selection(data, "Bad", kr.Settings(prevalence={"Bad": "estimate"}))
    assert label_selection(data, "Odd", kr.Settings(prevalence={"Bad": 0.1})) is None
    example = kr.testing.example_data(nodes=8)
    with pytest.raises(ProjectError, match="functional"):
        label_selection(example, "Has", kr.Settings(prevalence={"Has": 0.1}))


def test_where_all_atoms_are_labelled_there_is_no_population_to_sum_over():
    program, truth, tables = world(PLAIN, count=3000)
    rows = by_outcome(truth, 60)
    few = np.array(names(len(truth)))[rows]
    x = np.asarray(tables["facts"]["x"]["x"])[rows]
    alone = {"facts": {"x": {"t": few.tolist(), "x": x}}}
    label = {"Bad": {"t": few.tolist(), "bad": truth[rows].tolist()}}
    data = kr.Dataset.from_frames(program, labels=label, **alone)
    reasoner = fitted(data, prevalence=float(truth.mean()))
    whole = fitted(labelled(program, truth, tables, np.arange(len(truth))))
    assert weight(reasoner, "bias Bad") == pytest.approx(weight(whole, "bias Bad"), abs=0.6)


def test_a_given_base_rate_that_denies_the_prevalence_is_told():
    text = PLAIN + "rule base [-0.5] : Bad(t)\n"
    program, truth, tables = world(text)
    data = labelled(program, truth, tables, by_outcome(truth, 40))
    reasoner = fitted(data, prevalence=0.02)
    (warning,) = [w for w in reasoner.grounding_.warnings if w.code == "KR844"]
    assert "0.02" in warning.message


def test_intervals_of_a_bootstrap_move_with_the_bias():
    program, truth, tables = world(PLAIN)
    data = labelled(program, truth, tables, by_outcome(truth, 60))
    reasoner = fitted(data, prevalence=0.005, bootstrap=60)
    weight_of = {w.name: w for w in reasoner.weights_}["bias Bad"]
    assert weight_of.interval[0] < weight_of.value < weight_of.interval[1]
    beliefs = reasoner.infer(data)
    middle = beliefs.posterior.log_odds.numpy()[beliefs.asked("Bad")]
    low, high = beliefs.interval[:, beliefs.asked("Bad")]
    assert ((low <= middle) & (middle <= high)).mean() > 0.9


def test_baselines_that_learn_from_labels_are_shifted_too():
    text = SCORED.replace("\nmodel m", "\nattribute y(Thing): float\nmodel m")
    program, truth, tables = world(text, count=600)
    tables["facts"]["y"] = {"t": names(600), "y": np.arange(600.0)}
    rows = np.concatenate([by_outcome(truth, 20), np.arange(560, 600)])
    data = labelled(program, truth, tables, np.unique(rows))
    past, future = data.split_by("y", before=560.0)
    scores = {}
    for prevalence in (None, 0.04):
        reasoner = fitted(past, prevalence=prevalence)
        beliefs = reasoner.infer(future)
        found = evaluate_reasoner(reasoner, past, beliefs, "Bad", metrics=["log_loss"])
        scores[prevalence] = found.scores
    shift = label_selection(past, "Bad", kr.Settings(prevalence=0.04)).shift
    for name in ("stacking (logistic)", "model m"):
        np.testing.assert_allclose(scores[None][name] - scores[0.04][name], shift, atol=0.01)
