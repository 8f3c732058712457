"""Where rules fire, by hand, and what they come to."""

import numpy as np
import pytest

import knowreason as kr
from knowreason.beliefs.beliefs import Beliefs
from knowreason.evaluate.rule_figures import figures_of, shadow_sentences
from knowreason.evaluate.rule_firings import (
    AskedOf,
    RuleWorld,
    believed_world,
    labelled_world,
    rule_firings,
)
from knowreason.grounding.atom_numbering import open_atoms
from knowreason.logic import Atom, Directed, Implies, Neutral, Rule
from knowreason.logic.rule_forms import head_form
from knowreason.logic.traversal import free_variables
from tests.grounding.naive import NaiveWorld
from tests.grounding.programs import random_data, random_program

HEAD = """domain P = { "a", "b", "c" }
domain K = { "x", "y" }
observed Odd(P)
observed Near(P, P)
attribute boss(P): P
attribute size(P): int
query Bad(P)
query Kind(P, K!)
latent Hid(P)
"""
FACTS = {
    "Odd": {"p": ["b"]},
    "Near": {"one": ["a", "b", "c"], "two": ["b", "c", "a"]},
    "boss": {"p": ["a", "b"], "boss": ["b", "a"]},
    "size": {"p": ["a", "b"], "size": [1, 3]},
}
LABELS = {"Bad": {"p": ["a", "b"], "bad": [1, 0]}}


def world(rule):
    program = kr.loads(f"{HEAD}rule r [shadow] : {rule}\n")
    data = kr.Dataset.from_frames(program, facts=FACTS, labels=LABELS)
    return labelled_world(data), program.shadow_rules


@pytest.mark.parametrize(
    ("rule", "at", "says"),
    [
        ("Odd(p) => Bad(p)", "b", True),
        ("!Odd(p) => !Bad(p)", "ac", False),
        ("Bad(p) => Odd(p)", "ac", False),
        ("size(p) > 2 & Bad(p)", "b", True),
        ("size(p) > 2 => Bad(p)", "b", True),
        ("!(size(p) > 2) => Bad(p)", "a", True),  # of c no size is known
        ("Odd(p) ~> Bad(boss(p))", "a", True),
        ("Bad(p) & Near(p, q) => Bad(q)", "b", True),
        ("count { q : Near(q, p) & Bad(q) } >= 1 => Bad(p)", "b", True),
        ("exists q. (Near(p, q) & Odd(q)) => Bad(p)", "a", True),
        ("count { Odd(p), size(p) > 2 } >= 1 => Bad(p)", "b", True),
        ('Near(p, q) & Odd(q) => Bad("c")', "c", True),
        ("Near(p, p) => Bad(p)", "", True),
    ],
)
def test_a_rule_fires_where_its_body_holds(rule, at, says):
    asked, rules = world(rule)
    (fired,), left = rule_firings(asked, rules)
    assert {"abc"[i] for i in np.flatnonzero(fired.at)} == set(at)
    assert (fired.says, fired.shadow, left) == (says, True, {})


def test_a_head_of_several_states_fires_at_one():
    asked, rules = world('Bad(p) => Kind(p, "y")')
    (fired,), _ = rule_firings(asked, rules)
    assert asked.asked["Kind"].arguments[fired.at].tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("Hid(p) => Bad(p)", "nothing is known of `Hid`, which stands in its body"),
        ("Bad(p)", "no body says where"),
        ("Near(p, q) => (Bad(p) <~> Bad(q))", "nothing is said of one atom"),
    ],
)
def test_what_is_not_measured_says_why(rule, why):
    assert rule_firings(*world(rule)) == ((), {"r": why})


def test_unknown_atoms_in_bodies_hold_where_they_are_likely():
    program = kr.loads(
        f"{HEAD}rule up [4] : Odd(p) => Hid(p)\nrule low [-2] : Hid(p)\n"
        "rule r [shadow] : Hid(p) ~> Bad(p)\n"
    )
    data = kr.Dataset.from_frames(program, facts=FACTS, labels=LABELS).hide("Bad", np.ones(2, bool))
    grounding = kr.ground(program, data, labels="evidence")
    beliefs = Beliefs(kr.infer(grounding.graph), grounding)
    (fired,), _ = rule_firings(believed_world(beliefs), program.shadow_rules)
    assert fired.at.tolist() == [False, True, False]
    (told,) = shadow_sentences(beliefs, "Bad")
    assert told.startswith("shadow rule `r` fires at 1 of 3 Bad; 0 of 1 labelled are right")


def test_a_number_that_no_model_has_estimated_is_not_known():
    program = kr.loads(
        """domain P
query Bad(P)
query worth(P): float
observed Near(P, P)
define dear(p) := count { q : Near(p, q) & worth(q) > 2 }
model m for worth = trees()
rule r [shadow] : dear(p) > 1 => Bad(p)
"""
    )
    data = kr.Dataset.from_frames(program, labels={"Bad": {"p": ["a"], "bad": [1]}})
    _, left = rule_firings(labelled_world(data), program.shadow_rules)
    assert left == {"r": "nothing is known of `worth`, which stands in its body"}


def test_figures_count_what_has_a_label():
    at, truth = np.array([True, True, True, False, False]), np.array([1, 0, -1, 1, 0], np.int8)
    true, false = figures_of(at, truth), figures_of(at, truth, says=False)
    assert (true.fired, true.labelled, true.right, true.wanted) == (3, 2, 1, 2)
    assert (true.precision.value, true.recall.value) == (0.5, 0.5)
    assert (false.right, false.wanted) == (1, 2)
    assert np.isnan(figures_of(np.zeros(5, bool), truth).precision.value)


def random_world(program, data, seed):
    """All open atoms asked, half of them taken for true."""
    rng, table = np.random.default_rng(seed), open_atoms(program, data)
    spans = {p.name: table.spans[p.name].arguments for p in program.open_predicates}
    unknown = {name: AskedOf(rows, np.full(len(rows), -1, np.int8)) for name, rows in spans.items()}
    true = {name: rows[rng.random(len(rows)) < 0.5] for name, rows in spans.items()}
    return RuleWorld(data, unknown, true)


@pytest.mark.parametrize("seed", range(10))
def test_firing_is_substitution(seed):
    program = random_program(seed, missing=True, quantifiers=True)
    made, compared = random_data(program, seed), 0
    data = kr.Dataset(program, made.vocabularies, made.facts, made.attributes, {}, {}, {})
    world = random_world(program, data, seed)
    naive = NaiveWorld.of(program, data)
    naive.facts |= {name: set(map(tuple, rows.tolist())) for name, rows in world.true.items()}
    for rule in program.rules:
        for head in program.open_predicates:
            own = [v for v in rule.variables if v.sort in head.sorts]
            places = [next((v for v in own if v.sort == sort), None) for sort in head.sorts]
            if None in places or isinstance(rule.formula, Directed | Neutral):
                continue
            made = Rule(
                "made", rule.weight, Implies(rule.formula, Atom(head.name, tuple(places))), ()
            )
            form = head_form(made.formula, program)
            variables = free_variables(form.body)
            found = naive.solutions(form.body, variables)
            names = [variable.name for variable in variables]
            at = {tuple(one[names.index(v.name)] for v in places) for one in found}
            (fired,), _ = rule_firings(world, [made])
            asked = world.asked[head.name].arguments
            assert set(map(tuple, asked[fired.at].tolist())) == at & set(map(tuple, asked.tolist()))
            compared += 1
    assert compared
