"""Whole programs, from text to exact marginals, against loops written by hand."""

from itertools import product
from math import exp, log
from textwrap import dedent

import pytest

from knowreason.data import Dataset
from knowreason.grounding import ground
from knowreason.inference import infer
from knowreason.lang import loads, parse_facts


def marginals(program, facts="", engine="exact"):
    """Probability of every open atom by its name."""
    program = loads(dedent(program))
    grounding = ground(program, Dataset.from_facts(program, parse_facts(program, facts)))
    probability = infer(grounding.graph, engine=engine).log_odds.sigmoid().tolist()
    return {grounding.atom_name(a): p for a, p in enumerate(probability)}


def shares(weights):
    """Marginals of worlds given as `{names of the true atoms: weight}`."""
    total = sum(weights.values())
    names = {name for world in weights for name in world}
    return {n: sum(w for world, w in weights.items() if n in world) / total for n in names}


def assert_equal(found, by_hand):
    for name, probability in by_hand.items():
        assert found[name] == pytest.approx(probability, abs=1e-6), name


SMOKERS = """
domain Person
observed Friends(Person, Person)
query Smokes(Person)
query Cancer(Person)
rule harm  [1.5] : Smokes(x) => Cancer(x)
rule peers [1.1] : Friends(x, y) & Smokes(x) => Smokes(y)
"""


@pytest.mark.parametrize("engine", ["exact", "auto", "bp"])
def test_toy_check_of_two_friends(engine):
    found = marginals(SMOKERS, 'Friends("anna", "bob") Smokes("anna")', engine)
    worlds = {}
    for cancer_anna, smokes_bob, cancer_bob in product((False, True), repeat=3):
        score = 0.0
        for smokes, cancer in ((True, cancer_anna), (smokes_bob, cancer_bob)):
            if not smokes or cancer:
                score += 1.5
        smokes = {"anna": True, "bob": smokes_bob}
        for x in ("anna", "bob"):
            for y in ("anna", "bob"):
                friends = (x, y) == ("anna", "bob")
                if not (friends and smokes[x]) or smokes[y]:
                    score += 1.1
        true = [
            name
            for name, holds in (
                ('Cancer("anna")', cancer_anna),
                ('Smokes("bob")', smokes_bob),
                ('Cancer("bob")', cancer_bob),
            )
            if holds
        ]
        worlds[tuple(true)] = exp(score)
    by_hand = shares(worlds)
    assert by_hand['Cancer("anna")'] == pytest.approx(exp(1.5) / (1 + exp(1.5)))
    assert_equal(found, by_hand)


@pytest.mark.parametrize("mark", ["!", "?"])
def test_functional_argument_is_one_variable(mark):
    program = f"""
    domain Event
    domain Protocol = {{ "NTLM", "Kerberos", "Negotiate" }}
    observed Seen(Event)
    query Malicious(Event)
    query Uses(Event, Protocol{mark})
    rule rare  [-1]  : Malicious(e)
    rule auth  [2]   : Malicious(e) => Uses(e, "NTLM")
    rule other [0.7] : Uses(e, "Kerberos") => Malicious(e)
    """
    protocols = ["NTLM", "Kerberos", "Negotiate"] + [None] * (mark == "?")
    worlds = {}
    for malicious, protocol in product((False, True), protocols):
        score = -1.0 * malicious
        score += 2.0 * (not malicious or protocol == "NTLM")
        score += 0.7 * (protocol != "Kerberos" or malicious)
        true = ['Malicious("e")'] * malicious + [f'Uses("e", "{protocol}")'] * (
            protocol is not None
        )
        worlds[tuple(true)] = exp(score)
    found = marginals(program, 'Seen("e")')
    assert_equal(found, shares(worlds))


def test_hard_rule_leaves_only_worlds_that_keep_it():
    program = """
    domain Node
    observed Edge(Node, Node)
    query Chosen(Node)
    rule good        [0.8]  : Chosen(x)
    rule independent [hard] : Edge(x, y) => !(Chosen(x) & Chosen(y))
    """
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("a", "c")]
    worlds = {}
    for states in product((False, True), repeat=4):
        chosen = dict(zip("abcd", states, strict=True))
        if not any(chosen[x] and chosen[y] for x, y in edges):
            true = tuple(f'Chosen("{name}")' for name in "abcd" if chosen[name])
            worlds[true] = exp(0.8 * sum(states))
    found = marginals(program, " ".join(f'Edge("{x}", "{y}")' for x, y in edges))
    assert_equal(found, shares(worlds))


def test_count_is_one_potential():
    program = """
    domain Team, Person
    observed In(Person, Team)
    query Leads(Person)
    rule eager [0.4] : Leads(p)
    rule few   [1.3] : 1 <= count { p : In(p, t) & Leads(p) } <= 2
    """
    teams = {"red": "abc", "blue": "cd"}
    worlds = {}
    for states in product((False, True), repeat=4):
        leads = dict(zip("abcd", states, strict=True))
        score = 0.4 * sum(states)
        for members in teams.values():
            score += 1.3 * (1 <= sum(leads[p] for p in members) <= 2)
        worlds[tuple(f'Leads("{p}")' for p in "abcd" if leads[p])] = exp(score)
    facts = " ".join(f'In("{p}", "{t}")' for t, members in teams.items() for p in members)
    assert_equal(marginals(program, facts), shares(worlds))


def test_exists_and_forall_over_unknowns():
    program = """
    domain Terminal
    domain Card = { "x", "y", "z" }
    observed Used(Card, Terminal)
    query Compromised(Terminal)
    query Stolen(Card)
    query Clean(Card)
    rule seldom [-1.2] : Compromised(t)
    rule cause  [1.7]  : Stolen(c) => exists t. (Used(c, t) & Compromised(t))
    rule proof  [0.9]  : (forall t. (Used(c, t) => !Compromised(t))) => Clean(c)
    """
    used = {"x": "pq", "y": "q", "z": ""}
    worlds = {}
    for bits in product((False, True), repeat=8):
        compromised = dict(zip("pq", bits[:2], strict=True))
        stolen, clean = (
            dict(zip("xyz", bits[2:5], strict=True)),
            dict(zip("xyz", bits[5:], strict=True)),
        )
        score = -1.2 * sum(bits[:2])
        for card, terminals in used.items():
            some = False
            for terminal in terminals:
                some = some or compromised[terminal]
            score += 1.7 * (not stolen[card] or some)
            score += 0.9 * (some or clean[card])
        true = [f'Compromised("{t}")' for t in "pq" if compromised[t]]
        true += [f'Stolen("{c}")' for c in "xyz" if stolen[c]]
        true += [f'Clean("{c}")' for c in "xyz" if clean[c]]
        worlds[tuple(true)] = exp(score)
    facts = 'Used("x", "p") Used("x", "q") Used("y", "q")'
    found = marginals(program, facts)
    assert_equal(found, shares(worlds))


def test_numeric_feature_scales_the_weight():
    program = """
    domain Event
    attribute failures(Event): int
    query Malicious(Event)
    rule rare  [-2]                      : Malicious(e)
    rule noisy [0.5 * log1p(failures(e))] : Malicious(e)
    """
    found = marginals(program, 'failures("a") = 0 failures("b") = 7')
    for name, failures in (("a", 0), ("b", 7)):
        log_odds = -2 + 0.5 * log(1 + failures)
        assert found[f'Malicious("{name}")'] == pytest.approx(1 / (1 + exp(-log_odds)), abs=1e-6)
