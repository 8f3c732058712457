"""Weights of every thing of an open domain are drawn around a common mean that is learned."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import knowreason as kr
from knowreason.errors import LearningError
from knowreason.learning import Problem, learn
from knowreason.reasoner.fitting import group_shrinkage
from knowreason.reasoner.fitting.group_shrinkage import (
    GroupPrior,
    common_means,
    group_prior,
    with_shrinkage,
)
from knowreason.reasoner.rule_weights import RuleWeights, theta_for

RULES = """domain E, Shop
query Bad(E)
observed At(E, Shop)
rule rare [0] : Bad(e)
rule each [? per s] : Bad(e) & At(e, s)
"""
MEAN, DEVIATION, SHOPS = -0.5, 1.0, 150


def test_balanced_normal_groups_have_the_deviation_of_the_formula():
    """REML of a one-way model: variance between the means, less that of a mean."""
    draw = np.random.default_rng(0)
    noise, count = 0.3, 400
    alone = 2 + 0.8 * draw.normal(size=count) + noise * draw.normal(size=count)
    now = GroupPrior(1.0, 1.5, 1.0, 0)
    for _ in range(3):
        variance = 1 / (now.deviation**-2 + noise**-2)
        modes = variance * (alone / noise**2 + now.mean / now.deviation**2)
        now = group_prior(modes, np.full(count, variance), now, 0.0, 30.0)
    assert now.deviation == pytest.approx(np.sqrt(alone.var(ddof=1) - noise**2), rel=1e-3)
    assert now.mean == pytest.approx(alone.mean(), abs=1e-3)
    assert now.mean_variance == pytest.approx(alone.var(ddof=1) / count, rel=1e-2)
    assert now.informed == count


def test_groups_that_do_not_differ_are_pooled_and_silent_ones_say_nothing():
    now = GroupPrior(0.0, 2.0, 4.0, 0)
    variance = np.full(50, 1 / (1 / 4 + 10))
    same = group_prior(variance * 10 * 1.0 * np.ones(50), variance, now, 0.0, 2.0)
    assert same.deviation < 0.1
    assert same.mean == pytest.approx(1.0, abs=0.05)
    assert group_prior(np.zeros(3), np.full(3, 4.0), now, 0.0, 2.0).informed == 0


@pytest.fixture(scope="module")
def simulated():
    """Shops of 2 to 40 events whose log-odds are normal; the grounding and the true weights."""
    draw = np.random.default_rng(1)
    truth = MEAN + DEVIATION * draw.normal(size=SHOPS)
    sizes = draw.integers(2, 41, SHOPS)
    shop = np.repeat(np.arange(SHOPS), sizes)
    bad = draw.random(len(shop)) < 1 / (1 + np.exp(-truth[shop]))
    program = kr.loads(RULES)
    events = [f"e{i}" for i in range(len(shop))]
    data = kr.Dataset.from_frames(
        program,
        facts={"At": {"e": events, "shop": [f"s{i:03}" for i in shop]}},
        labels={"Bad": {"e": events, "bad": bad}},
    )
    grounding = kr.ground(program, data)
    names = [f'each["s{i:03}"]' for i in range(SHOPS)]
    return grounding, truth, [grounding.parameters.index(name) for name in names]


def test_shrunk_weights_are_nearer_the_truth_and_intervals_hold_it(simulated):
    grounding, truth, places = simulated
    problem = Problem(grounding.graph, grounding.parameters, grounding.labels)
    calls = []

    def learner(problem):
        calls.append(problem)
        return learn(problem, "likelihood")

    fit = with_shrinkage(problem, grounding.program, learner)
    assert len(calls) <= group_shrinkage.ROUNDS + 1
    _, mean, deviation = common_means(fit, grounding.program)["each"]
    assert mean == pytest.approx(MEAN, abs=0.25)
    assert deviation == pytest.approx(DEVIATION, rel=0.25)

    def error(theta):
        return float(np.mean((theta[places] - truth) ** 2))

    table = grounding.parameters
    flat = replace(table, prior_sd=np.where(table.learned, 20.0, table.prior_sd))
    unshrunk = learn(replace(problem, parameters=flat), "likelihood")
    pooled = np.full(len(table), np.log(grounding.labels.mean() / (1 - grounding.labels.mean())))
    assert error(fit.theta) < 0.8 * error(unshrunk.theta)
    assert error(fit.theta) < 0.8 * error(pooled)
    weights = RuleWeights.of(fit)
    own = [weights[table.names[place]].interval for place in places]
    held = [low <= value <= high for (low, high), value in zip(own, truth, strict=True)]
    assert 0.9 <= np.mean(held) <= 0.99
    shown = str(weights).splitlines()
    assert len(shown) < 20
    assert "mean of 150" in str(weights)
    assert any("about a common mean" in note for note in fit.notes)


def test_enumerated_domains_keep_the_rules_prior(simulated):
    grounding, *_ = simulated
    text = RULES.replace("domain E, Shop", 'domain E\ndomain Shop = { "s000", "s001" }')
    assert group_shrinkage.shrunk_rules(kr.loads(text)) == {}
    problem = Problem(grounding.graph, grounding.parameters, grounding.labels)
    asked = []
    with_shrinkage(problem, kr.loads(text), lambda p: asked.append(p) or 1)
    assert asked == [problem]


def test_too_many_weights_are_refused(simulated, monkeypatch):
    grounding, *_ = simulated
    problem = Problem(grounding.graph, grounding.parameters, grounding.labels)
    monkeypatch.setattr(group_shrinkage, "MOST_WEIGHTS", SHOPS - 1)
    with pytest.raises(LearningError, match="one a Shop") as caught:
        with_shrinkage(problem, grounding.program, partial(learn, method="likelihood"))
    assert caught.value.code == "KR839"


def test_new_things_have_the_common_mean_also_after_loading(tmp_path):
    program = kr.loads(RULES)
    draw = np.random.default_rng(2)

    def data(shops, events, labelled):
        names = [f"e{i}" for i in range(events)]
        at = {"e": names, "shop": [f"s{i % shops}" for i in range(events)]}
        share = np.array([0.2 + 0.6 * (i % shops % 2) for i in range(events)])
        labels = {"Bad": {"e": names, "bad": draw.random(events) < share}}
        return kr.Dataset.from_frames(program, facts={"At": at}, labels=labels if labelled else {})

    reasoner = kr.Reasoner(program).fit(data(6, 120, True))
    reasoner.save(tmp_path / "run")
    today = data(8, 16, False)
    found = []
    for one in (reasoner, kr.load_run(tmp_path / "run").reasoner):
        beliefs = one.infer(today)
        theta = theta_for(beliefs.grounding, one.fit_)
        _, mean, _ = common_means(one.fit_, program)["each"]
        own = dict(zip(beliefs.grounding.parameters.names, theta.tolist(), strict=True))
        assert own['each["s6"]'] == own['each["s7"]'] == pytest.approx(mean)
        assert own['each["s0"]'] < mean < own['each["s1"]']
        (told,) = (note for note in beliefs.notes if "new to rule" in note)
        assert told.startswith("2 of 8 Shop are new to rule `each`")
        found.append(beliefs.log_odds)
    assert np.array_equal(*found)
