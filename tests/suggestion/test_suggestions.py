"""Planted rules are found at the top of many candidates; a world without any suggests none."""

import json
import re
from functools import cache

import numpy as np
import pytest
from scipy.special import expit

import knowreason as kr
from knowreason.suggestion.body_search import rounded, split_points
from knowreason.suggestion.candidate_bodies import Templates

PROGRAM = """
domain Person, Firm
domain Region = { "north", "south", "west" }
observed Knows(Person, Person)
observed Works(Person, Firm)
observed Lives(Person, Region)
observed Member(Person)
attribute age(Person): int
attribute height(Person): float
attribute size(Firm): float
query Risky(Person)
"""


def world(weights: dict[str, float], people: int = 400, seed: int = 0) -> kr.Dataset:
    """Labels drawn from a logistic model of an age, of friends in the north, of small firms."""
    rng = np.random.default_rng(seed)
    names = np.array([f"p{i}" for i in range(people)])
    firms = np.array([f"f{i}" for i in range(people // 8)])
    region = rng.choice(["north", "south", "west"], people)
    age, size = rng.integers(18, 90, people), rng.uniform(1, 100, len(firms))
    one, other = rng.integers(0, people, (2, 2 * people))
    one, other = one[one != other], other[one != other]
    firm = rng.integers(0, len(firms), people)
    northern = np.bincount(one, region[other] == "north", minlength=people) > 0
    logit = -2.0 + weights.get("age", 0) * (age > 62) + weights.get("north", 0) * northern
    logit += weights.get("small", 0) * (size[firm] < 20)
    labels = rng.random(people) < expit(logit)
    facts = {
        "Knows": {"a": names[one], "b": names[other]},
        "Works": {"a": names, "b": firms[firm]},
        "Lives": {"a": names, "b": region},
        "Member": {"a": names[rng.random(people) < 0.5]},
        "age": {"a": names, "v": age},
        "height": {"a": names, "v": rng.normal(size=people)},
        "size": {"a": firms, "v": size},
    }
    program = kr.loads(PROGRAM)
    truth = {"Risky": {"a": names, "label": labels}}
    return kr.Dataset.from_frames(program, facts=facts, labels=truth)


@cache
def planted() -> kr.suggestion.Suggestions:
    data = world({"age": 3.0, "north": 2.0, "small": 2.5}, people=500)
    return kr.suggest(data.program, data, count=4, max_length=2)


def tried(found: kr.suggestion.Suggestions) -> int:
    return int(found.notes[0].split()[0].replace(",", ""))


def test_planted_rules_are_at_the_top():
    found = planted()
    assert tried(found) >= 50
    top = " ; ".join(one.rule for one in found.rules[:3])
    age = re.search(r"age\(p\) (?:>|<=) (\d+)", top)
    assert age
    assert 58 <= int(age.group(1)) <= 66
    assert re.search(r'Knows\(p, (\w)\) & p != \1 & Lives\(\1, "north"\)', top)
    firm = re.search(r"Works\(p, (\w)\) & size\(\1\) <= (\d+)", top)
    assert firm
    assert 15 <= int(firm.group(2)) <= 25
    assert all(one.gain > 2 * one.error for one in found.rules)
    gains = [one.gain for one in found.rules]
    assert gains == sorted(gains, reverse=True)


def test_support_confidence_and_lift_are_those_of_the_tables():
    data = world({"age": 3.0})
    (one, *_) = kr.suggest(data.program, data, count=1, max_length=1).rules
    side, cut, denied = re.search(r"age\(p\) (>|<=) (\d+) => (!?)Risky\(p\)", one.rule).groups()
    age = data.attributes["age"]["value"].to_numpy()[np.argsort(data.attributes["age"]["a0"])]
    labels = data.labels["Risky"]
    truth = labels["value"].to_numpy()[np.argsort(labels["a0"])]
    truth = truth == 0 if denied else truth == 1
    held = age > int(cut) if side == ">" else age <= int(cut)
    assert one.support == held.sum()
    assert one.confidence == pytest.approx(truth[held].mean())
    assert one.lift == pytest.approx(truth[held].mean() / truth.mean())


@pytest.mark.parametrize("seed", [0, 1])
def test_a_world_without_structure_suggests_nothing(seed):
    data = world({}, seed=seed)
    found = kr.suggest(data.program, data, max_length=2)
    assert tried(found) >= 50
    assert found.rules == ()
    assert "No rule" in found.text


def test_what_the_program_knows_already_is_not_suggested():
    data = world({"age": 3.0})
    program = kr.loads(PROGRAM + "rule old [?] : age(p) > 62 => Risky(p)")
    found = kr.suggest(program, kr.data.Dataset(**{**vars(data), "program": program}))
    assert not any("age" in one.rule for one in found.rules)


def test_the_text_is_a_rule_file_and_the_record_is_json():
    found = planted()
    program = kr.loads(PROGRAM + found.text)
    assert [rule.name for rule in program.rules] == [one.name for one in found.rules]
    assert json.loads(json.dumps(found.record))["predicate"] == "Risky"
    assert found.to_pandas()["gain"].iloc[0] == found.rules[0].gain


def test_guilt_by_association_reads_labels_of_other_folds():
    rng = np.random.default_rng(0)
    ring = np.repeat(np.arange(120), 4)
    names = np.array([f"p{i}" for i in range(len(ring))])
    labels = (rng.random(120) < 0.3)[ring] ^ (rng.random(len(ring)) < 0.05)
    program = kr.loads("domain P, Ring\nobserved In(P, Ring)\nobserved Tall(P)\nquery Bad(P)")
    facts = {
        "In": {"a": names, "b": np.array([f"r{i}" for i in ring])},
        "Tall": {"a": names[rng.random(len(ring)) < 0.5]},
    }
    labelled = {"Bad": {"a": names, "label": labels}}
    data = kr.Dataset.from_frames(program, facts=facts, labels=labelled)
    (one, *_) = kr.suggest(program, data, count=1, max_length=2).rules
    assert re.search(r"In\(p, r\) & In\((\w), r\) & Bad\(\1\)|Bad\((\w)\)", one.rule)
    assert "=> Bad(p)" in one.rule


def test_paths_close_between_two_arguments():
    program = kr.loads("domain S, P, T\nobserved By(T, S)\nobserved Of(T, P)\nquery A(S, P)")
    data = kr.Dataset.from_frames(program)
    texts = [body.text for body in Templates(program, data, "A", 2).bodies()]
    assert "By(t, s) & Of(t, p)" in texts


def test_figures_are_round():
    values = np.repeat(np.array([120.0, 437.2, 512.9, 800.0], np.float32), 20)
    assert split_points(values, (values > 500).astype(float), "float") == [500.0]
    assert rounded(2.5, np.arange(9.0), "int") == 2


def test_labels_of_one_kind_are_refused():
    data = world({})
    positive = data.labels["Risky"]["value"].to_numpy() == 1
    with pytest.raises(kr.KnowreasonError) as caught:
        kr.suggest(data.program, data.labels_only("Risky", positive))
    assert caught.value.code == "KR958"
    with pytest.raises(kr.KnowreasonError) as caught:
        kr.suggest(data.program, data, "Risk")
    assert caught.value.code == "KR912"
