"""Why a rule does not support an atom, against a search by hand."""

from contextlib import closing

import numpy as np
import pytest
from scipy.special import expit

import knowreason as kr
from knowreason import lang
from knowreason.explanation.why_not import why_not
from knowreason.grounding import ground
from knowreason.grounding.relational.database import Relations

PEOPLE = ("a", "b", "c", "d")
RULES = """
domain Person
observed Friends(Person, Person)
query Smokes(Person)
query Calm(Person)
query Cancer(Person)
rule harm [0.8] : Friends(x, y) & Smokes(x) & !Calm(x) => Cancer(y)
"""
HEADS = """
domain Person
observed Old(Person)
observed Rich(Person)
query Likes(Person, Person)
query Happy(Person)
query Sad(Person)
rule twice  [1] : Old(x) => Likes(x, x)
rule named  [4] : Old("b") => Happy("a")
rule either [2] : Old(x) & Rich(x) => Happy(x) | Sad(x)
rule both   [3] : Rich(x) => Happy(x) & Likes(x, x)
"""


def grounded(text, facts):
    program = kr.loads(text)
    return ground(program, kr.Dataset.from_facts(program, lang.parse_facts(program, facts)))


def obstacles(grounding, *asked, log_odds=None, limit=5):
    atom = grounding.atom_index(*asked)
    odds = np.zeros(grounding.atoms.count) if log_odds is None else log_odds
    with closing(Relations(grounding.program, grounding.data)) as relations:
        found = why_not(grounding, atom, odds, grounding.groundings_of(atom), relations, limit)
    return {obstacle.rule: obstacle for obstacle in found}


@pytest.mark.parametrize("seed", range(8))
def test_the_weakest_literal_of_the_best_body(seed):
    rng = np.random.default_rng(seed)
    friends = [(x, y) for x in PEOPLE for y in PEOPLE if x != y and rng.random() < 0.5]
    facts = " ".join(f'Friends("{x}", "{y}")' for x, y in friends)
    grounding = grounded(RULES, facts)
    odds = rng.normal(0, 2, grounding.atoms.count)

    def likely(predicate, name, sign=1):
        return expit(sign * odds[grounding.atom_index(predicate, name)])

    for name in sorted({y for _, y in friends}):
        bodies = [
            min(
                (likely("Smokes", x), f'Smokes("{x}")'),
                (likely("Calm", x, -1), f'!Calm("{x}")'),
            )
            for x, y in friends
            if y == name
        ]
        probability, literal = max(bodies)
        found = obstacles(grounding, "Cancer", name, log_odds=odds)
        if probability < 0.5:
            assert found["harm"].literal == literal
            assert found["harm"].probability == pytest.approx(probability, abs=1e-6)
        else:
            assert "harm" not in found


def test_a_body_without_a_row_is_said_to_be_false():
    found = obstacles(grounded(RULES, 'Friends("a", "b")'), "Cancer", "a")["harm"]
    assert found.literal == 'Friends(x, "a")'
    assert found.probability == 0


def test_only_rules_whose_conclusion_is_the_atom():
    grounding = grounded(HEADS, 'Rich("c") Old("d")')
    assert set(obstacles(grounding, "Likes", "a", "a")) == {"twice", "both"}
    assert obstacles(grounding, "Likes", "a", "a")["twice"].literal == 'Old("a")'
    assert obstacles(grounding, "Likes", "a", "c") == {}
    assert set(obstacles(grounding, "Happy", "a")) == {"named", "either", "both"}
    assert obstacles(grounding, "Happy", "a")["named"].literal == 'Old("b")'
    assert set(obstacles(grounding, "Happy", "c")) == {"either"}
    assert set(obstacles(grounding, "Sad", "d")) == {"either"}
    assert obstacles(grounding, "Sad", "d")["either"].literal == 'Rich("d")'


def test_the_heaviest_rules_come_first():
    grounding = grounded(HEADS, 'Rich("c") Old("d")')
    assert list(obstacles(grounding, "Happy", "a")) == ["named", "both", "either"]
    assert list(obstacles(grounding, "Happy", "a", limit=2)) == ["named", "both"]
