"""What labels leave open, on worlds made so that they do or do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

import knowreason as kr
from knowreason.learning import learn
from knowreason.reasoner.fit_steps import learning_problem
from knowreason.reasoner.identification import _pure, weight_overlaps

SEEN = """
domain Thing
attribute x(Thing): float
attribute y(Thing): float
query Bad(Thing)
define High(t) := x(t) > 0.5
define Wide(t) := y(t) > 0.5
model m for Bad = sklearn(estimator="logistic", features=["FEATURE"])
rule high [?] : High(t) => Bad(t)
"""
HUBS = """
domain Thing, Group
observed In(Thing, Group)
query Bad(Thing)
latent Hub(Group)
rule made [WEIGHT] : Hub(g) & In(t, g) ~> Bad(t)
"""
PLAIN = kr.Settings(auto_trees=False)


def names(count):
    return [f"t{i}" for i in range(count)]


def data_of(text, truth, **facts):
    label = {"Bad": {"t": names(len(truth)), "bad": truth}}
    return kr.Dataset.from_frames(kr.loads(text), facts=facts, labels=label)


def codes(reasoner):
    return [one.code for one in reasoner.fit_.findings]


def seen(feature, count=1500, seed=0):
    """Things of which `High` makes three times as many bad, and a model of a column."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, count))
    truth = rng.random(count) < expit(-1 + 2 * (x > 0.5) + y)
    table = {n: {"t": names(count), n: v} for n, v in (("x", x), ("y", y))}
    data = data_of(SEEN.replace("FEATURE", feature), truth, **table)
    return kr.Reasoner(data.program, settings=PLAIN).fit(data), data


def test_a_rule_that_a_model_already_knows():
    reasoner, data = seen("High")
    (one,) = weight_overlaps(reasoner.fit_)
    assert reasoner.fit_.parameters.names[one.parameter] == "high"
    assert abs(one.weight) < abs(one.alone) / 2
    (finding,) = [f for f in reasoner.fit_.findings if f.code == "KR836"]
    assert "`m`" in finding.message
    assert "`high`" in finding.message
    assert finding in reasoner.audit(data).findings


def test_the_newton_step_is_near_a_fit_without_the_model():
    reasoner, _ = seen("High")
    (one,) = weight_overlaps(reasoner.fit_)
    problem = learning_problem(reasoner.grounding_, reasoner.models_, PLAIN)
    table = problem.parameters
    scale = np.array([kind == "scale" for kind in table.kinds])
    without = replace(
        table,
        learned=table.learned & ~scale,
        start=np.where(scale, 0.0, table.start),
        lower=np.where(scale, 0.0, table.lower),
    )
    fit = learn(replace(problem, parameters=without), "variational_em")
    assert fit.theta[scale].tolist() == [0.0]
    assert one.alone == pytest.approx(fit.theta[one.parameter], abs=0.25)


def test_a_rule_beside_a_model_of_something_else_keeps_its_weight():
    reasoner, data = seen("Wide")
    assert weight_overlaps(reasoner.fit_) == ()
    assert "KR836" not in codes(reasoner)
    assert reasoner.weights_["high"].value == pytest.approx(2, abs=0.5)
    assert not {f.code for f in reasoner.audit(data).findings} & {"KR836", "KR837", "KR838"}


def hubs(weight, more="", count=60, size=8, seed=0):
    """Groups of which a fifth makes bad things of most of its members."""
    rng = np.random.default_rng(seed)
    hub = rng.random(count) < 0.2
    group = np.repeat(np.arange(count), size)
    truth = rng.random(count * size) < np.where(hub[group], 0.7, 0.1)
    text = HUBS.replace("WEIGHT", weight) + more
    table = {"In": {"t": names(len(group)), "g": [f"g{i}" for i in group]}}
    data = data_of(text, truth, **table)
    return kr.Reasoner(data.program, settings=PLAIN).fit(data)


def turned(reasoner):
    return [one for one in reasoner.fit_.findings if one.code == "KR837"]


def test_a_latent_predicate_that_may_mean_the_opposite():
    (nothing,) = turned(hubs("?"))
    assert nothing.severity == "warning"
    assert "`Hub`" in nothing.message
    assert "not told by anything" in nothing.message
    (prior,) = turned(hubs("? 2"))
    assert prior.severity == "hint"
    assert "rests on the prior of `made`" in prior.message


@pytest.mark.parametrize("weight", ["? 2 >= 0", "2", "? <= 0"])
def test_a_sign_that_is_stated_is_not_asked_for(weight):
    assert turned(hubs(weight)) == []


def test_a_base_rate_that_is_given_tells_the_meaning():
    """Rare hubs that make things bad are not rare hubs that spare them."""
    assert turned(hubs("? 2", "rule seldom [-2.5] : Hub(g)\n")) == []


def test_starts_that_end_apart_are_a_finding_with_what_to_do():
    found = [one for one in hubs("?").fit_.findings if one.code == "KR835"]
    assert [one.severity for one in found] == ["warning"]
    assert "`made`" in found[0].message
    assert "state the sign" in found[0].help
    assert not [one for one in hubs("? 2 >= 0").fit_.findings if one.code == "KR835"]


def test_findings_are_warnings_of_training_and_stored(tmp_path):
    reasoner = hubs("?")
    assert set(reasoner.fit_.findings) <= set(reasoner.grounding_.warnings)
    reasoner.save(tmp_path / "run")
    assert kr.load_run(tmp_path / "run").reasoner.fit_.findings == reasoner.fit_.findings


def test_groups_with_labels_of_one_kind():
    group = np.repeat(np.arange(30), 3)
    by_group, mixed = group % 2 == 0, np.arange(90) % 2 == 0
    pure, several, expected = _pure(group, by_group)
    assert (pure, several) == (30, 30)
    assert expected == pytest.approx(30 / 4)
    assert _pure(group, mixed)[0] == 0
    assert _pure(np.arange(90), by_group)[0] == 0  # no group has several
    assert _pure(group, group < 2)[0] == 0  # of two true groups nothing is known


def test_rare_labels_that_fall_apart_by_chance_are_not_groups_of_one_kind():
    wrong = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        wrong += _pure(np.repeat(np.arange(200), 3), rng.random(600) < 0.03)[0] > 0
    assert wrong == 0


def test_training_says_where_groups_hold_labels_of_one_kind():
    program = kr.loads(
        "domain Thing\nattribute source(Thing): string\nattribute x(Thing): float\nquery Bad(Thing)"
        '\nmodel m for Bad = sklearn(estimator="logistic", features=["x"])'
    )
    source = np.repeat(np.arange(40), 3)
    x = np.random.default_rng(0).standard_normal(120)

    def found(truth):
        data = kr.Dataset.from_frames(
            program,
            facts={
                "source": {"t": names(120), "s": [f"s{i}" for i in source]},
                "x": {"t": names(120), "x": x},
            },
            labels={"Bad": {"t": names(120), "bad": truth}},
        )
        settings = replace(PLAIN, clusters="source")
        return kr.Reasoner(program, settings=settings).fit(data).fit_.findings

    (one,) = found(source < 12)
    assert one.code == "KR838"
    assert "40 of 40 values of `source`" in one.message
    assert found(np.arange(120) % 4 == 0) == ()


@pytest.mark.parametrize("code", ["KR835", "KR836", "KR837", "KR838"])
def test_every_note_has_a_page_with_what_to_do(code):
    page = (Path(__file__).parents[2] / "docs/explanation/verdicts.md").read_text(encoding="utf-8")
    (section,) = [part for part in page.split("\n## ") if f"({code})" in part.split("\n")[0]]
    assert "*What it means.*" in section
    assert "*What to do.*" in section
