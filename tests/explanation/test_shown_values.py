"""Values of the data in explanations: fields of things, what rules read, unary groundings."""

from dataclasses import replace

import numpy as np
import pytest

import knowreason as kr
from knowreason import lang
from knowreason.explanation import Explainer
from knowreason.explanation.shown_values import readable_terms
from knowreason.inference import infer
from knowreason.logic.value_texts import feature_texts, value_as_text
from knowreason.reasoner.reviews.data_edits import parse_edit
from tests.explanation.test_explain import FACTS, FUNCTIONAL, SMOKERS, exact, grounded

PAYMENTS = """
domain Payment, Card, Shop
observed Pays(Payment, card: Card, shop: Shop)
attribute amount(Payment): float
attribute at(Payment): time clock
attribute opened(Card): time
attribute home(Card): string
attribute place(Shop): string
query Fraud(Payment)
define Abroad(p) := Pays(p, card: c, shop: s) & home(c) != place(s)
define size(p) := log(amount(p))
define before(p) := count { q : Pays(q, _, _) & at(q) < at(p) }
rule rare  [-3]             : Fraud(p)
rule young [1.5]            : Pays(p, card: c) & at(p) - opened(c) < 3d => Fraud(p)
rule far   [0.7]            : Abroad(p) => Fraud(p)
rule big   [? 0.1 * size(p)] : Fraud(p)
rule busy  [0.2]            : before(p) >= 1 => Fraud(p)
rule same  [0.5]            : Pays(p, _, s) & Pays(q, _, s) & p != q & Fraud(p) => Fraud(q)
"""
TABLES = {
    "Pays": {"p": ["p1", "p2"], "c": ["c1", "c1"], "s": ["s1", "s1"]},
    "amount": {"p": ["p1", "p2"], "v": [20.0, 5412.0]},
    "at": {"p": ["p1", "p2"], "v": ["2026-01-04T09:00", "2026-01-05T23:10"]},
    "opened": {"c": ["c1"], "v": ["2026-01-03"]},
    "home": {"c": ["c1"], "v": ["north"]},
    "place": {"s": ["s1"], "v": ["south"]},
}


def explainer(show=None):
    program = kr.loads(PAYMENTS)
    grounding = kr.ground(program, kr.Dataset.from_frames(program, facts=TABLES))
    return grounding, Explainer(grounding, infer(grounding.graph), show=show)


def told(values):
    return {value.name: value.text for value in values}


def test_fields_of_the_asked_thing_and_what_rules_read_of_it():
    grounding, explain = explainer()
    found = explain.explain(grounding.atom_index("Fraud", "p2"), reasons=9)
    assert told(found.fields) == {
        "amount": "5,412.00",
        "at": "2026-01-05 23:10",
        "card": "c1",
        "shop": "s1",
    }
    reasons = {reason.rule: reason for reason in found.reasons}
    assert told(reasons["young"].values) == {
        'at("p2") - opened("c1")': "2 days 23 h",
        "at": "2026-01-05 23:10",
        "opened(c1)": "2026-01-03",
    }
    assert told(reasons["far"].values) == {"home(c1)": "north", "place(s1)": "south"}
    assert told(reasons["big"].values) == {"size": "8.60", "amount": "5,412.00"}
    assert told(reasons["busy"].values)["before"] == "1"
    assert reasons["same"].values == ()
    text = str(found)
    assert "amount 5,412.00, at 2026-01-05 23:10, card c1, shop s1" in text
    assert "home(c1) north, place(s1) south" in text


def test_the_project_names_what_is_shown():
    show = {"Payment": ("at", "Abroad", "card"), "Card": ("home",)}
    grounding, explain = explainer(show)
    found = explain.explain(grounding.atom_index("Fraud", "p2"), reasons=9)
    assert told(found.fields) == {"at": "2026-01-05 23:10", "Abroad": "yes", "card": "c1"}
    reasons = {reason.rule: told(reason.values) for reason in found.reasons}
    assert reasons["young"]["home(c1)"] == "north"
    assert reasons["same"] == {"at(p1)": "2026-01-04 09:00", "Abroad(p1)": "yes", "card(p1)": "c1"}


def test_groundings_over_the_atom_alone_add_up_to_their_rules():
    grounding, explain = explainer()
    found = explain.explain(grounding.atom_index("Fraud", "p2"), reasons=20)
    shares = {share.name: share.log_odds for share in found.shares}
    for rule in ("rare", "young", "far", "big", "busy"):
        effects = [reason.effect for reason in found.reasons if reason.rule == rule]
        assert sum(effects) == pytest.approx(shares[rule], abs=1e-5)
    assert shares["big"] == pytest.approx(0.1 * np.log(5412.0), abs=1e-4)
    assert sum(shares.values()) == pytest.approx(found.log_odds, abs=1e-5)


def test_a_unary_grounding_in_a_block_is_what_its_absence_changes():
    grounding = grounded(FUNCTIONAL, 'Peer("c1", "c2") Peer("c2", "c3")')
    atom = grounding.atom_index("Digit", "c1", "v1")
    found = Explainer(grounding, infer(grounding.graph)).explain(atom, reasons=9)
    (likes,) = (reason for reason in found.reasons if reason.rule == "likes")
    without = grounded(FUNCTIONAL.replace("likes  [1.5]", "likes [0]"),
                       'Peer("c1", "c2") Peer("c2", "c3")')  # fmt: skip
    other = exact(without.graph)[without.atom_index("Digit", "c1", "v1")]
    assert likes.effect == pytest.approx(exact(grounding.graph)[atom] - other, abs=1e-5)


@pytest.mark.parametrize("text", [SMOKERS, FUNCTIONAL])
def test_many_at_once_are_as_one_by_one(text):
    facts = FACTS if text is SMOKERS else 'Peer("c1", "c2") Peer("c2", "c3")'
    grounding = grounded(text, facts)
    explain = Explainer(grounding, infer(grounding.graph))
    atoms = list(range(grounding.graph.atom_count))[::-1]
    many = explain.explain_many(atoms, obstacles=3, changes=3)
    fresh = Explainer(grounding, explain.posterior)
    for atom, found in zip(atoms, many, strict=True):
        alone = fresh.explain(atom)
        assert (found.atom, found.fields) == (alone.atom, alone.fields)
        assert [r.text for r in found.reasons] == [r.text for r in alone.reasons]
        shares = [share.log_odds for share in found.shares]
        assert shares == pytest.approx([share.log_odds for share in alone.shares], abs=1e-5)
        assert [c.what for c in found.what_if] == [c.what for c in alone.what_if]


def test_what_a_term_binds_is_not_read_outside_of_it():
    program = kr.loads(PAYMENTS)
    formula = lang.parse_formula(
        program, "Fraud(p) & count { q : Pays(q, _, _) & at(q) < at(p) } > 1"
    )
    assert [type(term).__name__ for term in readable_terms(formula)] == ["Aggregate"]


@pytest.mark.parametrize(
    ("value", "sort", "text"),
    [
        (0.03123, "float", "0.0312"),
        (-5412.5, "float", "-5,412.50"),
        (2026, "int", "2026"),
        (1234567, "int", "1,234,567"),
        (False, "bool", "no"),
        ("chip", "string", "chip"),
        (3_600_000_000, "duration", "1 h"),
        (-90_000_000, "duration", "-1 min 30 s"),
        (2_000, "duration", "2 ms"),
        (86_399_000_000, "time", "1970-01-01 23:59:59"),
    ],
)
def test_values_as_people_write_them(value, sort, text):
    assert value_as_text(value, sort) == text


def test_times_are_those_of_the_zone():
    noon, midnight = 1_767_610_800_000_000, 1_767_567_600_000_000  # 5 January 2026 in Vienna
    assert value_as_text(noon, "time", "Europe/Vienna") == "2026-01-05 12:00"
    assert value_as_text(midnight, "time", "Europe/Vienna") == "2026-01-05"
    assert value_as_text(midnight, "time") == "2026-01-04 23:00"
    never = 253_402_300_799_000_000
    assert value_as_text(never, "time", "Europe/Vienna") == "9999-12-31 23:59:59"

    program = kr.loads(PAYMENTS, zone="Europe/Vienna")
    grounding = kr.ground(program, kr.Dataset.from_frames(program, facts=TABLES))
    found = Explainer(grounding, infer(grounding.graph)).explain(
        grounding.atom_index("Fraud", "p2"), reasons=9
    )
    assert told(found.fields)["at"] == "2026-01-05 23:10"  # as the table has it
    reasons = {reason.rule: reason for reason in found.reasons}
    assert told(reasons["young"].values)["opened(c1)"] == "2026-01-03"

    edit = parse_edit(program, 'at(p2) = "2026-07-05T23:10"')
    assert edit.text(program) == 'at("p2") = "2026-07-05T23:10:00+02:00"'
    assert parse_edit(program, edit.text(program)) == edit


def test_columns_of_features():
    assert feature_texts(np.array([0.0, np.nan, 7.0]), ("x", "y")) == ["x", None, "7"]
    assert feature_texts(np.array([0.5, 3.0]), None) == ["0.5", "3"]


SOMEBODY = """
domain Person, Team
observed In(Person, Team)
query Good(Person)
query Wins(Team)
rule any  [1.5] : Wins(t) => exists p. (In(p, t) & Good(p))
rule rare [-1]  : Good(p)
"""


def test_groundings_of_varying_length_are_reasons():
    grounding = grounded(SOMEBODY, 'In("a", "t") In("b", "t") In("c", "t") In("a", "u")')
    atom = grounding.atom_index("Good", "a")
    found = Explainer(grounding, infer(grounding.graph)).explain(atom, reasons=9)
    whole = exact(grounding.graph)[atom]
    effects = {reason.text: reason.effect for reason in found.reasons if reason.rule == "any"}
    assert len(effects) == 2
    (place,) = (i for i, part in enumerate(grounding.graph.factors) if part.offsets is not None)
    for row, team in enumerate("tu"):
        factors = list(grounding.graph.factors)
        factors[place] = factors[place].take(np.array([1 - row]))
        without = exact(replace(grounding.graph, factors=tuple(factors)))[atom]
        text = f'Wins("{team}") => exists p. (In(p, "{team}") & Good(p))'
        assert effects[text] == pytest.approx(whole - without, abs=1e-5)
