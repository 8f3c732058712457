"""Rules with ``<~>``: tables that leave base rates alone, against worlds weighed by hand.

`KNOWREASON_PROGRAMS=1000 pytest` weighs the worlds of a thousand random programs instead of 60.
"""

import os
from random import Random
from textwrap import dedent

import numpy as np
import polars as pl
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import expit, logsumexp

from knowreason import Reasoner
from knowreason.data import Dataset
from knowreason.errors import ProgramError
from knowreason.explanation import explain
from knowreason.factors import OPEN
from knowreason.grounding import ground
from knowreason.grounding.grounding_store import load, save
from knowreason.inference import infer
from knowreason.lang import loads, parse_facts
from knowreason.lang.layout.formatter import format_text
from knowreason.lang.python import program_builder as build
from knowreason.testing.oracle import enumerate_worlds
from tests.grounding import crisp
from tests.grounding.curved import (
    assert_gradient,
    assert_learns_the_optimum,
    assert_same_worlds,
)

PROGRAMS = int(os.environ.get("KNOWREASON_PROGRAMS", "60"))
PEOPLE = "abcdef"


def grounded(text, facts="", **options):
    program = loads(dedent(text))
    return ground(program, Dataset.from_facts(program, parse_facts(program, facts)), **options)


def table(p, q, odds):
    """``P(x, y) / (P(x) P(y))`` by a search for the joint with the margins and the odds ratio."""

    def off(s):
        cells = (s, 1 - p - q + s, p - s, q - s)
        return np.log(cells[0]) + np.log(cells[1]) - np.log(cells[2]) - np.log(cells[3]) - odds

    low, high = max(0.0, p + q - 1), min(p, q)
    gap = (high - low) * 1e-12
    s = brentq(off, low + gap, high - gap, xtol=1e-16)
    return np.array([[1 - p - q + s, q - s], [p - s, s]]) / np.outer([1 - p, p], [1 - q, q])


def random_program(seed, *, tree=False):
    """A program over some people, its facts, and what each pair is tied by."""
    draw = Random(seed)
    people = PEOPLE[: draw.randint(2, 5)]
    pairs = [(draw.choice(people[:i]), people[i]) for i in range(1, len(people))]
    if not tree:
        pairs += draw.sample([(a, b) for a in people for b in people if a < b], 1)
    pairs = list(dict.fromkeys(pairs))
    bias, weight = round(draw.uniform(-4, 2), 2), round(draw.uniform(-5, 5), 2)
    sign = draw.choice(["", "!"])
    joint = draw.choice(["Near(x, y) & (S(x) <~> {}S(y))", "Near(x, y) => (S(x) <~> {}S(y))"])
    text = f"""
    domain P = {{ {", ".join(f'"{name}"' for name in people)} }}
    observed Near(P, P)
    query S(P)
    rule rare [{bias}] : S(x)
    rule tie [{weight}] : {joint.format(sign)}
    """
    return people, pairs, bias, -weight if sign else weight, text, draw


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_worlds_are_weighed_as_by_hand(seed):
    people, pairs, bias, odds, text, draw = random_program(seed)
    known = {name: draw.choice([0, 1]) for name in people if draw.random() < 0.3}
    facts = [f'Near("{a}", "{b}")' for a, b in pairs]
    facts += [f'{"" if truth else "!"}S("{name}")' for name, truth in known.items()]
    grounding = grounded(text, " ".join(facts))
    psi = np.log(table(expit(bias), expit(bias), odds))
    scores, rows = [], []
    for world in np.ndindex(*(2,) * len(people)):
        state = dict(zip(people, world, strict=True))
        if any(state[name] != truth for name, truth in known.items()):
            continue
        rows.append(world)
        scores.append(bias * sum(world) + sum(psi[state[a], state[b]] for a, b in pairs))
    chance = np.exp(scores - logsumexp(scores)) @ np.array(rows)
    found = enumerate_worlds(grounding.graph)
    assert found.marginals.numpy() == pytest.approx(chance, abs=1e-6)
    assert expit(infer(grounding.graph, engine="exact").log_odds.numpy()) == pytest.approx(
        chance, abs=1e-5
    )


@pytest.mark.parametrize("seed", range(crisp.examples(30)))
def test_a_tree_keeps_its_base_rates(seed):
    _, pairs, bias, _, text, _ = random_program(seed, tree=True)
    grounding = grounded(text, " ".join(f'Near("{a}", "{b}")' for a, b in pairs))
    for engine in ("exact", "bp", "auto"):
        found = expit(infer(grounding.graph, engine=engine).log_odds.numpy().astype(float))
        assert found == pytest.approx(expit(bias), abs=1e-6), engine


@pytest.mark.parametrize("seed", range(crisp.examples(10)))
def test_what_is_learned_from_is_the_same(seed):
    _, pairs, _, _, text, draw = random_program(seed)
    grounding = grounded(text, " ".join(f'Near("{a}", "{b}")' for a, b in pairs))
    fixed = grounding.parameters.kinds == np.array("fixed")
    factor = np.where(fixed, 1.0, draw.uniform(0.5, 1.5))
    assert_same_worlds(grounding, grounding.graph.theta.numpy() * factor)


def test_a_tree_of_functional_atoms_keeps_its_base_rates():
    text = """
    domain P = { "a", "b", "c" }
    domain K = { "u", "v", "w" }
    observed Near(P, P)
    query F(P, K!)
    query S(P)
    rule rare [? per k] : F(x, k)
    rule tie [2] : Near(x, y) & (F(x, "u") <~> F(y, "v"))
    rule mixed [-3] : S(x) <~> F(x, "w")
    """
    grounding = grounded(text, 'Near("a", "b") Near("b", "c")')
    theta = grounding.graph.theta.clone()
    theta[:3] = torch.tensor([0.5, -1.0, 0.2])
    theta[grounding.parameters.index("bias S")] = -2.0
    found = enumerate_worlds(grounding.at(theta)).marginals.numpy()
    states = np.exp([0.5, -1.0, 0.2]) / np.exp([0.5, -1.0, 0.2]).sum()
    span = grounding.span("F")
    assert found[span.start : span.stop] == pytest.approx(np.tile(states, 3), abs=1e-6)
    assert found[grounding.atom_index("S", "b")] == pytest.approx(expit(-2), abs=1e-6)
    assert_same_worlds(grounding, theta.numpy())


def test_both_directions_of_a_pair_are_one_table():
    text = """
    domain P = { "a", "b" }
    observed Near(P, P)
    query S(P)
    rule rare [-2] : S(x)
    rule tie [1.5] : Near(x, y) & (S(x) <~> S(y))
    """
    grounding = grounded(text, 'Near("a", "b") Near("b", "a") Near("a", "a")')
    assert grounding.reports[1].open == 1
    assert grounding.reports[1].satisfied == 1  # an atom tells nothing about itself
    assert enumerate_worlds(grounding.graph).marginals.numpy() == pytest.approx(expit(-2), abs=1e-6)
    told = grounded(text, 'Near("a", "b") Near("b", "a") S("a")')
    psi = table(expit(-2.0), expit(-2.0), 3.0)
    odds = expit(-2.0) * psi[1, 1] / (expit(2.0) * psi[1, 0])
    assert enumerate_worlds(told.graph).marginals[1].item() == pytest.approx(odds / (1 + odds))


LEARNED = """
    domain P = { "a", "b", "c", "d", "e", "f" }
    observed Near(P, P)
    attribute strength(P): float
    query S(P)
    query T(P)
    rule rare [-1.5] : S(x)
    rule tie [? 0.7 * strength(y)] : Near(x, y) & (S(x) <~> !S(y))
    rule both [? 1.2] : S(x) <~> T(x)
"""


def learned_grounding():
    facts = " ".join(f'Near("{a}", "{b}")' for a, b in ("ab", "bc", "cd", "ad", "ef"))
    facts += " ".join(f' strength("{name}") = {0.5 + i}' for i, name in enumerate(PEOPLE))
    grounding = grounded(LEARNED, facts)
    labels = np.full(grounding.graph.atom_count, OPEN, np.int8)
    labels[[0, 1, 3, 6, 7, 9]] = [1, 0, 1, 1, 0, 1]
    return grounding, labels


def test_the_gradient_is_that_of_finite_differences():
    grounding, labels = learned_grounding()
    theta = grounding.graph.theta.numpy().copy()
    assert_same_worlds(grounding, theta)
    assert_gradient(grounding, labels, theta)


def test_learning_ends_at_the_optimum():
    assert_learns_the_optimum(*learned_grounding())


def test_a_stored_grounding_still_follows_its_weights(tmp_path):
    grounding, _ = learned_grounding()
    save(grounding, tmp_path / "stored")
    again = load(tmp_path / "stored", grounding.program, grounding.data)
    theta = grounding.graph.theta + 0.5 * torch.from_numpy(grounding.parameters.learned).double()
    one, other = (enumerate_worlds(g.at(theta)).marginals for g in (grounding, again))
    assert torch.equal(one, other)
    assert not torch.allclose(one, enumerate_worlds(grounding.graph).marginals)


def test_shares_and_reasons_name_the_rule():
    text = """
    domain P = { "a", "b", "c" }
    observed Near(P, P)
    query S(P)
    rule rare [-2] : S(x)
    rule tie [3] : Near(x, y) & (S(x) <~> S(y))
    """
    grounding = grounded(text, 'Near("a", "b") Near("b", "c") S("a")')
    posterior = infer(grounding.graph)
    found = explain(grounding, posterior, grounding.atom_index("S", "b"))
    psi = table(expit(-2.0), expit(-2.0), 3.0)
    told = np.log(psi[1, 1] / psi[1, 0])
    shares = {share.name: share.log_odds for share in found.shares}
    assert shares == pytest.approx({"rare": -2, "tie": told}, abs=1e-3)
    effects = {reason.text: reason.effect for reason in found.reasons}
    assert effects == pytest.approx(
        {
            'Near("a", "b") & (S("a") <~> S("b"))': told,
            'Near("b", "c") & (S("b") <~> S("c"))': 0.0,
            'S("b")': -2.0,
        },
        abs=1e-3,
    )


def test_training_learns_an_association_and_a_rate():
    people = [f"p{i}" for i in range(120)]
    draw = np.random.default_rng(3)
    text = """
    domain P
    observed Near(P, P)
    query S(P)
    rule tie [?] : Near(x, y) & (S(x) <~> S(y))
    """
    program = loads(dedent(text))
    pairs = [(people[i], people[i + 1]) for i in range(0, 120, 2)]
    psi = table(0.2, 0.2, 2.0) * np.outer([0.8, 0.2], [0.8, 0.2])
    states = draw.choice(4, size=60, p=psi.ravel())
    labels = [(a, int(s) >> 1) for (a, _), s in zip(pairs, states, strict=True)]
    labels += [(b, int(s) & 1) for (_, b), s in zip(pairs, states, strict=True)]
    data = Dataset.from_frames(
        program,
        facts={"Near": pl.DataFrame(pairs, orient="row")},
        labels={"S": pl.DataFrame(labels, orient="row")},
    )
    fitted = Reasoner(program).fit(data)
    weights = {weight.name: weight for weight in fitted.weights_}
    assert set(weights) == {"tie", "bias S"}
    counts = np.bincount(states, minlength=4)
    odds = np.log(counts[0] * counts[3] / counts[1] / counts[2])
    assert weights["tie"].value == pytest.approx(odds, abs=0.35)  # the prior pulls a little
    assert expit(weights["bias S"].value) == pytest.approx(
        np.mean([s for _, s in labels]), abs=0.03
    )
    assert fitted.infer(data).grounding.associations


@pytest.mark.parametrize(
    "rule",
    [
        "Near(x, y) & S(x) <~> S(y)",
        "S(x) <~> Near(x, y)",
        "T(x) & (S(x) <~> S(y)) & Near(x, y)",
        "!(S(x) <~> T(x))",
        "S(x) <~> V(x, _)",
        "S(x) <~> (S(y) <~> T(x))",
    ],
)
def test_where_it_cannot_stand(rule):
    declared = "domain P\nobserved Near(P, P)\nquery S(P)\nquery T(P)\nquery V(P, P)\n"
    with pytest.raises(ProgramError) as caught:
        loads(f"{declared}rule r [1] : {rule}")
    assert [finding.code for finding in caught.value.diagnostics] == ["KR414"]
    with pytest.raises(ProgramError, match="KR414"):
        loads(f"{declared}rule r [hard] : S(x) <~> T(x)")
    with pytest.raises(ProgramError, match="KR414"):
        loads(f"{declared}define D(x) := Near(x, x) <~> Near(x, x)")


def test_written_in_python_formatted_and_printed():
    S, Near = build.query("S", build.domain("P")), build.observed("Near", "P", "P")
    x, y = build.var("x y")
    made = build.rule("tie", Near(x, y) & build.neutral(S(x), ~S(y)), weight=2)
    assert str(made) == "rule tie [2] : Near(x, y) & (S(x) <~> !S(y))"
    program = build.program(build.domain("P"), S, Near, made)
    assert loads(str(program)) == program
    assert format_text("rule t[2]:N(x,y)&(S(x)<~>!S(y))\n") == (
        "rule t [2] : N(x, y) & (S(x) <~> !S(y))\n"
    )
