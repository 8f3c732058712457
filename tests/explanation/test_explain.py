"""Explanations against recomputation by brute force."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

import knowreason as kr
from knowreason import lang
from knowreason.explanation import explain
from knowreason.explanation.explainer import Explainer
from knowreason.explanation.factor_index import Incidence
from knowreason.explanation.neighbourhood import neighbourhood
from knowreason.factors import FALSE, TRUE
from knowreason.factors.model_output import ModelOutput
from knowreason.grounding import ground
from knowreason.inference import infer
from knowreason.testing.oracle import enumerate_worlds

SMOKERS = """
domain Person
observed Friends(Person, Person) symmetric
observed Old(Person)
query Smokes(Person)
query Cancer(Person)
rule peers [1.1] : Smokes(x) & Friends(x, y) => Smokes(y)
rule harm  [1.5] : Smokes(x) => Cancer(x)
rule age   [0.7] : Old(x) & Smokes(x) => Cancer(x)
rule rare  [-1]  : Cancer(x)
"""
FACTS = """
Friends("anna", "bob")   Friends("bob", "carl")   Friends("dora", "edith")
Old("carl")   Smokes("anna")
"""


def grounded(text, facts):
    program = kr.loads(text)
    data = kr.Dataset.from_facts(program, lang.parse_facts(program, facts, "facts"))
    return ground(program, data)


def explained(grounding, predicate, *names, outputs=(), **options):
    posterior = infer(grounding.graph)
    atom = grounding.atom_index(predicate, *names)
    return atom, explain(grounding, posterior, atom, outputs, **options)


def exact(graph):
    return enumerate_worlds(graph).log_odds.numpy()


def test_shares_add_up_and_are_shapley_values():
    grounding = grounded(SMOKERS, FACTS)
    atom, found = explained(grounding, "Cancer", "carl")
    assert found.log_odds == pytest.approx(exact(grounding.graph)[atom], abs=1e-5)
    assert found.probability == pytest.approx(expit(found.log_odds))
    assert sum(share.log_odds for share in found.shares) == pytest.approx(found.log_odds)
    without = {
        names: exact(leave_out(grounding, atom, names))[atom]
        for names in [(), ("harm",), ("age",), ("harm", "age")]
    }
    shares = {share.name: share.log_odds for share in found.shares}
    harm = (without["age",] - without["harm", "age"] + without[()] - without["harm",]) / 2
    assert shares["harm"] == pytest.approx(harm, abs=1e-5)
    assert shares["rare"] == pytest.approx(-1.0, abs=1e-5)


def leave_out(grounding, atom, names):
    """The graph without the groundings of some rules at an atom."""
    rules = {i for i, rule in enumerate(grounding.program.rules) if rule.name in names}
    groups = tuple(
        drop_rows(g, (g.atoms == atom).any(dim=1)) if g.rule in rules else g
        for g in grounding.graph.factors
    )
    return replace(grounding.graph, factors=groups)


def drop_rows(group, gone):
    keep = torch.nonzero(~gone).flatten()
    value = None if group.value is None else group.value[keep]
    parameter = group.parameter
    if isinstance(parameter, torch.Tensor):
        parameter = parameter[keep]
    return replace(group, atoms=group.atoms[keep], value=value, parameter=parameter)


def test_effect_of_a_grounding_is_what_its_absence_changes():
    grounding = grounded(SMOKERS, FACTS)
    atom, found = explained(grounding, "Cancer", "carl")
    whole = exact(grounding.graph)[atom]
    effects = {reason.rule: reason.effect for reason in found.reasons}
    for name in ("harm", "age"):
        without = exact(leave_out(grounding, atom, (name,)))[atom]
        assert effects[name] == pytest.approx(whole - without, abs=1e-5)
    texts = [reason.text for reason in found.reasons]
    assert any('Old("carl") & Smokes("carl") => Cancer("carl")' in text for text in texts)


def test_the_strongest_groundings_come_first():
    others = " ".join(f'Friends("hub", "p{i}")' for i in range(4))
    grounding = grounded(SMOKERS, f'{others} Smokes("p0")')
    _, every = explained(grounding, "Smokes", "hub", reasons=20)
    _, few = explained(grounding, "Smokes", "hub", reasons=3)
    effects = [abs(reason.effect) for reason in every.reasons]
    assert len(effects) > 3
    assert effects == sorted(effects, reverse=True)
    assert effects[0] > effects[-1]
    assert few.reasons == every.reasons[:3]


def test_why_not_names_the_literal_that_is_missing():
    grounding = grounded(SMOKERS, FACTS)
    _, found = explained(grounding, "Cancer", "dora")
    obstacles = {obstacle.rule: obstacle for obstacle in found.why_not}
    assert obstacles["age"].literal == 'Old("dora")'
    assert obstacles["age"].probability == 0
    if "harm" in obstacles:
        assert obstacles["harm"].literal == 'Smokes("dora")'
    assert "does not hold in the data" in str(found)


def test_other_atoms_are_as_likely_as_their_conclusions_say():
    grounding = grounded(SMOKERS, FACTS)
    posterior, atom = infer(grounding.graph), grounding.atom_index("Cancer", "bob")
    believed = posterior.log_odds.numpy() + 0.5  # by calibration, say
    found = Explainer(grounding, posterior, believed=believed).explain(atom)
    named = dict(other for reason in found.reasons for other in reason.others)
    smokes = believed[grounding.atom_index("Smokes", "bob")]
    assert named['Smokes("bob")'] == pytest.approx(expit(smokes))


def test_what_if_flips_when_it_is_done():
    grounding = grounded(SMOKERS, FACTS)
    atom, found = explained(grounding, "Smokes", "carl", changes=9)
    assert found.what_if
    for change in found.what_if:
        assert change.result * found.log_odds < 0
        name = change.what.split('"')[1]
        predicate = change.what.split("if ")[1].split("(")[0]
        other = grounding.atom_index(predicate, name)
        assert other != atom  # that it would be so if it were so says nothing
        evidence = grounding.graph.evidence.clone()
        evidence[other] = TRUE if change.after else FALSE
        again = exact(grounding.graph.with_evidence(evidence))[atom]
        assert again == pytest.approx(change.result, abs=1e-4)


MODEL = """
domain Thing
observed Seen(Thing)
query Bad(Thing)
model eye for Bad = column("eye")
rule seen [0.8] : Seen(x) => Bad(x)
"""


def with_model(log_odds):
    grounding = grounded(MODEL, 'Seen("a") Seen("b")')
    llr = np.asarray(log_odds, dtype=np.float32) - logit(0.3)
    output = ModelOutput("eye", "Bad", llr.astype(np.float32), 0.3, None)
    made = grounding.with_models([output])
    theta = made.graph.theta.clone()
    names = list(made.parameters.names)
    theta[names.index("scale eye")] = 0.7
    theta[names.index("bias Bad")] = logit(0.3)
    return replace(made, graph=made.graph.with_theta(theta)), output


def test_shares_of_a_model_and_of_a_rule_over_it():
    grounding, output = with_model([-2.0, 1.0])
    _, found = explained(grounding, "Bad", "a", outputs=(output,))
    shares = {(share.kind, share.name): share.log_odds for share in found.shares}
    assert shares["model", "eye"] == pytest.approx(0.7 * (-2.0 - logit(0.3)), abs=1e-5)
    assert shares["rule", "seen"] == pytest.approx(0.8, abs=1e-5)
    (reason,) = found.reasons  # over the atom alone, as evidence decides the rest
    assert (reason.rule, reason.text) == ("seen", 'Seen("a") => Bad("a")')
    assert reason.effect == pytest.approx(0.8, abs=1e-5)


FUNCTIONAL = """
domain Cell, Value = {"v1", "v2", "v3"}
observed Peer(Cell, Cell) symmetric
query Digit(Cell, Value!)
rule differ [2] : Digit(x, v) & Peer(x, y) => !Digit(y, v)
rule likes  [1.5] : Digit("c1", "v1")
"""


def test_a_functional_predicate():
    grounding = grounded(FUNCTIONAL, 'Peer("c1", "c2") Peer("c2", "c3")')
    atom, found = explained(grounding, "Digit", "c2", "v1")
    assert found.log_odds == pytest.approx(exact(grounding.graph)[atom], abs=1e-5)
    assert sum(share.log_odds for share in found.shares) == pytest.approx(found.log_odds)
    base = next(share for share in found.shares if share.kind == "base")
    assert base.log_odds == pytest.approx(logit(1 / 3), abs=1e-5)
    assert next(s for s in found.shares if s.name == "differ").log_odds < 0


COUNTS = """
domain Person, Team
observed In(Person, Team)
query Good(Person)
query Wins(Team)
rule many [2] : count { p : In(p, t) & Good(p) } >= 2 => Wins(t)
rule any  [1] : exists p. (In(p, t) & Good(p)) => Wins(t)
rule some [hard] : Good("a") | Good("b")
"""


@pytest.mark.parametrize("asked", [("Wins", "t"), ("Good", "a"), ("Good", "c")])
def test_rules_with_counts_and_exists(asked):
    grounding = grounded(COUNTS, 'In("a", "t") In("b", "t") In("c", "t") In("a", "u")')
    atom, found = explained(grounding, *asked)
    assert found.log_odds == pytest.approx(exact(grounding.graph)[atom], abs=1e-5)
    assert sum(share.log_odds for share in found.shares) == pytest.approx(found.log_odds)
    assert {"many", "any"} <= {share.name for share in found.shares}


def test_a_known_atom_is_said_to_be_known():
    grounding = grounded(SMOKERS, FACTS)
    _, found = explained(grounding, "Smokes", "anna")
    assert found.probability == 1.0
    assert found.notes == ("its truth is given",)


def chain(length):
    people = [f"p{i:03}" for i in range(length)]
    pairs = " ".join(f'Friends("{a}", "{b}")' for a, b in pairwise(people))
    return grounded(SMOKERS, f'{pairs} Smokes("p000")')


def test_the_neighbourhood_of_a_large_component_is_cut_at_its_marginals():
    grounding = chain(60)
    log_odds = infer(grounding.graph).log_odds.numpy()
    atom = grounding.atom_index("Smokes", "p030")
    incidence = Incidence.of(grounding.graph)
    near = neighbourhood(grounding.graph, incidence, atom, log_odds, limit=20)
    assert not near.whole
    assert len(near.atoms) <= 20
    assert near.atoms[near.centre] == atom
    inside = infer(near.graph).log_odds.numpy()[near.centre]
    assert inside == pytest.approx(log_odds[atom], abs=0.1)
    whole = neighbourhood(grounding.graph, incidence, atom, log_odds, limit=1000)
    assert whole.whole
    solved = infer(whole.graph).log_odds.numpy()
    np.testing.assert_allclose(solved, log_odds[whole.atoms], atol=1e-5)


def test_what_touches_the_atom_is_never_cut():
    pairs = " ".join(f'Friends("hub", "p{i}") Friends("p{i}", "q{i}")' for i in range(9))
    grounding = grounded(SMOKERS, pairs)
    log_odds = infer(grounding.graph).log_odds.numpy()
    atom = grounding.atom_index("Smokes", "hub")
    near = neighbourhood(grounding.graph, Incidence.of(grounding.graph), atom, log_odds, limit=3)
    beside = [grounding.atom_index("Smokes", f"p{i}") for i in range(9)]
    hub = grounding.atom_index("Cancer", "hub")
    assert sorted(near.atoms.tolist()) == sorted([atom, hub, *beside])
    assert not near.whole


def test_shares_of_a_cut_neighbourhood_add_up_and_say_so():
    grounding = chain(60)
    _, found = explained(grounding, "Smokes", "p030", atoms=20)
    assert sum(share.log_odds for share in found.shares) == pytest.approx(found.log_odds, abs=1e-3)
    assert any("solved within" in note for note in found.notes)


def test_text_and_json_say_the_same():
    grounding = grounded(SMOKERS, FACTS)
    _, found = explained(grounding, "Cancer", "dora")
    values = json.loads(json.dumps(found.to_dict()))
    assert values["atom"] == 'Cancer("dora")'
    assert [share["name"] for share in values["shares"]] == [s.name for s in found.shares]
    text = str(found)
    for word in ('Cancer("dora")', "why (parts", "why not", "harm"):
        assert word in text


def test_nothing_is_asked_that_is_not_wanted():
    grounding = grounded(SMOKERS, FACTS)
    _, found = explained(grounding, "Cancer", "dora", reasons=0, obstacles=0, changes=0)
    assert (found.reasons, found.why_not, found.what_if) == ((), (), ())
    assert found.shares
