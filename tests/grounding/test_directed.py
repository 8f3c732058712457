"""Rules with ``~>``: chances of heads given bodies, against products of them by hand.

`KNOWREASON_PROGRAMS=1000 pytest` weighs the worlds of a thousand random programs instead of 60.
"""

import os
from random import Random
from textwrap import dedent

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp

from knowreason.audit.audit import audit_beliefs
from knowreason.audit.rule_effects import without_rule, without_rules
from knowreason.beliefs.beliefs import Beliefs
from knowreason.data import Dataset
from knowreason.errors import GroundingError, ProgramError
from knowreason.explanation import explain
from knowreason.factors import OPEN
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import ground
from knowreason.grounding.grounding_store import load, save
from knowreason.inference import infer
from knowreason.lang import loads, parse_facts
from knowreason.lang.layout.formatter import format_text
from knowreason.lang.python import program_builder as build
from knowreason.testing.oracle import enumerate_worlds
from tests.grounding.curved import (
    assert_gradient,
    assert_learns_the_optimum,
    assert_same_worlds,
)

PROGRAMS = int(os.environ.get("KNOWREASON_PROGRAMS", "60"))
HUBS, HEADS, STATES = "ab", "uvw", "kl"


def grounded(text, facts="", **options):
    program = loads(dedent(text))
    return ground(program, Dataset.from_facts(program, parse_facts(program, facts)), **options)


class Case:
    """A random program of hubs ``C``, Boolean heads ``F``, functional heads ``G``, and facts."""

    def __init__(self, seed):
        draw = self.draw = Random(seed)
        self.how = draw.choice(["", "mean", "any"])
        self.bias = {name: round(draw.uniform(-3, 2), 2) for name in "CF"}
        self.own = [round(draw.uniform(-2, 2), 2) for _ in STATES]
        self.weight = round(draw.uniform(0, 4) if self.how == "any" else draw.uniform(-4, 4), 2)
        self.second, self.third, self.state = (round(draw.uniform(-3, 3), 2) for _ in range(3))
        self.on = [(h, f) for h in HUBS for f in HEADS if draw.random() < 0.6]
        self.big = [f for f in HEADS if draw.random() < 0.5]
        self.pairs = [(h, f) for h in HUBS for f in HEADS if draw.random() < 0.3]
        self.mark = draw.choice("kl")
        self.known = {}
        for atom in [("C", h) for h in HUBS] + [("F", f) for f in HEADS]:
            if draw.random() < 0.25:
                self.known[atom] = draw.choice([0, 1])

    @property
    def text(self):
        return f"""
        domain H = {{ "a", "b" }}
        domain E = {{ "u", "v", "w" }}
        domain K = {{ "k", "l" }}
        observed On(H, E)
        observed Big(E)
        observed Near(H, E)
        latent C(H)
        query F(E)
        query G(E, K?)
        rule hubs [{self.bias["C"]}] : C(h)
        rule heads [{self.bias["F"]}] : F(e)
        rule seen [{self.third}] : Big(e) ~> F(e)
        rule through [{self.weight}] : On(h, e) & C(h) ~> {self.how} F(e)
        rule without [{self.second}] : Near(h, e) & On(g, e) & !C(h) & C(g) ~> F(e)
        rule states [{self.state}] : F(e) & Big(e) ~> G(e, "{self.mark}")
        rule push [0.7] : On(h, e) & C(h) => G(e, "l")
        """

    @property
    def facts(self):
        told = [f'On("{h}", "{f}")' for h, f in self.on] + [f'Big("{f}")' for f in self.big]
        told += [f'Near("{h}", "{f}")' for h, f in self.pairs]
        told += [f'{"" if t else "!"}{p}("{n}")' for (p, n), t in self.known.items()]
        return " ".join(told)

    def score(self, world):
        """Log score of a world: chances of hubs, of heads, of states, and the rule that pushes."""
        total = 0.0
        for h in HUBS:
            total += np.log(expit(self.bias["C"] * (1 if world["C", h] else -1)))
        for f in HEADS:
            z = self.bias["F"] + self.third * (f in self.big)
            for h, e in self.pairs:
                for g, d in self.on:
                    if e == d == f and not world["C", h] and world["C", g]:
                        z += self.second
            bodies = [world["C", h] for h, e in self.on if e == f]
            chance = expit(z + self.weight * sum(bodies))
            if self.how == "mean":
                chance = expit(z + self.weight * np.mean(bodies)) if bodies else expit(z)
            if self.how == "any":
                fails = (1 - expit(z + self.weight)) / (1 - expit(z))
                chance = 1 - (1 - expit(z)) * fails ** sum(bodies)
            total += np.log(chance if world["F", f] else 1 - chance)
            marked = f in self.big and world["F", f]
            scores = [
                own + self.state * (marked and k == self.mark)
                for own, k in zip(self.own, STATES, strict=True)
            ]
            scores = [*scores, 0.0]
            taken = next((i for i, k in enumerate(STATES) if world["G", f, k]), 2)
            total += scores[taken] - logsumexp(scores)
            total += 0.7 * sum(
                not world["C", h] or world["G", f, "l"] for h, e in self.on if e == f
            )
        return total

    def chances(self, names):
        """Marginal of every atom, in the order of ``names``."""
        worlds, scores = [], []
        free = [n for n in names if n[0] != "G"]
        for bits in np.ndindex(*(2,) * len(free)):
            some = dict(zip(free, bits, strict=True))
            if any(some[atom] != truth for atom, truth in self.known.items()):
                continue
            for states in np.ndindex(3, 3, 3):
                world = dict(some)
                for f, state in zip(HEADS, states, strict=True):
                    world |= {("G", f, k): int(i == state) for i, k in enumerate(STATES)}
                worlds.append([world[n] for n in names])
                scores.append(self.score(world))
        return np.exp(scores - logsumexp(scores)) @ np.array(worlds)


def names_of(grounding):
    count = max(span.stop for span in grounding.atoms.spans.values())
    texts = (grounding.atom_name(atom) for atom in range(count))
    return [tuple(text.replace('"', "").replace("(", ",").rstrip(")").replace(" ", "").split(",")) for text in texts]  # fmt: skip # noqa: E501


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_worlds_are_products_of_chances(seed):
    case = Case(seed)
    grounding = grounded(case.text, case.facts)
    theta = grounding.graph.theta.clone()
    for i, name in enumerate(STATES):
        theta[grounding.parameters.index(f'bias G["{name}"]')] = case.own[i]
    graph = grounding.at(theta)
    names = names_of(grounding)
    found = enumerate_worlds(graph).marginals.numpy()[: len(names)]
    assert found == pytest.approx(case.chances(names), abs=1e-6)
    exact = expit(infer(graph, engine="exact").log_odds.numpy().astype(float))[: len(names)]
    assert exact == pytest.approx(found, abs=1e-5)
    if seed < 20 and not grounding.is_linear:
        draw = np.random.default_rng(seed)
        fixed = grounding.parameters.kinds == np.array("fixed")
        moved = np.where(fixed, 0.0, draw.uniform(0, 1, len(theta)))
        assert_same_worlds(grounding, theta.numpy() + moved)


HUB = """
    domain H = { "h" }
    domain E
    observed On(E)
    latent C(H)
    query F(E)
    rule hubs [-3] : C(h)
    rule heads [-1] : F(e)
    rule through [4] : On(e) & C(h) ~> HOW F(e)
"""


@pytest.mark.parametrize("how", ["", "mean", "any"])
def test_a_hub_with_80_unobserved_heads_keeps_its_prior(how):
    facts = " ".join(f'On("e{i}")' for i in range(80))
    grounding = grounded(HUB.replace("HOW", how), facts)
    hub = grounding.atom_index("C", "h")
    for engine in ("exact", "bp", "auto"):
        found = expit(infer(grounding.graph, engine=engine).log_odds.numpy().astype(float))
        assert found[hub] == pytest.approx(expit(-3), abs=1e-6), engine
    head = expit(-3) * expit(3) + expit(3) * expit(-1)
    assert found[grounding.atom_index("F", "e7")] == pytest.approx(head, abs=1e-6)


def test_evidence_on_heads_flows_back_by_bayes_rule():
    facts = " ".join(f'On("e{i}")' for i in range(6)) + ' F("e0") F("e1") !F("e2")'
    grounding = grounded(HUB.replace("HOW", ""), facts)
    odds = -3 + 2 * np.log(expit(3) / expit(-1)) + np.log(expit(-3) / expit(1))
    hub = grounding.atom_index("C", "h")
    assert infer(grounding.graph).log_odds[hub].item() == pytest.approx(odds, abs=1e-5)


def test_a_model_on_a_head_is_a_factor_of_its_own():
    grounding = grounded(HUB.replace("HOW", ""), 'On("e0") On("e1")')
    llr = np.array([2.0, 0.0])
    output = ModelOutput("m", "F", llr, np.array(0.5))
    told = grounding.with_models([output])
    odds = -3 + np.log(1 + expit(3) * np.expm1(2.0)) - np.log(1 + expit(-1) * np.expm1(2.0))
    hub = grounding.atom_index("C", "h")
    assert infer(told.graph).log_odds[hub].item() == pytest.approx(odds, abs=1e-5)
    assert infer(told.at(told.graph.theta)).log_odds[hub].item() == pytest.approx(odds, abs=1e-5)


CHAIN = """
    domain T = { "t0", "t1", "t2", "t3" }
    attribute at(T): int clock
    query S(T)
    rule rare [-2] : S(t)
    rule stays [3] : S(t) & at(t) < at(u) & at(u) <= at(t) + 1 ~> S(u)
"""


def test_forward_in_a_clock_a_predicate_may_depend_on_itself():
    facts = " ".join(f'at("t{i}") = {i}' for i in range(4))
    grounding = grounded(CHAIN, facts)
    chance = [expit(-2)]
    for _ in range(3):
        chance.append(chance[-1] * expit(1) + (1 - chance[-1]) * expit(-2))
    for engine in ("exact", "bp"):
        found = expit(infer(grounding.graph, engine=engine).log_odds.numpy().astype(float))
        assert found == pytest.approx(chance, abs=1e-6), engine


LEARNED = """
    domain H = { "a", "b" }
    domain E = { "u", "v", "w" }
    domain K = { "k", "l", "m" }
    observed On(H, E)
    attribute size(E): float
    latent C(H)
    query F(E)
    query G(E, K!)
    rule hubs [? -1] : C(h)
    rule through [? 1.5] : On(h, e) & C(h) ~> HOW F(e)
    rule sized [? 0.4 * size(e)] : F(e) ~> G(e, "k")
    rule each [? per k] : On(h, e) & C(h) ~> G(e, k)
"""


def learned_grounding(how):
    on = " ".join(f'On("{h}", "{e}")' for h, e in ("au", "av", "bv", "bw"))
    sizes = " ".join(f'size("{e}") = {0.5 + i}' for i, e in enumerate("uvw"))
    text = LEARNED.replace("HOW", how)
    grounding = grounded(text.replace("[? 1.5]", "[? 1.5 >= 0]"), f"{on} {sizes}")
    labels = np.full(grounding.graph.atom_count, OPEN, np.int8)
    labels[grounding.atom_index("F", "u")] = 1
    labels[grounding.atom_index("F", "w")] = 0
    for value in "klm":
        labels[grounding.atom_index("G", "v", value)] = value == "l"
    return grounding, labels


@pytest.mark.parametrize("how", ["", "mean", "any"])
def test_the_gradient_is_that_of_finite_differences(how):
    grounding, labels = learned_grounding(how)
    table = grounding.parameters
    draw = np.random.default_rng(5)
    theta = np.where(table.kinds == np.array("fixed"), 1.0, draw.uniform(-1, 1.5, len(table)))
    assert_same_worlds(grounding, theta)
    assert_gradient(grounding, labels, theta)


@pytest.mark.parametrize("how", ["", "mean", "any"])
def test_learning_ends_at_the_optimum(how):
    assert_learns_the_optimum(*learned_grounding(how))


def test_a_stored_grounding_still_follows_its_weights(tmp_path):
    grounding, _ = learned_grounding("any")
    save(grounding, tmp_path / "stored")
    again = load(tmp_path / "stored", grounding.program, grounding.data)
    theta = grounding.graph.theta + 0.5 * torch.from_numpy(grounding.parameters.learned).double()
    one, other = (enumerate_worlds(g.at(theta)).marginals for g in (grounding, again))
    assert torch.equal(one, other)


def test_shares_and_reasons_name_the_rule():
    grounding = grounded(HUB.replace("HOW", ""), 'On("e0") On("e1") C("h")')
    atom = grounding.atom_index("F", "e0")
    found = explain(grounding, infer(grounding.graph), atom)
    shares = {share.name: share.log_odds for share in found.shares}
    assert shares == pytest.approx({"heads": -1, "through": 4}, abs=1e-3)
    grounding = grounded(HUB.replace("HOW", ""), 'On("e0") On("e1") F("e1")')
    posterior = infer(grounding.graph)
    found = explain(grounding, posterior, grounding.atom_index("F", "e0"))
    shares = {share.name: share.log_odds for share in found.shares}
    assert set(shares) == {"heads", "through"}
    assert sum(shares.values()) == pytest.approx(posterior.log_odds[1].item(), abs=1e-2)
    effects = {reason.text: reason.effect for reason in found.reasons}
    assert effects['On("e0") & C("h") ~> F("e0")'] == pytest.approx(shares["through"], abs=1e-3)
    assert effects['F("e0")'] == pytest.approx(shares["heads"], abs=1e-3)


DECLARED = """domain P
domain K = { "k", "l" }
attribute at(P): int clock
observed Near(P, P)
query S(P)
query T(P)
query V(P, K?)
"""


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("[1] : !(S(x) ~> T(x))", "KR415"),
        ("[hard] : S(x) ~> T(x)", "KR415"),
        ("[1] : S(x) & Near(x, y) ~> Near(y, x)", "KR415"),
        ("[1] : S(x) ~> V(x, _)", "KR415"),
        ("[?] : S(x) ~> any T(x)", "KR415"),
        ('[1] : S(x) ~> any V(x, "k")', "KR415"),
        ("[1] : S(x) ~> most T(x)", "KR101"),
        ("[1] : S(x) & Near(x, y) ~> S(y)", "KR416"),
        ("[1] : S(x) & Near(x, y) & at(x) <= at(y) ~> S(y)", "KR416"),
        ("[1] : S(x) ~> T(x)\nrule q [1] : T(x) ~> S(x)", "KR416"),
    ],
)
def test_where_it_cannot_stand(rule, code):
    with pytest.raises(ProgramError) as caught:
        loads(f"{DECLARED}rule r {rule}\n")
    assert [finding.code for finding in caught.value.diagnostics] == [code]


def test_a_circle_is_named():
    text = f"{DECLARED}rule r [1] : S(x) ~> T(x)\nrule q [1] : T(x) & Near(x, y) ~> S(y)\n"
    with pytest.raises(ProgramError, match=r"`S` ~> `T` ~> `S`|`T` ~> `S` ~> `T`"):
        loads(text)
    loads(text.replace("Near(x, y)", "Near(x, y) & at(x) < at(y)"))


def test_too_many_unknown_bodies():
    names = ", ".join(f'"p{i}"' for i in range(12))
    with pytest.raises(GroundingError, match="KR667"):
        grounded(f"domain P = {{ {names} }}\nquery S(P)\nquery A()\nrule r [1] : S(x) ~> A()")


def test_written_in_python_formatted_and_printed():
    S, T = build.query("S", build.domain("P")), build.query("T", "P")
    (x,) = (build.var("x"),)
    made = build.rule("on", build.directed(S(x), T(x), "mean"), weight=2)
    assert str(made) == "rule on [2] : S(x) ~> mean T(x)"
    program = build.program(build.domain("P"), S, T, made)
    assert loads(str(program)) == program
    assert format_text("rule t[2]:S(x)&N(x)~>any   T(x)\n") == (
        "rule t [2] : S(x) & N(x) ~> any T(x)\n"
    )


@pytest.mark.parametrize("how", ["", "mean", "any"])
def test_trees_stay_exact_for_messages(how):
    """Heads with three bodies each: one table a head."""
    text = f"""
    domain H
    domain E
    observed On(H, E)
    latent C(H)
    query F(E)
    rule hubs [-1.5] : C(h)
    rule heads [-0.5] : F(e)
    rule through [2] : On(h, e) & C(h) ~> {how} F(e)
    """
    facts = " ".join(f'On("h{2 * e + i}", "e{e}")' for e in range(4) for i in range(3))
    grounding = grounded(text, facts + ' F("e1") !F("e3")')
    exact = infer(grounding.graph, engine="exact").log_odds.numpy()
    assert infer(grounding.graph, engine="bp").log_odds.numpy() == pytest.approx(exact, abs=1e-4)
    assert grounding.graph.evidence[grounding.atom_index("F", "e1")] == 1


@pytest.mark.parametrize("engine", ["map", "gibbs", "mean_field", "trw"])
def test_every_engine_takes_them(engine):
    case = Case(3)
    graph = grounded(case.text, case.facts).graph
    assert torch.isfinite(infer(graph, engine=engine, seed=1).log_odds).all()


TWO_CAUSES = """
domain P
observed On(P, P)
query F(P)
latent C(P)
latent D(P)
rule usual [-1] : F(x)
rule hubs [0.5] : C(x)
rule dens [-0.5] : D(x)
rule skims [2] : C(y) & On(x, y) ~> F(x)
rule spreads [1.5] : D(y) & On(x, y) ~> F(x)
"""


@pytest.mark.parametrize("rule", ["skims", "spreads"])
def test_a_rule_left_out_leaves_no_normaliser_behind(rule):
    facts = 'On("a", "b") On("c", "b") F("a")'
    whole = grounded(TWO_CAUSES, facts, labels="evidence")
    kept = "".join(f"{row}\n" for row in TWO_CAUSES.splitlines() if f"rule {rule} " not in row)
    index = [r.name for r in whole.program.rules].index(rule)
    less = enumerate_worlds(without_rules(whole, [index]))
    truth = enumerate_worlds(grounded(kept, facts, labels="evidence").graph)
    torch.testing.assert_close(less.log_odds, truth.log_odds, atol=1e-9, rtol=0)
    if rule == "skims":  # normalisers are a telescoping sum: all but the last rule's are shared
        dropped = enumerate_worlds(without_rule(whole.graph, index))
        assert (dropped.log_odds - truth.log_odds).abs().max() > 0.1
    beliefs = Beliefs(infer(whole.graph, "exact"), whole)
    (row,) = (r for r in audit_beliefs(beliefs, (), infer).rules if r.rule == rule)
    asked = np.concatenate([beliefs.asked(predicate) for predicate in "FCD"])
    change = beliefs.posterior.probabilities.numpy() - expit(truth.log_odds.numpy())
    assert row.effect == pytest.approx(np.abs(change[asked]).max(), abs=1e-9)


def test_no_single_grounding_is_a_reason_at_a_body():
    """Its table alone would say that an unobserved head speaks for its bodies."""
    grounding = grounded(TWO_CAUSES, 'On("a", "b") On("c", "b") F("a")', labels="evidence")
    posterior = infer(grounding.graph, "exact")
    at_body = explain(grounding, posterior, grounding.atom_index("C", "b"))
    assert not [reason for reason in at_body.reasons if reason.rule == "skims"]
    assert any(share.name == "skims" for share in at_body.shares)
    at_head = explain(grounding, posterior, grounding.atom_index("F", "c"))
    assert {reason.rule for reason in at_head.reasons} >= {"skims", "spreads"}
