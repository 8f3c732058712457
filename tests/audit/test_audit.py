"""An audit finds what was planted: wrong marginals, idle rules, weights nobody knows."""

from dataclasses import replace
from functools import partial
from math import nan

import numpy as np
import pytest
import torch
from scipy.special import expit

import knowreason as kr
from knowreason.audit import Audit, audit_beliefs, refused
from knowreason.audit import accuracy as accuracy_module
from knowreason.audit.accuracy import BINS, accuracy, histogram
from knowreason.audit.audit_report import audit_lines, audit_record
from knowreason.audit.rule_effects import (
    RuleEffect,
    oppositions,
    rule_effects,
    sampled_part,
    without_rule,
)
from knowreason.beliefs.beliefs import Beliefs
from knowreason.errors import GroundingError, InferenceError
from knowreason.factors.components.connected import components
from knowreason.factors.condition import condition
from knowreason.inference import infer
from knowreason.json_text import json_text
from knowreason.lang import parse_facts
from knowreason.reasoner.rule_weights import RuleWeight
from knowreason.testing.oracle import enumerate_worlds
from tests.strategies import random_graph

RULES = """
domain P
observed Knows(P, P)
observed Never(P, P)
observed Old(P)
observed Odd(P)
query Smokes(P)
rule seldom [-1] : Smokes(x)
rule peers [1.5] : Smokes(x) & Knows(x, y) => Smokes(y)
rule unmatched [2] : Never(x, y) => Smokes(y)
rule idle [0.001] : Knows(x, y) => Smokes(x)
rule age [2] : Old(x) => Smokes(x)
rule health [1.5] : Old(x) => !Smokes(x)
rule settled [1] : Odd(x) => Smokes(x)
rule crisp [1] : Odd(x) => Old(x)
"""
FACTS = 'Knows("a","b") Knows("b","c") Knows("d","e") Old("b") Old("e") Odd("a") Smokes("a")'


def beliefs_of(rules=RULES, facts=FACTS, engine="exact"):
    program = kr.loads(rules)
    grounding = kr.ground(program, kr.Dataset.from_facts(program, parse_facts(program, facts)))
    return Beliefs(infer(grounding.graph, engine), grounding)


def codes(found: Audit) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for finding in found.findings:
        said.setdefault(finding.code, []).append(finding.message)
    return said


def test_rules_that_say_nothing_are_found_and_no_others():
    beliefs = beliefs_of()
    found = audit_beliefs(beliefs, (), partial(infer, engine="exact"))
    said = codes(found)
    assert [m.split("`")[1] for m in said["KR762"]] == ["unmatched"]
    assert sorted(m.split("`")[1] for m in said["KR763"]) == ["crisp", "settled"]
    assert [m.split("`")[1] for m in said["KR764"]] == ["idle"]
    assert ("age", "health") in [tuple(m.split("`")[1:4:2]) for m in said["KR765"]]
    assert not any("seldom" in m for m in said["KR765"])  # a base rate
    assert set(said) == {"KR762", "KR763", "KR764", "KR765"}
    assert found.failed
    assert all(f.help for f in found.findings)


def test_effects_are_those_of_enumeration():
    beliefs = beliefs_of()
    graph = beliefs.grounding.graph
    found = audit_beliefs(beliefs, (), partial(infer, engine="exact"))
    asked = beliefs.asked("Smokes")
    whole = expit(enumerate_worlds(graph).log_odds.numpy()[asked])
    change = {}
    for index, row in enumerate(found.rules):
        then = enumerate_worlds(without_rule(graph, index)).log_odds.numpy()[asked]
        change[row.rule] = whole - expit(then)
        if row.open:
            assert row.effect == pytest.approx(np.abs(change[row.rule]).max(), abs=1e-9)
        else:
            assert np.isnan(row.effect)
    for pair in found.pairs:
        one, other = change[pair.raises], change[pair.lowers]
        moved = (np.abs(one) > 0.01) & (np.abs(other) > 0.01)
        against = moved & (one * other < 0)
        assert (pair.atoms, pair.together) == (against.sum(), moved.sum())
        assert pair.up == pytest.approx(np.abs(one[against]).mean())
        assert pair.down == pytest.approx(np.abs(other[against]).mean())
        assert (one[against] > 0).mean() >= 0.5
    assert (found.components, found.atoms) == (2, 4)


def test_all_is_well():
    rules = "domain P\nobserved Old(P)\nquery Smokes(P)\nrule seldom [-1] : Smokes(x)\n"
    beliefs = beliefs_of(rules + "rule age [2] : Old(x) => Smokes(x)\n", 'Old("a")')
    weights = (RuleWeight("age", "rule", 2.0, 0.5, 0.0, 2.0, "learned"),)
    found = audit_beliefs(beliefs, weights, infer)
    assert (found.findings, found.failed) == ((), False)
    assert str(found).endswith("nothing found")
    assert "all 1 components are exact (1 atoms)" in audit_lines(found)


@pytest.mark.parametrize(
    ("weight", "code"),
    [
        (RuleWeight("w", "rule", 0.0, 0.0, 1.0, 2.0, "at its bound: not supported"), "KR766"),
        (RuleWeight("w", "rule", 2.0, 1.5, 1.0, 2.0, "learned"), "KR767"),
        (RuleWeight("w", "rule", 2.0, 1.0, 1.0, 2.0, "learned"), ""),
        (RuleWeight("w", "rule", 2.0, nan, 1.0, 2.0, "trained: no errors"), ""),
        (RuleWeight("w", "rule", 2.0, 1.0, 1.0, 2.0, "learned", -4.0, 4.0), "KR767"),
        (RuleWeight("w", "bias", 2.0, 1.5, 1.0, 2.0, "learned"), ""),
    ],
)
def test_weights_at_bounds_or_with_wide_intervals(weight, code):
    found = audit_beliefs(beliefs_of(), (weight,), infer)
    assert [f.code for f in found.findings if f.code in ("KR766", "KR767")] == [code] * bool(code)


def frustrated(engine="bp"):
    graph = random_graph(3, 12, factors=40, scale=2.5, parameters=6)
    return graph, infer(graph, engine, **({"fallback": False} if engine == "bp" else {}))


def test_errors_of_an_engine_are_those_of_enumeration():
    graph, posterior = frustrated()
    truth = expit(enumerate_worlds(graph).log_odds.numpy())
    error = np.abs(truth - posterior.probabilities.numpy())
    found = accuracy(graph, posterior, str, most=4, seed=0)
    (check,) = found.checks
    assert (check.against, check.quality, check.possible) == ("exact", "unconfirmed", True)
    assert check.greatest == pytest.approx(error.max(), abs=1e-9)
    assert check.mean == pytest.approx(error.mean(), abs=1e-9)
    assert check.around == str(error.argmax())
    assert found.histogram("exact") == histogram(error)
    assert sum(found.histogram("exact")) == 12
    assert any("R-hat" in line for line in check.chains)


def test_where_sums_are_too_large_sampling_is_the_rival(monkeypatch):
    monkeypatch.setattr(accuracy_module, "EXACT", {"width": 1, "states": 2})
    graph, posterior = frustrated()
    found = accuracy(graph, posterior, str, most=4, seed=0)
    assert found.checks[0].against == "sampling"
    assert found == accuracy(graph, posterior, str, most=4, seed=0)


def test_confirmed_marginals_that_are_wrong_are_an_error():
    beliefs = beliefs_of(engine="bp")
    wrong = beliefs.posterior.log_odds + 1.0
    reports = (replace(beliefs.posterior.reports[0], quality="confirmed", error=0.001),)
    quality = (beliefs.posterior.qualities > 0).to(torch.int8)
    posterior = replace(beliefs.posterior, log_odds=wrong, quality=quality, reports=reports)
    found = audit_beliefs(replace(beliefs, posterior=posterior), (), infer)
    (finding, *_) = [f for f in found.findings if f.code == "KR760"]
    assert finding.severity == "error"
    assert found.findings[0].severity == "error"
    assert "confirmed marginals are 0.2" in finding.message
    assert any("#" in line for line in audit_lines(found))
    assert not any("hard" in line for line in audit_lines(found))
    said = audit_lines(replace(found, hard=2))
    assert "hard rules (2) can hold together in the exact and the sampled components" in said
    assert sum(found.accuracy.histogram("exact")) == 4


def test_rivals_are_sampled_by_seed_and_every_rule_is_in_the_sample():
    graph = random_graph(5, 60, factors=20, tables=3, clause_lists=1)
    known = condition(graph)
    label, count = components(known)
    labels = {part.rule for part in known.factors}
    part, atoms = sampled_part(graph, max(labels) + 1, 10, seed=1)
    assert {p.rule for p in part.factors} == labels
    assert (np.bincount(label[atoms], minlength=count) % np.bincount(label[label >= 0]) == 0).all()
    again = sampled_part(graph, max(labels) + 1, 10, seed=1)[1]
    assert (again == atoms).all()
    assert sampled_part(graph, 0, 60, seed=1)[0].atom_count == (label >= 0).sum()
    small = sampled_part(graph, 0, 3, seed=1)[0]
    assert small.atom_count <= 3


def test_rules_pull_against_each_other_where_signs_differ():
    one = RuleEffect(0, 4, np.array([0.2, 0.1, -0.2, 0.005]))
    other = RuleEffect(4, 4, np.array([-0.1, -0.1, -0.2, -0.5]))
    (pair,) = oppositions((other, one))
    assert (pair.raises, pair.lowers, pair.atoms, pair.together) == (0, 4, 2, 3)
    assert (pair.up, pair.down) == (pytest.approx(0.15), pytest.approx(0.1))
    assert oppositions((one, one)) == ()


def test_rules_are_left_out_with_progress():
    graph = beliefs_of().grounding.graph
    told = []
    asked = np.ones(graph.atom_count, bool)
    without = {rule: partial(without_rule, graph, rule) for rule in (0, 1)}
    rule_effects(graph, asked, without, infer, lambda *seen: told.append(seen))
    assert told == [(0, 2, "leaving rules out"), (1, 2, "leaving rules out")]


HARD = """
domain P
observed Old(P)
query Smokes(P)
query Coughs(P)
rule must [hard] : Old(x) => Smokes(x) | Coughs(x)
rule free [hard] : Old(x) => !Smokes(x)
rule well [hard] : Old(x) => !Coughs(x)
rule other [hard] : Smokes(x) => Coughs(x)
"""


def test_rules_that_cannot_hold_together_are_named():
    with pytest.raises((GroundingError, InferenceError)) as raised:
        beliefs_of(HARD, 'Old("a")')
    found = refused(raised.value, kr.loads(HARD))
    assert found.failed
    for name in ("must", "free", "well"):
        if raised.value.code == "KR702":
            assert f"`{name}`" in found.findings[0].message
    assert "`" in found.findings[0].message
    assert found.accuracy is None
    assert "KR70" in str(found)
    with pytest.raises(GroundingError, match="KR640"):
        refused(GroundingError("too many", code="KR640"), kr.loads(HARD))


def test_a_reasoner_audits_data_that_contradict_its_rules():
    program = kr.loads(HARD)

    def data(facts):
        return kr.Dataset.from_facts(program, parse_facts(program, facts))

    labels = {"Smokes": {"p": ["b", "c"], "smokes": [True, False]}}
    past = kr.Dataset.from_frames(program, facts={"Old": {"p": ["b", "c", "d"]}}, labels=labels)
    reasoner = kr.Reasoner(kr.loads(HARD.replace("[hard] : Old", "[1] : Old"))).fit(past)
    reasoner.program = program
    found = reasoner.audit(data('Old("a")'))
    assert found.failed
    assert found.findings[0].code in ("KR702", "KR703")
    assert any(f"`{name}`" in found.findings[0].message for name in ("must", "free", "well"))
    record = audit_record(found)
    assert record["accuracy"] is None
    assert json_text(record)


def test_a_record_has_bins_and_places():
    record = audit_record(audit_beliefs(beliefs_of(engine="bp"), (), partial(infer, engine="bp")))
    assert record["errors"]["bins"] == BINS
    assert sum(record["errors"]["exact"]) == 4
    assert any(finding["place"] for finding in record["findings"])
    assert "null" in json_text(record)  # the effect of a rule that was not left out
