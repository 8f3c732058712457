"""The rules of the marketplace: what each family does, and one run over generated data."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

import knowreason as kr
from knowreason.data import Dataset
from knowreason.data.worlds import marketplace
from knowreason.data.worlds.marketplace_data import bind, snapshot
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import ground
from knowreason.inference import infer
from knowreason.lang import check, load
from knowreason.resources import rulesets_path

PATH = rulesets_path() / "collusion.kr"
KINDS = ("Takeover", "SignInTrouble", "OneDay", "Overridden")
FACTS = {  # of one transaction: an old account, nothing remarkable
    "moment": 100,
    "day": 0,
    "price": 10.0,
    "list_price": 10.0,
    "age": 400,
    "failed": 0,
    "declines": 0,
    "override": False,
    "same_network": False,
    "new_device": False,
    "far": False,
}


@pytest.fixture(scope="module")
def program():
    return load(PATH)


def believed(program, ratios=None, rows=({},), device="d"):
    """Probabilities by predicate of each transaction, at the prior weights."""
    ids = [f"x{i}" for i in range(len(rows))]
    facts = {name: {"t": ids, "v": [(FACTS | row)[name] for row in rows]} for name in FACTS}
    buyers = [f"b{i}" for i in range(len(rows))]
    shared = {"buyer": buyers, "seller": ["s"] * len(rows), "device": [device] * len(rows)}
    facts |= {name: {"t": ids, "v": column} for name, column in shared.items()}
    facts["Buys"] = {"t": ids, **shared}
    data = Dataset.from_frames(program, facts=facts)
    grounding = ground(program, data)
    grounding = grounding.with_models(
        ModelOutput(name, name, np.array(values, np.float32), 0.01)
        for name, values in (ratios or {}).items()
    )
    biases = {"Collusion": -5.0, "Suspected": -5.0, **dict.fromkeys(KINDS, -6.0)}
    theta = grounding.parameters.start.copy()
    for name, value in biases.items():
        theta[grounding.parameters.index(f"bias {name}")] = value
    found = infer(grounding.graph.with_theta(torch.from_numpy(theta))).log_odds.sigmoid().numpy()
    return {n: found[grounding.span(n).start : grounding.span(n).stop] for n in biases}


def test_eight_models_and_every_rule_in_one_family(program):
    assert len(program.models) == 8
    assert check(PATH).ok
    assert not check(PATH).diagnostics
    study = Path(__file__).parents[2] / "benchmarks" / "marketplace_study.py"
    named = {
        node.value
        for node in ast.walk(ast.parse(study.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert {rule.name for rule in program.rules} <= named


def test_a_kind_speaks_for_collusion(program):
    alone = believed(program)["Collusion"][0]
    for kind in KINDS:
        assert believed(program, {kind: [9.0]})["Collusion"][0] > 3 * alone


def test_kinds_exclude_one_another(program):
    one = believed(program, {"Takeover": [8.0]})
    both = believed(program, {"Takeover": [8.0], "SignInTrouble": [8.0]})
    assert both["Takeover"][0] < one["Takeover"][0]


def test_the_second_model_counts(program):
    assert (
        believed(program, {"Suspected": [6.0]})["Collusion"][0]
        > believed(program)["Collusion"][0]
        > believed(program, {"Suspected": [-6.0]})["Collusion"][0]
    )


def test_a_young_account_is_hardly_taken_over(program):
    old = believed(program, {"Takeover": [6.0]})
    young = believed(program, {"Takeover": [6.0]}, [{"age": 3}])
    assert young["Takeover"][0] < old["Takeover"][0]
    waved = believed(program, {"Overridden": [6.0]}, [{"declines": 1, "override": True}])
    plain = believed(program, {"Overridden": [6.0]})
    assert waved["Overridden"][0] > plain["Overridden"][0]


def test_tools_of_a_ring_carry_suspicion_both_ways(program):
    rows = [{"moment": 100}, {"moment": 500}]
    apart = believed(program, {"Collusion": [0.0, 0.0]}, rows)["Collusion"]
    first = believed(program, {"Collusion": [8.0, 0.0]}, rows)["Collusion"]
    later = believed(program, {"Collusion": [0.0, 8.0]}, rows)["Collusion"]
    assert first[1] > apart[1]
    assert later[0] > apart[0]
    weeks = [{"moment": 100}, {"moment": 100 + 8 * 86_400}]
    quiet = believed(program, {"Collusion": [0.0, 0.0]}, weeks)["Collusion"]
    assert believed(program, {"Collusion": [8.0, 0.0]}, weeks)["Collusion"][1] == quiet[1]


def test_learned_on_one_month_and_asked_about_the_next(program):
    world = marketplace(3, transactions=2_400, days=60, prevalence=0.03)
    past, future = (bind(program, snapshot(world, *days)) for days in ((0, 30), (30, 60)))
    fast = {"max_iter": 30}
    models = dict.fromkeys(("secondary", "takeover", "sign_in", "one_day", "overridden"), fast)
    models["main"] = {"epochs": 3, "hidden": 4}
    reasoner = kr.Reasoner(
        program,
        folds="random",
        models=models,
        settings=kr.Settings(fold_count=3),
        device="cpu",
    ).fit(past)
    assert reasoner.weights_["is_takeover"].value > 2
    found = reasoner.score(future, predicate="Collusion")
    assert found["roc_auc"].value > 0.75
    assert found["average_precision"].value > 0.15
