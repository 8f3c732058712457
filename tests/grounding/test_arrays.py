"""Rules and definitions evaluated in arrays give the factors that a relational engine gives."""

import os

import numpy as np
import pytest

from knowreason import lang
from knowreason.data import Dataset
from knowreason.data.id_tables import id_matrix
from knowreason.errors import GroundingError
from knowreason.grounding import ground
from knowreason.grounding.arrays.array_context import in_arrays, open_relations
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.grounding.arrays.running_totals import Totals
from knowreason.grounding.arrays.scope_steps import FormulaScopes, grouped_by_terms
from tests.grounding import crisp
from tests.grounding.naive import NaiveWorld
from tests.grounding.programs import random_data, random_program
from tests.grounding.test_definitions import (
    ATTRIBUTES,
    DECLARATIONS,
    HISTORIES,
    PREDICATES,
    names,
)
from tests.grounding.test_ground_random import compared_with_substitution

PROGRAMS = int(os.environ.get("KNOWREASON_RANDOM_PROGRAMS", "60"))


@pytest.fixture(autouse=True, scope="module")
def engine():
    """No relational engine takes part: once is enough."""


def in_one_way_or_beyond(program, data):
    try:
        with in_arrays(FormulaScopes(program)):
            return ground(program, data, threads=1)
    except BeyondArrays:
        return None


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("quantifiers", [False, True])
def test_random_programs_are_substitution(missing, quantifiers):
    compared = 0
    for seed in range(PROGRAMS // 4):
        program = random_program(seed, missing=missing, quantifiers=quantifiers)
        data = random_data(program, seed)
        try:
            grounding = in_one_way_or_beyond(program, data)
        except GroundingError:
            continue
        if grounding is not None:
            compared_with_substitution(grounding, seed)
            compared += 1
    assert compared > PROGRAMS // 12


TEXTS = {name: text for text in (PREDICATES, ATTRIBUTES, HISTORIES) for name in names(text)}


@pytest.mark.parametrize("name", TEXTS)
def test_definitions_equal_substitution(name):
    program = lang.loads(DECLARATIONS + TEXTS[name])
    definition = program.definition(name)
    scopes = FormulaScopes(program)
    for seed in range(6):
        data = crisp.dataset(seed)
        world = NaiveWorld.of(program, data)
        try:
            with in_arrays(scopes), open_relations(program, data) as relations:
                table = relations.read(name)
        except BeyondArrays:
            recursive = {"Reach", "Doubling", "Chain", "Again", "Twice", "Never"}
            assert name in recursive or not definition.parameters
            return
        keys = [tuple(row) for row in id_matrix(table).tolist()]
        if definition.is_predicate:
            assert keys == sorted(world.predicate(name)), seed
            continue
        found = dict(zip(keys, table.column("value").to_pylist(), strict=True))
        expected = world.attribute(name)
        assert found.keys() == expected.keys(), seed
        for key, value in expected.items():
            same = value if isinstance(value, str) else pytest.approx(value, rel=1e-12)
            assert found[key] == same, (seed, key)


CARDS = """
domain Pay
domain Card
observed Pays(Pay, card: Card)
attribute card(Pay): Card
attribute amount(Pay): float
query Fraud(Pay)
define Dear(p)  := amount(p) > 1
define dear(p)  := count { q : Pays(q, card: card(p)) & Dear(q) }
define most(p)  := max { amount(q) for q : Pays(q, card: card(p)) & Dear(q) }
define other(p) := count { q : Pays(q, card: card(p)) & amount(q) > amount(p) }
rule rare [-1] : Fraud(p)
"""


def test_what_depends_on_a_thing_is_what_each_row_would_find():
    program = lang.loads(CARDS)
    draw = np.random.default_rng(0)
    pays, card = [f"p{i}" for i in range(30)], draw.integers(0, 4, 30)
    amount, named = draw.exponential(1.0, 30), slice(0, 25)  # five payments with no card
    of_card = {"p": pays[named], "c": [f"c{i}" for i in card[named]]}
    facts = {"Pays": of_card, "card": of_card, "amount": {"p": pays, "a": amount}}
    data = Dataset.from_frames(program, facts=facts)
    scopes = FormulaScopes(program)
    for given in (data, Dataset.from_frames(program, facts=facts | {"amount": of_known(facts)})):
        world = NaiveWorld.of(program, given)
        with in_arrays(scopes), open_relations(program, given) as relations:
            for name in ("dear", "most", "other"):
                table = relations.read(name)
                keys = [tuple(row) for row in id_matrix(table).tolist()]
                found = dict(zip(keys, table.column("value").to_pylist(), strict=True))
                assert found == pytest.approx(world.attribute(name))
    (dear, other) = (program.definition(name).body for name in ("dear", "other"))
    assert grouped_by_terms(program, dear) is not None
    assert grouped_by_terms(program, other) is None  # sees the amount of the payment, too


def of_known(facts):
    """Amounts of payments that have a card: all cards are known then."""
    return {name: own[:25] for name, own in facts["amount"].items()}


@pytest.mark.parametrize("seed", range(5))
def test_stretches_of_totals_are_those_of_a_scan(seed):
    draw = np.random.default_rng(seed)
    key, clock = draw.integers(0, 6, 50), draw.integers(0, 9, 50)
    value, known = draw.integers(0, 5, 50), draw.random(50) < 0.8
    totals = Totals.of(key, clock, value, known)
    wanted = np.repeat(draw.integers(-1, 7, 10), 3)
    low, high = draw.integers(-1, 10, (2, 30))
    for below, above in (("<", ">="), ("<=", ">")):
        total, rows = totals.between(wanted, [(below, high), (above, low)])
        for i, own in enumerate(wanted):
            inside = (key == own) & known
            inside &= (clock < high[i]) if below == "<" else (clock <= high[i])
            inside &= (clock >= low[i]) if above == ">=" else (clock > low[i])
            assert (total[i], rows[i]) == (value[inside].sum(), inside.sum())
