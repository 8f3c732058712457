"""Warnings about rules that tie too much or push down, and where their weights start."""

import numpy as np
import polars as pl
import pytest
import torch

import knowreason as kr
from knowreason.factors.components.coupling import Coupling
from knowreason.factors.condition import condition
from knowreason.reasoner.fit_steps import learning_problem
from knowreason.reasoner.rule_coupling import (
    latent_warnings,
    pushing_warnings,
    starting_below,
    ties,
    with_rule_warnings,
)

TIED = """
domain P
observed Knows(P, P)
query Bad(P)
define number(x) := count {{ y : Knows(x, y) }}
rule seldom [-1] : Bad(x)
rule tied [{weight}] : Knows(x, y) {rule}
"""
SIDES = ("& (Bad(x) <~> Bad(y))", "=> (Bad(x) <=> Bad(y))", "& Bad(x) => Bad(y)")


def net(n=40, degree=12, seed=0):
    random = np.random.default_rng(seed)
    left, right = np.nonzero(np.triu(random.random((n, n)) < degree / n, 1))
    return pl.DataFrame({"a": left, "b": right})


def tree(n=40):
    return pl.DataFrame({"a": (np.arange(1, n) - 1) // 3, "b": np.arange(1, n)})


def grounded(program, pairs, labels=None):
    data = kr.Dataset.from_frames(program, facts={"Knows": pairs}, labels=labels or {})
    return kr.ground(program, data)


def codes(warnings):
    return [warning.code for warning in warnings]


@pytest.mark.parametrize("rule", SIDES)
def test_a_dense_net_is_warned_of_and_a_tree_is_not(rule):
    program = kr.loads(TIED.format(weight="2", rule=rule))
    (warning,) = (
        w for w in with_rule_warnings(grounded(program, net())).warnings if w.code == "KR832"
    )
    assert "`tied` ties 40 unknowns" in warning.message
    assert "0.00 without it" in warning.message
    assert "KR832" not in codes(with_rule_warnings(grounded(program, tree())).warnings)
    divided = kr.loads(TIED.format(weight="0.5 * 1 / number(x)", rule=rule))
    assert "KR832" not in codes(with_rule_warnings(grounded(divided, net())).warnings)


def test_the_rule_that_carries_it_is_named():
    text = (
        TIED.format(weight="2", rule=SIDES[0]) + "rule weak [0.1] : Knows(x, y) & Bad(x) => Bad(y)"
    )
    grounding = grounded(kr.loads(text), net())
    (tie,) = ties(grounding, grounding.parameters.start)
    assert tie.rule == 1
    assert tie.without < 0.95 < tie.radius
    text = TIED.format(weight="0.22", rule=SIDES[0])
    text += "rule other [0.22] : Knows(x, y) & (Bad(y) <~> Bad(x))"
    grounding = grounded(kr.loads(text), net(degree=14))
    both = ties(grounding, grounding.parameters.start)  # neither would do it alone
    assert [tie.rule for tie in both] == [1, 2]
    assert all(tie.without < 0.95 for tie in both)


@pytest.mark.parametrize("rule", SIDES)
def test_learned_weights_start_below_the_threshold(rule):
    program = kr.loads(TIED.format(weight="? 3", rule=rule))
    labels = {"Bad": pl.DataFrame({"p": [0, 1], "bad": [True, False]})}
    grounding = grounded(program, net(), labels)
    before = grounding.parameters
    table = learning_problem(grounding, (), kr.Settings()).parameters
    radius = Coupling.of(condition(grounding.at(torch.from_numpy(table.start)))).radius()
    assert 0.7 < radius <= 0.96
    index = before.names.index("tied")
    assert 0 < table.start[index] < before.start[index]
    assert np.array_equal(np.delete(table.start, index), np.delete(before.start, index))
    assert np.array_equal(table.prior_mean, before.prior_mean)
    given = kr.loads(TIED.format(weight="3", rule=rule))
    grounding = grounded(given, net(), labels)
    same = starting_below(grounding, grounding.parameters)
    assert np.array_equal(same.start, grounding.parameters.start)
    loose = grounded(program, tree(), labels)
    assert np.array_equal(starting_below(loose, loose.parameters).start, loose.parameters.start)


HUB = """
domain Day, Payment
observed On(Payment, Day)
latent Broken(Day)
query Fraud(Payment)
rule rare [{rare}] : Broken(d)
rule few [-3] : Fraud(p)
rule hub [{weight}] : {rule}
"""


def hubs(weight="2", rule="On(p, d) & Broken(d) => Fraud(p)", rare="-3", each=30, labels=None):
    program = kr.loads(HUB.format(weight=weight, rule=rule, rare=rare))
    payment = np.arange(5 * each)
    facts = {"On": pl.DataFrame({"p": payment, "d": payment // each})}
    return program, kr.Dataset.from_frames(program, facts=facts, labels=labels or {})


@pytest.mark.parametrize(
    "rule", ["On(p, d) & Broken(d) => Fraud(p)", "On(p, d) => (Broken(d) <=> Fraud(p))"]
)
def test_a_rule_that_pushes_its_hub(rule):
    grounding = kr.ground(*hubs(rule=rule))
    (warning,) = pushing_warnings(grounding, grounding.parameters.start)
    assert warning.code == "KR833"
    assert "30 groundings of `hub`" in warning.message
    assert "60.0 log-odds" in warning.message


@pytest.mark.parametrize(
    "made",
    [
        hubs(rule="On(p, d) & Broken(d) ~> Fraud(p)"),
        hubs(rule="On(p, d) & (Broken(d) <~> Fraud(p))"),
        hubs(rule="On(p, d) => (Broken(d) <~> Fraud(p))"),
        hubs(weight="0.05"),
        hubs(each=8),
        hubs(rule="On(p, d) & Fraud(p) => Broken(d)"),  # bodies of one grounding
    ],
    ids=["directed", "neutral", "neutral too", "weak", "few", "turned"],
)
def test_others_push_nothing(made):
    grounding = kr.ground(*made)
    assert pushing_warnings(grounding, grounding.parameters.start) == ()


def test_unobserved_heads_of_directed_rules_tie_nothing():
    program = kr.loads("""
domain Day, Payment
observed On(Payment, Day)
latent Broken(Day)
query Fraud(Payment)
rule hub [3] : On(p, d) & Broken(d) ~> Fraud(p)
""")
    random = np.random.default_rng(0)
    payment = np.repeat(np.arange(60), 2)
    on = pl.DataFrame({"p": payment, "d": random.integers(0, 8, len(payment))}).unique()
    frauds = pl.DataFrame({"p": np.arange(60), "f": np.arange(60) % 2 == 0})
    for labels, tied in (("open", False), ("evidence", True)):
        data = kr.Dataset.from_frames(program, facts={"On": on}, labels={"Fraud": frauds})
        grounding = kr.ground(program, data, labels=labels)
        assert bool(ties(grounding, grounding.parameters.start)) == tied


def test_a_latent_base_rate_above_one_half():
    grounding = kr.ground(*hubs(rare="? -3"))
    theta = grounding.parameters.start.copy()
    assert latent_warnings(grounding, theta) == ()
    theta[grounding.parameters.names.index("rare")] = 1.0
    (warning,) = latent_warnings(grounding, theta)
    assert warning.code == "KR834"
    assert "73%" in warning.message
    given = kr.ground(*hubs(rare="1"))
    assert latent_warnings(given, given.parameters.start) == ()


def test_a_reasoner_and_its_audit_say_so():
    program = kr.loads(TIED.format(weight="1.5", rule=SIDES[0]))
    labels = {"Bad": pl.DataFrame({"p": [0, 1], "bad": [True, False]})}
    data = kr.Dataset.from_frames(program, facts={"Knows": net()}, labels=labels)
    reasoner = kr.Reasoner(program).fit(data)
    assert "KR832" in codes(reasoner.grounding_.warnings)
    assert "KR832" in codes(reasoner.audit(data).findings)
